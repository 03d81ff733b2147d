package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" // metadata names keys so
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// buildKeys builds examples/passkey beside the other example, once.
var buildKeys = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(filepath.Dir(program), "passkey")
	build := exec.Command("go", "build", "-o", binary, "./examples/passkey")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building examples/passkey: %w\n%s", err, out)
	}
	return binary, nil
})

// startKeys runs examples/passkey.
func startKeys(t *testing.T, args ...string) *site {
	t.Helper()
	binary, err := buildKeys()
	require.NoError(t, err)
	cmd := exec.Command(binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	pipe, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &site{}
	opened, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			s.mu.Lock()
			s.log.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
			if _, rest, ok := strings.Cut(lines.Text(), `"open http://`); ok {
				opened <- strings.TrimRight(rest, `/"`)
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		require.NoError(t, cmd.Wait(), "the server ends by itself when it is told to")
		if t.Failed() {
			t.Log(s.logged())
		}
	})
	select {
	case address := <-opened:
		s.url = "http://" + address
	case <-ended:
		require.Fail(t, "the server did not start", s.logged())
	case <-time.After(20 * time.Second):
		require.Fail(t, "the server did not say where it listens", s.logged())
	}
	return s
}

// accepted is the server's last word on a passkey it has accepted, and how many there were.
func (s *site) accepted() (last string, n int) {
	for line := range strings.Lines(s.logged()) {
		if strings.Contains(line, "passkey accepted") {
			last, n = line, n+1
		}
	}
	return last, n
}

// blobs is a metadata service of the test's own.
type blobs struct {
	*httptest.Server
	key  *ecdsa.PrivateKey
	root []byte
	mu   sync.Mutex
	jwt  []byte // guarded by mu
	no   int
}

func startBLOBs(t *testing.T) *blobs {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Metadata of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	b := &blobs{key: key}
	b.root, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	b.publish(t)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		_, _ = w.Write(b.jwt)
	}))
	t.Cleanup(b.Close)
	return b
}

// args are those of a server that takes its metadata here.
func (b *blobs) args(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "root.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.root}), 0o600))
	return []string{"-metadata", b.URL, "-metadata-root", file}
}

func (b *blobs) publish(t *testing.T, entries ...any) {
	t.Helper()
	b.no++
	part := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(map[string]any{"alg": "ES256", "typ": "JWT", "x5c": []string{base64.StdEncoding.EncodeToString(b.root)}}) + "." +
		part(map[string]any{"no": b.no, "nextUpdate": time.Now().Add(48 * time.Hour).Format(time.DateOnly), "entries": append([]any{}, entries...)})
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, b.key, sum[:])
	require.NoError(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jwt = []byte(text + "." + base64.RawURLEncoding.EncodeToString(signature))
}

// entry vouches for the authenticator that has made an attestation object.
func entry(t *testing.T, object []byte, status ...string) map[string]any {
	t.Helper()
	batch, key := batchOf(t, object)
	e := map[string]any{"metadataStatement": map[string]any{
		"description": "The browser's own", "keyProtection": []string{"hardware", "secure_element"},
		"attestationRootCertificates": []string{base64.StdEncoding.EncodeToString(batch.Raw)},
	}}
	var reports []any
	for _, s := range status {
		reports = append(reports, map[string]any{"status": s, "effectiveDate": "2026-01-01"})
	}
	e["statusReports"] = reports
	site := sha256.Sum256([]byte("localhost"))
	at := bytes.Index(object, site[:]) + 37
	if aaguid := object[at : at+16]; !bytes.Equal(aaguid, make([]byte, 16)) {
		e["aaguid"] = fmt.Sprintf("%x-%x-%x-%x-%x", aaguid[:4], aaguid[4:6], aaguid[6:8], aaguid[8:10], aaguid[10:])
	} else {
		e["attestationCertificateKeyIdentifiers"] = []string{hex.EncodeToString(key)}
	}
	return e
}

// batchOf finds the certificate in an attestation object, and the name of its key.
func batchOf(t *testing.T, object []byte) (*x509.Certificate, []byte) {
	t.Helper()
	for i := 0; i+4 < len(object); i++ {
		if object[i] != 0x30 || object[i+1] != 0x82 {
			continue
		}
		n := 4 + int(object[i+2])<<8 + int(object[i+3])
		if i+n > len(object) {
			continue
		}
		c, err := x509.ParseCertificate(object[i : i+n])
		if err != nil {
			continue
		}
		point, err := c.PublicKey.(*ecdsa.PublicKey).Bytes()
		require.NoError(t, err)
		sum := sha1.Sum(point)
		return c, sum[:]
	}
	require.Fail(t, "no certificate in the attestation")
	return nil, nil
}

// plug gives the tab a virtual authenticator.
func (b *tab) plug(o *webauthn.VirtualAuthenticatorOptions) webauthn.AuthenticatorID {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{})
	require.NoError(b.t, err)
	o.AutomaticPresenceSimulation = true
	r, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: o})
	require.NoError(b.t, err)
	return r.AuthenticatorID
}

func (b *tab) visit(s *site) {
	b.t.Helper()
	b.run(chromedp.Navigate(s.url), chromedp.WaitVisible(chromedp.CSS("#login")))
}

// press does a ceremony with the page's own button, and returns what the page then says.
func (b *tab) press(id string) string {
	b.t.Helper()
	eval[int](b, `delete document.getElementById('status').dataset.state; 0`)
	b.run(chromedp.Click(chromedp.CSS("#"+id)),
		chromedp.WaitReady(chromedp.CSS(`#status[data-state="done"], #status[data-state="error"]`)))
	return b.text("#status")
}

// answer runs a new task of the server at url in the page that is open, wherever that is from, and returns the credential.
func (b *tab) answer(task string) string {
	b.t.Helper()
	return eval[string](b, `VestibulePasskey.run(JSON.parse(atob('`+base64.StdEncoding.EncodeToString([]byte(task))+`')))`)
}

// task asks for one in the page that is open.
func (b *tab) task(ceremony string) string {
	b.t.Helper()
	return eval[string](b, `fetch('/`+ceremony+`/begin', {method: 'POST'}).then((r) => r.text())`)
}

// finish hands a credential in from the page that is open, and returns the status.
func (b *tab) finish(ceremony, credential string) int {
	b.t.Helper()
	return eval[int](b, `fetch('/`+ceremony+`/finish', {method: 'POST', headers: {'Content-Type': 'application/json'},
		body: atob('`+base64.StdEncoding.EncodeToString([]byte(credential))+`')}).then((r) => r.status)`)
}

func platformKey() *webauthn.VirtualAuthenticatorOptions {
	return &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	}
}

// The browser's authenticator is a program: no hardware, whatever certificate it has made itself, until metadata vouches for
// it.
func TestPasskeyRegistersAndLogsIn(t *testing.T) {
	usb := platformKey()
	usb.Transport = webauthn.AuthenticatorTransportUsb
	for _, row := range []struct {
		name   string
		key    *webauthn.VirtualAuthenticatorOptions
		args   []string
		format string
	}{
		{"ctap2 platform", platformKey(), nil, "format=packed verified=true"},
		{"ctap2 usb", usb, nil, "format=packed verified=true"},
		{"u2f usb", &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolU2f, Transport: webauthn.AuthenticatorTransportUsb,
		}, []string{"-skip-user-verification"}, "format=fido-u2f verified=false"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := startBLOBs(t)
			s, b := startKeys(t, append(append(m.args(t), "-metadata-interval", "1s"), row.args...)...), open(t)
			b.plug(row.key)
			b.visit(s)
			credential := b.answer(b.task("registration"))
			require.Equal(t, 200, b.finish("registration", credential))
			s.says(t, "ceremony=registration")
			said, _ := s.accepted()
			require.Contains(t, said, "ceremony=registration trust=unknown level=none")
			require.Contains(t, said, "type=basic "+row.format)
			require.Equal(t, 422, b.finish("registration", credential), "once")
			require.Contains(t, b.press("registration"), "already")
			require.Equal(t, "You are signed in.", b.press("login"))
			s.says(t, "ceremony=login")
			said, _ = s.accepted()
			require.Contains(t, said, "ceremony=login trust=unknown")
			require.Contains(t, said, "counter_stalled=false")

			var in struct {
				Response struct {
					Object string `json:"attestationObject"`
				} `json:"response"`
			}
			require.NoError(t, json.Unmarshal([]byte(credential), &in))
			object, err := base64.RawURLEncoding.DecodeString(in.Response.Object)
			require.NoError(t, err)
			until := func(want string) {
				t.Helper()
				for begun := time.Now(); !strings.Contains(said, want); said, _ = s.accepted() {
					require.Less(t, time.Since(begun), 20*time.Second, "the server has not taken the new metadata: %s", said)
					require.Equal(t, "You are signed in.", b.press("login"))
				}
			}
			m.publish(t, entry(t, object, "FIDO_CERTIFIED_L1"))
			until("ceremony=login trust=certified level=L1")
			m.publish(t, entry(t, object, "FIDO_CERTIFIED_L1", "REVOKED"))
			until("ceremony=login trust=revoked") // and nobody is locked out
			require.Contains(t, said, "downgraded=true")
		})
	}
}

func TestPasskeySynced(t *testing.T) {
	s, b := startKeys(t), open(t)
	key := platformKey()
	key.DefaultBackupEligibility, key.DefaultBackupState = true, true
	b.plug(key)
	b.visit(s)
	require.Equal(t, "Your passkey is made.", b.press("registration"))
	b.shoot("passkey")
	s.says(t, "ceremony=registration")
	said, _ := s.accepted()
	require.Contains(t, said, "synced=true backed_up=true")
	require.Equal(t, "You are signed in.", b.press("login"))
}

func TestPasskeyRefusals(t *testing.T) {
	s, b := startKeys(t), open(t)
	id := b.plug(platformKey())
	b.visit(s)
	require.Equal(t, "Your passkey is made.", b.press("registration"))
	yes := true
	for name, bits := range map[string]webauthn.SetResponseOverrideBitsParams{
		"bogus signature": {IsBogusSignature: &yes}, "not verified": {IsBadUV: &yes}, "nobody there": {IsBadUP: &yes},
	} {
		bits.AuthenticatorID = id
		_, err := chromedp.Call(b.ctx, webauthn.SetResponseOverrideBits, bits)
		require.NoError(t, err, name)
		require.NotEqual(t, "You are signed in.", b.press("login"), name)
	}
	s.says(t, "ceremony=registration")
	_, n := s.accepted()
	require.Equal(t, 1, n)
	_, err := chromedp.Call(b.ctx, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: id})
	require.NoError(t, err)
	require.Equal(t, "You are signed in.", b.press("login"))
}

// Another page of this machine may use the browser's passkeys too, as they share a host name. What it makes of our task is
// worth nothing here.
func TestPasskeyOfAnotherOriginAndReplay(t *testing.T) {
	s, evil := startKeys(t), startKeys(t)
	b := open(t)
	b.plug(platformKey())
	b.visit(s)
	require.Equal(t, "Your passkey is made.", b.press("registration"))
	credential := b.answer(b.task("login"))
	require.Equal(t, 200, b.finish("login", credential))
	require.Equal(t, 422, b.finish("login", credential), "once")

	task := b.task("login")
	b.visit(evil)
	stolen := b.answer(task)
	b.visit(s)
	require.Equal(t, 422, b.finish("login", stolen))
	s.says(t, "ceremony=login")
	_, n := s.accepted()
	require.Equal(t, 2, n)
}

package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/vestibule-go/vestibule/internal/jose"
)

type playKeys struct {
	aes []byte
	key *ecdsa.PrivateKey
}

func newPlayKeys() playKeys {
	aes := make([]byte, 32)
	_, _ = rand.Read(aes)
	return playKeys{aes, newKey(elliptic.P256())}
}

// PlayKeys is what Play Console would give for self-managed keys, decoded: the decryption key, and the verification key in
// DER. Its second result is the signing key, which no console gives.
func (g *Google) PlayKeys() (decryption, verification []byte, signing *ecdsa.PrivateKey) {
	der, err := x509.MarshalPKIXPublicKey(&g.play.key.PublicKey)
	must(err)
	return append([]byte(nil), g.play.aes...), der, g.play.key
}

// PlayPayload is what this Google says of a request by the device's app: of a classic one with nonce, of a standard one with
// requestHash, the other nil or empty.
func (d *Android) PlayPayload(nonce []byte, requestHash string) map[string]any {
	request := map[string]any{
		"requestPackageName": d.Package, "timestampMillis": strconv.FormatInt(d.Google.now().UnixMilli(), 10),
	}
	if nonce != nil {
		request["nonce"] = base64.URLEncoding.EncodeToString(nonce)
	}
	if requestHash != "" {
		request["requestHash"] = requestHash
	}
	app := map[string]any{
		"appRecognitionVerdict": "PLAY_RECOGNIZED", "packageName": d.Package, "versionCode": "42",
		"certificateSha256Digest": []any{base64.RawURLEncoding.EncodeToString(d.Signer)},
	}
	labels := []any{"MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"}
	licensing := "LICENSED"
	switch {
	case d.opts.Emulator:
		labels = []any{"MEETS_VIRTUAL_INTEGRITY"}
	case d.opts.Unlocked:
		labels, licensing = []any{"MEETS_BASIC_INTEGRITY"}, "UNEVALUATED"
		app = map[string]any{"appRecognitionVerdict": "UNEVALUATED"}
	}
	return map[string]any{
		"requestDetails": request, "appIntegrity": app,
		"deviceIntegrity": map[string]any{"deviceRecognitionVerdict": labels, "deviceAttributes": map[string]any{"sdkVersion": 36}},
		"accountDetails":  map[string]any{"appLicensingVerdict": licensing},
		"environmentDetails": map[string]any{
			"playProtectVerdict": "NO_ISSUES", "appAccessRiskVerdict": map[string]any{"appsDetected": []any{"KNOWN_INSTALLED"}},
		},
	}
}

// SealPlay makes the token of a payload: signed, then encrypted, by the keys of PlayKeys.
func (g *Google) SealPlay(payload []byte) string {
	signed, err := jose.Sign(payload, g.play.key, nil)
	must(err)
	return g.EncryptPlay(signed)
}

// EncryptPlay encrypts what should be a signed payload.
func (g *Google) EncryptPlay(plaintext []byte) string {
	token, err := jose.Encrypt(plaintext, "A256KW", "A256GCM", g.play.aes, false)
	must(err)
	return string(token)
}

// PlayToken is the token of a request; change may alter the payload first, or be nil.
func (d *Android) PlayToken(nonce []byte, requestHash string, change func(payload map[string]any)) string {
	p := d.PlayPayload(nonce, requestHash)
	if change != nil {
		change(p)
	}
	raw, err := json.Marshal(p)
	must(err)
	return d.Google.SealPlay(raw)
}

// PlayServer is Google's decode server. As Google does, it answers the second decode of a standard request's token with
// cleared verdicts. It is safe for concurrent use.
type PlayServer struct {
	google *Google

	mu    sync.Mutex
	seen  map[string]bool // guarded by mu
	calls int             // guarded by mu
}

// PlayServer makes a server.
func (g *Google) PlayServer() *PlayServer { return &PlayServer{google: g, seen: map[string]bool{}} }

// Calls is how often it was asked.
func (s *PlayServer) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// ServeHTTP implements http.Handler.
func (s *PlayServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	var in struct {
		Token string `json:"integrityToken"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	switch {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || r.Header.Get("Authorization") == "Bearer ":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil || json.Unmarshal(body, &in) != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case strings.HasSuffix(r.URL.Path, "/deviceRecall:write"):
		_, _ = io.WriteString(w, "{}")
		return
	}
	signed, err := jose.Decrypt([]byte(in.Token), s.google.play.aes)
	var payload []byte
	if err == nil {
		payload, err = jose.Verify(signed, &s.google.play.key.PublicKey)
	}
	var p map[string]any
	if err != nil || json.Unmarshal(payload, &p) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	request, _ := p["requestDetails"].(map[string]any)
	if name, _ := request["requestPackageName"].(string); r.URL.Path != "/v1/"+name+":decodeIntegrityToken" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if _, standard := request["requestHash"]; standard && s.again(in.Token) {
		p["appIntegrity"] = map[string]any{"appRecognitionVerdict": "UNEVALUATED"}
		p["deviceIntegrity"] = map[string]any{}
		p["accountDetails"] = map[string]any{"appLicensingVerdict": "UNEVALUATED"}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"tokenPayloadExternal": p})
}

func (s *PlayServer) again(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.seen[token]
	s.seen[token] = true
	return was
}

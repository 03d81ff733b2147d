package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
)

// vouched makes a security key, and servers that have metadata for it.
func vouched(t *testing.T, now func() time.Time) (*attesttest.Authenticator, passkey.TrustSource) {
	t.Helper()
	fido := attesttest.NewFIDO(now)
	model := fido.NewModel("Example Key 5", "FIDO_CERTIFIED_L2")
	mds, err := passkey.NewMDS(&passkey.MDSOptions{Roots: fido.Roots(), Now: now})
	require.NoError(t, err)
	require.NoError(t, mds.Load(fido.BLOB(1, now().Add(30*24*time.Hour), []*attesttest.FIDOModel{model}, nil)))
	return fido.SecurityKey(model), mds
}

// made are the fields a page sends once a passkey was made for a task.
func made(t *testing.T, key *attesttest.Authenticator, origin string, r reply) []string {
	t.Helper()
	var task struct {
		Ceremony  passkey.Ceremony
		PublicKey json.RawMessage
	}
	require.NoError(t, json.Unmarshal(r.task(t, "passkey"), &task))
	require.Equal(t, passkey.Registration, task.Ceremony)
	credential, err := key.Create(origin, task.PublicKey, nil)
	require.NoError(t, err)
	var c struct{ ID string }
	require.NoError(t, json.Unmarshal(credential, &c))
	return []string{"passkey", string(credential), "passkey_id", c.ID}
}

// suspect is a trapped form with a disposable mailbox: a device is asked for.
func (v *visitor) suspect(more ...string) reply {
	v.t.Helper()
	return v.signUp("ann@mailinator.com", append([]string{"website", "https://example.com"}, more...)...)
}

func TestPasskeyStepUp(t *testing.T) {
	var key *attesttest.Authenticator
	w := newWorld(t, func(o *options) { key, o.Trust = vouched(t, o.Now) })
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.suspect()
	require.Equal(t, http.StatusForbidden, r.status, r.text)
	require.Equal(t, []risk.Proof{risk.ProofDevice}, r.Require)
	require.Contains(t, w.last(t), "assessment.level=review")

	v.continues(r.Flow)
	fields := made(t, key, page, r)
	r = v.suspect(fields...)
	require.Contains(t, w.last(t), "passkey.certified -12 (attest)")
	require.Contains(t, w.last(t), "assessment.level=phone", "what the points say now")
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, r.Require)
	fields = append(fields, "captcha", v.solve(r), "phone", number)
	r = v.suspect(fields...)
	require.Equal(t, []risk.Proof{risk.ProofPhone}, r.Require, r.text)
	require.Equal(t, http.StatusAccepted, v.start().status)
	require.Equal(t, http.StatusOK, v.check(w.sent(t, 1)[0]).status)
	in := v.suspect(fields...)
	require.Equal(t, http.StatusCreated, in.status, in.text)
	require.NotContains(t, w.log.String(), "passkey.replayed", "what a flow keeps is not judged again")
	require.Contains(t, w.log.String(), "bound=true")
}

// What most people have proves no device, and does no harm: a person looks, and the passkey goes with the account.
func TestPasskeyThatProvesNothing(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.suspect()
	v.continues(r.Flow)
	fields := made(t, attesttest.SyncedPasskey([16]byte{1}), page, r)
	r = v.suspect(fields...)
	require.Equal(t, http.StatusForbidden, r.status, r.text)
	require.Equal(t, []risk.Proof{risk.ProofDevice}, r.Require, "another one may do")
	require.Contains(t, w.last(t), "passkey.none +0 (attest)")
	v.header.Set("Vestibule-Cannot", "device")
	r = v.suspect(fields[2:]...)
	require.Equal(t, http.StatusAccepted, r.status, r.text)
	require.Contains(t, w.log.String(), "bound=true")
}

func TestPasskeyRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		origin string
		change func(string) string
		code   string
	}{
		"another site": {"https://example.com", nil, "passkey.origin"},
		"rubbish":      {page, func(string) string { return `{"id":` }, "passkey.failed"},
		"forged": {page, func(s string) string {
			return strings.Replace(s, `"attestationObject":"`, `"attestationObject":"AAAA`, 1)
		}, "passkey.failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			v := w.visit(t)
			w.clock.pass(20 * time.Second)
			r := v.suspect()
			v.continues(r.Flow)
			fields := made(t, attesttest.SyncedPasskey([16]byte{1}), c.origin, r)
			if c.change != nil {
				fields[1] = c.change(fields[1])
			}
			require.NotEqual(t, http.StatusCreated, v.suspect(fields...).status)
			require.Contains(t, w.last(t), c.code)
			require.NotContains(t, w.log.String(), "bound=true")
		})
	}
	t.Run("twice", func(t *testing.T) {
		w := newWorld(t, nil)
		v := w.visit(t)
		w.clock.pass(20 * time.Second)
		r := v.suspect()
		v.continues(r.Flow)
		fields := made(t, attesttest.SyncedPasskey([16]byte{1}), page, r)
		v.suspect(fields...)
		v.suspect(fields...)
		require.Contains(t, w.last(t), "passkey.replayed")
	})
}

// Whoever signs up with somebody else's address gets no key to that account.
func TestPasskeyAndATakenAddress(t *testing.T) {
	var key *attesttest.Authenticator
	kept := &taken{}
	w := newWorld(t, func(o *options) { key, o.Trust = vouched(t, o.Now); o.Accounts = kept })
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.suspect()
	v.continues(r.Flow)
	fields := made(t, key, page, r)
	v.header.Set("Vestibule-Cannot", "human,phone")
	r = v.suspect(fields...)
	require.Equal(t, http.StatusAccepted, r.status, r.text)
	require.Equal(t, 1, kept.calls)
	require.NotContains(t, w.log.String(), "bound=")
}

func TestMetadataFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"no address": {"-metadata", "nowhere"},
		"nobody":     {"-metadata", "http://127.0.0.1:1/"},
		"no PEM":     {"-metadata", "http://127.0.0.1:1/", "-metadata-root", text(t, "root.pem", "rubbish")},
		"no file":    {"-metadata", "http://127.0.0.1:1/", "-metadata-root", "nowhere.pem"},
		"no root":    {"-metadata", "http://127.0.0.1:1/", "-metadata-root", text(t, "x.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, run(t.Context(), args, io.Discard), "-metadata")
		})
	}
	fido := attesttest.NewFIDO(nil)
	blob := fido.BLOB(7, time.Now().Add(30*24*time.Hour), []*attesttest.FIDOModel{fido.NewModel("Example Key 5", "FIDO_CERTIFIED_L2")}, nil)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blob) }))
	defer service.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: fido.Roots()[0].Raw})
	_, log := serving(t, io.Discard, "-metadata", service.URL, "-metadata-root", text(t, "root.pem", string(root)))
	require.Contains(t, log.String(), "msg=metadata number=7")
}

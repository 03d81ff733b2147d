package passkey_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
)

func bindTo(s passkey.Scope) passkey.Bind {
	return func(*http.Request) (passkey.Scope, passkey.User, error) {
		return s, passkey.User{Name: "ann@example.com", Display: "Ann"}, nil
	}
}

func post(h http.Handler, body string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "https://example.com/passkey", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func read(t testing.TB, r *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(raw)
}

func handlers(t testing.TB, r *rig, c passkey.Ceremony, bind passkey.Bind, o *passkey.HandlerOptions) (begin, finish http.Handler) {
	t.Helper()
	begin, err := r.v.BeginHandler(c, bind, o)
	require.NoError(t, err)
	finish, err = r.v.FinishHandler(c, bind, o)
	require.NoError(t, err)
	return begin, finish
}

func publicKey(t testing.TB, r *http.Response) []byte {
	t.Helper()
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	var out struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, r)), &out))
	return out.PublicKey
}

// The whole of it over HTTP, then the ticket in a flow's assessment.
func TestHandlers(t *testing.T) {
	r := newRig(t)
	a := r.key()
	var done []passkey.Ceremony
	o := &passkey.HandlerOptions{Done: func(_ *http.Request, res *passkey.Result) error {
		done = append(done, res.Ceremony)
		return nil
	}}
	begin, finish := handlers(t, r, passkey.Registration, bindTo(scope), o)
	body, err := a.Create(origin, publicKey(t, post(begin, "")), nil)
	require.NoError(t, err)
	got := post(finish, string(body))
	require.Equal(t, 200, got.StatusCode)
	require.Equal(t, 422, post(finish, string(body)).StatusCode, "once")

	inFlow := passkey.Scope{Tenant: "t1", Session: "s-42", Flow: "f-7", Account: "ann"}
	begin, finish = handlers(t, r, passkey.Login, bindTo(inFlow), o)
	body, err = a.Get(origin, publicKey(t, post(begin, "")), nil)
	require.NoError(t, err)
	got = post(finish, string(body))
	require.Equal(t, 200, got.StatusCode)
	var out passkey.Finished
	require.NoError(t, json.Unmarshal([]byte(read(t, got)), &out))
	require.Equal(t, []passkey.Ceremony{passkey.Registration, passkey.Login}, done)
	said := judge(t, newSignal(t, r, nil), attempt(risk.Login, "ann"), passkey.Response{Ticket: out.Ticket})
	require.Equal(t, []risk.Proof{risk.ProofDevice, risk.ProofPasskey}, said.Proofs)
}

func TestHandlersRefuse(t *testing.T) {
	r := newRig(t)
	a := r.key()
	begin, finish := handlers(t, r, passkey.Registration, bindTo(scope), nil)
	create := func(f *attesttest.FIDOForge) string {
		body, err := a.Create(origin, publicKey(t, post(begin, "")), f)
		require.NoError(t, err)
		return string(body)
	}
	for _, row := range []struct {
		name   string
		body   string
		header []string
		status int
	}{
		{"not JSON", "{", nil, 422},
		{"nothing", "", nil, 422},
		{"a form", create(nil), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"no type", create(nil), []string{"Content-Type", ""}, 415},
		{"another site's page", create(nil), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another origin", create(nil), []string{"Origin", "https://evil.example"}, 403},
		{"1 MiB", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413},
		{"wrong origin in it", create(with("origin", "https://evil.example")), nil, 422},
		{"wrong challenge", create(with("challenge", strings.Repeat("A", 43))), nil, 422},
		{"not verified", create(flags(0, attesttest.FlagUV)), nil, 422},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := post(finish, row.body, row.header...)
			require.Equal(t, row.status, got.StatusCode)
			require.Equal(t, "application/problem+json", got.Header.Get("Content-Type"))
			text := read(t, got)
			for _, secret := range []string{"xpected", "challenge", "origin", "hallenge b", "evil", "AAAA", "verif"} {
				require.NotContains(t, text, secret, "clients learn no reasons")
			}
		})
	}
	w := httptest.NewRecorder()
	finish.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, 405, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))

	_, finish = handlers(t, r, passkey.Registration, func(*http.Request) (passkey.Scope, passkey.User, error) {
		return passkey.Scope{}, passkey.User{}, errors.New("no session of s-42")
	}, nil)
	got := post(finish, create(nil))
	require.Equal(t, 400, got.StatusCode)
	require.NotContains(t, read(t, got), "s-42")
	_, finish = handlers(t, r, passkey.Registration, bindTo(scope), &passkey.HandlerOptions{
		Done: func(*http.Request, *passkey.Result) error { return errDown },
	})
	require.Equal(t, 500, post(finish, create(nil)).StatusCode)

	store := &failing{r.store, map[string]bool{"list": true, "create": true}}
	v, err := passkey.New(site, r.challenges, store, nil)
	require.NoError(t, err)
	body := create(nil)
	r.v = v
	var reported []error
	begin, finish = handlers(t, r, passkey.Registration, bindTo(scope), &passkey.HandlerOptions{
		OnError: func(_ *http.Request, err error) { reported = append(reported, err) },
	})
	require.Equal(t, 503, post(begin, "").StatusCode)
	require.Equal(t, 503, post(finish, body).StatusCode)
	require.Len(t, reported, 2)

	_, err = v.BeginHandler("dance", bindTo(scope), nil)
	require.Error(t, err)
	_, err = v.FinishHandler(passkey.Login, nil, nil)
	require.Error(t, err)
}

func TestScript(t *testing.T) {
	h := passkey.Script()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/passkey.js", nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
	text := w.Body.String()
	for _, banned := range []string{"eval(", "new Function", "innerHTML", "document.write", "http://", "localStorage"} {
		require.NotContains(t, text, banned, "works under a strict Content-Security-Policy")
	}
	r := httptest.NewRequest(http.MethodGet, "/passkey.js", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 304, w.Code)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/passkey.js", nil))
	require.Equal(t, 405, w.Code)
	if node, err := exec.LookPath("node"); err == nil {
		out, err := exec.Command(node, "--check", filepath.Join("static", "passkey.js")).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

package captcha_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

func serve(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	var b bytes.Buffer
	_, err := b.ReadFrom(r.Body)
	require.NoError(t, err)
	return b.String()
}

func TestScriptHandler(t *testing.T) {
	h := captcha.Script()
	r := serve(h, "GET", "/captcha.js")
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "text/javascript; charset=utf-8", r.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
	require.Contains(t, r.Header.Get("Cache-Control"), "max-age")
	tag := r.Header.Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
	text := body(t, r)
	for _, banned := range []string{"eval(", "new Function", "innerHTML", "document.write", ".onclick", "setAttribute('style'", "http://"} {
		require.NotContains(t, text, banned, "works under a strict Content-Security-Policy")
	}
	r = serve(h, "GET", "/captcha.js", "If-None-Match", tag)
	require.Equal(t, 304, r.StatusCode)
	require.Empty(t, body(t, r))
	r = serve(h, "HEAD", "/captcha.js")
	require.Equal(t, 200, r.StatusCode)
	require.Empty(t, body(t, r))
	r = serve(h, "POST", "/captcha.js")
	require.Equal(t, 405, r.StatusCode)
	require.Equal(t, "GET, HEAD", r.Header.Get("Allow"))
}

type solved struct {
	Token     string
	Counter   *int64
	Code      string
	Message   string
	ExpiresIn float64
	Started   int
	Alive     int
	Reports   int
}

// runScript solves a task with the script under node.
func runScript(t *testing.T, task any, mode string, workers int, received time.Duration) solved {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on the PATH: the browser script is not run")
	}
	file := filepath.Join(t.TempDir(), "captcha.js")
	require.NoError(t, os.WriteFile(file, []byte(body(t, serve(captcha.Script(), "GET", "/"))), 0o600))
	in, err := json.Marshal(map[string]any{"script": file, "task": task, "mode": mode, "workers": workers, "received": received.Milliseconds()})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, filepath.Join("testdata", "solve.js"))
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var got solved
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	require.Zero(t, got.Alive, "every worker is ended")
	return got
}

func TestScriptSolves(t *testing.T) {
	for _, row := range []struct {
		name    string
		change  func(o *captcha.PoWOptions)
		mode    string
		workers int
		started int
	}{
		{"this thread", func(*captcha.PoWOptions) {}, "workers", 0, 0},
		{"one worker", func(*captcha.PoWOptions) {}, "workers", 1, 1},
		{"three workers", func(*captcha.PoWOptions) {}, "workers", 3, 3},
		{"deterministic", deterministic, "workers", 3, 3},
		{"SHA-384", func(o *captcha.PoWOptions) { o.Algorithm = captcha.PBKDF2SHA384 }, "workers", 2, 2},
		{"SHA-512", func(o *captcha.PoWOptions) { o.Algorithm = captcha.PBKDF2SHA512 }, "workers", 2, 2},
		{"odd prefix", func(o *captcha.PoWOptions) {
			o.Steps = []captcha.Step{{Work: captcha.Work{Cost: 1000}, Digits: 3}}
		}, "workers", 2, 2},
		{"workers refused", func(*captcha.PoWOptions) {}, "refused", 3, 0},
		{"workers broken", func(*captcha.PoWOptions) {}, "broken", 3, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newClock()
			p := newPoW(t, c, newGuard(t, c), row.change)
			r := bound
			r.Data = map[string]string{"note": `<b> & "quotes" \ '`}
			task, err := p.Challenge(context.Background(), r)
			require.NoError(t, err)
			got := runScript(t, task, row.mode, row.workers, 0)
			require.Empty(t, got.Code, got.Message)
			require.Equal(t, row.started, got.Started)
			require.InDelta(t, 300_000, got.ExpiresIn, 60_000, "lives by the issuer's clock, not the visitor's")
			requireReason(t, captcha.ReasonOK, verify(t, p, got.Token, expect))
			requireReason(t, captcha.ReasonReplayed, verify(t, p, got.Token, expect))
		})
	}
	t.Run("a challenge without its task", func(t *testing.T) {
		c := newClock()
		p := newPoW(t, c, newGuard(t, c))
		challenge, err := p.Issue(context.Background(), bound)
		require.NoError(t, err)
		got := runScript(t, challenge, "workers", 2, 0)
		requireReason(t, captcha.ReasonOK, verify(t, p, got.Token, expect))
	})
}

func TestScriptSaysWhatIsWrong(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c), func(o *captcha.PoWOptions) {
		o.Steps = []captcha.Step{{Work: captcha.Work{Cost: 5000}, Digits: 6}} // longer than any test
	})
	task, err := p.Challenge(context.Background(), bound)
	require.NoError(t, err)
	foreign := *task.Challenge
	foreign.Parameters.Algorithm = "SCRYPT"
	broken := *task.Challenge
	broken.Parameters.Nonce = "xyz"
	empty := *task.Challenge
	empty.Parameters.KeyPrefix = ""
	for _, row := range []struct {
		name     string
		task     any
		mode     string
		received time.Duration
		code     string
	}{
		{"insecure context", task, "insecure", 0, "unsupported"},
		{"unknown algorithm", &foreign, "workers", 0, "unsupported"},
		{"no hex", &broken, "workers", 0, "malformed"},
		{"empty prefix", &empty, "workers", 0, "malformed"},
		{"null", nil, "workers", 0, "malformed"},
		{"text", "challenge", "workers", 0, "malformed"},
		{"expired before", task, "workers", 5 * time.Minute, "expired"},
		{"expires meanwhile", task, "workers", 5*time.Minute - 300*time.Millisecond, "expired"},
		{"cancelled", task, "cancel", 0, "cancelled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := runScript(t, row.task, row.mode, 2, row.received)
			require.Empty(t, got.Token)
			require.Equal(t, row.code, got.Code)
			require.NotEmpty(t, got.Message)
		})
	}
	t.Run("cancelled on this thread", func(t *testing.T) {
		require.Equal(t, "cancelled", runScript(t, task, "cancel", 0, 0).Code)
	})
}

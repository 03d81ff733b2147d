package jsonhttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

func serve(t *testing.T, h http.HandlerFunc, opts *jsonhttp.Options) *jsonhttp.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := jsonhttp.New(s.URL+"/base/", opts)
	require.NoError(t, err)
	return c
}

func TestNewRefuses(t *testing.T) {
	for name, base := range map[string]string{
		"empty": "", "no scheme": "example.com", "ftp": "ftp://example.com", "no host": "https:///x", "user": "https://u:secret@example.com",
		"query": "https://example.com?secret=1", "fragment": "https://example.com#x", "plain http": "http://example.com",
		"plain http to a look-alike": "http://localhost.example.com", "control": "https://exa\nmple.com/secret",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jsonhttp.New(base, nil)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	for _, base := range []string{"https://example.com", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost"} {
		_, err := jsonhttp.New(base, nil)
		require.NoError(t, err)
	}
	_, err := jsonhttp.New("http://example.com", &jsonhttp.Options{InsecureHTTP: true})
	require.NoError(t, err)
}

func TestRequestForms(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Content-Type"), r.PostForm.Encode())
	}, nil)
	for _, row := range []struct {
		in   jsonhttp.Request
		want string
	}{
		{jsonhttp.Request{Path: "/a/" + url.PathEscape("x/y?"), Query: url.Values{"q": {"1 2"}}}, "GET /base/a/x%2Fy%3F q=1+2  "},
		{jsonhttp.Request{Path: "/f", Form: url.Values{"a": {"&"}}}, "POST /base/f  application/x-www-form-urlencoded a=%26"},
		{jsonhttp.Request{JSON: map[string]int{"a": 1}}, "POST /base  application/json "},
		{jsonhttp.Request{Method: "PUT", Body: []byte("x"), Type: "text/plain"}, "PUT /base  text/plain "},
	} {
		resp, err := c.Do(t.Context(), row.in)
		require.NoError(t, err)
		require.Equal(t, row.want, string(resp.Body))
	}
	_, err := c.Do(t.Context(), jsonhttp.Request{Header: http.Header{"X-Key": {"a\r\nb"}}})
	require.ErrorContains(t, err, "cannot be made")
}

func TestFaults(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for _, row := range []struct {
		name string
		h    http.HandlerFunc
		kind jsonhttp.Kind
	}{
		{"no headers", func(_ http.ResponseWriter, r *http.Request) { wait(r, release) }, jsonhttp.Timeout},
		{"drip", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			wait(r, release)
		}, jsonhttp.Timeout},
		{"large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<17)) }, jsonhttp.TooLarge},
		{"gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, jsonhttp.TooLarge},
		{"truncated", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		}, jsonhttp.Network},
		{"hang up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, jsonhttp.Network},
	} {
		t.Run(row.name, func(t *testing.T) {
			timeout := time.Minute
			if row.kind == jsonhttp.Timeout {
				timeout = 100 * time.Millisecond
			}
			c := serve(t, row.h, &jsonhttp.Options{Timeout: timeout, MaxBody: 1 << 16})
			_, err := c.Do(t.Context(), jsonhttp.Request{Query: url.Values{"key": {"secret"}}})
			e, ok := errors.AsType[*jsonhttp.Error](err)
			require.True(t, ok)
			require.Equal(t, row.kind, e.Kind)
			require.True(t, e.Sent)
			require.Equal(t, row.kind == jsonhttp.Timeout, errors.Is(err, context.DeadlineExceeded))
			require.NotContains(t, fmt.Sprintf("%v %+v", err, err), "secret")
		})
	}
}

func wait(r *http.Request, release <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-release:
	}
}

func TestRedirectsAreAnswers(t *testing.T) {
	followed := false
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}, nil)
	resp, err := c.Do(t.Context(), jsonhttp.Request{Form: url.Values{"secret": {"x"}}})
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, resp.Status)
	require.False(t, followed)
}

func TestRefusedConnectionWasNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c, err := jsonhttp.New("http://"+l.Addr().String(), nil)
	require.NoError(t, err)
	_, err = c.Do(t.Context(), jsonhttp.Request{})
	e, _ := errors.AsType[*jsonhttp.Error](err)
	require.Equal(t, &jsonhttp.Error{Kind: jsonhttp.Network}, e)
}

func TestCanceledIsNotAProviderFault(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) {}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Do(ctx, jsonhttp.Request{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestParse(t *testing.T) {
	v, err := jsonhttp.Parse([]byte(`{"success":true,"score":0.5,"n":3,"codes":["a",1,"b"],"null":null,"deep":{"x":"y"}}`))
	require.NoError(t, err)
	ok, is := v.At("success").Bool()
	require.True(t, ok && is)
	require.Equal(t, "y", v.At("deep", "x").String())
	require.Equal(t, []string{"a", "b"}, v.At("codes").Texts())
	require.True(t, v.At("null").IsNull())
	require.False(t, v.At("nope").There())
	n, is := v.At("n").Int()
	require.True(t, is)
	require.Equal(t, int64(3), n)
	_, is = v.At("score").Int()
	require.False(t, is)
	_, is = v.At("SUCCESS").Bool()
	require.False(t, is, "names match exactly")
	_, is = v.At("n").Text()
	require.False(t, is, "kinds are never converted")

	for name, body := range map[string]string{
		"empty": "", "two values": "{} {}", "duplicate": `{"a":1,"a":2}`, "truncated": `{"a":`, "HTML": "<html>", "trailing": "{}x",
		"deep": strings.Repeat("[", 100) + strings.Repeat("]", 100), "invalid UTF-8": "\"\xff\"", "bare word": "yes",
	} {
		_, err := jsonhttp.Parse([]byte(body))
		require.ErrorIs(t, err, jsonhttp.ErrJSON, name)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "x": 0, "-1": 0, "99999999": 24 * time.Hour,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Wed, 31 Dec 2025 00:00:00 GMT": 0,
	} {
		require.Equal(t, want, jsonhttp.RetryAfter(http.Header{"Retry-After": {v}}, now), v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"success":true,"error-codes":["a"]}`))
	f.Add([]byte(`[1,"x",null]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := jsonhttp.Parse(body)
		if err != nil {
			require.ErrorIs(t, err, jsonhttp.ErrJSON)
			return
		}
		require.True(t, v.There())
		for _, name := range v.Names() {
			require.True(t, v.At(name).There())
		}
	})
}

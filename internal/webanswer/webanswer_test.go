package webanswer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/webanswer"
)

func serve(h http.Handler, method, tag string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/x.js", nil)
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestScript(t *testing.T) {
	h := webanswer.Script("x.js", "let a = 1;")
	w := serve(h, http.MethodGet, "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "let a = 1;", w.Body.String())
	require.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "public, max-age=3600", w.Header().Get("Cache-Control"))
	tag := w.Header().Get("ETag")
	require.NotEmpty(t, tag)
	require.Equal(t, http.StatusNotModified, serve(h, http.MethodGet, tag).Code)
	require.NotEqual(t, tag, serve(webanswer.Script("x.js", "let a = 2;"), http.MethodGet, "").Header().Get("ETag"))
	head := serve(h, http.MethodHead, "")
	require.Equal(t, http.StatusOK, head.Code)
	require.Empty(t, head.Body.String())
	w = serve(h, http.MethodPost, "")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"title":"Method Not Allowed","status":405,"detail":"Use GET."}`, w.Body.String())
}

func TestPosted(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if webanswer.Posted(w, r) {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	require.Equal(t, http.StatusNoContent, serve(h, http.MethodPost, "").Code)
	w := serve(h, http.MethodGet, "")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))
}

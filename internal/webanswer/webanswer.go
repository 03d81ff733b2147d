// Package webanswer is how the providers' own handlers answer: browser scripts, and problem documents (RFC 9457) without
// anything a visitor should not learn. Package risk/riskhttp answers for assessments.
package webanswer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"
)

// Problem answers with a problem document. The type is left out: the title is the status's.
func Problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
	if err != nil {
		body = nil
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}

// ReadOnly answers 405 to methods other than GET and HEAD, and reports whether the request may go on.
func ReadOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	Problem(w, http.StatusMethodNotAllowed, "Use GET.")
	return false
}

// Posted answers 405 to methods other than POST, and reports whether the request may go on.
func Posted(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodPost {
		return true
	}
	w.Header().Set("Allow", http.MethodPost)
	Problem(w, http.StatusMethodNotAllowed, "Use POST.")
	return false
}

// Script serves a browser script, for an hour from caches and after that by its tag.
func Script(name, text string) http.Handler {
	content := []byte(text)
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if !ReadOnly(w, r) {
			return
		}
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}

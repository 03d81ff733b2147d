package captcha

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// ChallengeHandler serves a fresh challenge as JSON to GET requests, for pages that have no engine to hand them a task
// and for other ALTCHA v2 widgets. bind says what each challenge is bound to and how hard it is: repeat its Action,
// Tenant, Session and Flow in Expect. An error of bind is answered with 400 and not shown.
//
// Whoever may call it gets challenges of the difficulty bind chooses, and a [Signal] accepts them from attempts that
// are in no flow: give a Score that suits an unknown visitor, and limit the rate.
func (p *PoW) ChallengeHandler(bind func(r *http.Request) (ChallengeRequest, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if !readOnly(w, r) {
			return
		}
		var q ChallengeRequest
		if bind != nil {
			var err error
			if q, err = bind(r); err != nil {
				problem(w, http.StatusBadRequest, "No challenge can be made for this request.")
				return
			}
		}
		c, err := p.Issue(r.Context(), q)
		if errors.Is(err, ErrData) {
			problem(w, http.StatusInternalServerError, "No challenge can be made.")
			return
		}
		if err != nil {
			h.Set("Retry-After", "5")
			problem(w, http.StatusServiceUnavailable, "No challenge can be made now. Try again later.")
			return
		}
		body, err := json.Marshal(c)
		if err != nil {
			problem(w, http.StatusInternalServerError, "No challenge can be made.")
			return
		}
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(body) // net/http drops the body of HEAD
	})
}

//go:embed static/captcha.js
var script string

// Script serves the browser script that solves proofs of work: one file without dependencies, which also is its own
// Web Worker. A page needs no inline code; its Content-Security-Policy needs script-src and worker-src for the
// script's origin, which must be the page's own (browsers start workers from there only), and connect-src for the
// challenge's. How a page uses it is described at the top of the file and in the package's documentation.
func Script() http.Handler {
	content := []byte(script)
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if !readOnly(w, r) {
			return
		}
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "captcha.js", time.Time{}, bytes.NewReader(content))
	})
}

// readOnly answers 405 to methods other than GET and HEAD.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", strings.Join([]string{http.MethodGet, http.MethodHead}, ", "))
	problem(w, http.StatusMethodNotAllowed, "Use GET.")
	return false
}

// problem answers with an RFC 9457 problem document.
func problem(w http.ResponseWriter, status int, detail string) {
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
	_, _ = w.Write(body)
}

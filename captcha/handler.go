package captcha

import (
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/vestibule-go/vestibule/internal/webanswer"
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
		if !webanswer.ReadOnly(w, r) {
			return
		}
		var q ChallengeRequest
		if bind != nil {
			var err error
			if q, err = bind(r); err != nil {
				webanswer.Problem(w, http.StatusBadRequest, "No challenge can be made for this request.")
				return
			}
		}
		c, err := p.Issue(r.Context(), q)
		if errors.Is(err, ErrData) {
			webanswer.Problem(w, http.StatusInternalServerError, "No challenge can be made.")
			return
		}
		if err != nil {
			h.Set("Retry-After", "5")
			webanswer.Problem(w, http.StatusServiceUnavailable, "No challenge can be made now. Try again later.")
			return
		}
		body, err := json.Marshal(c)
		if err != nil {
			webanswer.Problem(w, http.StatusInternalServerError, "No challenge can be made.")
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
	return webanswer.Script("captcha.js", script)
}

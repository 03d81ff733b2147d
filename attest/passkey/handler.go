package passkey

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Bind says whom a request's ceremony is bound to: tenant, session, flow and account, from what the host knows itself
// (its session), never from the request's body. An error is answered with 400 and not shown.
type Bind func(r *http.Request) (Scope, User, error)

// HandlerOptions of the handlers. The zero value and nil mean the defaults.
type HandlerOptions struct {
	// Done is called with what has passed before it is answered: to sign the user in, or to bind a new passkey. An error is
	// answered with 500, and not shown.
	Done func(r *http.Request, res *Result) error
	// SkipTicket answers without a ticket: for sites that do all in Done and judge no attempt by it.
	SkipTicket bool
	// OnError is told why a request was answered with 5xx; default nobody.
	OnError func(r *http.Request, err error)
	// CrossOrigin keeps other sites' pages out; default http.NewCrossOriginProtection().
	CrossOrigin *http.CrossOriginProtection
}

func (o *HandlerOptions) fill() HandlerOptions {
	var out HandlerOptions
	if o != nil {
		out = *o
	}
	if out.CrossOrigin == nil {
		out.CrossOrigin = http.NewCrossOriginProtection()
	}
	return out
}

// Finished is what the finish handler answers.
type Finished struct {
	Ceremony Ceremony `json:"ceremony"`
	// Ticket goes with the next attempt as Response.Ticket.
	Ticket string `json:"ticket,omitempty"`
}

// BeginHandler serves tasks of a ceremony, as JSON: POST without a body. Whoever may call it makes us keep a challenge:
// limit the rate.
func (v *Verifier) BeginHandler(c Ceremony, bind Bind, opts *HandlerOptions) (http.Handler, error) {
	if err := checkHandler(c, bind); err != nil {
		return nil, err
	}
	o := opts.fill()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !enter(w, r, &o) {
			return
		}
		s, u, err := bind(r)
		if err != nil {
			problem(w, http.StatusBadRequest, "No passkey can be asked for.")
			return
		}
		var task *Task
		if c == Registration {
			task, err = v.BeginRegistration(r.Context(), s, u)
		} else {
			task, err = v.BeginLogin(r.Context(), s)
		}
		if err != nil {
			o.fail(w, r, err)
			return
		}
		answer(w, task)
	}), nil
}

// FinishHandler verifies what browsers make of tasks: POST of PublicKeyCredential.toJSON(), answered with [Finished]. What
// is refused is answered with 422 and no reason: those are for logs (Result.Verdict). bind must say the same as at the
// beginning.
func (v *Verifier) FinishHandler(c Ceremony, bind Bind, opts *HandlerOptions) (http.Handler, error) {
	if err := checkHandler(c, bind); err != nil {
		return nil, err
	}
	o := opts.fill()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !enter(w, r, &o) {
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			problem(w, http.StatusUnsupportedMediaType, "Send JSON.")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(v.o.MaxBody)))
		if err != nil {
			status := http.StatusBadRequest
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				status = http.StatusRequestEntityTooLarge
			}
			problem(w, status, "The request could not be read.")
			return
		}
		s, _, err := bind(r)
		if err != nil {
			problem(w, http.StatusBadRequest, "No passkey was asked for.")
			return
		}
		var res *Result
		if c == Registration {
			res, err = v.FinishRegistration(r.Context(), s, body)
		} else {
			res, err = v.FinishLogin(r.Context(), s, body)
		}
		if err != nil {
			o.fail(w, r, err)
			return
		}
		if !res.Passed() {
			problem(w, http.StatusUnprocessableEntity, "The passkey was not accepted.")
			return
		}
		if o.Done != nil {
			if err := o.Done(r, res); err != nil {
				o.report(r, err)
				problem(w, http.StatusInternalServerError, "Something went wrong.")
				return
			}
		}
		out := Finished{Ceremony: c}
		if !o.SkipTicket {
			if out.Ticket, err = v.Ticket(r.Context(), s, res); err != nil {
				o.fail(w, r, err)
				return
			}
		}
		answer(w, out)
	}), nil
}

func checkHandler(c Ceremony, bind Bind) error {
	switch {
	case c != Registration && c != Login:
		return fmt.Errorf("passkey: no ceremony %.40q; Registration or Login", string(c))
	case bind == nil:
		return errors.New("passkey: bind must say whose ceremony a request is: without it anybody could finish anybody's")
	}
	return nil
}

func (o *HandlerOptions) report(r *http.Request, err error) {
	if o.OnError != nil {
		o.OnError(r, err)
	}
}

func (o *HandlerOptions) fail(w http.ResponseWriter, r *http.Request, err error) {
	o.report(r, err)
	if errors.Is(err, attest.ErrFull) || errors.Is(err, ErrFull) {
		w.Header().Set("Retry-After", "60")
	}
	problem(w, http.StatusServiceUnavailable, "Passkeys cannot be used now. Try again later.")
}

// enter lets in POSTs of our own pages.
func enter(w http.ResponseWriter, r *http.Request, o *HandlerOptions) bool {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		problem(w, http.StatusMethodNotAllowed, "Use POST.")
		return false
	}
	if o.CrossOrigin.Check(r) != nil {
		problem(w, http.StatusForbidden, "Not from another site.")
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem(w, http.StatusInternalServerError, "Something went wrong.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone
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

//go:embed static/passkey.js
var script string

// Script serves the browser script that runs tasks: one file without dependencies. A page needs no inline code; its
// Content-Security-Policy needs script-src for the script's origin and connect-src for the handlers'. How a page uses it
// is described at the top of the file.
func Script() http.Handler {
	content := []byte(script)
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			problem(w, http.StatusMethodNotAllowed, "Use GET.")
			return
		}
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "passkey.js", time.Time{}, bytes.NewReader(content))
	})
}

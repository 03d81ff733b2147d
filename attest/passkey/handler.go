package passkey

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/internal/webanswer"
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
			webanswer.Problem(w, http.StatusBadRequest, "No passkey can be asked for.")
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
			webanswer.Problem(w, http.StatusUnsupportedMediaType, "Send JSON.")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(v.o.MaxBody)))
		if err != nil {
			status := http.StatusBadRequest
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				status = http.StatusRequestEntityTooLarge
			}
			webanswer.Problem(w, status, "The request could not be read.")
			return
		}
		s, _, err := bind(r)
		if err != nil {
			webanswer.Problem(w, http.StatusBadRequest, "No passkey was asked for.")
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
			webanswer.Problem(w, http.StatusUnprocessableEntity, "The passkey was not accepted.")
			return
		}
		if o.Done != nil {
			if err := o.Done(r, res); err != nil {
				o.report(r, err)
				webanswer.Problem(w, http.StatusInternalServerError, "Something went wrong.")
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
	webanswer.Problem(w, http.StatusServiceUnavailable, "Passkeys cannot be used now. Try again later.")
}

// enter lets in POSTs of our own pages.
func enter(w http.ResponseWriter, r *http.Request, o *HandlerOptions) bool {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if !webanswer.Posted(w, r) {
		return false
	}
	if o.CrossOrigin.Check(r) != nil {
		webanswer.Problem(w, http.StatusForbidden, "Not from another site.")
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		webanswer.Problem(w, http.StatusInternalServerError, "Something went wrong.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone
}

//go:embed static/passkey.js
var script string

// Script serves the browser script that runs tasks: one file without dependencies. A page needs no inline code; its
// Content-Security-Policy needs script-src for the script's origin and connect-src for the handlers'. How a page uses it
// is described at the top of the file.
func Script() http.Handler {
	return webanswer.Script("passkey.js", script)
}

package riskhttp

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// PhoneVerifier sends one-time codes and checks them. The signal of package phone is one.
type PhoneVerifier interface {
	// StartCode sends a code to the attempt's number for its flow, by a call if voice. readable is false for what is no
	// phone number; else the visitor is told the same whatever became of it, and retry is when asking again may help.
	// request is the client's name for this request, so that a repeated one sends nothing, or "".
	StartCode(ctx context.Context, a *risk.Attempt, voice bool, request string) (readable bool, retry time.Duration, err error)
	// CheckCode checks a code, and records success under flow and number, where its signal finds it at the next Assess.
	// failed: the code was compared and wrong. locked: asking again now does not help.
	CheckCode(ctx context.Context, a *risk.Attempt, code string) (right, failed, locked bool, err error)
}

// PhoneOptions of the phone handlers. The zero value and nil mean the defaults.
type PhoneOptions struct {
	// OnWrong is told of each wrong code, to charge it as a failure: ratelimit's Signal.Report does. It must not block
	// for long. Its error goes to Options.OnError and changes nothing. Default: nobody is told.
	OnWrong func(ctx context.Context, a *risk.Attempt) error
	// First are proofs that must have been given before a message is sent, where the flow asks for them: what costs
	// nothing comes before what costs money. Default: risk.ProofHuman; an empty list that is not nil: none.
	First []risk.Proof
	// Timeout bounds sending and checking; default 15 s.
	Timeout time.Duration
}

func (o *PhoneOptions) orDefault() PhoneOptions {
	var out PhoneOptions
	if o != nil {
		out = *o
	}
	if out.First == nil {
		out.First = []risk.Proof{risk.ProofHuman}
	}
	if out.Timeout <= 0 {
		out.Timeout = 15 * time.Second
	}
	return out
}

// Problems of the phone handlers.
const (
	ProblemNumber = "number" // 422: what was sent is no phone number
)

// PhoneSent is what the start handler answers with 202, whether or not anything was sent.
type PhoneSent struct {
	RetryAfter int `json:"retry_after"` // seconds until asking again may help
}

// PhoneChecked is what the check handler answers: "ok" with 200, "wrong" with 422, "locked" with 429.
type PhoneChecked struct {
	Result string `json:"result"`
}

// phoneBody is what clients send, as JSON or as a form of the same names.
type phoneBody struct {
	Phone   string `json:"phone"`
	Code    string `json:"code"`
	Channel string `json:"channel"`
	Request string `json:"request"`
	Flow    string `json:"flow"`
}

// PhoneStartHandler sends a code: POST with the field "phone", optionally "channel" ("voice") and "request" (the
// client's own name for this request), as a form or JSON object, and the flow as elsewhere or in the field "flow". It
// works only in a flow whose challenge asks for the phone ([risk.Engine.Pending]); others are answered like unknown
// flows. A pending voice proof makes it a call, whatever the client asks for. While a proof of [PhoneOptions].First is
// missing, the answer is a challenge for that.
//
// The answer is 202 with [PhoneSent] whether a message was sent, refused or limited: who asks learns nothing about the
// number. What is no phone number is 422, an outage 503.
func (g *Guard) PhoneStartHandler(event risk.Event, v PhoneVerifier, opts *PhoneOptions) http.Handler {
	o := opts.orDefault()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, body, pending := g.enterPhone(w, r, event)
		if a == nil {
			return
		}
		if first := slices.DeleteFunc(slices.Clone(pending), func(p risk.Proof) bool { return !slices.Contains(o.First, p) }); len(first) > 0 {
			p := g.plain(ProblemChallenge, http.StatusForbidden)
			p.Require, p.Flow = first, a.Flow
			g.refuse(w, r, p)
			return
		}
		voice := body.Channel == "voice" || slices.Contains(pending, risk.ProofVoice)
		request := body.Request
		if len(request) > maxFlow {
			request = ""
		}
		ctx, cancel := context.WithTimeout(r.Context(), o.Timeout)
		defer cancel()
		readable, retry, err := v.StartCode(ctx, a, voice, request)
		switch {
		case err != nil:
			g.report(r, err)
			g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
		case !readable:
			p := g.plain(ProblemNumber, http.StatusUnprocessableEntity)
			p.Title, p.Detail = "Not a phone number", "Please enter the number with + and the country code."
			g.refuse(w, r, p)
		default:
			writePhone(w, r, http.StatusAccepted, PhoneSent{g.retrySeconds(retry)})
		}
	})
}

// PhoneCheckHandler checks a code: POST with the fields "phone" and "code", and the flow, as for
// [Guard.PhoneStartHandler]. A right code is recorded under flow and number: the client then sends its request again
// with the flow. A wrong one, one that has expired, and one that was never sent are all answered alike.
func (g *Guard) PhoneCheckHandler(event risk.Event, v PhoneVerifier, opts *PhoneOptions) http.Handler {
	o := opts.orDefault()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, body, _ := g.enterPhone(w, r, event)
		if a == nil {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), o.Timeout)
		defer cancel()
		right, failed, locked, err := v.CheckCode(ctx, a, body.Code)
		if err != nil {
			g.report(r, err)
			g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
			return
		}
		if failed && o.OnWrong != nil {
			if err := o.OnWrong(context.WithoutCancel(ctx), a); err != nil {
				g.report(r, err)
			}
		}
		switch {
		case right:
			writePhone(w, r, http.StatusOK, PhoneChecked{"ok"})
		case locked:
			writePhone(w, r, http.StatusTooManyRequests, PhoneChecked{"locked"})
		default:
			writePhone(w, r, http.StatusUnprocessableEntity, PhoneChecked{"wrong"})
		}
	})
}

// enterPhone lets a request in whose flow asks for the phone. It answers and returns nil otherwise.
func (g *Guard) enterPhone(w http.ResponseWriter, r *http.Request, event risk.Event) (*risk.Attempt, *phoneBody, []risk.Proof) {
	body, err := readPhoneBody(r)
	a := g.enter(w, r, event, http.MethodPost)
	if a == nil {
		return nil, nil, nil
	}
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge(err) {
			status = http.StatusRequestEntityTooLarge
		}
		g.refuse(w, r, g.plain(ProblemRequest, status))
		return nil, nil, nil
	}
	if body.Phone == "" && r.PostForm != nil {
		f := r.PostForm
		body = phoneBody{Phone: f.Get("phone"), Code: f.Get("code"), Channel: f.Get("channel"), Request: f.Get("request")}
	}
	if a.Flow == "" && len(body.Flow) <= maxFlow {
		a.Flow = body.Flow
	}
	a.Phone = risk.Private(body.Phone)
	var pending []risk.Proof
	if a.Flow != "" {
		ctx, cancel := context.WithTimeout(r.Context(), g.o.Timeout)
		pending, err = g.engine.Pending(ctx, a)
		cancel()
	}
	switch {
	case err != nil:
		g.report(r, err)
		g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
		return nil, nil, nil
	case !slices.Contains(pending, risk.ProofPhone) && !slices.Contains(pending, risk.ProofVoice):
		g.refuse(w, r, g.plain(ProblemFlow, http.StatusNotFound))
		return nil, nil, nil
	}
	return a, &body, pending
}

// readPhoneBody reads a JSON object of at most 4 KiB; forms are left to enter.
func readPhoneBody(r *http.Request) (phoneBody, error) {
	const most = 4 << 10
	var b phoneBody
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" || r.Method != http.MethodPost {
		return b, nil
	}
	raw, err := ReadBody(r, most)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return phoneBody{}, errPhoneBody // the decoder's own error may repeat what was sent
	}
	return b, nil
}

var errPhoneBody = errors.New("riskhttp: the body is no JSON object of texts")

func writePhone(w http.ResponseWriter, r *http.Request, status int, v any) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/json")
	body, _ := json.Marshal(v) // numbers and fixed texts: cannot fail
	send(w, r, status, append(body, '\n'))
}

package captcha

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// exchange is one question to a provider: what is sent, and how an answer is read. read gets answers of any status.
type exchange struct {
	token string // what the answer is remembered by
	send  jsonhttp.Request
	read  func(resp *jsonhttp.Response) Result
	retry bool // the request may be sent twice: it carries an idempotency key
	fold  bool // actions are compared without regard to case
	acts  bool // the provider reports actions
}

// begin makes the result of an answer and refuses those that cannot be one.
func (r *remote) begin(token string) (Result, bool) {
	res := Result{Provider: r.name}
	switch {
	case token == "":
		return res.refused(ReasonMissing), false
	case !printable(token, r.maxToken):
		return res.refused(ReasonMalformed), false
	}
	res.ReplayKey = TokenKey(r.name, token)
	return res, true
}

// ask sends x and judges the answer.
func (r *remote) ask(ctx context.Context, in *Request, x exchange) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	var res Result
	var failure *Error
	if x.retry {
		// Half of the time is kept for the second try.
		first, stop := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			first, stop = context.WithTimeout(ctx, time.Until(deadline)/2)
		}
		res, failure = r.once(first, x)
		stop()
		if failure != nil && retryable(failure.Reason) && ctx.Err() == nil {
			res, failure = r.once(ctx, x)
		}
	} else {
		res, failure = r.once(ctx, x)
	}
	res.Provider = r.name
	if x.token != "" {
		res.ReplayKey = TokenKey(r.name, x.token)
	}
	if failure != nil {
		return res, failure
	}
	if res.Outcome == Passed {
		if why := r.bound(&res, &in.Expect, x); why != ReasonOK {
			res.Reason, res.Fault = why, why.fault()
			res.Outcome = Failed
			if res.Fault == FaultProvider {
				res.Outcome = Unverified
				return res, r.fail(why, http.StatusOK, true, 0, nil)
			}
		}
	}
	return res, nil
}

func retryable(why Reason) bool {
	return why == ReasonProvider || why == ReasonTimeout || why == ReasonNetwork || why == ReasonResponse
}

// once sends x once.
func (r *remote) once(ctx context.Context, x exchange) (Result, *Error) {
	resp, err := r.client.Do(ctx, x.send)
	if err != nil {
		e, ok := errors.AsType[*jsonhttp.Error](err)
		if !ok {
			e = &jsonhttp.Error{Kind: jsonhttp.Network, Sent: true}
		}
		why := ReasonNetwork
		switch e.Kind {
		case jsonhttp.Timeout:
			why = ReasonTimeout
		case jsonhttp.Canceled:
			why = ReasonCanceled
		case jsonhttp.TooLarge:
			why = ReasonResponse
		case jsonhttp.BadRequest:
			why = ReasonRequest
		}
		return unverified(why), r.fail(why, e.Status, e.Sent, 0, e)
	}
	res := x.read(resp)
	res.Codes = keep(res.Codes)
	if res.Outcome == Unverified {
		wait := jsonhttp.RetryAfter(resp.Header, r.opts.Now())
		return res, r.fail(res.Reason, resp.Status, true, wait, nil)
	}
	return res, nil
}

func (r *remote) fail(why Reason, status int, sent bool, wait time.Duration, cause error) *Error {
	f := why.fault()
	return &Error{
		Provider: r.name, Fault: f, Reason: why, Sent: sent, Status: status, Retryable: f == FaultProvider, RetryAfter: wait, Err: cause,
	}
}

// address is an address as providers take it; "" for none.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

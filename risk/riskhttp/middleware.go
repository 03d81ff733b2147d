package riskhttp

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/vestibule-go/vestibule/risk"
)

// MiddlewareOptions of one guarded handler. The zero value and nil mean the defaults.
type MiddlewareOptions struct {
	// Enrich adds what stands in the body; see [JSON] and [Form]. Default: nothing. A flow or a list of proofs the
	// client cannot give is looked for in the form again after it.
	Enrich Enricher
	// IssueSession gives visitors without a session one (see [Guard.Session]) and uses it for the attempt.
	IssueSession bool
	// Through lists actions beside Allow for which the handler runs: Delay and Review, for handlers that keep what
	// was asked and look at [From]. Other actions in it are ignored. Default: none.
	Through []risk.Action
	// Outcome says what a status means; default [OutcomeOf]. Zero: nothing is settled.
	Outcome func(r *http.Request, status int) risk.Outcome
}

// Middleware assesses every request to the next handler before it runs: whatever its method, so put it behind a
// pattern with one ("POST /signup"). An attempt that may not go on is answered. Else the handler runs, finds the
// assessment with [From], and the attempt is settled when it returns: by [SetOutcome], or by the status it wrote,
// unless the handler has settled it with the engine itself. A panic counts as 500, whatever was written, and goes on.
// The settlement is made before the response ends, outlives the client, and has Options.Timeout.
//
// The ResponseWriter handed on supports [http.ResponseController] through Unwrap, flushing, hijacking and ReadFrom. A
// hijacked connection whose handler returns counts as 200.
func (g *Guard) Middleware(event risk.Event, opts *MiddlewareOptions) func(http.Handler) http.Handler {
	var o MiddlewareOptions
	if opts != nil {
		o = *opts
	}
	o.Through = slices.DeleteFunc(slices.Clone(o.Through), func(a risk.Action) bool {
		return a != risk.Delay && a != risk.Review
	})
	if o.Outcome == nil {
		o.Outcome = OutcomeOf
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.guard(w, r, event, &o, next) })
	}
}

func (g *Guard) guard(w http.ResponseWriter, r *http.Request, event risk.Event, o *MiddlewareOptions, next http.Handler) {
	a := g.Attempt(r, event)
	if o.IssueSession && a.Session == "" {
		a.Session = g.Session(w, r)
	}
	if o.Enrich != nil {
		if err := o.Enrich(r, a); err != nil {
			g.report(r, err)
			status := http.StatusBadRequest
			if tooLarge(err) {
				status = http.StatusRequestEntityTooLarge
			}
			g.refuse(w, r, g.plain(ProblemRequest, status))
			return
		}
		if a.Flow == "" {
			a.Flow = g.readFlow(r)
		}
		if a.Cannot == nil {
			a.Cannot = g.readCannot(r)
		}
	}
	s := g.engine.Assess(r.Context(), a)
	if s == nil || (!s.Allowed() && !slices.Contains(o.Through, s.Action)) {
		g.Answer(w, r, s)
		return
	}
	if s.Allowed() {
		g.ClearFlow(w, r)
	}
	run := &guarded{assessment: s}
	g.run(&writer{ResponseWriter: w}, r.WithContext(context.WithValue(r.Context(), guardedKey{}, run)), run, o, next)
}

// run calls the handler and settles. There is no recover: a panic goes on with the stack it had.
func (g *Guard) run(w *writer, r *http.Request, run *guarded, o *MiddlewareOptions, next http.Handler) {
	returned := false
	defer func() {
		outcome := risk.Outcome(run.outcome.Load())
		if outcome == 0 {
			status := http.StatusInternalServerError
			if returned {
				status = w.status()
			}
			outcome = o.Outcome(r, status)
		}
		g.settle(r, run.assessment, outcome)
	}()
	next.ServeHTTP(w, r)
	returned = true
}

func (g *Guard) settle(r *http.Request, s *risk.Assessment, outcome risk.Outcome) {
	if !settles(outcome) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.o.Timeout)
	defer cancel()
	if err := g.engine.Settle(ctx, s, outcome); err != nil && !errors.Is(err, risk.ErrSettled) {
		g.report(r, err)
	}
}

// OutcomeOf is what a status says became of the attempt:
//
//	101, 2xx, 3xx, none written   Completed
//	408, 425, 429                 0: neither side is to blame, nothing is settled
//	other 4xx                     Refused: a wrong password (401), a name taken (409, 422); never a refund, for
//	                              visitors can cause any of them at will
//	5xx                           Undone: refunds, and the flow opens once more; 0 if the client has hung up, for
//	                              that makes handlers fail at the visitor's will
//
// A handler that says otherwise than by its status (a login page that shows "wrong password" with 200) calls
// [SetOutcome].
func OutcomeOf(r *http.Request, status int) risk.Outcome {
	switch {
	case status >= 500:
		if r.Context().Err() != nil {
			return 0
		}
		return risk.Undone
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return 0
	case status >= 400:
		return risk.Refused
	}
	return risk.Completed
}

func settles(o risk.Outcome) bool {
	return o == risk.Completed || o == risk.Refused || o == risk.Undone
}

// guarded is what the middleware keeps in a request's context.
type guarded struct {
	assessment *risk.Assessment
	outcome    atomic.Uint32
}

type guardedKey struct{}

// From returns the assessment the middleware made of the request, or nil outside one.
func From(ctx context.Context) *risk.Assessment {
	if run, ok := ctx.Value(guardedKey{}).(*guarded); ok {
		return run.assessment
	}
	return nil
}

// SetOutcome says what became of the attempt, instead of the status: Completed, Refused or Undone; the last call
// counts. It reports false, and does nothing, for other outcomes and outside the middleware. It is safe for concurrent
// use while the handler runs.
func SetOutcome(ctx context.Context, o risk.Outcome) bool {
	run, ok := ctx.Value(guardedKey{}).(*guarded)
	if !ok || !settles(o) {
		return false
	}
	run.outcome.Store(uint32(o))
	return true
}

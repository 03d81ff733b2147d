package risk

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// gate bounds how many calls of one outside party (a store, a sink, a settler) may hang at once.
type gate struct {
	inline  bool // it answers from memory: called on the caller's goroutine
	overdue atomic.Int32
}

var errHanging = errors.New("risk: earlier calls still hang")

// bounded calls f with a deadline and returns by then, whether f has or not. A panic of f is an error.
func bounded[T any](g *gate, ctx context.Context, timeout time.Duration, f func(ctx context.Context) (T, error)) (T, error) {
	if timeout <= 0 {
		var none T
		return none, context.DeadlineExceeded
	}
	return patient(g, ctx, timeout, timeout, f)
}

// patient calls f, which may run for as long as timeout, and waits for it as long as wait, which may be no time at all:
// for what must happen even when nobody can wait for it.
func patient[T any](g *gate, ctx context.Context, wait, timeout time.Duration, f func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if g.inline {
		return survive(ctx, f)
	}
	if g.overdue.Load() >= mostOverdue {
		return none, errHanging
	}
	type answer struct {
		v   T
		err error
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	done := make(chan answer, 1)
	var claim atomic.Uint32
	go func() {
		defer cancel()
		a := answer{err: errGoexit}
		defer func() {
			if claim.CompareAndSwap(callRunning, callAnswered) {
				done <- a
				return
			}
			g.overdue.Add(-1)
		}()
		a.v, a.err = survive(ctx, f)
	}()
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	select {
	case a := <-done:
		return a.v, a.err
	case <-timer.C:
		if claim.CompareAndSwap(callRunning, callAbandoned) {
			g.overdue.Add(1)
			return none, context.DeadlineExceeded
		}
		a := <-done
		return a.v, a.err
	}
}

// survive turns a panic of f into an error.
func survive[T any](ctx context.Context, f func(ctx context.Context) (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return f(ctx)
}

package risk

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// gate bounds how many calls of one outside party (a store, a sink, a settler) may hang at once.
type gate struct{ overdue atomic.Int32 }

var errHanging = errors.New("risk: earlier calls still hang")

// bounded calls f with a deadline and returns by then, whether f has or not. A panic of f is an error.
func bounded[T any](g *gate, ctx context.Context, timeout time.Duration, f func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if timeout <= 0 {
		return none, context.DeadlineExceeded
	}
	if g.overdue.Load() >= mostOverdue {
		return none, errHanging
	}
	type answer struct {
		v   T
		err error
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan answer, 1)
	var claim atomic.Uint32
	go func() {
		var a answer
		returned := false
		defer func() {
			if !returned {
				a = answer{err: panicked(recover())}
			}
			if claim.CompareAndSwap(callRunning, callAnswered) {
				done <- a
				return
			}
			g.overdue.Add(-1)
		}()
		a.v, a.err = f(ctx)
		returned = true
	}()
	select {
	case a := <-done:
		return a.v, a.err
	case <-ctx.Done():
		if claim.CompareAndSwap(callRunning, callAbandoned) {
			g.overdue.Add(1)
			return none, ctx.Err()
		}
		a := <-done
		return a.v, a.err
	}
}

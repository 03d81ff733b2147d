package risktest

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// cancelled makes a context that has ended.
func cancelled() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// contexts tries contexts that have ended or end soon.
func (c *conformer) contexts() {
	if c.desc.Cost == risk.Local {
		return
	}
	for _, p := range c.given {
		a := risk.Rehearse(p.attempt, c.desc.Proofs, true, nil)
		if c.callIn(cancelled, p.label+", context cancelled", a); c.stuck {
			return
		}
		for _, left := range []time.Duration{0, time.Millisecond} {
			c.callIn(func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(context.Background(), left)
			}, fmt.Sprintf("%s, %v left", p.label, left), a)
			if c.stuck {
				return
			}
		}
	}
}

// prompt checks that what runs on the caller's goroutine is quick and does not wait.
func (c *conformer) prompt() {
	_, applier := unwrapped[risk.Applier](c.signal)
	for _, p := range c.given {
		a := risk.Rehearse(p.attempt, c.desc.Proofs, true, nil)
		if applier {
			if m := median(func() { _, _ = applies(c.signal, a) }); m > LocalMedian {
				c.fault("on %s: Applies takes %v in the median, at most %v", p.label, m, LocalMedian)
			}
		}
		if c.desc.Cost != risk.Local {
			continue
		}
		ctx, cancel := c.context()
		defer cancel()
		if ok, err := applies(c.signal, a); !ok || err != nil {
			continue
		}
		if m := median(func() { ask(ctx, c.signal, a, 0) }); m > LocalMedian {
			c.fault("on %s: a Local signal takes %v in the median, at most %v", p.label, m, LocalMedian)
		}
		if state := c.blocks(ctx, a); state != "" {
			c.fault("on %s: a Local signal blocks (%s): declare it Stored or Remote", p.label, state)
		}
	}
}

// median is the best of up to three medians: a busy machine only ever makes them longer.
func median(f func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range 3 {
		var took [31]time.Duration
		for i := range took {
			begun := time.Now()
			f()
			took[i] = time.Since(begun)
		}
		slices.Sort(took[:])
		if best = min(best, took[len(took)/2]); best <= LocalMedian {
			break
		}
	}
	return best
}

// blocks looks at the goroutine of a call and returns what it waits for, when it is seen waiting in two calls of three.
func (c *conformer) blocks(ctx context.Context, a *risk.Attempt) string {
	seen, state := 0, ""
	for range 3 {
		watch, done := make(chan uint64, 1), make(chan struct{})
		go func() {
			defer close(done)
			askWatched(ctx, c.signal, a, 0, watch)
		}()
		id, begun := <-watch, time.Now()
	look:
		for {
			select {
			case <-done:
				break look
			default:
				runtime.Gosched()
			}
			// Timers are too coarse to look at what takes a millisecond.
			if took := time.Since(begun); took < 50*time.Microsecond {
				continue
			} else if took > 10*time.Millisecond {
				time.Sleep(time.Millisecond)
			}
			if s := blockedIn(id); s != "" {
				state = s
				seen++
				break
			}
		}
		<-done
	}
	if seen < 2 {
		return ""
	}
	return state
}

// asks checks what clients are asked for.
func (c *conformer) asks() {
	asker, ok := unwrapped[risk.Asker](c.signal)
	if !ok {
		return
	}
	for _, p := range c.given {
		for _, proof := range c.desc.Proofs {
			c.askClient(asker, p, proof)
		}
	}
}

// concurrent asks from several goroutines at once.
func (c *conformer) concurrent() {
	const callers, rounds = 8, 4
	if c.writes {
		return
	}
	var all []*risk.Attempt
	for _, p := range c.given {
		all = append(all, c.told(p.attempt)...)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards c
	for range callers {
		wg.Go(func() {
			for range rounds {
				for _, a := range all {
					own := *a
					if ok, err := applies(c.signal, &own); !ok || err != nil {
						continue
					}
					ctx, cancel := c.context()
					out := ask(ctx, c.signal, &own, timeoutOf(c.desc)+10*time.Second)
					cancel()
					mu.Lock()
					c.together(out)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

func (c *conformer) together(out answer) {
	switch {
	case out.hung:
		c.fault("with several callers at once: Evaluate does not return")
		c.stuck = true
	case out.cause == risk.CausePanic:
		c.fault("with several callers at once: %w", out.err)
	case out.err == nil:
		if err := check(c.desc, out.finding); err != nil {
			c.fault("with several callers at once: it %w", err)
		}
	}
}

// leaks checks that goroutines do not add up. A few that stay, as those of a connection, are none.
func (c *conformer) leaks() {
	const calls = 16
	a := c.told(c.given[0].attempt)
	run := func() {
		for i := range calls {
			ctx, cancel := c.context()
			own := *a[i%len(a)]
			if ok, err := applies(c.signal, &own); ok && err == nil {
				ask(ctx, c.signal, &own, timeoutOf(c.desc)+10*time.Second)
			}
			cancel()
		}
	}
	labelled(c.id, run)
	before := settledCount(c.id, 0)
	labelled(c.id, run)
	if after := settledCount(c.id, before+calls/4); after > before+calls/4 {
		c.fault("%d calls leave %d goroutines behind", calls, after-before)
	}
}

package risk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// mostOverdue is how many calls of one signal may have missed their deadline and still run before it errs at once.
const mostOverdue = 16

// call is one Evaluate beside the caller's goroutine. A call that misses its deadline keeps it for as long as it runs:
// nothing in it is pooled or shared.
type call struct {
	attempt Attempt
	state   attemptState
	finding Finding
	signal  int
	timeout time.Duration
	class   *class
	cause   Cause
	err     error
	took    time.Duration
	claim   atomic.Uint32
}

// class is the calls that have the same timeout.
type class struct {
	ctx     context.Context
	running atomic.Int32
	done    chan struct{} // closed when all have answered
}

// The states of a call's claim. Whoever moves it from running decides whether the answer counts.
const (
	callRunning = iota
	callAnswered
	callAbandoned
)

// panicError says that a signal panicked. The value is not kept: it may hold the visitor's data.
type panicError struct{ kind string }

func (e *panicError) Error() string { return "panicked with " + e.kind }

var errGoexit = errors.New("ended its goroutine")

func panicked(p any) error {
	if p == nil {
		return errGoexit
	}
	return &panicError{fmt.Sprintf("%T", p)}
}

// inline asks a signal on the caller's goroutine.
func (r *run) inline(s int) {
	e := &r.c.catalog.signals[s]
	f := &r.b.findings[s]
	if f.used() {
		*f = Finding{} // asked in an earlier round
	}
	cause, err := evaluate(r.base, e.signal, r.lend(e), f)
	took := time.Since(r.start)
	r.out.Timings = append(r.out.Timings, Timing{e.desc.Name, took - r.clock})
	r.clock = took
	r.accept(s, f, err, cause)
}

// evaluate calls a signal and survives its panics.
func evaluate(ctx context.Context, s Signal, a *Attempt, f *Finding) (cause Cause, err error) {
	defer func() {
		if p := recover(); p != nil {
			cause, err = CausePanic, panicked(p)
		}
	}()
	return "", s.Evaluate(ctx, a, f)
}

// lend returns the attempt as an inline signal may see it: a copy of its own, which it may write to.
func (r *run) lend(e *signalEntry) *Attempt {
	r.scratch = *r.attempt
	r.scratch.state = r.stateFor(e, &r.scratchState)
	return &r.scratch
}

// stateFor is what a signal may know of the assessment.
func (r *run) stateFor(e *signalEntry, space *attemptState) *attemptState {
	if len(e.needs) == 0 && len(r.asked) == 0 && !r.continued {
		return nil
	}
	*space = attemptState{asked: r.asked, continued: r.continued}
	for _, i := range e.needs {
		if v := r.b.facts[i]; v.kind != 0 {
			space.facts = append(space.facts, Fact{r.c.catalog.facts[i].full, v})
		}
	}
	return space
}

// together asks signals concurrently, each within its timeout and all within the budget.
func (r *run) together(signals []int) {
	calls := make([]call, 0, len(signals)) // never grows: calls are pointed to
	var space [4]time.Duration
	timeouts := space[:0]
	left := time.Until(r.asking)
	for _, s := range signals {
		e := &r.c.catalog.signals[s]
		switch {
		case r.e.overdue[s].Load() >= mostOverdue:
			r.accept(s, nil, errors.New("earlier calls still hang"), CauseOverdue)
			continue
		case left <= 0:
			r.accept(s, nil, context.DeadlineExceeded, CauseNotReady)
			continue
		}
		calls = calls[:len(calls)+1]
		c := &calls[len(calls)-1]
		c.signal, c.attempt = s, *r.attempt
		c.attempt.state = r.stateFor(e, &c.state)
		c.timeout = min(e.timeout, left)
		if !slices.Contains(timeouts, c.timeout) {
			timeouts = append(timeouts, c.timeout)
		}
	}
	if len(calls) == 0 {
		return
	}
	r.launch(calls, timeouts)
	for i := range calls {
		c := &calls[i]
		name := r.c.catalog.signals[c.signal].desc.Name
		if c.claim.Load() == callAnswered {
			r.out.Timings = append(r.out.Timings, Timing{name, c.took})
			r.accept(c.signal, &c.finding, c.err, c.cause)
			continue
		}
		r.out.Timings = append(r.out.Timings, Timing{name, c.timeout})
		r.accept(c.signal, nil, context.DeadlineExceeded, CauseTimeout)
	}
	r.clock = time.Since(r.start)
}

// launch runs the calls and returns when each has answered or missed its deadline.
func (r *run) launch(calls []call, timeouts []time.Duration) {
	slices.Sort(timeouts)
	classes := make([]class, len(timeouts))
	for i, t := range timeouts {
		ctx, cancel := context.WithTimeout(r.base, t)
		defer cancel()
		classes[i].ctx, classes[i].done = ctx, make(chan struct{})
	}
	for i := range calls {
		c := &calls[i]
		at, _ := slices.BinarySearch(timeouts, c.timeout)
		c.class = &classes[at]
		c.class.running.Add(1)
	}
	for i := range calls {
		go r.e.call(&calls[i])
	}
	for i := range classes {
		g := &classes[i]
		select {
		case <-g.done:
		case <-g.ctx.Done():
			for i := range calls {
				if c := &calls[i]; c.class == g && c.claim.CompareAndSwap(callRunning, callAbandoned) {
					r.e.overdue[c.signal].Add(1)
				}
			}
		}
	}
}

// call runs one Evaluate on a goroutine of its own.
func (e *Engine) call(c *call) {
	begun := time.Now()
	returned := false
	defer func() {
		if !returned {
			c.err, c.cause = panicked(recover()), CausePanic
		}
		c.took = time.Since(begun)
		if c.claim.CompareAndSwap(callRunning, callAnswered) {
			if c.class.running.Add(-1) == 0 {
				close(c.class.done)
			}
			return
		}
		e.overdue[c.signal].Add(-1)
		e.hooks.late(e.catalog.signals[c.signal].desc.Name, c.took)
	}()
	c.err = e.catalog.signals[c.signal].signal.Evaluate(c.class.ctx, &c.attempt, &c.finding)
	returned = true
}

// accept takes what a signal said, or that it could not tell.
func (r *run) accept(s int, f *Finding, err error, cause Cause) {
	r.b.open.unset(s)
	if err == nil {
		if err = r.hear(&r.c.catalog.signals[s], f); err != nil {
			cause = CauseInvalid
		}
	}
	if err != nil {
		r.fail(s, err, cause)
		return
	}
	r.findings[s] = f
}

// fail notes that a signal could not tell.
func (r *run) fail(s int, err error, cause Cause) {
	if cause == "" {
		cause = CauseError
		if errors.Is(err, context.DeadlineExceeded) {
			cause = CauseTimeout
		}
	}
	r.b.open.unset(s)
	r.b.erring.set(s)
	r.out.Degraded = true
	se := SignalError{Signal: r.c.catalog.signals[s].desc.Name, Cause: cause, Err: err}
	r.out.Errors = append(r.out.Errors, se)
	r.e.hooks.signalError(se)
}

// hear holds a finding against the signal's declaration and brings it to the bench. Nothing counts of a finding that
// says something undeclared.
func (r *run) hear(e *signalEntry, f *Finding) error {
	c := r.c.catalog
	if f.onlyOne() {
		o := &f.obs[0]
		if code, ok := c.codeOf(e, o.Code); ok && o.Degree > 0 && o.Degree <= 1 {
			r.note(code, o.Degree)
			return nil
		}
	}
	var space [8]int
	found, err := c.check(e, f, space[:0])
	if err != nil {
		return err
	}
	for i := range f.observed() {
		r.note(found[i], f.observation(i).Degree)
	}
	for i := range f.factCount() {
		v := f.factAt(i)
		j, _ := c.factOf(e, v.Name)
		r.b.learn(j, v.Value)
	}
	if len(f.proofs) > 0 {
		r.given |= c.bits(f.proofs)
	}
	if f.retry.After(r.retry) {
		r.retry = f.retry
	}
	return nil
}

// note brings a code to the bench as said in this attempt.
func (r *run) note(code int, degree float64) {
	r.b.observe(r.c, code, degree)
	r.b.kept.unset(r.c.card.codeItem[code])
}

// codeOf finds a code of a signal by its name, with or without the signal's.
func (c *catalog) codeOf(e *signalEntry, name string) (int, bool) {
	for _, i := range e.codes {
		if c.codes[i].Name == name {
			return i, true
		}
	}
	if short, ok := strings.CutPrefix(name, e.desc.Name+"."); ok {
		for _, i := range e.codes {
			if c.codes[i].Name == short {
				return i, true
			}
		}
	}
	return 0, false
}

// factOf finds a fact of a signal by its name, with or without the signal's.
func (c *catalog) factOf(e *signalEntry, name string) (int, bool) {
	for _, i := range e.facts {
		if c.facts[i].name == name {
			return i, true
		}
	}
	if short, ok := strings.CutPrefix(name, e.desc.Name+"."); ok {
		for _, i := range e.facts {
			if c.facts[i].name == short {
				return i, true
			}
		}
	}
	return 0, false
}

// check holds a finding against the signal's declaration and appends the codes it names to found.
func (c *catalog) check(e *signalEntry, f *Finding, found []int) ([]int, error) {
	for i := range f.observed() {
		o := f.observation(i)
		code, ok := c.codeOf(e, o.Code)
		if !ok {
			return nil, fmt.Errorf("code %q is not declared", clip(o.Code))
		}
		if !(o.Degree > 0 && o.Degree <= 1) {
			return nil, fmt.Errorf("code %s: degree outside (0,1]", clip(o.Code))
		}
		found = append(found, code)
	}
	for i := range f.factCount() {
		v := f.factAt(i)
		fact, ok := c.factOf(e, v.Name)
		switch {
		case !ok:
			return nil, fmt.Errorf("fact %q is not declared", clip(v.Name))
		case c.facts[fact].kind != v.Value.kind:
			return nil, fmt.Errorf("fact %s: wrong kind", clip(v.Name))
		case !isFinite(v.Value.num):
			return nil, fmt.Errorf("fact %s: not a finite number", clip(v.Name))
		}
	}
	for _, p := range f.proofs {
		if e.proofs&c.bit(p) == 0 {
			return nil, fmt.Errorf("proof %q is not declared", clip(string(p)))
		}
	}
	if !f.retry.IsZero() && e.desc.Cost != Local && !e.desc.Counts {
		return nil, errors.New("only Local and counting signals may call Retry")
	}
	if len(f.receipt) > mostReceipt {
		return nil, fmt.Errorf("receipt over %d bytes", mostReceipt)
	}
	return found, nil
}

package risktest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// ErrFailing is what [Failing] returns when it is given no error.
var ErrFailing = errors.New("risktest: failing on purpose")

// Options describe a signal of this package. nil means the defaults.
type Options struct {
	// Cost defaults to Local for Fixed, to Remote for all others.
	Cost risk.Cost
	// Counts says that asking counts.
	Counts bool
	// OnError defaults to FailReview.
	OnError risk.FailMode
	// Codes, Facts, Needs, Proofs and Collects are declared. Fixed, Slow and Late also declare what they say and is not
	// listed here: codes with 0 points.
	Codes    []risk.Code
	Facts    []risk.FactType
	Needs    []string
	Proofs   []risk.Proof
	Collects []risk.Datum
	// Timeout bounds one Evaluate; default the engine's, by cost.
	Timeout time.Duration
	// Sleep is how Slow passes its time: it returns nil after d, or early with the context's error. Default: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Saying is what a signal of this package says. The zero value says nothing.
type Saying struct {
	Codes   []risk.Observation
	Facts   []risk.Fact
	Proofs  []risk.Proof
	Retry   time.Time
	Receipt string
}

// Say is a Saying of codes at full points.
func Say(codes ...string) Saying {
	var s Saying
	for _, c := range codes {
		s.Codes = append(s.Codes, risk.Observation{Code: c, Degree: 1})
	}
	return s
}

// Write says it to f.
func (s Saying) Write(f *risk.Finding) {
	for _, o := range s.Codes {
		f.ObserveAt(o.Code, o.Degree)
	}
	for _, v := range s.Facts {
		if v.Value.Kind() == risk.Text {
			f.Text(v.Name, v.Value.Text())
		} else {
			f.Number(v.Name, v.Value.Number())
		}
	}
	if len(s.Proofs) > 0 {
		f.Prove(s.Proofs...)
	}
	if !s.Retry.IsZero() {
		f.Retry(s.Retry)
	}
	if s.Receipt != "" {
		f.Receipt(s.Receipt)
	}
}

// Signal is a real [risk.Signal] that behaves in one way. Make one with a constructor of this package; the zero value
// is not usable. Make it inside the bubble when testing/synctest is used. It is safe for concurrent use.
type Signal struct {
	desc     risk.Description
	evaluate func(ctx context.Context, s *Signal, a *risk.Attempt, f *risk.Finding) error
	calls    atomic.Int64
	running  atomic.Int64
	release  sync.Once
	released chan struct{}
}

var _ risk.Signal = (*Signal)(nil)

// Describe returns the description made of name and options.
func (s *Signal) Describe() risk.Description { return s.desc }

// Evaluate behaves as the constructor says.
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	s.calls.Add(1)
	s.running.Add(1)
	defer s.running.Add(-1)
	return s.evaluate(ctx, s, a, f)
}

// Calls is how often Evaluate was called so far.
func (s *Signal) Calls() int { return int(s.calls.Load()) }

// Running is how many calls of Evaluate have not returned.
func (s *Signal) Running() int { return int(s.running.Load()) }

// Release lets all calls that hang go on, and later ones not hang at all.
func (s *Signal) Release() { s.release.Do(func() { close(s.released) }) }

// Fixed makes a signal that always says the same.
func Fixed(name string, says Saying, opts *Options) *Signal {
	return saying(name, says, risk.Local, opts, func(context.Context, *Signal, *Options) error { return nil })
}

// Failing makes a signal that always returns err; nil means [ErrFailing].
func Failing(name string, err error, opts *Options) *Signal {
	if err == nil {
		err = ErrFailing
	}
	return newSignal(name, risk.Remote, opts, func(context.Context, *Signal, *risk.Attempt, *risk.Finding) error { return err })
}

// Hanging makes a signal that hangs until its context ends, whose error it then returns, or until it is released. A
// Local one is never told to stop: release it.
func Hanging(name string, opts *Options) *Signal {
	return newSignal(name, risk.Remote, opts, func(ctx context.Context, s *Signal, _ *risk.Attempt, _ *risk.Finding) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.released:
			return nil
		}
	})
}

// Deaf makes a signal that hangs until it is released and ignores its context.
func Deaf(name string, opts *Options) *Signal {
	return newSignal(name, risk.Remote, opts, func(_ context.Context, s *Signal, _ *risk.Attempt, _ *risk.Finding) error {
		<-s.released
		return nil
	})
}

// Panicking makes a signal that panics with value. nil panics with a *runtime.PanicNilError, as Go does.
func Panicking(name string, value any, opts *Options) *Signal {
	return newSignal(name, risk.Remote, opts, func(context.Context, *Signal, *risk.Attempt, *risk.Finding) error { panic(value) })
}

// Goexiting makes a signal that ends its goroutine, as a failing assertion of package testing does. A Local one ends
// the goroutine that called Assess.
func Goexiting(name string, opts *Options) *Signal {
	return newSignal(name, risk.Remote, opts, func(context.Context, *Signal, *risk.Attempt, *risk.Finding) error {
		runtime.Goexit()
		return nil
	})
}

// Slow makes a signal that says the same after d, or returns its context's error when that ends first.
func Slow(name string, d time.Duration, says Saying, opts *Options) *Signal {
	return saying(name, says, risk.Remote, opts, func(ctx context.Context, _ *Signal, o *Options) error {
		if o.Sleep != nil {
			return o.Sleep(ctx, d)
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// LateBy is how long after the end of its context a signal of [Late] answers.
const LateBy = time.Millisecond

// Late makes a signal that answers, without an error, [LateBy] after its context has ended: too late. Once released it
// answers at once.
func Late(name string, says Saying, opts *Options) *Signal {
	return saying(name, says, risk.Remote, opts, func(ctx context.Context, s *Signal, _ *Options) error {
		select {
		case <-ctx.Done():
		case <-s.released:
			return nil
		}
		t := time.NewTimer(LateBy)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.released:
		}
		return nil
	})
}

// saying makes a signal that waits and then says something.
func saying(name string, says Saying, cost risk.Cost, opts *Options, wait func(context.Context, *Signal, *Options) error) *Signal {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.declare(name, says)
	return newSignal(name, cost, &o, func(ctx context.Context, s *Signal, _ *risk.Attempt, f *risk.Finding) error {
		if err := wait(ctx, s, &o); err != nil {
			return err
		}
		says.Write(f)
		return nil
	})
}

func newSignal(name string, cost risk.Cost, opts *Options, evaluate func(context.Context, *Signal, *risk.Attempt, *risk.Finding) error) *Signal {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Cost == 0 {
		o.Cost = cost
	}
	if o.OnError == 0 {
		o.OnError = risk.FailReview
	}
	return &Signal{
		desc: risk.Description{Name: name, Cost: o.Cost, Counts: o.Counts, OnError: o.OnError, Timeout: o.Timeout,
			Codes: slices.Clone(o.Codes), Facts: slices.Clone(o.Facts), Needs: slices.Clone(o.Needs),
			Proofs: slices.Clone(o.Proofs), Collects: slices.Clone(o.Collects)},
		evaluate: evaluate, released: make(chan struct{}),
	}
}

// declare adds to the declaration what is said and missing there.
func (o *Options) declare(name string, says Saying) {
	short := func(s string) string { return strings.TrimPrefix(s, name+".") }
	o.Codes, o.Facts, o.Proofs = slices.Clone(o.Codes), slices.Clone(o.Facts), slices.Clone(o.Proofs)
	for _, v := range says.Codes {
		if !slices.ContainsFunc(o.Codes, func(c risk.Code) bool { return short(c.Name) == short(v.Code) }) {
			o.Codes = append(o.Codes, risk.Code{Name: short(v.Code)})
		}
	}
	for _, v := range says.Facts {
		if !slices.ContainsFunc(o.Facts, func(f risk.FactType) bool { return short(f.Name) == short(v.Name) }) {
			o.Facts = append(o.Facts, risk.FactType{Name: short(v.Name), Kind: v.Value.Kind()})
		}
	}
	for _, p := range says.Proofs {
		if !slices.Contains(o.Proofs, p) {
			o.Proofs = append(o.Proofs, p)
		}
	}
}

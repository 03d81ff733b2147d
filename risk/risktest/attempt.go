package risktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// AttemptOptions are what a signal is told beside the attempt's own fields. nil means nothing.
type AttemptOptions struct {
	// Asked lists the proofs that should have come.
	Asked []risk.Proof
	// Continued says that the attempt continues a flow.
	Continued bool
	// Numbers and Texts are facts of earlier signals, by full name.
	Numbers map[string]float64
	Texts   map[string]string
	// Evidence is attached to what the attempt carries already.
	Evidence []any
}

// Attempt returns a copy of a, as the engine would hand it to a signal. nil stands for an empty sign-up.
func Attempt(a *risk.Attempt, opts *AttemptOptions) *risk.Attempt {
	if a == nil {
		a = &risk.Attempt{Event: risk.SignUp}
	}
	var o AttemptOptions
	if opts != nil {
		o = *opts
	}
	facts := map[string]risk.Value{}
	for name, v := range o.Numbers {
		facts[name] = risk.NumberValue(v)
	}
	for name, v := range o.Texts {
		facts[name] = risk.TextValue(v)
	}
	c := risk.Rehearse(a, o.Asked, o.Continued, facts)
	for _, e := range o.Evidence {
		risk.Attach(c, e)
	}
	return c
}

// Said is what one signal said about one attempt.
type Said struct {
	// Applies is false when the signal had nothing to look at and was not asked.
	Applies bool
	// Codes holds the codes observed by their names within the signal, each at its strongest.
	Codes   map[string]float64
	Numbers map[string]float64
	Texts   map[string]string
	Proofs  []risk.Proof // sorted, each once
	Retry   time.Time
	Receipt string
}

// Evaluate asks one signal about one attempt, as the engine would: it is not asked when it has nothing to look at, a
// signal that is not Local gets its timeout and is abandoned when it misses that, a panic is survived, and what it says
// is held against its declaration. The error wraps a [risk.SignalError] with the cause the engine would give, and its
// text adds what went wrong, which may hold the attempt's data.
func Evaluate(s risk.Signal, a *risk.Attempt) (*Said, error) {
	d := s.Describe()
	own := *a
	said := &Said{Codes: map[string]float64{}, Numbers: map[string]float64{}, Texts: map[string]string{}}
	if ok, err := applies(s, &own); err != nil {
		return nil, couldNotTell(d, risk.CausePanic, err)
	} else if !ok {
		return said, nil
	}
	said.Applies = true
	ctx, patience := context.Background(), time.Duration(0)
	if d.Cost != risk.Local {
		patience = timeoutOf(d)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	out := ask(ctx, s, &own, patience)
	if out.err != nil {
		return nil, couldNotTell(d, out.cause, out.err)
	}
	if err := check(d, out.finding); err != nil {
		return nil, couldNotTell(d, risk.CauseInvalid, err)
	}
	said.read(d.Name, out.finding)
	return said, nil
}

func couldNotTell(d risk.Description, cause risk.Cause, err error) error {
	return fmt.Errorf("%w: %v", risk.SignalError{Signal: d.Name, Cause: cause, Err: err}, err)
}

func (s *Said) read(signal string, f *risk.Finding) {
	short := func(name string) string { return strings.TrimPrefix(name, signal+".") }
	for o := range f.Observations() {
		s.Codes[short(o.Code)] = max(s.Codes[short(o.Code)], o.Degree)
	}
	for v := range f.Facts() {
		if v.Value.Kind() == risk.Text {
			s.Texts[short(v.Name)] = v.Value.Text()
		} else {
			s.Numbers[short(v.Name)] = v.Value.Number()
		}
	}
	s.Proofs = f.Proofs()
	slices.Sort(s.Proofs)
	s.Proofs = slices.Compact(s.Proofs)
	s.Retry, s.Receipt = f.RetryAt(), f.ReceiptText()
}

// The engine's default timeouts.
func timeoutOf(d risk.Description) time.Duration {
	switch {
	case d.Timeout > 0:
		return d.Timeout
	case d.Cost == risk.Remote:
		return 400 * time.Millisecond
	case d.Cost == risk.Costly:
		return 600 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// unwrapped finds an ability as the engine does.
func unwrapped[T any](s risk.Signal) (T, bool) {
	for range 16 {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(interface{ Unwrap() risk.Signal })
		if !ok {
			break
		}
		s = w.Unwrap()
	}
	var none T
	return none, false
}

// applies asks whether the signal has anything to look at.
func applies(s risk.Signal, a *risk.Attempt) (ok bool, err error) {
	applier, has := unwrapped[risk.Applier](s)
	if !has {
		return true, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("Applies panicked: %v", p)
		}
	}()
	return applier.Applies(a), nil
}

// answer is how a call of Evaluate ended.
type answer struct {
	finding *risk.Finding
	err     error
	cause   risk.Cause
	hung    bool // it has not returned
	took    time.Duration
}

var errGoexit = errors.New("ended its goroutine")

// ask calls Evaluate on a goroutine of its own. It waits for as long as patience says; 0: without end.
func ask(ctx context.Context, s risk.Signal, a *risk.Attempt, patience time.Duration) answer {
	return askWatched(ctx, s, a, patience, nil)
}

// askWatched is ask, with the id of the goroutine told to watch.
func askWatched(ctx context.Context, s risk.Signal, a *risk.Attempt, patience time.Duration, watch chan<- uint64) answer {
	done := make(chan answer, 1)
	go func() {
		out := answer{finding: &risk.Finding{}}
		if watch != nil {
			watch <- goroutineID()
		}
		begun := time.Now()
		returned := false
		defer func() {
			out.took = time.Since(begun)
			if !returned {
				out.cause, out.err = risk.CausePanic, errGoexit
				if p := recover(); p != nil {
					out.err = fmt.Errorf("panicked: %v", p)
				}
			}
			done <- out
		}()
		out.err = s.Evaluate(ctx, a, out.finding)
		returned = true
		switch {
		case errors.Is(out.err, context.DeadlineExceeded):
			out.cause = risk.CauseTimeout
		case out.err != nil:
			out.cause = risk.CauseError
		}
	}()
	if patience <= 0 {
		return <-done
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case out := <-done:
		return out
	case <-t.C:
		return answer{err: context.DeadlineExceeded, cause: risk.CauseTimeout, hung: true, took: patience}
	}
}

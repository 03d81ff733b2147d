package risktest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// good is a signal that keeps the contract and uses all of it.
func good(cost risk.Cost) risk.SignalFunc {
	return risk.SignalFunc{
		Description: risk.Description{Name: "good", Cost: cost, OnError: risk.FailChallenge, Timeout: 100 * time.Millisecond,
			Codes:    []risk.Code{{Name: "passed", Points: -6}, {Name: "absent", State: risk.Absent, Points: 8}, {Name: "invalid", State: risk.Invalid, Points: 18}},
			Facts:    []risk.FactType{{Name: "length", Kind: risk.Number}, {Name: "country", Kind: risk.Text}},
			Needs:    []string{"ip.country"},
			Proofs:   []risk.Proof{risk.ProofHuman},
			Collects: []risk.Datum{{What: "token", Why: "to check it", Form: "not stored"}}},
		Func: func(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("good: checking: %w", err)
			}
			if v, ok := a.Fact("ip.country"); ok && v.Kind() == risk.Text {
				f.Text("country", v.Text())
			}
			t, ok := risk.Evidence[token](a)
			f.Number("length", float64(len(t.Text)))
			switch {
			case !ok && a.Asked(risk.ProofHuman):
				f.Observe("absent")
			case ok && t.Text == "good":
				f.Observe("passed")
				f.Prove(risk.ProofHuman)
			case ok:
				f.ObserveAt("invalid", 0.5)
			}
			return nil
		},
	}
}

func with(evidence any) *risk.Attempt {
	a := &risk.Attempt{Event: risk.SignUp, Email: "somebody.else@example.com", Phone: "+4791234567", Account: "account-9",
		Session: "session-value-1", Header: map[string][]string{"User-Agent": {"Mozilla/5.0"}}}
	risk.Attach(a, evidence)
	return a
}

// changed is the good signal with another Func around or instead of its own.
func changed(cost risk.Cost, f func(ctx context.Context, a *risk.Attempt, f *risk.Finding) error) risk.SignalFunc {
	s := good(cost)
	own := s.Func
	s.Func = func(ctx context.Context, a *risk.Attempt, finding *risk.Finding) error {
		if err := f(ctx, a, finding); err != nil {
			return err
		}
		return own(ctx, a, finding)
	}
	return s
}

func TestConformAcceptsGoodSignals(t *testing.T) {
	for _, cost := range []risk.Cost{risk.Local, risk.Remote} {
		require.NoError(t, risktest.Conform(good(cost), with(token{"good"}), with(token{"bad"})), cost)
	}
	require.NoError(t, risktest.Conform(wrapper{good(risk.Costly)}))
	require.NoError(t, risktest.Conform(risktest.Failing("s", nil, nil)), "an outage is no fault of the signal")
	require.NoError(t, risktest.Conform(risktest.Hanging("s", &risktest.Options{Timeout: 2 * time.Millisecond})))
}

// shifty describes itself differently each time.
type shifty struct {
	risk.SignalFunc
	n *atomic.Int64
}

func (s shifty) Describe() risk.Description {
	d := s.SignalFunc.Describe()
	d.Timeout = time.Duration(s.n.Add(1))
	return d
}

type panickyDescriber struct{ risk.SignalFunc }

func (panickyDescriber) Describe() risk.Description { panic("no") }

type asking struct {
	risk.SignalFunc
	ask func(q risk.Question) (any, error)
}

func (s asking) Ask(_ context.Context, q risk.Question) (any, error) { return s.ask(q) }

type applying struct {
	risk.SignalFunc
	applies func(a *risk.Attempt) bool
}

func (s applying) Applies(a *risk.Attempt) bool { return s.applies(a) }

func TestConformFindsFaults(t *testing.T) {
	described := func(change func(d *risk.Description)) risk.Signal {
		s := good(risk.Remote)
		change(&s.Description)
		return s
	}
	when := func(yes func(a *risk.Attempt) bool, do func(a *risk.Attempt, f *risk.Finding) error) risk.Signal {
		return changed(risk.Stored, func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if yes(a) {
				return do(a, f)
			}
			return nil
		})
	}
	hang := make(chan struct{})
	defer close(hang)
	for _, row := range []struct {
		name   string
		signal risk.Signal
		want   string
	}{
		{"nil", nil, "it is nil"},
		{"no name", described(func(d *risk.Description) { d.Name = "" }), "an engine refuses it"},
		{"no cost", described(func(d *risk.Description) { d.Cost = 0 }), "an engine refuses it"},
		{"no fail mode", described(func(d *risk.Description) { d.OnError = 0 }), "an engine refuses it"},
		{"code twice", described(func(d *risk.Description) { d.Codes = append(d.Codes, d.Codes[0]) }), "an engine refuses it"},
		{"empty datum", described(func(d *risk.Description) { d.Collects = append(d.Collects, risk.Datum{}) }), "Collects"},
		{"changing description", shifty{good(risk.Remote), new(atomic.Int64)}, "not always answer the same"},
		{"panicking description", panickyDescriber{good(risk.Remote)}, "Describe panicked"},
		{"undeclared code", described(func(d *risk.Description) { d.Codes = d.Codes[1:] }), `observes code "passed", which is not declared`},
		{"undeclared fact", described(func(d *risk.Description) { d.Facts = d.Facts[1:] }), "which is not declared"},
		{"undeclared proof", described(func(d *risk.Description) { d.Proofs = nil }), `proves "human"`},
		{"panic without evidence", when(func(a *risk.Attempt) bool { _, ok := risk.Evidence[token](a); return !ok },
			func(a *risk.Attempt, f *risk.Finding) error { panic("no token") }), "panicked: no token"},
		{"panic on invalid UTF-8", when(func(a *risk.Attempt) bool { return strings.Contains(string(a.Email), "\xff") },
			func(a *risk.Attempt, f *risk.Finding) error { panic("bad rune") }), "on invalid UTF-8 everywhere: panicked"},
		{"panic on no headers", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error { _ = a.Header["User-Agent"][0]; return nil }), "index out of range"},
		{"panic on odd facts", when(func(a *risk.Attempt) bool { v, ok := a.Fact("ip.country"); return ok && v.Kind() == risk.Number },
			func(a *risk.Attempt, f *risk.Finding) error { panic("kind") }), "panicked: kind"},
		{"error on huge evidence", when(func(a *risk.Attempt) bool { e, _ := risk.Evidence[token](a); return len(e.Text) > 1000 },
			func(a *risk.Attempt, f *risk.Finding) error { return errors.New("too long") }), "on evidence of 1 MB: it returns an error (*errors.errorString) for what a visitor sent"},
		{"writes a field", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error { a.Email = "x"; return nil }), "writes to the attempt"},
		{"writes a header", when(func(a *risk.Attempt) bool { return len(a.Header["User-Agent"]) > 0 },
			func(a *risk.Attempt, f *risk.Finding) error {
				a.Header["User-Agent"][0] += "x"
				return nil
			}), "writes to the attempt"},
		{"writes evidence", when(func(a *risk.Attempt) bool { _, ok := risk.Evidence[*token](a); return ok },
			func(a *risk.Attempt, f *risk.Finding) error {
				e, _ := risk.Evidence[*token](a)
				e.Text += "x"
				return nil
			}), "writes to the attempt"},
		{"error with the e-mail address", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error { return fmt.Errorf("looking up %q", string(a.Email)) }), "the error holds the attempt's email (plain)"},
		{"error with a header in hex", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error {
				return fmt.Errorf("agent %x", strings.Join(a.Header["User-Agent"], ""))
			}), "the error holds the attempt's header.User-Agent (hex)"},
		{"error with the evidence", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error {
				e, _ := risk.Evidence[token](a)
				return errors.New("GET https://vendor.example/?token=" + e.Text)
			}), "the error holds the attempt's evidence (plain)"},
		{"fact with a hash", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error {
				f.Text("country", fmt.Sprintf("%x", sha256.Sum256([]byte(a.Phone)))[:20])
				return nil
			}), "fact country holds the attempt's phone (sha256 hex)"},
		{"receipt with the session", when(func(a *risk.Attempt) bool { return true },
			func(a *risk.Attempt, f *risk.Finding) error { f.Receipt("s=" + string(a.Session)); return nil }), "the receipt holds the attempt's session (plain)"},
		{"deaf", changed(risk.Stored, func(context.Context, *risk.Attempt, *risk.Finding) error { <-hang; return nil }), "must honour its context"},
		{"deaf once cancelled", changed(risk.Remote, func(ctx context.Context, _ *risk.Attempt, _ *risk.Finding) error {
			if ctx.Err() != nil {
				<-hang
			}
			return nil
		}), "must honour its context"},
		{"local that sleeps", changed(risk.Local, func(context.Context, *risk.Attempt, *risk.Finding) error {
			time.Sleep(time.Millisecond)
			return nil
		}), "a Local signal blocks (sleep)"},
		{"local that waits", changed(risk.Local, func(context.Context, *risk.Attempt, *risk.Finding) error {
			c := make(chan int)
			time.AfterFunc(time.Millisecond, func() { close(c) })
			<-c
			return nil
		}), "a Local signal blocks (chan receive)"},
		{"local that computes", changed(risk.Local, func(context.Context, *risk.Attempt, *risk.Finding) error {
			for end := time.Now().Add(2 * risktest.LocalMedian); time.Now().Before(end); {
			}
			return nil
		}), "in the median, at most 2ms"},
		{"applies that computes", applying{good(risk.Remote), func(*risk.Attempt) bool {
			for end := time.Now().Add(2 * risktest.LocalMedian); time.Now().Before(end); {
			}
			return true
		}}, "Applies takes"},
		{"applies that panics", applying{good(risk.Remote), func(*risk.Attempt) bool { panic("no") }}, "Applies panicked: no"},
		{"applies that writes", applying{good(risk.Remote), func(a *risk.Attempt) bool { a.Flow = "x"; return true }}, "writes to the attempt"},
		{"leak", changed(risk.Stored, func(context.Context, *risk.Attempt, *risk.Finding) error {
			go func() { <-hang }()
			return nil
		}), "goroutines behind"},
		{"goexit", risktest.Goexiting("s", nil), "ended its goroutine"},
		{"question that panics", asking{good(risk.Remote), func(risk.Question) (any, error) { panic("no") }}, "Ask panicked: no"},
		{"question that is no JSON", asking{good(risk.Remote), func(risk.Question) (any, error) { return func() {}, nil }}, "cannot be marshalled"},
		{"question that leaks", asking{good(risk.Remote), func(q risk.Question) (any, error) {
			return nil, errors.New("flow " + q.Flow)
		}}, "the error of Ask holds the attempt's flow"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := risktest.Conform(row.signal, with(token{"good"}), with(&token{"pointer"}))
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestConformFindsEveryLie(t *testing.T) {
	for _, lie := range risktest.Lies() {
		require.Error(t, risktest.Conform(risktest.Lying("s", lie, nil)), lie)
	}
	require.ErrorContains(t, risktest.Conform(good(risk.Remote), nil), "attempt 0 is nil")
}

func TestConformFindsUnsafeSignals(t *testing.T) {
	// Without -race only what goes wrong visibly can be seen: two callers meeting in a section for one.
	var inside atomic.Int64
	s := changed(risk.Stored, func(context.Context, *risk.Attempt, *risk.Finding) error {
		if inside.Add(1) > 1 {
			panic("two at once")
		}
		time.Sleep(100 * time.Microsecond)
		inside.Add(-1)
		return nil
	})
	require.ErrorContains(t, risktest.Conform(s, with(token{"good"})), "with several callers at once: panicked: two at once")
}

func TestConformBoundsItsFaults(t *testing.T) {
	n := new(atomic.Int64)
	s := changed(risk.Stored, func(context.Context, *risk.Attempt, *risk.Finding) error {
		panic(fmt.Sprint("fault ", n.Add(1)))
	})
	err := risktest.Conform(s)
	faults := maps.Collect(func(yield func(string, bool) bool) {
		for line := range strings.Lines(err.Error()) {
			if !yield(line, true) {
				return
			}
		}
	})
	require.Len(t, faults, 20)
}

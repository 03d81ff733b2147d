package risk_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// says makes a signal of what it says.
func says(d risk.Description, say func(a *risk.Attempt, f *risk.Finding)) risk.Signal {
	if d.Cost == 0 {
		d.Cost = risk.Local
	}
	if d.OnError == 0 {
		d.OnError = risk.FailOpen
	}
	if d.Timeout == 0 {
		d.Timeout = time.Hour
	}
	return risk.SignalFunc{Description: d, Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
		say(a, f)
		return nil
	}}
}

// errs makes a signal that cannot tell.
func errs(d risk.Description, err error) risk.Signal {
	return risk.SignalFunc{Description: d, Func: func(context.Context, *risk.Attempt, *risk.Finding) error { return err }}
}

// proofToken is evidence that the prover signal accepts.
type proofToken string

// prover proves p to whoever attaches proofToken(p), and misses it when it was asked for.
func prover(name string, p risk.Proof, cost risk.Cost) risk.Signal {
	return says(risk.Description{
		Name: name, Cost: cost, OnError: risk.FailChallenge, Proofs: []risk.Proof{p},
		Codes: []risk.Code{
			{Name: "passed", Points: -6, Group: "human"},
			{Name: "absent", State: risk.Absent, Points: 8, Group: "human"},
			{Name: "invalid", State: risk.Invalid, Points: 18, Group: "human"},
		},
	}, func(a *risk.Attempt, f *risk.Finding) {
		switch token, ok := risk.Evidence[proofToken](a); {
		case ok && token == proofToken(p):
			f.Observe("passed")
			f.Prove(p)
		case ok && token == "wrong":
			f.Observe("invalid")
		case a.Asked(p):
			f.Observe("absent")
		}
	})
}

// bad is a signal that observes one bad code.
func bad(name string, points int) risk.Signal {
	return says(risk.Description{Name: name, Codes: []risk.Code{{Name: "bad", Points: points}}},
		func(_ *risk.Attempt, f *risk.Finding) { f.Observe("bad") })
}

// engine has the default policy. Without options a busy machine never makes a signal late.
func engine(t *testing.T, opts *risk.Options, signals ...risk.Signal) *risk.Engine {
	t.Helper()
	if opts == nil {
		opts = &risk.Options{Budget: time.Hour}
	}
	e, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, opts)
	require.NoError(t, err)
	return e
}

func policy(t *testing.T, text string) *risk.Policy {
	t.Helper()
	p, err := risk.ParsePolicy([]byte(text))
	require.NoError(t, err)
	return p
}

func with(a risk.Attempt, evidence ...any) *risk.Attempt {
	for _, e := range evidence {
		risk.Attach(&a, e)
	}
	return &a
}

// clock is a clock that tests move.
type clock struct{ t time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.t }

func total(reasons []risk.Reason) (sum int) {
	for _, r := range reasons {
		sum += r.Points
	}
	return sum
}

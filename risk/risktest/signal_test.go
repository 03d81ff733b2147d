package risktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func newEngine(t *testing.T, opts *risk.Options, signals ...risk.Signal) *risk.Engine {
	t.Helper()
	e, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, opts)
	require.NoError(t, err)
	return e
}

func signUp() *risk.Attempt { return &risk.Attempt{ID: "attempt-1", Event: risk.SignUp} }

func TestSignalsInAnEngine(t *testing.T) {
	boom := errors.New("boom")
	review := &risktest.Options{OnError: risk.FailClosed, Codes: []risk.Code{{Name: "bad", Points: 40}}, Timeout: 30 * time.Millisecond}
	for _, row := range []struct {
		name   string
		signal func() *risktest.Signal
		cause  risk.Cause
		action risk.Action
		took   time.Duration
	}{
		{"fixed", func() *risktest.Signal { return risktest.Fixed("s", risktest.Say("bad"), review) }, "", risk.Review, 0},
		{"fixed, nothing to say", func() *risktest.Signal { return risktest.Fixed("s", risktest.Saying{}, nil) }, "", risk.Allow, 0},
		{"failing", func() *risktest.Signal { return risktest.Failing("s", boom, review) }, risk.CauseError, risk.Review, 0},
		{"failing without an error", func() *risktest.Signal { return risktest.Failing("s", nil, review) }, risk.CauseError, risk.Review, 0},
		{"hanging", func() *risktest.Signal { return risktest.Hanging("s", review) }, risk.CauseTimeout, risk.Review, 30 * time.Millisecond},
		{"deaf", func() *risktest.Signal { return risktest.Deaf("s", review) }, risk.CauseTimeout, risk.Review, 30 * time.Millisecond},
		{"panicking", func() *risktest.Signal { return risktest.Panicking("s", boom, review) }, risk.CausePanic, risk.Review, 0},
		{"panicking with nil", func() *risktest.Signal { return risktest.Panicking("s", nil, review) }, risk.CausePanic, risk.Review, 0},
		{"goexiting", func() *risktest.Signal { return risktest.Goexiting("s", review) }, risk.CausePanic, risk.Review, 0},
		{"slow, in time", func() *risktest.Signal {
			return risktest.Slow("s", 10*time.Millisecond, risktest.Say("bad"), review)
		}, "", risk.Review, 10 * time.Millisecond},
		{"slow, too slow", func() *risktest.Signal {
			return risktest.Slow("s", time.Minute, risktest.Say("bad"), review)
		}, risk.CauseTimeout, risk.Review, 30 * time.Millisecond},
		{"late", func() *risktest.Signal { return risktest.Late("s", risktest.Say("bad"), review) }, risk.CauseTimeout, risk.Review, 30 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := row.signal()
				e := newEngine(t, nil, s)
				begun := time.Now()
				got := e.Assess(t.Context(), signUp())
				require.Equal(t, row.took, time.Since(begun))
				require.Equal(t, row.cause, risktest.Cause(got, "s"))
				require.Equal(t, row.action, got.Action, "%v", got.Reasons)
				require.Equal(t, risktest.Sum(got), got.Score)
				require.Equal(t, 1, s.Calls())
				s.Release()
				synctest.Wait()
				require.Zero(t, s.Running())
			})
		})
	}
}

func TestLiesInAnEngine(t *testing.T) {
	honest := newEngine(t, nil, risktest.Fixed("s", risktest.Saying{}, nil)).Assess(t.Context(), signUp())
	for _, lie := range risktest.Lies() {
		t.Run(lie.String(), func(t *testing.T) {
			s := risktest.Lying("s", lie, &risktest.Options{OnError: risk.FailOpen})
			got := newEngine(t, nil, s).Assess(t.Context(), signUp())
			require.Equal(t, risk.CauseInvalid, risktest.Cause(got, "s"))
			require.Equal(t, honest.Score, got.Score, "nothing of a lie counts")
			require.Equal(t, risk.Allow, got.Action)
			require.True(t, got.Degraded)
			require.Less(t, len(got.Errors[0].Err.Error()), 200, "what it repeats is bounded")

			_, err := risktest.Evaluate(s, signUp())
			require.Equal(t, risk.CauseInvalid, causeOf(t, err), "Evaluate agrees with the engine")
		})
	}
	t.Run("retry is no lie of a counting signal", func(t *testing.T) {
		s := risktest.Lying("s", risktest.RemoteRetry, &risktest.Options{Counts: true})
		require.NotContains(t, newEngine(t, nil, s).Assess(t.Context(), signUp()).Errors, "s")
		_, err := risktest.Evaluate(s, signUp())
		require.NoError(t, err)
	})
}

func causeOf(t *testing.T, err error) risk.Cause {
	t.Helper()
	se, ok := errors.AsType[risk.SignalError](err)
	require.True(t, ok, "%v", err)
	return se.Cause
}

func TestSayingDeclaresItself(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	says := risktest.Saying{
		Codes:  []risk.Observation{{Code: "s.bad", Degree: 0.5}, {Code: "odd", Degree: 1}},
		Facts:  []risk.Fact{{Name: "n", Value: risk.NumberValue(2)}, {Name: "s.t", Value: risk.TextValue("NO")}},
		Proofs: []risk.Proof{risk.ProofVoice}, Retry: at, Receipt: "r",
	}
	s := risktest.Fixed("s", says, &risktest.Options{Codes: []risk.Code{{Name: "bad", Points: 8}}})
	d := s.Describe()
	require.Equal(t, []risk.Code{{Name: "bad", Points: 8}, {Name: "odd"}}, d.Codes)
	require.Equal(t, []risk.FactType{{Name: "n", Kind: risk.Number}, {Name: "t", Kind: risk.Text}}, d.Facts)

	said, err := risktest.Evaluate(s, signUp())
	require.NoError(t, err)
	require.Equal(t, &risktest.Said{Applies: true, Codes: map[string]float64{"bad": 0.5, "odd": 1},
		Numbers: map[string]float64{"n": 2}, Texts: map[string]string{"t": "NO"},
		Proofs: []risk.Proof{risk.ProofPhone, risk.ProofVoice}, Retry: at, Receipt: "r"}, said)

	e := newEngine(t, nil, s)
	require.Equal(t, risk.Wait, e.Assess(t.Context(), signUp()).Action)
}

func TestSlowTakesAClock(t *testing.T) {
	var slept time.Duration
	s := risktest.Slow("s", time.Hour, risktest.Say("odd"), &risktest.Options{Sleep: func(_ context.Context, d time.Duration) error {
		slept += d
		return nil
	}})
	said, err := risktest.Evaluate(s, signUp())
	require.NoError(t, err)
	require.Contains(t, said.Codes, "odd")
	require.Equal(t, time.Hour, slept)
}

func TestReleaseEndsHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := risktest.Deaf("s", &risktest.Options{Cost: risk.Local})
		e := newEngine(t, nil, s)
		done := make(chan *risk.Assessment, 1)
		go func() { done <- e.Assess(t.Context(), signUp()) }()
		synctest.Wait()
		require.Equal(t, 1, s.Running())
		s.Release()
		s.Release()
		require.Equal(t, risk.Allow, (<-done).Action)
		require.Equal(t, risk.Allow, e.Assess(t.Context(), signUp()).Action, "later calls do not hang")
	})
}

func TestGoexitingLocalEndsTheCaller(t *testing.T) {
	e := newEngine(t, nil, risktest.Goexiting("s", &risktest.Options{Cost: risk.Local}))
	returned, done := false, make(chan struct{})
	go func() {
		defer close(done)
		e.Assess(context.Background(), signUp())
		returned = true
	}()
	<-done
	require.False(t, returned)
	require.Equal(t, "attempt-1", newEngine(t, nil).Assess(t.Context(), signUp()).ID)
}

package risk_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// settler charges and remembers what it is told.
type settler struct {
	risk.SignalFunc
	mu   sync.Mutex
	told []risk.Settlement
	err  error
	ask  func(q risk.Question) (any, error)
}

func (s *settler) Settle(_ context.Context, st risk.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, st)
	return s.err
}

func (s *settler) Label(_ context.Context, l risk.Label) error {
	if l.Reason == "panic" {
		panic(l)
	}
	return s.err
}

func (s *settler) Ask(_ context.Context, q risk.Question) (any, error) { return s.ask(q) }

func charging(cost risk.Cost) *settler {
	return &settler{SignalFunc: risk.SignalFunc{
		Description: risk.Description{Name: "limit", Cost: cost, Counts: true, OnError: risk.FailOpen, Proofs: []risk.Proof{"token"}},
		Func: func(_ context.Context, _ *risk.Attempt, f *risk.Finding) error {
			f.Receipt("charge-1")
			return nil
		},
	}}
}

// wrapped hides a signal behind another.
type wrapped struct{ risk.Signal }

func (w wrapped) Unwrap() risk.Signal { return w.Signal }

func TestSettleTellsOutcomeAndReceiptOnce(t *testing.T) {
	for _, cost := range []risk.Cost{risk.Local, risk.Stored} {
		limit := charging(cost)
		e := engine(t, nil, wrapped{limit})
		a := &risk.Attempt{Event: risk.SignUp, Email: "a@example.com"}
		s := e.Assess(t.Context(), a)
		require.Len(t, limit.told, 1, "judged before Assess returns")
		require.Equal(t, risk.Judged, limit.told[0].Outcome)
		require.Equal(t, "charge-1", limit.told[0].Receipt)
		require.Equal(t, risk.Private("a@example.com"), limit.told[0].Attempt.Email)
		require.Same(t, s, limit.told[0].Assessment)

		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a visitor who hangs up changes nothing
		require.NoError(t, e.Settle(ctx, s, risk.Completed))
		require.Equal(t, risk.Completed, limit.told[1].Outcome)
		require.ErrorIs(t, e.Settle(t.Context(), s, risk.Undone), risk.ErrSettled)
		require.Len(t, limit.told, 2)
	}
}

func TestSettleRefuses(t *testing.T) {
	e := engine(t, nil, charging(risk.Local))
	s := e.Assess(t.Context(), &risk.Attempt{})
	require.ErrorContains(t, e.Settle(t.Context(), s, risk.Judged), "want Completed")
	require.ErrorIs(t, e.Settle(t.Context(), nil, risk.Completed), risk.ErrSettled)
	require.ErrorIs(t, e.Settle(t.Context(), &risk.Assessment{}, risk.Completed), risk.ErrSettled)
	require.ErrorIs(t, engine(t, nil).Settle(t.Context(), s, risk.Completed), risk.ErrSettled, "another engine's")
	require.NoError(t, e.Settle(t.Context(), s, risk.Refused))
}

func TestContinuedFlowsKeepTheReceipt(t *testing.T) {
	limit := charging(risk.Stored)
	e := engine(t, nil, limit, bad("ip", 22), prover("captcha", risk.ProofHuman, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp}
	a.Flow = e.Assess(t.Context(), &a).Flow
	require.True(t, e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman))).Allowed())
	require.Equal(t, "charge-1", limit.told[1].Receipt, "the charge of the first attempt")
}

func TestSettlersThatHangOrFailAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		limit := charging(risk.Stored)
		limit.err = errors.New("down")
		e := engine(t, &risk.Options{Hooks: &risk.Hooks{SettleError: func(s string, _ error) { heard = append(heard, s) }}}, limit)
		s := e.Assess(t.Context(), &risk.Attempt{})
		require.True(t, s.Allowed())
		require.Equal(t, []string{"limit"}, heard)
		require.ErrorContains(t, e.Settle(t.Context(), s, risk.Completed), "limit could not tell")
	})
}

func TestTasksAskTheSignals(t *testing.T) {
	limit := charging(risk.Stored)
	limit.Description.Counts = false
	var got risk.Question
	limit.ask = func(q risk.Question) (any, error) { got = q; return "do this", nil }
	e := engine(t, nil, limit)
	a := risk.Attempt{Event: risk.SignUp, Email: "a@example.com"}
	s := e.Open(t.Context(), &a)
	tasks, err := e.Tasks(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, []risk.Task{{Proof: "token", Signal: "limit", Data: "do this"}}, tasks)
	require.Equal(t, s.Flow, got.Flow)
	require.Equal(t, risk.Private("a@example.com"), got.Attempt.Email)

	a.Flow = s.Flow
	again, err := e.Resume(t.Context(), &a)
	require.NoError(t, err)
	tasks, err = e.Tasks(t.Context(), again)
	require.NoError(t, err)
	require.Len(t, tasks, 1)

	limit.ask = func(risk.Question) (any, error) { panic("no") }
	tasks, err = e.Tasks(t.Context(), s)
	require.ErrorContains(t, err, "limit")
	require.Empty(t, tasks)
	_, err = e.Tasks(t.Context(), &risk.Assessment{})
	require.Error(t, err)
}

func TestLabel(t *testing.T) {
	limit := charging(risk.Stored)
	e := engine(t, nil, limit)
	require.NoError(t, e.Label(t.Context(), risk.Label{Account: "a", Verdict: risk.Fraud}))
	require.ErrorContains(t, e.Label(t.Context(), risk.Label{Account: "a"}), "verdict")
	require.ErrorContains(t, e.Label(t.Context(), risk.Label{Verdict: risk.Good}), "an assessment or an account")
	require.ErrorContains(t, e.Label(t.Context(), risk.Label{Account: "a", Verdict: risk.Good, Reason: "panic"}), "limit")
}

package captcha_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/risk"
)

// Under the engine: a suspicious attempt is challenged, solves the task of its flow and is let in; the same answer is
// worth nothing to the next attempt.
func TestUnderTheEngine(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	pow := newPoW(t, c, newGuard(t, c))
	suspicious := risk.SignalFunc{
		Description: risk.Description{
			Name: "ip", Cost: risk.Local, OnError: risk.FailOpen,
			Codes: []risk.Code{{Name: "hosting", Points: 25, Group: "network"}},
		},
		Func: func(_ context.Context, _ *risk.Attempt, f *risk.Finding) error {
			f.Observe("hosting")
			return nil
		},
	}
	signals := []risk.Signal{suspicious, newSignal(t, pow, nil)}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{Now: c.Now})
	require.NoError(t, err)
	try := func(flow, tok string) *risk.Assessment {
		a := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelWeb, Session: "s-42", Flow: flow}
		risk.Attach(a, captcha.Response{Token: tok})
		return engine.Assess(ctx, a)
	}
	solve := func(s *risk.Assessment) string {
		tasks, err := engine.Tasks(ctx, s)
		require.NoError(t, err)
		require.Len(t, tasks, 1)
		require.Equal(t, risk.ProofHuman, tasks[0].Proof)
		task, ok := tasks[0].Data.(captcha.Task)
		require.True(t, ok)
		tok, err := captchatest.Solve(task.Challenge)
		require.NoError(t, err)
		return tok
	}

	first := try("", "")
	require.Equal(t, risk.Challenge, first.Action, "%+v", first)
	require.Equal(t, []risk.Proof{risk.ProofHuman}, first.Require)
	tok := solve(first)

	empty := try(first.Flow, "")
	require.Equal(t, risk.Challenge, empty.Action, "sending nothing does not help")
	wrong := try(empty.Flow, "rubbish")
	require.False(t, wrong.Allowed())

	again := try("", "")
	require.Equal(t, risk.Challenge, again.Action)
	stolen := try(again.Flow, tok)
	require.False(t, stolen.Allowed(), "the answer of another flow")

	last := try("", "")
	tok = solve(last)
	done := try(last.Flow, tok)
	require.True(t, done.Allowed(), "%+v", done)
	require.False(t, try("", tok).Allowed(), "used, and bound to a flow that is over")
}

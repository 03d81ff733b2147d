package risktest_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func TestEngineAlwaysAnswersSo(t *testing.T) {
	for _, row := range []struct {
		action risk.Action
		lasts  time.Duration
	}{
		{risk.Allow, 0}, {risk.Wait, risktest.WaitFor}, {risk.Challenge, 0}, {risk.Delay, risktest.Lasts},
		{risk.Review, 0}, {risk.Lock, risktest.Lasts}, {risk.Block, 0},
	} {
		t.Run(row.action.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := risktest.Engine(row.action)
				for _, a := range []*risk.Attempt{{}, {Event: risk.Login, Flow: "unknown"}, risktest.NewCanary().Attempt()} {
					s := e.Assess(t.Context(), a)
					require.Equal(t, row.action, s.Action)
					if row.lasts > 0 {
						require.Equal(t, time.Now().Add(row.lasts), s.Until)
					} else {
						require.Zero(t, s.Until)
					}
					require.Equal(t, row.action == risk.Challenge, s.Flow != "")
				}
			})
		})
	}
}

func TestEngineChallenge(t *testing.T) {
	proofs := []risk.Proof{risk.ProofPhone, "badge", risk.ProofHuman, risk.ProofHuman}
	e := risktest.Engine(risk.Challenge, proofs...)
	s := e.Assess(t.Context(), signUp())
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone, "badge"}, s.Require)

	tasks, err := e.Tasks(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, tasks, 3)
	text, err := json.Marshal(tasks)
	require.NoError(t, err)
	require.JSONEq(t, `[{"proof":"human","signal":"prover","data":{"give":"human"}},
		{"proof":"phone","signal":"prover","data":{"give":"phone"}},{"proof":"badge","signal":"prover","data":{"give":"badge"}}]`, string(text))

	a := &risk.Attempt{Event: risk.SignUp, Flow: s.Flow}
	risk.Attach(a, risktest.Given{risk.ProofHuman, "no such proof"})
	second := e.Assess(t.Context(), a)
	require.Equal(t, risk.Challenge, second.Action)
	require.Equal(t, []risk.Proof{risk.ProofPhone, "badge"}, second.Require)

	a = &risk.Attempt{Event: risk.SignUp, Flow: second.Flow}
	risk.Attach(a, risktest.Given{risk.ProofPhone, "badge"})
	require.True(t, e.Assess(t.Context(), a).Allowed())
	require.Equal(t, risk.Challenge, e.Assess(t.Context(), a).Action, "a flow is spent once")
	require.Equal(t, risk.Review, e.Assess(t.Context(), &risk.Attempt{Cannot: []risk.Proof{"badge"}}).Action)
}

func TestEngineOffersWithoutRequiring(t *testing.T) {
	e := risktest.Engine(risk.Allow, risk.ProofDevice)
	require.True(t, e.Assess(t.Context(), signUp()).Allowed())
	require.Equal(t, []risk.Proof{risk.ProofDevice}, e.Open(t.Context(), signUp()).Require)
}

func TestEngineRefusesNonsense(t *testing.T) {
	require.PanicsWithValue(t, "risktest: no engine can always answer action(0): risk: policy segments[0].levels[0].action: action(0) cannot be a level's action: want allow, challenge, delay, review, lock or block\nrisk: policy segments[0].levels[0].then: action(0) cannot follow: want allow, delay, review, lock or block",
		func() { risktest.Engine(0) })
	require.Panics(t, func() { risktest.Engine(risk.Challenge, "") })
	require.Panics(t, func() { risktest.Engine(77) })
}

func TestProverConforms(t *testing.T) {
	a := signUp()
	risk.Attach(a, risktest.Given{risk.ProofHuman})
	require.NoError(t, risktest.Conform(risktest.NewProver("p", []risk.Proof{risk.ProofHuman, risk.ProofVoice}, nil), a))
}

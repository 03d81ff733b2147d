package risk_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

func TestSmoke(t *testing.T) {
	sig := risk.SignalFunc{
		Description: risk.Description{Name: "ip", Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "tor", Points: 22, Group: "network"}}},
		Func: func(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
			f.Observe("tor")
			return nil
		},
	}
	human := risk.SignalFunc{
		Description: risk.Description{Name: "captcha", Cost: risk.Remote, OnError: risk.FailChallenge, Proofs: []risk.Proof{risk.ProofHuman},
			Codes: []risk.Code{{Name: "passed", Points: -6, Group: "human"}, {Name: "absent", State: risk.Absent, Points: 8, Group: "human"}}},
		Func: func(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
			if _, ok := risk.Evidence[string](a); ok {
				f.Observe("passed")
				f.Prove(risk.ProofHuman)
			} else if a.Asked(risk.ProofHuman) {
				f.Observe("absent")
			}
			return nil
		},
	}
	signals := []risk.Signal{sig, human}
	e, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	s := e.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp})
	require.Equal(t, risk.Challenge, s.Action, "%+v", s)
	t.Logf("%+v", s.Reasons)
	a := &risk.Attempt{Event: risk.SignUp, Flow: s.Flow}
	risk.Attach(a, "token")
	s2 := e.Assess(t.Context(), a)
	require.Equal(t, risk.Allow, s2.Action, "%+v", s2)
	s3 := e.Assess(t.Context(), a)
	require.Equal(t, risk.Challenge, s3.Action, "%+v", s3)
}

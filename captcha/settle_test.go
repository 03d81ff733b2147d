package captcha_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/risk"
)

// What becomes of an attempt is told to reCAPTCHA Enterprise, directly and behind the orchestrator.
func TestSignalAnnotates(t *testing.T) {
	for _, orchestrated := range []bool{false, true} {
		s := vendors["recaptcha_enterprise"].stage(t)
		var provider captcha.Provider = s.provider
		text := s.fake.Mint(captchatest.Grant{Action: "login"})
		if orchestrated {
			o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: s.provider, Weight: 1}}, keys(), newGuard(t, s.clock),
				&captcha.OrchestratorOptions{Now: s.clock.Now})
			require.NoError(t, err)
			task, err := o.Challenge(t.Context(), captcha.ChallengeRequest{Action: "login", Tenant: "t1", Session: "s-42", Flow: "f-7"})
			require.NoError(t, err)
			provider, text = o, captcha.Join(task.Ticket, text)
		}
		references := captcha.NewMemoryReferences(s.clock.Now)
		signal := newSignal(t, provider, &captcha.SignalOptions{References: references})
		a := attempt(text)
		a.Event = risk.Login
		var f risk.Finding
		require.NoError(t, signal.Evaluate(t.Context(), risk.Rehearse(a, []risk.Proof{risk.ProofHuman}, true, nil), &f))
		receipt := f.ReceiptText()
		require.NotEmpty(t, receipt)
		settle := func(o risk.Outcome) {
			require.NoError(t, signal.Settle(t.Context(), risk.Settlement{
				Attempt: a, Assessment: &risk.Assessment{ID: "as-1"}, Outcome: o, Receipt: receipt,
			}))
		}
		settle(risk.Judged)
		kept, err := references.Find(t.Context(), "as-1")
		require.NoError(t, err)
		require.Equal(t, receipt, kept)
		name := kept[len("recaptcha_enterprise "):]
		noted := func() captchatest.Annotation {
			n, ok := s.fake.Annotated(name)
			require.True(t, ok)
			return n
		}
		settle(risk.Completed)
		require.Equal(t, captchatest.Annotation{Reasons: []string{"CORRECT_PASSWORD"}}, noted())
		settle(risk.Refused)
		require.Equal(t, captchatest.Annotation{Reasons: []string{"INCORRECT_PASSWORD"}}, noted())
		settle(risk.Undone)
		require.Equal(t, []string{"INCORRECT_PASSWORD"}, noted().Reasons, "our own failure confirms nothing")
		require.NoError(t, signal.Label(t.Context(), risk.Label{Assessment: "as-1", Verdict: risk.Fraud}))
		require.Equal(t, "FRAUDULENT", noted().Annotation)
		require.NoError(t, signal.Label(t.Context(), risk.Label{Assessment: "as-1", Verdict: risk.Good}))
		require.Equal(t, "LEGITIMATE", noted().Annotation)
		require.NoError(t, signal.Label(t.Context(), risk.Label{Assessment: "unknown", Verdict: risk.Good}), "nobody knows: nothing to tell")
		s.clock.Advance(31 * 24 * time.Hour)
		require.NoError(t, signal.Label(t.Context(), risk.Label{Assessment: "as-1", Verdict: risk.Fraud}))
		require.Equal(t, "LEGITIMATE", noted().Annotation, "forgotten after its time")
	}
}

type brokenReferences struct{ err error }

func (b brokenReferences) Keep(context.Context, string, string, time.Duration) error { return b.err }
func (b brokenReferences) Find(context.Context, string) (string, error)              { return "", b.err }

func TestSignalSettleErrors(t *testing.T) {
	s := vendors["recaptcha_enterprise"].stage(t)
	boom := errors.New("boom")
	signal := newSignal(t, s.provider, &captcha.SignalOptions{References: brokenReferences{boom}})
	judged := risk.Settlement{Attempt: attempt(""), Assessment: &risk.Assessment{ID: "a"}, Outcome: risk.Judged, Receipt: "recaptcha_enterprise projects/p/assessments/a"}
	require.ErrorIs(t, signal.Settle(t.Context(), judged), boom)
	require.ErrorIs(t, signal.Label(t.Context(), risk.Label{Assessment: "a", Verdict: risk.Good}), boom)
	judged.Receipt = ""
	require.NoError(t, signal.Settle(t.Context(), judged))
	login := risk.Settlement{Attempt: &risk.Attempt{Event: risk.Login}, Outcome: risk.Completed, Receipt: "rubbish"}
	require.Error(t, signal.Settle(t.Context(), login))
	login.Receipt = "recaptcha_enterprise projects/test-project/assessments/none"
	require.Error(t, signal.Settle(t.Context(), login))
	require.NoError(t, newSignal(t, captchatest.Pass(), nil).Settle(t.Context(), login), "a provider that does not learn")
}

func TestMemoryReferencesAreBounded(t *testing.T) {
	m := captcha.NewMemoryReferences(nil)
	ctx := t.Context()
	require.NoError(t, m.Keep(ctx, "first", "ref", time.Hour))
	for i := range captcha.DefaultReferences {
		require.NoError(t, m.Keep(ctx, string(rune('a'+i%26))+time.Duration(i).String(), "ref", time.Hour))
	}
	got, err := m.Find(ctx, "first")
	require.NoError(t, err)
	require.Empty(t, got)
	require.Error(t, m.Keep(ctx, "", "ref", time.Hour))
	require.Error(t, m.Keep(ctx, "a", "ref", 0))
}

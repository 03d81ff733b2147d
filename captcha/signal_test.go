package captcha_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/risk"
)

func attempt(tok string) *risk.Attempt {
	a := &risk.Attempt{Event: risk.SignUp, Tenant: "t1", Session: "s-42", Flow: "f-7", IP: netip.MustParseAddr("192.0.2.7")}
	risk.Attach(a, captcha.Response{Token: tok})
	return a
}

// judge evaluates the attempt as the engine would show it.
func judge(t testing.TB, s *captcha.Signal, a *risk.Attempt, asked, continued bool) (codes []string, proofs []risk.Proof, facts map[string]risk.Value, err error) {
	var p []risk.Proof
	if asked {
		p = []risk.Proof{risk.ProofHuman}
	}
	seen := risk.Rehearse(a, p, continued, nil)
	facts = map[string]risk.Value{}
	if !s.Applies(seen) {
		return nil, nil, facts, nil
	}
	var f risk.Finding
	err = s.Evaluate(context.Background(), seen, &f)
	for o := range f.Observations() {
		require.Equal(t, 1.0, o.Degree)
		codes = append(codes, o.Code)
	}
	for v := range f.Facts() {
		facts[v.Name] = v.Value
	}
	return codes, f.Proofs(), facts, err
}

func newSignal(t testing.TB, p captcha.Provider, o *captcha.SignalOptions) *captcha.Signal {
	s, err := captcha.NewSignal(p, o)
	require.NoError(t, err)
	return s
}

func TestSignalVerdicts(t *testing.T) {
	human := []risk.Proof{risk.ProofHuman}
	for _, row := range []struct {
		name   string
		p      *captchatest.Fixed
		codes  []string
		proofs []risk.Proof
		fails  bool
	}{
		{"passed", captchatest.Pass(), []string{captcha.CodePassed}, human, false},
		{"wrong", captchatest.Fail(captcha.ReasonSolution, captcha.FaultVisitor), []string{captcha.CodeInvalid}, nil, false},
		{"a word of the provider's own", captchatest.Fail("odd", captcha.FaultVisitor), []string{captcha.CodeInvalid}, nil, false},
		{"no fault named", captchatest.Fail(captcha.ReasonSolution, captcha.FaultNone), []string{captcha.CodeInvalid}, nil, false},
		{"expired", captchatest.Fail(captcha.ReasonExpired, captcha.FaultVisitor), []string{captcha.CodeExpired}, nil, false},
		{"replayed", captchatest.Fail(captcha.ReasonReplayed, captcha.FaultVisitor), []string{captcha.CodeReplayed}, nil, false},
		{"binding", captchatest.Fail(captcha.ReasonSession, captcha.FaultBinding), []string{captcha.CodeMismatch}, nil, false},
		{"expired elsewhere", captchatest.Fail(captcha.ReasonExpired, captcha.FaultBinding), []string{captcha.CodeMismatch}, nil, false},
		{"our settings", captchatest.Fail("bad_credentials", captcha.FaultCaller), nil, nil, true},
		{"their outage", captchatest.Fail("provider_error", captcha.FaultProvider), nil, nil, true},
		{"unverified", captchatest.Unverified(), nil, nil, true},
		{"an outcome out of range", &captchatest.Fixed{Result: captcha.Result{Outcome: 77}}, nil, nil, true},
		{"error", captchatest.Erring(errors.New("down")), nil, nil, true},
		{"error beside passed", &captchatest.Fixed{Result: captcha.Result{Outcome: captcha.Passed}, Err: errors.New("down")}, nil, nil, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSignal(t, row.p, nil)
			for _, asked := range []bool{true, false} {
				codes, proofs, facts, err := judge(t, s, attempt("token"), asked, false)
				require.Equal(t, row.codes, codes)
				require.Equal(t, row.proofs, proofs)
				require.Equal(t, row.fails, err != nil, "%v", err)
				if !row.fails {
					require.Equal(t, "fixed", facts[captcha.FactProvider].Text())
				}
			}
		})
	}
}

func TestSignalAbsence(t *testing.T) {
	p := captchatest.Pass()
	s := newSignal(t, p, nil)
	for _, a := range []*risk.Attempt{{Event: risk.SignUp}, attempt("")} {
		codes, proofs, _, err := judge(t, s, a, false, false)
		require.NoError(t, err)
		require.Empty(t, codes, "a proof nobody has asked for is no finding")
		require.Empty(t, proofs)
		codes, proofs, _, err = judge(t, s, a, true, true)
		require.NoError(t, err)
		require.Equal(t, []string{captcha.CodeAbsent}, codes)
		require.Empty(t, proofs)
	}
	require.Empty(t, p.Verified(), "nothing is verified where nothing was sent")
}

func TestSignalBoundsEvidence(t *testing.T) {
	for _, row := range []struct {
		name  string
		r     captcha.Response
		limit int
		seen  int
	}{
		{"at the bound", captcha.Response{Token: strings.Repeat("a", 8192)}, 0, 1},
		{"above", captcha.Response{Token: strings.Repeat("a", 8193)}, 0, 0},
		{"fields", captcha.Response{Fields: map[string]string{"lot": strings.Repeat("a", 8190)}}, 0, 0},
		{"own bound", captcha.Response{Token: strings.Repeat("a", 16384)}, 16384, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := captchatest.Pass()
			s := newSignal(t, p, &captcha.SignalOptions{MaxEvidence: row.limit})
			a := &risk.Attempt{}
			risk.Attach(a, row.r)
			codes, _, _, err := judge(t, s, a, false, false)
			require.NoError(t, err)
			require.Len(t, p.Verified(), row.seen)
			if row.seen == 0 {
				require.Equal(t, []string{captcha.CodeInvalid}, codes)
			}
		})
	}
}

func TestSignalExpectation(t *testing.T) {
	p := captchatest.Pass()
	p.Result.HasRisk, p.Result.Risk = true, 0.25
	s := newSignal(t, p, &captcha.SignalOptions{Hostnames: []string{"example.com"}})
	_, _, facts, err := judge(t, s, attempt("token"), true, true)
	require.NoError(t, err)
	require.Equal(t, 0.25, facts[captcha.FactRisk].Number())
	require.Equal(t, captcha.Request{Token: "token", RemoteIP: netip.MustParseAddr("192.0.2.7"), Visitor: "192.0.2.0/24", Expect: captcha.Expect{
		Hostnames: []string{"example.com"}, Action: "signup", Tenant: "t1", Session: "s-42", Flow: "f-7",
	}}, p.Verified()[0])
	_, _, _, err = judge(t, s, attempt("token"), true, false)
	require.NoError(t, err)
	require.Empty(t, p.Verified()[1].Expect.Flow, "a flow the engine did not load binds nothing")
	_, _, _, err = judge(t, newSignal(t, p, &captcha.SignalOptions{SkipRemoteIP: true}), attempt("token"), true, false)
	require.NoError(t, err)
	require.False(t, p.Verified()[2].RemoteIP.IsValid())
}

// The task a flow hands out gives the proof in that flow and nowhere else, and no other one gives it there.
func TestSignalAskAndAnswer(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c))
	s := newSignal(t, p, nil)
	ask := func(q risk.Question) string {
		got, err := s.Ask(context.Background(), q)
		require.NoError(t, err)
		body, err := json.Marshal(got)
		require.NoError(t, err)
		var task captcha.Task
		require.NoError(t, json.Unmarshal(body, &task), "a client reads what was sent")
		require.Equal(t, "pow", task.Provider)
		tok, err := captchatest.Solve(task.Challenge)
		require.NoError(t, err)
		return tok
	}
	inFlow := func() string {
		return ask(risk.Question{Attempt: attempt(""), Proof: risk.ProofHuman, Score: 40, Flow: "f-7"})
	}
	change := func(f func(a *risk.Attempt)) func(tok string) *risk.Attempt {
		return func(tok string) *risk.Attempt {
			a := attempt(tok)
			f(a)
			return a
		}
	}
	for _, row := range []struct {
		name      string
		token     func() string
		attempt   func(tok string) *risk.Attempt
		continued bool
		code      string
	}{
		{"own flow", inFlow, attempt, true, captcha.CodePassed},
		{"no flow", inFlow, attempt, false, captcha.CodeMismatch},
		{"another flow", inFlow, change(func(a *risk.Attempt) { a.Flow = "f-8" }), true, captcha.CodeMismatch},
		{"another session", inFlow, change(func(a *risk.Attempt) { a.Session = "s-43" }), true, captcha.CodeMismatch},
		{"another tenant", inFlow, change(func(a *risk.Attempt) { a.Tenant = "t2" }), true, captcha.CodeMismatch},
		{"another event", inFlow, change(func(a *risk.Attempt) { a.Event = risk.Login }), true, captcha.CodeMismatch},
		{"easier task of no flow", func() string {
			return token(t, p, captcha.ChallengeRequest{Action: "signup", Tenant: "t1", Session: "s-42"})
		}, attempt, true, captcha.CodeMismatch},
		{"unasked, of no flow", func() string {
			return token(t, p, captcha.ChallengeRequest{Action: "signup", Tenant: "t1", Session: "s-42"})
		}, attempt, false, captcha.CodePassed},
		{"rubbish", func() string { return "rubbish" }, attempt, true, captcha.CodeInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			codes, proofs, _, err := judge(t, s, row.attempt(row.token()), true, row.continued)
			require.NoError(t, err)
			require.Equal(t, []string{row.code}, codes)
			require.Equal(t, row.code == captcha.CodePassed, len(proofs) == 1)
		})
	}
	t.Run("twice", func(t *testing.T) {
		a := attempt(inFlow())
		_, _, _, err := judge(t, s, a, true, true)
		require.NoError(t, err)
		codes, proofs, _, err := judge(t, s, a, true, true)
		require.NoError(t, err)
		require.Equal(t, []string{captcha.CodeReplayed}, codes)
		require.Empty(t, proofs)
	})
	t.Run("too late", func(t *testing.T) {
		a := attempt(inFlow())
		c.Advance(6 * time.Minute)
		codes, _, _, err := judge(t, s, a, true, true)
		require.NoError(t, err)
		require.Equal(t, []string{captcha.CodeExpired}, codes)
	})
}

func TestSignalAskRefuses(t *testing.T) {
	ctx := context.Background()
	fixed := captchatest.Pass()
	s := newSignal(t, fixed, nil)
	_, err := s.Ask(ctx, risk.Question{Proof: risk.ProofPhone})
	require.ErrorContains(t, err, "phone")
	_, err = newSignal(t, onlyVerify{fixed}, nil).Ask(ctx, risk.Question{Proof: risk.ProofHuman})
	require.ErrorContains(t, err, "no tasks")
	boom := errors.New("boom")
	_, err = newSignal(t, captchatest.Erring(boom), nil).Ask(ctx, risk.Question{Proof: risk.ProofHuman})
	require.ErrorIs(t, err, boom)
	_, err = s.Ask(ctx, risk.Question{Proof: risk.ProofHuman, Score: 50, Failures: 2, Flow: "f", Attempt: attempt("")})
	require.NoError(t, err)
	require.Equal(t, []captcha.ChallengeRequest{{Action: "signup", Tenant: "t1", Session: "s-42", Flow: "f", Score: 50, Failures: 2, Visitor: "192.0.2.0/24"}}, fixed.Asked())
}

// onlyVerify hides what else a provider can do.
type onlyVerify struct{ p captcha.Provider }

func (o onlyVerify) Name() string { return o.p.Name() }
func (o onlyVerify) Verify(ctx context.Context, in captcha.Request) (captcha.Result, error) {
	return o.p.Verify(ctx, in)
}

func TestSignalDescription(t *testing.T) {
	c := newClock()
	d := newSignal(t, newPoW(t, c, newGuard(t, c)), nil).Describe()
	require.Equal(t, "captcha", d.Name)
	require.Equal(t, risk.Stored, d.Cost)
	require.Equal(t, 250*time.Millisecond, d.Timeout)
	require.Equal(t, risk.FailChallenge, d.OnError)
	require.Equal(t, []risk.Proof{risk.ProofHuman}, d.Proofs)
	points := map[string]int{}
	for _, code := range d.Codes {
		require.Equal(t, "human", code.Group)
		points[code.Name] = code.Points
		if code.State == risk.Invalid {
			require.GreaterOrEqual(t, code.Points, 8, "rubbish is never better than nothing: %s", code.Name)
		}
	}
	require.Equal(t, map[string]int{"passed": -6, "absent": 8, "expired": 8, "invalid": 18, "replayed": 18, "mismatch": 20,
		"medium_risk": 8, "high_risk": 18, "second_failed": 10, "unverified": 8, "fallback": 0, "anomaly": 0}, points)
	remote := newSignal(t, onlyVerify{captchatest.Pass()}, &captcha.SignalOptions{OnError: risk.FailReview}).Describe()
	require.Equal(t, risk.Remote, remote.Cost)
	require.Zero(t, remote.Timeout)
	require.Equal(t, risk.FailReview, remote.OnError)
	require.Equal(t, risk.Remote, newSignal(t, &captchatest.Fixed{Networked: true}, nil).Describe().Cost)
}

func TestNewSignalRefuses(t *testing.T) {
	p := captchatest.Pass()
	for name, o := range map[string]captcha.SignalOptions{
		"local": {Cost: risk.Local}, "no cost": {Cost: 9}, "timeout": {Timeout: -1}, "fail mode": {OnError: 9},
		"evidence": {MaxEvidence: 1 << 20}, "no evidence": {MaxEvidence: -1},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := captcha.NewSignal(p, &o)
			require.Error(t, err)
			require.Nil(t, s)
		})
	}
	_, err := captcha.NewSignal(nil, nil)
	require.ErrorContains(t, err, "NewPoW")
	_, err = captcha.NewSignal(nameless{}, nil)
	require.ErrorContains(t, err, "no name")
}

type nameless struct{ onlyVerify }

func (nameless) Name() string { return "" }

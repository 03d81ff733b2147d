package risk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

func TestCleanAttemptIsAllowed(t *testing.T) {
	e := engine(t, nil, prover("captcha", risk.ProofHuman, risk.Remote))
	s := e.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp})
	require.True(t, s.Allowed())
	require.Equal(t, 12, s.Score)
	require.InDelta(t, 0.01, s.Chance, 0.001)
	require.Empty(t, s.Require)
	require.Empty(t, s.Flow)
	require.NotEmpty(t, s.ID)
}

func TestNobodyIsAllowedByDefault(t *testing.T) {
	var none *risk.Assessment
	require.False(t, none.Allowed())
	require.False(t, (&risk.Assessment{}).Allowed())
}

func TestScoreBounds(t *testing.T) {
	for _, row := range []struct {
		points int
		score  int
		action risk.Action
	}{
		{18, 30, risk.Allow}, {19, 31, risk.Challenge}, {48, 60, risk.Challenge}, {49, 61, risk.Review},
		{78, 90, risk.Review}, {79, 91, risk.Block}, {100, 100, risk.Block},
	} {
		signals := []risk.Signal{bad("x", row.points), prover("captcha", risk.ProofHuman, risk.Remote)}
		spec := risk.DefaultPolicy(signals).Spec()
		spec.Groups["x"] = risk.Group{Hi: 100}
		p, err := risk.NewPolicy(spec)
		require.NoError(t, err)
		e, err := risk.NewEngine(p, signals, nil)
		require.NoError(t, err)
		s := e.Assess(t.Context(), &risk.Attempt{})
		require.Equal(t, row.score, s.Score)
		require.Equal(t, row.action, s.Action, "score %d", s.Score)
		require.Equal(t, s.Score, total(s.Reasons))
	}
}

func TestReasonsNameGroupsCutsAndClamp(t *testing.T) {
	many := says(risk.Description{Name: "ip", Codes: []risk.Code{
		{Name: "tor", Points: 22, Group: "network"}, {Name: "vpn", Points: 12, Group: "network"},
		{Name: "hosting", Points: 12, Group: "network", Public: "your network"}, {Name: "note"},
	}}, func(_ *risk.Attempt, f *risk.Finding) {
		f.Observe("ip.hosting")
		f.Observe("vpn")
		f.Observe("tor")
		f.Observe("note")
	})
	s := engine(t, nil, many, prover("captcha", risk.ProofHuman, risk.Remote)).Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, []risk.Reason{
		{Code: "base", Points: 12},
		{Signal: "ip", Code: "tor", Group: "network", Points: 22},
		{Signal: "ip", Code: "hosting", Group: "network", Points: 6, Public: "your network"},
		{Signal: "ip", Code: "vpn", Group: "network", Points: 3},
		{Code: "cap", Group: "network", Points: -1},
		{Signal: "ip", Code: "note", Group: "ip"},
	}, s.Reasons)
	require.Equal(t, 42, s.Score)
}

func TestPartialDegreesReorder(t *testing.T) {
	s := engine(t, nil, says(risk.Description{Name: "x", Codes: []risk.Code{{Name: "big", Points: 20}, {Name: "small", Points: 8}}},
		func(_ *risk.Attempt, f *risk.Finding) {
			f.ObserveAt("big", 0.1)
			f.ObserveAt("big", 0.2) // the strongest report counts
			f.Observe("small")
		})).Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, []risk.Reason{{Code: "base", Points: 12}, {Signal: "x", Code: "small", Group: "x", Points: 8},
		{Signal: "x", Code: "big", Group: "x", Points: 2}}, s.Reasons)
}

func TestAssessNeverWritesToTheAttempt(t *testing.T) {
	greedy := says(risk.Description{Name: "greedy"}, func(a *risk.Attempt, _ *risk.Finding) { a.Email, a.IP = "x", netip.Addr{} })
	e := engine(t, nil, greedy, says(risk.Description{Name: "later", Codes: []risk.Code{{Name: "changed", Points: 50}}},
		func(a *risk.Attempt, f *risk.Finding) {
			if a.Email == "x" {
				f.Observe("changed")
			}
		}))
	a := &risk.Attempt{Email: "a@example.com"}
	require.True(t, e.Assess(t.Context(), a).Allowed())
	require.Equal(t, &risk.Attempt{Email: "a@example.com"}, a)
}

// Whatever proofs the signals give, there is a default policy.
func TestDefaultPolicyForEverySetOfProofs(t *testing.T) {
	proofs := []risk.Proof{risk.ProofHuman, risk.ProofPhone, risk.ProofVoice, risk.ProofDevice, risk.ProofPasskey}
	for set := range 1 << len(proofs) {
		signals := []risk.Signal{bad("ip", 30)}
		for i, p := range proofs {
			if set&(1<<i) != 0 {
				signals = append(signals, prover(string(p), p, risk.Stored))
			}
		}
		s := engine(t, nil, signals...).Assess(t.Context(), &risk.Attempt{})
		require.GreaterOrEqual(t, s.Action, risk.Challenge, "%v", signals)
	}
}

func TestNilAttemptAndNoSignals(t *testing.T) {
	e := engine(t, nil)
	require.True(t, e.Assess(t.Context(), nil).Allowed())
}

func TestErrorsAndFailModes(t *testing.T) {
	boom := errors.New("provider down for a@example.com")
	for _, row := range []struct {
		mode   risk.FailMode
		points int
		want   risk.Action
	}{
		{risk.FailOpen, 90, risk.Allow},
		{risk.FailChallenge, 10, risk.Allow}, // it could not have mattered
		{risk.FailChallenge, 90, risk.Challenge},
		{risk.FailReview, 30, risk.Challenge}, // it could have led to a challenge at most
		{risk.FailReview, 90, risk.Review},
		{risk.FailClosed, 90, risk.Block},
	} {
		d := risk.Description{Name: "x", Cost: risk.Remote, OnError: row.mode, Codes: []risk.Code{{Name: "bad", Points: row.points}}}
		signals := []risk.Signal{errs(d, boom), prover("captcha", risk.ProofHuman, risk.Remote)}
		spec := risk.DefaultPolicy(signals).Spec()
		spec.Groups["x"] = risk.Group{Hi: 100}
		p, err := risk.NewPolicy(spec)
		require.NoError(t, err)
		e, err := risk.NewEngine(p, signals, nil)
		require.NoError(t, err)
		s := e.Assess(t.Context(), &risk.Attempt{})
		require.Equal(t, row.want, s.Action, "%s with %d points", row.mode, row.points)
		require.Equal(t, 12, s.Score, "an error adds no points")
		if s.Degraded {
			require.Equal(t, risk.CauseError, s.Errors[0].Cause)
			require.ErrorIs(t, s.Errors[0], boom)
			require.NotContains(t, s.Errors[0].Error(), "example.com")
		}
	}
}

func TestRetryLiftsAllowToWait(t *testing.T) {
	c := newClock()
	until := c.t.Add(time.Minute)
	limit := says(risk.Description{Name: "limit", Counts: true, Codes: []risk.Code{{Name: "slow"}}}, func(_ *risk.Attempt, f *risk.Finding) {
		f.Observe("slow")
		f.Retry(until)
		f.Retry(until.Add(-time.Second))
	})
	s := engine(t, &risk.Options{Now: c.now}, limit).Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, risk.Wait, s.Action)
	require.Equal(t, until, s.Until)
	c.t = until
	require.True(t, engine(t, &risk.Options{Now: c.now}, limit).Assess(t.Context(), &risk.Attempt{}).Allowed())
}

func TestHangUpChangesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tor := risk.SignalFunc{
		Description: risk.Description{Name: "ip", Cost: risk.Remote, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "tor", Points: 30}}},
		Func: func(ctx context.Context, _ *risk.Attempt, f *risk.Finding) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			f.Observe("tor")
			return nil
		},
	}
	s := engine(t, nil, tor, prover("captcha", risk.ProofHuman, risk.Remote)).Assess(ctx, &risk.Attempt{})
	require.Equal(t, risk.Challenge, s.Action)
	require.False(t, s.Degraded)
}

func TestDeadlineIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var mu sync.Mutex
		var late []string
		hang := risk.SignalFunc{
			Description: risk.Description{Name: "x", Cost: risk.Remote, OnError: risk.FailReview, Codes: []risk.Code{{Name: "bad", Points: 90}}},
			Func: func(context.Context, *risk.Attempt, *risk.Finding) error {
				<-release
				return nil
			},
		}
		e := engine(t, &risk.Options{Hooks: &risk.Hooks{Late: func(s string, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, s)
		}}}, hang)
		start := time.Now()
		s := e.Assess(t.Context(), &risk.Attempt{})
		require.Equal(t, 400*time.Millisecond, time.Since(start))
		require.Equal(t, risk.CauseTimeout, s.Errors[0].Cause)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start = time.Now()
		e.Assess(ctx, &risk.Attempt{})
		require.Less(t, time.Since(start), 30*time.Millisecond, "the caller's deadline is shorter")
		close(release)
		synctest.Wait()
		require.Equal(t, []string{"x", "x"}, late)
	})
}

func TestCostlySignalsAreStepUps(t *testing.T) {
	asked := 0
	costly := says(risk.Description{Name: "lookup", Cost: risk.Costly, Codes: []risk.Code{{Name: "bad", Points: 20}}},
		func(*risk.Attempt, *risk.Finding) { asked++ })
	s := engine(t, nil, costly).Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, 0, asked)
	require.Equal(t, []string{"lookup"}, s.Unused)
	s = engine(t, nil, costly, bad("ip", 30)).Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, 1, asked)
	require.Empty(t, s.Unused)
}

func TestWhatAClientCannotGiveIsNotMissed(t *testing.T) {
	absent := says(risk.Description{Name: "passkey", Codes: []risk.Code{{Name: "absent", Points: 6}}, Proofs: []risk.Proof{risk.ProofHuman}},
		func(a *risk.Attempt, f *risk.Finding) {
			if a.Asked(risk.ProofHuman) {
				f.Observe("absent")
			}
		})
	e := engine(t, nil, bad("ip", 22), absent)
	a := risk.Attempt{}
	a.Flow = e.Assess(t.Context(), &a).Flow
	require.Equal(t, []string{"absent", "bad"}, codesOf(e.Assess(t.Context(), &a)))
	a.Cannot = []risk.Proof{risk.ProofHuman}
	a.Flow = e.Assess(t.Context(), &risk.Attempt{}).Flow
	s := e.Assess(t.Context(), &a)
	require.Equal(t, []string{"bad"}, codesOf(s))
	require.Equal(t, risk.Review, s.Action)
}

// codesOf lists the codes among the reasons, in alphabetical order.
func codesOf(s *risk.Assessment) (codes []string) {
	for _, r := range s.Reasons {
		if r.Signal != "" {
			codes = append(codes, r.Code)
		}
	}
	slices.Sort(codes)
	return codes
}

func TestEarlyStopSkipsWhatCannotMatter(t *testing.T) {
	asked := false
	ip := says(risk.Description{Name: "ip", Cost: risk.Remote, Codes: []risk.Code{{Name: "bad", Points: 10}}},
		func(*risk.Attempt, *risk.Finding) { asked = true })
	deny := says(risk.Description{Name: "lists", Codes: []risk.Code{{Name: "deny", Floor: risk.Block}}},
		func(_ *risk.Attempt, f *risk.Finding) { f.Observe("deny") })
	signals := []risk.Signal{ip, deny}
	spec := risk.DefaultPolicy(signals).Spec()
	*spec.Sampling = 0
	p, err := risk.NewPolicy(spec)
	require.NoError(t, err)
	e, err := risk.NewEngine(p, signals, nil)
	require.NoError(t, err)
	s := e.Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, risk.Block, s.Action)
	require.Equal(t, []string{"ip"}, s.Skipped)
	require.False(t, asked)
	*spec.Sampling = 1
	p, err = risk.NewPolicy(spec)
	require.NoError(t, err)
	require.NoError(t, e.Reload(p))
	s = e.Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, risk.Block, s.Action)
	require.Empty(t, s.Skipped)
	require.True(t, asked)
}

func TestNeededFactsReachLaterSignals(t *testing.T) {
	first := says(risk.Description{Name: "ip", Facts: []risk.FactType{{Name: "country", Kind: risk.Text}, {Name: "other", Kind: risk.Number}}},
		func(_ *risk.Attempt, f *risk.Finding) {
			f.Text("country", "NO")
			f.Number("other", 1)
		})
	later := says(risk.Description{Name: "phone", Cost: risk.Stored, Needs: []string{"ip.country"}, Codes: []risk.Code{{Name: "abroad", Points: 25}}},
		func(a *risk.Attempt, f *risk.Finding) {
			if v, ok := a.Fact("ip.country"); ok && v.Text() == "NO" {
				f.Observe("abroad")
			}
			if _, ok := a.Fact("ip.other"); ok {
				panic("a fact that Needs does not list")
			}
		})
	s := engine(t, nil, first, later).Assess(t.Context(), &risk.Attempt{})
	require.Equal(t, 37, s.Score)
	require.Empty(t, s.Errors)
}

func TestBadDeclarationsAreRefused(t *testing.T) {
	ok := func(d risk.Description) risk.Description {
		if d.Name == "" {
			d.Name = "x"
		}
		return d
	}
	for want, d := range map[string]risk.Description{
		"Cost is not set":                 {Name: "x", OnError: risk.FailOpen},
		"OnError is not set":              {Name: "x", Cost: risk.Local},
		"always asked":                    {Name: "x", Cost: risk.Costly, Counts: true, OnError: risk.FailOpen},
		"Go identifier":                   {Name: "x-y", Cost: risk.Local, OnError: risk.FailOpen},
		"keyword":                         {Name: "func", Cost: risk.Local, OnError: risk.FailOpen},
		"engine's own":                    {Name: "flow", Cost: risk.Local, OnError: risk.FailOpen},
		"declared twice":                  ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "a"}, {Name: "x.a"}}}),
		"want -100 to 100":                ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "a", Points: 101}}}),
		"cannot be good evidence":         ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "a", Points: -1, State: risk.Absent}}}),
		"floor must be":                   ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "a", Floor: risk.Wait}}}),
		"Kind is not set":                 ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Facts: []risk.FactType{{Name: "a"}}}),
		"Timeout is negative":             ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Timeout: -1}),
		"want 1 to 64 bytes":              ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Proofs: []risk.Proof{""}}),
		"which signal y gives no earlier": ok(risk.Description{Cost: risk.Local, OnError: risk.FailOpen, Needs: []string{"y.f"}}),
	} {
		y := says(risk.Description{Name: "y", Facts: []risk.FactType{{Name: "f", Kind: risk.Number}}}, func(*risk.Attempt, *risk.Finding) {})
		signals := []risk.Signal{y, errs(d, nil)}
		_, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
		require.ErrorContains(t, err, want)
	}
	twice := []risk.Signal{bad("x", 1), bad("x", 1)}
	_, err := risk.NewEngine(risk.DefaultPolicy(twice), twice, nil)
	require.ErrorContains(t, err, "registered already")
	_, err = risk.NewEngine(risk.DefaultPolicy(nil), []risk.Signal{nil}, nil)
	require.ErrorContains(t, err, "nil")
	_, err = risk.NewEngine(nil, nil, nil)
	require.ErrorContains(t, err, "DefaultPolicy")
}

func TestSlogSinkAndJSONHoldNoPersonalData(t *testing.T) {
	var buf bytes.Buffer
	sink := risk.NewSlogSink(slog.New(slog.NewTextHandler(&buf, nil)))
	e := engine(t, &risk.Options{Sinks: []risk.Sink{sink}}, bad("ip", 22), prover("captcha", risk.ProofHuman, risk.Remote))
	a := with(risk.Attempt{Event: risk.SignUp, IP: netip.MustParseAddr("198.51.100.7"), Email: "secret@example.com", Account: "acct-77",
		Header: map[string][]string{"User-Agent": {"secret-agent"}}}, proofToken("secret-token"))
	s := e.Assess(t.Context(), a)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	all := buf.String() + string(text) + fmt.Sprintf("%v %+v %#v %s", *a, a, *a, a)
	for _, private := range []string{"198.51.100.7", "secret", "acct-77"} {
		require.NotContains(t, all, private)
	}
	require.NotContains(t, buf.String()+string(text), s.Flow)
	require.Contains(t, buf.String(), "ip.bad +22")
	require.Contains(t, buf.String(), "action=challenge")
}

func TestSinkFailuresChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var heard []error
		hang := risk.SinkFunc(func(ctx context.Context, _ *risk.Decision) error { <-ctx.Done(); return ctx.Err() })
		panics := risk.SinkFunc(func(context.Context, *risk.Decision) error { panic("sink") })
		var got *risk.Decision
		keep := risk.SinkFunc(func(_ context.Context, d *risk.Decision) error { got = d; return nil })
		e := engine(t, &risk.Options{Sinks: []risk.Sink{panics, hang, keep}, Hooks: &risk.Hooks{SinkError: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, err)
		}}}, bad("x", 4))
		s := e.Assess(t.Context(), &risk.Attempt{})
		require.True(t, s.Allowed())
		require.Len(t, heard, 2)
		require.Equal(t, "x", got.Findings[0].Signal)
		require.Same(t, s, got.Assessment)
	})
}

func TestShadowPoliciesNeverTouchTheAnswer(t *testing.T) {
	signals := []risk.Signal{bad("ip", 10)}
	live := risk.DefaultPolicy(signals)
	spec := live.Spec()
	spec.Name, spec.Points = "strict", map[string]int{"ip.bad": 90}
	spec.Groups = map[string]risk.Group{"ip": {Hi: 100}}
	strict, err := risk.NewPolicy(spec)
	require.NoError(t, err)
	e, err := risk.NewEngine(live, signals, &risk.Options{Shadow: []*risk.Policy{strict}})
	require.NoError(t, err)
	s := e.Assess(t.Context(), &risk.Attempt{})
	require.True(t, s.Allowed())
	require.Len(t, s.Shadow, 1)
	require.Equal(t, risk.Block, s.Shadow[0].Action)
	require.Equal(t, 100, s.Shadow[0].Score)
	require.Equal(t, strict.Hash(), s.Shadow[0].Policy.Hash)
	require.False(t, s.Shadow[0].Open)
}

func TestPrivateIsRedactedEverywhere(t *testing.T) {
	p := risk.Private("secret")
	type holder struct{ P risk.Private }
	text, err := json.Marshal(map[string]any{"p": p, "h": holder{p}})
	require.NoError(t, err)
	out := string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out += fmt.Sprintf(verb, p) + fmt.Sprintf(verb, holder{p}) + fmt.Sprintf(verb, &holder{p})
	}
	require.NotContains(t, out, "secret")
	require.NotContains(t, out, "736563726574")
	require.Equal(t, "secret", string(p))
	var back holder
	require.NoError(t, json.Unmarshal([]byte(`{"P":"clear"}`), &back))
	require.Equal(t, risk.Private("clear"), back.P)
}

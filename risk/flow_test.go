package risk_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// spyFlows is a MemoryFlows that fails where it is told to.
type spyFlows struct {
	*risk.MemoryFlows
	fail map[string]error
	keys []string
	data []string
}

func (s *spyFlows) Create(ctx context.Context, key string, state []byte, ttl time.Duration) error {
	s.keys, s.data = append(s.keys, key), append(s.data, string(state))
	if err := s.fail["create"]; err != nil {
		return err
	}
	return s.MemoryFlows.Create(ctx, key, state, ttl)
}

func (s *spyFlows) Load(ctx context.Context, key string) (risk.FlowRecord, bool, error) {
	if err := s.fail["load"]; err != nil {
		return risk.FlowRecord{}, false, err
	}
	return s.MemoryFlows.Load(ctx, key)
}

func (s *spyFlows) Update(ctx context.Context, key string, v uint64, state []byte, spent bool) (bool, error) {
	s.data = append(s.data, string(state))
	if err := s.fail["update"]; err != nil {
		return false, err
	}
	return s.MemoryFlows.Update(ctx, key, v, state, spent)
}

func (s *spyFlows) Spend(ctx context.Context, key string) (bool, error) {
	if err := s.fail["spend"]; err != nil {
		return false, err
	}
	return s.MemoryFlows.Spend(ctx, key)
}

// suspicious signals challenge everybody, for a human and a phone.
func suspicious() []risk.Signal {
	return []risk.Signal{bad("ip", 22), prover("captcha", risk.ProofHuman, risk.Stored), prover("phone", risk.ProofPhone, risk.Stored)}
}

func TestFlowStepByStep(t *testing.T) {
	e := engine(t, nil, suspicious()...)
	first := e.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, Session: "s", Phone: "+4712345678"})
	require.Equal(t, risk.Challenge, first.Action)
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, first.Require)
	again := risk.Attempt{Event: risk.SignUp, Session: "s", Phone: "+4712345678", Flow: first.Flow}

	second := e.Assess(t.Context(), with(again, proofToken(risk.ProofHuman)))
	require.Equal(t, risk.Challenge, second.Action)
	require.Equal(t, []risk.Proof{risk.ProofPhone}, second.Require)
	require.Equal(t, first.Flow, second.Flow)
	require.Equal(t, 28, second.Score, "34 less 6 for the captcha")

	third := e.Assess(t.Context(), with(again, proofToken(risk.ProofPhone)))
	require.Equal(t, risk.Allow, third.Action, "what was required stays required, and all of it is given")
	require.Empty(t, third.Flow)

	fourth := e.Assess(t.Context(), with(again, proofToken(risk.ProofPhone), proofToken(risk.ProofHuman)))
	require.Equal(t, risk.Challenge, fourth.Action, "a flow is spent once")
	require.Contains(t, codes(fourth), "flow.spent")
	require.NotEqual(t, first.Flow, fourth.Flow)
}

func TestAbsentOnlyWhenItWasTheLastProofAskedFor(t *testing.T) {
	e := engine(t, nil, suspicious()...)
	a := risk.Attempt{Event: risk.SignUp}
	first := e.Assess(t.Context(), &a)
	a.Flow = first.Flow
	require.NotContains(t, codes(e.Assess(t.Context(), &a)), "captcha.absent", "two proofs are missing: one of them may come first")
	e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
	s := e.Assess(t.Context(), &a)
	require.Contains(t, codes(s), "phone.absent")
	require.NotContains(t, codes(s), "captcha.absent")
}

func codes(s *risk.Assessment) (out []string) {
	for _, r := range s.Reasons {
		if r.Signal != "" {
			out = append(out, r.Signal+"."+r.Code)
		}
	}
	return out
}

func TestFlowBindings(t *testing.T) {
	base := risk.Attempt{Event: risk.SignUp, Tenant: "t", Session: "s", Device: []string{"d1", "d0"}, Email: "a@example.com", Phone: "+4712345678"}
	for name, row := range map[string]struct {
		change func(a *risk.Attempt)
		code   string
		action risk.Action
	}{
		"same":            {func(*risk.Attempt) {}, "", risk.Allow},
		"rotated device":  {func(a *risk.Attempt) { a.Device = []string{"d2", "d1"} }, "", risk.Allow},
		"e-mail left out": {func(a *risk.Attempt) { a.Email = "" }, "", risk.Allow},
		"session":         {func(a *risk.Attempt) { a.Session = "other" }, "flow.mismatch", risk.Challenge},
		"no session":      {func(a *risk.Attempt) { a.Session = "" }, "flow.mismatch", risk.Challenge},
		"device":          {func(a *risk.Attempt) { a.Device = []string{"x"} }, "flow.mismatch", risk.Challenge},
		"no device":       {func(a *risk.Attempt) { a.Device = nil }, "flow.mismatch", risk.Challenge},
		"tenant":          {func(a *risk.Attempt) { a.Tenant = "u" }, "flow.mismatch", risk.Challenge},
		"event":           {func(a *risk.Attempt) { a.Event = risk.PayoutChange }, "flow.mismatch", risk.Challenge},
		"phone":           {func(a *risk.Attempt) { a.Phone = "+4787654321" }, "flow.changed", risk.Challenge},
		"garbage":         {func(a *risk.Attempt) { a.Flow = "%%%" }, "flow.unknown", risk.Challenge},
		"other flow":      {func(a *risk.Attempt) { a.Flow = a.Flow[:len(a.Flow)-2] + "AA" }, "flow.unknown", risk.Challenge},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine(t, nil, suspicious()...)
			a := base
			a.Flow = e.Assess(t.Context(), &a).Flow
			e.Assess(t.Context(), with(a, proofToken(risk.ProofPhone)))
			row.change(&a)
			s := e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
			require.Equal(t, row.action, s.Action, "%v", s.Reasons)
			if row.code != "" {
				require.Contains(t, codes(s), row.code)
				require.Contains(t, s.Require, risk.ProofPhone)
			}
		})
	}
}

func TestChangedIdentifierIsJudgedAgain(t *testing.T) {
	email := says(risk.Description{Name: "email", Codes: []risk.Code{{Name: "disposable", Points: 14}}}, func(a *risk.Attempt, f *risk.Finding) {
		if a.Email == "burner@example.com" {
			f.Observe("disposable")
		}
	})
	e := engine(t, nil, append(suspicious(), email)...)
	a := risk.Attempt{Event: risk.SignUp, Email: "good@example.com"}
	a.Flow = e.Assess(t.Context(), &a).Flow
	a.Email = "burner@example.com"
	require.Contains(t, codes(e.Assess(t.Context(), &a)), "email.disposable", "the finding about the first address does not vouch for the second")
}

func TestKeptFindingsAreNotAskedAgain(t *testing.T) {
	asked := map[string]int{}
	count := func(name string, counts bool, say func(f *risk.Finding)) risk.Signal {
		return says(risk.Description{Name: name, Counts: counts, Codes: []risk.Code{{Name: "bad", Points: 22}}}, func(_ *risk.Attempt, f *risk.Finding) {
			asked[name]++
			say(f)
		})
	}
	e := engine(t, nil,
		count("ip", false, func(f *risk.Finding) { f.Observe("bad") }),
		count("charged", true, func(f *risk.Finding) { f.Receipt("r") }),
		count("denied", true, func(*risk.Finding) {}),
		prover("captcha", risk.ProofHuman, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp}
	a.Flow = e.Assess(t.Context(), &a).Flow
	s := e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
	require.True(t, s.Allowed())
	require.Contains(t, codes(s), "ip.bad", "what was said still counts")
	for _, r := range s.Reasons {
		require.Equal(t, r.Signal == "ip", r.Kept, "%s", r)
	}
	require.Equal(t, map[string]int{"ip": 1, "charged": 1, "denied": 2}, asked)
}

func TestAnotherAddressIsJudgedAgain(t *testing.T) {
	ip := says(risk.Description{Name: "ip", Codes: []risk.Code{{Name: "bad", Points: 22}, {Name: "tor", Points: 25}}}, func(a *risk.Attempt, f *risk.Finding) {
		f.Observe("bad")
		if a.IP == netip.MustParseAddr("192.0.2.66") {
			f.Observe("tor")
		}
	})
	e := engine(t, nil, ip, prover("captcha", risk.ProofHuman, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp, IP: netip.MustParseAddr("192.0.2.1")}
	a.Flow = e.Assess(t.Context(), &a).Flow
	a.IP = netip.MustParseAddr("192.0.2.66")
	s := e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
	require.Contains(t, codes(s), "ip.tor")
	require.NotContains(t, codes(s), "flow.changed", "moving from one network to another costs nothing by itself")
}

func TestFlowExpires(t *testing.T) {
	c := newClock()
	e := engine(t, &risk.Options{Now: c.now}, suspicious()...)
	a := risk.Attempt{Event: risk.SignUp}
	a.Flow = e.Assess(t.Context(), &a).Flow
	c.t = c.t.Add(15 * time.Minute)
	s := e.Assess(t.Context(), &a)
	require.Contains(t, codes(s), "flow.expired")
	require.Equal(t, 34, s.Score, "an expired flow costs nothing")
}

func TestConcurrentFinishers(t *testing.T) {
	e := engine(t, nil, suspicious()...)
	for range 20 {
		a := risk.Attempt{Event: risk.SignUp}
		a.Flow = e.Assess(t.Context(), &a).Flow
		e.Assess(t.Context(), with(a, proofToken(risk.ProofPhone)))
		var mu sync.Mutex
		var wg sync.WaitGroup
		allowed := 0
		for range 8 {
			wg.Go(func() {
				s := e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
				mu.Lock()
				defer mu.Unlock()
				if s.Allowed() {
					allowed++
				} else {
					require.Equal(t, risk.Challenge, s.Action)
					require.Contains(t, codes(s), "flow.spent")
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, allowed)
	}
}

func TestFlowStoreFailures(t *testing.T) {
	down := errors.New("down")
	for _, row := range []struct {
		op   string
		mode risk.FailMode
		want risk.Action
	}{
		{"create", 0, risk.Review},
		{"load", 0, risk.Review},
		{"load", risk.FailOpen, risk.Allow}, // a new attempt that brings its proof along
		{"load", risk.FailClosed, risk.Block},
		{"update", 0, risk.Review},
		{"spend", 0, risk.Review},
		{"spend", risk.FailOpen, risk.Review},
		{"spend", risk.FailClosed, risk.Block},
	} {
		var ops []string
		store := &spyFlows{MemoryFlows: risk.NewMemoryFlows(nil), fail: map[string]error{}}
		e := engine(t, &risk.Options{Flows: store, OnFlowError: row.mode,
			Hooks: &risk.Hooks{FlowError: func(op string, _ error) { ops = append(ops, op) }}},
			bad("ip", 22), prover("captcha", risk.ProofHuman, risk.Stored))
		a := risk.Attempt{Event: risk.SignUp}
		if row.op != "create" {
			a.Flow = e.Assess(t.Context(), &a).Flow
		}
		store.fail[row.op] = down
		next := with(a, proofToken(risk.ProofHuman))
		if row.op == "update" || row.op == "create" {
			next = &a
		}
		s := e.Assess(t.Context(), next)
		require.Equal(t, row.want, s.Action, "%s %s", row.op, row.mode)
		require.True(t, s.Degraded)
		require.Equal(t, []string{row.op}, ops)
	}
}

func TestFlowStoreSeesNoSecrets(t *testing.T) {
	store := &spyFlows{MemoryFlows: risk.NewMemoryFlows(nil)}
	e := engine(t, &risk.Options{Flows: store}, suspicious()...)
	a := risk.Attempt{Event: risk.SignUp, Tenant: "acme", Session: "secret-session", Email: "secret@example.com", Phone: "+4712345678",
		Account: "secret-account", Device: []string{"secret-device"}, IDs: map[string]risk.Private{"usdot": "1234567"}}
	a.Flow = e.Assess(t.Context(), &a).Flow
	e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
	require.NotEmpty(t, store.data)
	for _, text := range append(store.data, store.keys...) {
		for _, secret := range []string{"secret", "4712345678", "1234567", a.Flow} {
			require.NotContains(t, text, secret)
		}
	}
}

func TestUndoneReopensAFlowOnce(t *testing.T) {
	e := engine(t, nil, bad("ip", 22), prover("captcha", risk.ProofHuman, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp}
	a.Flow = e.Assess(t.Context(), &a).Flow
	s := e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
	require.True(t, s.Allowed())
	require.NoError(t, e.Settle(t.Context(), s, risk.Undone))
	s = e.Assess(t.Context(), &a)
	require.True(t, s.Allowed(), "the proof is kept: %v", s.Reasons)
	require.NoError(t, e.Settle(t.Context(), s, risk.Undone))
	require.Equal(t, risk.Challenge, e.Assess(t.Context(), &a).Action, "once")
}

func TestReopenedFlowsAreCountedAgain(t *testing.T) {
	asked := 0
	limits := says(risk.Description{Name: "limits", Counts: true}, func(_ *risk.Attempt, f *risk.Finding) {
		asked++
		f.Receipt("one charge")
	})
	e := engine(t, nil, limits, bad("ip", 22), prover("captcha", risk.ProofHuman, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp}
	a.Flow = e.Assess(t.Context(), &a).Flow
	s := e.Assess(t.Context(), with(a, proofToken(risk.ProofHuman)))
	require.True(t, s.Allowed())
	require.Equal(t, 1, asked, "charged already")
	require.NoError(t, e.Settle(t.Context(), s, risk.Undone))
	require.True(t, e.Assess(t.Context(), &a).Allowed())
	require.Equal(t, 2, asked, "what was charged has been refunded")
}

func TestOpenOffersAndPendingTellsWhatIsMissing(t *testing.T) {
	e := engine(t, nil, prover("captcha", risk.ProofHuman, risk.Stored), prover("phone", risk.ProofPhone, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp}
	s := e.Open(t.Context(), &a, risk.ProofPhone, risk.ProofHuman)
	require.Equal(t, risk.Challenge, s.Action)
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, s.Require)
	a.Flow = s.Flow
	pending, err := e.Pending(t.Context(), &a)
	require.NoError(t, err)
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, pending)
	require.True(t, e.Assess(t.Context(), &a).Allowed(), "what is offered is not required")
	pending, err = e.Pending(t.Context(), &a)
	require.NoError(t, err)
	require.Empty(t, pending, "the flow is spent")
	require.Equal(t, risk.Review, e.Open(t.Context(), &a, "nothing").Action)
}

func TestPendingSendsNothingAboveAChallenge(t *testing.T) {
	asked, full := 0, false
	limit := says(risk.Description{Name: "limit", Counts: true, Codes: []risk.Code{{Name: "soft", Points: 20, Floor: risk.Challenge}}},
		func(_ *risk.Attempt, f *risk.Finding) {
			asked++
			if full {
				f.Observe("soft")
				return
			}
			f.Receipt("charged")
		})
	e := engine(t, nil, limit, prover("captcha", risk.ProofHuman, risk.Stored), prover("phone", risk.ProofPhone, risk.Stored))
	a := risk.Attempt{Event: risk.SignUp}
	a.Flow = e.Open(t.Context(), &a).Flow
	for range 2 {
		pending, err := e.Pending(t.Context(), &a)
		require.NoError(t, err)
		require.Contains(t, pending, risk.ProofPhone)
	}
	require.Equal(t, 1, asked, "charged once for the flow")
	full = true
	a.Flow = ""
	a.Flow = e.Open(t.Context(), &a).Flow
	pending, err := e.Pending(t.Context(), &a)
	require.NoError(t, err)
	require.Equal(t, []risk.Proof{risk.ProofHuman}, pending)
}

func TestMemoryFlowsAreBounded(t *testing.T) {
	m := risk.NewMemoryFlows(&risk.MemoryFlowsOptions{Most: 3})
	for _, key := range []string{"a", "b", "c", "d"} {
		require.NoError(t, m.Create(t.Context(), key, nil, time.Hour))
	}
	require.Equal(t, 3, m.Len())
	_, ok, err := m.Load(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, ok, "the one that expires first makes room")
}

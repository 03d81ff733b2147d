package fingerprint_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/risk"
)

// onboarding is an engine that blocks a number's fourth flow in 24 hours, and asks for a proof where proof is true.
type onboarding struct {
	t      *testing.T
	clock  *clock
	engine *risk.Engine
	proof  bool
}

// human proves ProofHuman to those who have the session "person".
type human struct{}

func (human) Describe() risk.Description {
	return risk.Description{Name: "human", Cost: risk.Local, OnError: risk.FailOpen, Proofs: []risk.Proof{risk.ProofHuman}}
}

func (human) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	if a.Session == "person" {
		f.Prove(risk.ProofHuman)
	}
	return nil
}

func newOnboarding(t *testing.T, proof bool) *onboarding {
	t.Helper()
	c := newClock()
	velocity, err := fingerprint.NewVelocity(newSightings(t, newMemory(t, c.now), nil), nil)
	require.NoError(t, err)
	signals := []risk.Signal{velocity, human{}}
	spec := risk.DefaultPolicy(signals).Spec()
	spec.Rules = append(spec.Rules, risk.Rule{Name: "flows", When: "velocity.phone24h > 3", Floor: "block"})
	if proof {
		spec.Rules = append(spec.Rules, risk.Rule{Name: "person", When: "velocity.phone24h > 0", Require: []risk.Proof{risk.ProofHuman}})
	}
	p, err := risk.NewPolicy(spec)
	require.NoError(t, err)
	engine, err := risk.NewEngine(p, signals, &risk.Options{Now: c.now})
	require.NoError(t, err)
	return &onboarding{t, c, engine, proof}
}

// attempt is one that continues the flow, if that is not empty.
func (o *onboarding) attempt(flow string) *risk.Assessment {
	o.t.Helper()
	o.clock.advance(time.Second)
	a := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelWeb, Tenant: "t", Time: o.clock.now(), Phone: "+15550100000", Flow: flow}
	if flow != "" {
		a.Session = "person"
	}
	got := o.engine.Assess(o.t.Context(), a)
	require.Empty(o.t, got.Errors)
	return got
}

func (o *onboarding) settle(s *risk.Assessment, outcome risk.Outcome) {
	o.t.Helper()
	require.NoError(o.t, o.engine.Settle(o.t.Context(), s, outcome))
}

// TestUndoneDoesNotCount: attempts that the host's own failure undid are none of the three flows a day that are allowed.
func TestUndoneDoesNotCount(t *testing.T) {
	o := newOnboarding(t, false)
	for range 10 {
		got := o.attempt("")
		require.True(t, got.Allowed())
		o.settle(got, risk.Undone)
	}
	for i := range 3 {
		got := o.attempt("")
		require.True(t, got.Allowed(), "flow %d", i+1)
		o.settle(got, []risk.Outcome{risk.Completed, risk.Refused, risk.Completed}[i])
	}
	fourth := o.attempt("")
	require.Equal(t, risk.Block, fourth.Action)
	o.settle(fourth, risk.Undone)
	o.clock.advance(24*time.Hour - 5*time.Second)
	require.Equal(t, risk.Block, o.attempt("").Action, "the three are still there")
}

// TestUndoneFlowCountsOnce: a flow that reopens after our failure counts when it goes on, and once only.
func TestUndoneFlowCountsOnce(t *testing.T) {
	o := newOnboarding(t, true)
	flow := func(undo bool) bool {
		first := o.attempt("")
		if first.Action != risk.Challenge {
			return false
		}
		got := o.attempt(first.Flow)
		require.True(t, got.Allowed(), "%v", got.Reasons)
		if undo {
			o.settle(got, risk.Undone)
			got = o.attempt(first.Flow)
			require.True(t, got.Allowed(), "%v", got.Reasons)
		}
		o.settle(got, risk.Completed)
		return true
	}
	require.True(t, flow(true))
	require.True(t, flow(false))
	require.True(t, flow(true))
	require.False(t, flow(false), "the fourth: each of the three counts")
}

func TestReceipts(t *testing.T) {
	c := newClock()
	for name, opts := range map[string]*fingerprint.SightingsOptions{
		"in process": nil, "ring": {Ring: newRing(t, 0, c.now, "k"), Now: c.now},
		"in two epochs and keys": {Ring: newRing(t, 30*24*time.Hour, nil, "b", "a")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSightings(t, newMemory(t, c.now), opts)
			visit := fingerprint.Visit{
				Tenant: "t", Attempt: "one", Device: "d", Print: "p", Similar: "s", Account: "a", Phone: "5550100", Email: "e@example.com",
				IDs:     []fingerprint.ID{{Kind: "usdot", Value: "1"}, {Kind: "mc", Value: "2"}, {Kind: "dot", Value: "3"}, {Kind: "ein", Value: "4"}},
				Receipt: true,
			}
			if name == "in two epochs and keys" {
				visit.At = time.Unix(0, 0).Add(30 * 24 * time.Hour * 700).Add(time.Hour)
			}
			got, err := s.See(t.Context(), visit)
			require.NoError(t, err)
			require.NotEmpty(t, got.Receipt)
			require.LessOrEqual(t, len(got.Receipt), 4096)
			for _, secret := range []string{"5550100", "example.com", "usdot"} {
				raw, err := base64.RawURLEncoding.DecodeString(got.Receipt)
				require.NoError(t, err)
				require.NotContains(t, string(raw), secret)
			}
			counts := func() (attempts, accounts int) {
				look := visit
				look.Attempt, look.Account, look.Email, look.Phone, look.IDs, look.Receipt = "", "", "", "", nil, false
				got, err := s.See(t.Context(), look)
				require.NoError(t, err)
				require.Empty(t, got.Receipt)
				require.True(t, got.Device.Before)
				return got.Device.Attempts[1].N, got.Device.Accounts[1].N
			}
			for range 2 {
				require.NoError(t, s.Undo(t.Context(), "t", got.Receipt))
				attempts, accounts := counts()
				require.Zero(t, attempts)
				require.Zero(t, accounts)
			}
			got, err = s.See(t.Context(), visit)
			require.NoError(t, err)
			// What was there before stays: the second visit's receipt takes back its attempt only.
			visit.Attempt = "two"
			second, err := s.See(t.Context(), visit)
			require.NoError(t, err)
			require.NoError(t, s.Undo(t.Context(), "t", second.Receipt))
			attempts, accounts := counts()
			require.Equal(t, 1, attempts)
			require.Equal(t, 1, accounts)

			raw, err := base64.RawURLEncoding.DecodeString(got.Receipt)
			require.NoError(t, err)
			text := base64.RawURLEncoding.EncodeToString
			with := func(i int, b byte) string {
				changed := bytes.Clone(raw)
				changed[i] = b
				return text(changed)
			}
			for name, bad := range map[string]string{
				"empty": "", "no base64": "***", "version": with(0, 9), "cut": text(raw[:len(raw)-1]), "cut time": text(raw[:20]),
				"no time": text(append(append(bytes.Clone(raw[:18]), make([]byte, 6)...), raw[24:]...)), "longer": text(append(bytes.Clone(raw), 0)),
				"subject twice": text(append(bytes.Clone(raw), raw[1:]...)), "dimension": with(24, 9), "far dimension": with(24, 204),
				"many members": with(1, 9), "huge": strings.Repeat("A", 10_000),
			} {
				require.ErrorIs(t, s.Undo(t.Context(), "t", bad), fingerprint.ErrReceipt, name)
			}
			require.NoError(t, s.Undo(t.Context(), "t", text(raw[:1])), "of a visit that added nothing")
		})
	}
	s := newSightings(t, broken{}, &fingerprint.SightingsOptions{Ring: newRing(t, 0, nil, "k")})
	healthy := newSightings(t, newMemory(t, nil), &fingerprint.SightingsOptions{Ring: newRing(t, 0, nil, "k")})
	got, err := healthy.See(t.Context(), fingerprint.Visit{Attempt: "x", Device: "d", Receipt: true})
	require.NoError(t, err)
	require.Error(t, s.Undo(t.Context(), "", got.Receipt), "the store is down")
}

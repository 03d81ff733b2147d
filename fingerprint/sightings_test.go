package fingerprint_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/identity"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// What asks for the reuse of a business identifier can be given sightings.
var _ identity.Reuse = (*fingerprint.Sightings)(nil)

// TestThreeFlowsADay is the rule "more than three onboarding flows in 24 hours", for each thing that is counted.
func TestThreeFlowsADay(t *testing.T) {
	const day = 24 * time.Hour
	things := map[string]func(a *risk.Attempt){
		"device":   func(a *risk.Attempt) { a.Device = []string{"k.1.AAAAAAAAAAAAAAAAAAAAAA"} },
		"phone":    func(a *risk.Attempt) { a.Phone = "+1 (555) 010-0000" },
		"email":    func(a *risk.Attempt) { a.Email = "Person@example.com" },
		"ip":       func(a *risk.Attempt) { a.IP = netip.MustParseAddr("2001:db8::1") },
		"business": func(a *risk.Attempt) { a.IDs = map[string]risk.Private{"usdot": "USDOT 1234567"} },
	}
	for thing, set := range things {
		t.Run(thing, func(t *testing.T) {
			c := newClock()
			velocity, err := fingerprint.NewVelocity(newSightings(t, newMemory(t, c.now), nil), nil)
			require.NoError(t, err)
			signals := []risk.Signal{velocity}
			p := risk.DefaultPolicy(signals)
			spec := p.Spec()
			spec.Rules = append(spec.Rules, risk.Rule{Name: "flows", When: "velocity." + thing + "24h > 3", Floor: "block"})
			p, err = risk.NewPolicy(spec)
			require.NoError(t, err)
			engine, err := risk.NewEngine(p, signals, &risk.Options{Now: c.now})
			require.NoError(t, err)
			n := 0
			flow := func() risk.Action {
				n++
				a := &risk.Attempt{Event: risk.SignUp, Tenant: "t", ID: fmt.Sprint("attempt", n), Time: c.now()}
				set(a)
				got := engine.Assess(t.Context(), a)
				require.Empty(t, got.Errors)
				return got.Action
			}
			for _, step := range []struct {
				wait  time.Duration
				block bool
			}{
				{0, false},                   // 1: at 0 h
				{time.Hour, false},           // 2: at 1 h
				{time.Hour, false},           // 3: at 2 h, the third is allowed
				{time.Hour, true},            // 4: at 3 h
				{day - 3*time.Hour, true},    // 5: at 24 h the first has gone: 2, 3, 4, 5
				{time.Hour - 1, true},        // 6: a moment before the second goes: 2 to 6
				{30 * time.Hour, false},      // 7: alone
				{time.Millisecond, false},    // 8
				{time.Millisecond, false},    // 9
				{day - time.Second, true},    // 10: all three are still there
				{2 * time.Second, false},     // 11: 10 and 11 only
				{-time.Millisecond, false},   // 12: a clock that goes back loses nothing
				{2 * time.Millisecond, true}, // 13
			} {
				c.advance(step.wait)
				require.Equal(t, step.block, flow() == risk.Block, "flow %d", n)
			}
		})
	}
}

func TestCollectors(t *testing.T) {
	c := newClock()
	s := newSightings(t, newMemory(t, c.now), nil)
	see := func(v fingerprint.Visit) fingerprint.Sighting {
		v.Tenant = "t"
		got, err := s.See(t.Context(), v)
		require.NoError(t, err)
		return got
	}
	var got fingerprint.Sighting
	for i := range 5 {
		got = see(fingerprint.Visit{
			Attempt: fmt.Sprint(i), Device: "d", IP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
			Email: fmt.Sprint("e", i), Phone: fmt.Sprint("p", i%2),
		})
		c.advance(time.Minute)
	}
	require.Equal(t, 5, got.Device.IPs[0].N)
	require.Equal(t, 5, got.Device.Accounts[1].N)
	require.Equal(t, 2, got.Device.Phones[2].N)
	require.Equal(t, 5, got.Device.Attempts[0].N)
	require.True(t, got.Device.Before)
	require.Equal(t, 1, got.IP.Devices[0].N)

	for i := range 4 { // one network, many devices, one account
		got = see(fingerprint.Visit{Attempt: fmt.Sprint("b", i), Device: fmt.Sprint("x", i), IP: netip.MustParseAddr("198.51.100.7"), Account: "acct"})
	}
	require.Equal(t, 4, got.IP.Devices[0].N)
	require.Equal(t, 1, got.IP.Accounts[0].N)
	require.Equal(t, 4, got.Account.Devices[0].N)
	require.False(t, got.Device.Before)

	// The same attempt counts once; another tenant has its own counts; addresses of one /64 are one network.
	v := fingerprint.Visit{Attempt: "once", Device: "y", IP: netip.MustParseAddr("2001:db8::1")}
	see(v)
	v.IP = netip.MustParseAddr("2001:db8::ffff:1%eth0")
	got = see(v)
	require.Equal(t, 1, got.Device.Attempts[0].N)
	require.Equal(t, 1, got.Device.IPs[0].N)
	other, err := s.See(t.Context(), fingerprint.Visit{Tenant: "u", Attempt: "z", Device: "y"})
	require.NoError(t, err)
	require.False(t, other.Device.Before)
	mapped := see(fingerprint.Visit{Attempt: "m", IP: netip.MustParseAddr("::ffff:198.51.100.7")})
	require.Equal(t, 5, mapped.IP.Attempts[0].N, "IPv4 in IPv6 is IPv4")

	none, err := s.See(t.Context(), fingerprint.Visit{Tenant: "t", Attempt: "nothing"})
	require.NoError(t, err)
	require.Equal(t, fingerprint.Sighting{}, none)
}

func TestUsesAndForget(t *testing.T) {
	c := newClock()
	s := newSightings(t, newMemory(t, c.now), &fingerprint.SightingsOptions{Ring: newRing(t, 0, c.now, "k"), Now: c.now})
	for i, account := range []string{"a", "b", "a", "c"} {
		n, err := s.Uses(t.Context(), "t", "usdot", " 12-34.567", account)
		require.NoError(t, err)
		require.Equal(t, []int{1, 2, 2, 3}[i], n)
	}
	n, err := s.Uses(t.Context(), "t", "mc", "1234567", "a")
	require.NoError(t, err)
	require.Equal(t, 1, n, "another kind of identifier")
	n, err = s.Uses(t.Context(), "t", "usdot", "", "a")
	require.NoError(t, err)
	require.Zero(t, n)

	v := fingerprint.Visit{Tenant: "t", Attempt: "1", Device: "d", Email: "e"}
	_, err = s.See(t.Context(), v)
	require.NoError(t, err)
	require.NoError(t, s.Forget(t.Context(), v))
	got, err := s.See(t.Context(), fingerprint.Visit{Tenant: "t", Attempt: "2", Device: "d"})
	require.NoError(t, err)
	require.False(t, got.Device.Before)
	require.Equal(t, 1, got.Device.Attempts[0].N)
}

// TestRotation is the suite's, in memory.
func TestRotation(t *testing.T) { fingerprinttest.TestRotation(t, newMemory(t, newClock().now)) }

// TestRotationDaily visits once a day for two epochs: every answer is what an uninterrupted count would be.
func TestRotationDaily(t *testing.T) {
	const day = 24 * time.Hour
	start := time.Unix(0, 0).Add(10 * day * 2000).UTC()
	c := &clock{start}
	for name, tags := range map[string]bool{"device": false, "tags": true} {
		t.Run(name, func(t *testing.T) {
			ring := newRing(t, 10*day, c.now, "k")
			s := newSightings(t, newMemory(t, c.now), &fingerprint.SightingsOptions{Ring: ring})
			for i := range 45 {
				at := start.Add(time.Duration(i)*day + time.Hour)
				v := fingerprint.Visit{Tenant: "t", Attempt: fmt.Sprint(i), IP: netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), Email: fmt.Sprint("e", i), At: at}
				if tags {
					v.Tags = ring.Tags("test.device", "t", "raw", at)
				} else {
					v.Device = "raw"
				}
				got, err := s.See(t.Context(), v)
				require.NoError(t, err)
				want := min(i+1, 7)
				require.Equal(t, want, got.Device.Attempts[2].N, "day %d", i)
				require.Equal(t, want, got.Device.IPs[2].N, "day %d", i)
				require.Equal(t, want, got.Device.Accounts[2].N, "day %d", i)
			}
		})
	}
}

// TestKeyRotation changes the ring's key: both are written and the older one counts until it is taken out.
func TestKeyRotation(t *testing.T) {
	c := newClock()
	store := newMemory(t, c.now)
	with := func(ids ...string) *fingerprint.Sightings {
		return newSightings(t, store, &fingerprint.SightingsOptions{Ring: newRing(t, keyed.NoEpochs, c.now, ids...), Now: c.now})
	}
	n := 0
	see := func(s *fingerprint.Sightings) int {
		n++
		got, err := s.See(t.Context(), fingerprint.Visit{Tenant: "t", Attempt: fmt.Sprint(n), Device: "d", Email: fmt.Sprint(n)})
		require.NoError(t, err)
		return got.Device.Accounts[2].N
	}
	require.Equal(t, 1, see(with("a")))
	require.Equal(t, 2, see(with("b", "a")))
	require.Equal(t, 3, see(with("b", "a")), "neither lost nor doubled")
	c.advance(6*24*time.Hour + 23*time.Hour)
	require.Equal(t, 4, see(with("b", "a")))
	c.advance(2 * time.Hour)
	require.Equal(t, 2, see(with("b")), "the first three have gone by time, not by key")
}

func TestSightingsOptions(t *testing.T) {
	m := newMemory(t, nil)
	for name, o := range map[string]*fingerprint.SightingsOptions{
		"short epochs": {Ring: newRing(t, 7*24*time.Hour, nil, "k")},
		"three keys":   {Ring: newRing(t, 0, nil, "a", "b", "c")},
		"short keep":   {Keep: time.Hour},
		"long keep":    {Keep: 400 * 24 * time.Hour},
		"networks":     {IPv4Bits: 33},
		"timeout":      {Timeout: -1},
	} {
		_, err := fingerprint.NewSightings(m, o)
		require.Error(t, err, name)
	}
	_, err := fingerprint.NewSightings(nil, nil)
	require.Error(t, err)
	_, err = fingerprint.NewSightings(broken{}, nil)
	require.ErrorContains(t, err, "Ring")
	for name, o := range map[string]*fingerprint.MemoryOptions{"subjects": {Subjects: -1}, "cap": {Cap: 128}, "small cap": {Cap: 2}} {
		_, err := fingerprint.NewMemory(o)
		require.Error(t, err, name)
	}
	for name, o := range map[string]*fingerprint.VelocityOptions{"attempts": {MaxAttempts: -1}, "accounts": {MaxIPAccounts: 127}, "devices": {MaxDevices: -1}, "network": {MaxIPDevices: 127}, "mode": {OnError: 9}, "timeout": {Timeout: -1}} {
		_, err := fingerprint.NewVelocity(newSightings(t, m, nil), o)
		require.Error(t, err, name)
	}
	_, err = fingerprint.NewVelocity(nil, nil)
	require.Error(t, err)
	_, err = fingerprint.NewSignal(&fingerprint.SignalOptions{FarmIPs: 1})
	require.Error(t, err)
}

// broken is a store that cannot tell.
type broken struct{}

func (broken) See(context.Context, *fingerprint.Batch) error           { return errors.New("down") }
func (broken) Undo(context.Context, *fingerprint.Batch) error          { return errors.New("down") }
func (broken) Forget(context.Context, string, []fingerprint.Key) error { return errors.New("down") }

func TestOutage(t *testing.T) {
	s := newSightings(t, broken{}, &fingerprint.SightingsOptions{Ring: newRing(t, 0, nil, "k")})
	velocity, err := fingerprint.NewVelocity(s, nil)
	require.NoError(t, err)
	device, err := fingerprint.NewSignal(nil)
	require.NoError(t, err)
	signals := []risk.Signal{velocity, device}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	got := engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, Email: "person@example.com"})
	require.True(t, got.Degraded)
	require.NotEqual(t, risk.Block, got.Action, "an outage alone blocks nobody")
	require.Error(t, s.Forget(t.Context(), fingerprint.Visit{Email: "e"}))
}

func TestMemoryBound(t *testing.T) {
	c := newClock()
	m, err := fingerprint.NewMemory(&fingerprint.MemoryOptions{Subjects: 1000, Now: c.now})
	require.NoError(t, err)
	s := newSightings(t, m, nil)
	busy := func(i int) fingerprint.Sighting {
		got, err := s.See(t.Context(), fingerprint.Visit{Attempt: fmt.Sprint("b", i), Device: "busy"})
		require.NoError(t, err)
		return got
	}
	for i := range 10 {
		busy(i)
	}
	for i := range 20_000 {
		_, err := s.See(t.Context(), fingerprint.Visit{Attempt: fmt.Sprint(i), Device: fmt.Sprint("flood", i)})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, m.Len(), 1000+3)
	require.NotZero(t, m.Evicted())
	require.Equal(t, 11, busy(10).Device.Attempts[0].N, "a flood evicts its own kind")
	require.True(t, m.InProcess())
}

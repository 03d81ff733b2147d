package phonetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

// Store is all that package phone keeps.
type Store interface {
	phone.Store
	phone.RouteStore
	phone.SightingStore
}

// k makes keys.
func k(name string, args ...any) (key phone.Key) {
	s := fmt.Sprintf(name, args...)
	for i := range s {
		key[i%16] = key[i%16]*31 + s[i] + byte(i)
	}
	key[15] |= 1
	return key
}

type suite struct {
	t     *testing.T
	s     Store
	clock *Clock
	id    string // keeps cases of a shared store apart
}

// StoreConform checks a store against the contract of [phone.Store], [phone.RouteStore] and [phone.SightingStore]. newStore
// makes a store that goes by the given clock; stores may share what they keep.
func StoreConform(t *testing.T, newStore func(t *testing.T, now func() time.Time) Store) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"issue and check", (*suite).issueAndCheck}, {"resend", (*suite).resend}, {"cooldowns", (*suite).cooldowns},
		{"quotas", (*suite).quotas}, {"settle", (*suite).settle}, {"failures", (*suite).failures}, {"binding", (*suite).binding},
		{"expiry", (*suite).expiry}, {"idempotence", (*suite).idempotence}, {"hosted", (*suite).hosted},
		{"routes", (*suite).routes}, {"holds", (*suite).holds}, {"deliveries", (*suite).deliveries}, {"sightings", (*suite).sightings},
		{"requests out of bounds", (*suite).bounds}, {"parallel guesses", (*suite).parallelGuesses},
		{"parallel right answers", (*suite).parallelRight}, {"parallel issues", (*suite).parallelIssues}, {"canceled", (*suite).canceled},
		{"decoys", (*suite).decoys}, {"clock set back", (*suite).clockBack}, {"clock jumps ahead", (*suite).clockAhead},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := NewClock()
			c.run(&suite{t: t, s: newStore(t, clock.Now), clock: clock, id: fmt.Sprint(time.Now().UnixNano(), c.name)})
		})
	}
}

func (s *suite) ctx() context.Context { return context.Background() }

func (s *suite) issue(change func(*phone.Issue)) *phone.Issue {
	s.t.Helper()
	r := &phone.Issue{Tenant: s.id, Record: k("r%s", s.id), Phone: k("p%s", s.id), Flow: k("f"), Seed: k("seed"), MAC: k("right"), Channel: phone.SMS,
		TTL: 5 * time.Minute, Fresh: time.Minute, Tries: 5, Sends: 3, Cooldowns: []time.Duration{30 * time.Second, time.Minute}}
	if change != nil {
		change(r)
	}
	require.NoError(s.t, s.s.Issue(s.ctx(), r))
	return r
}

func (s *suite) checking(mac string) *phone.Check {
	return &phone.Check{Tenant: s.id, Record: k("r%s", s.id), Flow: k("f"), MACs: []phone.Key{k("%s", mac)}, Grant: k("g%s", s.id), GrantTTL: 15 * time.Minute}
}

func (s *suite) check(mac string, change func(*phone.Check)) *phone.Check {
	s.t.Helper()
	r := s.checking(mac)
	if change != nil {
		change(r)
	}
	require.NoError(s.t, s.s.Check(s.ctx(), r))
	return r
}

func (s *suite) granted() phone.Grant {
	s.t.Helper()
	g, err := s.s.Granted(s.ctx(), s.id, k("g%s", s.id))
	require.NoError(s.t, err)
	return g
}

func (s *suite) issueAndCheck() {
	require.Equal(s.t, phone.Gone, s.check("right", nil).Outcome)
	r := s.issue(nil)
	require.Equal(s.t, phone.Issued, r.Outcome)
	require.Equal(s.t, s.clock.Now().UnixMilli(), r.At.UnixMilli())
	require.Equal(s.t, s.clock.Now().Add(5*time.Minute).UnixMilli(), r.Expires.UnixMilli())
	require.Equal(s.t, k("seed"), r.LiveSeed)
	require.Equal(s.t, k("right"), r.LiveMAC)
	require.Equal(s.t, 1, r.Sent)
	require.Equal(s.t, 30*time.Second, r.RetryAfter)
	require.Zero(s.t, s.granted())
	for left := 4; left >= 2; left-- {
		c := s.check("wrong", nil)
		require.Equal(s.t, phone.Wrong, c.Outcome)
		require.Equal(s.t, left, c.Left)
	}
	require.Equal(s.t, phone.Grant{Wrong: 3}, s.granted())
	c := s.check("wrong", func(c *phone.Check) { c.MACs = append(c.MACs, k("old"), k("right")) })
	require.Equal(s.t, phone.Right, c.Outcome, "any of the peppers")
	require.Equal(s.t, phone.SMS, c.Channel)
	g := s.granted()
	require.Equal(s.t, s.clock.Now().UnixMilli(), g.At.UnixMilli())
	require.Equal(s.t, phone.SMS, g.Channel)
	require.Equal(s.t, 3, g.Wrong)
	require.Equal(s.t, phone.Gone, s.check("right", nil).Outcome, "used")
	s.clock.Pass(15*time.Minute - time.Millisecond)
	require.NotZero(s.t, s.granted())
	s.clock.Pass(time.Millisecond)
	require.Zero(s.t, s.granted())
	other, err := s.s.Granted(s.ctx(), s.id, k("nobody"))
	require.NoError(s.t, err)
	require.Zero(s.t, other)
}

func (s *suite) resend() {
	s.issue(nil)
	s.check("wrong", nil)
	s.clock.Pass(30 * time.Second)
	again := s.issue(func(r *phone.Issue) { r.Seed, r.MAC, r.Channel = k("seed2"), k("right2"), phone.Voice })
	require.Equal(s.t, phone.Resend, again.Outcome)
	require.Equal(s.t, k("seed"), again.LiveSeed)
	require.Equal(s.t, 2, again.Sent)
	c := s.check("right2", nil)
	require.Equal(s.t, phone.Wrong, c.Outcome)
	require.Equal(s.t, 3, c.Left, "tries are not refilled")
	require.Equal(s.t, phone.Voice, c.Channel)
	s.clock.Pass(3*time.Minute + 31*time.Second)
	fresh := s.issue(func(r *phone.Issue) { r.Seed, r.MAC = k("seed2"), k("right2") })
	require.Equal(s.t, phone.Issued, fresh.Outcome, "less than Fresh is left")
	require.Equal(s.t, phone.Wrong, s.check("right", nil).Outcome, "the old one is dead")
	require.Equal(s.t, phone.Right, s.check("right2", nil).Outcome)
	for i := range 4 {
		s.clock.Pass(time.Minute)
		want := phone.Resend
		if i == 0 || i == 3 {
			want = phone.Issued
		}
		require.Equal(s.t, want, s.issue(nil).Outcome, i)
	}
	s.clock.Pass(time.Minute)
	require.Equal(s.t, phone.Issued, s.issue(func(r *phone.Issue) { r.Flow = k("f2") }).Outcome, "another flow has another code")
	require.Equal(s.t, phone.Gone, s.check("right", nil).Outcome)
}

func (s *suite) binding() {
	s.issue(nil)
	for _, change := range []func(*phone.Check){
		func(c *phone.Check) { c.Flow = k("f2") }, func(c *phone.Check) { c.Record = k("x%s", s.id) }, func(c *phone.Check) { c.Tenant += "x"; c.Record = k("y%s", s.id) },
	} {
		require.Equal(s.t, phone.Gone, s.check("right", change).Outcome)
	}
	require.Equal(s.t, 4, s.check("wrong", nil).Left, "and no try was used up")
}

func (s *suite) expiry() {
	s.issue(nil)
	s.clock.Pass(5*time.Minute - time.Millisecond)
	require.Equal(s.t, phone.Wrong, s.check("wrong", nil).Outcome)
	s.clock.Pass(time.Millisecond)
	require.Equal(s.t, phone.Gone, s.check("right", nil).Outcome)
	require.Equal(s.t, phone.Issued, s.issue(nil).Outcome)
}

func (s *suite) idempotence() {
	named := func(name string) func(*phone.Issue) { return func(r *phone.Issue) { r.Request = k("%s", name) } }
	require.Equal(s.t, phone.Issued, s.issue(named("a")).Outcome)
	r := s.issue(named("a"))
	require.Equal(s.t, phone.Duplicate, r.Outcome)
	require.Equal(s.t, 1, r.Sent)
	require.Equal(s.t, k("seed"), r.LiveSeed)
	s.clock.Pass(40 * time.Second)
	require.Equal(s.t, phone.Duplicate, s.issue(named("a")).Outcome, "also after the cool-down")
	require.Equal(s.t, phone.Resend, s.issue(named("b")).Outcome)
	require.Equal(s.t, phone.Duplicate, s.issue(named("b")).Outcome)
	require.Equal(s.t, phone.Duplicate, s.issue(named("a")).Outcome, "a late repetition of an earlier one")
	require.Equal(s.t, phone.Cooling, s.issue(nil).Outcome, "no name is no duplicate")
}

func (s *suite) hosted() {
	limits := []phone.Quota{{Key: k("hour%s", s.id), Window: time.Hour, Max: 3, Cost: 1}}
	r := s.issue(nil)
	require.NoError(s.t, s.s.Settle(s.ctx(), &phone.Settle{Tenant: s.id, Record: r.Record, Flow: r.Flow, At: r.At, Ref: "VE1"}))
	reserve := func(c *phone.Check) { c.Mode, c.Failures, c.MACs = phone.Reserve, limits, nil }
	first := s.check("", reserve)
	require.Equal(s.t, phone.Reserved, first.Outcome)
	require.Equal(s.t, "VE1", first.Sent)
	require.Equal(s.t, 4, first.Left)
	require.Equal(s.t, phone.Reserved, s.check("", reserve).Outcome)
	confirm := func(c *phone.Check) {
		c.Mode, c.Failures, c.MACs, c.At, c.Ref = phone.Confirm, limits, nil, first.Now, "VE1"
	}
	require.Equal(s.t, phone.Gone, s.check("", func(c *phone.Check) { confirm(c); c.Ref = "VE2" }).Outcome)
	require.Equal(s.t, phone.Right, s.check("", confirm).Outcome)
	require.Equal(s.t, phone.Gone, s.check("", confirm).Outcome, "once")
	require.Equal(s.t, phone.SMS, s.granted().Channel)
	s.clock.Pass(time.Minute)
	s.issue(nil)
	require.Equal(s.t, phone.Reserved, s.check("", reserve).Outcome, "the failure of the right one was taken back")
	require.Equal(s.t, phone.Reserved, s.check("", reserve).Outcome)
	require.Equal(s.t, phone.Barred, s.check("", reserve).Outcome)
}

func (s *suite) bounds() {
	good := phone.Issue{Channel: phone.SMS, TTL: time.Minute, Tries: 1, Sends: 1, Cooldowns: []time.Duration{0}}
	for name, change := range map[string]func(*phone.Issue){
		"ttl": func(r *phone.Issue) { r.TTL = 0 }, "tries": func(r *phone.Issue) { r.Tries = 0 }, "sends": func(r *phone.Issue) { r.Sends = 0 },
		"cooldowns": func(r *phone.Issue) { r.Cooldowns = nil }, "negative": func(r *phone.Issue) { r.Cooldowns = []time.Duration{-1} },
		"channel": func(r *phone.Issue) { r.Channel = 0 }, "routes": func(r *phone.Issue) { r.Routes = make([]phone.Key, phone.MaxQuotas+1) },
		"window": func(r *phone.Issue) { r.Quotas = []phone.Quota{{Key: k("x")}} },
		"twice": func(r *phone.Issue) {
			r.Quotas = []phone.Quota{{Key: k("x"), Window: time.Hour}, {Key: k("x"), Window: time.Hour}}
		},
	} {
		r := good
		change(&r)
		require.ErrorIs(s.t, s.s.Issue(s.ctx(), &r), phone.ErrRequest, name)
	}
	require.ErrorIs(s.t, s.s.Check(s.ctx(), &phone.Check{GrantTTL: time.Minute}), phone.ErrRequest)
	require.ErrorIs(s.t, s.s.Check(s.ctx(), &phone.Check{MACs: []phone.Key{{}}}), phone.ErrRequest)
	require.ErrorIs(s.t, s.s.Check(s.ctx(), &phone.Check{Mode: 9, GrantTTL: time.Minute}), phone.ErrRequest)
	require.ErrorIs(s.t, s.s.Settle(s.ctx(), &phone.Settle{Ref: string(make([]byte, 300))}), phone.ErrRequest)
	require.ErrorIs(s.t, s.s.Sight(s.ctx(), &phone.Sighting{Offset: 1000}), phone.ErrRequest)
}

func (s *suite) canceled() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := s.checking("right")
	require.Error(s.t, s.s.Check(ctx, r))
	_, err := s.s.Granted(ctx, s.id, k("g"))
	require.Error(s.t, err)
	require.Error(s.t, s.s.Sight(ctx, &phone.Sighting{Tenant: s.id}))
	_, err = s.s.Routes(ctx, s.id, []phone.Key{k("r")})
	require.Error(s.t, err)
}

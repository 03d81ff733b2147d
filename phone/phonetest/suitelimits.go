package phonetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func (s *suite) cooldowns() {
	for i, wait := range []time.Duration{30 * time.Second, time.Minute, time.Minute} {
		r := s.issue(nil)
		require.Less(s.t, r.Outcome, phone.Duplicate, i)
		require.Equal(s.t, wait, r.RetryAfter)
		s.clock.Pass(wait - time.Millisecond)
		for range 3 {
			// Another purpose and flow, the same number; refusals do not prolong it.
			c := s.issue(func(r *phone.Issue) { r.Record, r.Flow = k("other%s", s.id), k("f9") })
			require.Equal(s.t, phone.Cooling, c.Outcome)
			require.Equal(s.t, time.Millisecond, c.RetryAfter)
		}
		s.clock.Pass(time.Millisecond)
	}
	s.clock.Pass(time.Hour)
	require.Equal(s.t, 30*time.Second, s.issue(nil).RetryAfter, "begins again")
}

func (s *suite) free(i int, q ...phone.Quota) *phone.Issue {
	return s.issue(func(r *phone.Issue) {
		r.Record, r.Phone, r.Quotas = k("r%s%d", s.id, i), k("p%s%d", s.id, i), q
	})
}

func (s *suite) quotas() {
	a := phone.Quota{Key: k("a%s", s.id), Window: time.Hour, Max: 3, Cost: 1}
	b := phone.Quota{Key: k("b%s", s.id), Window: 24 * time.Hour, Max: 1 << 52, Cost: 1 << 50, Money: true}
	for i := range 3 {
		require.Equal(s.t, phone.Issued, s.free(i, a, b).Outcome)
	}
	r := s.free(3, b, a)
	require.Equal(s.t, phone.Exceeded, r.Outcome)
	require.Equal(s.t, 1, r.Quota)
	require.Greater(s.t, r.RetryAfter, 55*time.Minute)
	require.LessOrEqual(s.t, r.RetryAfter, 65*time.Minute)
	require.Equal(s.t, phone.Issued, s.free(4, b).Outcome, "what was refused was charged nowhere")
	require.Equal(s.t, phone.Exceeded, s.free(5, b).Outcome)
	s.clock.Pass(r.RetryAfter - time.Millisecond)
	require.Equal(s.t, phone.Exceeded, s.free(6, a).Outcome)
	s.clock.Pass(time.Millisecond)
	require.Equal(s.t, phone.Issued, s.free(7, a).Outcome)
	look := a
	look.Cost, look.Max = 0, 0
	require.Equal(s.t, phone.Exceeded, s.free(8, look).Outcome, "1 is more than 0")
	look.Max = 1
	require.Equal(s.t, phone.Issued, s.free(9, look).Outcome)
	require.Equal(s.t, phone.Issued, s.free(10, look).Outcome, "looking costs nothing")
}

func (s *suite) settle() {
	q := phone.Quota{Key: k("q%s", s.id), Window: time.Hour, Max: 10, Cost: 10}
	r := s.free(0, q)
	require.Equal(s.t, phone.Issued, r.Outcome)
	settle := func(delta int64, at time.Time) {
		c := q
		c.Cost = delta
		require.NoError(s.t, s.s.Settle(s.ctx(), &phone.Settle{Tenant: s.id, Record: k("r%s0", s.id), Flow: k("f"), At: at, Adjust: []phone.Quota{c}}))
	}
	settle(-4, r.At)
	seven := q
	seven.Cost = 5
	require.Equal(s.t, phone.Exceeded, s.free(1, seven).Outcome)
	seven.Cost = 4
	require.Equal(s.t, phone.Issued, s.free(2, seven).Outcome)
	settle(-100, r.At)
	require.Equal(s.t, phone.Issued, s.free(3, q).Outcome, "never below zero")
	settle(-10, r.At.Add(-30*time.Minute))
	require.Equal(s.t, phone.Exceeded, s.free(4, seven).Outcome, "nothing was charged then")
	settle(5, r.At)
	s.clock.Pass(50 * time.Minute)
	settle(-15, r.At)
	require.Equal(s.t, phone.Issued, s.free(5, q).Outcome, "given back where it was charged")
}

func (s *suite) failures() {
	limits := []phone.Quota{{Key: k("hour%s", s.id), Window: time.Hour, Max: 7, Cost: 1}, {Key: k("day%s", s.id), Window: 24 * time.Hour, Max: 9, Cost: 1}}
	fails := func(c *phone.Check) { c.Failures = limits }
	s.issue(nil)
	for range 5 {
		require.Equal(s.t, phone.Wrong, s.check("wrong", fails).Outcome)
	}
	require.Equal(s.t, phone.Gone, s.check("right", fails).Outcome, "five tries")
	s.clock.Pass(time.Minute)
	require.Equal(s.t, phone.Issued, s.issue(func(r *phone.Issue) { r.Failures = limits; r.Flow = k("f2") }).Outcome)
	other := func(c *phone.Check) { c.Failures, c.Flow = limits, k("f2") }
	for range 2 {
		require.Equal(s.t, phone.Wrong, s.check("wrong", other).Outcome)
	}
	require.Equal(s.t, phone.Barred, s.check("right", other).Outcome, "the right one too")
	s.clock.Pass(time.Minute)
	r := s.issue(func(r *phone.Issue) { r.Failures = limits })
	require.Equal(s.t, phone.LockedOut, r.Outcome)
	require.Positive(s.t, r.RetryAfter)
	s.clock.Pass(66 * time.Minute)
	require.Equal(s.t, phone.Issued, s.issue(func(r *phone.Issue) { r.Failures = limits }).Outcome)
	for range 2 {
		require.Equal(s.t, phone.Wrong, s.check("wrong", fails).Outcome)
	}
	require.Equal(s.t, phone.Barred, s.check("right", fails).Outcome, "a day's worth")
}

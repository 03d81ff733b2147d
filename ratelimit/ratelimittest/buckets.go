package ratelimittest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

func (s *suite) gcra() {
	c := s.perMinute("a", 5) // one per 12 s
	type step struct {
		after   int64
		cost    int64
		level   ratelimit.Level
		debt    int64 // afterwards
		wait    int64
		exceeds bool
	}
	for i, st := range []step{
		{0, 1, ratelimit.Allow, 12 * second, 0, false},
		{0, 4, ratelimit.Allow, 60 * second, 0, false},
		{0, 0, ratelimit.Allow, 60 * second, 0, false},
		{0, 1, ratelimit.Deny, 60 * second, 12 * second, true},
		{12*second - 1, 1, ratelimit.Deny, 48*second + 1, 1, true},
		{1, 1, ratelimit.Allow, 60 * second, 0, false},
		{24 * second, 3, ratelimit.Deny, 36 * second, 12 * second, true},
		{0, 2, ratelimit.Allow, 60 * second, 0, false},
		{61 * second, 5, ratelimit.Allow, 60 * second, 0, false},
		{0, 5, ratelimit.Deny, 60 * second, 60 * second, true},
	} {
		s.now += st.after
		c.Cost = st.cost
		b := s.one(c)
		require.Equal(s, st.level, b.Level, "step %d", i)
		require.Equal(s, st.level == ratelimit.Allow, b.Charged, "step %d", i)
		require.Equal(s, st.debt, b.Buckets[0].Debt, "step %d", i)
		require.Equal(s, st.wait, b.Wait, "step %d", i)
		require.Equal(s, st.exceeds, b.Buckets[0].Exceeded, "step %d", i)
	}
}

func (s *suite) allOrNothing() {
	buckets := []ratelimit.Bucket{s.perMinute("ip", 10), s.perMinute("net", 20), s.perMinute("device", 1), s.perMinute("phone", 5), s.perMinute("global", 100)}
	require.Equal(s, ratelimit.Allow, s.decide(&ratelimit.Batch{Buckets: buckets}).Level)
	var before []int64
	for _, c := range buckets {
		before = append(before, s.debt(c))
	}
	for range 7 {
		b := s.decide(&ratelimit.Batch{Buckets: buckets})
		require.Equal(s, ratelimit.Deny, b.Level)
		require.False(s, b.Charged)
		for i := range b.Buckets {
			require.Equal(s, i == 2, b.Buckets[i].Exceeded)
		}
	}
	for i, c := range buckets {
		require.Equal(s, before[i], s.debt(c), "bucket %d", i)
	}
}

func (s *suite) changedLimits() {
	slow := ratelimit.Bucket{Key: s.key("a"), Interval: 60 * minute, Burst: 24, Cost: 24}
	require.Equal(s, ratelimit.Allow, s.one(slow).Level)
	fast := ratelimit.Bucket{Key: slow.Key, Interval: second, Burst: 5, Cost: 1}
	b := s.one(fast)
	require.Equal(s, ratelimit.Deny, b.Level)
	require.Equal(s, 5*second, b.Buckets[0].Debt, "a day's debt is cut to one full bucket of the new limit")
	s.now += second
	require.Equal(s, ratelimit.Allow, s.one(fast).Level)
	wide := ratelimit.Bucket{Key: slow.Key, Interval: second, Burst: 50, Cost: 45}
	require.Equal(s, ratelimit.Allow, s.one(wide).Level, "a raised burst is there at once")
}

func (s *suite) dryRun() {
	c, o := s.perMinute("a", 1), s.source("a")
	c.Weight = 1000
	ask := func(dry bool) *ratelimit.Batch {
		return s.decide(&ratelimit.Batch{DryRun: dry, Ladder: s.ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{o}})
	}
	for range 3 {
		b := ask(true)
		require.Equal(s, ratelimit.Allow, b.Level)
		require.False(s, b.Charged)
		require.Zero(s, b.Buckets[0].Debt)
	}
	require.True(s, ask(false).Charged)
	for range 3 {
		b := ask(true)
		require.Equal(s, ratelimit.Deny, b.Level)
		require.Zero(s, b.Sources[0].Score)
	}
	require.EqualValues(s, 1000, ask(false).Sources[0].Score)
}

func (s *suite) challenged() {
	soft, hard := s.perMinute("soft", 2), s.perMinute("hard", 4)
	soft.Soft = true
	ask := func(challenged bool) *ratelimit.Batch {
		return s.decide(&ratelimit.Batch{Challenged: challenged, Buckets: []ratelimit.Bucket{soft, hard}})
	}
	require.Equal(s, ratelimit.Allow, ask(false).Level)
	require.Equal(s, ratelimit.Allow, ask(false).Level)
	b := ask(false)
	require.Equal(s, ratelimit.Challenge, b.Level)
	require.Equal(s, 30*second, b.Wait)
	for range 2 {
		b = ask(true)
		require.Equal(s, ratelimit.Allow, b.Level)
		require.True(s, b.Charged)
		require.True(s, b.Buckets[0].Exceeded)
		require.Equal(s, minute, b.Buckets[0].Debt, "a soft bucket that is used up stays at its end")
	}
	b = ask(true)
	require.Equal(s, ratelimit.Deny, b.Level)
	require.Equal(s, 15*second, b.Wait, "only the hard bucket decides")
	require.Equal(s, ratelimit.Deny, ask(false).Level)
}

func (s *suite) hold() {
	c := s.perMinute("failures", 2)
	c.Hold = true
	for range 5 {
		b := s.one(c)
		require.Equal(s, ratelimit.Allow, b.Level)
		require.Zero(s, b.Buckets[0].Debt)
	}
	s.adjust(&ratelimit.Batch{Buckets: []ratelimit.Bucket{{Key: c.Key, Interval: c.Interval, Burst: c.Burst, Cost: 2}}})
	require.Equal(s, ratelimit.Deny, s.one(c).Level)
}

func (s *suite) chargeDenied() {
	c := s.perMinute("a", 2)
	c.ChargeDenied = true
	for range 2 {
		require.Equal(s, ratelimit.Allow, s.one(c).Level)
	}
	for _, debt := range []int64{90, 120, 120, 120} {
		b := s.one(c)
		require.Equal(s, ratelimit.Deny, b.Level)
		require.Equal(s, debt*second, b.Buckets[0].Debt)
		require.Equal(s, debt*second-30*second, b.Wait)
	}
	s.now += 89 * second
	require.Equal(s, ratelimit.Deny, s.one(c).Level)
	s.now += 2 * minute
	require.Equal(s, ratelimit.Allow, s.one(c).Level)
	other := s.perMinute("b", 1)
	require.Equal(s, ratelimit.Allow, s.one(other).Level)
	before := s.debt(c)
	require.Equal(s, ratelimit.Deny, s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c, other}}).Level)
	require.Equal(s, before, s.debt(c), "refused by another bucket")
}

func (s *suite) refund() {
	a, b := s.perMinute("a", 5), s.perMinute("b", 3)
	a.Cost, b.Cost = 2, 2
	give := func(units int64) {
		ra, rb := a, b
		ra.Cost, rb.Cost = -units, -units
		s.adjust(&ratelimit.Batch{Buckets: []ratelimit.Bucket{ra, rb}})
	}
	give(2)
	require.Zero(s, s.debt(a), "nothing to give back")
	s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{a, b}})
	give(1)
	require.Equal(s, 12*second, s.debt(a))
	require.Equal(s, 20*second, s.debt(b))
	give(3)
	require.Zero(s, s.debt(a), "more than was spent")
	require.Zero(s, s.debt(b))
	s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{a, b}})
	s.now += 10 * minute
	give(2)
	require.Zero(s, s.debt(a), "after it was regained")
	a.Cost = 5
	require.Equal(s, ratelimit.Allow, s.one(a).Level)
	a.Cost = 1
	require.Equal(s, ratelimit.Deny, s.one(a).Level, "a refund never grants more than a full bucket")
}

func (s *suite) report() {
	c := s.perMinute("a", 3)
	c.Cost = 2
	s.adjust(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c}})
	require.Equal(s, 40*second, s.debt(c))
	s.adjust(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c}})
	require.Equal(s, minute, s.debt(c), "charges end at an empty bucket")
	c.Cost = 1
	require.Equal(s, ratelimit.Deny, s.one(c).Level)
}

func (s *suite) forget() {
	c, other, o, kept := s.perMinute("a", 1), s.perMinute("b", 1), s.source("a"), s.source("b")
	s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c, other}})
	s.offend(o, 20_000)
	s.offend(kept, 20_000)
	require.NoError(s, s.store.Forget(context.Background(), &ratelimit.Batch{
		Buckets: []ratelimit.Bucket{{Key: c.Key}, {Key: s.key("never seen")}}, Sources: []ratelimit.Offender{{Key: o.Key}},
	}))
	require.Zero(s, s.debt(c))
	require.NotZero(s, s.debt(other))
	got, b := s.look(o)
	require.Equal(s, ratelimit.Allow, b.Level)
	require.Zero(s, got.Score)
	_, b = s.look(kept)
	require.Equal(s, ratelimit.Ban, b.Level)
}

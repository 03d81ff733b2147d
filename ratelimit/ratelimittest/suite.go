package ratelimittest

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// Epoch is the time, in microseconds since 1970, at which the suite's simulated time starts: 2026-11-21.
const Epoch int64 = 1_795_219_200_000_000

const (
	second = int64(1_000_000)
	minute = 60 * second
)

// Run tests that a store keeps the rules of ratelimit.Batch. newStore is called once per sub-test and may return the
// same store each time: the suite uses fresh keys. All but the sub-tests of clock and bursts judge by a simulated time
// that moves both ways.
func Run(t *testing.T, newStore func(t *testing.T) ratelimit.Store) {
	tests := []struct {
		name string
		f    func(s *suite)
	}{
		{"tags", (*suite).tags},
		{"gcra", (*suite).gcra},
		{"model", (*suite).model},
		{"all or nothing", (*suite).allOrNothing},
		{"changed limits", (*suite).changedLimits},
		{"dry run", (*suite).dryRun},
		{"challenged", (*suite).challenged},
		{"hold", (*suite).hold},
		{"charge denied", (*suite).chargeDenied},
		{"refund", (*suite).refund},
		{"report", (*suite).report},
		{"forget", (*suite).forget},
		{"offences", (*suite).offences},
		{"offence weights", (*suite).offenceWeights},
		{"decay", (*suite).decay},
		{"slow", (*suite).slow},
		{"repeat", (*suite).repeat},
		{"ban", (*suite).ban},
		{"ban grows", (*suite).banGrows},
		{"most", (*suite).most},
		{"clock goes back", (*suite).clockBack},
		{"forgive", (*suite).forgive},
		{"invalid batches", (*suite).invalid},
		{"own clock", (*suite).ownClock},
		{"burst", (*suite).burst},
		{"crossed keys", (*suite).crossedKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &suite{T: t, store: newStore(t), now: Epoch}
			_, err := rand.Read(s.salt[:])
			require.NoError(t, err)
			tt.f(s)
		})
	}
}

// suite is one sub-test: a store, a simulated time and keys of its own.
type suite struct {
	*testing.T
	store ratelimit.Store
	now   int64
	salt  [16]byte
}

// key is the key of a name, fresh in each sub-test.
func (s *suite) key(name string) ratelimit.Key {
	return s.store.Tag(append(s.salt[:len(s.salt):len(s.salt)], name...))
}

// perMinute is a bucket of n units a minute, of which an attempt takes one.
func (s *suite) perMinute(name string, n int64) ratelimit.Bucket {
	return ratelimit.Bucket{Key: s.key(name), Interval: minute / n, Burst: n, Cost: 1}
}

func (s *suite) source(name string) ratelimit.Offender {
	return ratelimit.Offender{Key: s.key("source " + name), Share: 1000, Most: ratelimit.Ban}
}

func (s *suite) ladder() *ratelimit.Ladder {
	return &ratelimit.Ladder{
		HalfLife: 30 * minute, SlowAt: 3000, ChallengeAt: 5000, BanAt: 10_000, Max: 80_000,
		Slow: 10 * second, Ban: 5 * minute, MaxBan: 24 * 60 * minute, Repeat: 500,
	}
}

func (s *suite) decide(b *ratelimit.Batch) *ratelimit.Batch {
	s.Helper()
	b.At = s.now
	require.NoError(s, s.store.Decide(context.Background(), b))
	require.Equal(s, s.now, b.Now)
	return b
}

func (s *suite) adjust(b *ratelimit.Batch) {
	s.Helper()
	b.At = s.now
	require.NoError(s, s.store.Adjust(context.Background(), b))
}

// one decides a single bucket.
func (s *suite) one(c ratelimit.Bucket) *ratelimit.Batch {
	s.Helper()
	return s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c}})
}

// debt looks at a bucket.
func (s *suite) debt(c ratelimit.Bucket) int64 {
	s.Helper()
	c.Cost = 0
	return s.decide(&ratelimit.Batch{DryRun: true, Buckets: []ratelimit.Bucket{c}}).Buckets[0].Debt
}

// offend adds points to a source.
func (s *suite) offend(o ratelimit.Offender, points int64) {
	s.Helper()
	s.adjust(&ratelimit.Batch{Offence: points, Ladder: s.ladder(), Sources: []ratelimit.Offender{o}})
}

// look judges a source with an empty batch and returns its answers.
func (s *suite) look(o ratelimit.Offender) (ratelimit.Offender, *ratelimit.Batch) {
	s.Helper()
	b := s.decide(&ratelimit.Batch{DryRun: true, Ladder: s.ladder(), Sources: []ratelimit.Offender{o}})
	return b.Sources[0], b
}

func (s *suite) tags() {
	texts := []string{"", "a", "b", "ab", "a\x00", "\x00a", "1.2.3.4", "1.2.3.40", fmt.Sprint(make([]byte, 4096))}
	seen := map[ratelimit.Key]string{}
	for _, text := range texts {
		k := s.store.Tag([]byte(text))
		require.Equal(s, k, s.store.Tag([]byte(text)))
		other, taken := seen[k]
		require.False(s, taken, "%q and %q have the same tag", text, other)
		seen[k] = text
	}
}

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

// model holds random batches, with time moving both ways and limits changing, against big integers.
func (s *suite) model() {
	r := mrand.New(mrand.NewPCG(20, 26))
	m := model{}
	keys := make([]ratelimit.Key, 6)
	for i := range keys {
		keys[i] = s.key(fmt.Sprint(i))
	}
	intervals := []int64{1, 7, 999_983, second, minute, 365 * 24 * 60 * minute / 3}
	for step := range 2000 {
		switch r.IntN(10) {
		case 0:
			s.now -= r.Int64N(10 * minute)
		case 1:
			s.now += r.Int64N(1000 * minute)
		default:
			s.now += r.Int64N(10 * second)
		}
		b := ratelimit.Batch{At: s.now, Challenged: r.IntN(4) == 0, DryRun: r.IntN(8) == 0}
		adjust := r.IntN(6) == 0
		for _, i := range r.Perm(len(keys))[:1+r.IntN(len(keys))] {
			c := ratelimit.Bucket{Key: keys[i], Interval: intervals[i], Burst: 1 + r.Int64N(6)}
			if r.IntN(3) == 0 {
				c.Interval = 1 + r.Int64N(2*c.Interval)
			}
			c.Cost = r.Int64N(min(c.Burst, 3) + 1)
			if adjust {
				c.Cost = 1 + r.Int64N(c.Burst)
				if r.IntN(2) == 0 {
					c.Cost = -c.Cost
				}
			}
			c.Soft, c.Hold, c.ChargeDenied = r.IntN(2) == 0, r.IntN(5) == 0, r.IntN(4) == 0
			b.Buckets = append(b.Buckets, c)
		}
		if adjust {
			m.adjust(&b, s.now)
			require.NoError(s, s.store.Adjust(context.Background(), &b))
			continue
		}
		want := m.decide(&b, s.now)
		require.NoError(s, s.store.Decide(context.Background(), &b))
		require.Equal(s, want.level, b.Level, "step %d", step)
		require.Equal(s, want.charged, b.Charged, "step %d", step)
		for i := range b.Buckets {
			require.Equal(s, want.exceeded[i], b.Buckets[i].Exceeded, "step %d, bucket %d", step, i)
			require.Equal(s, want.debt[i], b.Buckets[i].Debt, "step %d, bucket %d", step, i)
		}
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

func (s *suite) invalid() {
	valid := func() *ratelimit.Batch {
		return &ratelimit.Batch{
			At: s.now, Ladder: s.ladder(),
			Buckets: []ratelimit.Bucket{s.perMinute("a", 5), s.perMinute("b", 5)},
			Sources: []ratelimit.Offender{s.source("a"), s.source("b")},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(b *ratelimit.Batch)
	}{
		{"negative cost", func(b *ratelimit.Batch) { b.Buckets[0].Cost = -1 }},
		{"cost above burst", func(b *ratelimit.Batch) { b.Buckets[0].Cost = 6 }},
		{"greatest cost", func(b *ratelimit.Batch) { b.Buckets[1].Cost = math.MaxInt64 }},
		{"no interval", func(b *ratelimit.Batch) { b.Buckets[0].Interval = 0 }},
		{"negative interval", func(b *ratelimit.Batch) { b.Buckets[0].Interval = -1 }},
		{"no burst", func(b *ratelimit.Batch) { b.Buckets[0].Burst, b.Buckets[0].Cost = 0, 0 }},
		{"span overflows", func(b *ratelimit.Batch) { b.Buckets[0].Interval, b.Buckets[0].Burst = 1<<32, 1<<32 }},
		{"span above 2^51", func(b *ratelimit.Batch) { b.Buckets[0].Interval, b.Buckets[0].Burst = 1<<26, 1<<25+1 }},
		{"negative weight", func(b *ratelimit.Batch) { b.Buckets[0].Weight = -1 }},
		{"same bucket twice", func(b *ratelimit.Batch) { b.Buckets[1].Key = b.Buckets[0].Key }},
		{"same source twice", func(b *ratelimit.Batch) { b.Sources[1].Key = b.Sources[0].Key }},
		{"no share", func(b *ratelimit.Batch) { b.Sources[0].Share = 0 }},
		{"share above one", func(b *ratelimit.Batch) { b.Sources[0].Share = 1001 }},
		{"most deny", func(b *ratelimit.Batch) { b.Sources[0].Most = ratelimit.Deny }},
		{"most unset", func(b *ratelimit.Batch) { b.Sources[0].Most = 0 }},
		{"no ladder", func(b *ratelimit.Batch) { b.Ladder = nil }},
		{"empty ladder", func(b *ratelimit.Batch) { b.Ladder = &ratelimit.Ladder{} }},
		{"time before 1970", func(b *ratelimit.Batch) { b.At = -1 }},
		{"time far off", func(b *ratelimit.Batch) { b.At = math.MaxInt64 }},
		{"too many buckets", func(b *ratelimit.Batch) {
			for i := range ratelimit.MaxBuckets {
				b.Buckets = append(b.Buckets, s.perMinute(fmt.Sprint("more", i), 5))
			}
		}},
		{"too many sources", func(b *ratelimit.Batch) {
			for i := range ratelimit.MaxSources {
				b.Sources = append(b.Sources, s.source(fmt.Sprint("more", i)))
			}
		}},
	} {
		b := valid()
		tt.change(b)
		require.ErrorIs(s, s.store.Decide(context.Background(), b), ratelimit.ErrBatch, tt.name)
	}
	b := valid()
	b.Buckets[0].Cost = 0
	require.ErrorIs(s, s.store.Adjust(context.Background(), b), ratelimit.ErrBatch, "adjust by nothing")
	b = valid()
	b.Buckets[0].Cost = -6
	require.ErrorIs(s, s.store.Adjust(context.Background(), b), ratelimit.ErrBatch, "refund above burst")
	require.Zero(s, s.debt(valid().Buckets[0]), "invalid batches write nothing")
	require.Equal(s, ratelimit.Allow, s.decide(valid()).Level)
}

func (s *suite) ownClock() {
	c := ratelimit.Bucket{Key: s.key("a"), Interval: 3600 * second, Burst: 2, Cost: 1}
	var last int64
	for i := range 3 {
		b := ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}
		require.NoError(s, s.store.Decide(context.Background(), &b))
		require.Equal(s, i < 2, b.Charged)
		require.GreaterOrEqual(s, b.Now, last)
		require.InDelta(s, float64(time.Now().UnixMicro()), float64(b.Now), float64(24*3600*second))
		last = b.Now
	}
}

// burst lets 64 goroutines loose on fresh keys: exactly the burst gets in.
func (s *suite) burst() {
	const workers, rounds, allowed = 64, 40, 100
	for _, name := range []string{"first", "second"} {
		shared := ratelimit.Bucket{Key: s.key(name), Interval: 3600 * second, Burst: allowed, Cost: 1}
		var admitted atomic.Int64
		var failed atomic.Pointer[error]
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				own := ratelimit.Bucket{Key: s.key(fmt.Sprint(name, w)), Interval: second, Burst: 1000, Cost: 1}
				for range rounds {
					b := ratelimit.Batch{Buckets: []ratelimit.Bucket{own, shared}}
					if err := s.store.Decide(context.Background(), &b); err != nil {
						failed.Store(&err)
						return
					}
					if b.Charged {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		require.Nil(s, failed.Load())
		require.EqualValues(s, allowed, admitted.Load())
	}
}

// crossedKeys decides the same keys in opposite orders at once.
func (s *suite) crossedKeys() {
	var buckets []ratelimit.Bucket
	var sources []ratelimit.Offender
	for i := range 8 {
		c := ratelimit.Bucket{Key: s.key(fmt.Sprint(i)), Interval: 3600 * second, Burst: 300, Cost: 1}
		buckets = append(buckets, c)
		sources = append(sources, s.source(fmt.Sprint(i)))
	}
	var admitted atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			r := mrand.New(mrand.NewPCG(uint64(w), 1))
			for range 40 {
				b := ratelimit.Batch{Ladder: s.ladder()}
				for _, i := range r.Perm(8) {
					b.Buckets, b.Sources = append(b.Buckets, buckets[i]), append(b.Sources, sources[i])
				}
				if err := s.store.Decide(context.Background(), &b); err != nil {
					failed.Store(&err)
					return
				}
				if b.Charged {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Nil(s, failed.Load())
	require.EqualValues(s, 300, admitted.Load())
}

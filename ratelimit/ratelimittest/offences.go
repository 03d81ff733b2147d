package ratelimittest

import (
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// near compares scores: stores may differ by a thousandth where the fading is no whole number of half-lives.
func (s *suite) near(want, got int64, msg string) {
	s.Helper()
	require.InDelta(s, want, got, 1, msg)
}

func (s *suite) offences() {
	c, o := s.perMinute("a", 1), s.source("a")
	shared := s.source("net")
	shared.Share = 250
	c.Weight = 1500
	ask := func() *ratelimit.Batch {
		return s.decide(&ratelimit.Batch{Ladder: s.ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{o, shared}})
	}
	b := ask()
	require.Equal(s, ratelimit.Allow, b.Level)
	require.Zero(s, b.Sources[0].Score, "what is allowed is no offence")
	for i, score := range []int64{1500, 3000, 4500} {
		b = ask()
		require.Equal(s, ratelimit.Deny, b.Level)
		require.Equal(s, score, b.Sources[0].Score, "offence %d", i)
		require.Equal(s, score/4, b.Sources[1].Score, "offence %d", i)
	}
	require.Equal(s, ratelimit.Slow, b.Sources[0].Level)
	require.Equal(s, ratelimit.Allow, b.Sources[1].Level)
}

func (s *suite) offenceWeights() {
	light, heavy, none, full := s.perMinute("light", 1), s.perMinute("heavy", 1), s.perMinute("none", 1), s.perMinute("full", 1)
	light.Weight, heavy.Weight, full.Weight = 250, 2000, 9000
	heavy.Soft = true
	s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{light, heavy, none}})
	for _, tt := range []struct {
		name       string
		buckets    []ratelimit.Bucket
		challenged bool
		want       int64
	}{
		{"the greatest of those that refuse", []ratelimit.Bucket{light, heavy, full}, false, 2000},
		{"one that weighs nothing", []ratelimit.Bucket{none, full}, false, 0},
		{"light", []ratelimit.Bucket{light, none}, false, 250},
		{"soft, after a challenge", []ratelimit.Bucket{light, heavy}, true, 250},
	} {
		o := s.source(tt.name)
		b := s.decide(&ratelimit.Batch{Challenged: tt.challenged, Ladder: s.ladder(), Buckets: tt.buckets, Sources: []ratelimit.Offender{o}})
		require.Equal(s, ratelimit.Deny, b.Level, tt.name)
		require.Equal(s, tt.want, b.Sources[0].Score, tt.name)
	}
	o := s.source("share")
	o.Share = 1
	s.offend(o, 1)
	got, _ := s.look(o)
	require.EqualValues(s, 1, got.Score, "shares are rounded up")
	o = s.source("cap")
	for range 3 {
		s.offend(o, 70_000)
	}
	got, _ = s.look(o)
	require.EqualValues(s, 80_000, got.Score, "the score is capped")
}

func (s *suite) decay() {
	o := s.source("a")
	s.offend(o, 8000)
	start := s.now
	for _, tt := range []struct{ after, score int64 }{
		{0, 8000},
		{30 * minute, 4000},
		{60 * minute, 2000},
		{90 * minute, 1000},
		{45 * minute, 2828},
		{120 * minute, 500},
	} {
		s.now = start + tt.after
		got, _ := s.look(o)
		s.near(tt.score, got.Score, "score")
	}
	s.now = start + 60*minute
	s.offend(o, 1000)
	got, _ := s.look(o)
	require.EqualValues(s, 3000, got.Score, "what is new is added to what is left")
	for _, after := range []int64{300 * minute, 24 * 60 * minute, 10 * 365 * 24 * 60 * minute} {
		s.now = start + 60*minute + after
		got, b := s.look(o)
		require.Zero(s, got.Score)
		require.Equal(s, ratelimit.Allow, b.Level)
	}
	capped := s.source("capped")
	s.offend(capped, 900_000)
	s.now += 10 * 365 * 24 * 60 * minute
	got, b := s.look(capped)
	require.Zero(s, got.Score)
	require.Equal(s, ratelimit.Allow, b.Level)
}

func (s *suite) slow() {
	o, c := s.source("a"), s.perMinute("a", 60)
	s.offend(o, 2999)
	_, b := s.look(o)
	require.Equal(s, ratelimit.Allow, b.Level)
	s.offend(o, 1)
	ask := func(challenged bool) *ratelimit.Batch {
		return s.decide(&ratelimit.Batch{Challenged: challenged, Ladder: s.ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{o}})
	}
	b = ask(false)
	require.Equal(s, ratelimit.Slow, b.Level)
	require.Equal(s, 10*second, b.Wait)
	require.Equal(s, s.now+10*second, b.Sources[0].Until)
	require.EqualValues(s, 3000, b.Sources[0].Score, "to be slowed is no offence")
	require.Zero(s, s.debt(c), "and charges nothing")
	s.now += 10*second - 1
	b = ask(false)
	require.Equal(s, ratelimit.Slow, b.Level)
	require.EqualValues(s, 1, b.Wait)
	require.Equal(s, ratelimit.Allow, ask(true).Level, "a challenge passed lifts it")
	s.now++
	require.Equal(s, ratelimit.Allow, ask(false).Level)
}

func (s *suite) repeat() {
	o, c := s.source("a"), s.perMinute("a", 60)
	s.offend(o, 5000)
	ask := func(challenged bool) *ratelimit.Batch {
		return s.decide(&ratelimit.Batch{Challenged: challenged, Ladder: s.ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{o}})
	}
	b := ask(true)
	require.Equal(s, ratelimit.Allow, b.Level)
	require.Equal(s, ratelimit.Challenge, b.Sources[0].Level)
	b = ask(false)
	require.Equal(s, ratelimit.Challenge, b.Level)
	require.False(s, b.Charged)
	require.EqualValues(s, 5500, b.Sources[0].Score, "to ignore the challenge is half an offence")
	for range 8 {
		require.Equal(s, ratelimit.Challenge, ask(false).Level)
	}
	b = ask(false)
	require.EqualValues(s, 10_000, b.Sources[0].Score)
	require.Equal(s, ratelimit.Ban, b.Level, "and leads to the ban")
	require.Equal(s, second, s.debt(c), "only the challenged attempt was charged")
}

func (s *suite) ban() {
	o, c := s.source("a"), s.perMinute("a", 1)
	c.Weight = 1000
	ask := func(challenged bool) *ratelimit.Batch {
		return s.decide(&ratelimit.Batch{Challenged: challenged, Ladder: s.ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{o, s.source("other")}})
	}
	s.offend(o, 9000)
	ask(true)
	b := ask(false)
	require.Equal(s, ratelimit.Ban, b.Level, "the offence that reaches the threshold")
	require.Equal(s, 5*minute, b.Wait)
	end := s.now + 5*minute
	require.Equal(s, end, b.Sources[0].Until)
	require.EqualValues(s, 1000, b.Sources[1].Score)
	s.now = end - 1
	debt := s.debt(c)
	for _, challenged := range []bool{false, true} {
		b = ask(challenged)
		require.Equal(s, ratelimit.Ban, b.Level)
		require.EqualValues(s, 1, b.Wait)
		require.Equal(s, debt, s.debt(c), "a banned source charges nothing")
		require.Less(s, b.Sources[1].Score, int64(1000), "and its attempts are no offence of others")
	}
	s.now = end
	require.Equal(s, ratelimit.Allow, ask(true).Level, "over at the microsecond")
}

func (s *suite) banGrows() {
	o := s.source("a")
	l := s.ladder()
	for i, length := range []int64{5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440} {
		s.offend(o, 10_000)
		got, b := s.look(o)
		require.Equal(s, ratelimit.Ban, b.Level)
		extra := int64(1)
		for k := (got.Score - l.BanAt) / l.BanAt; k > 0; k-- {
			extra *= 2
		}
		require.Equal(s, min(length*extra, 1440)*minute, b.Wait, "ban %d", i)
		s.offend(o, 1000)
		_, b = s.look(o)
		require.Equal(s, min(length*extra, 1440)*minute, b.Wait, "a ban that runs is not made longer")
		s.now += b.Wait + 200*minute
		_, b = s.look(o)
		require.Equal(s, ratelimit.Allow, b.Level)
	}
	s.now += 300 * minute
	s.offend(o, 10_000)
	_, b := s.look(o)
	require.Equal(s, 5*minute, b.Wait, "ten half-lives later all is forgotten")

	high := s.source("high")
	s.offend(high, 35_000)
	_, b = s.look(high)
	require.Equal(s, 20*minute, b.Wait, "two thresholds above: twice doubled")
	top := s.source("top")
	s.offend(top, 1_000_000)
	_, b = s.look(top)
	require.Equal(s, 640*minute, b.Wait)
}

func (s *suite) most() {
	for _, most := range []ratelimit.Level{ratelimit.Slow, ratelimit.Challenge, ratelimit.Ban} {
		o := s.source(most.String())
		o.Most = most
		s.offend(o, 50_000)
		got, b := s.look(o)
		require.Equal(s, most, got.Level)
		require.Equal(s, most, b.Level)
	}
	worst := []ratelimit.Offender{s.source("clean"), s.source("slowed"), s.source("challenged"), s.source("banned")}
	for i, o := range worst {
		s.offend(o, []int64{0, 3000, 5000, 10_000}[i])
	}
	for i, level := range []ratelimit.Level{ratelimit.Allow, ratelimit.Slow, ratelimit.Challenge, ratelimit.Ban} {
		b := s.decide(&ratelimit.Batch{DryRun: true, Ladder: s.ladder(), Sources: worst[:i+1]})
		require.Equal(s, level, b.Level, "the worst of those present decides")
		b = s.decide(&ratelimit.Batch{DryRun: true, Challenged: true, Ladder: s.ladder(), Sources: worst[:i+1]})
		if i < 3 {
			level = ratelimit.Allow
		}
		require.Equal(s, level, b.Level)
	}
}

func (s *suite) clockBack() {
	o, c := s.source("a"), s.perMinute("a", 5)
	s.offend(o, 10_000)
	s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c}})
	s.now -= 48 * 60 * minute
	s.look(o)
	s.debt(c)
	s.now += 48 * 60 * minute
	_, b := s.look(o)
	require.Equal(s, 5*minute, b.Wait, "a look mends nothing")
	s.now -= 48 * 60 * minute
	require.Equal(s, minute, s.debt(c), "one full bucket at most")
	got, b := s.look(o)
	require.Equal(s, ratelimit.Ban, b.Level)
	require.EqualValues(s, 10_000, got.Score, "a score does not grow")
	require.Equal(s, 24*60*minute, b.Wait, "one longest ban at most")
	slow := s.source("slow")
	s.offend(slow, 3000)
	s.now -= 60 * minute
	_, b = s.look(slow)
	require.Equal(s, 10*second, b.Wait)
	ask := func() *ratelimit.Batch {
		c.Cost = 5
		return s.decide(&ratelimit.Batch{Ladder: s.ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{slow}})
	}
	require.Equal(s, ratelimit.Deny, ask().Level)
	s.now += minute
	require.Equal(s, ratelimit.Allow, ask().Level, "what was out of bounds is mended, not only cut while it lasts")
}

func (s *suite) forgive() {
	o := s.source("a")
	s.offend(o, 4000)
	s.now += second
	s.offend(o, -500)
	got, b := s.look(o)
	s.near(3498, got.Score, "taken back")
	require.Equal(s, 9*second, b.Wait, "the last offence stays where it was")
	s.offend(o, -1000)
	_, b = s.look(o)
	require.Equal(s, ratelimit.Allow, b.Level)
	s.offend(o, -100_000)
	got, _ = s.look(o)
	require.Zero(s, got.Score)
	s.offend(s.source("nobody"), -1000)
	got, _ = s.look(s.source("nobody"))
	require.Zero(s, got.Score)

	half := s.source("half")
	s.offend(half, 4000)
	s.now += 30 * minute
	s.offend(half, -1000)
	got, _ = s.look(half)
	require.EqualValues(s, 1000, got.Score)

	banned := s.source("banned")
	s.offend(banned, 10_000)
	s.offend(banned, -10_000)
	_, b = s.look(banned)
	require.Equal(s, ratelimit.Ban, b.Level, "a ban is not forgiven")
}

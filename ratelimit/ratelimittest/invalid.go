package ratelimittest

import (
	"context"
	"fmt"
	"math"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

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

package ratelimittest

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

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

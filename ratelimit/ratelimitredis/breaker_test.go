package ratelimitredis_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// TestFastWhileDown holds decisions to a millisecond once the breaker has opened.
func TestFastWhileDown(t *testing.T) {
	for name, breakIt := range map[string]func(*testing.T, *redistest.Server){
		"dead":    func(t *testing.T, s *redistest.Server) { s.Kill(t) },
		"silent":  func(t *testing.T, s *redistest.Server) { s.Pause(t) },
		"at once": nil,
	} {
		t.Run(name, func(t *testing.T) {
			server, client := single(t)
			store := newStore(t, client, &ratelimitredis.Options{Timeout: faultTimeout, ProbeInterval: 50 * time.Millisecond})
			buckets := make([]ratelimit.Bucket, 5)
			for i := range buckets {
				buckets[i] = bucket(store, fmt.Sprint(i), 100_000)
			}
			if breakIt == nil {
				server.Kill(t) // before the first call
			} else {
				well(t, store, buckets...)
				breakIt(t, server)
			}
			for !degraded(t, decide(t, store, buckets...)).Skipped {
			}
			const n = 20_000
			late := 0
			for range n {
				begun := time.Now()
				b := decide(t, store, buckets...)
				if time.Since(begun) > time.Millisecond {
					late++
				}
				require.True(t, b.Charged)
			}
			require.Less(t, late, n/100, "of %d decisions took more than a millisecond", n)
		})
	}
}

// TestOneProbe: while Redis is silent, one call at a time tries it.
func TestOneProbe(t *testing.T) {
	server, client := single(t)
	counted := &counting{Client: client}
	store := newStore(t, counted, faultOptions())
	well(t, store, bucket(store, "a", 1000))
	server.Pause(t)
	for !degraded(t, decide(t, store, bucket(store, "a", 1000))).Skipped {
	}
	counted.most.Store(0)
	before := counted.all.Load()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for end := time.Now().Add(2 * faultTimeout); time.Now().Before(end); {
				b := &ratelimit.Batch{Buckets: []ratelimit.Bucket{bucket(store, "a", 1000)}}
				_ = store.Decide(context.Background(), b)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, counted.most.Load(), "probes at once")
	require.LessOrEqual(t, counted.all.Load()-before, int64(4), "probes")
	server.Resume(t)
	back(t, store)
}

// counting counts calls.
type counting struct {
	*redis.Client
	all, now, most atomic.Int64
}

func (c *counting) Process(ctx context.Context, cmd redis.Cmder) error {
	c.all.Add(1)
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
	}
	return c.Client.Process(ctx, cmd)
}

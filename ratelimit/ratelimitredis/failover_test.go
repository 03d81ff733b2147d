package ratelimitredis_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
)

// TestKilledUnderLoad: a Redis that dies and comes back empty under load costs nobody more than the timeout, and never
// admits more than its own burst and what the local store had left.
func TestKilledUnderLoad(t *testing.T) {
	server, client := single(t)
	store := newStore(t, client, faultOptions())
	const burst = 500
	c := bucket(store, "shared", burst)
	var admitted, slow, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			own := bucket(store, fmt.Sprint(w), 1_000_000)
			for {
				select {
				case <-stop:
					return
				default:
				}
				begun := time.Now()
				b := &ratelimit.Batch{Buckets: []ratelimit.Bucket{own, c}}
				if err := store.Decide(context.Background(), b); err != nil {
					failed.Add(1)
				}
				if b.Charged {
					admitted.Add(1)
				}
				if time.Since(begun) > faultTimeout+slack {
					slow.Add(1)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return admitted.Load() >= burst/5 }, 20*time.Second, time.Millisecond)
	server.Kill(t)
	require.Eventually(t, func() bool { return decide(t, store, bucket(store, "x", 1000)).Degraded != nil }, 20*time.Second, time.Millisecond)
	server.Restart(t)
	back(t, store)
	require.Eventually(t, func() bool { return !decide(t, store, c).Charged }, 20*time.Second, time.Millisecond)
	close(stop)
	wg.Wait()
	require.Zero(t, failed.Load())
	require.Zero(t, slow.Load())
	require.GreaterOrEqual(t, admitted.Load(), int64(burst-1))
	// Redis twice, for it has forgotten, and what the local store had left. Some were charged by a Redis whose answer
	// was lost.
	require.LessOrEqual(t, admitted.Load(), int64(3*burst))
}

// TestSentinelFailover: while no primary is there the local store decides; afterwards the promoted one does, with what
// was replicated.
func TestSentinelFailover(t *testing.T) {
	pair := redistest.StartSentinel(t)
	client := pair.Client(t, nil)
	store := newStore(t, client, faultOptions())
	c := bucket(store, "a", 10)
	for range 4 {
		require.True(t, well(t, store, c).Charged)
	}
	require.NoError(t, client.Wait(t.Context(), 1, 10*time.Second).Err())
	pair.Primary.Kill(t)
	degraded(t, decide(t, store, bucket(store, "other", 10)))
	pair.WaitPromoted(t)
	back(t, store)
	require.InDelta(t, 4, debtUnits(t, store, c), 0.2)
	require.True(t, well(t, store, c).Charged)
}

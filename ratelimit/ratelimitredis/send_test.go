package ratelimitredis_test

import (
	"context"
	"errors"
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

// TestNotSentTwice: go-redis by itself sends a script up to four times when its answer does not come.
func TestNotSentTwice(t *testing.T) {
	for _, perKey := range []bool{false, true} {
		t.Run(fmt.Sprintf("PerKeySlots %v", perKey), func(t *testing.T) {
			server := redistest.Start(t, nil)
			client := server.Client(t, func(o *redis.Options) {
				o.ContextTimeoutEnabled, o.ReadTimeout = false, 400*time.Millisecond
			})
			store := newStore(t, client, &ratelimitredis.Options{Timeout: 2 * time.Second, PerKeySlots: perKey})
			c := bucket(store, "a", 10) // a unit is regained in six minutes
			well(t, store, c)
			redistest.Ready(t, client, 8)
			server.Pause(t)
			degraded(t, decide(t, store, c))
			server.Resume(t)
			require.Eventually(t, func() bool { return debtUnits(t, store, c) > 1.5 }, 20*time.Second, 10*time.Millisecond, "it was carried out late")
			require.InDelta(t, 2, debtUnits(t, store, c), 0.1, "once")
		})
	}
}

// TestHangUp: a visitor who hangs up is charged; a deadline of the context counts.
func TestHangUp(t *testing.T) {
	server, client := single(t)
	store := newStore(t, client, patient())
	c := bucket(store, "a", 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}
	require.NoError(t, store.Decide(ctx, b))
	require.NoError(t, b.Degraded)
	require.True(t, b.Charged)
	server.Pause(t)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	require.NoError(t, store.Decide(ctx, b))
	degraded(t, b)
	require.Less(t, time.Since(begun), slack)
}

// TestPoolExhausted: callers who find no connection do not queue beyond the timeout.
func TestPoolExhausted(t *testing.T) {
	for _, deadlines := range []bool{true, false} {
		server := redistest.Start(t, nil)
		o := faultOptions()
		o.MaxPending = 8
		store := newStore(t, server.Client(t, func(o *redis.Options) { o.PoolSize, o.ContextTimeoutEnabled = 1, deadlines }), o)
		well(t, store, bucket(store, "a", 1000))
		server.Pause(t)
		var wg sync.WaitGroup
		var slow, well atomic.Int64
		for range 64 {
			wg.Go(func() {
				begun := time.Now()
				b := &ratelimit.Batch{Buckets: []ratelimit.Bucket{bucket(store, "a", 1000)}}
				if err := store.Decide(context.Background(), b); err != nil || b.Degraded == nil {
					well.Add(1)
				}
				if time.Since(begun) > faultTimeout+slack {
					slow.Add(1)
				}
			})
		}
		wg.Wait()
		require.Zero(t, slow.Load())
		require.Zero(t, well.Load())
		server.Resume(t)
		back(t, store)
	}
}

// TestClosedClient: a client that somebody has closed is an outage as well.
func TestClosedClient(t *testing.T) {
	server := servers.Single(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	store := newStore(t, client, faultOptions())
	require.NoError(t, client.Close())
	why := degraded(t, decide(t, store, bucket(store, "a", 10)))
	require.True(t, errors.Is(why, redis.ErrClosed))
}

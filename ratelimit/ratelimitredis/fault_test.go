package ratelimitredis_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// Times of the fault tests: generous to a busy machine where Redis is well, and short where it is not.
const (
	faultTimeout = 500 * time.Millisecond
	faultProbe   = 20 * time.Millisecond
	slack        = 3 * time.Second // what a busy machine may add to any wait
)

func faultOptions() *ratelimitredis.Options {
	return &ratelimitredis.Options{Timeout: faultTimeout, Failures: 3, ProbeInterval: faultProbe}
}

// degraded requires that a decision was made without Redis, and why.
func degraded(t *testing.T, b *ratelimit.Batch) *ratelimitredis.OutageError {
	t.Helper()
	var why *ratelimitredis.OutageError
	require.ErrorAs(t, b.Degraded, &why)
	require.Error(t, why.Cause)
	return why
}

// back waits until Redis decides again, without anything of ours being restarted.
func back(t *testing.T, s *ratelimitredis.Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		return decide(t, s, bucket(s, "back", 1000000)).Degraded == nil
	}, 30*time.Second, faultProbe, "Redis is asked again")
}

// fault is a way Redis fails, and how it ends.
type fault struct {
	name   string
	client func(o *redis.Options)
	begin  func(t *testing.T, s *redistest.Server) (end func())
	cause  string // in the error
	empty  bool   // Redis has lost everything
}

func faults() []fault {
	return []fault{
		{name: "never answers", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Pause(t)
			return func() { s.Resume(t) }
		}},
		{name: "never answers, client without deadlines",
			client: func(o *redis.Options) { o.ContextTimeoutEnabled = false },
			begin: func(t *testing.T, s *redistest.Server) func() {
				s.Pause(t)
				return func() { s.Resume(t) }
			}},
		{name: "killed", empty: true, begin: func(t *testing.T, s *redistest.Server) func() {
			s.Kill(t)
			return func() { s.Restart(t) }
		}},
		{name: "stopped", empty: true, begin: func(t *testing.T, s *redistest.Server) func() {
			s.Stop(t)
			return func() { s.Restart(t) }
		}},
		{name: "read-only replica", cause: "READONLY", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "REPLICAOF", "127.0.0.1", "1")
			return func() { s.Do(t, "REPLICAOF", "NO", "ONE") }
		}},
		{name: "stale replica", cause: "MASTERDOWN", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
			s.Do(t, "REPLICAOF", "127.0.0.1", "1")
			return func() { s.Do(t, "REPLICAOF", "NO", "ONE") }
		}},
		{name: "out of memory", cause: "OOM", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "CONFIG", "SET", "maxmemory", "1")
			return func() { s.Do(t, "CONFIG", "SET", "maxmemory", "0") }
		}},
		{name: "no permission to run scripts", cause: "NOPERM", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "ACL", "SETUSER", "default", "-evalsha", "-eval")
			return func() { s.Do(t, "ACL", "SETUSER", "default", "+@all") }
		}},
		{name: "no permission to write", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "ACL", "SETUSER", "default", "-set")
			return func() { s.Do(t, "ACL", "SETUSER", "default", "+@all") }
		}},
		{name: "loading", cause: "LOADING", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "DEBUG", "POPULATE", "50000")
			s.Do(t, "CONFIG", "SET", "key-load-delay", "200")
			if _, err := s.Try(t, "CONFIG", "SET", "loading-process-events-interval-bytes", "1024"); err != nil {
				t.Skip("a server before Redis 6.2 answers too seldom while it loads: ", err)
			}
			other := s.Client(t, func(o *redis.Options) { o.MaxRetries, o.ReadTimeout = -1, time.Minute })
			done := make(chan error, 1)
			go func() { done <- other.Do(context.Background(), "DEBUG", "RELOAD").Err() }()
			require.Eventually(t, func() bool {
				_, err := s.Try(t, "PING")
				return err != nil && redis.HasErrorPrefix(err, "LOADING")
			}, 10*time.Second, 5*time.Millisecond)
			return func() {
				s.Do(t, "CONFIG", "SET", "key-load-delay", "0")
				require.NoError(t, <-done)
			}
		}},
		{name: "busy with a script", cause: "BUSY", begin: func(t *testing.T, s *redistest.Server) func() {
			s.Do(t, "CONFIG", "SET", "lua-time-limit", "1")
			other := s.Client(t, func(o *redis.Options) { o.MaxRetries, o.ReadTimeout = -1, time.Minute })
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = other.Eval(context.Background(), "while true do end", nil).Err() // killed below
			}()
			require.Eventually(t, func() bool {
				_, err := s.Try(t, "PING")
				return err != nil && redis.HasErrorPrefix(err, "BUSY")
			}, 10*time.Second, 5*time.Millisecond)
			return func() { s.Do(t, "SCRIPT", "KILL"); <-done }
		}},
		{name: "too many clients", client: func(o *redis.Options) { o.PoolSize = 1 },
			begin: func(t *testing.T, s *redistest.Server) func() {
				s.Do(t, "CONFIG", "SET", "maxclients", "1")
				_, err := s.Try(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
				require.NoError(t, err)
				return func() { s.Do(t, "CONFIG", "SET", "maxclients", "10000") }
			}},
	}
}

// TestFaultsLocal: in each fault decisions come in bounded time, the local store goes on where Redis stopped, what was
// banned stays banned, and Redis decides again when it is well.
func TestFaultsLocal(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			server := redistest.Start(t, nil)
			var down, up atomic.Int64
			o := faultOptions()
			o.Hooks = &ratelimitredis.Hooks{Down: func(error) { down.Add(1) }, Up: func(time.Duration) { up.Add(1) }}
			store := newStore(t, server.Client(t, f.client), o)
			c := bucket(store, "a", 10)
			for range 3 {
				require.True(t, well(t, store, c).Charged)
			}
			bad := ratelimit.Batch{Offence: 12_000, Ladder: ladder(), Sources: []ratelimit.Offender{source(store, "bad")}}
			require.NoError(t, store.Adjust(t.Context(), &bad))
			require.NoError(t, bad.Degraded)

			end := f.begin(t, server)
			asked, admitted := 0, 0
			for i := range 12 {
				begun := time.Now()
				b := decide(t, store, c)
				require.Less(t, time.Since(begun), faultTimeout+slack)
				why := degraded(t, b)
				if !why.Skipped {
					asked++
				}
				if f.cause != "" {
					require.ErrorContains(t, why, f.cause)
				}
				if b.Charged {
					admitted++
				}
				require.Equal(t, b.Level == ratelimit.Allow, b.Charged)
				require.Equal(t, i >= 7, b.Buckets[0].Exceeded)
			}
			require.Equal(t, 7, admitted, "10 less the 3 that Redis had charged")
			require.EqualValues(t, 1, down.Load())
			require.Equal(t, 3, asked, "the breaker opens")
			b := &ratelimit.Batch{Ladder: ladder(), Buckets: []ratelimit.Bucket{bucket(store, "other", 10)}, Sources: []ratelimit.Offender{source(store, "bad")}}
			require.NoError(t, store.Decide(t.Context(), b))
			degraded(t, b)
			require.Equal(t, ratelimit.Ban, b.Level, "who was banned stays banned")
			require.Zero(t, up.Load())

			end()
			back(t, store)
			require.EqualValues(t, 1, up.Load())
			if f.empty {
				return
			}
			look := c
			look.Cost = 0
			b = &ratelimit.Batch{DryRun: true, Buckets: []ratelimit.Bucket{look}}
			require.NoError(t, store.Decide(t.Context(), b))
			require.NoError(t, b.Degraded)
			units := float64(b.Buckets[0].Debt) / float64(c.Interval)
			require.InDelta(t, 3+float64(asked)/2, units, float64(asked)/2+0.2, "each call was carried out once at most")
			b = &ratelimit.Batch{Ladder: ladder(), Sources: []ratelimit.Offender{source(store, "bad")}}
			require.NoError(t, store.Decide(t.Context(), b))
			require.Equal(t, ratelimit.Ban, b.Level)
		})
	}
}

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
			s.Do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1mb")
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
			s.Do(t, "DEBUG", "POPULATE", "20000")
			s.Do(t, "CONFIG", "SET", "key-load-delay", "1000", "loading-process-events-interval-bytes", "1024")
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
			s.Do(t, "CONFIG", "SET", "busy-reply-threshold", "1")
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

// TestFailModes: a test for each.
func TestFailModes(t *testing.T) {
	for _, tt := range []struct {
		mode    ratelimitredis.FailMode
		level   ratelimit.Level
		charged bool
		adjusts bool
	}{
		{ratelimitredis.Local, ratelimit.Allow, true, true},
		{ratelimitredis.Open, ratelimit.Allow, false, false},
		{ratelimitredis.Closed, ratelimit.Deny, false, false},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			server, client := single(t)
			o := faultOptions()
			o.Fail = tt.mode
			store := newStore(t, client, o)
			c := bucket(store, "a", 3)
			well(t, store, c)
			server.Kill(t)
			for range 5 {
				b := &ratelimit.Batch{Ladder: ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{source(store, "a")}}
				require.NoError(t, store.Decide(t.Context(), b), "an outage is no error")
				degraded(t, b)
				require.NotZero(t, b.Now)
				if tt.mode == ratelimitredis.Local {
					continue
				}
				require.Equal(t, tt.level, b.Level)
				require.False(t, b.Charged)
				require.Zero(t, b.Buckets[0].Debt)
			}
			if tt.mode == ratelimitredis.Local {
				b := decide(t, store, bucket(store, "fresh", 1))
				require.True(t, b.Charged)
				require.Equal(t, ratelimit.Deny, decide(t, store, bucket(store, "fresh", 1)).Level)
				require.Equal(t, ratelimit.Deny, decide(t, store, c).Level)
			}
			if tt.mode == ratelimitredis.Closed {
				require.Positive(t, decide(t, store, c).Wait)
			}
			report := &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}
			err := store.Adjust(t.Context(), report)
			if tt.adjusts {
				require.NoError(t, err)
				require.Error(t, report.Degraded)
			} else {
				var why *ratelimitredis.OutageError
				require.ErrorAs(t, err, &why)
			}
			var why *ratelimitredis.OutageError
			require.ErrorAs(t, store.Forget(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}), &why, "nobody is told that it was forgotten")
			server.Restart(t)
			back(t, store)
			require.NoError(t, store.Adjust(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}))
			require.NoError(t, store.Forget(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}))
		})
	}
}

// TestLocalTakesItsPart: several processes share what an outage leaves.
func TestLocalTakesItsPart(t *testing.T) {
	server, client := single(t)
	o := faultOptions()
	o.Instances = 4
	store := newStore(t, client, o)
	well(t, store, bucket(store, "warm", 8))
	server.Kill(t)
	for _, tt := range []struct{ burst, part int }{{8, 2}, {10, 3}, {1, 1}} {
		admitted := 0
		for range tt.burst + 1 {
			if decide(t, store, bucket(store, fmt.Sprint(tt.burst), int64(tt.burst))).Charged {
				admitted++
			}
		}
		require.Equal(t, tt.part, admitted, "burst %d", tt.burst)
	}
	big := bucket(store, "big", 8)
	big.Cost = 8
	require.True(t, decide(t, store, big).Charged, "a cost above its part takes all of it")
	require.False(t, decide(t, store, big).Charged)
}

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

// TestNotSentTwice: go-redis by itself sends a script up to four times when its answer does not come.
func TestNotSentTwice(t *testing.T) {
	for _, perKey := range []bool{false, true} {
		t.Run(fmt.Sprintf("PerKeySlots %v", perKey), func(t *testing.T) {
			server := redistest.Start(t, nil)
			client := server.Client(t, func(o *redis.Options) {
				o.ContextTimeoutEnabled, o.ReadTimeout, o.MinIdleConns = false, 100*time.Millisecond, 8
			})
			store := newStore(t, client, &ratelimitredis.Options{Timeout: 700 * time.Millisecond, PerKeySlots: perKey})
			c := bucket(store, "a", 1000)
			well(t, store, c)
			require.Eventually(t, func() bool { return client.PoolStats().IdleConns >= 8 }, 20*time.Second, 10*time.Millisecond)
			server.Pause(t)
			degraded(t, decide(t, store, c))
			server.Resume(t)
			require.Eventually(t, func() bool { return debtUnits(t, store, c) > 1.5 }, 20*time.Second, 10*time.Millisecond, "it was carried out late")
			require.InDelta(t, 2, debtUnits(t, store, c), 0.1, "once")
		})
	}
}

// debtUnits looks at a bucket.
func debtUnits(t *testing.T, s *ratelimitredis.Store, c ratelimit.Bucket) float64 {
	t.Helper()
	c.Cost = 0
	b := &ratelimit.Batch{DryRun: true, Buckets: []ratelimit.Bucket{c}}
	require.NoError(t, s.Decide(t.Context(), b))
	return float64(b.Buckets[0].Debt) / float64(c.Interval)
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

// TestClosedClient: a client that somebody has closed is an outage as well.
func TestClosedClient(t *testing.T) {
	server := servers.Single(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	store := newStore(t, client, faultOptions())
	require.NoError(t, client.Close())
	why := degraded(t, decide(t, store, bucket(store, "a", 10)))
	require.True(t, errors.Is(why, redis.ErrClosed))
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

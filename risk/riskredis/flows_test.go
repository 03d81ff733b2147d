package riskredis_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskredis"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func newFlows(t testing.TB, c riskredis.Processor, timeout time.Duration) *riskredis.Flows {
	t.Helper()
	f, err := riskredis.NewFlows(c, &riskredis.Options{Timeout: timeout})
	require.NoError(t, err)
	return f
}

func conform(t *testing.T, c riskredis.Processor) {
	flows := newFlows(t, c, 10*time.Second)
	risktest.FlowStoreConform(t, func() risk.FlowStore { return flows }, &risktest.FlowStoreOptions{TTL: 500 * time.Millisecond})
}

func TestFlowsConform(t *testing.T) {
	server := servers.Single(t)
	t.Run("single", func(t *testing.T) { conform(t, server.Client(t, nil)) })
	t.Run("RESP2, client without deadlines", func(t *testing.T) {
		conform(t, server.Client(t, func(o *redis.Options) { o.Protocol, o.ContextTimeoutEnabled = 2, false }))
	})
	t.Run("cluster", func(t *testing.T) { conform(t, servers.Cluster(t).Client(t, nil)) })
}

func TestFlowsAreSpentOnceAcrossInstances(t *testing.T) {
	server := servers.Single(t)
	a, b := newFlows(t, server.Client(t, nil), time.Second*10), newFlows(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, a.Create(t.Context(), "k", []byte("s"), time.Minute))
	rec, ok, err := b.Load(t.Context(), "k")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "s", string(rec.State))
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		store := a
		if i%2 == 1 {
			store = b
		}
		wg.Go(func() {
			if ok, err := store.Spend(context.Background(), "k"); err == nil && ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
}

func TestFlowsInOneRoundTrip(t *testing.T) {
	server := servers.Single(t)
	f := newFlows(t, server.Client(t, func(o *redis.Options) { o.PoolSize = 1 }), 10*time.Second)
	all := func(key string) {
		require.NoError(t, f.Create(t.Context(), key, []byte("s"), time.Minute))
		_, _, err := f.Load(t.Context(), key)
		require.NoError(t, err)
		_, err = f.Update(t.Context(), key, 1, []byte("t"), false)
		require.NoError(t, err)
		_, err = f.Spend(t.Context(), key)
		require.NoError(t, err)
	}
	all("warm")
	before := server.Reads(t)
	const rounds = 50
	for i := range rounds {
		all(string(rune('a' + i)))
	}
	require.EqualValues(t, 4*rounds, server.Reads(t)-before-1, "socket reads")
}

func TestFlowsSurviveLostScripts(t *testing.T) {
	server := servers.Single(t)
	f := newFlows(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
	server.FlushScripts(t)
	ok, err := f.Update(t.Context(), "k", 1, []byte("t"), false)
	require.NoError(t, err)
	require.True(t, ok)
	server.FlushScripts(t)
	ok, err = f.Spend(t.Context(), "k")
	require.NoError(t, err)
	require.True(t, ok)
}

func TestFlowsKeysExpire(t *testing.T) {
	server := servers.Single(t)
	f := newFlows(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, f.Create(t.Context(), "visitor@example.com", []byte("s"), time.Minute))
	_, err := f.Update(t.Context(), "visitor@example.com", 1, []byte("t"), false)
	require.NoError(t, err)
	keys := server.Do(t, "KEYS", "*").([]any)
	require.Len(t, keys, 1)
	require.Regexp(t, `^vrf:[A-Za-z0-9_-]{24}$`, keys[0], "hashed")
	ttl := server.Do(t, "PTTL", keys[0]).(int64)
	require.Positive(t, ttl)
	require.LessOrEqual(t, ttl, int64(60_000))
	require.Error(t, f.Create(t.Context(), "other", nil, 0))
	require.Error(t, f.Create(t.Context(), "other", nil, -time.Second))
}

// TestFlowsOutage: every call ends in time with an error, is never sent twice, and works on afterwards.
func TestFlowsOutage(t *testing.T) {
	for _, deadlines := range []bool{true, false} {
		name := "client with deadlines"
		if !deadlines {
			name = "client without deadlines"
		}
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, nil)
			f := newFlows(t, server.Client(t, func(o *redis.Options) {
				o.ContextTimeoutEnabled = deadlines
				o.ReadTimeout = 2 * time.Second
			}), 150*time.Millisecond)
			calls := map[string]func(key string) error{
				"create": func(key string) error { return f.Create(t.Context(), key+"new", nil, time.Minute) },
				"load":   func(key string) error { _, _, err := f.Load(t.Context(), key); return err },
				"update": func(key string) error { _, err := f.Update(t.Context(), key, 1, []byte("t"), false); return err },
				"spend":  func(key string) error { _, err := f.Spend(t.Context(), key); return err },
			}
			all := func(key string, check func(name string, err error)) {
				for name, call := range calls {
					begun := time.Now()
					err := call(key)
					require.Less(t, time.Since(begun), 5*time.Second, name)
					check(name, err)
				}
			}
			require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
			server.Pause(t)
			all("k", func(name string, err error) { require.Error(t, err, name) })
			server.Resume(t)
			// What was sent before the deadline arrives late: at most one version each for update and spend.
			require.Eventually(t, func() bool {
				rec, ok, err := f.Load(t.Context(), "k")
				return err == nil && ok && rec.Version <= 3
			}, 20*time.Second, 20*time.Millisecond)
			server.Kill(t)
			all("k", func(name string, err error) { require.Error(t, err, name) })
			server.Restart(t)
			require.Eventually(t, func() bool {
				_, ok, err := f.Load(t.Context(), "k")
				return err == nil && !ok
			}, 20*time.Second, 20*time.Millisecond, "a restarted Redis is empty")
			require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
			all("k", func(name string, err error) { require.NoError(t, err, name) })
		})
	}
}

// TestFlowsAreNotSentTwice: go-redis by itself sends a command up to four times when its answer does not come.
func TestFlowsAreNotSentTwice(t *testing.T) {
	server := redistest.Start(t, nil)
	client := server.Client(t, func(o *redis.Options) {
		o.ContextTimeoutEnabled, o.ReadTimeout = false, 100*time.Millisecond
	})
	f := newFlows(t, client, 2*time.Second)
	require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
	_, err := f.Spend(t.Context(), "absent") // the script is known from here on
	require.NoError(t, err)
	redistest.Ready(t, client, 8)
	server.Do(t, "CONFIG", "RESETSTAT")
	server.Pause(t)
	_, err = f.Spend(t.Context(), "k")
	require.Error(t, err)
	server.Resume(t)
	require.Eventually(t, func() bool {
		rec, ok, err := f.Load(t.Context(), "k")
		return err == nil && ok && rec.Spent
	}, 20*time.Second, 20*time.Millisecond, "it was sent")
	require.Contains(t, server.Info(t, "commandstats", "cmdstat_evalsha"), "calls=1,", "once")
}

func TestFlowsForeignValues(t *testing.T) {
	server := servers.Single(t)
	f := newFlows(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
	key := server.Do(t, "KEYS", "*").([]any)[0]
	for name, set := range map[string][]any{
		"empty":          {"SET", key, ""},
		"short":          {"SET", key, "\x01\x00\x00"},
		"another format": {"SET", key, "\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00state"},
		"a list":         {"LPUSH", key, "x"},
	} {
		server.Do(t, "DEL", key)
		server.Do(t, set...)
		_, ok, err := f.Load(t.Context(), "k")
		require.Error(t, err, name)
		require.False(t, ok, name)
		won, err := f.Spend(t.Context(), "k")
		require.Error(t, err, name)
		require.False(t, won, name)
		ok, err = f.Update(t.Context(), "k", 1, nil, false)
		require.False(t, ok && err == nil, name)
		require.ErrorIs(t, f.Create(t.Context(), "k", nil, time.Minute), risk.ErrFlowExists, name)
	}
}

func TestFlowsRefused(t *testing.T) {
	server := redistest.Start(t, nil)
	f := newFlows(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
	server.Do(t, "CONFIG", "SET", "maxmemory", "1")
	require.ErrorContains(t, f.Create(t.Context(), "other", nil, time.Minute), "OOM")
	_, err := f.Spend(t.Context(), "k")
	require.ErrorContains(t, err, "OOM")
	server.Do(t, "CONFIG", "SET", "maxmemory", "0")
	server.Do(t, "REPLICAOF", "127.0.0.1", "1")
	_, err = f.Spend(t.Context(), "k")
	require.ErrorContains(t, err, "READONLY")
	server.Do(t, "REPLICAOF", "NO", "ONE")
	won, err := f.Spend(t.Context(), "k")
	require.NoError(t, err)
	require.True(t, won, "what was refused was not done")
}

func TestFlowsSurviveSentinelFailover(t *testing.T) {
	pair := redistest.StartSentinel(t)
	client := pair.Client(t, nil)
	f := newFlows(t, client, time.Second)
	require.NoError(t, f.Create(t.Context(), "k", []byte("s"), time.Minute))
	require.NoError(t, client.Wait(t.Context(), 1, 10*time.Second).Err())
	pair.Primary.Kill(t)
	_, err := f.Spend(t.Context(), "k")
	require.Error(t, err)
	pair.WaitPromoted(t)
	require.Eventually(t, func() bool {
		won, err := f.Spend(t.Context(), "k")
		return err == nil && won
	}, 30*time.Second, 20*time.Millisecond)
}

func TestNewFlowsRefuses(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { require.NoError(t, c.Close()) }()
	_, err := riskredis.NewFlows(nil, nil)
	require.ErrorContains(t, err, "no client")
	for want, o := range map[string]riskredis.Options{
		"Prefix has":       {Prefix: "a{b"},
		"Prefix is longer": {Prefix: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		"Timeout is":       {Timeout: time.Hour},
		"MaxPending is":    {MaxPending: -1},
	} {
		_, err := riskredis.NewFlows(c, &o)
		require.ErrorContains(t, err, want)
	}
	auto, err := c.AsyncAutoPipeline()
	require.NoError(t, err)
	defer func() { require.NoError(t, auto.Close()) }()
	_, err = riskredis.NewFlows(auto, nil)
	require.ErrorContains(t, err, "asynchronous")
}

func FuzzRecord(f *testing.F) {
	f.Add("", uint64(1), false)
	f.Add("state", uint64(1)<<63, true)
	server := servers.Single(f)
	flows := newFlows(f, server.Client(f, nil), 10*time.Second)
	f.Fuzz(func(t *testing.T, raw string, _ uint64, _ bool) {
		key := "fuzz"
		require.NoError(t, flows.Create(t.Context(), key, nil, time.Minute))
		name := server.Do(t, "RANDOMKEY")
		server.Do(t, "SET", name, raw)
		if rec, ok, err := flows.Load(t.Context(), key); err == nil {
			require.True(t, ok)
			require.LessOrEqual(t, len(rec.State), len(raw))
		}
		_, _ = flows.Spend(t.Context(), key) // must not hang or panic
		server.Do(t, "DEL", name)
	})
}

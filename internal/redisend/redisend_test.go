package redisend_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/internal/redistest"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// slack is what a busy machine may add to any wait.
const slack = 3 * time.Second

var (
	count = redisend.NewScript(`return redis.call('INCRBY',KEYS[1],ARGV[1])`)
	pair  = redisend.NewScript(`local t=redis.call('TIME') return {t[1],KEYS[1]}`)
	void  = redisend.NewScript(`return false`)
)

func sender(t *testing.T, c redisend.Processor, o redisend.Options) *redisend.Sender {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxPending == 0 {
		o.MaxPending = 1024
	}
	s, err := redisend.New(c, o)
	require.NoError(t, err)
	return s
}

func incr(ctx context.Context, s *redisend.Sender, key string) (any, error) {
	return s.Run(ctx, count, append(count.Append(nil, 1), key, 1))
}

func TestNewRefuses(t *testing.T) {
	_, err := redisend.New(nil, redisend.Options{Timeout: time.Second, MaxPending: 1})
	require.ErrorContains(t, err, "no client")
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { require.NoError(t, c.Close()) }()
	auto, err := c.AsyncAutoPipeline()
	require.NoError(t, err)
	defer func() { require.NoError(t, auto.Close()) }()
	_, err = redisend.New(auto, redisend.Options{Timeout: time.Second, MaxPending: 1})
	require.ErrorContains(t, err, "asynchronous")
}

// TestClients: commands and scripts on every kind of client, through NOSCRIPT each time.
func TestClients(t *testing.T) {
	server, cluster := servers.Single(t), servers.Cluster(t)
	single := server.Client(t, nil)
	auto, err := single.AutoPipeline()
	require.NoError(t, err)
	t.Cleanup(func() { _ = auto.Close() })
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = ring.Close() })
	for name, c := range map[string]redisend.Processor{
		"single": single, "auto pipeline": auto, "ring": ring, "cluster": cluster.Client(t, nil),
		"RESP2 without deadlines": server.Client(t, func(o *redis.Options) { o.Protocol, o.ContextTimeoutEnabled = 2, false }),
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := sender(t, c, redisend.Options{}), t.Context()
			for i := range 3 {
				server.FlushScripts(t)
				for _, m := range cluster.Masters {
					m.FlushScripts(t)
				}
				v, err := incr(ctx, s, name)
				require.NoError(t, err)
				require.EqualValues(t, i+1, v)
			}
			v, err := s.Run(ctx, pair, append(pair.Append(nil, 1), name))
			require.NoError(t, err)
			require.Equal(t, name, v.([]any)[1])
			_, err = s.Run(ctx, void, append(void.Append(nil, 1), name))
			require.ErrorIs(t, err, redis.Nil)
			v, err = s.Do(ctx, "set", "k"+name, "v", "px", 60_000, "nx")
			require.NoError(t, err)
			require.Equal(t, "OK", v)
			_, err = s.Do(ctx, "set", "k"+name, "v", "px", 60_000, "nx")
			require.ErrorIs(t, err, redis.Nil)
			_, err = s.Do(ctx, "lpush", "k"+name, "v")
			require.True(t, redis.HasErrorPrefix(err, "WRONGTYPE"), "%v", err)
		})
	}
}

// TestArgumentsAreReused: without goroutines of its own a sender is done with the arguments when it returns.
func TestArgumentsAreReused(t *testing.T) {
	s := sender(t, servers.Single(t).Client(t, nil), redisend.Options{})
	var args []any
	for i := range 3 {
		args = append(count.Append(args[:0], 1), "k", 2)
		v, err := s.Run(t.Context(), count, args)
		require.NoError(t, err)
		require.EqualValues(t, 2*(i+1), v)
	}
}

// TestNotSentTwice: go-redis by itself sends a command up to four times when its answer does not come.
func TestNotSentTwice(t *testing.T) {
	for _, pipeline := range []bool{false, true} {
		t.Run(fmt.Sprintf("pipeline %v", pipeline), func(t *testing.T) {
			server := redistest.Start(t, nil)
			client := server.Client(t, func(o *redis.Options) {
				o.ContextTimeoutEnabled, o.ReadTimeout = false, 400*time.Millisecond
			})
			s := sender(t, client, redisend.Options{Timeout: 2 * time.Second})
			send := func() error {
				if !pipeline {
					_, err := incr(t.Context(), s, "k")
					return err
				}
				ctx := s.Context(t.Context())
				defer ctx.Close()
				done := s.Pipeline(ctx, client, []redisend.Call{{Script: count, Args: append(count.Append(nil, 1), "k", 1)}})
				return done[0].Err
			}
			require.NoError(t, send())
			redistest.Ready(t, client, 8)
			server.Pause(t)
			begun := time.Now()
			require.Error(t, send())
			require.Less(t, time.Since(begun), slack)
			server.Resume(t)
			require.Eventually(t, func() bool { return server.Do(t, "GET", "k") == "2" }, 20*time.Second, 10*time.Millisecond, "it was carried out late")
			require.NoError(t, send())
			require.Equal(t, "3", server.Do(t, "GET", "k"), "once")
		})
	}
}

// TestDeadlines: calls end in time on clients with and without deadlines of their own, and only so many wait.
func TestDeadlines(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprintf("client keeps deadlines %v", own), func(t *testing.T) {
			server := redistest.Start(t, nil)
			client := server.Client(t, func(o *redis.Options) { o.ContextTimeoutEnabled, o.PoolSize = own, 2 })
			s := sender(t, client, redisend.Options{Timeout: 300 * time.Millisecond, MaxPending: 8})
			_, err := s.Do(t.Context(), "ping")
			require.NoError(t, err)
			server.Pause(t)
			var wg sync.WaitGroup
			var late, busy atomic.Int64
			for range 32 {
				wg.Go(func() {
					begun := time.Now()
					_, err := s.Do(context.Background(), "ping")
					if err == nil || time.Since(begun) > slack {
						late.Add(1)
					}
					if errors.Is(err, redisend.ErrBusy) {
						busy.Add(1)
					}
				})
			}
			wg.Wait()
			require.Zero(t, late.Load())
			require.Equal(t, !own, busy.Load() > 0)
			server.Resume(t)
			require.Eventually(t, func() bool {
				_, err := s.Do(t.Context(), "ping")
				return err == nil
			}, 20*time.Second, 10*time.Millisecond)
		})
	}
}

// TestCancel: whether a caller's cancellation counts is the option's to say; his deadline always counts.
func TestCancel(t *testing.T) {
	server := servers.Single(t)
	for _, detach := range []bool{false, true} {
		s := sender(t, server.Client(t, nil), redisend.Options{Detach: detach})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := incr(ctx, s, "k")
		require.Equal(t, detach, err == nil, "%v", err)
		ctx, cancel = context.WithTimeout(t.Context(), -time.Second)
		defer cancel()
		_, err = incr(ctx, s, "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.Equal(t, "1", server.Do(t, "GET", "k"))
}

// TestPipeline: every call goes to its node, meets it with and without the script, and has its own answer or error.
func TestPipeline(t *testing.T) {
	cluster := servers.Cluster(t)
	for _, own := range []bool{true, false} {
		client := cluster.Client(t, func(o *redis.ClusterOptions) { o.ContextTimeoutEnabled = own })
		s := sender(t, client, redisend.Options{})
		for round := range 3 {
			cluster.Masters[round].FlushScripts(t)
			ctx := s.Context(t.Context())
			var calls []redisend.Call
			for i := range 30 {
				calls = append(calls, redisend.Call{Script: count, Args: append(count.Append(nil, 1), fmt.Sprint("k", own, i), 1)})
			}
			bad := redisend.NewScript(`return redis.error_reply('BAD')`)
			calls = append(calls, redisend.Call{Script: bad, Args: append(bad.Append(nil, 1), "k")})
			done := s.Pipeline(ctx, client, calls)
			ctx.Close()
			require.Len(t, done, 31)
			for i := range done[:30] {
				require.NoError(t, done[i].Err)
				require.EqualValues(t, round+1, done[i].Reply)
			}
			require.ErrorContains(t, done[30].Err, "BAD")
		}
	}
}

// TestPipelineDown: what was not answered is an error in every call, in time.
func TestPipelineDown(t *testing.T) {
	for _, own := range []bool{true, false} {
		server := redistest.Start(t, nil)
		client := server.Client(t, func(o *redis.Options) { o.ContextTimeoutEnabled = own })
		s := sender(t, client, redisend.Options{Timeout: 300 * time.Millisecond})
		for _, down := range []func(testing.TB){server.Pause, server.Kill} {
			down(t)
			begun := time.Now()
			ctx := s.Context(t.Context())
			done := s.Pipeline(ctx, client, []redisend.Call{
				{Script: count, Args: append(count.Append(nil, 1), "a", 1)},
				{Script: count, Args: append(count.Append(nil, 1), "b", 1)},
			})
			ctx.Close()
			require.Less(t, time.Since(begun), slack)
			for _, c := range done {
				require.Error(t, c.Err)
				require.Nil(t, c.Reply)
			}
		}
	}
}

// TestMovedSlots: a cluster client that finds a master dead learns of its successor, though nothing is sent again.
func TestMovedSlots(t *testing.T) {
	cluster := redistest.StartCluster(t)
	client := cluster.Client(t, nil)
	s := sender(t, client, redisend.Options{Timeout: 500 * time.Millisecond})
	key := ""
	for i := 0; key == "" || cluster.Owner(t, cluster.Slot(t, key)) != cluster.Masters[0]; i++ {
		key = fmt.Sprint("k", i)
	}
	answers := func() bool {
		_, err := incr(t.Context(), s, key)
		return err == nil
	}
	require.Eventually(t, answers, time.Minute, 50*time.Millisecond)
	cluster.Masters[0].Kill(t)
	require.False(t, answers())
	require.Eventually(t, answers, time.Minute, 50*time.Millisecond)
}

package redisend_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/internal/redistest"
)

// crowd calls f from so many goroutines at once.
func crowd(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// TestGather: scripts of many callers travel together; each caller has the answer to his own, be it nothing, an error, or
// that Redis had to be told the script first.
func TestGather(t *testing.T) {
	server := redistest.Start(t, nil)
	s := sender(t, server.Client(t, nil), redisend.Options{})
	bad := redisend.NewScript(`return redis.error_reply('BAD '..KEYS[1])`)
	var wrong atomic.Int64
	check := func(ok bool) {
		if !ok {
			wrong.Add(1)
		}
	}
	before := server.Reads(t)
	const callers, rounds = 64, 30
	crowd(callers, func(i int) {
		key := fmt.Sprint("k", i)
		for n := range rounds {
			switch i % 4 {
			case 0:
				_, err := s.Run(t.Context(), void, append(void.Append(nil, 1), key))
				check(err == redis.Nil)
			case 1:
				_, err := s.Run(t.Context(), bad, append(bad.Append(nil, 1), key))
				check(err != nil && err.Error() == "BAD "+key)
			case 2:
				v, err := s.Run(t.Context(), pair, append(pair.Append(nil, 1), key))
				list, ok := v.([]any)
				check(err == nil && ok && len(list) == 2 && list[1] == key)
			default:
				v, err := incr(t.Context(), s, key)
				check(err == nil && v == int64(n+1))
			}
		}
	})
	require.Zero(t, wrong.Load())
	require.Less(t, server.Reads(t)-before, int64(callers*rounds), "fewer reads than calls")
}

// TestGatherFlush: a script that Redis forgets under load is told again, and carried out once.
func TestGatherFlush(t *testing.T) {
	server := redistest.Start(t, nil)
	s := sender(t, server.Client(t, nil), redisend.Options{})
	done := make(chan struct{})
	var failed atomic.Int64
	go func() {
		defer close(done)
		crowd(48, func(int) {
			for range 50 {
				if _, err := incr(t.Context(), s, "k"); err != nil {
					failed.Add(1)
				}
			}
		})
	}()
	for flushing := true; flushing; {
		server.FlushScripts(t)
		select {
		case <-done:
			flushing = false
		default:
		}
	}
	require.Zero(t, failed.Load())
	require.Equal(t, fmt.Sprint(48*50), server.Do(t, "GET", "k"))
}

// TestGatherLeftBehind: who waits for a trip waits no longer than his own deadline and, where it counts, his context; and
// what was not sent until then is never sent.
func TestGatherLeftBehind(t *testing.T) {
	server := redistest.Start(t, nil)
	for _, detach := range []bool{false, true} {
		client := server.Client(t, nil)
		s := sender(t, client, redisend.Options{Timeout: time.Minute, Detach: detach})
		server.Pause(t)
		var first sync.WaitGroup
		var failed atomic.Int64
		for range redisend.MaxTrips {
			first.Go(func() {
				if _, err := incr(t.Context(), s, "first"); err != nil {
					failed.Add(1)
				}
			})
		}
		require.Eventually(t, func() bool {
			stats := client.PoolStats()
			return stats.TotalConns-stats.IdleConns == redisend.MaxTrips
		}, 20*time.Second, time.Millisecond)
		for name, leave := range map[string]func() (context.Context, context.CancelFunc){
			"deadline": func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 50*time.Millisecond)
			},
			"cancelled": func() (context.Context, context.CancelFunc) {
				if detach {
					return context.WithTimeout(t.Context(), 50*time.Millisecond)
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				return ctx, cancel
			},
		} {
			crowd(40, func(int) {
				ctx, cancel := leave()
				defer cancel()
				_, err := incr(ctx, s, name)
				<-ctx.Done()
				if !errors.Is(err, ctx.Err()) {
					failed.Add(1)
				}
			})
		}
		var last sync.WaitGroup
		for range 40 {
			last.Go(func() {
				if _, err := incr(t.Context(), s, "last"); err != nil {
					failed.Add(1)
				}
			})
		}
		server.Resume(t)
		first.Wait()
		last.Wait()
		require.Zero(t, failed.Load())
		require.Equal(t, fmt.Sprint(redisend.MaxTrips), server.Do(t, "GET", "first"))
		require.Equal(t, "40", server.Do(t, "GET", "last"))
		require.EqualValues(t, 0, server.Do(t, "EXISTS", "deadline", "cancelled"))
		server.Flush(t)
	}
}

// panicHook panics while it is told to.
type panicHook struct{ on atomic.Bool }

func (h *panicHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *panicHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if h.on.Load() {
			panic("hook")
		}
		return err
	}
}

func (h *panicHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.on.Load() {
			panic("hook")
		}
		return next(ctx, cmds)
	}
}

// TestPanic: a hook that panics does so in its caller, and where that is a goroutine of the sender's it is an error. Either
// way calls go on afterwards.
func TestPanic(t *testing.T) {
	server := redistest.Start(t, nil)
	for _, own := range []bool{true, false} {
		client := server.Client(t, func(o *redis.Options) { o.ContextTimeoutEnabled = own })
		hook := &panicHook{}
		client.AddHook(hook)
		s := sender(t, client, redisend.Options{})
		_, err := incr(t.Context(), s, "k")
		require.NoError(t, err)
		hook.on.Store(true)
		var panics, failed, wrong atomic.Int64
		crowd(64, func(int) {
			defer func() {
				if recover() != nil {
					panics.Add(1)
				}
			}()
			if _, err := incr(t.Context(), s, "k"); errors.Is(err, redisend.ErrPanic) {
				failed.Add(1)
			} else {
				wrong.Add(1)
			}
		})
		require.Zero(t, wrong.Load())
		require.EqualValues(t, 64, panics.Load()+failed.Load())
		require.Equal(t, own, panics.Load() > 0)
		require.Positive(t, failed.Load())
		hook.on.Store(false)
		crowd(64, func(int) {
			if _, err := incr(t.Context(), s, "k"); err != nil {
				wrong.Add(1)
			}
		})
		require.Zero(t, wrong.Load())
	}
}

// lateConn answers late, as from far away.
type lateConn struct {
	net.Conn
	late *atomic.Int64
}

func (c lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(c.late.Load()))
	return n, err
}

// TestGatherFar: where trips take long nobody waits for another's, which would make two of them.
func TestGatherFar(t *testing.T) {
	server := redistest.Start(t, nil)
	var late atomic.Int64
	const callers = 32
	client := server.Client(t, func(o *redis.Options) {
		o.PoolSize = callers
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return lateConn{conn, &late}, err
		}
	})
	s := sender(t, client, redisend.Options{Timeout: 1500 * time.Millisecond})
	_, err := incr(t.Context(), s, "k")
	require.NoError(t, err)
	crowd(callers, func(int) { client.BLPop(t.Context(), time.Second, "nothing") }) // every caller's connection is open
	require.EqualValues(t, callers, client.PoolStats().IdleConns)
	late.Store(int64(900 * time.Millisecond))
	var failed atomic.Int64
	for _, n := range []int{1, callers} {
		crowd(n, func(int) {
			if _, err := incr(t.Context(), s, "k"); err != nil {
				failed.Add(1)
			}
		})
	}
	require.Zero(t, failed.Load())
	late.Store(0)
	for range 2 {
		crowd(callers, func(int) {
			if _, err := incr(t.Context(), s, "k"); err != nil {
				failed.Add(1)
			}
		})
	}
	require.Zero(t, failed.Load())
	require.Equal(t, fmt.Sprint(2+3*callers), server.Do(t, "GET", "k"))
}

// TestGatherDown: a server that dies under load fails every call in time, and serves again when it is back.
func TestGatherDown(t *testing.T) {
	server := redistest.Start(t, nil)
	s := sender(t, server.Client(t, nil), redisend.Options{Timeout: 500 * time.Millisecond})
	var begun, wrong atomic.Int64
	stop := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		crowd(48, func(i int) {
			for {
				select {
				case <-stop:
					return
				default:
				}
				at := time.Now()
				v, err := incr(t.Context(), s, fmt.Sprint("k", i))
				if err == nil && v == nil || time.Since(at) > slack {
					wrong.Add(1)
				}
				begun.Add(1)
			}
		})
	}()
	passed := func(n int64) {
		from := begun.Load()
		require.Eventually(t, func() bool { return begun.Load() > from+n }, 20*time.Second, time.Millisecond)
	}
	passed(500)
	server.Kill(t)
	passed(100)
	server.Restart(t)
	require.Eventually(t, func() bool {
		_, err := incr(t.Context(), s, "again")
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	close(stop)
	<-finished
	require.Zero(t, wrong.Load())
}

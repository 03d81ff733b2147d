package deadline_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/deadline"
)

type key struct{}

func open(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	default:
		return true
	}
}

// TestEnds: it ends as a context of the standard library would, whether somebody has asked for Done or not; Done may be
// closed a little later.
func TestEnds(t *testing.T) {
	parents := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"background": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"cancellable": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		},
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		},
		"earlier": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		"later": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		},
		"past": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, -time.Hour)
		},
	}
	const with, detached, exact = "with", "detached", "exact"
	check := func(t *testing.T, name, how string, asked bool, after time.Duration) {
		about := []any{name, how, asked, after}
		parent, cancel := parents[name](context.WithValue(context.Background(), key{}, "v"))
		defer cancel()
		end := time.Now().Add(time.Minute)
		var timers deadline.Timers
		c, std := timers.With(parent, end), parent
		if how != with {
			if c, std = timers.Detached(parent, end), context.WithoutCancel(parent); how == exact {
				c = deadline.Detached(parent, end)
			}
			if d, ok := parent.Deadline(); ok {
				var stop context.CancelFunc
				std, stop = context.WithDeadline(std, d)
				defer stop()
			}
		}
		std, stop := context.WithDeadline(std, end)
		defer stop()
		if asked {
			c.Done()
		}
		time.Sleep(after)
		synctest.Wait()
		require.Equal(t, std.Err(), c.Err(), about...)
		require.Equal(t, std.Err(), c.ErrAt(time.Now()), about...)
		want, _ := std.Deadline()
		have, ok := c.Deadline()
		require.True(t, ok)
		require.Equal(t, want, have, about...)
		require.Equal(t, "v", c.Value(key{}))
		if std.Err() == nil {
			require.True(t, open(c), about...)
		} else {
			if how != exact {
				time.Sleep(deadline.Grain)
			}
			synctest.Wait()
			require.False(t, open(c), about...)
		}
		c.Close()
	}
	for name := range parents {
		for _, how := range []string{with, detached, exact} {
			for _, asked := range []bool{false, true} {
				for _, after := range []time.Duration{0, time.Second - 1, time.Second, time.Minute - 1, time.Minute, 2 * time.Hour} {
					synctest.Test(t, func(t *testing.T) { check(t, name, how, asked, after) })
				}
			}
		}
	}
}

// TestCancel: a cancelled parent ends it at once, unless it is detached.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var timers deadline.Timers
		parent, cancel := context.WithCancel(t.Context())
		end := time.Now().Add(time.Hour)
		with, detached := timers.With(parent, end), timers.Detached(parent, end)
		require.True(t, open(with))
		require.True(t, open(detached))
		cancel()
		synctest.Wait()
		require.False(t, open(with))
		require.Equal(t, context.Canceled, with.Err())
		require.True(t, open(detached))
		require.NoError(t, detached.Err())
		with.Close()
		detached.Close()
	})
}

// TestClose: what is closed before anybody asks for Done holds nothing afterwards.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var timers deadline.Timers
		parent, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := timers.With(parent, time.Now().Add(time.Hour))
		c.Close()
		c.Close()
		require.False(t, open(c))
		require.Equal(t, context.Canceled, c.Err())
	})
}

// TestNested: a context in a context takes neither a timer nor a goroutine of its own.
func TestNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outer, inner deadline.Timers
		a := outer.Detached(t.Context(), time.Now().Add(time.Minute))
		before := runtime.NumGoroutine()
		b := inner.With(a, time.Now().Add(time.Hour))
		require.True(t, open(b))
		require.Equal(t, before, runtime.NumGoroutine())
		time.Sleep(time.Minute + deadline.Grain)
		synctest.Wait()
		require.False(t, open(b))
		require.Equal(t, context.DeadlineExceeded, b.Err())
		b.Close()
		a.Close()
	})
}

// TestShared: contexts that end together wait for one timer, and each still ends in time.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var timers deadline.Timers
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			end := begun.Add(time.Duration(i) * 100 * time.Microsecond)
			c := timers.Detached(t.Context(), end)
			wg.Go(func() {
				<-c.Done()
				late := time.Since(end)
				if late < 0 || late > deadline.Grain || c.Err() == nil {
					t.Errorf("context %d: %v late, %v", i, late, c.Err())
				}
				c.Close()
			})
		}
		wg.Wait()
	})
}

// TestAllocations: one for the context, and next to none for what it waits for.
func TestAllocations(t *testing.T) {
	var timers deadline.Timers
	end := time.Now().Add(time.Hour)
	ctx := t.Context()
	ok := true
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() {
		c := timers.Detached(ctx, end)
		ok = ok && open(c) && c.Err() == nil
		c.Close()
	}))
	require.True(t, ok)
}

func BenchmarkContext(b *testing.B) {
	ctx := b.Context()
	b.Run("deadline", func(b *testing.B) {
		var timers deadline.Timers
		b.ReportAllocs()
		for b.Loop() {
			c := timers.Detached(ctx, time.Now().Add(time.Second))
			if !open(c) || c.Err() != nil {
				b.Fatal(c.Err())
			}
			c.Close()
		}
	})
	b.Run("context", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			if !open(c) || c.Err() != nil {
				b.Fatal(c.Err())
			}
			cancel()
		}
	})
}

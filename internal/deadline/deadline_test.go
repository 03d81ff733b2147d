package deadline_test

import (
	"context"
	"runtime"
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

// TestEnds: it ends as a context of the standard library would, whether somebody has asked for Done or not.
func TestEnds(t *testing.T) {
	parents := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"background": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
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
	for name, make := range parents {
		for _, detached := range []bool{false, true} {
			for _, asked := range []bool{false, true} {
				for _, after := range []time.Duration{0, time.Second - 1, time.Second, time.Minute - 1, time.Minute, 2 * time.Hour} {
					synctest.Test(t, func(t *testing.T) {
						parent, cancel := make(context.WithValue(t.Context(), key{}, "v"))
						defer cancel()
						end := time.Now().Add(time.Minute)
						var c *deadline.Context
						var std context.Context
						if detached {
							c = deadline.Detached(parent, end)
							std = context.WithoutCancel(parent)
							if d, ok := parent.Deadline(); ok {
								var stop context.CancelFunc
								std, stop = context.WithDeadline(std, d)
								defer stop()
							}
						} else {
							c, std = deadline.With(parent, end), parent
						}
						std, stop := context.WithDeadline(std, end)
						defer stop()
						if asked {
							c.Done()
						}
						time.Sleep(after)
						synctest.Wait()
						about := []any{name, detached, asked, after}
						require.Equal(t, std.Err(), c.Err(), about...)
						require.Equal(t, open(std), open(c), about...)
						require.Equal(t, std.Err(), c.Err(), about...)
						want, _ := std.Deadline()
						have, ok := c.Deadline()
						require.True(t, ok)
						require.Equal(t, want, have, about...)
						require.Equal(t, "v", c.Value(key{}))
						c.Close()
						if _, ok := parent.Deadline(); detached || !ok || name == "later" {
							require.Error(t, c.Err(), about...)
							require.False(t, open(c), about...)
						}
					})
				}
			}
		}
	}
}

// TestClosed: a context that is closed before anybody asks for Done is over too.
func TestClosed(t *testing.T) {
	c := deadline.With(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, c.Err())
	c.Close()
	c.Close()
	require.Equal(t, context.Canceled, c.Err())
	require.False(t, open(c))
	require.Equal(t, context.Canceled, c.Err())
}

// TestChildren: contexts made of it end with it, and none of them takes a goroutine.
func TestChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := deadline.Detached(parent, time.Now().Add(time.Minute))
		before := runtime.NumGoroutine()
		child := deadline.With(c, time.Now().Add(time.Hour))
		require.True(t, open(child))
		require.Equal(t, before, runtime.NumGoroutine())
		c.Close()
		require.False(t, open(child))
		require.Equal(t, context.Canceled, child.Err())
		child.Close()
		for _, end := range []func(*deadline.Context){
			func(*deadline.Context) { time.Sleep(time.Minute) },
			(*deadline.Context).Close,
		} {
			c := deadline.Detached(parent, time.Now().Add(time.Minute))
			child, stop := context.WithCancel(c)
			defer stop()
			require.NoError(t, child.Err())
			end(c)
			synctest.Wait()
			require.Equal(t, c.Err(), child.Err())
			require.Error(t, child.Err())
			c.Close()
		}
	})
}

// TestAllocations: one, and none for the timer.
func TestAllocations(t *testing.T) {
	end := time.Now().Add(time.Hour)
	ctx := t.Context()
	var err error
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() {
		c := deadline.Detached(ctx, end)
		err = c.Err()
		c.Close()
	}))
	require.NoError(t, err)
}

func BenchmarkContext(b *testing.B) {
	ctx := b.Context()
	b.Run("deadline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := deadline.Detached(ctx, time.Now().Add(time.Second))
			if c.Err() != nil {
				b.Fatal(c.Err())
			}
			c.Close()
		}
	})
	b.Run("context", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			if c.Err() != nil {
				b.Fatal(c.Err())
			}
			cancel()
		}
	})
}

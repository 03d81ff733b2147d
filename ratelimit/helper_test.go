package ratelimit_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var ctx = context.Background()

var alice = ratelimit.Subject{
	Event: "signup", Client: "public", IP: netip.MustParseAddr("192.0.2.7"),
	Phone: "+4790000001", Email: "alice@example.com", Device: []string{"device-a"},
}

// newLimiter returns a limiter in memory and its clock.
func newLimiter(tb testing.TB, p ratelimit.Policy, opts *ratelimit.Options) (*ratelimit.Limiter, *clock) {
	tb.Helper()
	c := newClock()
	l, err := ratelimit.New(p, newMemory(tb, &ratelimit.MemoryOptions{Buckets: 10_000, Now: c.now}), opts)
	require.NoError(tb, err)
	return l, c
}

func limits(l ...ratelimit.Limit) ratelimit.Policy { return ratelimit.Policy{Limits: l} }

// hard is a limit of n a minute.
func hard(name string, d ratelimit.Dimension, n int64) ratelimit.Limit {
	return ratelimit.Limit{Name: name, Dim: d, Count: n, Per: time.Minute, On: ratelimit.Deny}
}

func decide(tb testing.TB, l *ratelimit.Limiter, s ratelimit.Subject) ratelimit.Decision {
	tb.Helper()
	d, err := l.Decide(ctx, s)
	require.NoError(tb, err)
	return d
}

func peek(tb testing.TB, l *ratelimit.Limiter, s ratelimit.Subject) ratelimit.Decision {
	tb.Helper()
	d, err := l.Peek(ctx, s)
	require.NoError(tb, err)
	require.False(tb, d.Charged)
	return d
}

// state returns what the named limit says.
func state(tb testing.TB, d ratelimit.Decision, name string) ratelimit.LimitState {
	tb.Helper()
	for s := range d.Limits() {
		if s.Name == name {
			return s
		}
	}
	require.Fail(tb, "no such limit: "+name)
	return ratelimit.LimitState{}
}

// same reports whether two subjects share the one limit's bucket.
func same(tb testing.TB, d ratelimit.Dimension, a, b ratelimit.Subject, opts *ratelimit.Options) bool {
	tb.Helper()
	l, _ := newLimiter(tb, limits(hard("x", d, 1)), opts)
	first := decide(tb, l, a)
	require.True(tb, first.Allowed())
	second := decide(tb, l, b)
	return !second.Allowed()
}

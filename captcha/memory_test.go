package captcha_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestMemoryGuard(t *testing.T) {
	c := newClock()
	captchatest.TestReplayGuard(t, captchatest.Guard{
		New: func(t *testing.T) (captcha.ReplayGuard, captcha.ReplayGuard) {
			g := newGuard(t, c)
			return g, g
		},
		Advance: c.Advance,
	})
}

func replayKey(n uint64) (k captcha.ReplayKey) {
	binary.LittleEndian.PutUint64(k[:], n)
	return k
}

// A full guard refuses; it never forgets a live mark, and finds room again as soon as one mark has expired, wherever
// it lies.
func TestMemoryGuardFull(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	g, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: c.Now, MaxMarks: 100})
	require.NoError(t, err)
	for i := range uint64(100) {
		ttl := time.Hour
		if i == 17 {
			ttl = time.Minute
		}
		first, err := g.Spend(ctx, replayKey(i), ttl)
		require.NoError(t, err)
		require.True(t, first)
	}
	for i := range uint64(1000) {
		first, err := g.Spend(ctx, replayKey(1000+i), time.Hour)
		require.ErrorIs(t, err, captcha.ErrGuardFull)
		require.False(t, first)
	}
	for i := range uint64(100) {
		first, err := g.Spend(ctx, replayKey(i), time.Hour)
		require.NoError(t, err, "a live mark is known though there is no room")
		require.False(t, first)
	}
	require.Equal(t, 100, g.Len())
	c.Advance(time.Minute)
	first, err := g.Spend(ctx, replayKey(5000), time.Hour)
	require.NoError(t, err)
	require.True(t, first)
	_, err = g.Spend(ctx, replayKey(5001), time.Hour)
	require.ErrorIs(t, err, captcha.ErrGuardFull)
	c.Advance(time.Hour)
	for i := range uint64(100) {
		first, err := g.Spend(ctx, replayKey(i), time.Hour)
		require.NoError(t, err)
		require.True(t, first)
	}
	require.LessOrEqual(t, g.Len(), 100)
}

// The guard agrees with a plain map over random calls.
func TestMemoryGuardAgainstModel(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	g, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: c.Now})
	require.NoError(t, err)
	model := map[captcha.ReplayKey]time.Time{}
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		c.Advance(time.Duration(r.IntN(1500)) * time.Millisecond)
		k := replayKey(uint64(r.IntN(300)))
		live := c.Now().Before(model[k])
		if r.IntN(2) == 0 {
			spent, err := g.Spent(ctx, k)
			require.NoError(t, err)
			require.Equal(t, live, spent)
			continue
		}
		ttl := time.Duration(1+r.IntN(600_000)) * time.Millisecond
		first, err := g.Spend(ctx, k, ttl)
		require.NoError(t, err)
		require.Equal(t, !live, first)
		if first {
			model[k] = c.Now().Add(ttl)
		}
	}
}

func TestNewMemoryGuardRefuses(t *testing.T) {
	_, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{MaxMarks: -1})
	require.ErrorContains(t, err, "MaxMarks")
	g, err := captcha.NewMemoryGuard(nil)
	require.NoError(t, err)
	first, err := g.Spend(context.Background(), replayKey(1), time.Minute)
	require.NoError(t, err)
	require.True(t, first)
}

func TestTokenKey(t *testing.T) {
	seen := map[captcha.ReplayKey]bool{}
	for _, k := range []captcha.ReplayKey{captcha.TokenKey("a", "bc"), captcha.TokenKey("ab", "c"), captcha.TokenKey("a", ""), captcha.TokenKey("", "a")} {
		require.False(t, seen[k])
		seen[k] = true
	}
	require.Equal(t, captcha.TokenKey("a", "b"), captcha.TokenKey("a", "b"))
}

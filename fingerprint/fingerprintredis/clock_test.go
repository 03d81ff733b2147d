package fingerprintredis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClock: the server's time goes on as this process's clock does, and is asked for again before long.
func TestClock(t *testing.T) {
	var c clock
	now := time.Now()
	_, ok := c.at(now)
	require.False(t, ok, "it was never asked for")
	c.set(1_800_000_000_000, now)
	for _, row := range []struct {
		after time.Duration
		ms    int64 // 0: it is to be asked for
	}{
		{0, 1_800_000_000_000},
		{time.Millisecond - 1, 1_800_000_000_000},
		{42 * time.Millisecond, 1_800_000_000_042},
		{trust - 1, 1_800_000_000_099},
		{trust, 0},
		{time.Hour, 0},
		{-1, 0},
	} {
		ms, ok := c.at(now.Add(row.after))
		require.Equal(t, row.ms, ms, row.after)
		require.Equal(t, row.ms != 0, ok, row.after)
	}
	c.set(1_700_000_000_000, now.Add(trust))
	ms, ok := c.at(now.Add(trust + 7*time.Millisecond))
	require.True(t, ok)
	require.EqualValues(t, 1_700_000_000_007, ms, "a server's clock may go back")
}

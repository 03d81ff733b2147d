package ratelimitredis_test

import (
	"bytes"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

var key = bytes.Repeat([]byte("k"), 32)

// patient are options for tests of results, on machines that may be busy.
func patient() *ratelimitredis.Options { return &ratelimitredis.Options{Timeout: 10 * time.Second} }

func newStore(t testing.TB, c ratelimitredis.Processor, o *ratelimitredis.Options) *ratelimitredis.Store {
	t.Helper()
	s, err := ratelimitredis.New(c, key, o)
	require.NoError(t, err)
	return s
}

// bucket is one of n units an hour, of which an attempt takes one.
func bucket(s *ratelimitredis.Store, name string, n int64) ratelimit.Bucket {
	return ratelimit.Bucket{Key: s.Tag([]byte(name)), Interval: 3600_000_000 / n, Burst: n, Cost: 1, Weight: 1000}
}

func source(s *ratelimitredis.Store, name string) ratelimit.Offender {
	return ratelimit.Offender{Key: s.Tag([]byte("source " + name)), Share: 1000, Most: ratelimit.Ban}
}

func ladder() *ratelimit.Ladder {
	const sec = 1_000_000
	return &ratelimit.Ladder{
		HalfLife: 1800 * sec, SlowAt: 3000, ChallengeAt: 5000, BanAt: 10_000, Max: 80_000,
		Slow: 10 * sec, Ban: 300 * sec, MaxBan: 24 * 3600 * sec, Repeat: 500,
	}
}

// decide asks about buckets at the store's own time.
func decide(t testing.TB, s *ratelimitredis.Store, buckets ...ratelimit.Bucket) *ratelimit.Batch {
	t.Helper()
	b := &ratelimit.Batch{Buckets: buckets}
	require.NoError(t, s.Decide(t.Context(), b))
	return b
}

// well asks and requires an answer of Redis.
func well(t testing.TB, s *ratelimitredis.Store, buckets ...ratelimit.Bucket) *ratelimit.Batch {
	t.Helper()
	b := decide(t, s, buckets...)
	require.NoError(t, b.Degraded)
	return b
}

// single starts a server for one test and a client without retries and waits of its own.
func single(t testing.TB, args ...string) (*redistest.Server, *redis.Client) {
	t.Helper()
	server := redistest.Start(t, &redistest.Options{Args: args})
	return server, server.Client(t, nil)
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// debtUnits looks at a bucket.
func debtUnits(t *testing.T, s *ratelimitredis.Store, c ratelimit.Bucket) float64 {
	t.Helper()
	c.Cost = 0
	b := &ratelimit.Batch{DryRun: true, Buckets: []ratelimit.Bucket{c}}
	require.NoError(t, s.Decide(t.Context(), b))
	return float64(b.Buckets[0].Debt) / float64(c.Interval)
}

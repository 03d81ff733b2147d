package phoneredis_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/phone/phoneredis"
	"github.com/vestibule-go/vestibule/phone/phonetest"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func newStore(t testing.TB, client phoneredis.Processor, now func() time.Time) *phoneredis.Store {
	t.Helper()
	s, err := phoneredis.New(client, &phoneredis.Options{InsecureNow: now, Timeout: 20 * time.Second})
	require.NoError(t, err)
	return s
}

func TestRedisConforms(t *testing.T) {
	server := servers.Single(t)
	client := server.Client(t, nil)
	phonetest.StoreConform(t, func(t *testing.T, now func() time.Time) phonetest.Store { return newStore(t, client, now) })
	ctx := context.Background()
	keys, err := client.Keys(ctx, "*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	for _, key := range keys {
		ttl, err := client.TTL(ctx, key).Result()
		require.NoError(t, err)
		require.Positive(t, ttl, "%s does not expire", key)
	}
}

func TestClientWithoutDeadlinesConforms(t *testing.T) {
	client := servers.Single(t).Client(t, func(o *redis.Options) { o.ContextTimeoutEnabled, o.PoolSize = false, 50 })
	s := newStore(t, client, phonetest.NewClock().Now)
	_, err := s.Granted(context.Background(), "t", [16]byte{1})
	require.NoError(t, err)
}

func TestClusterConforms(t *testing.T) {
	client := servers.Cluster(t).Client(t, nil)
	phonetest.StoreConform(t, func(t *testing.T, now func() time.Time) phonetest.Store { return newStore(t, client, now) })
}

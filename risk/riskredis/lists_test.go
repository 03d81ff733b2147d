package riskredis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity/identitytest"
	"github.com/vestibule-go/vestibule/risk/riskredis"
)

var _ identitytest.Store = (*riskredis.Lists)(nil)

func newLists(t testing.TB, c riskredis.Processor, timeout time.Duration) *riskredis.Lists {
	t.Helper()
	l, err := riskredis.NewLists(c, &riskredis.Options{Timeout: timeout})
	require.NoError(t, err)
	return l
}

func TestListsConform(t *testing.T) {
	server := servers.Single(t)
	for name, client := range map[string]riskredis.Processor{
		"single": server.Client(t, nil),
		"RESP2, client without deadlines": server.Client(t, func(o *redis.Options) {
			o.Protocol, o.ContextTimeoutEnabled = 2, false
		}),
	} {
		t.Run(name, func(t *testing.T) {
			server.Flush(t)
			require.NoError(t, identitytest.ListStore(t.Context(), newLists(t, client, 10*time.Second), nil))
		})
	}
	t.Run("cluster", func(t *testing.T) {
		require.NoError(t, identitytest.ListStore(t.Context(), newLists(t, servers.Cluster(t).Client(t, nil), 10*time.Second), nil))
	})
}

func TestListsKeysExpire(t *testing.T) {
	server := servers.Single(t)
	l := newLists(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, l.Put(t.Context(), "t", "a", []byte("1"), time.Now().Add(time.Hour)))
	require.NoError(t, l.Put(t.Context(), "t", "b", []byte("2"), time.Now().Add(time.Minute)))
	keys, _ := server.Do(t, "KEYS", "*").([]any)
	require.Len(t, keys, 1)
	left, _ := server.Do(t, "PTTL", keys[0]).(int64)
	require.InDelta(t, time.Hour.Milliseconds(), left, 10_000, "as long as its last entry")
	require.NotContains(t, fmt.Sprint(keys), "{t}")

	// What has expired is removed by the next write.
	require.NoError(t, l.Put(t.Context(), "t", "c", []byte("3"), time.Now().Add(30*time.Millisecond)))
	require.Eventually(t, func() bool {
		got, err := l.Find(t.Context(), "t", []string{"c"})
		return err == nil && len(got) == 0
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, l.Put(t.Context(), "t", "d", []byte("4"), time.Now().Add(time.Minute)))
	require.EqualValues(t, 3, server.Do(t, "HLEN", keys[0]))
	_, err := l.Remove(t.Context(), "t", "a")
	require.NoError(t, err)
}

func TestListsSurviveLostScripts(t *testing.T) {
	server := servers.Single(t)
	l := newLists(t, server.Client(t, nil), 10*time.Second)
	for _, call := range []func() error{
		func() error { return l.Put(t.Context(), "t", "a", []byte("1"), time.Now().Add(time.Hour)) },
		func() error { _, err := l.Find(t.Context(), "t", []string{"a"}); return err },
		func() error { _, err := l.All(t.Context(), "t", 10); return err },
		func() error { _, err := l.Remove(t.Context(), "t", "a"); return err },
	} {
		server.FlushScripts(t)
		require.NoError(t, call())
		require.NoError(t, call())
	}
}

func TestListsAreBounded(t *testing.T) {
	server := servers.Single(t)
	client := server.Client(t, nil)
	l := newLists(t, client, 10*time.Second)
	require.NoError(t, l.Put(t.Context(), "t", "first", []byte("1"), time.Now().Add(time.Hour)))
	keys, _ := server.Do(t, "KEYS", "*").([]any)
	old := fmt.Sprintf("%016d", time.Now().Add(time.Hour).UnixMilli())
	for i := range 10 {
		fields := []any{"HSET", keys[0]}
		for n := range 1000 {
			fields = append(fields, fmt.Sprint(i, "-", n), old+"x")
		}
		server.Do(t, fields...)
	}
	require.ErrorIs(t, l.Put(t.Context(), "t", "last", []byte("1"), time.Now().Add(time.Hour)), riskredis.ErrListFull)
	require.NoError(t, l.Put(t.Context(), "t", "first", []byte("2"), time.Now().Add(time.Hour)), "replacing takes no room")
	got, err := l.All(t.Context(), "t", 20_000)
	require.NoError(t, err)
	require.Len(t, got, 10_001)
	var many []string
	for n := range 2500 {
		many = append(many, fmt.Sprint(n/1000, "-", n%1000))
	}
	got, err = l.Find(t.Context(), "t", many)
	require.NoError(t, err)
	require.Len(t, got, 2500)
}

func TestListsWithoutRedis(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	l := newLists(t, client, 50*time.Millisecond)
	ctx := context.Background()
	require.Error(t, l.Put(ctx, "tenant-x", "key-x", []byte("r"), time.Now().Add(time.Hour)))
	_, err := l.Find(ctx, "tenant-x", []string{"key-x"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "-x")
	_, err = l.All(ctx, "tenant-x", 1)
	require.Error(t, err)
	_, err = l.Remove(ctx, "tenant-x", "key-x")
	require.Error(t, err)
	_, err = riskredis.NewLists(nil, nil)
	require.Error(t, err)
	_, err = riskredis.NewLists(client, &riskredis.Options{Prefix: "a b"})
	require.Error(t, err)
}

// A value somebody else wrote is an error, not an entry.
func TestListsForeignValues(t *testing.T) {
	server := servers.Single(t)
	l := newLists(t, server.Client(t, nil), 10*time.Second)
	require.NoError(t, l.Put(t.Context(), "t", "a", []byte("1"), time.Now().Add(time.Hour)))
	keys, _ := server.Do(t, "KEYS", "*").([]any)
	server.Do(t, "HSET", keys[0], "a", "rubbish")
	_, err := l.Find(t.Context(), "t", []string{"a"})
	require.Error(t, err)
	server.Do(t, "DEL", keys[0])
	server.Do(t, "SET", keys[0], "x")
	_, err = l.All(t.Context(), "t", 10)
	require.Error(t, err)
}

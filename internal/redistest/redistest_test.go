package redistest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func TestGroupSharesAnEmptyServer(t *testing.T) {
	s := servers.Single(t)
	s.Do(t, "SET", "a", "1")
	again := servers.Single(t)
	require.Same(t, s, again)
	require.Nil(t, again.Do(t, "GET", "a"))
}

func TestServerLife(t *testing.T) {
	s := redistest.Start(t, &redistest.Options{Args: []string{"--maxmemory", "64mb"}})
	require.Equal(t, "67108864", s.Info(t, "memory", "maxmemory"))
	c := s.Client(t, func(o *redis.Options) { o.MaxRetries = -1 })
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return c.Ping(ctx).Err()
	}
	require.Eventually(t, func() bool { return ask() == nil }, 30*time.Second, 10*time.Millisecond)
	require.True(t, s.Running())
	addr := s.Addr()

	s.Pause(t)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err, "a paused server accepts")
	require.NoError(t, conn.Close())
	var timeout net.Error
	require.ErrorAs(t, ask(), &timeout, "and does not answer")
	require.True(t, timeout.Timeout())
	s.Resume(t)
	require.Eventually(t, func() bool { return ask() == nil }, 30*time.Second, 10*time.Millisecond)

	s.Do(t, "SET", "a", "1")
	s.Kill(t)
	require.False(t, s.Running())
	require.Error(t, ask())
	s.Restart(t)
	require.Equal(t, addr, s.Addr())
	require.Nil(t, s.Do(t, "GET", "a"), "it starts empty")
	s.Stop(t)
	_, err = net.Dial("tcp", addr)
	require.Error(t, err)
	s.Restart(t)
	require.EqualValues(t, 1, s.Do(t, "EVAL", "return 1", 0))
	s.FlushScripts(t)
	_, err = s.Try(t, "EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0)
	require.ErrorContains(t, err, "NOSCRIPT")
	first := s.Reads(t)
	require.Equal(t, first+1, s.Reads(t))
}

func TestClusterLife(t *testing.T) {
	c := servers.Cluster(t)
	client := c.Client(t, nil)
	const key = "{tag}:1"
	require.NoError(t, client.Set(t.Context(), key, "1", time.Minute).Err())
	require.NoError(t, client.Set(t.Context(), "{tag}:2", "2", time.Minute).Err())
	slot := c.Slot(t, key)
	from := c.Owner(t, slot)
	require.NotNil(t, from)
	to := c.Masters[1]
	if from == to {
		to = c.Masters[2]
	}
	halfway := false
	c.Migrate(t, slot, to, func() {
		halfway = true
		for _, k := range []string{key, "{tag}:2"} {
			require.NoError(t, client.Get(t.Context(), k).Err(), "ASK is followed")
		}
		require.ErrorContains(t, client.MGet(t.Context(), key, "{tag}:2").Err(), "TRYAGAIN")
	})
	require.True(t, halfway)
	require.Same(t, to, c.Owner(t, slot))
	require.Equal(t, "1", client.Get(t.Context(), key).Val())

	c.Failover(t)
	require.Equal(t, "master", c.Replica.Info(t, "replication", "role"))
	require.Same(t, c.Replica, c.Owner(t, 0))
	c.Failover(t)
	require.Same(t, c.Masters[0], c.Owner(t, 0))
}

func TestClusterPromotesTheReplicaOfADeadMaster(t *testing.T) {
	c := redistest.StartCluster(t)
	c.Masters[0].Kill(t)
	require.Eventually(t, func() bool { return c.Replica.Info(t, "replication", "role") == "master" }, 30*time.Second, 20*time.Millisecond)
	c.Masters[0].Restart(t)
	c.Wait(t)
	require.Equal(t, "slave", c.Masters[0].Info(t, "replication", "role"))
}

func TestSentinelPromotes(t *testing.T) {
	p := redistest.StartSentinel(t)
	client := p.Client(t, nil)
	require.NoError(t, client.Set(t.Context(), "a", "1", time.Minute).Err())
	require.NoError(t, client.Wait(t.Context(), 1, time.Second).Err())
	p.Primary.Kill(t)
	p.WaitPromoted(t)
	require.Eventually(t, func() bool { return client.Get(t.Context(), "a").Val() == "1" }, 30*time.Second, 20*time.Millisecond)
}

// fakeT records what a helper does to a test.
type fakeT struct {
	testing.TB
	skipped, failed string
}

var errEnded = errors.New("ended")

func (f *fakeT) Helper() {}

func (f *fakeT) Skip(args ...any) { f.skipped = args[0].(error).Error(); panic(errEnded) }

func (f *fakeT) Fatal(args ...any) { f.failed = args[0].(error).Error(); panic(errEnded) }

func TestWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	find := func() *fakeT {
		f := &fakeT{TB: t}
		require.PanicsWithValue(t, errEnded, func() { redistest.Find(f) })
		return f
	}
	t.Setenv("VESTIBULE_REQUIRE_REDIS", "")
	f := find()
	require.Contains(t, f.skipped, "redis-server is not on PATH")
	require.Empty(t, f.failed)
	t.Setenv("VESTIBULE_REQUIRE_REDIS", "1")
	f = find()
	require.Contains(t, f.failed, "redis-server is not on PATH")
	require.Empty(t, f.skipped)
}

// TestOwnClock: a server's clock jumps there and back, and expiries with it.
func TestOwnClock(t *testing.T) {
	s := redistest.Start(t, &redistest.Options{OwnClock: true})
	now := func() time.Time {
		at := s.Do(t, "TIME").([]any)
		sec, err := strconv.ParseInt(at[0].(string), 10, 64)
		require.NoError(t, err)
		return time.Unix(sec, 0)
	}
	s.Do(t, "SET", "k", "v", "EX", 1800)
	for _, ahead := range []time.Duration{0, -time.Hour, time.Hour} {
		s.SetClock(t, ahead)
		require.WithinDuration(t, time.Now().Add(ahead), now(), 10*time.Second)
	}
	require.Nil(t, s.Do(t, "GET", "k"), "expired")
}

package ratelimitredis_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// load is traffic on one shared bucket from many goroutines, each with buckets of its own beside.
type load struct {
	admitted, degraded, failed, slow atomic.Int64
	stop                             chan struct{}
	wg                               sync.WaitGroup
}

func startLoad(s *ratelimitredis.Store, shared ratelimit.Bucket, tenant string, workers int) *load {
	l := &load{stop: make(chan struct{})}
	for w := range workers {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				begun := time.Now()
				b := &ratelimit.Batch{Tenant: tenant, Buckets: []ratelimit.Bucket{bucket(s, fmt.Sprint("own", w, i%50), 1_000_000), shared}}
				if err := s.Decide(context.Background(), b); err != nil {
					l.failed.Add(1)
				}
				if b.Degraded != nil {
					l.degraded.Add(1)
				} else if b.Charged {
					l.admitted.Add(1)
				}
				if time.Since(begun) > faultTimeout+slack {
					l.slow.Add(1)
				}
			}
		})
	}
	return l
}

func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// homeOf returns the slot of a tenant's keys.
func homeOf(t *testing.T, c *redistest.Cluster, s *ratelimitredis.Store, tenant string) int {
	t.Helper()
	c.Flush(t)
	b := &ratelimit.Batch{Tenant: tenant, Buckets: []ratelimit.Bucket{bucket(s, "home", 10), bucket(s, "home2", 10)}}
	require.NoError(t, s.Decide(t.Context(), b))
	require.NoError(t, b.Degraded)
	slot := -1
	for _, m := range append(c.Masters[:], c.Replica) {
		if m.Info(t, "replication", "role") != "master" {
			continue
		}
		for _, k := range m.Do(t, "KEYS", "*").([]any) {
			at := c.Slot(t, k.(string))
			require.True(t, slot < 0 || at == slot, "all keys of a tenant are in one slot")
			slot = at
		}
	}
	require.GreaterOrEqual(t, slot, 0)
	return slot
}

// tenantOn finds a tenant whose slot is the node's.
func tenantOn(t *testing.T, c *redistest.Cluster, s *ratelimitredis.Store, node *redistest.Server) (tenant string, slot int) {
	t.Helper()
	for i := range 100 {
		tenant := fmt.Sprint("tenant", i)
		if slot := homeOf(t, c, s, tenant); c.Owner(t, slot) == node {
			return tenant, slot
		}
	}
	t.Fatal("no tenant on that node")
	return "", 0
}

// TestTenantsSpread: tenants of every spelling have slots of their own, never more than one each.
func TestTenantsSpread(t *testing.T) {
	cluster := servers.Cluster(t)
	store := newStore(t, cluster.Client(t, nil), patient())
	slots := map[int]bool{}
	for _, tenant := range []string{"", "a", "b", "{a}", "}{", "{}", "\x00", "a\nb", "a", "\xff\xfe"} {
		slots[homeOf(t, cluster, store, tenant)] = true
	}
	require.GreaterOrEqual(t, len(slots), 7)
}

// TestSlotMigration: a slot that moves to another node under load takes its charges along. While half of its keys are
// there the local store decides.
func TestSlotMigration(t *testing.T) {
	cluster := redistest.StartCluster(t)
	store := newStore(t, cluster.Client(t, nil), faultOptions())
	tenant, slot := tenantOn(t, cluster, store, cluster.Masters[0])
	const burst = 400
	shared := bucket(store, "shared", burst)
	shared.Interval = 600_000_000 // none is regained before the test is over
	l := startLoad(store, shared, tenant, 8)
	require.Eventually(t, func() bool { return l.admitted.Load() > burst/4 }, 20*time.Second, time.Millisecond)
	for _, to := range []*redistest.Server{cluster.Masters[1], cluster.Masters[2]} {
		cluster.Migrate(t, slot, to, func() {})
	}
	require.Eventually(t, func() bool {
		b := &ratelimit.Batch{Tenant: tenant, Buckets: []ratelimit.Bucket{shared}}
		return store.Decide(t.Context(), b) == nil && b.Degraded == nil && !b.Charged
	}, 30*time.Second, 5*time.Millisecond)
	l.end()
	require.Same(t, cluster.Masters[2], cluster.Owner(t, slot))
	require.Zero(t, l.failed.Load())
	require.Zero(t, l.slow.Load())
	require.LessOrEqual(t, l.admitted.Load(), int64(burst), "what Redis admits survives the move: nobody passes for free")
}

// TestHalfMovedSlot: while the keys of one decision are on both sides Redis cannot decide it, and says so.
func TestHalfMovedSlot(t *testing.T) {
	cluster := redistest.StartCluster(t)
	o := faultOptions()
	o.Failures = 1000
	store := newStore(t, cluster.Client(t, nil), o)
	tenant, slot := tenantOn(t, cluster, store, cluster.Masters[0])
	ask := func() *ratelimit.Batch {
		b := &ratelimit.Batch{Tenant: tenant}
		for i := range 4 {
			b.Buckets = append(b.Buckets, bucket(store, fmt.Sprint(i), 100))
		}
		require.NoError(t, store.Decide(t.Context(), b))
		return b
	}
	require.True(t, ask().Charged)
	cluster.Migrate(t, slot, cluster.Masters[1], func() {
		b := ask()
		require.ErrorContains(t, degraded(t, b), "TRYAGAIN")
		require.True(t, b.Charged, "locally")
	})
	require.Eventually(t, func() bool { return ask().Degraded == nil }, 30*time.Second, 5*time.Millisecond)
}

// TestClusterDown: a cluster that has lost a part without a replica refuses everything, until it is whole again.
func TestClusterDown(t *testing.T) {
	cluster := redistest.StartCluster(t)
	store := newStore(t, cluster.Client(t, nil), faultOptions())
	tenant, _ := tenantOn(t, cluster, store, cluster.Masters[0])
	ask := func() error {
		begun := time.Now()
		b := &ratelimit.Batch{Tenant: tenant, Buckets: []ratelimit.Bucket{bucket(store, "a", 1_000_000)}}
		require.NoError(t, store.Decide(t.Context(), b))
		require.True(t, b.Charged)
		require.Less(t, time.Since(begun), faultTimeout+slack)
		return b.Degraded
	}
	require.NoError(t, ask())
	cluster.Masters[1].Kill(t)
	require.Eventually(t, func() bool {
		err := ask()
		return err != nil && strings.Contains(err.Error(), "CLUSTERDOWN")
	}, 30*time.Second, faultProbe)
	cluster.Masters[1].Restart(t)
	require.Eventually(t, func() bool { return ask() == nil }, 60*time.Second, faultProbe)
}

// TestPlannedFailover: a replica that takes over in an orderly way has everything.
func TestPlannedFailover(t *testing.T) {
	cluster := redistest.StartCluster(t)
	store := newStore(t, cluster.Client(t, nil), faultOptions())
	tenant, slot := tenantOn(t, cluster, store, cluster.Masters[0])
	const burst = 400
	shared := bucket(store, "shared", burst)
	shared.Interval = 600_000_000 // none is regained before the test is over
	l := startLoad(store, shared, tenant, 8)
	require.Eventually(t, func() bool { return l.admitted.Load() > burst/4 }, 20*time.Second, time.Millisecond)
	cluster.Failover(t)
	require.Same(t, cluster.Replica, cluster.Owner(t, slot))
	require.Eventually(t, func() bool {
		b := &ratelimit.Batch{Tenant: tenant, Buckets: []ratelimit.Bucket{shared}}
		return store.Decide(t.Context(), b) == nil && b.Degraded == nil && !b.Charged
	}, 30*time.Second, 5*time.Millisecond)
	l.end()
	require.Zero(t, l.failed.Load())
	require.Zero(t, l.slow.Load())
	require.LessOrEqual(t, l.admitted.Load(), int64(burst))
}

// TestMasterDies: while a shard has no master its tenants are decided locally, the other shards' tenants by Redis; the
// promoted replica goes on with what was replicated.
func TestMasterDies(t *testing.T) {
	cluster := redistest.StartCluster(t)
	client := cluster.Client(t, nil)
	store := newStore(t, client, faultOptions())
	hit, slot := tenantOn(t, cluster, store, cluster.Masters[0])
	spared := ""
	for i := 0; spared == ""; i++ {
		tenant := fmt.Sprint("spared", i)
		if cluster.Owner(t, homeOf(t, cluster, store, tenant)) != cluster.Masters[0] && tenant != hit {
			spared = tenant
		}
	}
	ask := func(tenant string, c ratelimit.Bucket) *ratelimit.Batch {
		begun := time.Now()
		b := &ratelimit.Batch{Tenant: tenant, Buckets: []ratelimit.Bucket{c}}
		require.NoError(t, store.Decide(t.Context(), b))
		require.Less(t, time.Since(begun), faultTimeout+slack)
		return b
	}
	c := bucket(store, "a", 10)
	for range 4 {
		require.NoError(t, ask(hit, c).Degraded)
	}
	require.NoError(t, client.ForEachMaster(t.Context(), func(ctx context.Context, m *redis.Client) error {
		if m.Options().Addr != cluster.Masters[0].Addr() {
			return nil
		}
		return m.Wait(ctx, 1, 10*time.Second).Err()
	}))
	cluster.Masters[0].Kill(t)
	admitted := 0
	for range 8 {
		b := ask(hit, c)
		degraded(t, b)
		if b.Charged {
			admitted++
		}
	}
	require.Equal(t, 6, admitted, "10 less the 4 that Redis had charged")
	require.Eventually(t, func() bool { return ask(spared, c).Degraded == nil }, 20*time.Second, faultProbe)
	require.Eventually(t, func() bool { return ask(hit, bucket(store, "x", 1000)).Degraded == nil }, 30*time.Second, faultProbe)
	require.Same(t, cluster.Replica, cluster.Owner(t, slot))
	look := c
	look.Cost = 0
	b := ask(hit, look)
	require.NoError(t, b.Degraded)
	require.InDelta(t, 4*c.Interval, b.Buckets[0].Debt, float64(c.Interval)/2, "what was replicated is there")
}

// TestPerKeySlotsNeverAdmitTooMany: whatever the load, reserve-then-refund admits no more than the burst, and what was
// refused is given back.
func TestPerKeySlotsNeverAdmitTooMany(t *testing.T) {
	cluster := servers.Cluster(t)
	o := patient()
	o.PerKeySlots = true
	store := newStore(t, cluster.Client(t, nil), o)
	a, b, c := bucket(store, "a", 100), bucket(store, "b", 1000), bucket(store, "c", 150)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10 {
				batch := &ratelimit.Batch{Buckets: []ratelimit.Bucket{b, a, c}}
				if err := store.Decide(context.Background(), batch); err == nil && batch.Degraded == nil && batch.Charged {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, admitted.Load(), int64(100))
	require.Greater(t, admitted.Load(), int64(50))
	require.InDelta(t, float64(admitted.Load()), debtUnits(t, store, b), 1, "what refused attempts held is given back")
	require.InDelta(t, float64(admitted.Load()), debtUnits(t, store, c), 1)
	require.Equal(t, ratelimit.Deny, decide(t, store, bucket(store, "d", 10), func() ratelimit.Bucket { x := bucket(store, "e", 10); x.Cost = 10; return x }(), a).Level)
	require.Zero(t, debtUnits(t, store, bucket(store, "d", 10)))
}

// TestPerKeySlotsOneNodeDown: a node that fails makes the decision the local store's; what the others had reserved is
// given back.
func TestPerKeySlotsOneNodeDown(t *testing.T) {
	cluster := redistest.StartCluster(t)
	o := faultOptions()
	o.PerKeySlots, o.Failures = true, 1000
	store := newStore(t, cluster.Client(t, nil), o)
	var buckets []ratelimit.Bucket
	for i := range 12 {
		buckets = append(buckets, bucket(store, fmt.Sprint("k", i), 100))
	}
	require.True(t, well(t, store, buckets...).Charged)
	cluster.Masters[1].Pause(t)
	b := decide(t, store, buckets...)
	degraded(t, b)
	require.True(t, b.Charged, "locally")
	cluster.Masters[1].Resume(t) // before the others vote it out, and refuse everything meanwhile
	require.Eventually(t, func() bool {
		back := 0
		for _, c := range buckets {
			c.Cost = 0
			b := &ratelimit.Batch{DryRun: true, Buckets: []ratelimit.Bucket{c}}
			if err := store.Decide(t.Context(), b); err == nil && b.Degraded == nil && b.Buckets[0].Debt < 3*c.Interval/2 {
				back++
			}
		}
		return back >= len(buckets)/2
	}, 30*time.Second, 20*time.Millisecond, "the nodes that answered hold nothing for attempts Redis has not decided")
}

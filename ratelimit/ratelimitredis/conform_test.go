package ratelimitredis_test

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
)

func conform(t *testing.T, client ratelimitredis.Processor, change func(*ratelimitredis.Options)) {
	o := patient()
	o.Fail = ratelimitredis.Closed // no test is passed by a fail mode
	if change != nil {
		change(o)
	}
	failed := func(err error) { t.Errorf("Redis failed: %v", err) }
	o.Hooks = &ratelimitredis.Hooks{Failed: failed}
	var store ratelimit.Store = newStore(t, client, o)
	if o.PerKeySlots {
		store = &serial{Store: store}
	}
	ratelimittest.Run(t, func(*testing.T) ratelimit.Store { return store })
}

// serial lets one call run at a time. With a slot for each key an attempt may be refused while another one holds what it
// needs, which the suite does not expect.
type serial struct {
	ratelimit.Store
	mu sync.Mutex
}

func (s *serial) Decide(ctx context.Context, b *ratelimit.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Decide(ctx, b)
}

func TestConformSingle(t *testing.T) {
	server := servers.Single(t)
	t.Run("RESP3", func(t *testing.T) { conform(t, server.Client(t, nil), nil) })
	t.Run("RESP2, client without deadlines", func(t *testing.T) {
		conform(t, server.Client(t, func(o *redis.Options) { o.Protocol, o.ContextTimeoutEnabled = 2, false }), nil)
	})
	t.Run("auto pipeline", func(t *testing.T) {
		auto, err := server.Client(t, nil).AutoPipeline()
		require.NoError(t, err)
		t.Cleanup(func() { _ = auto.Close() })
		conform(t, auto, nil)
	})
	t.Run("ring", func(t *testing.T) {
		ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = ring.Close() })
		conform(t, ring, nil)
	})
	t.Run("local store beside", func(t *testing.T) {
		conform(t, server.Client(t, nil), func(o *ratelimitredis.Options) { o.Fail = ratelimitredis.Local })
	})
}

func TestConformCluster(t *testing.T) {
	cluster := servers.Cluster(t)
	t.Run("one slot", func(t *testing.T) { conform(t, cluster.Client(t, nil), nil) })
}

func TestConformPerKeySlots(t *testing.T) {
	perKey := func(o *ratelimitredis.Options) { o.PerKeySlots = true }
	t.Run("single", func(t *testing.T) { conform(t, servers.Single(t).Client(t, nil), perKey) })
	t.Run("cluster", func(t *testing.T) { conform(t, servers.Cluster(t).Client(t, nil), perKey) })
}

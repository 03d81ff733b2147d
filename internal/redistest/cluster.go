package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Slots is how many hash slots a cluster has.
const Slots = 16384

// Cluster is a Redis Cluster of three masters; the first has a replica. Its methods are for one test at a time.
type Cluster struct {
	// Masters are the nodes that began as masters, with a third of the slots each.
	Masters [3]*Server
	// Replica began as the replica of Masters[0].
	Replica *Server
}

// StartCluster starts a cluster that ends with the test. A master that is gone for a second is failed over.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c, err := newCluster(Find(t), t.TempDir())
	if c != nil {
		t.Cleanup(c.end)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nodes are all servers of the cluster.
func (c *Cluster) nodes() []*Server {
	return []*Server{c.Masters[0], c.Masters[1], c.Masters[2], c.Replica}
}

func (c *Cluster) end() {
	for _, s := range c.nodes() {
		if s != nil {
			s.end()
		}
	}
}

func newCluster(bin, dir string) (*Cluster, error) {
	c := &Cluster{}
	for i := range 4 {
		s, err := newNode(bin, filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return c, err
		}
		if i < 3 {
			c.Masters[i] = s
		} else {
			c.Replica = s
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, s := range c.Masters {
		from, to := i*Slots/3, (i+1)*Slots/3-1
		err := errors.Join(
			s.admin.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(),
			s.admin.ClusterAddSlotsRange(ctx, from, to).Err())
		if err != nil {
			return c, err
		}
	}
	for _, s := range c.nodes()[1:] {
		if err := c.Masters[0].admin.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", s.port).Err(); err != nil {
			return c, err
		}
	}
	err := eventually("all nodes have met", func() bool {
		for _, s := range c.nodes() {
			if info, err := s.admin.ClusterInfo(ctx).Result(); err != nil || field(info, "cluster_known_nodes") != "4" {
				return false
			}
		}
		return true
	})
	if err != nil {
		return c, err
	}
	id, err := c.Masters[0].admin.ClusterMyID(ctx).Result()
	if err != nil {
		return c, err
	}
	err = eventually("the replica follows its master", func() bool {
		return c.Replica.admin.Do(ctx, "CLUSTER", "REPLICATE", id).Err() == nil
	})
	if err != nil {
		return c, err
	}
	return c, eventually("the cluster is well", c.well)
}

// newNode starts a node. Its cluster bus takes the port 10,000 above its own.
func newNode(bin, dir string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return newServer(bin, dir, []string{
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "3000",
		"--cluster-replica-validity-factor", "0",
	})
}

// well reports whether every node sees a whole cluster and every replica is in step with its master.
func (c *Cluster) well() bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	replicas := 0
	for _, s := range c.nodes() {
		info, err := s.admin.ClusterInfo(ctx).Result()
		if err != nil || field(info, "cluster_state") != "ok" || field(info, "cluster_slots_ok") != strconv.Itoa(Slots) {
			return false
		}
		nodes, err := s.admin.ClusterNodes(ctx).Result()
		if err != nil || strings.Contains(nodes, "fail") || strings.Contains(nodes, "handshake") ||
			strings.Count(nodes, " connected") != 4 {
			return false
		}
		info, err = s.admin.Info(ctx, "replication").Result()
		if err != nil {
			return false
		}
		if field(info, "role") == "slave" {
			replicas++
			if field(info, "master_link_status") != "up" {
				return false
			}
		}
	}
	return replicas == 1
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, s := range c.nodes() {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Client returns a client that is closed with the test. edit, unless nil, may change its options first.
func (c *Cluster) Client(t testing.TB, edit func(*redis.ClusterOptions)) *redis.ClusterClient {
	t.Helper()
	o := &redis.ClusterOptions{Addrs: c.Addrs(), ContextTimeoutEnabled: true}
	if edit != nil {
		edit(o)
	}
	client := redis.NewClusterClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Wait waits until all four nodes run and agree, the replica being in step.
func (c *Cluster) Wait(t testing.TB) {
	t.Helper()
	if err := eventually("the cluster is well", c.well); err != nil {
		t.Fatal(err)
	}
}

// Flush removes all keys and scripts from all nodes.
func (c *Cluster) Flush(t testing.TB) {
	t.Helper()
	for _, s := range c.nodes() {
		if s.Info(t, "replication", "role") == "master" {
			s.Flush(t)
		} else {
			s.FlushScripts(t)
		}
	}
}

// Slot returns a key's hash slot.
func (c *Cluster) Slot(t testing.TB, key string) int {
	t.Helper()
	n, _ := c.Masters[0].Do(t, "CLUSTER", "KEYSLOT", key).(int64)
	return int(n)
}

// Owner returns the node that serves a slot now, as one of the nodes that run sees it; nil when none does.
func (c *Cluster) Owner(t testing.TB, slot int) *Server {
	t.Helper()
	for _, s := range c.nodes() {
		if s.Running() {
			if owner := c.ownerSeenBy(s, slot); owner != nil {
				return owner
			}
		}
	}
	return nil
}

func (c *Cluster) ownerSeenBy(s *Server, slot int) *Server {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	//lint:ignore SA1019 CLUSTER SLOTS is what servers before 7.0 know
	ranges, err := s.admin.ClusterSlots(ctx).Result()
	if err != nil {
		return nil
	}
	for _, r := range ranges {
		if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 {
			return c.at(r.Nodes[0].Addr)
		}
	}
	return nil
}

// at finds a node by address.
func (c *Cluster) at(addr string) *Server {
	for _, s := range c.nodes() {
		if s.Addr() == addr {
			return s
		}
	}
	return nil
}

// Failover promotes the replica while its master runs, and waits until the cluster has settled. The two have then
// changed roles.
func (c *Cluster) Failover(t testing.TB) {
	t.Helper()
	for _, s := range []*Server{c.Masters[0], c.Replica} {
		if s.Info(t, "replication", "role") != "slave" {
			continue
		}
		asked := time.Time{}
		err := eventually("the replica is promoted", func() bool {
			if s.Info(t, "replication", "role") == "master" {
				return true
			}
			if time.Since(asked) > 6*time.Second { // an election that is lost is given up after five
				asked = time.Now()
				s.Do(t, "CLUSTER", "FAILOVER")
			}
			return false
		})
		if err != nil {
			t.Fatalf("%v: %s", err, s.log())
		}
		c.Wait(t)
		return
	}
	t.Fatal("redistest: the cluster has no replica to promote")
}

// Migrate moves a slot and its keys to another master, one key after the other, as a resharding does. While it runs,
// clients are answered with ASK and, for commands whose keys are on both sides, TRYAGAIN; afterwards with MOVED.
// between, unless nil, is called when half of the keys have moved.
func (c *Cluster) Migrate(t testing.TB, slot int, to *Server, between func()) {
	t.Helper()
	from := c.Owner(t, slot)
	if from == nil || from == to {
		t.Fatalf("redistest: slot %d cannot be moved to %s", slot, to.Addr())
	}
	fromID, toID := fmt.Sprint(from.Do(t, "CLUSTER", "MYID")), fmt.Sprint(to.Do(t, "CLUSTER", "MYID"))
	to.Do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	half := from.Do(t, "CLUSTER", "COUNTKEYSINSLOT", slot).(int64) / 2
	for n := int64(0); ; n++ {
		if n == half && between != nil {
			between()
		}
		keys, _ := from.Do(t, "CLUSTER", "GETKEYSINSLOT", slot, 1).([]any)
		if len(keys) == 0 {
			break
		}
		from.Do(t, "MIGRATE", "127.0.0.1", to.port, keys[0], 0, 5000)
	}
	for _, s := range []*Server{to, from} {
		s.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	for _, s := range c.Masters {
		if s != from && s != to && s.Running() {
			_, _ = s.Try(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
		}
	}
	// Gossip tells the replica.
	err := eventually("all nodes know who serves the slot", func() bool {
		for _, s := range c.nodes() {
			if s.Running() && c.ownerSeenBy(s, slot) != to {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

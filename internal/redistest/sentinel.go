package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// MasterName is the name by which a [Sentinel] knows its primary.
const MasterName = "vestibule"

// Sentinel is a primary and a replica of it, watched by one Sentinel process that promotes the replica when the primary
// has been gone for half a second. Its methods are for one test at a time.
type Sentinel struct {
	Primary, Replica *Server // what they began as
	Watcher          *Server // the Sentinel process
}

// StartSentinel starts a pair that ends with the test.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	p, err := newSentinel(Find(t), t.TempDir())
	if p != nil {
		t.Cleanup(p.end)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Sentinel) end() {
	for _, s := range []*Server{p.Watcher, p.Replica, p.Primary} {
		if s != nil {
			s.end()
		}
	}
}

func newSentinel(bin, dir string) (*Sentinel, error) {
	p := &Sentinel{}
	var dirs [3]string
	for i := range dirs {
		dirs[i] = filepath.Join(dir, strconv.Itoa(i))
		if err := os.MkdirAll(dirs[i], 0o700); err != nil {
			return p, err
		}
	}
	var err error
	if p.Primary, err = newServer(bin, dirs[0], nil); err != nil {
		return p, err
	}
	if p.Replica, err = newServer(bin, dirs[1], []string{"--replicaof", "127.0.0.1", strconv.Itoa(p.Primary.port)}); err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = eventually("the replica follows its primary", func() bool {
		info, err := p.Replica.admin.Info(ctx, "replication").Result()
		return err == nil && field(info, "master_link_status") == "up"
	})
	if err != nil {
		return p, err
	}
	p.Watcher = &Server{bin: bin, dir: dirs[2]}
	if p.Watcher.port, err = freePort(); err != nil {
		return p, err
	}
	conf, err := p.Watcher.confFile("sentinel.conf", fmt.Sprintf(`port %d
bind 127.0.0.1
dir %q
sentinel monitor %[3]s 127.0.0.1 %[4]d 1
sentinel down-after-milliseconds %[3]s 500
sentinel failover-timeout %[3]s 3000
`, p.Watcher.port, dirs[2], MasterName, p.Primary.port))
	if err != nil {
		return p, err
	}
	p.Watcher.mu.Lock()
	err = p.Watcher.startWith([]string{conf, "--sentinel"})
	p.Watcher.mu.Unlock()
	if err != nil {
		return p, err
	}
	return p, eventually("Sentinel knows the replica", func() bool {
		reply, err := p.Watcher.admin.Do(ctx, "SENTINEL", "REPLICAS", MasterName).Slice()
		return err == nil && len(reply) == 1
	})
}

// Client returns a client that follows failovers and is closed with the test. edit, unless nil, may change its options
// first.
func (p *Sentinel) Client(t testing.TB, edit func(*redis.FailoverOptions)) *redis.Client {
	t.Helper()
	o := &redis.FailoverOptions{
		MasterName: MasterName, SentinelAddrs: []string{p.Watcher.Addr()}, ContextTimeoutEnabled: true,
	}
	if edit != nil {
		edit(o)
	}
	c := redis.NewFailoverClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// WaitPromoted waits until Sentinel has made the replica primary.
func (p *Sentinel) WaitPromoted(t testing.TB) {
	t.Helper()
	err := eventually("Sentinel has promoted the replica", func() bool {
		reply, _ := p.Watcher.Do(t, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).([]any)
		return len(reply) == 2 && reply[1] == strconv.Itoa(p.Replica.port) &&
			p.Replica.Info(t, "replication", "role") == "master"
	})
	if err != nil {
		t.Fatal(err)
	}
}

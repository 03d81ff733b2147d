package redistest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Group shares servers among the tests of one package. The zero value is ready; servers are started at first use and
// ended by Main. Tests that use one of a group's servers must not run in parallel with each other, nor stop it.
type Group struct {
	mu       sync.Mutex // guards all below
	dir      string
	single   *Server
	cluster  *Cluster
	sentinel *Sentinel
}

// Main runs the package's tests, ends the group's servers and returns the exit code: the body of a TestMain.
func (g *Group) Main(m *testing.M) int {
	defer g.end()
	return m.Run()
}

func (g *Group) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.single != nil {
		g.single.end()
	}
	if g.cluster != nil {
		g.cluster.end()
	}
	if g.sentinel != nil {
		g.sentinel.end()
	}
	if g.dir != "" {
		_ = os.RemoveAll(g.dir) // temporary
	}
}

// folder returns a folder for the servers of one kind.
func (g *Group) folder(t testing.TB, name string) string {
	if g.dir == "" {
		dir, err := os.MkdirTemp("", "redistest")
		if err != nil {
			t.Fatal(err)
		}
		g.dir = dir
	}
	dir := filepath.Join(g.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Single returns the group's server, empty.
func (g *Group) Single(t testing.TB) *Server {
	t.Helper()
	bin := Find(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.single == nil {
		s, err := newServer(bin, g.folder(t, "single"), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.single = s
	}
	g.single.Flush(t)
	return g.single
}

// Cluster returns the group's cluster, empty.
func (g *Group) Cluster(t testing.TB) *Cluster {
	t.Helper()
	bin := Find(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cluster == nil {
		c, err := newCluster(bin, g.folder(t, "cluster"))
		if err != nil {
			c.end()
			t.Fatal(err)
		}
		g.cluster = c
	}
	g.cluster.Flush(t)
	return g.cluster
}

// Sentinel returns the group's Sentinel pair, empty.
func (g *Group) Sentinel(t testing.TB) *Sentinel {
	t.Helper()
	bin := Find(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sentinel == nil {
		p, err := newSentinel(bin, g.folder(t, "sentinel"))
		if err != nil {
			p.end()
			t.Fatal(err)
		}
		g.sentinel = p
	}
	g.sentinel.Primary.Flush(t)
	return g.sentinel
}

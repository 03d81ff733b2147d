package ipintel

import (
	"net/netip"
	"sync"
	"time"
)

// cache keeps answers of a provider for a while. It is bounded: when it is full, what has expired goes first, then
// anything. A flood of new addresses can so empty it; then the provider is asked again, as far as its quota goes.
type cache struct {
	most int
	keep time.Duration
	mu   sync.Mutex
	held map[netip.Addr]cached // guarded by mu
}

type cached struct {
	Reputation
	until time.Time
}

func (c *cache) get(ip netip.Addr, now time.Time) (Reputation, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.held[ip]
	if !ok || !now.Before(e.until) {
		return Reputation{}, false
	}
	return e.Reputation, true
}

func (c *cache) put(ip netip.Addr, r Reputation, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.held[ip]; !ok && len(c.held) >= c.most {
		c.makeRoom(now)
	}
	c.held[ip] = cached{r, now.Add(c.keep)}
}

// makeRoom looks at a few entries, in the map's random order.
func (c *cache) makeRoom(now time.Time) {
	var victim netip.Addr
	n := 0
	for ip, e := range c.held {
		victim = ip
		if n++; n == 16 || !now.Before(e.until) {
			break
		}
	}
	delete(c.held, victim)
}

package fingerprintredis

import (
	"sync/atomic"
	"time"
)

// trust is how long a server's time is carried on by this process's monotonic clock before the server is asked again.
const trust = 100 * time.Millisecond

// clock knows a server's time without asking it each time, which would take a script as long as writing does. It is never
// ahead of the server's: at most a trip's way back behind it, or a trust behind a server's clock that has been put
// forward. It is safe for concurrent use.
type clock struct {
	heard atomic.Pointer[reading]
}

// reading is what a server's clock showed, in milliseconds since 1970, when this process heard of it or before.
type reading struct {
	ms   int64
	here time.Time
}

// set keeps what a server that has been asked has answered by now.
func (c *clock) set(ms int64, now time.Time) { c.heard.Store(&reading{ms, now}) }

// at is a server's time now; false: ask it.
func (c *clock) at(now time.Time) (ms int64, ok bool) {
	r := c.heard.Load()
	if r == nil {
		return 0, false
	}
	since := now.Sub(r.here)
	if since < 0 || since >= trust {
		return 0, false
	}
	return r.ms + since.Milliseconds(), true
}

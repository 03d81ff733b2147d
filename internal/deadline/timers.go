package deadline

import (
	"sync"
	"time"
)

// Grain is how much later than a context its Done may be closed.
const Grain = 4 * time.Millisecond

// Timers are the timers of contexts: one for all that end within the same [Grain], so that of a thousand calls a second
// most start none. The zero value is ready, and safe for concurrent use.
type Timers struct {
	mu    sync.Mutex // guards what follows
	start time.Time  // of counting
	spoke map[int64]chan struct{}
}

// farther is more than two deadlines of one user are apart, so that counting begins before all of them.
const farther = 100 * 24 * time.Hour

// after returns a channel that is closed at a time, or up to a Grain later.
func (t *Timers) after(end time.Time) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spoke == nil {
		t.start, t.spoke = end.Add(-farther), map[int64]chan struct{}{}
	}
	n := int64(end.Sub(t.start)/Grain) + 1
	if c := t.spoke[n]; c != nil {
		return c
	}
	now, c := time.Now(), make(chan struct{})
	if !now.Before(end) {
		close(c)
		return c
	}
	t.spoke[n] = c
	time.AfterFunc(t.start.Add(time.Duration(n)*Grain).Sub(now), func() {
		t.mu.Lock()
		delete(t.spoke, n)
		t.mu.Unlock()
		close(c)
	})
	return c
}

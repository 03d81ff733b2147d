package fpjs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// MemoryOnceOptions of a MemoryOnce. The zero value and nil mean the defaults.
type MemoryOnceOptions struct {
	// Most is how many names are remembered, 1 to 2^24; default 100,000. When all are in use and none has expired,
	// Use errs: to forget one would let its event be used again.
	Most int
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// MemoryOnce is a [Once] in this process. It is safe for concurrent use.
type MemoryOnce struct {
	now  func() time.Time
	most int

	mu    sync.Mutex
	until map[string]time.Time // guarded by mu
	sweep time.Time            // guarded by mu: when something may have expired
}

var (
	_ Once     = (*MemoryOnce)(nil)
	_ Releaser = (*MemoryOnce)(nil)
)

// ErrFull says that a MemoryOnce remembers as many names as it may.
var ErrFull = errors.New("fpjs: too many events in use; raise MemoryOnceOptions.Most")

// NewMemoryOnce returns an empty one.
func NewMemoryOnce(opts *MemoryOnceOptions) (*MemoryOnce, error) {
	m := &MemoryOnce{most: 100_000, now: time.Now, until: map[string]time.Time{}}
	if opts != nil {
		if opts.Most != 0 {
			m.most = opts.Most
		}
		if opts.Now != nil {
			m.now = opts.Now
		}
	}
	if m.most < 1 || m.most > 1<<24 {
		return nil, fmt.Errorf("fpjs: Most is %d, want 1 to 2^24", m.most)
	}
	return m, nil
}

// Use implements [Once].
func (m *MemoryOnce) Use(_ context.Context, name string, keep time.Duration) (bool, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if end, used := m.until[name]; used && now.Before(end) {
		return false, nil
	}
	if _, there := m.until[name]; !there && len(m.until) >= m.most {
		if now.Before(m.sweep) {
			return false, ErrFull
		}
		m.sweep = now.Add(keep)
		for n, end := range m.until {
			if !now.Before(end) {
				delete(m.until, n)
			} else if end.Before(m.sweep) {
				m.sweep = end
			}
		}
		if len(m.until) >= m.most {
			return false, ErrFull
		}
	}
	m.until[name] = now.Add(keep)
	return true, nil
}

// Release implements [Releaser].
func (m *MemoryOnce) Release(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, name)
	return nil
}

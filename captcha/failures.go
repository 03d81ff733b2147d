package captcha

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Failures counts refused answers by visitor, for use without the engine: under it, rate limiting charges offences when
// an assessment is settled, and ChallengeRequest.Failures is filled. It must be safe for concurrent use. Errors are taken
// as a count of 0.
type Failures interface {
	// Add notes a refused answer of a visitor, named by a keyed tag.
	Add(ctx context.Context, visitor string, why Reason) error
	// Count is how many there were lately.
	Count(ctx context.Context, visitor string) (int, error)
}

// MemoryFailures is a Failures in memory, for one instance without the engine. Build it with NewMemoryFailures. It is
// safe for concurrent use.
type MemoryFailures struct {
	now    func() time.Time
	window time.Duration
	most   int
	mu     sync.Mutex
	counts map[string]failureCount // guarded by mu
	swept  time.Time               // guarded by mu
}

type failureCount struct {
	n     int
	until time.Time
}

// MemoryFailuresOptions of a MemoryFailures. The zero value and nil mean the defaults.
type MemoryFailuresOptions struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Window is how long after the last failure all are forgotten; default 30 minutes.
	Window time.Duration
	// Visitors bounds how many are remembered; default 100,000. When it is full and nobody's window is over, new visitors
	// are not counted.
	Visitors int
}

var _ Failures = (*MemoryFailures)(nil)

// NewMemoryFailures makes a counter.
func NewMemoryFailures(opts *MemoryFailuresOptions) (*MemoryFailures, error) {
	var o MemoryFailuresOptions
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Window == 0 {
		o.Window = 30 * time.Minute
	}
	if o.Visitors == 0 {
		o.Visitors = 100_000
	}
	if o.Window < 0 || o.Visitors < 0 {
		return nil, fmt.Errorf("captcha: Window and Visitors must not be negative")
	}
	return &MemoryFailures{now: o.Now, window: o.Window, most: o.Visitors, counts: make(map[string]failureCount)}, nil
}

// Add implements Failures.
func (f *MemoryFailures) Add(_ context.Context, visitor string, _ Reason) error {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	c, known := f.counts[visitor]
	if !known && len(f.counts) >= f.most {
		if now.Sub(f.swept) < f.window/32 {
			return nil
		}
		f.swept = now
		for k, v := range f.counts {
			if !now.Before(v.until) {
				delete(f.counts, k)
			}
		}
		if len(f.counts) >= f.most {
			return nil
		}
	}
	if !now.Before(c.until) {
		c.n = 0
	}
	f.counts[visitor] = failureCount{min(c.n+1, 1000), now.Add(f.window)}
	return nil
}

// Count implements Failures.
func (f *MemoryFailures) Count(_ context.Context, visitor string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counts[visitor]
	if !f.now().Before(c.until) {
		return 0, nil
	}
	return c.n, nil
}

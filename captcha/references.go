package captcha

import (
	"context"
	"errors"
	"sync"
	"time"
)

// References keeps the provider's name of an assessment under ours, until it expires, so that a label that comes weeks
// later finds it. It must be safe for concurrent use.
type References interface {
	// Keep keeps a reference for ttl, which is positive.
	Keep(ctx context.Context, assessment, reference string, ttl time.Duration) error
	// Find returns a reference, "" when there is none.
	Find(ctx context.Context, assessment string) (string, error)
}

// DefaultReferences bounds a MemoryReferences.
const DefaultReferences = 100_000

// MemoryReferences is a References in memory: the newest DefaultReferences of one instance. Build it with
// NewMemoryReferences. It is safe for concurrent use.
type MemoryReferences struct {
	now  func() time.Time
	mu   sync.Mutex
	refs map[string]memoryReference // guarded by mu
	ring []string                   // guarded by mu: names in order of arrival
	next int                        // guarded by mu
}

type memoryReference struct {
	text  string
	until time.Time
}

var _ References = (*MemoryReferences)(nil)

// NewMemoryReferences makes a store. now is its clock; nil means time.Now.
func NewMemoryReferences(now func() time.Time) *MemoryReferences {
	if now == nil {
		now = time.Now
	}
	return &MemoryReferences{now: now, refs: make(map[string]memoryReference)}
}

// Keep implements References. When it is full the oldest is forgotten.
func (m *MemoryReferences) Keep(_ context.Context, assessment, reference string, ttl time.Duration) error {
	if ttl <= 0 || assessment == "" || len(assessment)+len(reference) > 1024 {
		return errors.New("captcha: a reference needs a name, a positive lifetime and at most 1 KiB")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.refs[assessment]; !known {
		if len(m.ring) < DefaultReferences {
			m.ring = append(m.ring, assessment)
		} else {
			delete(m.refs, m.ring[m.next])
			m.ring[m.next] = assessment
			m.next = (m.next + 1) % len(m.ring)
		}
	}
	m.refs[assessment] = memoryReference{reference, m.now().Add(ttl)}
	return nil
}

// Find implements References.
func (m *MemoryReferences) Find(_ context.Context, assessment string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.refs[assessment]
	if !ok || !m.now().Before(r.until) {
		return "", nil
	}
	return r.text, nil
}

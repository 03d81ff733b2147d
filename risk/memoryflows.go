package risk

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// MemoryFlows is a FlowStore in memory, for one process. It is bounded: when full, a new flow pushes out the one that
// expires first, so that an attacker who opens flows by the thousand can make honest visitors start over, and nothing
// worse. It is safe for concurrent use.
type MemoryFlows struct {
	mu    sync.Mutex
	now   func() time.Time
	most  int
	flows map[string]*memoryFlow // guarded by mu
	order expiryHeap             // guarded by mu
}

type memoryFlow struct {
	rec     FlowRecord
	key     string
	expires time.Time
	at      int // in the heap
}

// MemoryFlowsOptions of a MemoryFlows; nil means the defaults.
type MemoryFlowsOptions struct {
	Most int              // flows kept; default 100,000
	Now  func() time.Time // default time.Now
}

// NewMemoryFlows makes an empty store.
func NewMemoryFlows(opts *MemoryFlowsOptions) *MemoryFlows {
	m := &MemoryFlows{now: time.Now, most: 100_000, flows: map[string]*memoryFlow{}}
	if opts != nil && opts.Most > 0 {
		m.most = opts.Most
	}
	if opts != nil && opts.Now != nil {
		m.now = opts.Now
	}
	return m
}

var _ FlowStore = (*MemoryFlows)(nil)

// Create stores a record.
func (m *MemoryFlows) Create(_ context.Context, key string, state []byte, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if f, taken := m.flows[key]; taken {
		if now.Before(f.expires) {
			return ErrFlowExists
		}
		heap.Remove(&m.order, f.at)
		delete(m.flows, key)
	}
	if len(m.flows) >= m.most {
		m.drop()
	}
	f := &memoryFlow{rec: FlowRecord{State: slices.Clone(state), Version: 1}, key: key, expires: now.Add(ttl)}
	m.flows[key] = f
	heap.Push(&m.order, f)
	return nil
}

// Load returns a copy of a record.
func (m *MemoryFlows) Load(_ context.Context, key string) (FlowRecord, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.live(key)
	if !ok {
		return FlowRecord{}, false, nil
	}
	rec := f.rec
	rec.State = slices.Clone(rec.State)
	return rec, true, nil
}

// Update replaces a record of the given version.
func (m *MemoryFlows) Update(_ context.Context, key string, version uint64, state []byte, spent bool) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.live(key)
	if !ok || f.rec.Version != version {
		return false, nil
	}
	f.rec = FlowRecord{State: slices.Clone(state), Version: version + 1, Spent: spent}
	return true, nil
}

// Spend marks a record spent, once.
func (m *MemoryFlows) Spend(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.live(key)
	if !ok || f.rec.Spent {
		return false, nil
	}
	f.rec.Spent = true
	f.rec.Version++
	return true, nil
}

// Len is how many flows are kept, expired ones included until they are met.
func (m *MemoryFlows) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.flows)
}

// live finds a flow that has not expired. m.mu is held.
func (m *MemoryFlows) live(key string) (*memoryFlow, bool) {
	f, ok := m.flows[key]
	if !ok || !m.now().Before(f.expires) {
		return nil, false
	}
	return f, true
}

// expire drops a few expired flows: enough to keep up with Create, never a long pause. m.mu is held.
func (m *MemoryFlows) expire(now time.Time) {
	const few = 4
	for range few {
		if len(m.order) == 0 || now.Before(m.order[0].expires) {
			return
		}
		m.drop()
	}
}

// drop removes the flow that expires first. m.mu is held.
func (m *MemoryFlows) drop() {
	f := heap.Pop(&m.order).(*memoryFlow)
	delete(m.flows, f.key)
}

// expiryHeap orders flows by expiry.
type expiryHeap []*memoryFlow

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *expiryHeap) Push(x any) {
	f := x.(*memoryFlow)
	f.at = len(*h)
	*h = append(*h, f)
}
func (h *expiryHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return f
}

package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemoryListsOptions of [NewMemoryLists]. The zero value and nil mean the defaults.
type MemoryListsOptions struct {
	// Entries is the most entries kept for all tenants; default 100,000. When it is reached, Put fails: an emergency list
	// never forgets by itself what has not expired.
	Entries int
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// MemoryLists keeps entries in this process: for one instance, and for tests. Safe for concurrent use.
type MemoryLists struct {
	most int
	now  func() time.Time

	mu   sync.RWMutex
	held map[listKey]listRecord // guarded by mu
}

type listKey struct{ tenant, key string }

type listRecord struct {
	record  []byte
	expires time.Time
}

var _ ListStore = (*MemoryLists)(nil)

// ErrFull says that a store in memory has reached its bound.
var ErrFull = errors.New("identity: the lists in memory are full")

// NewMemoryLists returns an empty store.
func NewMemoryLists(opts *MemoryListsOptions) (*MemoryLists, error) {
	m := &MemoryLists{most: 100_000, now: time.Now, held: map[listKey]listRecord{}}
	if opts != nil {
		if opts.Entries < 0 {
			return nil, fmt.Errorf("identity: Entries is %d; it must be positive, or 0 for the default", opts.Entries)
		}
		if opts.Entries > 0 {
			m.most = opts.Entries
		}
		if opts.Now != nil {
			m.now = opts.Now
		}
	}
	return m, nil
}

// InProcess is true.
func (m *MemoryLists) InProcess() bool { return true }

// Put implements ListStore.
func (m *MemoryLists) Put(_ context.Context, tenant, key string, record []byte, expires time.Time) error {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	k := listKey{tenant, key}
	if !expires.After(now) {
		delete(m.held, k)
		return nil
	}
	if _, ok := m.held[k]; !ok && len(m.held) >= m.most {
		for other, r := range m.held {
			if !r.expires.After(now) {
				delete(m.held, other)
			}
		}
		if len(m.held) >= m.most {
			return ErrFull
		}
	}
	m.held[k] = listRecord{slices.Clone(record), expires}
	return nil
}

// Remove implements ListStore.
func (m *MemoryLists) Remove(_ context.Context, tenant, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.held[listKey{tenant, key}]
	delete(m.held, listKey{tenant, key})
	return ok && r.expires.After(m.now()), nil
}

// Find implements ListStore.
func (m *MemoryLists) Find(_ context.Context, tenant string, keys []string) ([][]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.held) == 0 {
		return nil, nil
	}
	var out [][]byte
	for _, key := range keys {
		if r, ok := m.held[listKey{tenant, key}]; ok && r.expires.After(m.now()) {
			out = append(out, slices.Clone(r.record))
		}
	}
	return out, nil
}

// All implements ListStore.
func (m *MemoryLists) All(_ context.Context, tenant string, most int) ([][]byte, error) {
	now := m.now()
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out [][]byte
	for k, r := range m.held {
		if len(out) == most {
			break
		}
		if k.tenant == tenant && r.expires.After(now) {
			out = append(out, slices.Clone(r.record))
		}
	}
	return out, nil
}

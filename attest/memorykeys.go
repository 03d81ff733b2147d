package attest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultKeys is the default bound of MemoryKeys.
const DefaultKeys = 1 << 18

// MemoryKeys is a KeyStore in memory for one process: sharded, bounded, expiring. What it holds ends with the process:
// devices then have to be attested anew. Build it with NewMemoryKeys. It is safe for concurrent use.
type MemoryKeys struct {
	now    func() time.Time
	base   time.Time
	keep   time.Duration
	most   int64
	live   atomic.Int64
	seed   maphash.Seed
	shards [shards]keyShard
}

type keyShard struct {
	mu  sync.Mutex
	all map[keyName]*memoryKey // guarded by mu
	_   [64]byte               // keeps neighbours off one cache line
}

type keyName struct {
	tenant string
	id     Hash
}

type memoryKey struct {
	Key
	expires time.Duration
}

var (
	_ KeyStore  = (*MemoryKeys)(nil)
	_ KeyEditor = (*MemoryKeys)(nil)
)

// NewMemoryKeys makes a store.
func NewMemoryKeys(opts *MemoryOptions) (*MemoryKeys, error) {
	o, err := opts.fill(DefaultKeys)
	if err != nil {
		return nil, err
	}
	m := &MemoryKeys{now: o.Now, base: o.Now(), keep: o.Keep, most: int64(o.Max), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].all = make(map[keyName]*memoryKey)
	}
	return m, nil
}

func (m *MemoryKeys) shard(id Hash) *keyShard {
	return &m.shards[maphash.Bytes(m.seed, id[:])%shards]
}

// Create implements KeyStore. The error is ErrKeyExists, ErrFull, the context's, or that of Key.Check.
func (m *MemoryKeys) Create(ctx context.Context, k Key) error {
	if err := errors.Join(ctx.Err(), k.Check()); err != nil {
		return err
	}
	now := m.now().Sub(m.base)
	err := m.create(k, now)
	if !errors.Is(err, ErrFull) {
		return err
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for name, k := range s.all {
			if k.expires <= now {
				delete(s.all, name)
				m.live.Add(-1)
			}
		}
		s.mu.Unlock()
	}
	return m.create(k, now)
}

func (m *MemoryKeys) create(k Key, now time.Duration) error {
	s := m.shard(k.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.find(s, k.Tenant, k.ID, now) != nil {
		return ErrKeyExists
	}
	if m.live.Add(1) > m.most {
		m.live.Add(-1)
		return ErrFull
	}
	k.PublicKey, k.Meta = bytes.Clone(k.PublicKey), bytes.Clone(k.Meta)
	s.all[keyName{k.Tenant, k.ID}] = &memoryKey{k, now + m.keep}
	return nil
}

// find returns a live key, and drops one that is over; s.mu is held.
func (m *MemoryKeys) find(s *keyShard, tenant string, id Hash, now time.Duration) *memoryKey {
	k := s.all[keyName{tenant, id}]
	if k != nil && k.expires <= now {
		delete(s.all, keyName{tenant, id})
		m.live.Add(-1)
		return nil
	}
	return k
}

// change runs f on a live key; true from f means that it was used.
func (m *MemoryKeys) change(ctx context.Context, tenant string, id Hash, f func(k *Key) (used bool)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := m.now().Sub(m.base)
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := m.find(s, tenant, id, now)
	if k == nil {
		return ErrKeyUnknown
	}
	if f(&k.Key) {
		k.expires = now + m.keep
	}
	return nil
}

// Get implements KeyStore.
func (m *MemoryKeys) Get(ctx context.Context, tenant string, id Hash) (Key, error) {
	var out Key
	err := m.change(ctx, tenant, id, func(k *Key) bool {
		out = *k
		out.PublicKey, out.Meta = bytes.Clone(k.PublicKey), bytes.Clone(k.Meta)
		return false
	})
	return out, err
}

// Advance implements KeyStore.
func (m *MemoryKeys) Advance(ctx context.Context, tenant string, id Hash, to uint32) (bool, error) {
	advanced := false
	err := m.change(ctx, tenant, id, func(k *Key) bool {
		if advanced = k.Counter < to; advanced {
			k.Counter = to
		}
		return advanced
	})
	return advanced, err
}

// Bind implements KeyEditor.
func (m *MemoryKeys) Bind(ctx context.Context, tenant string, id, owner Hash) (bool, error) {
	if owner.IsZero() {
		return false, errors.New("attest: Bind wants an owner")
	}
	bound := false
	err := m.change(ctx, tenant, id, func(k *Key) bool {
		if k.Owner.IsZero() {
			k.Owner = owner
		}
		bound = k.Owner == owner
		return bound
	})
	return bound, err
}

// SetMeta implements KeyEditor.
func (m *MemoryKeys) SetMeta(ctx context.Context, tenant string, id Hash, meta []byte) error {
	if len(meta) > MaxMeta {
		return fmt.Errorf("attest: %d bytes beside a key, at most %d", len(meta), MaxMeta)
	}
	return m.change(ctx, tenant, id, func(k *Key) bool {
		k.Meta = bytes.Clone(meta)
		return true
	})
}

// Delete implements KeyStore.
func (m *MemoryKeys) Delete(ctx context.Context, tenant string, id Hash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[keyName{tenant, id}]; ok {
		delete(s.all, keyName{tenant, id})
		m.live.Add(-1)
	}
	return nil
}

// Len is the number of keys held, those not yet swept included.
func (m *MemoryKeys) Len() int { return int(m.live.Load()) }

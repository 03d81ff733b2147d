package attest

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultChallenges is the default bound of MemoryChallenges: some 200 MB when full of challenges without data.
const DefaultChallenges = 1 << 20

// MemoryOptions of the stores in memory. The zero value and nil mean the defaults.
type MemoryOptions struct {
	// Now is the clock; default time.Now, of which the monotonic reading is used.
	Now func() time.Time
	// Max bounds the number of entries; default DefaultChallenges or DefaultKeys. When it is reached the store answers
	// ErrFull until entries expire: whoever may ask for challenges without limit can stop others from getting one, never
	// make a spent one fresh. Limit the rate of what hands them out.
	Max int
	// Keep is how long a key lives after it was last used, for MemoryKeys; default DefaultKeep.
	Keep time.Duration
}

func (o *MemoryOptions) fill(most int) (MemoryOptions, error) {
	var out MemoryOptions
	if o != nil {
		out = *o
	}
	if out.Now == nil {
		out.Now = time.Now
	}
	if out.Max == 0 {
		out.Max = most
	}
	if out.Keep == 0 {
		out.Keep = DefaultKeep
	}
	if out.Max < 0 || out.Keep < 0 {
		return out, fmt.Errorf("attest: Max is %d and Keep %v; both must be positive, or 0 for the default", out.Max, out.Keep)
	}
	return out, nil
}

const shards = 64

// MemoryChallenges is a ChallengeStore in memory for one process: sharded, bounded, expiring. Build it with
// NewMemoryChallenges. It is safe for concurrent use.
type MemoryChallenges struct {
	now    func() time.Time
	base   time.Time
	most   int64
	live   atomic.Int64
	seed   maphash.Seed
	shards [shards]challengeShard
}

type challengeShard struct {
	mu    sync.Mutex
	all   map[Hash]*memoryChallenge // guarded by mu
	queue expiryQueue               // guarded by mu: heap, earliest expiry first
	_     [64]byte                  // keeps neighbours off one cache line
}

type memoryChallenge struct {
	Record
	spent   bool
	expires time.Duration
}

type expiry struct {
	at  time.Duration
	key Hash
}

type expiryQueue []expiry

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q expiryQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *expiryQueue) Push(x any)        { *q = append(*q, x.(expiry)) }
func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

var _ ChallengeStore = (*MemoryChallenges)(nil)

// NewMemoryChallenges makes a store.
func NewMemoryChallenges(opts *MemoryOptions) (*MemoryChallenges, error) {
	o, err := opts.fill(DefaultChallenges)
	if err != nil {
		return nil, err
	}
	m := &MemoryChallenges{now: o.Now, base: o.Now(), most: int64(o.Max), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].all = make(map[Hash]*memoryChallenge)
	}
	return m, nil
}

func (m *MemoryChallenges) shard(key Hash) *challengeShard {
	return &m.shards[maphash.Bytes(m.seed, key[:])%shards]
}

// Put implements ChallengeStore. The error is ErrFull, the context's, or says that the key is there or ttl not positive.
func (m *MemoryChallenges) Put(ctx context.Context, key Hash, r Record, ttl time.Duration) error {
	if ttl <= 0 {
		return errors.New("attest: a challenge needs a positive lifetime")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	now := m.now().Sub(m.base)
	err := m.put(key, r, now, ttl)
	if !errors.Is(err, ErrFull) {
		return err
	}
	for i := range m.shards { // others may hold entries that are over
		s := &m.shards[i]
		s.mu.Lock()
		m.expire(s, now)
		s.mu.Unlock()
	}
	return m.put(key, r, now, ttl)
}

func (m *MemoryChallenges) put(key Hash, r Record, now, ttl time.Duration) error {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.expire(s, now)
	if _, ok := s.all[key]; ok {
		return errors.New("attest: the challenge is there already")
	}
	if m.live.Add(1) > m.most {
		m.live.Add(-1)
		return ErrFull
	}
	r.Data = bytes.Clone(r.Data)
	s.all[key] = &memoryChallenge{Record: r, expires: now + ttl}
	heap.Push(&s.queue, expiry{now + ttl, key})
	return nil
}

// Redeem implements ChallengeStore.
func (m *MemoryChallenges) Redeem(ctx context.Context, key, binding, subject Hash) (Redemption, []byte, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	now := m.now().Sub(m.base)
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.expire(s, now)
	c := s.all[key]
	switch {
	case c == nil:
		return Unknown, nil, nil
	case c.spent:
		return Spent, nil, nil
	case c.Binding != binding || !c.Subject.IsZero() && c.Subject != subject:
		return Mismatch, nil, nil
	}
	data := c.Data
	c.spent, c.Data = true, nil
	return Redeemed, data, nil
}

// Len is the number of challenges held, spent ones and those not yet swept included.
func (m *MemoryChallenges) Len() int { return int(m.live.Load()) }

// expire drops what is over; s.mu is held.
func (m *MemoryChallenges) expire(s *challengeShard, now time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= now {
		delete(s.all, s.queue[0].key)
		heap.Pop(&s.queue)
		m.live.Add(-1)
	}
}

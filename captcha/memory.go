package captcha

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMarks is the default bound of a MemoryGuard: about 100 MB when full, reached with 2,500 answers a second that
// live seven minutes each.
const DefaultMarks = 1 << 20

// MemoryGuardOptions of a MemoryGuard. The zero value and nil mean the defaults.
type MemoryGuardOptions struct {
	// Now is the clock; default time.Now, of which the monotonic reading is used: setting the wall clock does not
	// shorten a mark.
	Now func() time.Time
	// MaxMarks bounds the number of live marks; default DefaultMarks. When it is reached, Spend answers ErrGuardFull
	// until marks expire: an attacker who solves enough challenges can thereby stop further ones from being
	// accepted, never make a used one fresh.
	MaxMarks int
}

// MemoryGuard is a ReplayGuard in memory for one instance: sharded, bounded, expiring. Build it with NewMemoryGuard.
// It is safe for concurrent use.
type MemoryGuard struct {
	now    func() time.Time
	base   time.Time
	most   int64
	live   atomic.Int64
	seed   maphash.Seed
	shards [64]guardShard
}

type guardShard struct {
	mu    sync.Mutex
	marks map[ReplayKey]time.Duration // guarded by mu: expiry since base
	queue []guardMark                 // guarded by mu: heap, earliest expiry first
	_     [64]byte                    // keeps neighbours off one cache line
}

type guardMark struct {
	expires time.Duration
	key     ReplayKey
}

var _ ReplayGuard = (*MemoryGuard)(nil)

// NewMemoryGuard makes a guard. Several instances that verify each other's answers need a shared one instead.
func NewMemoryGuard(opts *MemoryGuardOptions) (*MemoryGuard, error) {
	var o MemoryGuardOptions
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxMarks == 0 {
		o.MaxMarks = DefaultMarks
	}
	if o.MaxMarks < 0 {
		return nil, fmt.Errorf("captcha: MaxMarks is %d; it must be positive, or 0 for %d", o.MaxMarks, DefaultMarks)
	}
	g := &MemoryGuard{now: o.Now, base: o.Now(), most: int64(o.MaxMarks), seed: maphash.MakeSeed()}
	for i := range g.shards {
		g.shards[i].marks = make(map[ReplayKey]time.Duration)
	}
	return g, nil
}

// shard is chosen by a seeded hash, so that nobody can aim tokens at one shard.
func (g *MemoryGuard) shard(key ReplayKey) *guardShard {
	return &g.shards[maphash.Bytes(g.seed, key[:])%uint64(len(g.shards))]
}

// Spend implements ReplayGuard. The error is ErrGuardFull, the context's, or says that ttl is not positive.
func (g *MemoryGuard) Spend(ctx context.Context, key ReplayKey, ttl time.Duration) (bool, error) {
	if ttl <= 0 {
		return false, errors.New("captcha: a replay mark needs a positive lifetime")
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	now := g.now().Sub(g.base)
	if first, done := g.mark(key, now, ttl); done {
		return first, nil
	}
	// Full: other shards may hold marks that have expired and that nobody has touched since.
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		g.expire(s, now)
		s.mu.Unlock()
	}
	if first, done := g.mark(key, now, ttl); done {
		return first, nil
	}
	return false, ErrGuardFull
}

// mark adds key when it is not there; done is false when there is no room.
func (g *MemoryGuard) mark(key ReplayKey, now, ttl time.Duration) (first, done bool) {
	s := g.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	g.expire(s, now)
	if _, ok := s.marks[key]; ok {
		return false, true
	}
	if g.live.Add(1) > g.most {
		g.live.Add(-1)
		return false, false
	}
	s.marks[key] = now + ttl
	s.push(guardMark{now + ttl, key})
	return true, true
}

// Spent implements ReplayGuard.
func (g *MemoryGuard) Spent(ctx context.Context, key ReplayKey) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	now := g.now().Sub(g.base)
	s := g.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.marks[key]
	return ok && now < expires, nil
}

// Len is the number of marks held, expired ones not yet swept included.
func (g *MemoryGuard) Len() int { return int(g.live.Load()) }

// expire drops the marks of s that are over; s.mu is held.
func (g *MemoryGuard) expire(s *guardShard, now time.Duration) {
	for len(s.queue) > 0 && s.queue[0].expires <= now {
		delete(s.marks, s.queue[0].key)
		s.pop()
		g.live.Add(-1)
	}
}

// push adds m to the heap.
func (s *guardShard) push(m guardMark) {
	s.queue = append(s.queue, m)
	i := len(s.queue) - 1
	for i > 0 {
		up := (i - 1) / 2
		if s.queue[up].expires <= m.expires {
			break
		}
		s.queue[i] = s.queue[up]
		i = up
	}
	s.queue[i] = m
}

// pop removes the earliest mark.
func (s *guardShard) pop() {
	last := len(s.queue) - 1
	m := s.queue[last]
	s.queue = s.queue[:last]
	i := 0
	for {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && s.queue[c+1].expires < s.queue[c].expires {
			c++
		}
		if m.expires <= s.queue[c].expires {
			break
		}
		s.queue[i] = s.queue[c]
		i = c
	}
	if last > 0 {
		s.queue[i] = m
	}
}

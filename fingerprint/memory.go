package fingerprint

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryOptions of a [Memory]. The zero value and nil mean the defaults.
type MemoryOptions struct {
	// Subjects is the most devices, addresses, accounts and so on that are remembered, 1 to 2^28; default 200,000. One
	// costs about 250 bytes when seen once and at most 4 KB when it is busy.
	Subjects int
	// Cap is the most members of one set, 3 to MaxCap; default DefaultCap.
	Cap int
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Memory keeps sightings in this process. It is exact up to its cap, sharded and bounded, and starts no goroutines.
//
// When the bound is reached, of 8 subjects at random the one that matters least goes: one that has expired, else the
// one with the fewest members, seen longest ago. So a flood of new devices evicts its own kind before a busy one. What
// is evicted begins at nothing when it comes again; Evicted counts that. A Memory is safe for concurrent use.
type Memory struct {
	now     func() time.Time
	cap     int
	evicted atomic.Uint64
	mask    uint64
	shards  [64]memoryShard
}

type memoryShard struct {
	mu    sync.Mutex
	index map[Key]*seen
	list  []*seen // for eviction
	bound int
	rand  uint64
	_     [64]byte // keep neighbours' locks on other cache lines
}

// seen is a subject and what it was seen with.
type seen struct {
	key         Key
	first, last int64
	keep        int64
	at          int // in list
	sets        [Dims][]sight
}

type sight struct {
	member uint64
	at     int64
}

var (
	_ Store     = (*Memory)(nil)
	_ InProcess = (*Memory)(nil)
)

// NewMemory returns an empty store.
func NewMemory(opts *MemoryOptions) (*Memory, error) {
	var o MemoryOptions
	if opts != nil {
		o = *opts
	}
	if o.Subjects == 0 {
		o.Subjects = 200_000
	}
	if o.Cap == 0 {
		o.Cap = DefaultCap
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Subjects < 1 || o.Subjects > 1<<28 {
		return nil, fmt.Errorf("fingerprint: a bound of %d subjects; want 1 to 2^28", o.Subjects)
	}
	if o.Cap < 3 || o.Cap > MaxCap {
		return nil, fmt.Errorf("fingerprint: a cap of %d members; want 3 to %d", o.Cap, MaxCap)
	}
	m := &Memory{now: o.Now, cap: o.Cap}
	n := 1
	for n < len(m.shards) && o.Subjects/(2*n) >= 256 {
		n *= 2
	}
	m.mask = uint64(n - 1)
	for i := range n {
		s := &m.shards[i]
		s.index = map[Key]*seen{}
		s.bound = (o.Subjects + n - 1 - i) / n
		s.rand = uint64(i)*0x9e3779b97f4a7c15 | 1
	}
	return m, nil
}

// InProcess is true.
func (m *Memory) InProcess() bool { return true }

// Len is how many subjects are kept, expired ones included.
func (m *Memory) Len() int {
	n := 0
	for i := range m.mask + 1 {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.list)
		s.mu.Unlock()
	}
	return n
}

// Evicted is how many subjects that had not expired were dropped to make room.
func (m *Memory) Evicted() uint64 { return m.evicted.Load() }

// See implements [Store]. It never blocks on I/O and ignores the context.
func (m *Memory) See(_ context.Context, b *Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	if b.Now = b.At; b.Now == 0 {
		b.Now = m.now().UnixMilli()
	}
	for i := range b.Subjects {
		s := &b.Subjects[i]
		shard := m.shard(s.Key)
		shard.mu.Lock()
		m.see(shard, s, b.Now)
		shard.mu.Unlock()
	}
	return nil
}

// Forget implements [Store].
func (m *Memory) Forget(_ context.Context, _ string, keys []Key) error {
	for _, k := range keys {
		shard := m.shard(k)
		shard.mu.Lock()
		if r := shard.index[k]; r != nil {
			shard.remove(r)
		}
		shard.mu.Unlock()
	}
	return nil
}

func (m *Memory) shard(k Key) *memoryShard {
	return &m.shards[binary.LittleEndian.Uint64(k[8:])&m.mask]
}

func (m *Memory) see(shard *memoryShard, s *Subject, now int64) {
	s.First, s.Last = 0, 0
	r := shard.index[s.Key]
	switch {
	case r == nil:
		r = m.insert(shard, s.Key, now)
	case r.last+r.keep <= now:
		r.sets = [Dims][]sight{}
		r.first, r.last = now, 0
	case s.Dated:
		s.First, s.Last = r.first, r.last
	}
	r.keep = s.Keep.Milliseconds()
	r.first, r.last = min(r.first, now), max(r.last, now)
	for j := range s.N {
		set := &s.Sets[j]
		list := &r.sets[set.Dim]
		*list = count(*list, set, now, m.cap)
	}
}

// count adds the member and counts. Members older than the longest window go.
func count(list []sight, set *Set, now int64, most int) []sight {
	var hour, day, week int32
	hourAgo, dayAgo, weekAgo := now-Windows[0].Milliseconds(), now-Windows[1].Milliseconds(), now-Windows[2].Milliseconds()
	found := set.Member == 0
	kept := list[:0]
	oldest := 0
	for _, e := range list {
		if e.member == set.Member {
			found, e.at = true, max(e.at, now)
		}
		if e.at <= weekAgo {
			continue
		}
		week++
		if e.at > dayAgo {
			day++
		}
		if e.at > hourAgo {
			hour++
		}
		if len(kept) > 0 && e.at < kept[oldest].at {
			oldest = len(kept)
		}
		kept = append(kept, e)
	}
	if !found {
		e := sight{set.Member, now}
		if len(kept) < most {
			kept = append(kept, e)
			hour, day, week = hour+1, day+1, week+1
		} else {
			gone := kept[oldest].at
			kept[oldest] = e
			if gone <= dayAgo {
				day++
			}
			if gone <= hourAgo {
				hour++
			}
		}
	}
	set.Counts = [3]int32{hour, day, week}
	set.Full = len(kept) >= most
	return kept
}

func (m *Memory) insert(shard *memoryShard, k Key, now int64) *seen {
	if len(shard.list) >= shard.bound {
		m.makeRoom(shard, now)
	}
	r := &seen{key: k, first: now, at: len(shard.list)}
	shard.list = append(shard.list, r)
	shard.index[k] = r
	return r
}

func (m *Memory) makeRoom(shard *memoryShard, now int64) {
	const samples = 8
	var worst *seen
	least := 0
	for range samples {
		shard.rand ^= shard.rand << 13
		shard.rand ^= shard.rand >> 7
		shard.rand ^= shard.rand << 17
		r := shard.list[shard.rand%uint64(len(shard.list))]
		if r.last+r.keep <= now {
			shard.remove(r)
			return
		}
		members := 0
		for i := range r.sets {
			members = max(members, len(r.sets[i]))
		}
		if worst == nil || members < least || members == least && r.last < worst.last {
			worst, least = r, members
		}
	}
	m.evicted.Add(1)
	shard.remove(worst)
}

func (s *memoryShard) remove(r *seen) {
	delete(s.index, r.key)
	last := s.list[len(s.list)-1]
	s.list[r.at], last.at = last, r.at
	s.list[len(s.list)-1] = nil
	s.list = s.list[:len(s.list)-1]
}

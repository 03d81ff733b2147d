package ratelimit

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryOptions of a [Memory]. The zero value and nil mean the defaults.
type MemoryOptions struct {
	// Buckets is the most buckets kept, 1 to 2^30; default 1,000,000: about 24 MB when all are in use. Memory is taken
	// as it is needed.
	Buckets int
	// Sources is the most offence records kept, 1 to 2^30; default an eighth of Buckets.
	Sources int
	// Now is the clock; default time.Now, whose monotonic part is used: a step of the wall clock changes nothing, and
	// time during which the machine is suspended may not count.
	Now func() time.Time
}

// Memory keeps buckets and offence records in this process. It is exact, sharded and bounded, and starts no
// goroutines.
//
// When a bound is reached, room is made by dropping, of 16 entries at random, one that holds nothing any more (a full
// bucket, a faded score), else the bucket that is nearest to full by the part of it that is spent, or the lowest score
// that bans nobody. So a flood of new keys evicts itself: a key that is used up goes only where nearly everything else is
// used up as well. Evicting a bucket forgets what was spent of it; Evicted counts that, and if it moves the bound is too
// small. The bound is divided evenly among up to 256 shards, so evictions begin a few percent below it.
//
// Keys are known by 64 bits of a seeded hash: the chance that any two of a million share a bucket is one in 30 million.
// A Memory is safe for concurrent use.
type Memory struct {
	seed    maphash.Seed
	now     func() time.Time // nil: the machine's monotonic clock
	start   time.Time
	startUs int64
	mask    uint64 // shards - 1
	evicted atomic.Uint64
	shards  [mostShards]shard
}

// mostShards is a power of two and a multiple of 64.
const mostShards = 256

// shardSet is a set of shards.
type shardSet [mostShards / 64]uint64

type shard struct {
	mu      sync.Mutex
	buckets table[uint64] // TAT and span, see pack
	sources table[record]
	rand    uint64
	evicted *atomic.Uint64
	_       [24]byte // keep neighbours' locks on other cache lines
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
	if o.Buckets == 0 {
		o.Buckets = 1_000_000
	}
	if o.Sources == 0 {
		o.Sources = max(o.Buckets/8, 1)
	}
	const most = 1 << 30
	if o.Buckets < 1 || o.Buckets > most || o.Sources < 1 || o.Sources > most {
		return nil, fmt.Errorf("ratelimit: bounds of %d buckets and %d sources; both must be 1 to %d", o.Buckets, o.Sources, most)
	}
	m := &Memory{seed: maphash.MakeSeed(), now: o.Now, start: time.Now()}
	if o.Now != nil {
		m.start = o.Now()
	}
	m.startUs = m.start.UnixMicro()
	// Small stores have fewer shards, so that uneven filling does not evict early.
	n := 1
	for n < len(m.shards) && min(o.Buckets, o.Sources*8)/(2*n) >= 1024 {
		n *= 2
	}
	m.mask = uint64(n - 1)
	for i := range n {
		s := &m.shards[i]
		s.buckets.bound = share(o.Buckets, n, i)
		s.sources.bound = share(o.Sources, n, i)
		s.rand = maphash.Bytes(m.seed, []byte{byte(i)}) | 1
		s.evicted = &m.evicted
	}
	return m, nil
}

// share divides total among n so that the parts add up, each at least 1.
func share(total, n, i int) int {
	part := total / n
	if i < total%n {
		part++
	}
	return max(part, 1)
}

// InProcess is true.
func (m *Memory) InProcess() bool { return true }

// Tag is a hash seeded for this Memory alone, so that nobody outside can aim at collisions. It fills the first half of
// the key.
func (m *Memory) Tag(text []byte) Key { return Key{Hi: maphash.Bytes(m.seed, text)} }

// id is the key in this store: both halves of a key made elsewhere count. It is never 0.
func id(k Key) uint64 {
	if x := k.Hi ^ k.Lo*0x9e3779b97f4a7c15; x != 0 {
		return x
	}
	return 1
}

// Len returns how many buckets and offence records are kept, those that hold nothing any more included.
func (m *Memory) Len() (buckets, sources int) {
	for i := range m.mask + 1 {
		s := &m.shards[i]
		s.mu.Lock()
		buckets += s.buckets.n
		sources += s.sources.n
		s.mu.Unlock()
	}
	return buckets, sources
}

// Evicted returns how many buckets and offence records that still held something were dropped to make room.
func (m *Memory) Evicted() uint64 { return m.evicted.Load() }

// Decide implements [Store]. It never blocks on I/O and ignores the context: a caller who hangs up is charged.
func (m *Memory) Decide(_ context.Context, b *Batch) error {
	if err := b.CheckDecide(); err != nil {
		return err
	}
	held := m.enter(b)
	m.load(b)
	b.judge()
	m.write(b)
	m.unlock(held)
	return nil
}

// Adjust implements [Store].
func (m *Memory) Adjust(_ context.Context, b *Batch) error {
	if err := b.CheckAdjust(); err != nil {
		return err
	}
	held := m.enter(b)
	m.load(b)
	b.adjust()
	m.write(b)
	m.unlock(held)
	return nil
}

// Forget implements [Store].
func (m *Memory) Forget(_ context.Context, b *Batch) error {
	if err := b.CheckForget(); err != nil {
		return err
	}
	held := m.enter(b)
	for i := range b.Buckets {
		c := &b.Buckets[i]
		t := &m.shard(c.id).buckets
		if at := t.find(c.id); at >= 0 {
			t.remove(at)
		}
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		t := &m.shard(s.id).sources
		if at := t.find(s.id); at >= 0 {
			t.remove(at)
		}
	}
	m.unlock(held)
	return nil
}

func (m *Memory) shard(id uint64) *shard { return &m.shards[id&m.mask] }

// enter locks the batch's shards in ascending order, so that batches never wait for each other in a circle, and sets
// the time.
func (m *Memory) enter(b *Batch) (held shardSet) {
	b.Degraded = nil
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.id = id(c.Key)
		held.add(c.id & m.mask)
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		s.id = id(s.Key)
		held.add(s.id & m.mask)
	}
	for w, left := range held {
		for ; left != 0; left &= left - 1 {
			m.shards[w<<6+bits.TrailingZeros64(left)&63].mu.Lock()
		}
	}
	switch {
	case b.At != 0:
		b.Now = b.At
	case m.now != nil:
		b.Now = m.startUs + m.now().Sub(m.start).Microseconds()
	default:
		b.Now = m.startUs + int64(time.Since(m.start)/time.Microsecond)
	}
	return held
}

func (m *Memory) unlock(held shardSet) {
	for w, left := range held {
		for ; left != 0; left &= left - 1 {
			m.shards[w<<6+bits.TrailingZeros64(left)&63].mu.Unlock()
		}
	}
}

func (s *shardSet) add(i uint64) { s[i>>6&(mostShards/64-1)] |= 1 << (i & 63) }

func (m *Memory) load(b *Batch) {
	// Start the loads of all first slots before anything depends on one of them.
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.tat = int64(m.shard(c.id).buckets.touch(c.id))
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		s.Score = int64(m.shard(s.id).sources.touch(s.id))
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		t := &m.shard(c.id).buckets
		c.tat = 0
		at := t.find(c.id)
		if at >= 0 {
			c.tat = int64(t.slots[at].v >> spanBits)
		}
		c.slot = int32(at)
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		t := &m.shard(s.id).sources
		s.rec = record{}
		at := t.find(s.id)
		if at >= 0 {
			s.rec = t.slots[at].v
		}
		s.slot = int32(at)
	}
}

// write stores what judging has set: first what is there already, since making room moves entries.
func (m *Memory) write(b *Batch) {
	fresh := 0
	for i := range b.Buckets {
		if c := &b.Buckets[i]; c.set && c.slot >= 0 {
			m.shard(c.id).buckets.slots[c.slot].v = pack(c.tat, c.Interval*c.Burst)
		} else if c.set {
			fresh++
		}
	}
	for i := range b.Sources {
		if o := &b.Sources[i]; o.set && o.slot >= 0 {
			m.shard(o.id).sources.slots[o.slot].v = o.rec
		} else if o.set {
			fresh++
		}
	}
	if fresh == 0 {
		return
	}
	for i := range b.Buckets {
		if c := &b.Buckets[i]; c.set && c.slot < 0 {
			s := m.shard(c.id)
			if s.buckets.full() {
				s.roomForBucket(b.Now)
			}
			s.buckets.insert(c.id, pack(c.tat, c.Interval*c.Burst))
		}
	}
	for i := range b.Sources {
		if o := &b.Sources[i]; o.set && o.slot < 0 {
			s := m.shard(o.id)
			if s.sources.full() {
				s.roomForSource(b.Now, b.Ladder)
			}
			s.sources.insert(o.id, o.rec)
		}
	}
}

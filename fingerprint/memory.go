package fingerprint

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryOptions of a [Memory]. The zero value and nil mean the defaults.
type MemoryOptions struct {
	// Subjects is the most devices, addresses, accounts and so on that are remembered, 1 to 2^28; default 200,000. One
	// costs about 170 bytes when seen once and at most 10 KB when it is busy in all dimensions.
	Subjects int
	// Cap is the most members of one set, 3 to MaxCap; default DefaultCap.
	Cap int
	// Now is the clock; default time.Now, whose monotonic part is used: a step of the wall clock changes nothing.
	Now func() time.Time
}

// Memory keeps sightings in this process. It is exact up to its cap, sharded and bounded, and starts no goroutines.
//
// When the bound is reached, of 8 subjects at random the one that matters least goes: one that has expired, else the
// one with the fewest members, seen longest ago. So a flood of new devices evicts its own kind before a busy one. What
// is evicted begins at nothing when it comes again; Evicted counts that. A Memory is safe for concurrent use.
type Memory struct {
	now     func() int64 // in ms since 1970
	cap     int
	evicted atomic.Uint64
	mask    uint64
	shards  [64]memoryShard
}

type memoryShard struct {
	mu    sync.Mutex
	index table
	list  []*seen
	bound int
	rand  uint64
	_     [64]byte // keep neighbours' locks on other cache lines
}

// seen is a subject and what it was seen with.
type seen struct {
	key         Key
	first, last int64
	keep        int64
	at          int         // in list
	n           [Dims]uint8 // how many sights are of each dimension
	// sights are those of the first dimension, then those of the second, and so on, each by time.
	sights []sight
	room   [MaxSets]sight // for sights of a subject that was seen once
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
	if o.Subjects < 1 || o.Subjects > 1<<28 {
		return nil, fmt.Errorf("fingerprint: a bound of %d subjects; want 1 to 2^28", o.Subjects)
	}
	if o.Cap < 3 || o.Cap > MaxCap {
		return nil, fmt.Errorf("fingerprint: a cap of %d members; want 3 to %d", o.Cap, MaxCap)
	}
	m := &Memory{now: clockOf(o.Now), cap: o.Cap}
	n := 1
	for n < len(m.shards) && o.Subjects/(2*n) >= 256 {
		n *= 2
	}
	m.mask = uint64(n - 1)
	for i := range n {
		s := &m.shards[i]
		s.bound = (o.Subjects + n - 1 - i) / n
		s.rand = uint64(i)*0x9e3779b97f4a7c15 | 1
	}
	return m, nil
}

// clockOf is a clock in milliseconds since 1970.
func clockOf(now func() time.Time) func() int64 {
	if now != nil {
		return func() int64 { return now().UnixMilli() }
	}
	start := time.Now()
	return func() int64 { return start.UnixMilli() + time.Since(start).Milliseconds() }
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
	now := b.At
	if now == 0 {
		now = m.now()
	}
	s := since(now)
	for i := range b.Subjects {
		sub := &b.Subjects[i]
		shard := m.shard(&sub.Key)
		shard.mu.Lock()
		m.see(shard, sub, &s)
		shard.mu.Unlock()
	}
	return nil
}

// Undo implements [Store].
func (m *Memory) Undo(_ context.Context, b *Batch) error {
	if err := b.CheckUndo(); err != nil {
		return err
	}
	for i := range b.Subjects {
		sub := &b.Subjects[i]
		shard := m.shard(&sub.Key)
		shard.mu.Lock()
		if r := shard.index.find(shard.list, &sub.Key); r != nil {
			for j := range sub.N {
				r.undo(&sub.Sets[j], sub.At)
			}
		}
		shard.mu.Unlock()
	}
	return nil
}

// Forget implements [Store].
func (m *Memory) Forget(_ context.Context, _ string, keys []Key) error {
	for i := range keys {
		shard := m.shard(&keys[i])
		shard.mu.Lock()
		if r := shard.index.find(shard.list, &keys[i]); r != nil {
			shard.remove(r)
		}
		shard.mu.Unlock()
	}
	return nil
}

// shard goes by other bits of a key than the shard's table.
func (m *Memory) shard(k *Key) *memoryShard {
	return &m.shards[binary.LittleEndian.Uint64(k[8:])&m.mask]
}

func (m *Memory) see(shard *memoryShard, s *Subject, w *cutoffs) {
	s.At, s.First, s.Last = w.now, 0, 0
	r := shard.index.find(shard.list, &s.Key)
	known := r != nil && r.last+r.keep > w.now
	if known && s.Dated {
		s.First, s.Last = r.first, r.last
	}
	switch {
	case s.N == 0: // only looked at
		return
	case r == nil:
		r = m.insert(shard, &s.Key, w.now)
		r.first, r.last = w.now, w.now
	case !known:
		r.empty()
		r.first, r.last = w.now, w.now
	default:
		r.first, r.last = min(r.first, w.now), max(r.last, w.now)
	}
	r.keep = s.Keep.Milliseconds()
	for j := range s.N {
		r.count(&s.Sets[j], w, m.cap)
	}
}

// cutoffs are a time and where the windows that end there begin.
type cutoffs struct{ now, hour, day, week int64 }

func since(now int64) cutoffs {
	const hour = int64(time.Hour / time.Millisecond)
	return cutoffs{now, now - hour, now - 24*hour, now - 7*24*hour}
}

func (r *seen) empty() {
	r.n = [Dims]uint8{}
	r.room = [MaxSets]sight{}
	r.sights = r.room[:0]
}

// begin is where the sights of a dimension begin.
func (r *seen) begin(d Dim) (i int) {
	for _, n := range r.n[:d] {
		i += int(n)
	}
	return i
}

// count adds the member and counts. Members older than the longest window go.
func (r *seen) count(set *Set, w *cutoffs, most int) {
	lo, n := r.begin(set.Dim), int(r.n[set.Dim])
	old := 0
	for old < n && r.sights[lo+old].at <= w.week {
		old++
	}
	if old > 0 {
		r.sights = append(r.sights[:lo], r.sights[lo+old:]...)
		n -= old
	}
	set.New = false
	if set.Member != 0 {
		n = r.add(set, lo, n, w.now, most)
	}
	r.n[set.Dim] = uint8(n)
	list := r.sights[lo : lo+n]
	i := n
	for i > 0 && list[i-1].at > w.hour {
		i--
	}
	set.Counts[0] = int32(n - i)
	for i > 0 && list[i-1].at > w.day {
		i--
	}
	set.Counts[1], set.Counts[2] = int32(n-i), int32(n)
	set.Full = n >= most
}

// add puts the member where it belongs among the n sights from lo on, and returns how many they are then.
func (r *seen) add(set *Set, lo, n int, at int64, most int) int {
	list := r.sights[lo : lo+n]
	i := 0
	for i < n && list[i].member != set.Member {
		i++
	}
	switch set.New = i == n; {
	case !set.New:
		at = max(at, list[i].at)
		copy(list[i:], list[i+1:])
	case n < most:
		r.sights = append(r.sights, sight{})
		copy(r.sights[lo+n+1:], r.sights[lo+n:])
		n++
		list = r.sights[lo : lo+n]
	default:
		copy(list, list[1:])
	}
	i = n - 1 // nothing is there now
	for i > 0 && list[i-1].at > at {
		list[i] = list[i-1]
		i--
	}
	list[i] = sight{set.Member, at}
	return n
}

// undo takes the member out if it was added then and has not come since.
func (r *seen) undo(set *Set, at int64) {
	lo := r.begin(set.Dim)
	for i := lo; i < lo+int(r.n[set.Dim]); i++ {
		if r.sights[i] == (sight{set.Member, at}) {
			r.sights = append(r.sights[:i], r.sights[i+1:]...)
			r.n[set.Dim]--
			return
		}
	}
}

func (m *Memory) insert(shard *memoryShard, k *Key, now int64) *seen {
	var r *seen
	if len(shard.list) >= shard.bound {
		r = m.makeRoom(shard, now)
	} else {
		r = &seen{}
	}
	r.key, r.at = *k, len(shard.list)
	r.empty()
	shard.list = append(shard.list, r)
	shard.index.put(shard.list, r)
	return r
}

// makeRoom removes a subject and returns it for use as another.
func (m *Memory) makeRoom(shard *memoryShard, now int64) *seen {
	const samples = 8
	var worst *seen
	least := uint8(0)
	for range samples {
		shard.rand ^= shard.rand << 13
		shard.rand ^= shard.rand >> 7
		shard.rand ^= shard.rand << 17
		r := shard.list[shard.rand%uint64(len(shard.list))]
		if r.last+r.keep <= now {
			shard.remove(r)
			return r
		}
		members := slices.Max(r.n[:])
		if worst == nil || members < least || members == least && r.last < worst.last {
			worst, least = r, members
		}
	}
	m.evicted.Add(1)
	shard.remove(worst)
	return worst
}

// remove takes a subject out; the last of the list gets its place.
func (s *memoryShard) remove(r *seen) {
	s.index.remove(s.list, r)
	last := s.list[len(s.list)-1]
	if last != r {
		s.index.move(last, r.at)
		s.list[r.at], last.at = last, r.at
	}
	s.list[len(s.list)-1] = nil
	s.list = s.list[:len(s.list)-1]
}

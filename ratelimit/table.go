package ratelimit

import (
	"math/bits"
)

// table is a hash table of 64-bit keys with open addressing, linear probing and backward-shift deletion. Keys must be
// uniform, as seeded hashes and HMACs are. It grows as it fills, up to 1.5 slots for each entry of its bound. Guarded by
// its shard's lock.
type table[V any] struct {
	slots []slot[V]
	n     int // entries
	bound int // most entries
}

// slot holds an entry; id 0 marks a free slot.
type slot[V any] struct {
	id uint64
	v  V
}

// home is where the search for id begins: it goes by the upper bits.
func (t *table[V]) home(id uint64) int {
	h, _ := bits.Mul64(id, uint64(len(t.slots)))
	return int(h)
}

func (t *table[V]) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// find returns the entry's slot, or -1.
func (t *table[V]) find(id uint64) int {
	if t.n == 0 {
		return -1
	}
	for i := t.home(id); ; i = t.next(i) {
		s := &t.slots[i]
		if s.id == id {
			return i
		}
		if s.id == 0 {
			return -1
		}
	}
}

// touch reads where the search for id begins.
func (t *table[V]) touch(id uint64) uint64 {
	if len(t.slots) == 0 {
		return 0
	}
	return t.slots[t.home(id)].id
}

// full reports whether insert needs room made first: by grow, or by remove at the bound.
func (t *table[V]) full() bool { return t.n >= t.bound || t.n >= len(t.slots)-len(t.slots)/3 }

// atBound reports whether grow would not help.
func (t *table[V]) atBound() bool { return t.n >= t.bound }

// insert adds an entry that is not there, in a table that is not full.
func (t *table[V]) insert(id uint64, v V) {
	i := t.home(id)
	for t.slots[i].id != 0 {
		i = t.next(i)
	}
	t.slots[i] = slot[V]{id, v}
	t.n++
}

// remove frees slot i and closes the gap.
func (t *table[V]) remove(i int) {
	t.n--
	for j := t.next(i); ; j = t.next(j) {
		s := &t.slots[j]
		if s.id == 0 {
			break
		}
		// The entry at j may move to i unless its home lies cyclically in (i, j].
		h := t.home(s.id)
		if i <= j {
			if i < h && h <= j {
				continue
			}
		} else if i < h || h <= j {
			continue
		}
		t.slots[i] = *s
		i = j
	}
	t.slots[i] = slot[V]{}
}

// grow drops entries that stale says hold nothing any more, and doubles the table if more than half of it is left. Its
// cost is spread over the insertions that made it full.
func (t *table[V]) grow(stale func(v *V) bool) {
	live := 0
	for i := range t.slots {
		if s := &t.slots[i]; s.id != 0 && !stale(&s.v) {
			live++
		}
	}
	size := len(t.slots)
	if most := t.bound + t.bound/2 + 2; size < most && (size == 0 || live > size/3) {
		size = min(max(2*size, 16), most)
	}
	old := t.slots
	t.slots, t.n = make([]slot[V], size), 0
	for i := range old {
		if s := &old[i]; s.id != 0 && !stale(&s.v) {
			t.insert(s.id, s.v)
		}
	}
}

// sample calls f with up to k entries found from slot start on, until it says stop.
func (t *table[V]) sample(start, k int, f func(i int, v *V) (stop bool)) {
	for i := start; k > 0; i = t.next(i) {
		if s := &t.slots[i]; s.id != 0 {
			k--
			if f(i, &s.v) {
				return
			}
		}
	}
}

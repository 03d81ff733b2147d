package fingerprint

import "encoding/binary"

// table finds the subjects of a shard by key: open addressing over the places in a list, at most half full. Keys are
// keyed hashes, whose bits nobody can choose, so they are not hashed again. The zero value is empty.
type table struct {
	slots []uint32 // place + 1; 0: free
	shift uint8    // of a 64-bit hash to a slot
	n     int
}

// home is where a key's slot is or, when others have it, where the search for it begins.
func (t *table) home(k *Key) int {
	return int(binary.LittleEndian.Uint64(k[:]) * 0x9e3779b97f4a7c15 >> t.shift)
}

// find returns the subject with the key, or nil.
func (t *table) find(list []*seen, k *Key) *seen {
	if t.n == 0 {
		return nil
	}
	for i := t.home(k); ; i = (i + 1) & (len(t.slots) - 1) {
		at := t.slots[i]
		if at == 0 {
			return nil
		}
		if r := list[at-1]; r.key == *k {
			return r
		}
	}
}

// put adds a subject that is not there; its place in the list is r.at.
func (t *table) put(list []*seen, r *seen) {
	if 2*(t.n+1) > len(t.slots) {
		t.grow(list)
	}
	t.n++
	t.slots[t.free(&r.key)] = uint32(r.at) + 1
}

func (t *table) free(k *Key) int {
	i := t.home(k)
	for t.slots[i] != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	return i
}

// slot is where a subject is that is there.
func (t *table) slot(r *seen) int {
	i := t.home(&r.key)
	for t.slots[i] != uint32(r.at)+1 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	return i
}

// move notes that a subject goes to another place in the list.
func (t *table) move(r *seen, to int) {
	t.slots[t.slot(r)] = uint32(to) + 1
}

// remove takes a subject out, and moves up those behind it that would not be found any more (Knuth, volume 3, 6.4,
// algorithm R).
func (t *table) remove(list []*seen, r *seen) {
	t.n--
	mask := len(t.slots) - 1
	hole := t.slot(r)
	for i := (hole + 1) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		home := t.home(&list[t.slots[i]-1].key)
		if (i-home)&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = 0
}

func (t *table) grow(list []*seen) {
	old := t.slots
	t.slots = make([]uint32, max(16, 2*len(old)))
	t.shift = 64
	for n := len(t.slots); n > 1; n /= 2 {
		t.shift--
	}
	for _, at := range old {
		if at != 0 {
			t.slots[t.free(&list[at-1].key)] = at
		}
	}
}

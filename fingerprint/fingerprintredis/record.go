package fingerprintredis

import (
	"math/bits"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// windows in milliseconds, as of fingerprint.Windows.
const (
	hour = 3_600_000
	day  = 24 * hour
	week = 7 * day
)

// entry is a member of one dimension and when it was last seen.
type entry struct {
	member uint64
	at     int64
	dim    fingerprint.Dim
}

// tally counts the members of one value.
type tally struct {
	entries []entry
	slots   [4096]uint16 // of a hash: place in entries + 1; twice as many as a value has entries
	used    []uint16
}

// number reads a big-endian number.
func number(s string) (n uint64) {
	for i := range len(s) {
		n = n<<8 | uint64(s[i])
	}
	return n
}

// count fills in what a subject's sets count at the time now, its own members included, and when it was seen before.
// The value is the one before this visit, empty for none. It reports false for values that are none of ours.
func (t *tally) count(sub *fingerprint.Subject, value string, now int64, most int) bool {
	var first, last int64
	t.entries = t.entries[:0]
	if value != "" {
		if len(value) < 14 || len(value) > mostValue || value[0] != version {
			return false
		}
		t.clear(len(value))
		first = int64(number(value[1:7]))
		for rest := value[7:]; rest != ""; {
			mask := rest[0]
			end := 1 + 6*bits.OnesCount8(mask)
			if mask >= 1<<fingerprint.Dims || len(rest) < end+6 {
				return false
			}
			at := int64(number(rest[end : end+6]))
			first, last = min(first, at), max(last, at)
			if at > now-week {
				p := 1
				for m := mask; m != 0; m &= m - 1 {
					t.note(fingerprint.Dim(bits.TrailingZeros8(m)), number(rest[p:p+6]), at)
					p += 6
				}
			}
			rest = rest[end+6:]
		}
	}
	if sub.Dated {
		sub.First, sub.Last = first, last
	}
	for j := range sub.N {
		t.set(&sub.Sets[j], now, int32(most))
	}
	return true
}

// clear makes room for the members of a value so long.
func (t *tally) clear(length int) {
	size := len(t.slots)
	for size > 64 && size/2 >= length/4 { // a member takes more than seven bytes
		size /= 2
	}
	t.used = t.slots[:size]
	clear(t.used)
}

// note keeps a member at its latest time.
func (t *tally) note(d fingerprint.Dim, member uint64, at int64) {
	mask := uint64(len(t.used) - 1)
	for i := (member*0x9e3779b97f4a7c15>>32 + uint64(d)*0x2545f491) & mask; ; i = (i + 1) & mask {
		place := t.used[i]
		if place == 0 {
			t.entries = append(t.entries, entry{member, at, d})
			t.used[i] = uint16(len(t.entries))
			return
		}
		if e := &t.entries[place-1]; e.member == member && e.dim == d {
			e.at = max(e.at, at)
			return
		}
	}
}

// set counts one set.
func (t *tally) set(set *fingerprint.Set, now int64, most int32) {
	var c [3]int32
	own := int64(-1) // when the set's member was seen before
	member := set.Member & memberBits
	for i := range t.entries {
		e := &t.entries[i]
		if e.dim != set.Dim {
			continue
		}
		at := e.at
		if set.Member != 0 && e.member == member {
			own = at
			at = max(at, now)
		}
		c[2]++
		if at > now-day {
			c[1]++
		}
		if at > now-hour {
			c[0]++
		}
	}
	if set.New = set.Member != 0 && own < 0; set.New {
		c[0], c[1], c[2] = c[0]+1, c[1]+1, c[2]+1
	} else if own >= 0 && c[2] > most {
		set.New = t.later(set.Dim, own) >= most // it had to make room for others since
	}
	set.Counts = [3]int32{min(c[0], most), min(c[1], most), min(c[2], most)}
	set.Full = c[2] >= most
}

// later is how many members of a dimension were seen after a time.
func (t *tally) later(d fingerprint.Dim, at int64) (n int32) {
	for i := range t.entries {
		if e := &t.entries[i]; e.dim == d && e.at > at {
			n++
		}
	}
	return n
}

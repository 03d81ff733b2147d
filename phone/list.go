package phone

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	mathbits "math/bits"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// List is a list of disposable numbers: those that anybody can read the messages of. It takes some 36 bytes a number. Make
// one with [ReadList]; the zero value is an empty list. A List never changes: it is safe for concurrent use.
type List struct {
	n      int
	shift  uint
	digits []uint64 // open addressing; 0: free
	seen   []uint16 // days since 1970, same slots; 0: not known
	blocks []uint64 // open addressing: block << 8 | count of numbers in it, up to MaxBlock + 1; 0: free
}

// slot is where a search for a value begins: Fibonacci hashing, whose high bits depend on all of the value.
func (l *List) slot(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> l.shift }

// put adds a number that is not there yet.
func (l *List) put(d uint64, seen uint16) {
	mask := uint64(len(l.digits) - 1)
	i := l.slot(d)
	for l.digits[i] != 0 {
		i = (i + 1) & mask
	}
	l.digits[i], l.seen[i] = d, seen
	block := d / 1000
	i = l.slot(block)
	for l.blocks[i] != 0 && l.blocks[i]>>8 != block {
		i = (i + 1) & mask
	}
	if l.blocks[i]&0xff <= MaxBlock {
		l.blocks[i] = block<<8 | (l.blocks[i]&0xff + 1)
	}
	l.n++
}

// Hit is what a list says about a number.
type Hit struct {
	// Listed: the very number is on the list.
	Listed bool
	// LastSeen is when the list saw it last, to the day; zero: not known. Numbers are recycled: an old hit is weak.
	LastSeen time.Time
	// Block is how many other numbers of the same block of 1000 (all but the last three digits) are listed, at most
	// [MaxBlock]. Disposable numbers are bought in blocks, so this says something about numbers on no list.
	Block int
}

// MaxBlock is the most that Hit.Block counts to.
const MaxBlock = 16

// DenseAt is the Hit.Block from which a block counts as dense.
const DenseAt = 2

// Dense is how dense the block is, 0 to 1: 0 below [DenseAt], 1 from [MaxBlock]. It is a score for near neighbours, no
// proof: honest people have such neighbours too.
func (h Hit) Dense() float64 {
	if h.Block < DenseAt {
		return 0
	}
	return min(1, 0.5+0.5*float64(h.Block-DenseAt)/(MaxBlock-DenseAt))
}

// Bounds of [ReadList].
const (
	MaxListed   = 16 << 20 // numbers
	maxListLine = 256      // bytes
)

// ReadList reads a list: a number a line, digits in E.164 order with or without '+', optionally a comma and the day it
// was last seen (2006-01-02). Blank lines, lines that begin with '#' and a first line without digits are skipped. Any
// other line is an error, which names its number only: a list that is half read is worse than the one before.
func ReadList(r io.Reader) (*List, error) {
	type entry struct {
		digits uint64
		seen   uint16
	}
	var entries []entry
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, maxListLine), maxListLine)
	for line := 1; in.Scan(); line++ {
		text := bytes.TrimSpace(in.Bytes())
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if len(text) == 0 || text[0] == '#' || line == 1 && text[0] > '9' {
			continue
		}
		number, day, _ := bytes.Cut(text, []byte{','})
		number = bytes.TrimPrefix(bytes.TrimSpace(number), []byte{'+'})
		d, err := strconv.ParseUint(string(number), 10, 64)
		if err != nil || len(number) < 3 || len(number) > 18 || number[0] == '0' {
			return nil, fmt.Errorf("phone: line %d of the list holds no number: want 3 to 18 digits", line)
		}
		e := entry{digits: d}
		if day = bytes.TrimSpace(day); len(day) > 0 {
			t, err := time.Parse(time.DateOnly, string(day))
			if err != nil || t.Year() < 1970 || t.Year() > 2140 {
				return nil, fmt.Errorf("phone: line %d of the list: the second column is no day like 2026-01-31", line)
			}
			e.seen = uint16(t.Unix() / 86400)
		}
		if len(entries) == MaxListed {
			return nil, fmt.Errorf("phone: the list holds more than %d numbers", MaxListed)
		}
		entries = append(entries, e)
	}
	if err := in.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, errors.New("phone: a line of the list is too long")
		}
		return nil, fmt.Errorf("phone: reading the list: %w", err)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.digits != b.digits {
			if a.digits < b.digits {
				return -1
			}
			return 1
		}
		return int(b.seen) - int(a.seen) // the latest first: it is the one kept
	})
	entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.digits == b.digits })
	bits := max(4, mathbits.Len(uint(len(entries)*8/5))) // at most five eighths full
	l := &List{shift: uint(64 - bits), digits: make([]uint64, 1<<bits), seen: make([]uint16, 1<<bits), blocks: make([]uint64, 1<<bits)}
	for _, e := range entries {
		l.put(e.digits, e.seen)
	}
	return l, nil
}

// Len is how many numbers are listed.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return l.n
}

// Look asks about a number. It does not allocate.
func (l *List) Look(n Number) Hit { return l.LookDigits(n.digits) }

// LookDigits is Look for the digits of an E.164 form that need not be a valid number.
func (l *List) LookDigits(d uint64) Hit {
	var h Hit
	if l == nil || l.n == 0 || d == 0 {
		return h
	}
	mask := uint64(len(l.digits) - 1)
	block := d / 1000
	i, j := l.slot(d), l.slot(block)
	first, count := l.digits[i], l.blocks[j] // both loads are under way before either is needed
	for ; first != 0; first = l.digits[i] {
		if first == d {
			h.Listed = true
			if l.seen[i] != 0 {
				h.LastSeen = time.Unix(int64(l.seen[i])*86400, 0).UTC()
			}
			break
		}
		i = (i + 1) & mask
	}
	for ; count != 0; count = l.blocks[j] {
		if count>>8 == block {
			h.Block = int(count & 0xff)
			if h.Listed {
				h.Block--
			}
			h.Block = min(h.Block, MaxBlock)
			break
		}
		j = (j + 1) & mask
	}
	return h
}

// LiveList is a list that can be replaced while it is used. The zero value is an empty list. It is safe for concurrent
// use.
type LiveList struct{ p atomic.Pointer[List] }

// Set replaces the list.
func (l *LiveList) Set(list *List) { l.p.Store(list) }

// Look asks the current list.
func (l *LiveList) Look(n Number) Hit { return l.p.Load().Look(n) }

// Lister is what [Signal] and [ListSource] ask: [List] or [LiveList].
type Lister interface{ Look(n Number) Hit }

var (
	_ Lister = (*List)(nil)
	_ Lister = (*LiveList)(nil)
)

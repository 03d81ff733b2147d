package ratelimit

import "math/bits"

// samples is how many entries are looked at to make room.
const samples = 16

func (s *shard) roomForBucket(now int64) {
	t := &s.buckets
	if !t.atBound() {
		t.grow(func(v *uint64) bool { return int64(*v>>spanBits) <= now })
		return
	}
	drop, spent := -1, 0.0
	t.sample(s.random(len(t.slots)), min(samples, t.n), func(i int, v *uint64) bool {
		debt := int64(*v>>spanBits) - now
		if debt <= 0 {
			drop, spent = i, 0
			return true
		}
		if part := float64(debt) / unpackSpan(*v); drop < 0 || part < spent {
			drop, spent = i, part
		}
		return false
	})
	if spent > 0 {
		s.evicted.Add(1)
	}
	t.remove(drop)
}

func (s *shard) roomForSource(now int64, l *Ladder) {
	t := &s.sources
	if !t.atBound() {
		t.grow(func(r *record) bool { return r.end(l) <= now })
		return
	}
	drop, worst := -1, int64(0)
	t.sample(s.random(len(t.slots)), min(samples, t.n), func(i int, r *record) bool {
		if r.end(l) <= now {
			drop, worst = i, -1
			return true
		}
		rank := r.faded(now, l)
		if now < r.until {
			rank += l.Max + r.until - now // the longest ban stays longest
		}
		if drop < 0 || rank < worst {
			drop, worst = i, rank
		}
		return false
	})
	if worst >= 0 {
		s.evicted.Add(1)
	}
	t.remove(drop)
}

// random returns a number below n, by xorshift: guessing it gains an attacker nothing, keys being hashed.
func (s *shard) random(n int) int {
	s.rand ^= s.rand << 13
	s.rand ^= s.rand >> 7
	s.rand ^= s.rand << 17
	h, _ := bits.Mul64(s.rand, uint64(n))
	return int(h)
}

// spanBits of a packed bucket hold the span (how long an empty bucket takes to fill) in sixteenths of an octave, so
// that eviction knows what part of a bucket is spent. The TAT in the rest is exact.
const spanBits = 10

func pack(tat, span int64) uint64 {
	n := bits.Len64(uint64(span))
	var fine uint64
	if n > 5 {
		fine = uint64(span) >> (n - 5) & 15
	} else {
		fine = uint64(span) << (5 - n) & 15
	}
	return uint64(tat)<<spanBits | uint64(n)<<4 | fine
}

// unpackSpan returns the span to within 1/16, in microseconds.
func unpackSpan(v uint64) float64 {
	n, fine := v>>4&63, v&15
	return float64(16+fine) * float64(uint64(1)<<n) / 32
}

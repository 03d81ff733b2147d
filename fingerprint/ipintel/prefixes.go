package ipintel

import (
	"math/bits"
	"net/netip"
)

// appendRange appends the fewest prefixes that cover first to last, both included and of one family. It reports false
// when they are not a range.
func appendRange(dst []netip.Prefix, first, last netip.Addr) ([]netip.Prefix, bool) {
	if !first.IsValid() || first.BitLen() != last.BitLen() || last.Less(first) {
		return dst, false
	}
	lo, hi := number(first), number(last)
	width := first.BitLen()
	for {
		// The largest block that begins at lo and does not reach past hi.
		size := min(lo.trailingZeros(), width)
		for size > 0 && hi.less(lo.or(mask(size))) {
			size--
		}
		dst = append(dst, netip.PrefixFrom(address(lo, width), width-size))
		end := lo.or(mask(size))
		if !end.less(hi) {
			return dst, true
		}
		lo = end.next()
	}
}

// uint128 is an address as a number.
type uint128 struct{ hi, lo uint64 }

func number(a netip.Addr) uint128 {
	b := a.As16()
	n := uint128{}
	for i := range 8 {
		n.hi = n.hi<<8 | uint64(b[i])
		n.lo = n.lo<<8 | uint64(b[i+8])
	}
	if a.Is4() {
		return uint128{0, n.lo & 0xffffffff}
	}
	return n
}

func address(n uint128, width int) netip.Addr {
	var b [16]byte
	for i := range 8 {
		b[i] = byte(n.hi >> (56 - 8*i))
		b[i+8] = byte(n.lo >> (56 - 8*i))
	}
	if width == 32 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

func (a uint128) less(b uint128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a uint128) or(b uint128) uint128 { return uint128{a.hi | b.hi, a.lo | b.lo} }

func (a uint128) next() uint128 {
	lo, carry := bits.Add64(a.lo, 1, 0)
	return uint128{a.hi + carry, lo}
}

func (a uint128) trailingZeros() int {
	if a.lo != 0 {
		return bits.TrailingZeros64(a.lo)
	}
	return 64 + bits.TrailingZeros64(a.hi)
}

// mask has the lowest n bits set.
func mask(n int) uint128 {
	switch {
	case n >= 128:
		return uint128{^uint64(0), ^uint64(0)}
	case n > 64:
		return uint128{1<<(n-64) - 1, ^uint64(0)}
	case n == 64:
		return uint128{0, ^uint64(0)}
	default:
		return uint128{0, 1<<n - 1}
	}
}

package ipintel

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// MaxLists is the most lists a [Table] holds, one bit each.
const MaxLists = 64

// Table says which lists an address is on. A prefix inherits the lists of all prefixes around it, so that the longest
// match answers for all. It is immutable and safe for concurrent use; build a new one to change it.
type Table struct {
	bart bart.Table[uint64]
	size int
}

type tagged struct {
	prefix netip.Prefix
	bits   uint64
}

// NewTable makes a table of lists. The number of a list is its bit. Prefixes are masked, and IPv4-mapped ones become
// IPv4. It refuses more than [MaxLists] lists, and prefixes that are invalid.
func NewTable(lists ...[]netip.Prefix) (*Table, error) {
	if len(lists) > MaxLists {
		return nil, fmt.Errorf("ipintel: %d lists in one table; at most %d", len(lists), MaxLists)
	}
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	all := make([]tagged, 0, n)
	for i, list := range lists {
		for _, p := range list {
			p, ok := normalPrefix(p)
			if !ok {
				return nil, fmt.Errorf("ipintel: list %d has an invalid prefix", i)
			}
			all = append(all, tagged{p, 1 << i})
		}
	}
	slices.SortFunc(all, func(a, b tagged) int { return a.prefix.Compare(b.prefix) })
	t := &Table{}
	var around []tagged // the prefixes that contain the current one, widest first
	for i := 0; i < len(all); {
		e := all[i]
		for i++; i < len(all) && all[i].prefix == e.prefix; i++ {
			e.bits |= all[i].bits
		}
		for len(around) > 0 && !holds(around[len(around)-1].prefix, e.prefix) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 {
			e.bits |= around[len(around)-1].bits
		}
		around = append(around, e)
		t.bart.Insert(e.prefix, e.bits)
		t.size++
	}
	return t, nil
}

// holds reports whether p contains all of q, given that q is not before p in the order of netip.Prefix.Compare.
func holds(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// normalPrefix masks a prefix and turns IPv4 in IPv6 form into IPv4.
func normalPrefix(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p.Masked(), true
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// Lookup returns the lists the address is on, bit i for list i, and 0 for none. It normalizes the address, and does not
// allocate.
func (t *Table) Lookup(ip netip.Addr) uint64 {
	bits, _ := t.bart.Lookup(Normal(ip))
	return bits
}

// Len is the number of different prefixes.
func (t *Table) Len() int { return t.size }

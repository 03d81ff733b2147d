package ipintel

import (
	"io"
	"net/netip"

	"github.com/gaissmai/bart"
)

// AS is an autonomous system: who announces an address. The zero value is an unknown one.
type AS struct {
	Number uint32
	Name   string
}

// ASTable says which autonomous system an address belongs to, from ranges in CSV form: an alternative to an mmdb file
// where there is none. It is immutable and safe for concurrent use.
type ASTable struct {
	bart    bart.Table[uint32] // index of systems
	systems []AS
}

// ReadASTable reads lines of the form first,last,number,name, as the ip-location-db project publishes them; the name may
// be quoted. nil opts means the defaults. Limits and malformed lines are treated as [Parse] treats them.
func ReadASTable(r io.Reader, opts *ParseOptions) (*ASTable, error) {
	p, err := newParser(r, opts)
	if err != nil {
		return nil, err
	}
	t := &ASTable{systems: []AS{{}}}
	index := map[AS]uint32{}
	entries := 0
	for p.next() {
		first, last, ok := p.rangeFields()
		if !ok {
			p.malformed()
			continue
		}
		number, ok := parseASN(p.field(2))
		if !ok {
			p.malformed()
			continue
		}
		as := AS{number, clip(p.field(3), 128)}
		i, ok := index[as]
		if !ok {
			i = uint32(len(t.systems))
			index[as] = i
			t.systems = append(t.systems, as)
		}
		prefixes, ok := appendRange(nil, first, last)
		if !ok {
			p.malformed()
			continue
		}
		for _, prefix := range prefixes {
			t.bart.Insert(prefix, i)
		}
		if entries += len(prefixes); entries > p.opts.MaxEntries {
			return nil, p.fail(ErrTooLarge)
		}
	}
	if err := p.finish(entries); err != nil {
		return nil, err
	}
	return t, nil
}

// Lookup returns the system of an address.
func (t *ASTable) Lookup(ip netip.Addr) (AS, bool) {
	i, ok := t.bart.Lookup(Normal(ip))
	return t.systems[i], ok
}

// Len is the number of prefixes.
func (t *ASTable) Len() int { return t.bart.Size() }

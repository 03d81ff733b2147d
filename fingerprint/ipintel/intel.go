package ipintel

import (
	"errors"
	"net/netip"
	"strings"
)

// Info is all that databases and lists say of an address. Fields are empty where nobody says anything.
type Info struct {
	// Addr is the address after Normal.
	Addr  netip.Addr
	Range Range
	// Record joins the databases: for each field the first that fills it.
	Record
	// Raw are the kinds as sources say them. Record.Kinds is what is fair to hold against a visitor: see Kind.Fair.
	Raw Kind
	// Hits are the lists it is on.
	Hits Hits
}

// Class is the one word that says most about the address: "reserved", "private", "tor", "relay", "carrier",
// "residential", "vpn", "proxy", "hosting", "anonymous", "corporate", or "" for an ordinary line.
func (i Info) Class() string {
	switch {
	case i.Range == RangeReserved || i.Range == RangePrivate:
		return i.Range.String()
	case i.Kinds.Has(Tor):
		return "tor"
	case i.Kinds.Has(Relay):
		return "relay"
	case i.Kinds.Has(Carrier):
		return "carrier"
	case i.Kinds.Has(Residential):
		return "residential"
	case i.Kinds.Has(VPN):
		return "vpn"
	case i.Kinds.Has(Proxy):
		return "proxy"
	case i.Kinds.Has(Hosting):
		return "hosting"
	case i.Kinds.Has(Anonymous):
		return "anonymous"
	case i.Kinds.Has(Corporate):
		return "corporate"
	}
	return ""
}

// Options of [New]. At least one field is filled.
type Options struct {
	// Databases are asked in this order; what the first says counts, kinds are joined.
	Databases []*Database
	Lists     *Lists
	// Systems names autonomous systems where no database does.
	Systems *ASTable
}

// Intel puts databases and lists together. It is immutable and safe for concurrent use; what it is made of reloads by
// itself.
type Intel struct{ opts Options }

// New makes an Intel. It refuses one that would know nothing.
func New(opts *Options) (*Intel, error) {
	if opts == nil || len(opts.Databases) == 0 && opts.Lists == nil && opts.Systems == nil {
		return nil, errors.New("ipintel: no database, lists or systems; OpenDatabase and NewLists make some")
	}
	i := &Intel{*opts}
	i.opts.Databases = append([]*Database(nil), opts.Databases...)
	for _, d := range i.opts.Databases {
		if d == nil {
			return nil, errors.New("ipintel: a database is nil")
		}
	}
	return i, nil
}

// Lookup returns what is known of an address. Addresses that are not public are not looked up in databases, and are on
// no list but the host's own. An error means that a database could not decode its record; what the others said is
// returned beside it.
func (i *Intel) Lookup(ip netip.Addr) (Info, error) {
	info := Info{Addr: Normal(ip), Range: RangeOf(ip)}
	var errs error
	switch info.Range {
	case RangeNone:
		return info, nil
	case RangePublic:
		for _, d := range i.opts.Databases {
			r, ok, err := d.Lookup(info.Addr)
			if err != nil {
				errs = errors.Join(errs, err)
			} else if ok {
				info.join(&r)
			}
		}
		if i.opts.Systems != nil && info.AS.Number == 0 {
			info.AS, _ = i.opts.Systems.Lookup(info.Addr)
		}
	case RangeCarrier:
		info.Kinds |= Carrier
	}
	if i.opts.Lists != nil {
		info.Hits = i.opts.Lists.Lookup(info.Addr, info.AS.Number)
		kinds := info.Hits.Kinds
		if info.Range != RangePublic {
			kinds &= Listed
		}
		info.Kinds |= kinds
	}
	info.Raw = info.Kinds
	info.Kinds = info.Kinds.Fair()
	return info, errs
}

// join fills what is still empty.
func (i *Info) join(r *Record) {
	if i.Country == "" {
		i.Country = r.Country
	}
	if i.Registered == "" {
		i.Registered = r.Registered
	}
	if i.AS.Number == 0 {
		i.AS = r.AS
	}
	if i.Connection == "" {
		i.Connection = r.Connection
	}
	if !i.HasPlace && r.HasPlace {
		i.Place, i.HasPlace = r.Place, true
	}
	if i.TimeZone == "" {
		i.TimeZone = r.TimeZone
	}
	i.Kinds |= r.Kinds
}

// lists joins the names of lists, for reasons.
func (i Info) lists() string { return strings.Join(i.Hits.Names(), ",") }

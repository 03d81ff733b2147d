package ipintel

import "net/netip"

// nat64 is the well-known prefix of RFC 6052 section 2.1: the last 32 bits are an IPv4 address.
var nat64 = [12]byte{0x00, 0x64, 0xff, 0x9b}

// Normal returns the address that all look-ups of this package use: IPv4-mapped IPv6 addresses (::ffff:192.0.2.1) and
// addresses of the well-known NAT64 prefix (64:ff9b::192.0.2.1, RFC 6052) as the IPv4 address inside, everything without
// a zone. A prefix table knows a network in one form only, so an address in the other form would slip past it. It is the
// identity for other addresses and for the zero Addr.
func Normal(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return ip
	}
	if ip.Is4In6() {
		return ip.Unmap()
	}
	if !ip.IsValid() {
		return ip
	}
	if b := ip.As16(); [12]byte(b[:12]) == nat64 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip.WithZone("")
}

// Range is what an address is by its number alone.
type Range uint8

// The ranges. The zero value is that of the zero netip.Addr.
const (
	// RangeNone is no address.
	RangeNone Range = iota
	// RangePublic is everything that the other ranges are not.
	RangePublic
	// RangePrivate is RFC 1918, RFC 4193, loopback and link-local.
	RangePrivate
	// RangeCarrier is 100.64.0.0/10, shared address space behind carrier NAT (RFC 6598). It is seen only inside of
	// the carrier's network.
	RangeCarrier
	// RangeReserved is unspecified, multicast, documentation, benchmarking and future use: no visitor has it.
	RangeReserved
)

var rangeNames = [...]string{"", "public", "private", "carrier", "reserved"}

// String returns the range's name, "" for RangeNone.
func (r Range) String() string {
	if int(r) < len(rangeNames) {
		return rangeNames[r]
	}
	return "unknown"
}

// The blocks of the IANA special-purpose registries that package netip has no method for.
var (
	carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
	reserved   = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),       // RFC 791
		netip.MustParsePrefix("192.0.2.0/24"),    // RFC 5737
		netip.MustParsePrefix("198.51.100.0/24"), // RFC 5737
		netip.MustParsePrefix("203.0.113.0/24"),  // RFC 5737
		netip.MustParsePrefix("198.18.0.0/15"),   // RFC 2544
		netip.MustParsePrefix("240.0.0.0/4"),     // RFC 1112
		netip.MustParsePrefix("100::/64"),        // RFC 6666
		netip.MustParsePrefix("2001:db8::/32"),   // RFC 3849
		netip.MustParsePrefix("3fff::/20"),       // RFC 9637
	}
)

// RangeOf classifies an address after [Normal].
func RangeOf(ip netip.Addr) Range {
	ip = Normal(ip)
	switch {
	case !ip.IsValid():
		return RangeNone
	case ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast():
		return RangePrivate
	case ip.IsUnspecified() || ip.IsMulticast():
		return RangeReserved
	case carrierNAT.Contains(ip):
		return RangeCarrier
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return RangeReserved
		}
	}
	return RangePublic
}

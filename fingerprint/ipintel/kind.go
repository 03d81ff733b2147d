package ipintel

import "strings"

// Kind is a set of things an address may be. The zero value says nothing: not listed is not the same as clean.
type Kind uint16

// The kinds.
const (
	// Tor is an exit of the Tor network.
	Tor Kind = 1 << iota
	// VPN is an exit of a VPN service.
	VPN
	// Hosting is a server in a datacenter.
	Hosting
	// Proxy is a public proxy.
	Proxy
	// Residential is an exit of a residential proxy network: a household whose line strangers rent.
	Residential
	// Anonymous is an anonymizer of which the source does not say more.
	Anonymous
	// Threat is an address that a threat feed reports for attacks.
	Threat
	// Listed is an address on a list of the host's own.
	Listed
	// Relay is a privacy relay whose users cannot choose a country: iCloud Private Relay, WARP.
	Relay
	// Carrier is a gateway of a mobile or other carrier's NAT: thousands of people behind one address.
	Carrier
	// Corporate is a company's or school's way out: many people behind one address.
	Corporate
)

var kindNames = [...]string{
	"tor", "vpn", "hosting", "proxy", "residential", "anonymous", "threat", "listed", "relay", "carrier", "corporate",
}

// allKinds has every kind.
const allKinds = Kind(1<<len(kindNames) - 1)

// String returns the names joined by "|", "" for none.
func (k Kind) String() string {
	var out []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, "|")
}

// ParseKind returns the kind of a name as String writes it: "tor", "vpn".
func ParseKind(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Has reports whether all of want are in the set.
func (k Kind) Has(want Kind) bool { return k&want == want }

// Shared are the kinds of addresses that honest people share without having chosen to.
const Shared = Relay | Carrier

// Fair returns what may be held against a visitor. Users of relays and of carrier NAT share their address with thousands
// of honest people, and providers list relays among VPNs: of such an address only Tor (an exact list) and Listed (the
// host's own will) remain, beside what makes it shared.
func (k Kind) Fair() Kind {
	if k&Shared != 0 {
		k &= Tor | Listed | Shared | Corporate
	}
	return k
}

// chosen are ways out of which a visitor can pick one of another place, and shared ones whose place says little.
const chosen = Tor | VPN | Hosting | Proxy | Residential | Anonymous | Relay | Carrier | Corporate

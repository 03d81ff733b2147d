package riskhttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Forwarding names the header in which trusted proxies tell the client's address.
type Forwarding uint8

// The headers. Exactly one is read: a proxy that keeps one of them passes the others on as the visitor sent them.
const (
	XForwardedFor Forwarding = iota // a list each proxy appends its peer to
	Forwarded                       // the same by RFC 7239: for="[2001:db8::1]:4711";proto=https
	XRealIP                         // one address, replaced by the proxy
)

// Bounds of the walk, counted from the right: no chain of real proxies comes near them.
const (
	maxHops           = 32
	maxForwardedBytes = 4096
)

// ParseProxies reads addresses and prefixes, "192.0.2.7" or "10.0.0.0/8", for Options.TrustedProxies.
func ParseProxies(list ...string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		s = strings.TrimSpace(s)
		p, err := netip.ParsePrefix(s)
		if addr, aerr := netip.ParseAddr(s); err != nil && aerr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("riskhttp: %q is neither an address nor a prefix: write 192.0.2.7 or 10.0.0.0/8", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// setProxies checks and keeps the trusted prefixes in the form addresses are compared in.
func (g *Guard) setProxies(list []netip.Prefix) error {
	for _, p := range list {
		if !p.IsValid() {
			return errors.New("riskhttp: TrustedProxies holds an invalid prefix")
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return fmt.Errorf("riskhttp: TrustedProxies holds %v: write IPv4 networks as IPv4", p)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Bits() == 0 {
			return fmt.Errorf("riskhttp: TrustedProxies holds %v, which lets everybody choose an address: name the proxies", p)
		}
		g.trusted = append(g.trusted, p.Masked())
	}
	g.o.TrustedProxies = slices.Clone(g.trusted)
	return nil
}

// ClientIP tells the client's address: unmapped (::ffff:192.0.2.1 is 192.0.2.1), without zone, never unspecified or
// multicast. Attempt uses it; it is here for hosts that need the same address elsewhere.
//
// The peer of the connection is the client unless it is a trusted proxy. Then the header of Options.Forwarding is
// walked from the right, over all its lines, hop by hop while hops are trusted, and the address is
//
//   - the first one that is not trusted: what stands left of it is the visitor's own and is not read;
//   - the leftmost one, if all are trusted: the request comes from inside;
//   - the peer's, if the header is not there: the proxy itself asks (a health check), or forgets to append;
//   - the last trusted one read, if a hop is no address (unknown, an obfuscated identifier, empty, 010.0.0.1), or
//     stands beyond 32 hops or 4,096 bytes, with [ErrForwarded]: never anything left of it.
//
// X-Real-IP must stand once and be one address, else it is [ErrForwarded] and the peer's. A peer that has no address (a
// Unix socket that is not trusted, a RemoteAddr somebody broke) gives the zero Addr and [ErrNoAddress].
func (g *Guard) ClientIP(r *http.Request) (netip.Addr, error) {
	peer, ok := parseHop(r.RemoteAddr)
	if !g.trustedPeer(r.RemoteAddr, peer, ok) {
		if !ok {
			return netip.Addr{}, ErrNoAddress
		}
		return peer, nil
	}
	var addr netip.Addr
	var err error
	switch g.o.Forwarding {
	case Forwarded:
		addr, err = g.walk(peer, r.Header["Forwarded"], cutForwarded)
	case XRealIP:
		addr, err = realIP(peer, r.Header["X-Real-Ip"])
	default:
		addr, err = g.walk(peer, r.Header["X-Forwarded-For"], cutPlain)
	}
	if err == nil && !addr.IsValid() {
		err = ErrNoAddress
	}
	return addr, err
}

// FromProxy reports whether the request comes straight from a trusted proxy: only then may a collector believe headers
// which that proxy sets (a TLS fingerprint, a country).
func (g *Guard) FromProxy(r *http.Request) bool {
	peer, ok := parseHop(r.RemoteAddr)
	return g.trustedPeer(r.RemoteAddr, peer, ok)
}

func (g *Guard) trustedPeer(remote string, peer netip.Addr, ok bool) bool {
	if ok {
		return g.isTrusted(peer)
	}
	// net/http gives the address of an unnamed Unix socket as "@".
	return g.o.TrustUnix && remote != "" && (remote[0] == '@' || remote[0] == '/')
}

func (g *Guard) isTrusted(a netip.Addr) bool {
	for _, p := range g.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// cut takes the last hop off a header line. more is false when it was the only one; ok is false when the hop cannot be
// read as an address.
type cut func(line string) (rest string, addr netip.Addr, more, ok bool)

// walk goes through the hops from the right, starting with the trusted peer.
func (g *Guard) walk(peer netip.Addr, lines []string, next cut) (netip.Addr, error) {
	last, hops, left := peer, 0, maxForwardedBytes
	for _, line := range slices.Backward(lines) {
		whole := len(line) <= left
		if !whole {
			line = line[len(line)-left:]
		}
		left -= len(line)
		for more := true; more; hops++ {
			var addr netip.Addr
			var ok bool
			line, addr, more, ok = next(line)
			if !ok || hops == maxHops || (!more && !whole) {
				return last, ErrForwarded
			}
			last = addr
			if !g.isTrusted(addr) {
				return addr, nil
			}
		}
	}
	return last, nil
}

// cutPlain cuts X-Forwarded-For.
func cutPlain(line string) (string, netip.Addr, bool, bool) {
	i := strings.LastIndexByte(line, ',')
	addr, ok := parseHop(line[i+1:])
	if i < 0 {
		return "", addr, false, ok
	}
	return line[:i], addr, true, ok
}

// realIP reads X-Real-IP.
func realIP(peer netip.Addr, lines []string) (netip.Addr, error) {
	if len(lines) == 0 {
		return peer, nil
	}
	if addr, ok := parseHop(lines[0]); ok && len(lines) == 1 {
		return addr, nil
	}
	return peer, ErrForwarded
}

// parseHop reads an address as proxies and net/http write it: bare, with a port, in brackets with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	const longest = 128 // bracketed, with a zone and a port
	if s == "" || len(s) > longest {
		return netip.Addr{}, false
	}
	bracketed := s[0] == '['
	port := ""
	if bracketed {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return netip.Addr{}, false
		}
		s, port = s[1:end], s[end+1:]
	} else if i := strings.IndexByte(s, ':'); i >= 0 && i == strings.LastIndexByte(s, ':') {
		s, port = s[:i], s[i:]
	}
	if port != "" && !isPort(port) {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || (bracketed && addr.Is4()) {
		return netip.Addr{}, false
	}
	addr = addr.WithZone("").Unmap()
	return addr, !addr.IsUnspecified() && !addr.IsMulticast()
}

// isPort reads ":" and a port, or an obfuscated one (RFC 7239 section 6).
func isPort(s string) bool {
	if len(s) < 2 || s[0] != ':' {
		return false
	}
	s = s[1:]
	if s[0] == '_' {
		return len(s) > 1 && isToken(s)
	}
	return len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}

package ja4

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
)

// HeaderCloudFront is the header Amazon CloudFront can add to requests to the origin.
const HeaderCloudFront = "CloudFront-Viewer-JA4-Fingerprint"

// Edge reads the fingerprint that a TLS-terminating proxy computed. Make one with [NewEdge]. It is safe for concurrent
// use.
type Edge struct {
	header  string
	trusted []netip.Prefix
}

// NewEdge makes an edge of the header it fills and the addresses its requests come from. The edge must remove the
// header from what visitors send. Both are required, and a prefix that trusts everybody is refused.
func NewEdge(header string, trusted []netip.Prefix) (*Edge, error) {
	if header == "" {
		return nil, errors.New("ja4: the header that carries the fingerprint has no name")
	}
	for i := range len(header) {
		if c := header[i]; !alphanumeric(c) && c != '-' && c != '_' {
			return nil, fmt.Errorf("ja4: %.40q is no header name", header)
		}
	}
	if len(trusted) == 0 {
		return nil, errors.New("ja4: no trusted peers: name the prefixes the edge connects from, or anybody chooses a fingerprint")
	}
	e := &Edge{header: textproto.CanonicalMIMEHeaderKey(header)}
	for _, p := range trusted {
		if !p.IsValid() || p.Bits() == 0 {
			return nil, errors.New("ja4: a trusted prefix is invalid or trusts everybody")
		}
		if p.Addr().Is4In6() {
			if p.Bits() <= 96 {
				return nil, errors.New("ja4: a trusted prefix covers all of IPv4")
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		e.trusted = append(e.trusted, p.Masked())
	}
	return e, nil
}

// FromRequest returns the fingerprint in the request's header. It is false unless the peer (r.RemoteAddr) is trusted,
// the header came exactly once, and its value is a JA4.
func (e *Edge) FromRequest(r *http.Request) (string, bool) {
	values := r.Header[e.header]
	if len(values) != 1 {
		return "", false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", false
	}
	addr := peer.Addr().Unmap().WithZone("")
	if !slices.ContainsFunc(e.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return "", false
	}
	if _, err := Parse(values[0]); err != nil {
		return "", false
	}
	return values[0], true
}

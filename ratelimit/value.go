package ratelimit

import "net/netip"

// appendValue appends the subject's n-th value of the group's dimension to the text, or nothing when there is none, and
// reports whether there may be more. A value named twice is appended once, for a batch must not hold a key twice.
func appendValue(b []byte, s *Subject, g *group, addr netip.Addr, n int) (text []byte, more bool) {
	switch g.kind {
	case addressValue:
		if addr.IsValid() {
			b = appendAddr(b, g.dim, addr)
		}
	case phoneValue:
		b = appendPhone(b, s.Phone)
	case emailValue:
		b = appendFolded(b, s.Email, true)
	case deviceValue:
		if n < len(s.Device) && !sameCut(s.Device[:n], s.Device[n]) {
			b = append(b, cut(s.Device[n])...)
		}
		return b, n+1 < len(s.Device)
	case businessValue:
		if n < len(s.IDs) && !namedBefore(s.IDs, n) {
			b = appendID(b, s.IDs[n].Name, s.IDs[n].Value)
		}
		return b, n+1 < len(s.IDs)
	case idValue:
		b = appendFolded(b, named(s.IDs, string(g.dim[len(idPrefix):])), false)
	case customValue:
		b = append(b, cut(named(s.Custom, string(g.dim[len(customPrefix):])))...)
	case exactValue:
		b = append(b, cut(s.field(g.dim))...)
	}
	return b, false
}

// field returns the field a dimension reads as it is.
func (s *Subject) field(d Dimension) string {
	switch d {
	case Account:
		return s.Account
	case Session:
		return s.Session
	case SSO:
		return s.SSO
	case Endpoint:
		return s.Event
	case Client:
		return s.Client
	}
	return ""
}

// cut bounds a value.
func cut(v string) string { return v[:min(len(v), maxValue)] }

// sameCut reports whether v is in list, as far as values count.
func sameCut(list []string, v string) bool {
	for _, o := range list {
		if cut(o) == cut(v) {
			return true
		}
	}
	return false
}

// namedBefore reports whether the type of identifier n came already: the first of a type counts.
func namedBefore(ids []Value, n int) bool {
	for i := range n {
		if ids[i].Name == ids[n].Name && ids[i].Value != "" {
			return true
		}
	}
	return false
}

// named finds the value of a name.
func named(list []Value, name string) string {
	for i := range list {
		if list[i].Name == name && list[i].Value != "" {
			return list[i].Value
		}
	}
	return ""
}

// address returns the address to count by: one spelling, translation undone; invalid when there is none.
func (l *Limiter) address(a netip.Addr) netip.Addr {
	a = plain(a)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	if !a.Is6() {
		return a
	}
	for _, p := range l.nat64 {
		if p.Contains(a) {
			ip := a.As16()
			return netip.AddrFrom4([4]byte(ip[12:]))
		}
	}
	if l.tunnels {
		ip := a.As16()
		switch {
		case ip[0] == 0x20 && ip[1] == 0x02: // RFC 3056: 2002:V4ADDR::/48
			return netip.AddrFrom4([4]byte(ip[2:6]))
		case ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0 && ip[3] == 0: // RFC 4380: the address inverted, last
			return netip.AddrFrom4([4]byte{^ip[12], ^ip[13], ^ip[14], ^ip[15]})
		}
	}
	return a
}

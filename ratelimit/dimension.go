package ratelimit

import "strings"

// Dimension is what a limit counts by. Dimensions made with [Custom] and [ID] are an application's own.
type Dimension string

// The dimensions. Each says which field of a [Subject] it reads; a subject without it is not counted by limits on it.
const (
	// IP is the whole address of either family. A visitor with IPv6 owns at least a /64 and so as many addresses as
	// they like: limit IPv6 by prefix.
	IP Dimension = "ip"
	// IPv4 is the whole address of an IPv4 visitor (an IPv4-mapped IPv6 address is one); others have none.
	IPv4 Dimension = "ipv4"
	// IPv4Prefix24 is the /24 of an IPv4 address: often one hosting customer, sometimes many people behind CGNAT.
	IPv4Prefix24 Dimension = "ipv4/24"
	// IPv6Prefix64, IPv6Prefix56 and IPv6Prefix48 are the prefixes handed to one line, one customer and one site.
	IPv6Prefix64 Dimension = "ipv6/64"
	IPv6Prefix56 Dimension = "ipv6/56"
	IPv6Prefix48 Dimension = "ipv6/48"
	// Phone is Subject.Phone.
	Phone Dimension = "phone"
	// Device is each of Subject.Device.
	Device Dimension = "device"
	// Email is Subject.Email.
	Email Dimension = "email"
	// Account is Subject.Account.
	Account Dimension = "account"
	// Session is Subject.Session.
	Session Dimension = "session"
	// SSO is Subject.SSO: issuer and subject of a single sign-on.
	SSO Dimension = "sso"
	// Business is each of Subject.IDs, whatever its type; ID counts one type only.
	Business Dimension = "business"
	// Endpoint is Subject.Event.
	Endpoint Dimension = "endpoint"
	// Client is the client's class, Subject.Class: "user", "partner", "public".
	Client Dimension = "client"
	// Global is one bucket for everybody of a tenant.
	Global Dimension = "global"
)

const (
	customPrefix = "custom:"
	idPrefix     = "id:"
)

// Custom is a dimension of an application's own, read from the values of that name in Subject.Custom. Its class is
// Target unless the limit names another.
func Custom(name string) Dimension { return Dimension(customPrefix + name) }

// ID is one type of business identifier: ID("usdot").
func ID(name string) Dimension { return Dimension(idPrefix + name) }

// Class says who is hit when a limit on a dimension is exceeded, and so what may happen then.
type Class uint8

// The classes.
const (
	// Source is what the visitor controls: addresses, device, session. Denied attempts count against it as offences,
	// and its limits are advertised in headers.
	Source Class = iota + 1
	// Target is what may belong to somebody else: phone, e-mail, account. A denied attempt leaves it untouched, and it
	// is never advertised, which would tell a stranger that the number or address is in use.
	Target
	// Shared is everybody's: endpoint, client class, global. Its denials are nobody's offence.
	Shared
)

// String returns "source", "target" or "shared".
func (c Class) String() string {
	switch c {
	case Source:
		return "source"
	case Target:
		return "target"
	case Shared:
		return "shared"
	}
	return "none"
}

// Class returns the dimension's class; zero for an unknown dimension.
func (d Dimension) Class() Class {
	switch d {
	case IP, IPv4, IPv4Prefix24, IPv6Prefix64, IPv6Prefix56, IPv6Prefix48, Device, Session:
		return Source
	case Phone, Email, Account, SSO, Business:
		return Target
	case Endpoint, Client, Global:
		return Shared
	}
	for _, p := range []string{customPrefix, idPrefix} {
		if name, ok := strings.CutPrefix(string(d), p); ok && validName(name) {
			return Target
		}
	}
	return 0
}

// address reports whether the dimension is read from the address.
func (d Dimension) address() bool {
	switch d {
	case IP, IPv4, IPv4Prefix24, IPv6Prefix64, IPv6Prefix56, IPv6Prefix48:
		return true
	}
	return false
}

// valueKind says where a dimension's values come from and what form they have.
type valueKind uint8

const (
	exactValue valueKind = iota // a field, byte by byte
	addressValue
	phoneValue
	emailValue
	deviceValue
	businessValue
	idValue
	customValue
	globalValue
)

func (d Dimension) kind() valueKind {
	switch {
	case d.address():
		return addressValue
	case d == Phone:
		return phoneValue
	case d == Email:
		return emailValue
	case d == Device:
		return deviceValue
	case d == Business:
		return businessValue
	case d == Global:
		return globalValue
	case strings.HasPrefix(string(d), idPrefix):
		return idValue
	case strings.HasPrefix(string(d), customPrefix):
		return customValue
	}
	return exactValue
}

// validName reports whether s may name a limit or a custom dimension: 1 to 64 of a-z A-Z 0-9 _ . - /. Such a name is a
// String of RFC 9651 without escapes.
func validName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-', c == '/':
		default:
			return false
		}
	}
	return true
}

package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vestibule-go/vestibule/risk"
)

// Effect is what an entry of a list does.
type Effect string

// The effects.
const (
	Deny  Effect = "deny"
	Allow Effect = "allow"
)

// EntryKind is what an entry names.
type EntryKind string

// The kinds.
const (
	EntryIP     EntryKind = "ip"     // an address, or a prefix of /8 to /32 (IPv4), /16 to /64 in steps of four or /128 (IPv6)
	EntryEmail  EntryKind = "email"  // a mailbox, whatever its spelling: see Email.Canonical
	EntryDomain EntryKind = "domain" // the domain of an e-mail address and all below it, of two labels at least
	EntryDevice EntryKind = "device" // a keyed tag as risk.Attempt.Device has it; it ends with the tag's salt epoch
	EntryPhone  EntryKind = "phone"  // a number in E.164 form
)

// Entry is a line of a list. Lists are for emergencies: each entry has an author, a reason and an end.
type Entry struct {
	// ID names the entry; made by Put of tenant, kind and value, so that the same value again replaces the entry.
	ID string
	// Tenant is whose attempts it is for.
	Tenant string
	Effect Effect
	Kind   EntryKind
	// Value is what it names. Only Put reads it: it is kept as a keyed hash and comes back empty.
	Value risk.Private
	// By is who made it, and Reason why, 1 to 64 and up to 256 bytes. They are kept and shown in clear: a name for staff,
	// a ticket's number, never what the entry is about.
	By, Reason string
	// Created is set by Put. Expires is required, at most MaxTerm after it.
	Created, Expires time.Time
}

// MaxTerm is the longest an entry lasts.
const MaxTerm = 366 * 24 * time.Hour

// ErrEntry is what every refusal of an entry is. It does not repeat the value.
var ErrEntry = errors.New("identity: entry refused")

// check looks at all but the value.
func (e *Entry) check(now time.Time) error {
	switch {
	case e.Effect != Deny && e.Effect != Allow:
		return fmt.Errorf("%w: Effect must be Deny or Allow", ErrEntry)
	case e.By == "" || len(e.By) > 64 || !utf8.ValidString(e.By):
		return fmt.Errorf("%w: By must name its author in 1 to 64 bytes", ErrEntry)
	case len(e.Reason) > 256 || !utf8.ValidString(e.Reason):
		return fmt.Errorf("%w: Reason has at most 256 bytes", ErrEntry)
	case !e.Expires.After(now) || e.Expires.Sub(now) > MaxTerm:
		return fmt.Errorf("%w: Expires must be in the future, at most %v away", ErrEntry, MaxTerm)
	}
	return nil
}

// normalValue is the one form of a value under which it is kept and looked up.
func normalValue(kind EntryKind, v string) (string, error) {
	bad := func(what string) (string, error) { return "", fmt.Errorf("%w: %s", ErrEntry, what) }
	switch kind {
	case EntryIP:
		p, ok := parsePrefix(v)
		if !ok {
			return bad("Value is no address or prefix")
		}
		if !keptBits(p) {
			return bad("the prefix's length is not one of /8 to /32 (IPv4), /16 to /64 in steps of four or /128 (IPv6)")
		}
		return p.String(), nil
	case EntryEmail:
		e, err := ParseEmail(v)
		if err != nil {
			return bad("Value is no e-mail address")
		}
		return e.Canonical(), nil
	case EntryDomain:
		d, ok := CleanDomain(v)
		if !ok {
			return bad("Value is no domain of at least two labels")
		}
		return d, nil
	case EntryDevice:
		if v == "" || len(v) > 256 {
			return bad("Value is no device tag")
		}
		return v, nil
	case EntryPhone:
		d, ok := foldPhone(v)
		if !ok {
			return bad("Value is no telephone number")
		}
		return d, nil
	}
	return bad("unknown Kind")
}

func parsePrefix(s string) (netip.Prefix, bool) {
	s = strings.TrimSpace(s)
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, false
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	a = normalIP(a)
	return netip.PrefixFrom(a, a.BitLen()), err == nil
}

// normalIP returns IPv4-mapped and NAT64 addresses (64:ff9b::/96, RFC 6052) as IPv4, and all without a zone: an address
// has one form only, or it would slip past the list by taking another.
func normalIP(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if b := a.As16(); [12]byte(b[:12]) == [12]byte{0x00, 0x64, 0xff, 0x9b} {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
	}
	return a
}

// keptBits reports the lengths that look-ups try.
func keptBits(p netip.Prefix) bool {
	n := p.Bits()
	if p.Addr().Is4() {
		return n >= 8
	}
	return n == 128 || n >= 16 && n <= 64 && n%4 == 0
}

// foldPhone keeps the digits of a number.
func foldPhone(s string) (string, bool) {
	if len(s) > maxID {
		return "", false
	}
	b := make([]byte, 0, 16)
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			b = append(b, c)
		case strings.IndexByte("+ -.()/", c) < 0:
			return "", false
		}
	}
	return string(b), len(b) >= 4 && len(b) <= 15
}

// stored is the form in which stores keep an entry.
type stored struct {
	Key     string    `json:"k"`
	Effect  Effect    `json:"e"`
	Kind    EntryKind `json:"t"`
	By      string    `json:"b"`
	Reason  string    `json:"r,omitempty"`
	Created int64     `json:"c"` // milliseconds since 1970
	Expires int64     `json:"x"`
}

var errStored = errors.New("identity: a stored entry is none of this version")

func (e *Entry) encode() ([]byte, error) {
	return json.Marshal(stored{e.ID, e.Effect, e.Kind, e.By, e.Reason, e.Created.UnixMilli(), e.Expires.UnixMilli()})
}

func decodeEntry(tenant string, b []byte) (Entry, error) {
	var s stored
	if json.Unmarshal(b, &s) != nil || s.Effect != Deny && s.Effect != Allow || s.Key == "" || s.Kind == "" {
		return Entry{}, errStored
	}
	return Entry{
		ID: s.Key, Tenant: tenant, Effect: s.Effect, Kind: s.Kind, By: s.By, Reason: s.Reason,
		Created: time.UnixMilli(s.Created).UTC(), Expires: time.UnixMilli(s.Expires).UTC(),
	}, nil
}

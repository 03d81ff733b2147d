package ipintel

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
)

// Format is how a feed is written.
type Format string

// The formats.
const (
	// FormatAuto is FormatJSON when the feed begins with a brace or bracket, else FormatText.
	FormatAuto Format = ""
	// FormatText is one entry a line: an address, a prefix (host bits are masked away), a range first-last or
	// first,last, or the first column of a CSV file. What follows "#" or ";", a byte order mark, blank lines, and the
	// key words of Tor's exit-addresses are skipped. So it reads lists of Tor exits, X4BNet lists, Spamhaus DROP in
	// text form, FireHOL netsets, plain blacklists of AbuseIPDB and CrowdSec, and Apple's CSV of relay ranges.
	FormatText Format = "text"
	// FormatJSON is one document or one a line, with entries in members named cidr, ip, ipAddress, value, prefix,
	// ip_prefix, ipv6_prefix, ipv4Prefix, ipv6Prefix and asn, on the top or in arrays named data, prefixes,
	// ipv6_prefixes and new: Spamhaus DROP and ASN-DROP, the AbuseIPDB blacklist, CrowdSec decisions, the ranges of
	// AWS and Google.
	FormatJSON Format = "json"
	// FormatASN is one autonomous system a line, the number first ("AS64500" or "64500"), the rest of a CSV line
	// ignored.
	FormatASN Format = "asn"
)

// ParseOptions of [Parse]. The zero value and nil mean the defaults.
type ParseOptions struct {
	// Format of the feed; default FormatAuto.
	Format Format
	// MaxBytes is the most bytes read; default 64 MiB.
	MaxBytes int64
	// MaxEntries is the most prefixes and systems, ranges counted as the prefixes they become; default 2,000,000.
	MaxEntries int
	// AllowEmpty accepts a feed without entries: for lists of the host's own, which may well be empty. An empty feed of
	// somebody else's is an accident.
	AllowEmpty bool
}

// Feed is what a feed lists, sorted and without duplicates.
type Feed struct {
	Prefixes []netip.Prefix
	Systems  []uint32
	// Malformed is how many lines or members were not understood and skipped. Up to five, or one in twenty, are
	// forgiven.
	Malformed int
}

// Len is the number of entries.
func (f *Feed) Len() int { return len(f.Prefixes) + len(f.Systems) }

// Reasons to refuse a feed, found with errors.Is in a [FeedError].
var (
	ErrHTML      = errors.New("it is a web page, not a feed")
	ErrTooLarge  = errors.New("it is larger than allowed")
	ErrTooBroad  = errors.New("a prefix shorter than /8 (IPv4) or /16 (IPv6) would list a part of the Internet")
	ErrMalformed = errors.New("too many lines are malformed")
	ErrEmpty     = errors.New("it has no entries")
	ErrShrunk    = errors.New("it has less than half the entries of the last one")
	ErrCoverage  = errors.New("it lists more than a quarter of all IPv4 addresses")
)

// FeedError says why a feed was refused. It repeats nothing of the feed.
type FeedError struct {
	Line int // the line it was found at; 0: the feed as a whole
	Err  error
}

// Error says where and why.
func (e *FeedError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("ipintel: feed refused at line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("ipintel: feed refused: %v", e.Err)
}

// Unwrap returns the reason.
func (e *FeedError) Unwrap() error { return e.Err }

// Parse reads a feed. It refuses, with a *[FeedError], web pages, feeds above the limits, feeds that are mostly
// malformed or empty, and those with a prefix so broad that it can only be an accident or an attack. Broad prefixes of
// multicast and reserved space, which full-bogon lists carry, are skipped instead: no visitor comes from there. An error
// of r itself is returned as it is.
func Parse(r io.Reader, opts *ParseOptions) (*Feed, error) {
	p, err := newParser(r, opts)
	if err != nil {
		return nil, err
	}
	f := &Feed{}
	switch p.opts.Format {
	case FormatJSON:
		err = p.json(f)
	case FormatASN:
		err = p.asns(f)
	default:
		err = p.text(f)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(f.Prefixes, netip.Prefix.Compare)
	f.Prefixes = slices.Clip(slices.Compact(f.Prefixes))
	slices.Sort(f.Systems)
	f.Systems = slices.Clip(slices.Compact(f.Systems))
	f.Malformed = p.bad
	if err := p.finish(f.Len()); err != nil {
		return nil, err
	}
	if coverage(f.Prefixes) > 1<<30 {
		return nil, &FeedError{Err: ErrCoverage}
	}
	return f, nil
}

// coverage counts the public IPv4 addresses of sorted prefixes, each once.
func coverage(sorted []netip.Prefix) int64 {
	var n int64
	var last netip.Prefix
	for _, p := range sorted {
		if !p.Addr().Is4() {
			break
		}
		if last.IsValid() && holds(last, p) {
			continue
		}
		last = p
		if RangeOf(p.Addr()) == RangePublic {
			n += 1 << (32 - p.Bits())
		}
	}
	return n
}

// tooBroad reports prefixes that list a part of the Internet; idle ones that list only space nobody visits from.
func tooBroad(p netip.Prefix) (broad, idle bool) {
	if p.Addr().Is4() {
		return p.Bits() < 8, p.Bits() >= 3 && p.Addr().As4()[0] >= 224
	}
	b := p.Addr().As16()
	return p.Bits() < 16, p.Bits() >= 7 && b[0] >= 0xfc
}

// add takes one prefix.
func (p *parser) add(f *Feed, prefix netip.Prefix) error {
	prefix, ok := normalPrefix(prefix)
	if !ok {
		p.malformed()
		return nil
	}
	if broad, idle := tooBroad(prefix); broad && idle {
		return nil
	} else if broad {
		return p.fail(ErrTooBroad)
	}
	if f.Prefixes = append(f.Prefixes, prefix); f.Len() > p.opts.MaxEntries {
		return p.fail(ErrTooLarge)
	}
	return nil
}

// addText takes an address, prefix or range as text.
func (p *parser) addText(f *Feed, s string) error {
	if prefix, ok := parsePrefix(s); ok {
		return p.add(f, prefix)
	}
	if first, last, ok := cutRange(s); ok {
		return p.addRange(f, first, last)
	}
	p.malformed()
	return nil
}

func (p *parser) addRange(f *Feed, first, last netip.Addr) error {
	prefixes, ok := appendRange(nil, first, last)
	if !ok {
		p.malformed()
	}
	for _, prefix := range prefixes {
		if err := p.add(f, prefix); err != nil {
			return err
		}
	}
	return nil
}

// addSystem takes one autonomous system.
func (p *parser) addSystem(f *Feed, s string) error {
	n, ok := parseASN(s)
	if !ok {
		p.malformed()
		return nil
	}
	if f.Systems = append(f.Systems, n); f.Len() > p.opts.MaxEntries {
		return p.fail(ErrTooLarge)
	}
	return nil
}

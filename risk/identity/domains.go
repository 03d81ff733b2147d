package identity

import (
	"bufio"
	_ "embed" // for the disposable domains
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Domains is a set of domains, each standing for its sub-domains too. It keeps 64 bits of a hash for each, sorted, and
// nothing to read back: eight bytes a domain. That a domain is taken for one of 10,000 by accident has a chance of one in
// 10^15. The zero value and nil are empty. Immutable and safe for concurrent use.
type Domains struct{ sums string } // 8 bytes each, big endian, ascending

//go:generate go test -run ^TestUpdateDisposable$ . -args -list disposable_email_blocklist.conf

// disposable is made by TestUpdateDisposable of the list at https://github.com/disposable-email-domains/disposable-email-domains, which
// is in the public domain (CC0 1.0).
//
//go:embed disposable.bin
var disposable string

// Disposable are domains of disposable mailboxes, as embedded in this version of the package. They change daily: pass a
// newer list to the signal.
func Disposable() *Domains { return &Domains{disposable} }

// ErrDomains is what every refusal of a list of domains is.
var ErrDomains = errors.New("identity: list of domains refused")

// ParseDomains reads a list of domains, one a line; "#" begins a comment, and "*.", "." and "@" before a domain are
// skipped. It refuses, with [ErrDomains], lists without domains, of more than 2,000,000 lines, or of which more than five
// lines and one in twenty are none, and those with a public suffix ("com", "co.uk"): that would accuse everybody.
func ParseDomains(r io.Reader) (*Domains, error) {
	const mostLines = 2_000_000
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 4<<10), 4<<10)
	var sums []uint64
	lines, bad := 0, 0
	for scan.Scan() {
		s, _, _ := strings.Cut(scan.Text(), "#")
		s = strings.TrimSpace(strings.TrimPrefix(s, "\ufeff"))
		if s == "" {
			continue
		}
		if lines++; lines > mostLines {
			return nil, fmt.Errorf("%w: more than %d lines", ErrDomains, mostLines)
		}
		s = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(s, "*"), "@"), ".")
		if suffix, icann := publicsuffix.PublicSuffix(strings.ToLower(s)); icann && suffix == strings.ToLower(s) {
			return nil, fmt.Errorf("%w: line %d is a public suffix", ErrDomains, lines)
		}
		domain, ok := CleanDomain(s)
		if !ok {
			bad++
			continue
		}
		sums = append(sums, hashDomain(domain))
	}
	switch err := scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%w: a line is too long", ErrDomains)
	case err != nil:
		return nil, fmt.Errorf("identity: reading domains: %w", err)
	case bad > 5 && bad*20 > lines:
		return nil, fmt.Errorf("%w: %d of %d lines are no domains", ErrDomains, bad, lines)
	case len(sums) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrDomains)
	}
	slices.Sort(sums)
	sums = slices.Compact(sums)
	b := make([]byte, 0, 8*len(sums))
	for _, s := range sums {
		b = binary.BigEndian.AppendUint64(b, s)
	}
	return &Domains{string(b)}, nil
}

// MarshalBinary returns the compact form, 8 bytes a domain, for embedding.
func (d *Domains) MarshalBinary() ([]byte, error) {
	if d == nil {
		return nil, nil
	}
	return []byte(d.sums), nil
}

// UnmarshalBinary reads the compact form. It refuses what is not sorted, with [ErrDomains].
func (d *Domains) UnmarshalBinary(b []byte) error {
	next := Domains{string(b)}
	if len(b)%8 != 0 {
		return fmt.Errorf("%w: it is cut off", ErrDomains)
	}
	for i := 1; i < next.Len(); i++ {
		if next.at(i-1) >= next.at(i) {
			return fmt.Errorf("%w: it is not sorted", ErrDomains)
		}
	}
	*d = next
	return nil
}

// Len is the number of domains.
func (d *Domains) Len() int {
	if d == nil {
		return 0
	}
	return len(d.sums) / 8
}

// at reads one hash. The set is ascending.
func (d *Domains) at(i int) uint64 {
	b := d.sums[8*i : 8*i+8]
	return uint64(b[7]) | uint64(b[6])<<8 | uint64(b[5])<<16 | uint64(b[4])<<24 |
		uint64(b[3])<<32 | uint64(b[2])<<40 | uint64(b[1])<<48 | uint64(b[0])<<56
}

// Has reports whether the set has the domain or one it is below of, down to two labels: with mailinator.com in the set,
// foo.Mailinator.com. is in it and mailinator.com.example.net is not. It does not allocate for domains in the form of
// [CleanDomain]; others are brought to it.
func (d *Domains) Has(domain string) bool {
	if d == nil || len(d.sums) == 0 || len(domain) > MaxDomain {
		return false
	}
	h, labels := uint64(offset), 1
	for i := len(domain) - 1; i >= 0; i-- {
		c := domain[i]
		switch {
		case c >= 0x80 || c >= 'A' && c <= 'Z' || c == '.' && i == len(domain)-1:
			clean, ok := CleanDomain(domain)
			return ok && d.Has(clean)
		case c == '.':
			if labels >= 2 && d.hasSum(finish(h)) {
				return true
			}
			labels++
		}
		h = (h ^ uint64(c)) * prime
	}
	return labels >= 2 && d.hasSum(finish(h))
}

// hasSum goes to where the sum should be, hashes being spread evenly, corrects that once by what it finds there, and looks
// around; a set that is spread otherwise is searched by halving.
func (d *Domains) hasSum(sum uint64) bool {
	n := len(d.sums) / 8
	guess, _ := bits.Mul64(sum, uint64(n)) // sum / 2^64 * n
	i := int(guess)
	if v := d.at(i); v <= sum {
		off, _ := bits.Mul64(sum-v, uint64(n))
		i = min(i+int(off), n-1)
	} else {
		off, _ := bits.Mul64(v-sum, uint64(n))
		i = max(i-int(off), 0)
	}
	const near = 32
	if v := d.at(i); v < sum {
		for end := min(i+near, n-1); i < end && v < sum; {
			i++
			v = d.at(i)
		}
		if v >= sum {
			return v == sum
		}
	} else {
		for end := max(i-near, 0); i > end && v > sum; {
			i--
			v = d.at(i)
		}
		if v <= sum {
			return v == sum
		}
	}
	i = sort.Search(n, func(i int) bool { return d.at(i) >= sum })
	return i < n && d.at(i) == sum
}

// The hash is FNV-1a of the domain read from its end, so that one pass gives the hashes of all domains above, with the
// last step of MurmurHash3 for even spreading. It is part of the compact form and never changes.
const (
	offset = 0xcbf29ce484222325
	prime  = 0x100000001b3
)

func hashDomain(s string) uint64 {
	h := uint64(offset)
	for i := len(s) - 1; i >= 0; i-- {
		h = (h ^ uint64(s[i])) * prime
	}
	return finish(h)
}

func finish(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

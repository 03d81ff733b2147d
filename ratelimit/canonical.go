package ratelimit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxValue is how much of a value counts. Longer values with the same beginning share a bucket, which is the strict
// side, and nobody can make us hash a megabyte.
const maxValue = 1024

// Canonical returns the form in which a value of the dimension is counted, as overrides must give it:
//
//   - addresses: unmapped (::ffff:192.0.2.1 is 192.0.2.1), without zone; prefixes as masked CIDR ("192.0.2.0/24");
//   - e-mail and business identifiers: spaces around them dropped, lower case (local parts too: no mailbox provider
//     of note tells them apart), an e-mail's trailing dots dropped;
//   - Business: the identifier's type and value with a colon between them ("usdot:1234567");
//   - phone: separators dropped, a leading 00 becomes +; anything else in it leaves it as it is, trimmed;
//   - all others: byte by byte.
//
// At most 1024 bytes count. Unicode compatibility forms (NFKC) are not folded; package risk/identity does that for
// e-mail addresses, before they get here.
func Canonical(d Dimension, value string) (string, error) {
	switch {
	case d.Class() == 0:
		return "", fmt.Errorf("ratelimit: unknown dimension %q", clip(string(d)))
	case d == IP || d == IPv4:
		a, err := netip.ParseAddr(value)
		if err != nil {
			return "", errors.New("ratelimit: not an address")
		}
		if a = plain(a); d == IPv4 && !a.Is4() {
			return "", errors.New("ratelimit: not an IPv4 address")
		}
		return a.String(), nil
	case d.address():
		p, err := netip.ParsePrefix(value)
		if err != nil {
			return "", errors.New("ratelimit: not a prefix")
		}
		bits, is4 := prefixBits(d)
		a := p.Addr()
		if a.Is4() != is4 || a.Is4In6() || p.Bits() != bits {
			return "", fmt.Errorf("ratelimit: not a prefix of %s", d)
		}
		return p.Masked().String(), nil
	case d == Global:
		if value != "" {
			return "", errors.New("ratelimit: the global dimension has no value")
		}
		return "", nil
	}
	if d == Business {
		name, id, ok := strings.Cut(value, ":")
		if id = string(appendCanonical(nil, d, id)); !ok || name == "" || id == "" {
			return "", errors.New("ratelimit: not an identifier's type and value, as in usdot:1234567")
		}
		return name + ":" + id, nil
	}
	b := appendCanonical(nil, d, value)
	if len(b) == 0 {
		return "", errors.New("ratelimit: empty value")
	}
	return string(b), nil
}

// prefixBits returns the length of a prefix dimension.
func prefixBits(d Dimension) (bits int, is4 bool) {
	switch d {
	case IPv4Prefix24:
		return 24, true
	case IPv6Prefix64:
		return 64, false
	case IPv6Prefix56:
		return 56, false
	}
	return 48, false
}

// plain drops what two spellings of one address may differ in.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// head begins the text of a dimension's values that is tagged. Lengths stand in front, so that no two lists of parts
// look alike.
func head(d Dimension) []byte {
	return append([]byte{tagValue, byte(len(d))}, d...) // names are short, see validName
}

// appendTenant goes on with the tenant, whose length maxTenant bounds.
func appendTenant(b []byte, tenant string) []byte {
	return append(append(b, byte(len(tenant))), tenant...)
}

// Purposes of tagged texts.
const (
	tagValue   = 'v'
	tagLimit   = 'l'
	tagOffence = 'o'
)

// appendAddr appends what dimension d counts of address a, or nothing when a is of the other family.
func appendAddr(b []byte, d Dimension, a netip.Addr) []byte {
	if a.Is4() {
		ip := a.As4()
		switch d {
		case IP, IPv4:
			return append(b, ip[:]...)
		case IPv4Prefix24:
			return append(b, ip[:3]...)
		}
		return b
	}
	ip := a.As16()
	switch d {
	case IP:
		return append(b, ip[:]...)
	case IPv6Prefix64:
		return append(b, ip[:8]...)
	case IPv6Prefix56:
		return append(b, ip[:7]...)
	case IPv6Prefix48:
		return append(b, ip[:6]...)
	}
	return b
}

// appendCanonical appends the canonical form of a text value; nothing when it is empty.
func appendCanonical(b []byte, d Dimension, v string) []byte {
	switch {
	case d == Email:
		return appendFolded(b, v, true)
	case d == Phone:
		return appendPhone(b, v)
	case d == Business || strings.HasPrefix(string(d), idPrefix):
		return appendFolded(b, v, false)
	}
	return append(b, v[:min(len(v), maxValue)]...)
}

// appendID appends a business identifier with its type, or nothing when the value is empty.
func appendID(b []byte, name, v string) []byte {
	start := len(b)
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	end := len(b)
	if b = appendFolded(b, v, false); len(b) == end {
		return b[:start]
	}
	return b
}

// appendFolded appends v trimmed and in lower case; bytes that are no UTF-8 stay as they are.
func appendFolded(b []byte, v string, dots bool) []byte {
	if folded(v) {
		return append(b, v...)
	}
	start := len(b)
	v = strings.TrimLeftFunc(v, unicode.IsSpace)
	for i := 0; i < len(v) && len(b)-start < maxValue; {
		c := v[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(v[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, c)
		} else {
			b = utf8.AppendRune(b, unicode.ToLower(r))
		}
		i += n
	}
	b = b[:min(len(b), start+maxValue)]
	tail := bytes.TrimRightFunc(b[start:], func(r rune) bool { return unicode.IsSpace(r) || dots && r == '.' })
	return b[:start+len(tail)]
}

// folded reports whether v is ASCII that appendFolded would not change.
func folded(v string) bool {
	if len(v) == 0 || len(v) > maxValue || v[0] <= ' ' || v[len(v)-1] <= ' ' || v[len(v)-1] == '.' {
		return false
	}
	for i := range len(v) {
		if c := v[i]; c-'A' < 26 || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendPhone appends the number without separators.
func appendPhone(b []byte, v string) []byte {
	if e164(v) {
		return append(b, v...)
	}
	start := len(b)
	v = strings.TrimSpace(v)
	v = v[:min(len(v), maxValue)]
	for i := range len(v) {
		switch c := v[i]; {
		case '0' <= c && c <= '9', c == '+' && len(b) == start:
			b = append(b, c)
		case c == ' ', c == '-', c == '.', c == '(', c == ')', c == '/', c == '\t':
		default: // not a number as we know them: count it as it is
			return append(b[:start], strings.TrimSpace(v)...)
		}
	}
	if got := b[start:]; len(got) > 2 && got[0] == '0' && got[1] == '0' {
		got[0] = '+'
		b = append(b[:start+1], got[2:]...)
	}
	return b
}

// e164 reports whether v is a plus and digits.
func e164(v string) bool {
	if len(v) < 2 || len(v) > maxValue || v[0] != '+' {
		return false
	}
	for i := 1; i < len(v); i++ {
		if v[i]-'0' > 9 {
			return false
		}
	}
	return true
}

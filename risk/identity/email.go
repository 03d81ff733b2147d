package identity

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of an address (RFC 5321 section 4.5.3.1): 64 bytes before the last "@", 255 after it, 254 for all of it.
const (
	MaxLocal   = 64
	MaxDomain  = 255
	MaxAddress = 254
)

// ErrAddress says that a text is no e-mail address. It does not repeat the text.
var ErrAddress = errors.New("identity: not an e-mail address")

// Email is an address in parts. The zero value is none. It prints redacted, so that it may be logged by accident.
type Email struct {
	original string
	local    string // as given, without white space and comments around it
	domain   string // lower case, ASCII, without a trailing dot
}

// ParseEmail reads an address as people type it: white space around it, comments in parentheses at the ends of the local
// part and of the domain, a quoted local part, a domain in Unicode or in capitals and with a trailing dot are understood.
// It does not ask whether the mailbox exists. Addresses without a dot in the domain, with an IP literal, and those longer
// than the limits are refused with [ErrAddress].
func ParseEmail(s string) (Email, error) {
	if len(s) > 4*MaxAddress || !utf8.ValidString(s) {
		return Email{}, ErrAddress
	}
	e := Email{original: s}
	s = strings.TrimSpace(s)
	i := strings.LastIndexByte(s, '@')
	if i <= 0 {
		return Email{}, ErrAddress
	}
	local, ok := cleanLocal(s[:i])
	if !ok {
		return Email{}, ErrAddress
	}
	domain, ok := CleanDomain(trimComments(s[i+1:]))
	if !ok || len(local)+1+len(domain) > MaxAddress {
		return Email{}, ErrAddress
	}
	e.local, e.domain = local, domain
	return e, nil
}

// cleanLocal checks a local part: a dot-atom or a quoted string of RFC 5322, with characters of RFC 6531. Dots in odd
// places are let through: large providers once gave such addresses out.
func cleanLocal(s string) (string, bool) {
	s = trimComments(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return unquoteLocal(s[1 : len(s)-1])
	}
	if s == "" || len(s) > MaxLocal {
		return "", false
	}
	for _, c := range s {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c) {
			return "", false
		}
	}
	return s, true
}

// unquoteLocal removes quotes and backslashes that change nothing: "john.smith"@ is john.smith@. Where they matter the
// quotes stay.
func unquoteLocal(s string) (string, bool) {
	var b strings.Builder
	plain := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			if i++; i == len(s) {
				return "", false
			}
			c = s[i]
		case c == '"':
			return "", false
		}
		if c < ' ' || c == 0x7f {
			return "", false
		}
		if c == ' ' || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			plain = false
		}
		b.WriteByte(c)
	}
	text := b.String()
	if !plain || text == "" {
		text = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
	return text, len(text) <= MaxLocal
}

// trimComments removes white space and comments in parentheses (RFC 5322 section 3.2.2) at both ends.
func trimComments(s string) string {
	for {
		s = strings.TrimSpace(s)
		switch {
		case strings.HasPrefix(s, "("):
			end := strings.IndexByte(s, ')')
			if end < 0 || strings.IndexByte(s[1:end], '(') >= 0 {
				return s // not closed, or nested: nobody's address
			}
			s = s[end+1:]
		case strings.HasSuffix(s, ")"):
			start := strings.LastIndexByte(s, '(')
			if start < 0 || strings.IndexByte(s[start:len(s)-1], ')') >= 0 {
				return s
			}
			s = s[:start]
		default:
			return s
		}
	}
}

// lookup maps Unicode to ASCII as browsers do (UTS 46), and lets underscores through, which exist in practice.
var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.BidiRule())

// CleanDomain returns a domain in the form in which lists have it: lower case, ASCII (IDNA, UTS 46), without trailing
// dots. It is false for what is no domain of at least two labels.
func CleanDomain(s string) (string, bool) {
	s = strings.TrimRight(s, ".")
	if s == "" || len(s) > MaxDomain {
		return "", false
	}
	ascii, lower := true, true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			ascii = false
		} else if s[i] >= 'A' && s[i] <= 'Z' {
			lower = false
		}
	}
	if !ascii {
		var err error
		if s, err = lookup.ToASCII(norm.NFC.String(s)); err != nil {
			return "", false
		}
		s = strings.TrimRight(s, ".")
	} else if !lower {
		s = strings.ToLower(s)
	}
	return s, validDomain(s)
}

// validDomain checks labels: one to 63 letters, digits, "-" and "_", at least two of them, the last not a number.
func validDomain(s string) bool {
	labels, start, digits := 0, 0, true
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
			digits = digits && c >= '0' && c <= '9'
			continue
		}
		if n := i - start; n == 0 || n > 63 || s[start] == '-' || s[i-1] == '-' {
			return false
		}
		labels++
		start = i + 1
		if i < len(s) {
			digits = true
		}
	}
	return labels >= 2 && !digits && len(s) <= MaxDomain
}

// Original is the text that was parsed: what mail is sent to.
func (e Email) Original() string { return e.original }

// Domain is the domain in the form of [CleanDomain]; "" for the zero value.
func (e Email) Domain() string { return e.domain }

// String is "[email]": an address belongs into no log. "" for the zero value.
func (e Email) String() string {
	if e.domain == "" {
		return ""
	}
	return "[email]"
}

// GoString is String.
func (e Email) GoString() string { return e.String() }

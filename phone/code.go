package phone

import (
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"
)

// Code is a one-time code: digits, leading zeros kept. It prints, logs and marshals as "[code]"; string(c) reads it.
type Code string

const hiddenCode = "[code]"

// String returns "[code]", or "" when c is empty.
func (c Code) String() string {
	if c == "" {
		return ""
	}
	return hiddenCode
}

// GoString is String in quotes.
func (c Code) GoString() string { return `"` + c.String() + `"` }

// Format writes the hidden form for every verb.
func (c Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue makes package slog log the hidden form.
func (c Code) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText marshals the hidden form.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Bounds of the length of codes. Six digits are the least that NIST SP 800-63B and OWASP ASVS 6.5.4 ask for.
const (
	MinDigits     = 6
	MaxDigits     = 10
	DefaultDigits = 6
)

// maxTyped is the most bytes of a typed code that are looked at.
const maxTyped = 64

// ReadCode reads a code as people type and paste it: spaces and hyphens between digits are dropped, full-width and other
// keyboard digits become ASCII. It reports false for anything else, and for lengths that no code has.
func ReadCode(s string) (Code, bool) {
	if len(s) > maxTyped {
		return "", false
	}
	var out [MaxDigits]byte
	n := 0
	for _, r := range s {
		zero, digit := digitOf(r)
		switch {
		case r == utf8.RuneError:
			return "", false
		case digit && n == len(out):
			return "", false
		case digit:
			out[n] = byte('0' + r - zero)
			n++
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u3000' || r == '\t' || r == '\r' || r == '\n' || isMark(r):
		default:
			return "", false
		}
	}
	if n < 4 { // hosted services give codes of four digits
		return "", false
	}
	return Code(out[:n]), true
}

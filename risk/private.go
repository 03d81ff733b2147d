package risk

import (
	"fmt"
	"io"
	"log/slog"
)

// Private is a personal or secret text: an e-mail address, a phone number, a session. It compares and converts like
// a string, and prints, logs and marshals as "[private]" (empty: as ""). Reading the text takes a conversion:
// string(p). JSON and text decoding fill it in clear.
//
// Two places are beyond its reach: package fmt calls no methods on unexported struct fields, so a struct of yours that
// holds Private values in such fields needs a String method of its own; and encoding/json writes a map's keys as they
// are when their kind is string, so never use a Private as a key.
type Private string

const redacted = "[private]"

// String returns "[private]", or "" when p is empty.
func (p Private) String() string {
	if p == "" {
		return ""
	}
	return redacted
}

// GoString is String in quotes.
func (p Private) GoString() string { return `"` + p.String() + `"` }

// Format writes the redacted form for every verb, so that %x and %q do not leak either.
func (p Private) Format(s fmt.State, verb rune) {
	if verb == 'q' || (verb == 'v' && s.Flag('#')) {
		_, _ = io.WriteString(s, p.GoString())
		return
	}
	_, _ = io.WriteString(s, p.String())
}

// LogValue makes package slog log the redacted form.
func (p Private) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText marshals the redacted form, in JSON and XML alike.
func (p Private) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

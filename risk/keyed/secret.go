package keyed

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
)

// MinSecret is the least length of a secret in bytes: the output of the hash, so that the key is never the weakest part.
const MinSecret = 32

// Secret is a key's secret: at least [MinSecret] random bytes. It prints, logs and marshals as "[secret]" (empty: as
// ""), alone and inside other values. Secret values are not changed by this package and may be shared by goroutines
// that do not change them either.
type Secret []byte

const redacted = "[secret]"

// NewSecret makes a fresh random secret of [MinSecret] bytes from crypto/rand. Tags made with it are lost with the
// process unless the caller keeps it.
func NewSecret() Secret {
	s := make(Secret, MinSecret)
	_, _ = rand.Read(s) // never fails: crypto/rand ends the program instead
	return s
}

// String returns "[secret]", or "" when s is empty.
func (s Secret) String() string {
	if len(s) == 0 {
		return ""
	}
	return redacted
}

// GoString is String in quotes.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// Format writes the redacted form for every verb, so that %x and %q do not leak either.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || (verb == 'v' && f.Flag('#')) {
		_, _ = io.WriteString(f, s.GoString())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// LogValue makes package slog log the redacted form.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText marshals the redacted form, as JSON, XML and map keys alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

package captcha

import (
	"fmt"
	"io"
	"log/slog"
)

// MinSecret is the least number of bytes of a secret: 32, the output of the hash it is used with (RFC 2104 section 3).
const MinSecret = 32

// Secret is key material. It prints, logs and marshals as "[secret]", for every verb. Make one of random bytes; a pass
// phrase is no secret. It must not be changed after it was handed to a constructor.
type Secret []byte

const redacted = "[secret]"

// String returns "[secret]".
func (s Secret) String() string { return redacted }

// GoString returns "[secret]".
func (s Secret) GoString() string { return redacted }

// Format writes "[secret]" for every verb, so that %x and %s do not leak either.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue makes package slog log "[secret]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText marshals "[secret]", as JSON, XML and text alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

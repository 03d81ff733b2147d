package fpjs

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// The bounds of a sealed result.
const (
	MaxSealed   = 256 << 10 // base64 text
	MaxUnsealed = 256 << 10 // what it unpacks to: 30 times a full event
)

// SealedReason says at which step a sealed result failed.
type SealedReason string

// The reasons. All of them are the visitor's doing, but wrong keys too are "decrypt".
const (
	SealedEncoding SealedReason = "encoding" // no base64, or too long
	SealedHeader   SealedReason = "header"   // does not begin as one
	SealedDecrypt  SealedReason = "decrypt"  // no key opens it
	SealedInflate  SealedReason = "inflate"  // opened, and cannot be unpacked, or is too large
	SealedJSON     SealedReason = "json"     // unpacked, and no event
	SealedLegacy   SealedReason = "legacy"   // an event of Server API v3
)

// SealedError says why a sealed result was refused. For SealedLegacy it is ErrLegacy.
type SealedError struct{ Reason SealedReason }

// Error names the reason.
func (e *SealedError) Error() string { return "fpjs: sealed result refused: " + string(e.Reason) }

// Is makes errors.Is find ErrLegacy.
func (e *SealedError) Is(target error) bool { return target == ErrLegacy && e.Reason == SealedLegacy }

// Opener opens sealed results. It is safe for concurrent use.
type Opener struct{ keys []cipher.AEAD }

// NewOpener makes one of the base64 keys of the dashboard, of 32 bytes each, 1 to 8; they are tried in order, so that a
// new one can be put in front while the former is in use.
func NewOpener(keys ...string) (*Opener, error) {
	if len(keys) == 0 || len(keys) > 8 {
		return nil, fmt.Errorf("fpjs: %d keys for sealed results, want 1 to 8", len(keys))
	}
	o := &Opener{}
	for i, text := range keys {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("fpjs: key %d for sealed results is not base64 of 32 bytes", i)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, errors.New("fpjs: a key for sealed results cannot be used")
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, errors.New("fpjs: a key for sealed results cannot be used")
		}
		o.keys = append(o.keys, aead)
	}
	return o, nil
}

// sealedHeader begins each sealed result.
var sealedHeader = []byte{0x9e, 0x85, 0xdc, 0xed}

// Open opens a sealed result as the page sent it, in base64: header, nonce of 12 bytes, AES-256-GCM of raw DEFLATE of the
// event. Errors are *SealedError. What it opens is genuine, and may be old or another's: see [Verifier].
func (o *Opener) Open(sealed string) (*Event, error) {
	plain, err := o.open(sealed)
	if err != nil {
		return nil, err
	}
	e, err := ParseEvent(plain)
	switch {
	case errors.Is(err, ErrLegacy):
		return nil, &SealedError{SealedLegacy}
	case err != nil:
		return nil, &SealedError{SealedJSON}
	}
	return e, nil
}

func (o *Opener) open(sealed string) ([]byte, error) {
	if len(sealed) > MaxSealed {
		return nil, &SealedError{SealedEncoding}
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, &SealedError{SealedEncoding}
	}
	body, ok := bytes.CutPrefix(raw, sealedHeader)
	if !ok {
		return nil, &SealedError{SealedHeader}
	}
	for _, aead := range o.keys {
		n := aead.NonceSize()
		if len(body) < n+aead.Overhead() {
			break
		}
		packed, err := aead.Open(nil, body[:n], body[n:], nil)
		if err != nil {
			continue
		}
		plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), MaxUnsealed+1))
		if err != nil || len(plain) > MaxUnsealed {
			return nil, &SealedError{SealedInflate}
		}
		return plain, nil
	}
	return nil, &SealedError{SealedDecrypt}
}

package captcha

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"sync"
	"time"
)

// Key signs challenges.
type Key struct {
	// Secret signs challenges with HMAC-SHA-256; at least MinSecret bytes. An official ALTCHA server given the same
	// bytes as its secret makes and accepts the same challenges.
	Secret Secret
	// KeySecret signs the keys of deterministic challenges; at least MinSecret bytes and different from Secret. Empty:
	// derived from Secret, which an official server cannot do.
	KeySecret Secret
}

// RetiredKey is a key that signs no more. Challenges issued before At are accepted until they expire; whatever else it
// signs is refused, so that a key is worthless soon after its retirement even if it leaks.
type RetiredKey struct {
	Key Key
	// At is when it stopped signing on the last instance. It must be given.
	At time.Time
}

// Keys are the keys of a PoW. Rotate by giving a new Current and moving the old one to Previous.
type Keys struct {
	Current  Key
	Previous []RetiredKey // at most 8
}

const maxPrevious = 8

// signer is a key ready for use.
type signer struct {
	secret, keySecret, tagKey macKey
	until                     int64 // challenges expiring later are refused; 0: no bound
}

// newSigners checks keys; the current one comes first.
func newSigners(k Keys, life time.Duration) ([]*signer, error) {
	if len(k.Previous) > maxPrevious {
		return nil, fmt.Errorf("captcha: %d previous keys; keep at most %d", len(k.Previous), maxPrevious)
	}
	current, err := newSigner(k.Current, "the current key")
	if err != nil {
		return nil, err
	}
	signers := []*signer{current}
	for i, r := range k.Previous {
		what := fmt.Sprintf("previous key %d", i)
		s, err := newSigner(r.Key, what)
		if err != nil {
			return nil, err
		}
		if r.At.IsZero() {
			return nil, fmt.Errorf("captcha: %s has no time of retirement; set At to when it stopped signing", what)
		}
		s.until = r.At.Add(life).Unix()
		if slices.ContainsFunc(signers, func(o *signer) bool { return bytes.Equal(o.secret.key, s.secret.key) }) {
			return nil, fmt.Errorf("captcha: %s is the same as another key", what)
		}
		signers = append(signers, s)
	}
	return signers, nil
}

func newSigner(k Key, what string) (*signer, error) {
	if len(k.Secret) < MinSecret {
		return nil, fmt.Errorf("captcha: the secret of %s has %d bytes; give at least %d random ones", what, len(k.Secret), MinSecret)
	}
	s := new(signer)
	s.secret.key, s.keySecret.key = bytes.Clone(k.Secret), bytes.Clone(k.KeySecret)
	// Canonical parameters begin with a brace: no signature is ever made over these texts.
	s.tagKey.key = s.secret.sum("vestibule captcha binding v1")
	switch {
	case len(k.KeySecret) == 0:
		s.keySecret.key = s.secret.sum("vestibule captcha key signature v1")
	case len(k.KeySecret) < MinSecret:
		return nil, fmt.Errorf("captcha: the key secret of %s has %d bytes; give at least %d random ones, or none", what, len(k.KeySecret), MinSecret)
	case bytes.Equal(k.KeySecret, k.Secret):
		return nil, fmt.Errorf("captcha: the two secrets of %s are the same; give different ones", what)
	}
	return s, nil
}

// macKey is an HMAC-SHA-256 key. States are kept for re-use: a reset one has the padded key already hashed. Safe for
// concurrent use once key is set.
type macKey struct {
	key    []byte
	states sync.Pool
}

// sum is the HMAC of one text.
func (k *macKey) sum(text string) []byte { return k.append(nil, false, text) }

// append appends the HMAC of the parts to b, each part preceded by its length if framed.
func (k *macKey) append(b []byte, framed bool, parts ...string) []byte {
	h, ok := k.states.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, k.key)
	}
	var buf [64]byte
	for _, part := range parts {
		if framed {
			h.Write(binary.BigEndian.AppendUint32(buf[:0], uint32(len(part))))
		}
		for part != "" { // in pieces, so that no copy of a long text is made
			n := copy(buf[:], part)
			h.Write(buf[:n])
			part = part[n:]
		}
	}
	b = h.Sum(b)
	h.Reset()
	k.states.Put(h)
	return b
}

// sign signs canonical parameters.
func (s *signer) sign(canonical string) string { return hex.EncodeToString(s.secret.sum(canonical)) }

// signKey signs the key of a deterministic challenge.
func (s *signer) signKey(key []byte) string { return hex.EncodeToString(s.keySecret.sum(string(key))) }

// tag is what a challenge carries in place of a value it is bound to. It differs in every challenge, so that it is no
// name for a session.
func (s *signer) tag(name, nonce, value, more string) string {
	var buf [sha256.Size]byte
	return hex.EncodeToString(s.tagKey.append(buf[:0], true, name, nonce, value, more)[:16])
}

// same compares in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

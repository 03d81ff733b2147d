package ratelimit

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"sync"
)

// Tagger makes store keys by HMAC-SHA-256 cut to 128 bits, for stores that processes share. It re-uses hash state, so
// that a tag costs no allocation. It is safe for concurrent use.
type Tagger struct{ pool sync.Pool }

// NewTagger returns a tagger. All processes that share a store need the same key, of 32 to 1024 random bytes. Whoever
// has it can find out from the store's keys whether an address or number was seen; changing it makes every limit start
// full.
func NewTagger(key []byte) (*Tagger, error) {
	if len(key) < 32 || len(key) > 1024 {
		return nil, fmt.Errorf("ratelimit: the tag key has %d bytes, must have 32 to 1024 random ones", len(key))
	}
	key = slices.Clone(key)
	t := &Tagger{}
	t.pool.New = func() any { return &tagState{mac: hmac.New(sha256.New, key)} }
	return t, nil
}

type tagState struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// Tag returns the first 128 bits of HMAC-SHA-256(key, text).
func (t *Tagger) Tag(text []byte) Key {
	s := t.pool.Get().(*tagState)
	s.mac.Reset()
	s.mac.Write(text) // a hash.Hash never fails
	s.mac.Sum(s.sum[:0])
	k := KeyOf([16]byte(s.sum[:16]))
	t.pool.Put(s)
	return k
}

// String hides the key.
func (t *Tagger) String() string { return "ratelimit.Tagger" }

package attest

import (
	"context"
	"fmt"
	"time"
)

// The bounds of keys.
const (
	DefaultKeep  = 400 * 24 * time.Hour // how long a key lives after its last use when the options do not say
	MaxPublicKey = 4 << 10              // bytes of Key.PublicKey
	MaxMeta      = 32 << 10             // bytes of Key.Meta
)

// Key is an attested key of a device.
type Key struct {
	// Tenant and ID name it: ID is [KeyHash] of platform and key id.
	Tenant string
	ID     Hash
	// Platform is who attested it.
	Platform Platform
	// Owner is [OwnerHash] of the account it belongs to; zero: none yet.
	Owner Hash
	// PublicKey is its SubjectPublicKeyInfo in DER.
	PublicKey []byte
	// Counter is the last counter seen in an assertion.
	Counter uint32
	// Created is when it was attested.
	Created time.Time
	// Meta is the platform's own: environment, receipt. Not secret.
	Meta []byte
}

// Check reports what no store should keep: no ID, no platform, or more bytes than the bounds. Stores call it in Create.
func (k *Key) Check() error {
	switch {
	case k.ID.IsZero():
		return fmt.Errorf("attest: a key needs an id")
	case k.Platform == "":
		return fmt.Errorf("attest: a key needs a platform")
	case len(k.PublicKey) > MaxPublicKey:
		return fmt.Errorf("attest: a public key of %d bytes, at most %d", len(k.PublicKey), MaxPublicKey)
	case len(k.Meta) > MaxMeta:
		return fmt.Errorf("attest: %d bytes beside a key, at most %d", len(k.Meta), MaxMeta)
	}
	return nil
}

// KeyStore keeps attested keys. Verifiers call it; it must be safe for concurrent use and shared by all instances. Keys
// live for a while after their last use (Create, Advance, Bind, SetMeta). An error other than those named means that the
// store could not tell.
type KeyStore interface {
	// Create keeps a new key. When the key is there already, the error is ErrKeyExists and nothing is written: of any
	// number of concurrent calls exactly one creates it.
	Create(ctx context.Context, k Key) error
	// Get returns a key, or ErrKeyUnknown.
	Get(ctx context.Context, tenant string, id Hash) (Key, error)
	// Advance sets the counter to to, if it is lower than that, and reports whether it was: of any number of concurrent
	// calls with one value exactly one advances it. ErrKeyUnknown: there is no such key.
	Advance(ctx context.Context, tenant string, id Hash, to uint32) (advanced bool, err error)
	// Delete forgets a key. One that is not there is no error.
	Delete(ctx context.Context, tenant string, id Hash) error
}

// KeyEditor is the ability of a KeyStore to change what belongs to a key. The stores of this module have it.
type KeyEditor interface {
	// Bind gives a key without owner this one, which is not zero, and reports whether the key is now its: false when it has
	// another. ErrKeyUnknown: there is no such key.
	Bind(ctx context.Context, tenant string, id, owner Hash) (bound bool, err error)
	// SetMeta replaces Meta, at most MaxMeta bytes. ErrKeyUnknown: there is no such key.
	SetMeta(ctx context.Context, tenant string, id Hash, meta []byte) error
}

package phone

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// Keys are the two key rings of a [Verifier], of different secrets. [NewKeys] makes them of one.
type Keys struct {
	// Pepper keys the codes. Rotate it at will: codes in flight stay good for as long as their key is in the ring.
	Pepper *keyed.Ring
	// Index names numbers, devices and flows in the store. It must have no epochs (keyed.NoEpochs), and only its first
	// key is used: changing that forgets every counter and every code in flight.
	Index *keyed.Ring
}

// NewKeys derives both rings from one secret of at least 32 random bytes, the same in all processes that share a store
// (HKDF-SHA-256, RFC 5869). Another secret forgets every counter and every code in flight; who wants to rotate the pepper
// makes the rings himself.
func NewKeys(secret []byte) (Keys, error) {
	if len(secret) < 32 {
		return Keys{}, fmt.Errorf("phone: a secret of %d bytes; want at least 32 random ones", len(secret))
	}
	ring := func(use string) (*keyed.Ring, error) {
		key, err := hkdf.Key(sha256.New, secret, nil, "vestibule/phone/"+use, 32)
		if err != nil {
			return nil, fmt.Errorf("phone: deriving a key: %w", err)
		}
		return keyed.New([]keyed.Key{{ID: "p", Secret: key}}, &keyed.Options{Epoch: keyed.NoEpochs})
	}
	var keys Keys
	var err error
	if keys.Pepper, err = ring("pepper"); err != nil {
		return Keys{}, err
	}
	keys.Index, err = ring("index")
	return keys, err
}

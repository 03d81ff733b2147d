package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Reuse counts who uses an identifier. Signals of this package call it, once for each identifier of an attempt; it must be
// safe for concurrent use. *fingerprint.Sightings is one. An error means that it could not tell.
type Reuse interface {
	// Uses notes that owner has used the identifier of that kind, and returns how many different owners have within the
	// implementation's window, this one included.
	Uses(ctx context.Context, tenant, kind, id, owner string) (int, error)
}

// ReuseFunc makes a Reuse of a function.
type ReuseFunc func(ctx context.Context, tenant, kind, id, owner string) (int, error)

// Uses calls the function.
func (f ReuseFunc) Uses(ctx context.Context, tenant, kind, id, owner string) (int, error) {
	return f(ctx, tenant, kind, id, owner)
}

var _ Reuse = ReuseFunc(nil)

// opaque makes a text of letters and digits of an e-mail address, so that implementations that fold identifiers do not
// join a.b@example.com and ab@example.com. It hides nothing: implementations hash with a key.
func opaque(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// degree is 0 up to the number that is ordinary, and grows to 1 at the number that is certain.
func degree(n, ordinary, certain int) float64 {
	if n <= ordinary {
		return 0
	}
	return min(float64(n-ordinary)/float64(certain-ordinary), 1)
}

package captcha

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// ErrGuardFull means that a replay guard has no room for another mark. A guard never forgets a live mark to make room.
var ErrGuardFull = errors.New("captcha: the replay guard is full")

// ReplayKey names an answer or a challenge in a ReplayGuard. It is a hash, not a secret.
type ReplayKey [32]byte

// TokenKey is the replay key of a remote provider's token: SHA-256 over the provider's name and the token.
func TokenKey(provider, token string) ReplayKey {
	h := sha256.New()
	h.Write([]byte(provider))
	h.Write([]byte{0})
	h.Write([]byte(token))
	var k ReplayKey
	h.Sum(k[:0])
	return k
}

// ReplayGuard remembers which answers were used. Verifiers call it; it must be safe for concurrent use, and instances
// that verify each other's answers must share one. An error means that it could not tell; the caller then refuses
// (proof of work) or relies on the provider's own single use (remote ones).
type ReplayGuard interface {
	// Spend marks key as used for ttl, which is positive, and reports whether this call was the first: of any number
	// of concurrent calls with a key exactly one gets true.
	Spend(ctx context.Context, key ReplayKey, ttl time.Duration) (first bool, err error)
	// Spent reports whether key is marked, without marking it. It saves work before Spend and decides nothing.
	Spent(ctx context.Context, key ReplayKey) (bool, error)
}

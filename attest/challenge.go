package attest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// The bounds of challenges.
const (
	DefaultTTL = 5 * time.Minute  // lifetime of a challenge when ChallengeOptions do not say
	MinTTL     = 10 * time.Second // shortest lifetime
	MaxTTL     = time.Hour        // longest lifetime
	MaxData    = 8 << 10          // bytes kept beside a challenge

	challengeBytes = 32
)

// Binding is what a challenge is for. All of it but Subject must be the same when it is redeemed; a Subject that was empty
// when the challenge was made may be any then, and one that was given must be the same.
type Binding struct {
	// Purpose keeps challenges of different procedures apart: "app", "passkey.login".
	Purpose string
	// Tenant, Flow and Session are the engine's flow and the host's session; empty: not in a flow, no session.
	Tenant, Flow, Session string
	// Subject is the host's name for the account, if it is known.
	Subject string
}

// Challenge is a one-time nonce.
type Challenge struct {
	// Text is 43 characters of unpadded base64url: 32 random bytes.
	Text string
	// Expires is when it ends.
	Expires time.Time
}

// Redemption is what became of a challenge that was handed in. The zero value is refused.
type Redemption uint8

// The redemptions. Of any number of concurrent calls with one challenge exactly one gets Redeemed.
const (
	Redeemed Redemption = iota + 1 // it was live and bound so, and is spent now
	Unknown                        // never made, or expired
	Spent                          // redeemed before
	Mismatch                       // live, but bound otherwise; it stays live
)

// Record is what a store keeps of a challenge.
type Record struct {
	Binding Hash   // of purpose, tenant, flow and session
	Subject Hash   // zero: any subject may redeem it
	Data    []byte // the procedure's own; nil or at most MaxData bytes
}

// ChallengeStore keeps challenges until they expire. [Challenges] calls it; it must be safe for concurrent use, and
// instances that redeem each other's challenges must share one. An error means that it could not tell.
type ChallengeStore interface {
	// Put keeps r under key for ttl, which is positive. It overwrites nothing: a key that is there is an error.
	Put(ctx context.Context, key Hash, r Record, ttl time.Duration) error
	// Redeem spends the challenge in one atomic step if it is there, live, and has this binding and this subject or none.
	// The data is returned with Redeemed only. A spent challenge is remembered until it would have expired.
	Redeem(ctx context.Context, key, binding, subject Hash) (Redemption, []byte, error)
}

// ChallengeOptions of Challenges. The zero value and nil mean the defaults.
type ChallengeOptions struct {
	// TTL is how long a challenge lives; default DefaultTTL, MinTTL to MaxTTL.
	TTL time.Duration
	// Now is the clock for Challenge.Expires; default time.Now. What counts is the store's clock.
	Now func() time.Time
}

// Challenges makes and redeems one-time challenges. What reaches the store are hashes that nobody can turn back: the
// challenge's own randomness goes into those of session and subject. It is safe for concurrent use.
type Challenges struct {
	store ChallengeStore
	ttl   time.Duration
	now   func() time.Time
}

// NewChallenges makes Challenges over a store.
func NewChallenges(store ChallengeStore, opts *ChallengeOptions) (*Challenges, error) {
	if store == nil {
		return nil, errors.New("attest: no challenge store; NewMemoryChallenges makes one for a single process")
	}
	var o ChallengeOptions
	if opts != nil {
		o = *opts
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.TTL < MinTTL || o.TTL > MaxTTL {
		return nil, fmt.Errorf("attest: TTL is %v; it must be from %v to %v, or 0 for %v", o.TTL, MinTTL, MaxTTL, DefaultTTL)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Challenges{store, o.TTL, o.Now}, nil
}

// Issue makes a challenge and keeps data beside it (at most MaxData bytes, not secret from whoever reads the store).
func (c *Challenges) Issue(ctx context.Context, b Binding, data []byte) (Challenge, error) {
	if len(data) > MaxData {
		return Challenge{}, fmt.Errorf("attest: %d bytes beside a challenge, at most %d", len(data), MaxData)
	}
	var raw [challengeBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	key, binding, subject := b.hashes(text)
	expires := c.now().Add(c.ttl)
	if err := c.store.Put(ctx, key, Record{binding, subject, data}, c.ttl); err != nil {
		return Challenge{}, fmt.Errorf("attest: keeping a challenge: %w", err)
	}
	return Challenge{text, expires}, nil
}

// Redeem spends a challenge, once. The text comes from outside; one that cannot be a challenge is Unknown without asking
// the store.
func (c *Challenges) Redeem(ctx context.Context, text string, b Binding) (Redemption, []byte, error) {
	if !plausible(text) {
		return Unknown, nil, nil
	}
	key, binding, subject := b.hashes(text)
	r, data, err := c.store.Redeem(ctx, key, binding, subject)
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("attest: redeeming a challenge: %w", err)
	case r < Redeemed || r > Mismatch:
		return 0, nil, errors.New("attest: the challenge store gave no answer")
	case r != Redeemed:
		data = nil
	}
	return r, data, nil
}

// plausible reports whether a text can be a challenge. Only the one spelling that Issue writes is: no padding, no stray
// bits at the end.
func plausible(text string) bool {
	var raw [challengeBytes]byte
	if len(text) != base64.RawURLEncoding.EncodedLen(len(raw)) {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(text))
	return err == nil && n == len(raw)
}

// hashes are what the store sees. The challenge's text is in each of them, so that no session or account can be found by
// trying.
func (b Binding) hashes(text string) (key, binding, subject Hash) {
	key = hashOf("attest.challenge", b.Tenant, text)
	binding = hashOf("attest.binding", text, b.Purpose, b.Tenant, b.Flow, b.Session)
	if b.Subject != "" {
		subject = hashOf("attest.subject", text, b.Subject)
	}
	return key, binding, subject
}

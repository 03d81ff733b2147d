package keyed

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Limits of a ring.
const (
	MaxKeys      = 16                    // keys in one ring
	MaxIDLen     = 16                    // bytes of a key id
	MinEpoch     = time.Hour             // shortest salt epoch
	MaxEpoch     = 3660 * 24 * time.Hour // longest salt epoch
	DefaultEpoch = 30 * 24 * time.Hour   // salt epoch when Options do not say
)

// NoEpochs as Options.Epoch turns salt epochs off: a value then keeps its tag for as long as its key is in the ring.
const NoEpochs time.Duration = -1

// Purpose says what a tag is for. Tags of different purposes are unrelated. Purposes are constants of the code, named
// after the package that keeps the tags: "ratelimit.ip", "captcha.replay".
type Purpose string

// Key is one key of a ring.
type Key struct {
	// ID names the key inside tags: 1 to [MaxIDLen] letters, digits, '-' or '_' of ASCII. Public. Never give a used id
	// to another secret.
	ID string
	// Secret is at least [MinSecret] random bytes; see [NewSecret]. New copies it.
	Secret Secret
}

// Options of [New].
type Options struct {
	// Epoch is the length of a salt epoch in whole seconds, [MinEpoch] to [MaxEpoch]; zero: [DefaultEpoch], 30 days;
	// [NoEpochs]: none.
	// Epochs begin at multiples of it since 1970-01-01 UTC. Changing it changes every tag.
	Epoch time.Duration
	// Now is the clock for a zero time given as "at"; nil: time.Now.
	Now func() time.Time
}

// ErrKeys is what every error about the keys of a ring is; the message says which key and what is wrong with it, never
// anything of its secret.
var ErrKeys = errors.New("keyed: keys refused")

// Ring makes tags and lists the tags to look up. Make one with [New]; the zero value and a nil *Ring panic when asked for
// a tag, for there is no safe answer without a key. Rings print redacted. Safe for concurrent use.
type Ring struct {
	keys  []ringKey
	epoch time.Duration // 0: no epochs
	now   func() time.Time
	cache *cache
}

// ringKey hides its secret in a function: package fmt walks through unexported fields, slices and pointers without
// asking their methods, but prints no more of a function than its address.
type ringKey struct {
	id     string
	secret func() []byte
}

// New makes a ring of one to [MaxKeys] keys. The first makes new tags, the others are looked up in their order. It
// refuses, with an error that is [ErrKeys], no keys, too many, an id that is empty, too long or has other characters
// than letters, digits, '-' and '_', an id or a secret used twice, and a secret that is too short or one byte repeated.
func New(keys []Key, opts *Options) (*Ring, error) {
	if opts == nil {
		opts = &Options{}
	}
	r := &Ring{epoch: opts.Epoch, now: opts.Now, cache: newCache()}
	switch {
	case r.epoch == 0:
		r.epoch = DefaultEpoch
	case r.epoch == NoEpochs:
		r.epoch = 0
	case r.epoch < MinEpoch || r.epoch > MaxEpoch || r.epoch%time.Second != 0:
		return nil, fmt.Errorf("keyed: Options.Epoch is %v, want whole seconds from %v to %v, 0 for %v, or NoEpochs",
			r.epoch, MinEpoch, MaxEpoch, DefaultEpoch)
	}
	if r.now == nil {
		r.now = time.Now
	}
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("%w: %d keys, want 1 to %d", ErrKeys, len(keys), MaxKeys)
	}
	for i, k := range keys {
		if err := checkKey(k, r.keys); err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKeys, i, err)
		}
		secret := slices.Clone([]byte(k.Secret))
		r.keys = append(r.keys, ringKey{id: k.ID, secret: func() []byte { return secret }})
	}
	return r, nil
}

func checkKey(k Key, before []ringKey) error {
	if !validID(k.ID) {
		return fmt.Errorf("id %.40q: want 1 to %d letters, digits, '-' or '_'", k.ID, MaxIDLen)
	}
	if len(k.Secret) < MinSecret {
		return fmt.Errorf("the secret of %q has %d bytes, want at least %d random ones", k.ID, len(k.Secret), MinSecret)
	}
	if !slices.ContainsFunc(k.Secret, func(b byte) bool { return b != k.Secret[0] }) {
		return fmt.Errorf("the secret of %q is one byte repeated, want random bytes", k.ID)
	}
	for _, b := range before {
		if b.id == k.ID {
			return fmt.Errorf("the id %q is used twice", k.ID)
		}
		if subtle.ConstantTimeCompare(b.secret(), k.Secret) == 1 {
			return fmt.Errorf("the keys %q and %q have the same secret", b.id, k.ID)
		}
	}
	return nil
}

func validID[T string | []byte](id T) bool {
	if len(id) == 0 || len(id) > MaxIDLen {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// KeyID is the id of the key that makes new tags.
func (r *Ring) KeyID() string { return r.keys[0].id }

// Epoch is the length of a salt epoch; 0: the ring has none.
func (r *Ring) Epoch() time.Duration { return r.epoch }

// epochAt numbers the epoch of a time. Times before 1970 and, without epochs, all times are in epoch 0.
func (r *Ring) epochAt(at time.Time) uint64 {
	if r.epoch == 0 {
		return 0
	}
	if at.IsZero() {
		at = r.now()
	}
	sec := at.Unix()
	if sec < 0 {
		return 0
	}
	return uint64(sec) / uint64(r.epoch/time.Second)
}

// String names the ring by its public parts: the number of keys, the current key's id and the epoch length.
func (r Ring) String() string {
	if len(r.keys) == 0 {
		return "keyed.Ring(no keys)"
	}
	return fmt.Sprintf("keyed.Ring(%d keys, current %s, epoch %v)", len(r.keys), r.keys[0].id, r.epoch)
}

// Format writes [Ring.String] for every verb, so that no verb walks into the secrets.
func (r Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// MarshalText is [Ring.String]: a ring inside a logged structure shows nothing secret.
func (r Ring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

package attestredis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// MaxRecord bounds the value of a record, in bytes.
const MaxRecord = 128 << 10

var (
	recordScript = newScript(`
if not live then return '' end
return redis.call('HGET', KEYS[1], 'v')
`)
	swapScript = newScript(`
local have = live and redis.call('HGET', KEYS[1], 'h') or ''
if have ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[5] == '' then return 1 end
local ttl = tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'e', string.format('%d', now + ttl), 'h', ARGV[5], 'v', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ttl + tonumber(ARGV[2]))
return 1
`)
)

// Records keeps small values under hashes: the passkey.Records that passkey.NewCredentials makes a store of passkeys of. It
// is safe for concurrent use.
type Records struct{ s *Store }

// Records returns the store of records.
func (s *Store) Records() Records { return Records{s} }

func (r Records) key(h attest.Hash) string { return r.s.opts.Prefix + ":r:" + hex.EncodeToString(h[:]) }

// Get returns what is kept under key; nil: nothing.
func (r Records) Get(ctx context.Context, key attest.Hash) ([]byte, error) {
	v, err := r.s.run(ctx, recordScript, r.key(key))
	if err != nil {
		return nil, err
	}
	text, ok := v.(string)
	switch {
	case !ok:
		return nil, errAnswer
	case text == "":
		return nil, nil
	}
	return []byte(text), nil
}

// Swap replaces what is kept under key, if its SHA-256 is was (zero: nothing is kept), and reports whether it did. The
// value, at most MaxRecord bytes, lives for ttl, at least a millisecond; nil takes away what is there.
func (r Records) Swap(ctx context.Context, key, was attest.Hash, value []byte, ttl time.Duration) (bool, error) {
	old, sum := "", ""
	if !was.IsZero() {
		old = string(was[:])
	}
	switch {
	case value == nil:
	case len(value) == 0:
		return false, errors.New("attestredis: an empty record; nil takes one away")
	case len(value) > MaxRecord:
		return false, fmt.Errorf("attestredis: a record of %d bytes, at most %d", len(value), MaxRecord)
	case ttl < time.Millisecond:
		return false, errors.New("attestredis: a record needs a lifetime of at least a millisecond")
	default:
		h := sha256.Sum256(value)
		sum = string(h[:])
	}
	n, err := number(r.s.run(ctx, swapScript, r.key(key), old, ttl.Milliseconds(), sum, value))
	return n == 1 && err == nil, err
}

package attestredis

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

var putScript = newScript(`
if live then return 0 end
local ttl = tonumber(ARGV[3])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'e', string.format('%d', now + ttl), 'b', ARGV[4], 's', ARGV[5], 'd', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ttl + tonumber(ARGV[2]))
return 1
`)

// The answers are attest.Redemption.
var redeemScript = newScript(`
if not live then return {2, ''} end
local r = redis.call('HMGET', KEYS[1], 'x', 'b', 's', 'd')
if r[1] then return {3, ''} end
if r[2] ~= ARGV[3] or (r[3] ~= '' and r[3] ~= ARGV[4]) then return {4, ''} end
redis.call('HSET', KEYS[1], 'x', '1')
redis.call('HDEL', KEYS[1], 'd')
return {1, r[4]}
`)

// Challenges is the store's attest.ChallengeStore. It is safe for concurrent use.
type Challenges struct{ s *Store }

var _ attest.ChallengeStore = Challenges{}

// Challenges returns the store of challenges.
func (s *Store) Challenges() Challenges { return Challenges{s} }

func (c Challenges) key(h attest.Hash) string {
	return c.s.opts.Prefix + ":c:" + hex.EncodeToString(h[:])
}

// Put implements attest.ChallengeStore.
func (c Challenges) Put(ctx context.Context, key attest.Hash, r attest.Record, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return errors.New("attestredis: a challenge needs a lifetime of at least a millisecond")
	}
	subject := ""
	if !r.Subject.IsZero() {
		subject = string(r.Subject[:])
	}
	n, err := number(c.s.run(ctx, putScript, c.key(key), ttl.Milliseconds(), string(r.Binding[:]), subject, r.Data))
	if err != nil {
		return err
	}
	if n != 1 {
		return errors.New("attestredis: the challenge is there already")
	}
	return nil
}

// Redeem implements attest.ChallengeStore.
func (c Challenges) Redeem(ctx context.Context, key, binding, subject attest.Hash) (attest.Redemption, []byte, error) {
	v, err := c.s.run(ctx, redeemScript, c.key(key), string(binding[:]), string(subject[:]))
	if err != nil {
		return 0, nil, err
	}
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return 0, nil, errAnswer
	}
	n, ok1 := list[0].(int64)
	data, ok2 := list[1].(string)
	if !ok1 || !ok2 || n < int64(attest.Redeemed) || n > int64(attest.Mismatch) {
		return 0, nil, errAnswer
	}
	if data == "" {
		return attest.Redemption(n), nil, nil
	}
	return attest.Redemption(n), []byte(data), nil
}

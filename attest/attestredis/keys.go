package attestredis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/internal/redisend"
)

// touch renews a key's life.
const touch = `
local function touch(keep)
  redis.call('HSET', KEYS[1], 'e', string.format('%d', now + tonumber(keep)))
  redis.call('PEXPIRE', KEYS[1], tonumber(keep) + tonumber(ARGV[2]))
end
`

var (
	createScript = newScript(touch + `
if live then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'p', ARGV[4], 'o', ARGV[5], 'k', ARGV[6], 'n', ARGV[7], 't', ARGV[8], 'm', ARGV[9])
touch(ARGV[3])
return 1
`)
	getScript = newScript(`
if not live then return {} end
return redis.call('HMGET', KEYS[1], 'p', 'o', 'k', 'n', 't', 'm')
`)
	// -1: no such key.
	advanceScript = newScript(touch + `
if not live then return -1 end
if tonumber(redis.call('HGET', KEYS[1], 'n')) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'n', ARGV[4])
touch(ARGV[3])
return 1
`)
	bindScript = newScript(touch + `
if not live then return -1 end
local o = redis.call('HGET', KEYS[1], 'o')
if o ~= '' and o ~= ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], 'o', ARGV[4])
touch(ARGV[3])
return 1
`)
	metaScript = newScript(touch + `
if not live then return -1 end
redis.call('HSET', KEYS[1], 'm', ARGV[4])
touch(ARGV[3])
return 1
`)
	deleteScript = newScript(`
return redis.call('DEL', KEYS[1])
`)
)

// Keys is the store's attest.KeyStore and attest.KeyEditor. It is safe for concurrent use.
type Keys struct{ s *Store }

var (
	_ attest.KeyStore  = Keys{}
	_ attest.KeyEditor = Keys{}
)

// Keys returns the store of keys.
func (s *Store) Keys() Keys { return Keys{s} }

func (k Keys) key(tenant string, id attest.Hash) string {
	h := sha256.New()
	h.Write(id[:]) // of fixed length: no two pairs meet
	h.Write([]byte(tenant))
	return k.s.opts.Prefix + ":k:" + hex.EncodeToString(h.Sum(nil))
}

func (k Keys) keep() int64 { return k.s.opts.Keep.Milliseconds() }

// Create implements attest.KeyStore.
func (k Keys) Create(ctx context.Context, key attest.Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	n, err := number(k.s.run(ctx, createScript, k.key(key.Tenant, key.ID), k.keep(), string(key.Platform), owner(key.Owner),
		key.PublicKey, key.Counter, key.Created.UnixNano(), key.Meta))
	if err != nil {
		return err
	}
	if n != 1 {
		return attest.ErrKeyExists
	}
	return nil
}

func owner(h attest.Hash) string {
	if h.IsZero() {
		return ""
	}
	return string(h[:])
}

// Get implements attest.KeyStore.
func (k Keys) Get(ctx context.Context, tenant string, id attest.Hash) (attest.Key, error) {
	v, err := k.s.run(ctx, getScript, k.key(tenant, id))
	if err != nil {
		return attest.Key{}, err
	}
	list, ok := v.([]any)
	if ok && len(list) == 0 {
		return attest.Key{}, attest.ErrKeyUnknown
	}
	var f [6]string
	if !ok || len(list) != len(f) {
		return attest.Key{}, errAnswer
	}
	for i := range f {
		if f[i], ok = list[i].(string); !ok {
			return attest.Key{}, errAnswer
		}
	}
	counter, err1 := strconv.ParseUint(f[3], 10, 32)
	created, err2 := strconv.ParseInt(f[4], 10, 64)
	if errors.Join(err1, err2) != nil || len(f[1]) != 0 && len(f[1]) != len(attest.Hash{}) {
		return attest.Key{}, errAnswer
	}
	out := attest.Key{
		Tenant: tenant, ID: id, Platform: attest.Platform(f[0]), PublicKey: []byte(f[2]), Counter: uint32(counter),
		Created: time.Unix(0, created), Meta: []byte(f[5]),
	}
	copy(out.Owner[:], f[1])
	return out, nil
}

// Advance implements attest.KeyStore.
func (k Keys) Advance(ctx context.Context, tenant string, id attest.Hash, to uint32) (bool, error) {
	return k.change(ctx, advanceScript, tenant, id, to)
}

// Bind implements attest.KeyEditor.
func (k Keys) Bind(ctx context.Context, tenant string, id, to attest.Hash) (bool, error) {
	if to.IsZero() {
		return false, errors.New("attestredis: Bind wants an owner")
	}
	return k.change(ctx, bindScript, tenant, id, owner(to))
}

// SetMeta implements attest.KeyEditor.
func (k Keys) SetMeta(ctx context.Context, tenant string, id attest.Hash, meta []byte) error {
	if len(meta) > attest.MaxMeta {
		return fmt.Errorf("attestredis: %d bytes beside a key, at most %d", len(meta), attest.MaxMeta)
	}
	_, err := k.change(ctx, metaScript, tenant, id, meta)
	return err
}

// Delete implements attest.KeyStore.
func (k Keys) Delete(ctx context.Context, tenant string, id attest.Hash) error {
	_, err := number(k.s.run(ctx, deleteScript, k.key(tenant, id)))
	return err
}

func (k Keys) change(ctx context.Context, sc *redisend.Script, tenant string, id attest.Hash, arg any) (bool, error) {
	n, err := number(k.s.run(ctx, sc, k.key(tenant, id), k.keep(), arg))
	switch {
	case err != nil:
		return false, err
	case n < 0:
		return false, attest.ErrKeyUnknown
	}
	return n == 1, nil
}

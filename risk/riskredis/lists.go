package riskredis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Lists keeps the entries of emergency deny and allow lists: it is an identity.ListStore. A tenant's entries are one hash
// in one slot, which expires with the last of them; each entry expires by Redis's clock. Each call is one round trip; a
// write whose answer did not come is never sent again. What has expired is not found from then on, and removed by later
// writes.
//
// An ACL user needs ~vrf:l:* +hset +hdel +hget +hmget +hgetall +hlen +hexists +pttl +pexpireat +time +evalsha +eval. A
// Lists is safe for concurrent use.
type Lists struct {
	prefix string
	send   *redisend.Sender
}

// MaxListEntries is the most entries of a tenant. Put fails beyond it: an emergency list never forgets by itself what has
// not expired.
const MaxListEntries = 10_000

// ErrListFull says that a tenant has MaxListEntries entries.
var ErrListFull = errors.New("riskredis: the tenant's lists are full")

// NewLists returns a store of lists. See NewFlows for what it wants of the client.
func NewLists(client Processor, opts *Options) (*Lists, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	send, err := newSender(client, &o)
	if err != nil {
		return nil, err
	}
	return &Lists{prefix: o.Prefix, send: send}, nil
}

// String names the store.
func (l *Lists) String() string { return "riskredis.Lists" }

// A field's value is the time it expires, 16 digits of milliseconds since 1970, and the record.
const expiryLen = 16

// luaNow puts Redis's clock into now, in milliseconds.
const luaNow = `
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
`

var (
	// Expired fields go with each write to a small hash, and with one write in 64 to a large one, so that filling a list
	// does not read all of it each time.
	listPut = redisend.NewScript(luaNow + `
local x,most=tonumber(ARGV[3]),tonumber(ARGV[4])
if x<=now then redis.call('HDEL',KEYS[1],ARGV[1]) return 1 end
local n=redis.call('HLEN',KEYS[1])
if n<256 or n>=most or t[2]%64==0 then
 local all=redis.call('HGETALL',KEYS[1])
 for i=1,#all,2 do
  if tonumber(all[i+1]:sub(1,16))<=now then redis.call('HDEL',KEYS[1],all[i]) n=n-1 end
 end
end
if n>=most and redis.call('HEXISTS',KEYS[1],ARGV[1])==0 then return 0 end
redis.call('HSET',KEYS[1],ARGV[1],ARGV[2])
local left=redis.call('PTTL',KEYS[1])
if left<0 or now+left<x then redis.call('PEXPIREAT',KEYS[1],ARGV[3]) end
return 1`)
	listRemove = redisend.NewScript(luaNow + `
local v=redis.call('HGET',KEYS[1],ARGV[1])
if not v then return 0 end
redis.call('HDEL',KEYS[1],ARGV[1])
if tonumber(v:sub(1,16))<=now then return 0 end
return 1`)
	listFind = redisend.NewScript(luaNow + `
local out={}
for _,v in ipairs(redis.call('HMGET',KEYS[1],unpack(ARGV))) do
 if v and tonumber(v:sub(1,16))>now then out[#out+1]=v end
end
return out`)
	listAll = redisend.NewScript(luaNow + `
local out,most={},tonumber(ARGV[1])
local all=redis.call('HGETALL',KEYS[1])
for i=2,#all,2 do
 if #out>=most then break end
 if tonumber(all[i]:sub(1,16))>now then out[#out+1]=all[i] end
end
return out`)
)

// key is the key of a tenant's hash.
func (l *Lists) key(tenant string) string {
	sum := sha256.Sum256([]byte(tenant))
	return l.prefix + ":l:" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

// Put implements identity.ListStore. It fails with ErrListFull.
func (l *Lists) Put(ctx context.Context, tenant, key string, record []byte, expires time.Time) error {
	ms := min(max(expires.UnixMilli(), 0), 1e15)
	ok, err := holds(ctx, l.send, listPut, l.key(tenant), key, fmt.Sprintf("%016d%s", ms, record), ms, MaxListEntries)
	if err == nil && !ok {
		return ErrListFull
	}
	return wrap("put an entry", err)
}

// Remove implements identity.ListStore.
func (l *Lists) Remove(ctx context.Context, tenant, key string) (bool, error) {
	ok, err := holds(ctx, l.send, listRemove, l.key(tenant), key)
	return ok, wrap("remove an entry", err)
}

// mostFields is how many fields one script asks for, far below what Lua can unpack.
const mostFields = 1000

// Find implements identity.ListStore.
func (l *Lists) Find(ctx context.Context, tenant string, keys []string) ([][]byte, error) {
	var out [][]byte
	for len(keys) > 0 {
		n := min(len(keys), mostFields)
		args := make([]any, n)
		for i, k := range keys[:n] {
			args[i] = k
		}
		keys = keys[n:]
		found, err := l.records(ctx, listFind, tenant, args...)
		if err != nil {
			return nil, wrap("find entries", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// All implements identity.ListStore.
func (l *Lists) All(ctx context.Context, tenant string, most int) ([][]byte, error) {
	out, err := l.records(ctx, listAll, tenant, most)
	return out, wrap("list entries", err)
}

// records runs a script that answers with fields' values.
func (l *Lists) records(ctx context.Context, sc *redisend.Script, tenant string, args ...any) ([][]byte, error) {
	v, err := run(ctx, l.send, sc, l.key(tenant), args...)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("a script answered %T", v)
	}
	out := make([][]byte, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok || len(s) < expiryLen {
			return nil, errors.New("not an entry of this version")
		}
		out = append(out, []byte(s[expiryLen:]))
	}
	return out, nil
}

package riskredis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/risk"
)

// Options of a store. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins all keys: 1 to 32 of A-Z a-z 0-9 _ . - ; default "vrf". Stores with different prefixes on one Redis
	// share nothing.
	Prefix string
	// Timeout bounds each round trip, waiting for a connection included: 1 ms to 10 s, default 100 ms.
	Timeout time.Duration
	// MaxPending bounds how many calls may be waiting at once, for clients that do not keep context deadlines (see
	// NewFlows): 1 to 100,000, default 1024. Beyond it calls fail.
	MaxPending int
}

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Prefix == "" {
		c.Prefix = "vrf"
	}
	if c.Timeout == 0 {
		c.Timeout = 100 * time.Millisecond
	}
	if c.MaxPending == 0 {
		c.MaxPending = 1024
	}
	if len(c.Prefix) > 32 {
		return c, errors.New("riskredis: Prefix is longer than 32 bytes")
	}
	for _, r := range c.Prefix {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-') {
			return c, fmt.Errorf("riskredis: Prefix has %q; use letters, digits, _ . and -", r)
		}
	}
	if c.Timeout < time.Millisecond || c.Timeout > 10*time.Second {
		return c, fmt.Errorf("riskredis: Timeout is %v, must be 1ms to 10s (0 means 100ms)", c.Timeout)
	}
	if c.MaxPending < 1 || c.MaxPending > 100_000 {
		return c, fmt.Errorf("riskredis: MaxPending is %d, must be 1 to 100000 (0 means 1024)", c.MaxPending)
	}
	return c, nil
}

// Flows is a risk.FlowStore on Redis. It is safe for concurrent use.
type Flows struct {
	prefix string
	send   *redisend.Sender
}

var _ risk.FlowStore = (*Flows)(nil)

// NewFlows returns a store of flows. A client should have ContextTimeoutEnabled set, which go-redis leaves off: without
// it, and with an AutoPipeliner, each call takes a goroutine that waits for the client's own timeouts. Retries need not
// be switched off: the store's commands are never sent again. The client stays the caller's to close.
func NewFlows(client Processor, opts *Options) (*Flows, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	send, err := newSender(client, &o)
	if err != nil {
		return nil, err
	}
	return &Flows{prefix: o.Prefix, send: send}, nil
}

// String names the store.
func (f *Flows) String() string { return "riskredis.Flows" }

// A record is a format byte, the version as eight bytes, a spent mark of 0 or 1, and the state. Scripts compare and
// write it as it is; KEEPTTL leaves the expiry alone.
const (
	format  = 1
	headLen = 10
)

var (
	updateScript = redisend.NewScript(`
local s=redis.call('GET',KEYS[1])
if not s or #s<10 or s:sub(1,9)~=ARGV[1] then return 0 end
redis.call('SET',KEYS[1],ARGV[2],'XX','KEEPTTL')
return 1`)
	spendScript = redisend.NewScript(`
local s=redis.call('GET',KEYS[1])
if not s then return 0 end
if #s<10 or s:byte(1)~=1 then return redis.error_reply('ERR not a flow') end
if s:byte(10)~=0 then return 0 end
local hi,lo=struct.unpack('>I4I4',s,2)
lo=lo+1
if lo==2^32 then hi,lo=hi+1,0 end
redis.call('SET',KEYS[1],struct.pack('>BI4I4B',1,hi,lo,1)..s:sub(11),'XX','KEEPTTL')
return 1`)
)

func encode(version uint64, spent bool, state []byte) []byte {
	b := make([]byte, headLen, headLen+len(state))
	b[0] = format
	binary.BigEndian.PutUint64(b[1:], version)
	if spent {
		b[9] = 1
	}
	return append(b, state...)
}

var errRecord = errors.New("not a flow of this version")

// decode reads a stored record, which anything that shares the Redis may have written.
func decode(s string) (risk.FlowRecord, error) {
	if len(s) < headLen || s[0] != format || s[9] > 1 {
		return risk.FlowRecord{}, errRecord
	}
	return risk.FlowRecord{
		Version: binary.BigEndian.Uint64([]byte(s[1:9])), Spent: s[9] == 1, State: []byte(s[headLen:]),
	}, nil
}

// key is Redis's key of a flow: 144 bits of a hash, whatever the engine's key is made of.
func (f *Flows) key(key string) string {
	sum := sha256.Sum256([]byte(key))
	return f.prefix + ":" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

// Create implements risk.FlowStore. A ttl is kept in whole milliseconds, rounded up; one that is not positive is an
// error.
func (f *Flows) Create(ctx context.Context, key string, state []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("riskredis: a flow's time to live is %v, must be positive", ttl)
	}
	ms := int64((ttl + time.Millisecond - 1) / time.Millisecond)
	_, err := f.send.Do(ctx, "set", f.key(key), encode(1, false, state), "px", ms, "nx")
	if errors.Is(err, redis.Nil) {
		return risk.ErrFlowExists
	}
	return wrap("create a flow", err)
}

// Load implements risk.FlowStore.
func (f *Flows) Load(ctx context.Context, key string) (risk.FlowRecord, bool, error) {
	v, err := f.send.Do(ctx, "get", f.key(key))
	if errors.Is(err, redis.Nil) {
		return risk.FlowRecord{}, false, nil
	}
	if err != nil {
		return risk.FlowRecord{}, false, wrap("load a flow", err)
	}
	s, _ := v.(string)
	rec, err := decode(s)
	if err != nil {
		return risk.FlowRecord{}, false, wrap("load a flow", err)
	}
	return rec, true, nil
}

// Update implements risk.FlowStore.
func (f *Flows) Update(ctx context.Context, key string, version uint64, state []byte, spent bool) (bool, error) {
	old := encode(version, false, nil)[:9]
	ok, err := holds(ctx, f.send, updateScript, f.key(key), old, encode(version+1, spent, state))
	return ok, wrap("update a flow", err)
}

// Spend implements risk.FlowStore.
func (f *Flows) Spend(ctx context.Context, key string) (bool, error) {
	ok, err := holds(ctx, f.send, spendScript, f.key(key))
	return ok, wrap("spend a flow", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("riskredis: %s: %w", what, err)
}

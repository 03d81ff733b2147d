package attestredis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient and
// *redis.Ring have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Options of a store. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins all keys: 1 to 32 of A-Z a-z 0-9 _ . - ; default "vat".
	Prefix string
	// Timeout bounds each call, waiting for a connection included: 1 ms to 10 s, default 100 ms. An earlier deadline of the
	// call's context counts; its cancellation does not once the call is made.
	Timeout time.Duration
	// Keep is how long a key lives after it was last used; default attest.DefaultKeep.
	Keep time.Duration
	// MaxPending bounds how many calls may wait at once: 1 to 100,000, default 1024. Beyond it calls fail.
	MaxPending int
	// InsecureNow replaces Redis's clock by the caller's, for tests. In production the clocks of several machines differ.
	InsecureNow func() time.Time
}

// Store keeps challenges, keys and records on Redis. It is safe for concurrent use.
type Store struct {
	opts Options
	send *redisend.Sender
}

// New makes a store over a client.
func New(client Processor, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Prefix == "" {
		o.Prefix = "vat"
	}
	if o.Timeout == 0 {
		o.Timeout = 100 * time.Millisecond
	}
	if o.Keep == 0 {
		o.Keep = attest.DefaultKeep
	}
	if o.MaxPending == 0 {
		o.MaxPending = 1024
	}
	switch {
	case len(o.Prefix) > 32 || strings.Trim(o.Prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") != "":
		return nil, fmt.Errorf("attestredis: Prefix %.40q: want 1 to 32 of A-Z a-z 0-9 _ . -", o.Prefix)
	case o.Timeout < time.Millisecond || o.Timeout > 10*time.Second:
		return nil, fmt.Errorf("attestredis: Timeout is %v; it must be from 1ms to 10s, or 0 for 100ms", o.Timeout)
	case o.Keep < time.Minute:
		return nil, fmt.Errorf("attestredis: Keep is %v; it must be at least a minute, or 0 for %v", o.Keep, attest.DefaultKeep)
	case o.MaxPending < 1 || o.MaxPending > 100_000:
		return nil, fmt.Errorf("attestredis: MaxPending is %d; it must be from 1 to 100000, or 0 for 1024", o.MaxPending)
	}
	send, err := redisend.New(client, redisend.Options{Timeout: o.Timeout, MaxPending: o.MaxPending, Detach: true})
	if err != nil {
		return nil, fmt.Errorf("attestredis: %w", err)
	}
	return &Store{o, send}, nil
}

// clock begins each script: now in milliseconds, Redis's own unless the caller gives one.
const clock = `
local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local e = redis.call('HGET', KEYS[1], 'e')
local live = e and tonumber(e) > now
`

func newScript(body string) *redisend.Script { return redisend.NewScript(clock + body) }

// simulatedTTL is added to what is stored at a simulated time, which may stand still, in milliseconds.
const simulatedTTL = int64(time.Hour / time.Millisecond)

// run runs a script on one key. Its first argument is the time, its second what to add to a key's life in Redis.
func (s *Store) run(ctx context.Context, sc *redisend.Script, key string, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now, slack := int64(0), int64(0)
	if s.opts.InsecureNow != nil {
		now, slack = s.opts.InsecureNow().UnixMilli(), simulatedTTL
	}
	all := append(sc.Append(make([]any, 0, 6+len(args)), 1), key, now, slack)
	v, err := s.send.Run(ctx, sc, append(all, args...))
	if err != nil {
		return nil, fmt.Errorf("attestredis: %w: %w", attest.ErrUnavailable, err)
	}
	return v, nil
}

var errAnswer = fmt.Errorf("attestredis: %w: Redis gave no usable answer", attest.ErrUnavailable)

// number reads an integer answer.
func number(v any, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, errAnswer
	}
	return n, nil
}

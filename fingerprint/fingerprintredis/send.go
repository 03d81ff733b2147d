package fingerprintredis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient and
// *redis.Ring have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Options of a Store and a Once. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins all keys: 1 to 32 of A-Z a-z 0-9 _ . - ; default "vfp". Stores with different prefixes on one
	// Redis share nothing.
	Prefix string
	// Cap is the most members of one set, 3 to fingerprint.MaxCap; default fingerprint.DefaultCap. All processes must
	// have the same.
	Cap int
	// Spread puts each subject into a slot of its own, for clusters in which one tenant's load is more than one
	// machine's: a visit is then several scripts at once. Default: all of a tenant in one slot. Changing it forgets
	// what was seen.
	Spread bool
	// Timeout bounds each round trip, waiting for a connection included: 1 ms to 10 s, default 50 ms.
	Timeout time.Duration
	// MaxPending bounds how many calls may be waiting at once, for clients that do not have ContextTimeoutEnabled: 1
	// to 100,000, default 1024. Beyond it calls fail.
	MaxPending int
	// InsecureNow takes the time from this function instead of Redis, for tests: clocks of several processes differ.
	InsecureNow func() time.Time
}

func (o *Options) check() error {
	for _, r := range o.Prefix {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-') {
			return fmt.Errorf("fingerprintredis: Prefix has %q; use letters, digits, _ . and -", r)
		}
	}
	switch {
	case len(o.Prefix) > 32:
		return errors.New("fingerprintredis: Prefix is longer than 32 bytes")
	case o.Timeout < time.Millisecond || o.Timeout > 10*time.Second:
		return fmt.Errorf("fingerprintredis: Timeout is %v, must be 1ms to 10s (0 means 50ms)", o.Timeout)
	case o.MaxPending < 1 || o.MaxPending > 100_000:
		return fmt.Errorf("fingerprintredis: MaxPending is %d, must be 1 to 100000 (0 means 1024)", o.MaxPending)
	}
	return nil
}

// noRetry keeps go-redis from sending a command again when its answer does not come: it may have been carried out. A
// redirection is followed, since it says that it was not.
type noRetry struct{ *redis.Cmd }

// NoRetry is true.
func (noRetry) NoRetry() bool { return true }

var errBusy = errors.New("too many calls are waiting for Redis")

// sender sends commands, each once.
type sender struct {
	client  Processor
	timeout time.Duration
	slots   chan struct{} // bounds how many calls wait; nil when the client keeps context deadlines itself
}

func newSender(client Processor, o *Options) (*sender, error) {
	if client == nil {
		return nil, errors.New("fingerprintredis: no client; redis.NewClient makes one")
	}
	s := &sender{client: client, timeout: o.Timeout}
	if !keepsDeadlines(client) {
		s.slots = make(chan struct{}, o.MaxPending)
	}
	return s, nil
}

// keepsDeadlines reports whether a client ends calls with their context. go-redis does not by default.
func keepsDeadlines(client Processor) bool {
	switch c := client.(type) {
	case interface{ Options() *redis.Options }:
		return c.Options().ContextTimeoutEnabled
	case interface{ Options() *redis.ClusterOptions }:
		return c.Options().ContextTimeoutEnabled
	case interface{ Options() *redis.RingOptions }:
		return c.Options().ContextTimeoutEnabled
	}
	return false
}

// do sends a command and returns its answer within the timeout. args must not be used again.
func (s *sender) do(ctx context.Context, args []any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.slots == nil {
		return s.ask(ctx, args)
	}
	type reply struct {
		v   any
		err error
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, errBusy
	}
	done := make(chan reply, 1)
	go func() {
		defer func() { <-s.slots }()
		v, err := s.ask(ctx, args)
		done <- reply{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *sender) ask(ctx context.Context, args []any) (any, error) {
	cmd := noRetry{redis.NewCmd(ctx, args...)}
	if err := s.client.Process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// script is a Lua script and the name Redis knows it by.
type script struct{ text, sha string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) // Redis names scripts by SHA-1; nothing secret depends on it
	return &script{text, hex.EncodeToString(sum[:])}
}

// run runs a script. rest is the number of keys, the keys and the arguments. The script is sent in full only when Redis
// has said that it does not know it, and so has done nothing.
func (s *sender) run(ctx context.Context, sc *script, rest []any) (any, error) {
	v, err := s.do(ctx, append([]any{"evalsha", sc.sha}, rest...))
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		v, err = s.do(ctx, append([]any{"eval", sc.text}, rest...))
	}
	return v, err
}

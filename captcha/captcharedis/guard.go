package captcharedis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Client is what is needed of a redis client; redis.UniversalClient satisfies it. Process must send the command.
type Client interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Options of a Guard and of References. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins every key; default "captcha:". Give each environment that shares a Redis its own.
	Prefix string
	// Timeout bounds one call beside its context; default 100 ms.
	Timeout time.Duration
}

// Guard is a captcha.ReplayGuard on Redis. Build it with New. It is safe for concurrent use.
type Guard struct {
	prefix string
	send   *redisend.Sender
}

var _ captcha.ReplayGuard = (*Guard)(nil)

// New makes a guard. It does not connect.
func New(client Client, opts *Options) (*Guard, error) {
	prefix, send, err := begin(client, opts)
	if err != nil {
		return nil, err
	}
	return &Guard{prefix, send}, nil
}

// maxPending bounds how many calls may be waiting at once on a client that does not end them with their context.
const maxPending = 1024

func begin(client Client, opts *Options) (prefix string, send *redisend.Sender, err error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Prefix == "" {
		o.Prefix = "captcha:"
	}
	if len(o.Prefix) > 128 {
		return "", nil, errors.New("captcharedis: the prefix is longer than 128 bytes")
	}
	if o.Timeout == 0 {
		o.Timeout = 100 * time.Millisecond
	}
	if o.Timeout < 0 {
		return "", nil, fmt.Errorf("captcharedis: Timeout is %v; it must be positive, or 0 for 100 ms", o.Timeout)
	}
	send, err = redisend.New(client, redisend.Options{Timeout: o.Timeout, MaxPending: maxPending})
	if err != nil {
		return "", nil, fmt.Errorf("captcharedis: %w", err)
	}
	return o.Prefix, send, nil
}

// Spend implements captcha.ReplayGuard.
func (g *Guard) Spend(ctx context.Context, key captcha.ReplayKey, ttl time.Duration) (bool, error) {
	if ttl <= 0 {
		return false, errors.New("captcharedis: a replay mark needs a positive lifetime")
	}
	_, err := g.send.Do(ctx, "set", g.name(key), "1", "nx", "px", max(1, ttl.Milliseconds()))
	switch {
	case errors.Is(err, redis.Nil):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("captcharedis: marking an answer: %w", err)
	}
	return true, nil
}

// Spent implements captcha.ReplayGuard.
func (g *Guard) Spent(ctx context.Context, key captcha.ReplayKey) (bool, error) {
	v, err := g.send.Do(ctx, "exists", g.name(key))
	if err != nil {
		return false, fmt.Errorf("captcharedis: asking for a mark: %w", err)
	}
	n, ok := v.(int64)
	if !ok {
		return false, fmt.Errorf("captcharedis: asking for a mark: Redis answered %T", v)
	}
	return n > 0, nil
}

func (g *Guard) name(key captcha.ReplayKey) string {
	return g.prefix + "m:" + hex.EncodeToString(key[:])
}

// References is a captcha.References on Redis. Build it with NewReferences. It is safe for concurrent use.
type References struct {
	prefix string
	send   *redisend.Sender
}

var _ captcha.References = (*References)(nil)

// NewReferences makes a store of references. It does not connect.
func NewReferences(client Client, opts *Options) (*References, error) {
	prefix, send, err := begin(client, opts)
	if err != nil {
		return nil, err
	}
	return &References{prefix, send}, nil
}

// Keep implements captcha.References.
func (r *References) Keep(ctx context.Context, assessment, reference string, ttl time.Duration) error {
	if ttl <= 0 || assessment == "" || len(assessment)+len(reference) > 1024 {
		return errors.New("captcharedis: a reference needs a name, a positive lifetime and at most 1 KiB")
	}
	_, err := r.send.Do(ctx, "set", r.name(assessment), reference, "px", max(1, ttl.Milliseconds()))
	if err != nil {
		return fmt.Errorf("captcharedis: keeping a reference: %w", err)
	}
	return nil
}

// Find implements captcha.References.
func (r *References) Find(ctx context.Context, assessment string) (string, error) {
	v, err := r.send.Do(ctx, "get", r.name(assessment))
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("captcharedis: finding a reference: %w", err)
	}
	reference, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("captcharedis: finding a reference: Redis answered %T", v)
	}
	return reference, nil
}

func (r *References) name(assessment string) string {
	sum := sha256.Sum256([]byte(assessment))
	return r.prefix + "r:" + hex.EncodeToString(sum[:])
}

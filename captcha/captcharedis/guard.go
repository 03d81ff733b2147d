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
	client Client
	opts   Options
}

var _ captcha.ReplayGuard = (*Guard)(nil)

// New makes a guard. It does not connect.
func New(client Client, opts *Options) (*Guard, error) {
	o, err := check(client, opts)
	if err != nil {
		return nil, err
	}
	return &Guard{client, o}, nil
}

func check(client Client, opts *Options) (Options, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if client == nil {
		return o, errors.New("captcharedis: no client; give a *redis.Client or a *redis.ClusterClient")
	}
	if o.Prefix == "" {
		o.Prefix = "captcha:"
	}
	if len(o.Prefix) > 128 {
		return o, errors.New("captcharedis: the prefix is longer than 128 bytes")
	}
	if o.Timeout == 0 {
		o.Timeout = 100 * time.Millisecond
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("captcharedis: Timeout is %v; it must be positive, or 0 for 100 ms", o.Timeout)
	}
	return o, nil
}

// once is a command that go-redis does not send again by itself.
type once struct{ redis.Cmder }

// NoRetry tells go-redis that sending twice is not the same as sending once.
func (once) NoRetry() bool { return true }

// Spend implements captcha.ReplayGuard.
func (g *Guard) Spend(ctx context.Context, key captcha.ReplayKey, ttl time.Duration) (bool, error) {
	if ttl <= 0 {
		return false, errors.New("captcharedis: a replay mark needs a positive lifetime")
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.Timeout)
	defer cancel()
	cmd := redis.NewCmd(ctx, "set", g.name(key), "1", "nx", "px", max(1, ttl.Milliseconds()))
	err := g.client.Process(ctx, once{cmd})
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
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.Timeout)
	defer cancel()
	cmd := redis.NewIntCmd(ctx, "exists", g.name(key))
	if err := g.client.Process(ctx, cmd); err != nil {
		return false, fmt.Errorf("captcharedis: asking for a mark: %w", err)
	}
	return cmd.Val() > 0, nil
}

func (g *Guard) name(key captcha.ReplayKey) string {
	return g.opts.Prefix + "m:" + hex.EncodeToString(key[:])
}

// References is a captcha.References on Redis. Build it with NewReferences. It is safe for concurrent use.
type References struct {
	client Client
	opts   Options
}

var _ captcha.References = (*References)(nil)

// NewReferences makes a store of references. It does not connect.
func NewReferences(client Client, opts *Options) (*References, error) {
	o, err := check(client, opts)
	if err != nil {
		return nil, err
	}
	return &References{client, o}, nil
}

// Keep implements captcha.References.
func (r *References) Keep(ctx context.Context, assessment, reference string, ttl time.Duration) error {
	if ttl <= 0 || assessment == "" || len(assessment)+len(reference) > 1024 {
		return errors.New("captcharedis: a reference needs a name, a positive lifetime and at most 1 KiB")
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	cmd := redis.NewStatusCmd(ctx, "set", r.name(assessment), reference, "px", max(1, ttl.Milliseconds()))
	if err := r.client.Process(ctx, cmd); err != nil {
		return fmt.Errorf("captcharedis: keeping a reference: %w", err)
	}
	return nil
}

// Find implements captcha.References.
func (r *References) Find(ctx context.Context, assessment string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	cmd := redis.NewStringCmd(ctx, "get", r.name(assessment))
	err := r.client.Process(ctx, cmd)
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("captcharedis: finding a reference: %w", err)
	}
	return cmd.Val(), nil
}

func (r *References) name(assessment string) string {
	sum := sha256.Sum256([]byte(assessment))
	return r.opts.Prefix + "r:" + hex.EncodeToString(sum[:])
}

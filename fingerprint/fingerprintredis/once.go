package fingerprintredis

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/fingerprint/fpjs"
	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Once remembers on Redis which events were used. It is safe for concurrent use.
type Once struct {
	prefix string
	send   *redisend.Sender
}

var (
	_ fpjs.Once     = (*Once)(nil)
	_ fpjs.Releaser = (*Once)(nil)
)

// NewOnce returns one. Of the options, Prefix, Timeout and MaxPending count.
func NewOnce(client Processor, opts *Options) (*Once, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Prefix = cmp.Or(o.Prefix, "vfp")
	o.Timeout = cmp.Or(o.Timeout, 50*time.Millisecond)
	o.MaxPending = cmp.Or(o.MaxPending, 1024)
	if err := o.check(); err != nil {
		return nil, err
	}
	send, err := newSender(client, &o)
	if err != nil {
		return nil, err
	}
	return &Once{prefix: o.Prefix, send: send}, nil
}

// Use implements fpjs.Once with SET NX. Names are hashed.
func (o *Once) Use(ctx context.Context, name string, keep time.Duration) (bool, error) {
	if keep < time.Millisecond {
		return false, errors.New("fingerprintredis: nothing can be remembered for less than a millisecond")
	}
	v, err := o.send.Do(ctx, "set", o.key(name), "1", "px", int64((keep+time.Millisecond-1)/time.Millisecond), "nx")
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("fingerprintredis: %w", err)
	}
	if v != "OK" {
		return false, errReply
	}
	return true, nil
}

// Release implements fpjs.Releaser with UNLINK.
func (o *Once) Release(ctx context.Context, name string) error {
	if _, err := o.send.Do(ctx, "unlink", o.key(name)); err != nil {
		return fmt.Errorf("fingerprintredis: releasing: %w", err)
	}
	return nil
}

func (o *Once) key(name string) string {
	sum := sha256.Sum256([]byte(name))
	return o.prefix + ":once:" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

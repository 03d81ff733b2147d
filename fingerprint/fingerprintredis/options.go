package fingerprintredis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/redisend"
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

func newSender(client Processor, o *Options) (*redisend.Sender, error) {
	s, err := redisend.New(client, redisend.Options{Timeout: o.Timeout, MaxPending: o.MaxPending, Detach: true})
	if err != nil {
		return nil, fmt.Errorf("fingerprintredis: %w", err)
	}
	return s, nil
}

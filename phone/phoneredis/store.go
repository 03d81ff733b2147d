package phoneredis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/phone"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient and
// *redis.Ring have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Options of a [Store]. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins every key; default "vestibule:phone:". Stores that share a Redis and differ in keys need different
	// ones.
	Prefix string
	// Timeout bounds one call; default 500 ms. The caller's context may end it earlier.
	Timeout time.Duration
	// InsecureNow is a clock for tests instead of the server's: instances whose clocks differ disagree about what has
	// expired.
	InsecureNow func() time.Time
}

// Store is a [phone.Store], [phone.RouteStore] and [phone.SightingStore] in Redis 6.0 or later, or Valkey. It is safe for
// concurrent use.
type Store struct {
	o    Options
	send *redisend.Sender
}

var (
	_ phone.Store         = (*Store)(nil)
	_ phone.RouteStore    = (*Store)(nil)
	_ phone.SightingStore = (*Store)(nil)
)

// maxPending bounds how many calls may be waiting at once on a client that does not end them with their context.
const maxPending = 256

// New makes a store. It does not talk to Redis.
func New(client Processor, opts *Options) (*Store, error) {
	s := &Store{}
	if opts != nil {
		s.o = *opts
	}
	if s.o.Prefix == "" {
		s.o.Prefix = "vestibule:phone:"
	}
	if strings.ContainsAny(s.o.Prefix, "{} \r\n") || len(s.o.Prefix) > 64 {
		return nil, errors.New("phoneredis: Prefix must have no braces or spaces and at most 64 bytes")
	}
	if s.o.Timeout == 0 {
		s.o.Timeout = 500 * time.Millisecond
	}
	if s.o.Timeout < 0 {
		return nil, errors.New("phoneredis: Timeout must not be negative")
	}
	send, err := redisend.New(client, redisend.Options{Timeout: s.o.Timeout, MaxPending: maxPending})
	if err != nil {
		return nil, fmt.Errorf("phoneredis: %w", err)
	}
	s.send = send
	return s, nil
}

// errReply says that Redis answered what no script of this package answers.
var errReply = errors.New("phoneredis: Redis gave an answer of another form")

// run runs a script once.
func (s *Store) run(ctx context.Context, sc *redisend.Script, keys []string, arg any) ([]any, error) {
	text, err := json.Marshal(arg)
	if err != nil {
		return nil, err
	}
	args := sc.Append(make([]any, 0, 4+len(keys)), len(keys))
	for _, k := range keys {
		args = append(args, k)
	}
	v, err := s.send.Run(ctx, sc, append(args, string(text)))
	if err != nil {
		return nil, fmt.Errorf("phoneredis: %w", err)
	}
	list, ok := v.([]any)
	if !ok {
		return nil, errReply
	}
	return list, nil
}

// now is the test clock in ms, or 0.
func (s *Store) now() int64 {
	if s.o.InsecureNow == nil {
		return 0
	}
	return s.o.InsecureNow().UnixMilli()
}

// names makes keys of a tenant: all in one slot.
type names struct{ prefix string }

func (s *Store) names(tenant string) names {
	sum := sha256.Sum256([]byte(tenant))
	return names{s.o.Prefix + "{" + base64.RawURLEncoding.EncodeToString(sum[:9]) + "}:"}
}

func (n names) key(kind string, k phone.Key) string { return n.prefix + kind + ":" + k.String() }

func text(k phone.Key) string {
	if k == (phone.Key{}) {
		return ""
	}
	return k.String()
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

// answer reads what scripts return.
type answer struct {
	v   []any
	err error
}

func (a *answer) int(i int) int64 {
	if i < len(a.v) {
		if n, ok := a.v[i].(int64); ok {
			return n
		}
	}
	a.err = errReply
	return 0
}

func (a *answer) text(i int) string {
	if i < len(a.v) {
		if s, ok := a.v[i].(string); ok {
			return s
		}
	}
	a.err = errReply
	return ""
}

func (a *answer) key(i int) (k phone.Key) {
	s := a.text(i)
	if s == "" {
		return k
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || copy(k[:], b) != len(k) {
		a.err = errReply
	}
	return k
}

func (a *answer) time(i int) time.Time {
	if n := a.int(i); n != 0 {
		return time.UnixMilli(n)
	}
	return time.Time{}
}

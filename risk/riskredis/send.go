package riskredis

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient,
// *redis.Ring and *redis.AutoPipeliner have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

func newSender(client Processor, o *Options) (*redisend.Sender, error) {
	s, err := redisend.New(client, redisend.Options{Timeout: o.Timeout, MaxPending: o.MaxPending})
	if err != nil {
		return nil, fmt.Errorf("riskredis: %w", err)
	}
	return s, nil
}

// run runs a script on one key.
func run(ctx context.Context, s *redisend.Sender, sc *redisend.Script, key string, args ...any) (any, error) {
	all := append(sc.Append(make([]any, 0, 4+len(args)), 1), key)
	return s.Run(ctx, sc, append(all, args...))
}

// holds runs a script on one key, which answers with 0 or 1.
func holds(ctx context.Context, s *redisend.Sender, sc *redisend.Script, key string, args ...any) (bool, error) {
	v, err := run(ctx, s, sc, key, args...)
	if err != nil {
		return false, err
	}
	n, ok := v.(int64)
	if !ok || n != 0 && n != 1 {
		return false, fmt.Errorf("a script answered %T", v)
	}
	return n == 1, nil
}

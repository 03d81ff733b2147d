package ratelimitredis

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient,
// *redis.Ring and *redis.AutoPipeliner have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// run runs a script and returns its answer. args were begun by its Append. The context is one of s.send.Context.
func (s *Store) run(ctx context.Context, sc *redisend.Script, args []any) (reply, error) {
	v, err := s.send.Ask(ctx, sc, args)
	if err != nil {
		return "", err
	}
	return read(v)
}

// read checks that an answer has the time and a level at least.
func read(v any) (reply, error) {
	text, ok := v.(string)
	if !ok || len(text) < 16 || len(text)%8 != 0 {
		return "", errReply
	}
	return reply(text), nil
}

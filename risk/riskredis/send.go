package riskredis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient,
// *redis.Ring and *redis.AutoPipeliner have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
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

func newSender(client Processor, timeout time.Duration, maxPending int) (*sender, error) {
	if client == nil {
		return nil, errors.New("riskredis: no client")
	}
	if c, ok := client.(interface{ IsBlocking() bool }); ok && !c.IsBlocking() {
		return nil, errors.New("riskredis: an asynchronous AutoPipeliner answers too late; use AutoPipeline()")
	}
	s := &sender{client: client, timeout: timeout}
	if !keepsDeadlines(client) {
		s.slots = make(chan struct{}, maxPending)
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

// do sends a command and returns its answer, redis.Nil included, within the timeout. args must not be used again.
func (s *sender) do(ctx context.Context, args ...any) (any, error) {
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

// run runs a script on one key, which answers with 0 or 1. It is sent in full only when Redis has said that it does not
// know it, and so has done nothing.
func (s *sender) run(ctx context.Context, sc *script, key string, args ...any) (bool, error) {
	v, err := s.do(ctx, append([]any{"evalsha", sc.sha, 1, key}, args...)...)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		v, err = s.do(ctx, append([]any{"eval", sc.text, 1, key}, args...)...)
	}
	if err != nil {
		return false, err
	}
	n, ok := v.(int64)
	if !ok || n != 0 && n != 1 {
		return false, fmt.Errorf("a script answered %T", v)
	}
	return n == 1, nil
}

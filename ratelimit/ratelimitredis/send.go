package ratelimitredis

import (
	"context"
	"errors"
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
type noRetry struct{ *redis.IntSliceCmd }

// NoRetry is true.
func (noRetry) NoRetry() bool { return true }

// errBusy says that too many calls wait already.
var errBusy = errors.New("too many calls are waiting for Redis")

// sender sends scripts, each once.
type sender struct {
	client  Processor
	timeout time.Duration
	// slots bounds how many calls wait; nil when the client keeps context deadlines itself.
	slots chan struct{}
}

// lost tells a cluster client to find out anew who serves which slot: go-redis does so by itself only where it may send
// a command again.
func (s *sender) lost(ctx context.Context) {
	if c, ok := s.client.(interface{ ReloadState(ctx context.Context) }); ok {
		c.ReloadState(ctx) // on a goroutine of its own, and not more often than every 200 ms
	}
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

// context returns the context of one call: without the caller's cancellation, with the earlier of both deadlines.
func (s *sender) context(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(s.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// args begins a script's arguments.
func (sc *script) args(keys int) []any {
	return append(make([]any, 0, 6+keys), "evalsha", sc.sha, keys)
}

// run runs a script and returns its answer. args are as for EVALSHA and may be changed. The context has a deadline.
func (s *sender) run(ctx context.Context, sc *script, args []any) ([]int64, error) {
	if s.slots == nil {
		return s.ask(ctx, sc, args)
	}
	return bounded(ctx, s.slots, func() ([]int64, error) { return s.ask(ctx, sc, args) })
}

// bounded calls f on a goroutine of its own and waits for it no longer than ctx allows. What f uses must not be used
// again. slots bounds how many run.
func bounded[T any](ctx context.Context, slots chan struct{}, f func() (T, error)) (T, error) {
	type reply struct {
		v   T
		err error
	}
	var none T
	select {
	case slots <- struct{}{}:
	default:
		return none, errBusy
	}
	done := make(chan reply, 1)
	go func() {
		defer func() { <-slots }()
		v, err := f()
		done <- reply{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// ask sends the script by name, and, when Redis does not know it, once in full: that answer says that nothing was done.
func (s *sender) ask(ctx context.Context, sc *script, args []any) ([]int64, error) {
	cmd := noRetry{redis.NewIntSliceCmd(ctx, args...)}
	err := s.client.Process(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if unknownScript(err) {
		args[0], args[1] = "eval", sc.text
		cmd = noRetry{redis.NewIntSliceCmd(ctx, args...)}
		if err = s.client.Process(ctx, cmd); err == nil {
			err = cmd.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

func unknownScript(err error) bool { return err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") }

package redisend

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/deadline"
)

// Processor is what is needed of a client: *redis.Client (failover clients included), *redis.ClusterClient, *redis.Ring
// and *redis.AutoPipeliner have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// ErrBusy says that Options.MaxPending calls wait already. Nothing was sent.
var ErrBusy = errors.New("too many calls are waiting for Redis")

// ErrPanic says that the client, or a hook of it, panicked on a goroutine of the sender's.
var ErrPanic = errors.New("the Redis client or a hook of it panicked")

// Options of a sender.
type Options struct {
	// Timeout bounds each call, waiting for a connection included. An earlier deadline of the call's context counts.
	Timeout time.Duration
	// MaxPending bounds how many calls may be waiting at once on a client that does not end them with their context.
	MaxPending int
	// Detach: the cancellation of a call's context does not count, only its deadline.
	Detach bool
}

// Sender sends commands, each once. It is safe for concurrent use.
type Sender struct {
	client Processor
	o      Options
	slots  chan struct{} // bounds how many calls wait; nil when the client keeps context deadlines itself
	timers deadline.Timers
	gather *gatherer // nil unless the client speaks to one server and keeps deadlines
}

// New returns a sender. It does not connect. It refuses a client that is nil, and an asynchronous AutoPipeliner, whose
// Process returns before there is an answer.
func New(client Processor, o Options) (*Sender, error) {
	if client == nil {
		return nil, errors.New("no client; redis.NewClient makes one")
	}
	if c, ok := client.(interface{ IsBlocking() bool }); ok && !c.IsBlocking() {
		return nil, errors.New("an asynchronous AutoPipeliner answers too late; use AutoPipeline()")
	}
	s := &Sender{client: client, o: o}
	if !keepsDeadlines(client) {
		s.slots = make(chan struct{}, o.MaxPending)
	} else if one, ok := client.(*redis.Client); ok {
		s.gather = &gatherer{send: s, to: one}
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

// Context returns the context of a call, or of several that share one timeout, for Ask and Pipeline; to be closed.
func (s *Sender) Context(ctx context.Context) *deadline.Context { return s.contextAt(ctx, time.Now()) }

func (s *Sender) contextAt(ctx context.Context, now time.Time) *deadline.Context {
	if s.o.Detach {
		return s.timers.Detached(ctx, now.Add(s.o.Timeout))
	}
	return s.timers.With(ctx, now.Add(s.o.Timeout))
}

// Do sends a command and returns its answer, or redis.Nil. args must not be changed afterwards.
func (s *Sender) Do(ctx context.Context, args ...any) (any, error) { return s.Run(ctx, nil, args) }

// Run runs a script and returns its answer, or redis.Nil. args were begun by the script's Append and must not be used
// afterwards.
func (s *Sender) Run(ctx context.Context, sc *Script, args []any) (any, error) {
	now := time.Now()
	c := s.contextAt(ctx, now)
	defer c.Close()
	if err := c.ErrAt(now); err != nil {
		return nil, err
	}
	return s.ask(c, now, sc, args)
}

// Ask is Run in a context that Context has returned.
func (s *Sender) Ask(ctx context.Context, sc *Script, args []any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.ask(ctx, time.Now(), sc, args)
}

func (s *Sender) ask(ctx context.Context, now time.Time, sc *Script, args []any) (any, error) {
	if s.gather != nil && sc != nil {
		return s.gather.run(ctx, now, sc, args)
	}
	if s.slots == nil {
		return s.send(ctx, sc, args)
	}
	return bounded(ctx, s.slots, func() (any, error) { return s.send(ctx, sc, args) })
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
		return none, ErrBusy
	}
	done := make(chan reply, 1)
	go func() {
		defer func() { <-slots }()
		var r reply
		if err := safely(func() { r.v, r.err = f() }); err != nil {
			r.err = err
		}
		done <- r
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// safely calls f where nobody else could recover from its panic.
func safely(f func()) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrPanic
		}
	}()
	f()
	return nil
}

// once keeps go-redis from sending a command again when its answer does not come: it may have been carried out. A
// redirection is followed, since it says that it was not.
type once struct{ *redis.Cmd }

// NoRetry is true.
func (once) NoRetry() bool { return true }

// send sends a command, or a script by name and, when Redis does not know it, once in full: that answer says that
// nothing was done.
func (s *Sender) send(ctx context.Context, sc *Script, args []any) (any, error) {
	cmd, err := s.process(ctx, args)
	if sc != nil && unknown(err) {
		sc.full(args)
		cmd, err = s.process(ctx, args)
	}
	if err != nil {
		if !errors.Is(err, redis.Nil) {
			s.lost(ctx)
		}
		return nil, err
	}
	return cmd.Val(), nil
}

func (s *Sender) process(ctx context.Context, args []any) (once, error) {
	cmd := once{redis.NewCmd(ctx, args...)}
	err := s.client.Process(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	return cmd, err
}

// lost tells a cluster client to find out anew who serves which slot: go-redis does so by itself only where it may send
// a command again.
func (s *Sender) lost(ctx context.Context) {
	if c, ok := s.client.(interface{ ReloadState(ctx context.Context) }); ok {
		c.ReloadState(ctx) // on a goroutine of its own, and not more often than every 200 ms
	}
}

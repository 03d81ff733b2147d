package ratelimitredis

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/ratelimit"
)

// Store is a ratelimit.Store on Redis. It is safe for concurrent use, and starts goroutines only while Redis fails or
// the client does not keep deadlines.
type Store struct {
	*ratelimit.Tagger
	o        Options
	name     namer
	send     *redisend.Sender
	universe redis.UniversalClient // of PerKeySlots
	breakers [16]breaker           // by tenant: in a cluster a failing shard must not slow the others' tenants
	seed     maphash.Seed
	local    *local // nil unless Fail is Local
	encoders sync.Pool
}

var _ ratelimit.Store = (*Store)(nil)

// New returns a store. key is the secret of the tags, 32 to 1024 random bytes, the same for all processes that share the
// Redis; see ratelimit.NewTagger.
//
// A client should have ContextTimeoutEnabled set, which go-redis leaves off: without it, and with an AutoPipeliner, each
// call takes a goroutine that waits for the client's own timeouts, bounded by Options.MaxPending. Retries need not be
// switched off: the store's commands are never sent again. The client stays the caller's to close.
func New(client Processor, key []byte, opts *Options) (*Store, error) {
	tagger, err := ratelimit.NewTagger(key)
	if err != nil {
		return nil, err
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	send, err := redisend.New(client, redisend.Options{Timeout: o.Timeout, MaxPending: o.MaxPending, Detach: true})
	if err != nil {
		return nil, fmt.Errorf("ratelimitredis: %w", err)
	}
	s := &Store{Tagger: tagger, o: o, send: send, seed: maphash.MakeSeed()}
	s.name = newNamer(o.Prefix, o.PerKeySlots, tagger.Tag)
	if o.PerKeySlots {
		u, ok := client.(redis.UniversalClient)
		if !ok {
			return nil, fmt.Errorf("ratelimitredis: PerKeySlots needs a redis.UniversalClient, not %T", client)
		}
		s.universe = u
	}
	if o.Fail == Local {
		if s.local, err = newLocal(&o); err != nil {
			return nil, err
		}
	}
	s.encoders.New = func() any { return &encoder{} }
	return s, nil
}

// String names the store without its key.
func (s *Store) String() string { return "ratelimitredis.Store" }

// Decide implements ratelimit.Store: one script, one round trip. While Redis fails it answers by the fail mode, with
// Degraded set; it returns an error only for an invalid batch.
func (s *Store) Decide(ctx context.Context, b *ratelimit.Batch) error {
	if err := b.CheckDecide(); err != nil {
		return err
	}
	b.Degraded = nil
	if len(b.Buckets)+len(b.Sources) == 0 {
		s.nothing(b)
		return nil
	}
	why := s.guard(ctx, b, func(ctx context.Context, at, ttl int64) error {
		if s.universe != nil {
			return s.decideSlots(ctx, b, at, ttl)
		}
		out, err := s.batch(ctx, decideScript, b, (*encoder).decide, at, ttl)
		if err != nil {
			return err
		}
		return answer(b, out)
	})
	if why != nil {
		s.degrade(b, why)
	} else if s.local != nil {
		s.local.decided(b)
	}
	return nil
}

// nothing answers an empty batch.
func (s *Store) nothing(b *ratelimit.Batch) {
	if b.Now = b.At; b.Now == 0 {
		b.Now = s.o.Now().UnixMicro()
	}
	conclude(b, ratelimit.Allow, false)
}

// Adjust implements ratelimit.Store. While Redis fails and the fail mode is Local, the local store is adjusted and
// Degraded set; with the other modes it fails with an *OutageError.
func (s *Store) Adjust(ctx context.Context, b *ratelimit.Batch) error {
	if err := b.CheckAdjust(); err != nil {
		return err
	}
	b.Degraded = nil
	if len(b.Buckets)+len(b.Sources) == 0 {
		s.nothing(b)
		return nil
	}
	why := s.guard(ctx, b, func(ctx context.Context, at, ttl int64) error {
		if s.universe != nil {
			return s.adjustSlots(ctx, b, at, ttl)
		}
		out, err := s.batch(ctx, adjustScript, b, (*encoder).adjust, at, ttl)
		return s.stamp(b, out, err)
	})
	switch {
	case s.local == nil && why != nil:
		return why
	case s.local == nil:
		return nil
	case why != nil:
		b.Now, b.Degraded = s.local.time(b.At), why
	}
	s.local.adjust(b)
	return nil
}

// Forget implements ratelimit.Store. It fails with an *OutageError while Redis fails, in every fail mode.
func (s *Store) Forget(ctx context.Context, b *ratelimit.Batch) error {
	if err := b.CheckForget(); err != nil {
		return err
	}
	b.Degraded = nil
	if s.local != nil {
		s.local.forget(b)
	}
	if len(b.Buckets)+len(b.Sources) == 0 {
		s.nothing(b)
		return nil
	}
	why := s.guard(ctx, b, func(ctx context.Context, _, _ int64) error {
		if s.universe != nil {
			return s.forgetSlots(ctx, b)
		}
		out, err := s.run(ctx, forgetScript, s.name.keys(b, forgetScript))
		return s.stamp(b, out, err)
	})
	if why != nil {
		return why
	}
	return nil
}

// stamp takes the time over from an answer that says nothing else.
func (s *Store) stamp(b *ratelimit.Batch, out reply, err error) error {
	if err == nil && out.at(0) <= 0 {
		err = errReply
	}
	if err == nil {
		b.Now = out.at(0)
	}
	return err
}

// batch runs a script on all keys of a batch.
func (s *Store) batch(ctx context.Context, sc *redisend.Script, b *ratelimit.Batch, encode func(*encoder, *ratelimit.Batch, int64, int64), at, ttl int64) (reply, error) {
	e := s.encoders.Get().(*encoder)
	encode(e, b, at, ttl)
	args := append(s.name.keys(b, sc), string(e.b))
	s.encoders.Put(e)
	return s.run(ctx, sc, args)
}

// guard asks Redis through the breaker of the batch's tenant. It returns nil when Redis has answered.
func (s *Store) guard(ctx context.Context, b *ratelimit.Batch, ask func(ctx context.Context, at, ttl int64) error) *OutageError {
	k := s.breaker(b.Tenant)
	if k.opened.Load() {
		why, probe := k.state(s.o.Now(), s.o.ProbeInterval)
		if probe {
			go s.probe(k, b.Tenant)
		}
		if why != nil {
			return why
		}
	}
	at, ttl := b.At, int64(0)
	if at == 0 && s.o.InsecureNow != nil {
		at = s.o.InsecureNow().UnixMicro()
	}
	if at != 0 {
		ttl = simulatedTTL
	}
	c := s.send.Context(ctx)
	err := ask(c, at, ttl)
	c.Close()
	if err == nil {
		k.good()
		return nil
	}
	if s.o.Hooks.Failed != nil {
		s.o.Hooks.Failed(err)
	}
	if k.bad(err, int64(s.o.Failures), s.o.Now(), s.o.ProbeInterval) && s.o.Hooks.Down != nil {
		s.o.Hooks.Down(err)
	}
	return &OutageError{Cause: err}
}

func (s *Store) breaker(tenant string) *breaker {
	if tenant == "" {
		return &s.breakers[0]
	}
	return &s.breakers[maphash.String(s.seed, tenant)%uint64(len(s.breakers))]
}

// probe finds out whether Redis can decide again. Nobody waits for it.
func (s *Store) probe(k *breaker, tenant string) {
	ctx := s.send.Context(context.Background())
	_, err := s.run(ctx, probeScript, append(probeScript.Append(nil, 1), s.name.probe(tenant)))
	ctx.Close()
	after, closed := k.probed(err, s.o.Now(), s.o.ProbeInterval)
	if closed && s.o.Hooks.Up != nil {
		s.o.Hooks.Up(after)
	}
}

// degrade answers by the fail mode.
func (s *Store) degrade(b *ratelimit.Batch, why *OutageError) {
	b.Degraded = why
	if s.local != nil {
		s.local.decide(b)
		return
	}
	if b.Now = b.At; b.Now == 0 {
		b.Now = s.o.Now().UnixMicro()
	}
	for i := range b.Buckets {
		b.Buckets[i].Debt, b.Buckets[i].Exceeded = 0, false
	}
	for i := range b.Sources {
		o := &b.Sources[i]
		o.Score, o.Level, o.Until = 0, ratelimit.Allow, 0
	}
	b.Level, b.Charged, b.Wait = ratelimit.Allow, false, 0
	if s.o.Fail == Closed {
		b.Level, b.Wait = ratelimit.Deny, int64(s.o.ProbeInterval/time.Microsecond)
	}
}

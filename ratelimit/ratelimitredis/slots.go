package ratelimitredis

import (
	"context"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/ratelimit"
)

// call is a script for one key, and its answer.
type call struct {
	redisend.Call
	out reply
	err error
}

func newCall(sc *redisend.Script, key string, args ...any) call {
	all := append(sc.Append(make([]any, 0, 4+len(args)), 1), key)
	return call{Call: redisend.Call{Script: sc, Args: append(all, args...)}}
}

// pipeline sends all calls at once, each to the node of its key, and answers them.
func (s *Store) pipeline(ctx context.Context, calls []call) {
	list := make([]redisend.Call, len(calls))
	for i := range calls {
		list[i] = calls[i].Call
	}
	for i, c := range s.send.Pipeline(ctx, s.universe, list) {
		if calls[i].err = c.Err; c.Err == nil {
			calls[i].out, calls[i].err = read(c.Reply)
		}
	}
}

// firstError returns the first call's error.
func firstError(calls []call) error {
	for i := range calls {
		if calls[i].err != nil {
			return calls[i].err
		}
	}
	return nil
}

// decideSlots reserves what every bucket has, judges, and gives back when something refuses.
func (s *Store) decideSlots(ctx context.Context, b *ratelimit.Batch, at, ttl int64) error {
	calls := s.reserveCalls(b, at, ttl)
	s.pipeline(ctx, calls)
	held := make([]hold, len(b.Buckets))
	err := s.readReserved(b, calls, held)
	if err != nil {
		if undo := s.undoCalls(b, held, at, ttl); len(undo) > 0 {
			// The caller has waited long enough.
			go func() {
				ctx := s.send.Context(context.Background())
				defer ctx.Close()
				s.pipeline(ctx, undo)
			}()
		}
		return err
	}
	level, weight := judge(b)
	if b.DryRun || level == ratelimit.Allow {
		conclude(b, level, false)
		return nil
	}
	offence := level == ratelimit.Challenge || level == ratelimit.Deny
	for i := range b.Buckets {
		if c := &b.Buckets[i]; offence && c.Exceeded && c.ChargeDenied {
			held[i].amount = 0
		}
	}
	second := s.undoCalls(b, held, at, ttl)
	first := len(second)
	if offence && weight > 0 {
		for i := range b.Sources {
			second = append(second, s.sourceCall(adjustScript, b, i, at, ttl, weight))
		}
	}
	if len(second) > 0 {
		s.pipeline(ctx, second)
		// The attempt is refused whatever becomes of this; what is not given back is regained in time.
		if err := firstError(second); err != nil && s.o.Hooks.Failed != nil {
			s.o.Hooks.Failed(err)
		}
	}
	started := false
	for i := range second[first:] {
		if c := &second[first+i]; c.err == nil && readSource(&b.Sources[i], c.out, 2) == nil {
			started = started || b.Sources[i].Level == ratelimit.Ban
		}
	}
	if started {
		level = ratelimit.Ban
	}
	conclude(b, level, started)
	return nil
}

// reserveCalls are a call for each bucket and then for each source.
func (s *Store) reserveCalls(b *ratelimit.Batch, at, ttl int64) []call {
	calls := make([]call, 0, len(b.Buckets)+len(b.Sources))
	var e encoder
	for i := range b.Buckets {
		c := &b.Buckets[i]
		e.head(at, 1, ttl, decideWord(b))
		e.bucket(c, c.Cost*c.Interval, b.Challenged)
		calls = append(calls, newCall(reserveScript, s.name.key(b.Tenant, c.Key), string(e.b)))
	}
	for i := range b.Sources {
		calls = append(calls, s.sourceCall(decideScript, b, i, at, ttl, decideWord(b)))
	}
	return calls
}

// sourceCall looks at a source, or adjusts it. Repeat is 0, so that looking adds nothing.
func (s *Store) sourceCall(sc *redisend.Script, b *ratelimit.Batch, i int, at, ttl, word int64) call {
	var e encoder
	e.head(at, 0, ttl, word)
	e.ladder(b.Ladder, 0)
	e.source(&b.Sources[i])
	return newCall(sc, s.name.key(b.Tenant, b.Sources[i].Key), string(e.b))
}

// readReserved takes the answers over and fills held. After an error, held is what is known to be charged.
func (s *Store) readReserved(b *ratelimit.Batch, calls []call, held []hold) error {
	err := firstError(calls)
	b.Now = 0
	for i := range b.Buckets {
		c, out := &b.Buckets[i], calls[i].out
		if calls[i].err != nil {
			continue
		}
		if out.len() != 4 || out.at(0) <= 0 || out.at(2) < 0 || out.at(2) > most(c) {
			err = errReply
			continue
		}
		unit := c.Cost * c.Interval
		b.Now = max(b.Now, out.at(0))
		c.Debt = out.at(2)
		c.Exceeded = c.Debt+unit > c.Interval*c.Burst
		if !b.DryRun && !c.Hold && (out.at(1) == int64(ratelimit.Allow) || c.ChargeDenied) {
			h := hold{amount: min(unit, most(c)-c.Debt), old: out.at(3)}
			h.written = out.at(0) + c.Debt + h.amount
			if c.Debt > 0 {
				h.old = out.at(0) + c.Debt // what was out of bounds stays cut
			}
			held[i] = h
		}
	}
	for i := range b.Sources {
		c := &calls[len(b.Buckets)+i]
		if c.err != nil {
			continue
		}
		if bad := readSource(&b.Sources[i], c.out, 2); bad != nil {
			err = bad
			continue
		}
		b.Now = max(b.Now, c.out.at(0))
	}
	return err
}

// readSource reads the answer about a single source.
func readSource(o *ratelimit.Offender, out reply, head int) error {
	if out.len() < head || out.at(0) <= 0 {
		return errReply
	}
	one := ratelimit.Batch{Sources: []ratelimit.Offender{{Level: ratelimit.Allow}}}
	if err := answerSources(&one, out.from(head)); err != nil {
		return err
	}
	o.Score, o.Level, o.Until = one.Sources[0].Score, one.Sources[0].Level, one.Sources[0].Until
	return nil
}

// judge finds the level of a batch whose buckets and sources are known, and the weight of its offence.
func judge(b *ratelimit.Batch) (level ratelimit.Level, weight int64) {
	level = ratelimit.Allow
	banned := false
	for i := range b.Sources {
		if l := b.Sources[i].Level; l == ratelimit.Ban {
			banned = true
		} else if !b.Challenged {
			level = max(level, l)
		}
	}
	if level == ratelimit.Challenge {
		weight = b.Ladder.Repeat
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		switch {
		case !c.Exceeded || c.Soft && b.Challenged:
			continue
		case c.Soft:
			level = max(level, ratelimit.Challenge)
		default:
			level = max(level, ratelimit.Deny)
		}
		weight = max(weight, c.Weight)
	}
	if banned {
		level = ratelimit.Ban
	}
	return level, weight
}

// hold is what a bucket was charged before all have been judged.
type hold struct{ amount, written, old int64 }

// undoCalls give back what is held.
func (s *Store) undoCalls(b *ratelimit.Batch, held []hold, at, ttl int64) []call {
	var calls []call
	var e encoder
	for i, h := range held {
		if h.amount > 0 {
			e.head(at, 1, ttl, 0)
			e.int(h.written)
			e.int(h.amount)
			e.int(h.old)
			calls = append(calls, newCall(undoScript, s.name.key(b.Tenant, b.Buckets[i].Key), string(e.b)))
		}
	}
	return calls
}

// adjustSlots adjusts each key by itself.
func (s *Store) adjustSlots(ctx context.Context, b *ratelimit.Batch, at, ttl int64) error {
	var calls []call
	var e encoder
	for i := range b.Buckets {
		c := &b.Buckets[i]
		e.head(at, 1, ttl, 0)
		e.bucket(c, c.Cost*c.Interval, false)
		calls = append(calls, newCall(adjustScript, s.name.key(b.Tenant, c.Key), string(e.b)))
	}
	for i := range b.Sources {
		calls = append(calls, s.sourceCall(adjustScript, b, i, at, ttl, b.Offence))
	}
	return s.all(ctx, b, calls)
}

func (s *Store) forgetSlots(ctx context.Context, b *ratelimit.Batch) error {
	var calls []call
	for i := range b.Buckets {
		calls = append(calls, newCall(forgetScript, s.name.key(b.Tenant, b.Buckets[i].Key)))
	}
	for i := range b.Sources {
		calls = append(calls, newCall(forgetScript, s.name.key(b.Tenant, b.Sources[i].Key)))
	}
	return s.all(ctx, b, calls)
}

// all sends calls that only answer with the time.
func (s *Store) all(ctx context.Context, b *ratelimit.Batch, calls []call) error {
	s.pipeline(ctx, calls)
	if err := firstError(calls); err != nil {
		return err
	}
	b.Now = 0
	for i := range calls {
		if calls[i].out.at(0) <= 0 {
			return errReply
		}
		b.Now = max(b.Now, calls[i].out.at(0))
	}
	return nil
}

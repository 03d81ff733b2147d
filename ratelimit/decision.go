package ratelimit

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// Decision is what a limiter says about one attempt. The zero value allows nothing. Its methods may be called by
// several goroutines once Decide has returned; refund one copy only.
type Decision struct {
	// Level is the answer.
	Level Level
	// RetryAfter is when asking again may help: the end of a ban or slow-down, or when the refusing limits have
	// regained what it takes. 0 when allowed.
	RetryAfter time.Duration
	// Score is the highest offence score of the subject's sources, in points, and Standing the strictest level these
	// scores cause by themselves, whether or not it decided.
	Score    float64
	Standing Level
	// Charged says that the limits were charged.
	Charged bool
	// Degraded is set when the store answered by its fail mode: why.
	Degraded error

	l        *Limiter
	tenant   string
	cost     int64
	refunded uint32
	n        int
	first    [8]state
	more     []state
}

// state is one limit's state after the decision.
type state struct {
	limit           *limit
	interval, burst int64
	key             Key
	debt            int64 // time until full, now
	exceeded        bool
}

// LimitState is what one limit says.
type LimitState struct {
	// Name, Dim, Class, Kind and On are the limit's.
	Name  string
	Dim   Dimension
	Class Class
	Kind  Kind
	On    Level
	// Limit is the burst; Window how long it takes to regain it.
	Limit  int64
	Window time.Duration
	// Remaining is how many units are left, ResetAfter when it will be full again, and RetryAfter when one unit can be
	// had (0: now).
	Remaining  int64
	ResetAfter time.Duration
	RetryAfter time.Duration
	// Exceeded: the attempt was above it. With Subject.Challenged an exceeded soft limit does not decide.
	Exceeded bool
}

// Allowed reports whether the attempt may go on.
func (d *Decision) Allowed() bool { return d.Level == Allow }

// fill takes the answers over from the batch.
func (d *Decision) fill(l *Limiter, w *work) {
	b := &w.batch
	d.l, d.tenant = l, b.Tenant
	d.Level, d.Charged, d.Degraded, d.Standing = b.Level, b.Charged, b.Degraded, Allow
	var score int64
	for i := range b.Sources {
		s := &b.Sources[i]
		score = max(score, s.Score)
		d.Standing = max(d.Standing, s.Level)
	}
	d.Score = float64(score) / 1000
	d.RetryAfter = micros(b.Wait)
	d.n = len(b.Buckets)
	if d.n > len(d.first) {
		d.more = make([]state, d.n-len(d.first))
	}
	for i := range b.Buckets {
		c, lim := &b.Buckets[i], w.limits[i]
		s := d.state(i)
		*s = state{limit: lim, interval: c.Interval, burst: c.Burst, key: c.Key, debt: c.Debt, exceeded: c.Exceeded}
		if lim.Kind == Attempts {
			d.cost = c.Cost
		}
	}
}

func (d *Decision) state(i int) *state {
	if i < len(d.first) {
		return &d.first[i]
	}
	return &d.more[i-len(d.first)]
}

// Limits yields the state of each limit that applied, in the policy's order by dimension.
func (d *Decision) Limits() iter.Seq[LimitState] {
	return func(yield func(LimitState) bool) {
		for i := range d.n {
			if !yield(d.state(i).public()) {
				return
			}
		}
	}
}

func (s *state) public() LimitState {
	span := s.interval * s.burst
	return LimitState{
		Name: s.limit.Name, Dim: s.limit.Dim, Class: s.limit.Class, Kind: s.limit.Kind, On: s.limit.On,
		Limit: s.burst, Window: micros(span),
		Remaining:  max(0, span-s.debt) / s.interval,
		ResetAfter: micros(s.debt),
		RetryAfter: micros(max(0, s.debt+s.interval-span)),
		Exceeded:   s.exceeded,
	}
}

// Violated returns the names of the limits the attempt was above, for logs; a visitor should not be told.
func (d *Decision) Violated() []string {
	var names []string
	for i := range d.n {
		if s := d.state(i); s.exceeded {
			names = append(names, s.limit.Name)
		}
	}
	return names
}

// Refund gives back what the decision charged, for attempts that failed on our side. It does so once: further calls,
// also after an error, do nothing, since the first may have arrived. Offences are never refunded.
func (d *Decision) Refund(ctx context.Context) error {
	if !d.Charged || !atomic.CompareAndSwapUint32(&d.refunded, 0, 1) {
		return nil
	}
	return d.l.refund(ctx, d.tenant, d.charges())
}

// charge is what a bucket was charged.
type charge struct {
	key                   Key
	interval, burst, cost int64
}

func (d *Decision) charges() []charge {
	list := make([]charge, 0, d.n)
	for i := range d.n {
		if s := d.state(i); s.limit.Kind == Attempts {
			list = append(list, charge{s.key, s.interval, s.burst, d.cost})
		}
	}
	return list
}

func (l *Limiter) refund(ctx context.Context, tenant string, list []charge) error {
	if len(list) == 0 {
		return nil
	}
	b := Batch{Tenant: tenant, Buckets: make([]Bucket, len(list))}
	for i, c := range list {
		b.Buckets[i] = Bucket{Key: c.key, Interval: c.interval, Burst: c.burst, Cost: -c.cost}
	}
	return l.call(ctx, opAdjust, &b)
}

// micros converts microseconds, which may be 71 years, to a Duration.
func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

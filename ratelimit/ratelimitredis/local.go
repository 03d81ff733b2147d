package ratelimitredis

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// local is the store of fail mode Local. It keeps Redis's time: what was charged before an outage fades on during it
// without a step.
type local struct {
	mem       *ratelimit.Memory
	instances int64
	now       func() time.Time
	start     time.Time
	ahead     atomic.Int64 // Redis's clock minus ours, microseconds
	offences  atomic.Bool  // has it ever held an offence record?
	pool      sync.Pool
}

func newLocal(o *Options) (*local, error) {
	mem, err := ratelimit.NewMemory(o.Memory)
	if err != nil {
		return nil, err
	}
	l := &local{mem: mem, instances: int64(o.Instances), now: o.Now, start: o.Now()}
	l.pool.New = func() any { return &ratelimit.Batch{} }
	return l, nil
}

// clock is this process's time in microseconds, which steps of the wall clock do not move.
func (l *local) clock() int64 { return l.start.UnixMicro() + l.now().Sub(l.start).Microseconds() }

// time is what Redis's clock shows as far as we know.
func (l *local) time(at int64) int64 {
	if at != 0 {
		return at
	}
	return l.clock() + l.ahead.Load()
}

// copy returns a batch with this instance's part of each bucket that keep wants, and no sources.
func (l *local) copy(b *ratelimit.Batch, at int64, keep func(*ratelimit.Bucket) bool) *ratelimit.Batch {
	m := l.pool.Get().(*ratelimit.Batch)
	*m = ratelimit.Batch{
		At: at, Challenged: b.Challenged, DryRun: b.DryRun, Offence: b.Offence, Ladder: b.Ladder,
		Buckets: m.Buckets[:0], Sources: m.Sources[:0],
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		if keep != nil && !keep(c) {
			continue
		}
		const maxSpan = 1 << 51
		burst := (c.Burst + l.instances - 1) / l.instances
		interval := maxSpan / burst
		if c.Interval <= interval/l.instances {
			interval = c.Interval * l.instances
		}
		m.Buckets = append(m.Buckets, ratelimit.Bucket{
			Key: c.Key, Interval: interval, Burst: burst, Cost: max(-burst, min(c.Cost, burst)), Weight: c.Weight,
			Soft: c.Soft, Hold: c.Hold, ChargeDenied: c.ChargeDenied,
		})
	}
	return m
}

func copySources(m, b *ratelimit.Batch) {
	for i := range b.Sources {
		o := &b.Sources[i]
		m.Sources = append(m.Sources, ratelimit.Offender{Key: o.Key, Share: o.Share, Most: o.Most})
	}
}

// decide answers a batch in Redis's place.
func (l *local) decide(b *ratelimit.Batch) {
	m := l.copy(b, l.time(b.At), nil)
	defer l.pool.Put(m)
	copySources(m, b)
	_ = l.mem.Decide(context.Background(), m) // the batch is valid, and memory does not fail otherwise
	b.Now, b.Level, b.Charged, b.Wait = m.Now, m.Level, m.Charged, m.Wait
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.Debt, c.Exceeded = min(m.Buckets[i].Debt, most(c)), m.Buckets[i].Exceeded
	}
	for i := range b.Sources {
		o, n := &b.Sources[i], &m.Sources[i]
		o.Score, o.Level, o.Until = n.Score, n.Level, n.Until
		if n.Score > 0 || n.Level > ratelimit.Allow {
			l.offences.Store(true)
		}
	}
}

// decided takes over what Redis has decided.
func (l *local) decided(b *ratelimit.Batch) {
	if b.At == 0 {
		l.ahead.Store(b.Now - l.clock())
	}
	if b.Charged {
		m := l.copy(b, b.Now, func(c *ratelimit.Bucket) bool { return !c.Hold && c.Cost > 0 })
		m.DryRun, m.Offence = false, 0
		_ = l.mem.Adjust(context.Background(), m)
		l.pool.Put(m)
	}
	if b.DryRun || len(b.Sources) == 0 {
		return
	}
	for i := range b.Sources {
		if b.Sources[i].Score > 0 || b.Sources[i].Level > ratelimit.Allow {
			l.offences.Store(true)
		}
	}
	if l.offences.Load() {
		l.mirror(b)
	}
}

// mirror makes the batch's offence records what Redis says they are.
func (l *local) mirror(b *ratelimit.Batch) {
	m := l.copy(b, b.Now, func(*ratelimit.Bucket) bool { return false })
	defer l.pool.Put(m)
	copySources(m, b)
	m.DryRun = true
	_ = l.mem.Decide(context.Background(), m)
	ctx := context.Background()
	for i := range b.Sources {
		o, have := &b.Sources[i], m.Sources[i]
		const step = int64(time.Second / time.Microsecond)
		if have.Level == o.Level && near(have.Score, o.Score, 1) && near(have.Until, o.Until, step) {
			continue
		}
		one := ratelimit.Batch{At: b.Now, Ladder: b.Ladder, Sources: []ratelimit.Offender{{Key: o.Key, Share: 1000, Most: ratelimit.Challenge}}}
		_ = l.mem.Forget(ctx, &one)
		score := o.Score
		if o.Level == ratelimit.Slow {
			// It is slowed from its last offence on, when the score was higher.
			one.At = o.Until - b.Ladder.Slow
			score = int64(math.Ceil(float64(score) * math.Exp2(float64(b.Now-one.At)/float64(b.Ladder.HalfLife))))
		}
		if one.Offence = min(score, b.Ladder.Max); one.Offence > 0 {
			_ = l.mem.Adjust(ctx, &one)
		}
		if o.Level == ratelimit.Ban {
			// A ladder on which a single thousandth starts a ban of just what is left.
			ladder := *b.Ladder
			ladder.SlowAt, ladder.ChallengeAt, ladder.BanAt, ladder.Max = 1, 1, 1, max(b.Ladder.Max, 2)
			ladder.Ban = max(o.Until-b.Now, step)
			ladder.MaxBan = ladder.Ban
			one.At, one.Offence, one.Ladder = b.Now, 1, &ladder
			one.Sources[0].Most = ratelimit.Ban
			_ = l.mem.Adjust(ctx, &one)
		}
	}
}

func near(a, b, by int64) bool { return a-b <= by && b-a <= by }

// adjust does what Redis was told to do, at the same time.
func (l *local) adjust(b *ratelimit.Batch) {
	m := l.copy(b, b.Now, nil)
	defer l.pool.Put(m)
	copySources(m, b)
	if b.Offence > 0 && len(b.Sources) > 0 {
		l.offences.Store(true)
	}
	_ = l.mem.Adjust(context.Background(), m)
}

func (l *local) forget(b *ratelimit.Batch) {
	_ = l.mem.Forget(context.Background(), &ratelimit.Batch{Buckets: slices.Clone(b.Buckets), Sources: slices.Clone(b.Sources)})
}

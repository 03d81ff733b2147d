package ratelimit

import "slices"

// Bounds of a subject.
const (
	maxTenant  = 255
	maxDevices = 4
	maxValues  = 16
)

// work is what one call needs, re-used.
type work struct {
	batch  Batch
	limits []*limit // of batch.Buckets
	text   []byte
}

// task is what a batch is built for.
type task uint8

const (
	toDecide task = iota
	toReport
	toReset
	toUnban
)

// ask is what a batch is built of: the failures of a report, or the names of limits to reset.
type ask struct {
	s        *Subject
	t        task
	failures []Failure
	names    []string
	over     *overrides
}

// build fills the batch for a task.
func (l *Limiter) build(w *work, q ask) error {
	s := q.s
	b := &w.batch
	b.Tenant, b.Ladder = s.Tenant, &l.policy.penalty.ladder
	b.At, b.Challenged, b.DryRun, b.Offence = 0, false, false, 0
	b.Buckets, b.Sources = b.Buckets[:0], b.Sources[:0]
	b.Now, b.Level, b.Charged, b.Wait, b.Degraded = 0, 0, false, 0, nil
	b.checked = true
	w.limits = w.limits[:0]
	if len(s.Tenant) > maxTenant || len(s.Device) > maxDevices || len(s.IDs) > maxValues || len(s.Custom) > maxValues {
		return ErrSubject
	}
	if s.Cost < 0 {
		return ErrCost
	}
	plan := l.policy.plan(s.Event, s.Client)
	addr := l.address(s.IP)
	if plan.address && !addr.IsValid() && !l.skipIP {
		return ErrNoAddress
	}
	q.over = l.overrides.Load()
	text := w.text[:0]
	for i := range plan.groups {
		g := &plan.groups[i]
		source := g.source
		if g.kind == deviceValue && !s.DeviceVerified && q.t != toUnban {
			source = nil
		}
		if len(g.limits) == 0 && source == nil {
			continue
		}
		for n := 0; ; n++ {
			text = appendTenant(append(text[:0], g.head...), s.Tenant)
			start := len(text)
			var more bool
			if text, more = appendValue(text, s, g, addr, n); len(text) > start || g.kind == globalValue {
				if err := l.add(w, &q, g, source, l.store.Tag(text)); err != nil {
					return err
				}
			}
			if !more {
				break
			}
		}
	}
	w.text = text
	return nil
}

// add puts one value's buckets and offence record into the batch.
func (l *Limiter) add(w *work, q *ask, g *group, source *sourceRule, tag Key) error {
	b, t := &w.batch, q.t
	limits := g.limits
	if t == toUnban {
		limits = nil
	}
	for _, lim := range limits {
		key := tag.xor(lim.salt)
		interval, burst := lim.rate.interval, lim.rate.burst
		if q.over != nil {
			if r := (*q.over)[key]; r != nil && r.limited {
				interval, burst = r.interval, r.burst
			} else if r != nil && t != toReset {
				continue
			}
		}
		var cost int64
		switch t {
		case toDecide:
			cost = max(q.s.Cost, 1)
			if lim.Kind == Failures {
				cost = 1
			}
			if cost > burst {
				return ErrCost
			}
		case toReport:
			for _, f := range q.failures {
				if lim.charged(f) && cost < burst {
					cost++
				}
			}
			if cost == 0 {
				continue
			}
		case toReset:
			if len(q.names) == 0 && lim.Class == Shared || len(q.names) > 0 && !slices.Contains(q.names, lim.Name) {
				continue
			}
		}
		n := len(b.Buckets)
		if n == MaxBuckets {
			return ErrSubject
		}
		if n == cap(b.Buckets) {
			b.Buckets = slices.Grow(b.Buckets, 12)
		}
		b.Buckets = b.Buckets[:n+1]
		// Everything a store reads is written; what it answers it overwrites.
		c := &b.Buckets[n]
		c.Key, c.Interval, c.Burst, c.Cost, c.Weight = key, interval, burst, cost, lim.weight
		c.Soft, c.Hold, c.ChargeDenied = lim.On == Challenge, lim.Kind == Failures, lim.ChargeDenied
		c.Debt, c.Exceeded = 0, false
		w.limits = append(w.limits, lim)
	}
	if source != nil && t != toReset {
		n := len(b.Sources)
		if n == MaxSources {
			return ErrSubject
		}
		if n == cap(b.Sources) {
			b.Sources = slices.Grow(b.Sources, 4)
		}
		b.Sources = b.Sources[:n+1]
		o := &b.Sources[n]
		o.Key, o.Share, o.Most = tag.xor(l.offence), source.share, source.most
		o.Score, o.Level, o.Until = 0, Allow, 0
	}
	return nil
}

// put returns w for re-use, without what it read.
func (l *Limiter) put(w *work) {
	w.batch.Tenant = ""
	clear(w.text[:cap(w.text)])
	w.text = w.text[:0]
	l.pool.Put(w)
}

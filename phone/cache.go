package phone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// CacheOptions of a [Cache]. The zero value and nil mean the defaults.
type CacheOptions struct {
	// Lifetimes say how long each field is kept; 0: not at all. Fields that are not named have the default: a day for
	// line type, carrier and validity, an hour for pumping risk, lists and recycling, two minutes for SIM and device
	// swaps, forwarding and activity: they matter because they are new.
	Lifetimes map[Fields]time.Duration
	// Max bounds the numbers kept; default 100,000. When full, any entry may be dropped.
	Max int
	// Timeout bounds one look-up, whoever waits for it; default 3 s.
	Timeout time.Duration
	Now     func() time.Time
}

// Cache keeps what an [Intelligence] said, each field for its lifetime, and has at most one look-up of a number under
// way: callers who ask meanwhile wait for that one. What is not known is not kept, errors are not kept. It is safe for
// concurrent use.
type Cache struct {
	next Intelligence
	now  func() time.Time
	life map[Fields]time.Duration
	most int
	wait time.Duration

	mu     sync.Mutex
	known  map[cacheKey]*cached   // guarded by mu
	flight map[cacheKey]*lookedUp // guarded by mu
}

var _ Intelligence = (*Cache)(nil)

type cacheKey struct {
	n     Number
	swap  time.Duration
	since int64
}

type cached struct {
	intel Intel
	until map[Fields]time.Time
}

type lookedUp struct {
	done   chan struct{}
	fields Fields
	intel  Intel
	err    error
}

// NewCache puts a cache before an Intelligence.
func NewCache(next Intelligence, opts *CacheOptions) (*Cache, error) {
	var o CacheOptions
	if opts != nil {
		o = *opts
	}
	if next == nil {
		return nil, errors.New("phone: nothing to cache")
	}
	if o.Max < 0 || o.Timeout < 0 {
		return nil, errors.New("phone: Max and Timeout of a cache must not be negative")
	}
	c := &Cache{next: next, now: o.Now, most: o.Max, wait: o.Timeout,
		known: map[cacheKey]*cached{}, flight: map[cacheKey]*lookedUp{}}
	if c.now == nil {
		c.now = time.Now
	}
	if c.most == 0 {
		c.most = 100_000
	}
	if c.wait == 0 {
		c.wait = 3 * time.Second
	}
	const day, short = 24 * time.Hour, 2 * time.Minute
	c.life = map[Fields]time.Duration{FieldValid: day, FieldLine: day, FieldCarrier: day, FieldPumping: time.Hour,
		FieldDisposable: time.Hour, FieldRecycled: time.Hour, FieldSIMSwap: short, FieldDeviceSwap: short,
		FieldForwarding: short, FieldActive: short}
	for f, d := range o.Lifetimes {
		if _, ok := c.life[f]; !ok || d < 0 || d > 30*day {
			return nil, fmt.Errorf("phone: Lifetimes: want single fields and 0 to 30 days")
		}
		c.life[f] = d
	}
	return c, nil
}

// Lookup implements [Intelligence].
func (c *Cache) Lookup(ctx context.Context, n Number, q Query) (Intel, error) {
	key := cacheKey{n: n, swap: q.Swap()}
	if !q.Since.IsZero() {
		key.since = q.Since.Unix() / 86400
	}
	for {
		if err := ctx.Err(); err != nil {
			return Intel{}, err
		}
		c.mu.Lock()
		out := c.fresh(key, q.Fields)
		missing := q.Fields &^ out.Known()
		if missing == 0 {
			c.mu.Unlock()
			return out, nil
		}
		f := c.flight[key]
		if f == nil {
			f = &lookedUp{done: make(chan struct{}), fields: missing}
			c.flight[key] = f
			go c.ask(ctx, key, n, q, f) // with a deadline of its own: others may wait for it when the caller has given up
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return out, ctx.Err()
		}
		if missing&^f.fields == 0 { // it was asked for all we miss: its answer is ours
			out.Take(f.intel, missing)
			return out, f.err
		}
	}
}

// ask looks up and keeps.
func (c *Cache) ask(ctx context.Context, key cacheKey, n Number, q Query, f *lookedUp) {
	q.Fields = f.fields
	f.err = errors.New("phone: the look-up panicked")
	defer func() {
		_ = recover() // f.err says so
		c.mu.Lock()
		c.keep(key, f)
		delete(c.flight, key)
		c.mu.Unlock()
		close(f.done)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.wait)
	defer cancel()
	f.intel, f.err = c.next.Lookup(ctx, n, q)
}

// fresh is what is known and not too old; c.mu is held.
func (c *Cache) fresh(key cacheKey, fields Fields) Intel {
	var out Intel
	e := c.known[key]
	if e == nil {
		return out
	}
	now := c.now()
	for field, until := range e.until {
		if fields&field != 0 && now.Before(until) {
			out.Take(e.intel, field)
		}
	}
	return out
}

// keep stores what was looked up; c.mu is held.
func (c *Cache) keep(key cacheKey, f *lookedUp) {
	got := f.intel.Known() & f.fields
	if got == 0 {
		return
	}
	e := c.known[key]
	if e == nil {
		if len(c.known) >= c.most {
			for k := range c.known { // any: maps are walked in random order
				delete(c.known, k)
				break
			}
		}
		e = &cached{until: map[Fields]time.Time{}}
		c.known[key] = e
	}
	now := c.now()
	for field, life := range c.life {
		if got&field != 0 && life > 0 {
			e.intel.Take(f.intel, field)
			e.until[field] = now.Add(life)
		}
	}
}

// Overrides puts answers of one's own before an [Intelligence]: for numbers a service is known to be wrong about. What an
// override does not know is asked. It is safe for concurrent use.
type Overrides struct {
	next Intelligence

	mu sync.RWMutex
	m  map[Number]Intel // guarded by mu
}

var _ Intelligence = (*Overrides)(nil)

// NewOverrides makes overrides before next, which may be nil.
func NewOverrides(next Intelligence, m map[Number]Intel) *Overrides {
	o := &Overrides{next: next, m: maps.Clone(m)}
	if o.m == nil {
		o.m = map[Number]Intel{}
	}
	return o
}

// Set overrides what is known about a number; the zero Intel removes the override.
func (o *Overrides) Set(n Number, i Intel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i == (Intel{}) {
		delete(o.m, n)
		return
	}
	o.m[n] = i
}

// Lookup implements [Intelligence].
func (o *Overrides) Lookup(ctx context.Context, n Number, q Query) (Intel, error) {
	o.mu.RLock()
	own := o.m[n]
	o.mu.RUnlock()
	var out Intel
	out.Take(own, q.Fields)
	q.Fields &^= out.Known()
	if q.Fields == 0 || o.next == nil {
		return out, nil
	}
	got, err := o.next.Lookup(ctx, n, q)
	out.Take(got, q.Fields)
	return out, err
}

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-go/vestibule/internal/deadline"
)

// Options of a limiter. The zero value and nil mean the defaults.
type Options struct {
	// Timeout bounds a call of a store that is not in this process; default 50 ms. It is the call's only bound: a
	// caller who hangs up must not skip a charge.
	Timeout time.Duration
	// NAT64 are translation prefixes of the network the visitors come through, each a /96 such as 64:ff9b::/96: an
	// address in them counts as the IPv4 address in its last 32 bits. Default none.
	NAT64 []netip.Prefix
	// Tunnels makes 6to4 (2002::/16) and Teredo (2001::/32) addresses count as the IPv4 address they carry.
	Tunnels bool
	// SkipMissingIP lets a subject without address pass the limits on addresses, which else is ErrNoAddress. With it,
	// a proxy that loses the address switches these limits off.
	SkipMissingIP bool
	// Jitter returns a number in [0, 1), drawn for each Retry-After; default math/rand/v2.Float64.
	Jitter func() float64
	// Hooks observe the limiter; nil: nobody does.
	Hooks *Hooks
}

// Hooks observe a limiter. Each may be nil; they run on the caller's goroutine and must not block.
type Hooks struct {
	// Decided gets each decision and how long it took. Copies of decisions must not be refunded.
	Decided func(d Decision, took time.Duration)
	// StoreError gets what a store failed at: "decide", "adjust" or "forget".
	StoreError func(op string, err error)
}

// Limiter decides whether attempts are within the limits of its policy. It is safe for concurrent use.
type Limiter struct {
	policy    *policy
	store     Store
	local     bool
	timeout   time.Duration
	nat64     []netip.Prefix
	tunnels   bool
	skipIP    bool
	jitter    func() float64
	hooks     Hooks
	offence   Key // salt of offence records
	overrides atomic.Pointer[overrides]
	pool      sync.Pool
}

// New returns a limiter of a policy on a store.
func New(p Policy, store Store, opts *Options) (*Limiter, error) {
	if store == nil {
		return nil, errors.New("ratelimit: no store; NewMemory makes one")
	}
	compiled, err := p.compile()
	if err != nil {
		return nil, err
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("ratelimit: Timeout is %v, must be more than 0 (0 means 50 ms)", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = 50 * time.Millisecond
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	for _, p := range o.NAT64 {
		if !p.IsValid() || p.Bits() != 96 || p.Addr().Is4() || p.Addr().Is4In6() || p.Masked() != p {
			return nil, fmt.Errorf("ratelimit: NAT64 prefix %v must be an IPv6 /96 such as 64:ff9b::/96", p)
		}
	}
	l := &Limiter{policy: compiled, store: store, timeout: o.Timeout, nat64: slices.Clone(o.NAT64), tunnels: o.Tunnels, skipIP: o.SkipMissingIP, jitter: o.Jitter}
	if o.Hooks != nil {
		l.hooks = *o.Hooks
	}
	if s, ok := store.(InProcess); ok {
		l.local = s.InProcess()
	}
	for _, c := range compiled.limits {
		c.salt = store.Tag(append([]byte{tagLimit}, c.Name...)).asSalt()
	}
	l.offence = store.Tag([]byte{tagOffence}).asSalt()
	l.pool.New = func() any { return &work{} }
	return l, nil
}

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

// Decide judges an attempt by all limits that apply to it and charges all of them, or, if it is refused, none. An
// error means that it could not tell; the decision is then invalid and allows nothing.
func (l *Limiter) Decide(ctx context.Context, s Subject) (d Decision, err error) {
	err = l.decide(ctx, &s, false, &d)
	return d, err
}

// Peek says what Decide would say, without charging or counting anything. An offence that would have started a ban is
// not foreseen.
func (l *Limiter) Peek(ctx context.Context, s Subject) (d Decision, err error) {
	err = l.decide(ctx, &s, true, &d)
	return d, err
}

// decide fills d, which is zero, unless it fails.
func (l *Limiter) decide(ctx context.Context, s *Subject, dry bool, d *Decision) error {
	var begin time.Time
	if l.hooks.Decided != nil {
		begin = time.Now()
	}
	w := l.pool.Get().(*work)
	defer l.put(w)
	if err := l.build(w, ask{s: s, t: toDecide}); err != nil {
		return err
	}
	w.batch.Challenged, w.batch.DryRun = s.Challenged, dry
	if err := l.call(ctx, opDecide, &w.batch); err != nil {
		return err
	}
	d.fill(l, w)
	if l.hooks.Decided != nil {
		l.hooks.Decided(*d, time.Since(begin))
	}
	return nil
}

// Calls of a store, as hooks name them.
const (
	opDecide = "decide"
	opAdjust = "adjust"
	opForget = "forget"
)

// call asks the store. A store elsewhere gets its own deadline, and none of the caller's cancellation.
func (l *Limiter) call(ctx context.Context, op string, b *Batch) error {
	if !l.local {
		c := deadline.Detached(ctx, time.Now().Add(l.timeout))
		defer c.Close()
		ctx = c
	}
	var err error
	switch op {
	case opDecide:
		err = l.store.Decide(ctx, b)
		if err == nil && (b.Level < Allow || b.Level > Ban) {
			err = fmt.Errorf("ratelimit: the store answered %v", b.Level)
		}
	case opAdjust:
		err = l.store.Adjust(ctx, b)
	case opForget:
		err = l.store.Forget(ctx, b)
	}
	if err != nil && l.hooks.StoreError != nil {
		l.hooks.StoreError(op, err)
	}
	return err
}

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

// appendValue appends the subject's n-th value of the group's dimension to the text, or nothing when there is none, and
// reports whether there may be more. A value named twice is appended once, for a batch must not hold a key twice.
func appendValue(b []byte, s *Subject, g *group, addr netip.Addr, n int) (text []byte, more bool) {
	switch g.kind {
	case addressValue:
		if addr.IsValid() {
			b = appendAddr(b, g.dim, addr)
		}
	case phoneValue:
		b = appendPhone(b, s.Phone)
	case emailValue:
		b = appendFolded(b, s.Email, true)
	case deviceValue:
		if n < len(s.Device) && !sameCut(s.Device[:n], s.Device[n]) {
			b = append(b, cut(s.Device[n])...)
		}
		return b, n+1 < len(s.Device)
	case businessValue:
		if n < len(s.IDs) && !namedBefore(s.IDs, n) {
			b = appendID(b, s.IDs[n].Name, s.IDs[n].Value)
		}
		return b, n+1 < len(s.IDs)
	case idValue:
		b = appendFolded(b, named(s.IDs, string(g.dim[len(idPrefix):])), false)
	case customValue:
		b = append(b, cut(named(s.Custom, string(g.dim[len(customPrefix):])))...)
	case exactValue:
		b = append(b, cut(s.field(g.dim))...)
	}
	return b, false
}

// field returns the field a dimension reads as it is.
func (s *Subject) field(d Dimension) string {
	switch d {
	case Account:
		return s.Account
	case Session:
		return s.Session
	case SSO:
		return s.SSO
	case Endpoint:
		return s.Event
	case Client:
		return s.Client
	}
	return ""
}

// cut bounds a value.
func cut(v string) string { return v[:min(len(v), maxValue)] }

// sameCut reports whether v is in list, as far as values count.
func sameCut(list []string, v string) bool {
	for _, o := range list {
		if cut(o) == cut(v) {
			return true
		}
	}
	return false
}

// namedBefore reports whether the type of identifier n came already: the first of a type counts.
func namedBefore(ids []Value, n int) bool {
	for i := range n {
		if ids[i].Name == ids[n].Name && ids[i].Value != "" {
			return true
		}
	}
	return false
}

// named finds the value of a name.
func named(list []Value, name string) string {
	for i := range list {
		if list[i].Name == name && list[i].Value != "" {
			return list[i].Value
		}
	}
	return ""
}

// address returns the address to count by: one spelling, translation undone; invalid when there is none.
func (l *Limiter) address(a netip.Addr) netip.Addr {
	a = plain(a)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	if !a.Is6() {
		return a
	}
	for _, p := range l.nat64 {
		if p.Contains(a) {
			ip := a.As16()
			return netip.AddrFrom4([4]byte(ip[12:]))
		}
	}
	if l.tunnels {
		ip := a.As16()
		switch {
		case ip[0] == 0x20 && ip[1] == 0x02: // RFC 3056: 2002:V4ADDR::/48
			return netip.AddrFrom4([4]byte(ip[2:6]))
		case ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0 && ip[3] == 0: // RFC 4380: the address inverted, last
			return netip.AddrFrom4([4]byte{^ip[12], ^ip[13], ^ip[14], ^ip[15]})
		}
	}
	return a
}

// put returns w for re-use, without what it read.
func (l *Limiter) put(w *work) {
	w.batch.Tenant = ""
	clear(w.text[:cap(w.text)])
	w.text = w.text[:0]
	l.pool.Put(w)
}

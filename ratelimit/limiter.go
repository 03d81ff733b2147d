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

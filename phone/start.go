package phone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Start asks for a code to be sent.
type StartRequest struct {
	Number  Number
	Tenant  string
	Purpose string // "signup"; a code for one purpose is none for another
	Flow    string // what the code is bound to: a flow or session that the client cannot choose; required
	Request string // the client's name for this request; a repeated one sends nothing; "" none
	Channel Channel
	// Device names the client's device (a keyed tag), IP is its address: both optional, for counting.
	Device string
	IP     netip.Addr
	// HighValue and AttestFailed make a voice call the only channel.
	HighValue, AttestFailed bool
	// Line is what an [Intelligence] has said; Unknown: nothing.
	Line LineType
	// Brand and Locale of the message; default the verifier's brand and "en". Any text will do: see [Brand].
	Brand, Locale string
}

// String names the masked number only.
func (r StartRequest) String() string { return "start for " + r.Number.String() }

// GoString is String.
func (r StartRequest) GoString() string { return r.String() }

// LogValue logs the masked number only.
func (r StartRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// StartOutcome is what became of a [StartRequest].
type StartOutcome uint8

// The outcomes. They are for the caller: a visitor who can tell them apart learns what is blocked and why.
const (
	Sent    StartOutcome = iota + 1 // a new code is on its way, or will be in the background
	Resent                          // the living code once more
	Repeat                          // this request was answered before; nothing was sent
	Cooled                          // too soon after the last message
	Limited                         // a limit or budget is spent: Reason says which
	Locked                          // too many wrong codes
	Denied                          // the policy refuses, or the channel cannot be served: Reason says why
	Pumping                         // the route converts too badly, or numbers come in sequence
	Failed                          // the sender surely sent nothing
	Unsure                          // the sender gave no answer: a code may be on its way
)

var startNames = [...]string{"", "sent", "resent", "repeat", "cooled", "limited", "locked", "denied", "pumping", "failed", "unsure"}

// String is the name in lower case.
func (o StartOutcome) String() string {
	if int(o) >= len(startNames) {
		return "invalid"
	}
	return startNames[o]
}

// Challenge is the answer of [Verifier.Start].
type Challenge struct {
	Outcome StartOutcome
	Reason  string // more of it, for logs; never for the visitor
	Channel Channel
	Digits  int
	// RetryAfter is when asking again may help, as far as a visitor may know: it says nothing about limits and refusals.
	// Expires is when the code dies, or would die had one been sent; zero where neither is known.
	RetryAfter time.Duration
	Expires    time.Time
	Err        error // of the sender; without number and code
}

// Start sends a code, unless something speaks against it. An error means that the store could not tell; nothing was sent
// then. Whatever the outcome, the visitor should see the same: a request that is refused begins the same pause as one
// that is not, and [Verifier.Check] then finds every code wrong as often as it would have compared one.
func (v *Verifier) Start(ctx context.Context, r StartRequest) (Challenge, error) {
	ch := r.Channel
	if ch == 0 {
		ch = SMS
	}
	if r.HighValue || r.AttestFailed {
		ch = Voice
	}
	out := Challenge{Channel: ch, Digits: v.o.Digits, RetryAfter: v.o.Cooldowns[0]}
	if r.Number.IsZero() {
		return out, errors.New("phone: Start wants a number; Parse makes one")
	}
	if r.Flow == "" || r.Purpose == "" {
		return out, errors.New("phone: Start wants a Flow and a Purpose to bind the code to")
	}
	plan, err := v.plan(ctx, r, ch)
	if err != nil {
		return out, err
	}
	code, is, err := v.issue(ctx, r, ch, plan)
	if err != nil {
		return out, err
	}
	out.RetryAfter, out.Expires = is.RetryAfter, is.Expires
	if plan.refused != 0 {
		out.Outcome, out.Reason = plan.refused, plan.reason
		return out, nil
	}
	deny := func(o StartOutcome, reason string) (Challenge, error) {
		out.Outcome, out.Reason = o, reason
		return out, nil
	}
	switch is.Outcome {
	case Duplicate:
		return deny(Repeat, "")
	case Cooling:
		return deny(Cooled, "")
	case Exceeded:
		if q := is.Quotas[is.Quota]; q.Money {
			return deny(Limited, "budget")
		} else if len(plan.extra) > 0 && q.Key == plan.extra[0].Key {
			return deny(Pumping, "probes spent")
		}
		return deny(Limited, "limit")
	case LockedOut:
		return deny(Locked, "")
	case Issued:
		out.Outcome = Sent
	case Resend:
		out.Outcome = Resent
	default:
		return out, errors.New("phone: the store answered nonsense")
	}
	if plan.test {
		return out, nil
	}
	job := &sendJob{v: v, r: r, ch: ch, code: code, is: is, fresh: is.Outcome == Issued}
	if !v.o.Background {
		job.run(context.WithoutCancel(ctx), &out)
		return out, nil
	}
	select {
	case v.slots <- struct{}{}:
	default:
		job.settle(context.WithoutCancel(ctx), Receipt{}, true)
		return deny(Limited, "too many messages on their way")
	}
	v.sending.Go(func() {
		defer func() { <-v.slots }()
		var unseen Challenge
		job.run(context.WithoutCancel(ctx), &unseen)
	})
	return out, nil
}

// plan is what is decided about a request before the store is asked for a code.
type plan struct {
	refused StartOutcome // Denied or Pumping; zero: nothing speaks against it
	reason  string
	test    bool // a test number
	code    Code // its code
	routes  []Key
	extra   []Quota // of the monitor
}

// plan decides. It asks the store the same whatever it decides, so that a refusal takes as long as a message.
func (v *Verifier) plan(ctx context.Context, r StartRequest, ch Channel) (*plan, error) {
	p := &plan{}
	p.code, p.test = v.tests[r.Number]
	if p.test = p.test && v.o.Now().Before(v.o.InsecureTestUntil); p.test {
		return p, nil
	}
	refuse := func(o StartOutcome, reason string) {
		if p.refused == 0 && reason != "" {
			p.refused, p.reason = o, reason
		}
	}
	refuse(Denied, v.denies(ctx, r, ch))
	run, err := v.sequence(ctx, r)
	if err != nil {
		return nil, err
	}
	if run {
		refuse(Pumping, "sequence")
	}
	if v.routes != nil {
		keys := v.routeKeys(r.Tenant, r.Number, ch)
		p.routes = keys[:]
		var why string
		if p.extra, why, err = v.judgeRoute(ctx, r, ch, keys); err != nil {
			return nil, err
		}
		refuse(Pumping, why)
	}
	return p, nil
}

// denies says why a number is not served on a channel, or "".
func (v *Verifier) denies(ctx context.Context, r StartRequest, ch Channel) string {
	if v.senders[ch] == nil && v.o.Hosted[ch] == nil {
		return "channel"
	}
	if why := v.policy.Refuses(r.Number, r.Line, ch); why != "" || ch != Voice || r.Line != Unknown || v.o.Intelligence == nil {
		return string(why)
	}
	intel, err := v.o.Intelligence.Lookup(ctx, r.Number, Query{Fields: FieldLine})
	if err != nil && intel.Line == Unknown && !v.o.CallUnknown {
		return "line type unknown"
	}
	return string(v.policy.Refuses(r.Number, intel.Line, ch))
}

// issue asks the store for a code, or for what stands in for one.
func (v *Verifier) issue(ctx context.Context, r StartRequest, ch Channel, p *plan) (Code, *Issue, error) {
	b := binding{r.Tenant, r.Purpose, r.Flow, r.Number}
	is := &Issue{
		Tenant: r.Tenant, Channel: ch, TTL: v.o.TTL, Fresh: min(time.Minute, v.o.TTL/2), Tries: v.o.Tries,
		Sends: v.o.SendsPerCode, Cooldowns: v.o.Cooldowns,
		Record:   v.keys.index(useRecord, r.Tenant, r.Purpose, r.Number.E164()),
		Phone:    v.keys.index(usePhone, r.Tenant, r.Number.E164()),
		Flow:     v.keys.index(useFlow, r.Tenant, r.Flow),
		Failures: v.failures(r.Tenant, r.Number, r.Device),
		Quotas:   v.quotas(r, ch, p.test, p.extra),
		Routes:   p.routes,
		Withhold: p.refused != 0,
	}
	if r.Request != "" {
		is.Request = v.keys.index(useRequest, r.Tenant, r.Request)
	}
	_, _ = rand.Read(is.Seed[:])
	_, _ = rand.Read(is.Decoy[:])
	code := p.code
	if !p.test {
		code = v.draw(b, is.Seed)[0]
	}
	is.MAC = v.macs(b, code)[0]
	bounded, cancel := v.bounded(ctx)
	defer cancel()
	if err := v.store.Issue(bounded, is); err != nil {
		return "", nil, fmt.Errorf("phone: reserving a message: %w", err)
	}
	if is.Outcome == Resend && !p.test {
		return v.redraw(b, is)
	}
	return code, is, nil
}

// redraw finds the living code again: that of the pepper it was made with.
func (v *Verifier) redraw(b binding, is *Issue) (Code, *Issue, error) {
	for i, code := range v.draw(b, is.LiveSeed) {
		if macs := v.macs(b, code); i < len(macs) && matches(is.LiveMAC, macs[i:i+1]) {
			return code, is, nil
		}
	}
	return "", nil, errors.New("phone: the living code was made with a pepper that is gone; it works until it expires, or ask again then")
}

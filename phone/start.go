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
	// RetryAfter is when asking again may help; Expires when the code dies, zero without one.
	RetryAfter time.Duration
	Expires    time.Time
	Err        error // of the sender; without number and code
}

// Start sends a code, unless something speaks against it. An error means that the store could not tell; nothing was sent
// then. Whatever the outcome, the visitor should see the same.
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
	deny := func(o StartOutcome, reason string) (Challenge, error) {
		out.Outcome, out.Reason = o, reason
		return out, nil
	}
	code, test := v.tests[r.Number]
	test = test && v.o.Now().Before(v.o.InsecureTestUntil)
	var routes [2]Key
	var extra []Quota
	if !test {
		if v.senders[ch] == nil && v.o.Hosted[ch] == nil {
			return deny(Denied, "channel")
		}
		line := r.Line
		if ch == Voice && line == Unknown && v.o.Intelligence != nil {
			intel, err := v.o.Intelligence.Lookup(ctx, r.Number, Query{Fields: FieldLine})
			if line = intel.Line; err != nil && line == Unknown && !v.o.CallUnknown {
				return deny(Denied, "line type unknown")
			}
		}
		if why := v.policy.Refuses(r.Number, line, ch); why != "" {
			return deny(Denied, string(why))
		}
		run, err := v.sequence(ctx, r)
		if err != nil {
			return out, err
		}
		if run {
			return deny(Pumping, "sequence")
		}
		routes = v.routeKeys(r.Tenant, r.Number, ch)
		var why string
		if extra, why, err = v.judgeRoute(ctx, r, ch, routes); err != nil {
			return out, err
		}
		if why != "" {
			return deny(Pumping, why)
		}
	}
	b := binding{r.Tenant, r.Purpose, r.Flow, r.Number}
	is := &Issue{
		Tenant: r.Tenant, Channel: ch, TTL: v.o.TTL, Fresh: min(time.Minute, v.o.TTL/2), Tries: v.o.Tries,
		Sends: v.o.SendsPerCode, Cooldowns: v.o.Cooldowns,
		Record:   v.keys.index(useRecord, r.Tenant, r.Purpose, r.Number.E164()),
		Phone:    v.keys.index(usePhone, r.Tenant, r.Number.E164()),
		Flow:     v.keys.index(useFlow, r.Tenant, r.Flow),
		Failures: v.failures(r.Tenant, r.Number, r.Device),
		Quotas:   v.quotas(r, ch, test, extra),
	}
	if r.Request != "" {
		is.Request = v.keys.index(useRequest, r.Tenant, r.Request)
	}
	if v.routes != nil && !test {
		is.Routes = routes[:]
	}
	_, _ = rand.Read(is.Seed[:])
	if !test {
		code = v.draw(b, is.Seed)[0]
	}
	is.MAC = v.macs(b, code)[0]
	bounded, cancel := v.bounded(ctx)
	err := v.store.Issue(bounded, is)
	cancel()
	if err != nil {
		return out, fmt.Errorf("phone: reserving a message: %w", err)
	}
	out.RetryAfter, out.Expires = is.RetryAfter, is.Expires
	switch is.Outcome {
	case Duplicate:
		return deny(Repeat, "")
	case Cooling:
		return deny(Cooled, "")
	case Exceeded:
		name := "limit"
		if q := is.Quotas[is.Quota]; q.Money {
			name = "budget"
		} else if len(extra) > 0 && q.Key == extra[0].Key {
			return deny(Pumping, "probes spent")
		}
		return deny(Limited, name)
	case LockedOut:
		return deny(Locked, "")
	case Issued:
		out.Outcome = Sent
	case Resend:
		out.Outcome = Resent
		if !test {
			if code, err = v.redraw(b, is); err != nil {
				return out, err
			}
		}
	default:
		return out, errors.New("phone: the store answered nonsense")
	}
	if test {
		return out, nil
	}
	job := &sendJob{v: v, r: r, ch: ch, code: code, is: is, routes: routes, fresh: is.Outcome == Issued}
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

// redraw finds the living code again: that of the pepper it was made with.
func (v *Verifier) redraw(b binding, is *Issue) (Code, error) {
	for i, code := range v.draw(b, is.LiveSeed) {
		if macs := v.macs(b, code); i < len(macs) && matches(is.LiveMAC, macs[i:i+1]) {
			return code, nil
		}
	}
	return "", errors.New("phone: the living code was made with a pepper that is gone; it works until it expires, or ask again then")
}

// failures are the counters of wrong codes.
func (v *Verifier) failures(tenant string, n Number, device string) []Quota {
	f := &v.o.Failures
	list := []Quota{
		{Key: v.keys.index(useCount, tenant, "wrong", "hour", n.E164()), Window: time.Hour, Max: int64(f.PhoneHour), Cost: 1},
		{Key: v.keys.index(useCount, tenant, "wrong", "day", n.E164()), Window: 24 * time.Hour, Max: int64(f.PhoneDay), Cost: 1},
	}
	if device != "" {
		list = append(list, Quota{Key: v.keys.index(useCount, tenant, "wrong", "device", device), Window: time.Hour, Max: int64(f.DeviceHour), Cost: 1})
	}
	return list
}

// quotas are what a message is charged to. A quota that the monitor adds comes first.
func (v *Verifier) quotas(r StartRequest, ch Channel, test bool, extra []Quota) []Quota {
	list := append([]Quota(nil), extra...)
	l := &v.o.Limits
	add := func(name, value string, window time.Duration, most int) {
		if most > 0 && value != "" {
			list = append(list, Quota{Key: v.keys.index(useCount, r.Tenant, "send", name, value), Window: window, Max: int64(most), Cost: 1})
		}
	}
	add("hour", r.Number.E164(), time.Hour, l.PhoneHour)
	add("day", r.Number.E164(), 24*time.Hour, l.PhoneDay)
	add("device", r.Device, time.Hour, l.DeviceHour)
	add("network", network(r.IP), time.Hour, l.NetworkHour)
	if test {
		return list
	}
	add("block", r.Number.Prefix(3), time.Hour, l.BlockHour)
	add("prefix", r.Number.Prefix(4), time.Hour, l.PrefixHour)
	price := max(0, v.o.Prices.Price(r.Number, ch))
	for _, b := range v.o.Budgets {
		if b.Channel != 0 && b.Channel != ch {
			continue
		}
		what := ""
		switch b.Scope {
		case PerCountry:
			what = r.Number.Region()
		case PerPrefix:
			what = r.Number.Prefix(4)
		}
		list = append(list, Quota{
			Key:    v.keys.index(useCount, r.Tenant, "budget", fmt.Sprint(b.Scope, b.Channel, b.Window), what),
			Window: b.Window, Max: b.Max, Cost: price, Money: true,
		})
	}
	return list
}

// Numbers within near of each other are a sequence; so many of them in sequenceWindow are refused.
const (
	sequenceNear   = 10
	sequenceRun    = 4
	sequenceWindow = 10 * time.Minute
)

// sequence reports whether the number is one of a sequence.
func (v *Verifier) sequence(ctx context.Context, r StartRequest) (bool, error) {
	if v.sightings == nil {
		return false, nil
	}
	s := &Sighting{Tenant: r.Tenant, Phone: v.keys.index(usePhone, r.Tenant, r.Number.E164()),
		Block:  v.keys.index(useSeen, r.Tenant, "send", r.Number.Prefix(3)),
		Offset: int(r.Number.Digits() % 1000), Window: sequenceWindow, Near: sequenceNear}
	ctx, cancel := v.bounded(ctx)
	defer cancel()
	if err := v.sightings.Sight(ctx, s); err != nil {
		return false, fmt.Errorf("phone: searching for sequences: %w", err)
	}
	return s.Run >= sequenceRun, nil
}

// routeKeys are the route of a number on a channel and that of its country.
func (v *Verifier) routeKeys(tenant string, n Number, ch Channel) [2]Key {
	return [2]Key{
		v.keys.index(useRoute, tenant, "prefix", n.Prefix(4), ch.String()),
		v.keys.index(useRoute, tenant, "country", n.Region(), ch.String()),
	}
}

// judgeRoute asks the monitor. A throttled route gets a quota more.
func (v *Verifier) judgeRoute(ctx context.Context, r StartRequest, ch Channel, keys [2]Key) ([]Quota, string, error) {
	if v.routes == nil {
		return nil, "", nil
	}
	ask := keys[:]
	if ch != SMS { // a prefix that is blocked for messages is not called instead
		sms := v.routeKeys(r.Tenant, r.Number, SMS)
		ask = append(ask, sms[0])
	}
	ctx, cancel := v.bounded(ctx)
	defer cancel()
	stats, err := v.routes.Routes(ctx, r.Tenant, ask)
	if err != nil || len(stats) != len(ask) {
		return nil, "", fmt.Errorf("phone: asking for conversion: %w", errors.Join(err, errIf(err == nil, "too few answers")))
	}
	if len(stats) > 2 && stats[2].Now.Before(stats[2].Until) {
		return nil, "blocked prefix", nil
	}
	verdict := v.monitor.judge(stats[0], stats[1], v.o.TTL)
	switch {
	case verdict.release:
		err = v.routes.Release(ctx, r.Tenant, keys[0])
	case verdict.hold:
		_, err = v.routes.Hold(ctx, r.Tenant, keys[0], v.monitor.Hold, v.monitor.MaxHold)
	}
	if err != nil {
		return nil, "", fmt.Errorf("phone: changing a block: %w", err)
	}
	if verdict.standing == Open {
		return nil, "", nil
	}
	most, name := v.monitor.Slow, "slow"
	if verdict.standing == Held {
		if ch == Voice {
			return nil, "blocked prefix", nil
		}
		most, name = 1, "probe"
	}
	return []Quota{{Key: v.keys.index(useCount, r.Tenant, name, r.Number.Prefix(4), ch.String()),
		Window: RouteBucketLength, Max: most, Cost: 1}}, "", nil
}

func errIf(bad bool, text string) error {
	if bad {
		return errors.New(text)
	}
	return nil
}

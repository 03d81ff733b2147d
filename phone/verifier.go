package phone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Options of a [Verifier]. The zero value and nil mean the defaults.
type Options struct {
	// Digits of a code, 6 to 10; default 6.
	Digits int
	// TTL of a code, 1 to 10 minutes; default 5 (NIST SP 800-63B and OWASP ASVS 6.5.5 allow 10).
	TTL time.Duration
	// Tries are the evaluations a code allows, 1 to 10; default 5.
	Tries int
	// SendsPerCode is how often one code is sent before a new one replaces it, 1 to 10; default 3.
	SendsPerCode int
	// Cooldowns are the pauses between messages to one number; default 30 s, 1, 2 and 5 min.
	Cooldowns []time.Duration
	// GrantTTL is how long a confirmed number counts in its flow; default 15 min, as long as flows live.
	GrantTTL time.Duration
	Limits   SendLimits
	Failures FailureLimits
	// Budgets bound the money; default DefaultBudgets. Prices are what messages are reserved at; default a PriceTable
	// that lists nothing and so takes everything for dear.
	Budgets []Budget
	Prices  Prices
	// Monitor judges conversion; default Monitor{} with its defaults. It needs a store that is a RouteStore; SkipMonitor
	// turns it off.
	Monitor     *Monitor
	SkipMonitor bool
	// Sightings searches for sequences of numbers: four numbers within ten of each other in ten minutes are refused.
	// Default: the store, if it is a SightingStore.
	Sightings     SightingStore
	SkipSequences bool
	// Hosted are services that make and check codes themselves, by channel. They take the place of senders.
	Hosted map[Channel]Hosted
	// Intelligence is asked for the line type before a call; nil: the number's own type must do. When it fails, no call
	// is made unless CallUnknown is set.
	Intelligence Intelligence
	CallUnknown  bool

	// Brand stands in messages; default "sign-up". Texts are the messages; default DefaultTexts. Origin is the host that
	// the code is bound to by the last line, "example.com"; default none. AppHash is for Android's SMS Retriever.
	Brand   string
	Texts   Texts
	Origin  string
	AppHash string

	// SendTimeout bounds one message; default 10 s. StoreTimeout bounds one call of the store; default 1 s.
	SendTimeout, StoreTimeout time.Duration
	// Background sends after Start has returned, at most MaxSending (default 64) at a time, so that how long a service
	// takes, and whether it was asked at all, does not show. [Verifier.Wait] waits for them.
	Background bool
	MaxSending int
	// OnSend is told how each send ended. It must not block.
	OnSend func(SendReport)

	// InsecureTestNumbers have fixed codes and are never sent to: number in E.164 to code. Anybody who knows one passes
	// until InsecureTestUntil, which must be set and lie ahead.
	InsecureTestNumbers map[string]string
	InsecureTestUntil   time.Time
	// Now is the clock of InsecureTestUntil; default time.Now. Codes and limits go by the store's clock.
	Now func() time.Time
}

// SendReport is how a send ended.
type SendReport struct {
	Region  string // of the number
	Channel Channel
	Ref     string // the service's name for the message
	Err     error  // without number and code
}

// Verifier sends one-time codes and checks them. It works without the risk engine. It is safe for concurrent use; the
// zero value is not usable.
type Verifier struct {
	store     Store
	routes    RouteStore // nil: no monitor
	sightings SightingStore
	senders   map[Channel]Sender
	policy    *Policy
	keys      Keys
	o         Options
	monitor   Monitor
	write     *writer
	tests     map[Number]Code
	slots     chan struct{}
	sending   sync.WaitGroup
}

// NewVerifier makes a verifier. policy says where codes may go, senders how, by channel; they may be empty where
// opts.Hosted has the channels.
func NewVerifier(store Store, policy *Policy, senders map[Channel]Sender, keys Keys, opts *Options) (*Verifier, error) {
	v := &Verifier{store: store, policy: policy, keys: keys, senders: map[Channel]Sender{}}
	if opts != nil {
		v.o = *opts
	}
	switch {
	case store == nil:
		return nil, errors.New("phone: no store; NewMemory makes one for a single instance")
	case policy == nil:
		return nil, errors.New("phone: no policy; NewPolicy makes one of the countries you serve")
	case keys.Pepper == nil || keys.Index == nil:
		return nil, errors.New("phone: Keys wants both rings, of different secrets")
	case keys.Pepper == keys.Index:
		return nil, errors.New("phone: Pepper and Index must be different rings, or a leak of one is a leak of both")
	case keys.Index.Epoch() != 0:
		return nil, errors.New("phone: Keys.Index must be made with keyed.NoEpochs: counters must not begin again with an epoch")
	case len(senders) == 0 && len(v.o.Hosted) == 0:
		return nil, errors.New("phone: no sender; NewInsecureLogSender makes one for development")
	}
	for ch, s := range senders {
		if ch == 0 || ch >= channels || s == nil {
			return nil, errors.New("phone: a sender is nil or of no channel")
		}
		v.senders[ch] = s
	}
	for ch, h := range v.o.Hosted {
		if ch == 0 || ch >= channels || h == nil {
			return nil, errors.New("phone: a hosted service is nil or of no channel")
		}
		if v.senders[ch] != nil {
			return nil, fmt.Errorf("phone: %s has both a sender and a hosted service", ch)
		}
	}
	if err := v.setDefaults(); err != nil {
		return nil, err
	}
	if err := v.setAbilities(); err != nil {
		return nil, err
	}
	var err error
	if v.write, err = newWriter(v.o.Texts, v.o.Origin, v.o.AppHash, v.o.Digits); err != nil {
		return nil, err
	}
	if err = v.setTestNumbers(); err != nil {
		return nil, err
	}
	v.slots = make(chan struct{}, v.o.MaxSending)
	return v, nil
}

func (v *Verifier) setDefaults() error {
	o := &v.o
	whole := func(p *int, name string, d, low, high int) error {
		if *p == 0 {
			*p = d
		}
		if *p < low || *p > high {
			return fmt.Errorf("phone: %s is %d, want %d to %d", name, *p, low, high)
		}
		return nil
	}
	span := func(p *time.Duration, name string, d, low, high time.Duration) error {
		if *p == 0 {
			*p = d
		}
		if *p < low || *p > high {
			return fmt.Errorf("phone: %s is %v, want %v to %v", name, *p, low, high)
		}
		return nil
	}
	if o.Cooldowns == nil {
		o.Cooldowns = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}
	}
	if len(o.Cooldowns) == 0 || len(o.Cooldowns) > MaxQuotas {
		return fmt.Errorf("phone: want 1 to %d Cooldowns, or nil for the default", MaxQuotas)
	}
	for _, d := range o.Cooldowns {
		if d < 0 || d > time.Hour {
			return errors.New("phone: Cooldowns are 0 to 1 h")
		}
	}
	if o.Budgets == nil {
		o.Budgets = DefaultBudgets()
	}
	if o.Prices == nil {
		o.Prices = PriceTable{}
	}
	if o.Brand == "" {
		o.Brand = "sign-up"
	}
	if o.Brand = Brand(o.Brand); o.Brand == "" {
		return errors.New("phone: Brand has no letter a message could carry")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l, f := &o.Limits, &o.Failures
	for _, d := range []struct {
		p *int
		v int
	}{{&l.PhoneHour, 5}, {&l.PhoneDay, 10}, {&l.DeviceHour, 10}, {&l.NetworkHour, 30}, {&l.BlockHour, 10}, {&l.PrefixHour, 40},
		{&f.PhoneHour, 10}, {&f.PhoneDay, 20}, {&f.DeviceHour, 20}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	if f.PhoneHour < 0 || f.PhoneDay < 0 || f.DeviceHour < 0 {
		return errors.New("phone: FailureLimits must be positive")
	}
	return errors.Join(checkBudgets(o.Budgets),
		whole(&o.Digits, "Digits", DefaultDigits, MinDigits, MaxDigits),
		whole(&o.Tries, "Tries", 5, 1, 10),
		whole(&o.SendsPerCode, "SendsPerCode", 3, 1, 10),
		whole(&o.MaxSending, "MaxSending", 64, 1, 10_000),
		span(&o.TTL, "TTL", 5*time.Minute, time.Minute, 10*time.Minute),
		span(&o.GrantTTL, "GrantTTL", 15*time.Minute, time.Minute, 24*time.Hour),
		span(&o.SendTimeout, "SendTimeout", 10*time.Second, time.Millisecond, time.Minute),
		span(&o.StoreTimeout, "StoreTimeout", time.Second, time.Millisecond, time.Minute))
}

// setAbilities finds out what else the store can do.
func (v *Verifier) setAbilities() error {
	if !v.o.SkipMonitor {
		routes, ok := v.store.(RouteStore)
		if !ok {
			return errors.New("phone: the store keeps no routes, so that conversion cannot be judged; SkipMonitor does without")
		}
		v.routes = routes
		if v.o.Monitor != nil {
			v.monitor = *v.o.Monitor
		}
		v.monitor.defaults()
		m := &v.monitor
		if m.Window > 24*time.Hour || m.Window < RouteBucketLength || m.Hold <= 0 || m.MaxHold < m.Hold || m.Slow < 1 ||
			!(m.Throttle > 0 && m.Throttle < 1) || !(m.Block > 0 && m.Block <= m.Throttle) || !(m.Baseline > 0 && m.Baseline <= 1) {
			return errors.New("phone: Monitor: want 0 < Block <= Throttle < 1, 0 < Baseline <= 1, a Window of 10 min to 24 h, Hold <= MaxHold, Slow > 0")
		}
	}
	if !v.o.SkipSequences {
		v.sightings = v.o.Sightings
		if v.sightings == nil {
			v.sightings, _ = v.store.(SightingStore)
		}
	}
	return nil
}

func (v *Verifier) setTestNumbers() error {
	v.tests = map[Number]Code{}
	if len(v.o.InsecureTestNumbers) == 0 {
		return nil
	}
	if !v.o.InsecureTestUntil.After(v.o.Now()) {
		return errors.New("phone: InsecureTestNumbers want an InsecureTestUntil that lies ahead")
	}
	for text, code := range v.o.InsecureTestNumbers {
		n, err := Parse(text, "")
		if err != nil {
			return errors.New("phone: a test number is not valid")
		}
		c, ok := ReadCode(code)
		if !ok || len(c) != v.o.Digits {
			return fmt.Errorf("phone: the code of a test number must have %d digits", v.o.Digits)
		}
		v.tests[n] = c
	}
	return nil
}

// Wait waits for messages that are being sent in the background.
func (v *Verifier) Wait() { v.sending.Wait() }

// network is the part of an address that one subscriber has.
func network(a netip.Addr) string {
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// bounded runs a call of the store that is not given up when the visitor hangs up: what is charged stays charged.
func (v *Verifier) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), v.o.StoreTimeout)
}

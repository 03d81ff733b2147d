package phone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// Codes of a [Signal], all in group "phone".
const (
	CodeInvalid    = "invalid"    // 8: no valid number
	CodeAbsent     = "absent"     // 6: a verified number was asked for, and there is none
	CodeDenied     = "denied"     // 4: the policy sends nothing there
	CodeDisposable = "disposable" // 16: on the list; half when the list saw it long ago
	CodeDense      = "dense"      // 8 at most: in a block with listed numbers
	CodeVoIP       = "voip"       // 16: VoIP anybody can take
	CodeLandline   = "landline"   // 10
	CodePremium    = "premium"    // 16: a line that costs or pays somebody
	CodeSIMSwap    = "simswap"    // 12, floor challenge: the SIM is new
	CodeDeviceSwap = "deviceswap" // 6
	CodePumping    = "pumping"    // 16 at most: risk of SMS pumping
	CodeRecycled   = "recycled"   // 4: given to somebody else
	CodeForwarding = "forwarding" // 8: calls go elsewhere
	CodeGuesses    = "guesses"    // 8: three wrong codes and more, and no right one
	CodeVerified   = "verified"   // -8: a right code; proves risk.ProofPhone
	CodeVoice      = "voice"      // -8: by a call; proves risk.ProofVoice. Group "phone" lets both give no more than one
)

// Facts of a [Signal].
const (
	FactLine     = "line"        // text: the line type, of a look-up where there was one
	FactCountry  = "country"     // text: the number's region
	FactRisk     = "risk"        // number, 0 to 1: risk of SMS pumping
	FactBlock    = "block"       // number: listed neighbours
	FactVerified = "verified_by" // text: "sms", "voice", "whatsapp"
)

// SignalOptions of a [Signal]. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Region is the default region of numbers without '+'; default none: '+' is required.
	Region func(a *risk.Attempt) string
	// List is asked whether a number is disposable; default none. OldAfter is when a hit counts half; default 180 days.
	List     Lister
	OldAfter time.Duration
	// Policy, where given, is held against the number.
	Policy *Policy
	// Intelligence looks numbers up; default none. With one the signal is Costly: it is asked only of attempts above the
	// lowest level, and when the number has to be verified.
	Intelligence Intelligence
	// Fields to look up; default FieldLine | FieldSIMSwap | FieldPumping.
	Fields Fields
	// PumpingFrom is the risk that begins to count; default 0.6, full at 0.9.
	PumpingFrom float64
	// SkipLookupErrors judges without the look-up when it fails; default false: the signal could not tell then.
	SkipLookupErrors bool
	// Cost, Timeout, OnError: default Costly with an Intelligence, else Local with a store in this process, else Stored;
	// the engine's; risk.FailReview.
	Cost    risk.Cost
	Timeout time.Duration
	OnError risk.FailMode
	// HighValue makes the code of an attempt a voice call; default never. [Signal.StartCode] asks it.
	HighValue func(a *risk.Attempt) bool
	// Locale and Brand of messages; default "en" and the verifier's. What the visitor sends may be passed as it is.
	Locale, Brand func(a *risk.Attempt) string
	// OnStart is told what became of each request for a code: visitors all see the same, operators want to know why
	// nothing was sent. c holds neither number nor code. It must not block. Default: nobody is told.
	OnStart func(a *risk.Attempt, c Challenge)
	// StartPath and CheckPath are told to clients as the places to ask for a code and to send it.
	StartPath, CheckPath string
}

// Signal is a phone number as a signal of package risk, named "phone": what the number is, what is known about it, and
// whether it was verified in the attempt's flow. It is safe for concurrent use.
type Signal struct {
	v *Verifier
	o SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
	_ risk.Asker   = (*Signal)(nil)
)

// NewSignal makes a signal. v may be nil: then nothing proves a number.
func NewSignal(v *Verifier, opts *SignalOptions) (*Signal, error) {
	s := &Signal{v: v}
	if opts != nil {
		s.o = *opts
	}
	o := &s.o
	if o.Cost == 0 {
		switch local := v == nil || inProcess(v.store); {
		case o.Intelligence != nil:
			o.Cost = risk.Costly
		case local:
			o.Cost = risk.Local
		default:
			o.Cost = risk.Stored
		}
	}
	if o.Fields == 0 {
		o.Fields = FieldLine | FieldSIMSwap | FieldPumping
	}
	if o.OldAfter == 0 {
		o.OldAfter = 180 * 24 * time.Hour
	}
	if o.PumpingFrom == 0 {
		o.PumpingFrom = 0.6
	}
	if o.OnError == 0 {
		o.OnError = risk.FailReview
	}
	switch {
	case o.Cost > risk.Costly || o.OnError > risk.FailClosed || o.Timeout < 0 || o.OldAfter < 0:
		return nil, errors.New("phone: Cost, OnError, Timeout or OldAfter of the signal is out of range")
	case o.Intelligence != nil && o.Cost < risk.Remote:
		return nil, errors.New("phone: a signal that looks numbers up is risk.Remote or risk.Costly")
	case o.Fields&^allFields != 0:
		return nil, errors.New("phone: Fields of the signal names a field that does not exist")
	case !(o.PumpingFrom > 0 && o.PumpingFrom <= 0.9):
		return nil, errors.New("phone: PumpingFrom is above 0 and at most 0.9")
	}
	return s, nil
}

func inProcess(s any) bool {
	p, ok := s.(interface{ InProcess() bool })
	return ok && p.InProcess()
}

// Describe implements [risk.Signal].
func (s *Signal) Describe() risk.Description {
	const group, public = "phone", "The phone number cannot be accepted as it is."
	d := risk.Description{
		Name: "phone", Cost: s.o.Cost, Timeout: s.o.Timeout, OnError: s.o.OnError,
		Codes: []risk.Code{
			{Name: CodeInvalid, State: risk.Invalid, Points: 8, Group: group, Public: "The phone number is not valid."},
			{Name: CodeAbsent, State: risk.Absent, Points: 6, Group: group, Public: "The phone number has not been confirmed."},
			{Name: CodeDenied, Points: 4, Group: group, Public: public},
			{Name: CodeDisposable, Points: 16, Group: group, Public: public},
			{Name: CodeDense, Points: 8, Group: group},
			{Name: CodeVoIP, Points: 16, Group: group, Public: public},
			{Name: CodeLandline, Points: 10, Group: group, Public: public},
			{Name: CodePremium, Points: 16, Group: group, Public: public},
			{Name: CodeSIMSwap, Points: 12, Group: group, Floor: risk.Challenge},
			{Name: CodeDeviceSwap, Points: 6, Group: group},
			{Name: CodePumping, Points: 16, Group: group},
			{Name: CodeRecycled, Points: 4, Group: group},
			{Name: CodeForwarding, Points: 8, Group: group},
			{Name: CodeGuesses, State: risk.Invalid, Points: 8, Group: group, Public: "The phone number has not been confirmed."},
			{Name: CodeVerified, Points: -8, Group: group},
			{Name: CodeVoice, Points: -8, Group: group},
		},
		Facts: []risk.FactType{{Name: FactLine, Kind: risk.Text}, {Name: FactCountry, Kind: risk.Text}, {Name: FactRisk, Kind: risk.Number},
			{Name: FactBlock, Kind: risk.Number}, {Name: FactVerified, Kind: risk.Text}},
	}
	if s.o.Intelligence != nil {
		d.Collects = append(d.Collects, risk.Datum{What: "phone number", Why: "looked up at a service: line type, SIM swap, fraud risk", Form: "clear, sent to the service"})
	}
	if s.v == nil {
		return d
	}
	d.Proofs = []risk.Proof{risk.ProofPhone}
	if s.v.senders[Voice] != nil || s.v.o.Hosted[Voice] != nil {
		d.Proofs = append(d.Proofs, risk.ProofVoice)
	}
	d.Collects = append(d.Collects,
		risk.Datum{What: "phone number", Why: "to send a one-time code and limit how often", Keep: 25 * time.Hour, Form: "keyed hash; clear to the sender of the message"},
		risk.Datum{What: "one-time code", Why: "to prove control of the number", Keep: s.v.o.TTL, Form: "keyed hash"})
	return d
}

// number reads the attempt's number.
func (s *Signal) number(a *risk.Attempt) (Number, error) {
	region := ""
	if s.o.Region != nil {
		region = s.o.Region(a)
	}
	return Parse(string(a.Phone), region)
}

func asked(a *risk.Attempt) bool { return a.Asked(risk.ProofPhone) || a.Asked(risk.ProofVoice) }

// Applies implements [risk.Applier].
func (s *Signal) Applies(a *risk.Attempt) bool { return a.Phone != "" || asked(a) }

// Evaluate implements [risk.Signal].
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	if a.Phone == "" {
		if asked(a) {
			f.Observe(CodeAbsent)
		}
		return nil
	}
	n, err := s.number(a)
	if err != nil {
		f.Observe(CodeInvalid)
		return nil
	}
	f.Text(FactCountry, n.Region())
	var grant Grant
	if s.v != nil && a.Continued() {
		if grant, err = s.v.Verified(ctx, a.Tenant, a.Flow, n); err != nil {
			return err
		}
	}
	switch {
	case grant.Channel == Voice:
		f.Observe(CodeVoice)
		f.Prove(risk.ProofVoice)
		f.Text(FactVerified, grant.Channel.String())
	case grant.Channel != 0:
		f.Observe(CodeVerified)
		f.Prove(risk.ProofPhone)
		f.Text(FactVerified, grant.Channel.String())
	case grant.Wrong >= 3:
		f.Observe(CodeGuesses)
	case asked(a):
		f.Observe(CodeAbsent)
	}
	return s.judge(ctx, a, n, f)
}

// judge says what the number is.
func (s *Signal) judge(ctx context.Context, a *risk.Attempt, n Number, f *risk.Finding) error {
	line := n.Line()
	var intel Intel
	if s.o.Intelligence != nil {
		var err error
		intel, err = s.o.Intelligence.Lookup(ctx, n, Query{Fields: s.o.Fields})
		if err != nil && !s.o.SkipLookupErrors {
			return fmt.Errorf("phone: looking the number up: %w", err)
		}
		if intel.Line != Unknown {
			line = intel.Line
		}
	}
	f.Text(FactLine, line.String())
	switch {
	case line == NonFixedVoIP:
		f.Observe(CodeVoIP)
	case line == Landline || line == FixedVoIP:
		f.Observe(CodeLandline)
	case line.Costly():
		f.Observe(CodePremium)
	}
	if s.o.Policy != nil && s.o.Policy.Refuses(n, line, SMS) != "" {
		f.Observe(CodeDenied)
	}
	if intel.Valid == No {
		f.Observe(CodeInvalid)
	}
	s.listed(a, n, intel, f)
	for _, c := range []struct {
		is   Tri
		code string
	}{{intel.SIMSwap, CodeSIMSwap}, {intel.DeviceSwap, CodeDeviceSwap}, {intel.Recycled, CodeRecycled}, {intel.Forwarding, CodeForwarding}} {
		if c.is == Yes {
			f.Observe(c.code)
		}
	}
	if intel.HasPumping {
		f.Number(FactRisk, intel.Pumping)
	}
	const full = 0.9
	switch {
	case intel.Blocked == Yes || intel.HasPumping && intel.Pumping >= full:
		f.Observe(CodePumping)
	case intel.HasPumping && intel.Pumping >= s.o.PumpingFrom:
		f.ObserveAt(CodePumping, 0.5+0.5*(intel.Pumping-s.o.PumpingFrom)/(full-s.o.PumpingFrom))
	}
	return nil
}

func (s *Signal) listed(a *risk.Attempt, n Number, intel Intel, f *risk.Finding) {
	var h Hit
	if s.o.List != nil {
		h = s.o.List.Look(n)
	}
	if intel.Disposable == Yes && !h.Listed {
		h.Listed, h.LastSeen = true, intel.LastSeen
	}
	switch {
	case h.Listed && !h.LastSeen.IsZero() && !a.Time.IsZero() && a.Time.Sub(h.LastSeen) > s.o.OldAfter:
		f.ObserveAt(CodeDisposable, 0.5)
	case h.Listed:
		f.Observe(CodeDisposable)
	}
	if d := h.Dense(); d > 0 {
		f.ObserveAt(CodeDense, d)
		f.Number(FactBlock, float64(h.Block))
	}
}

// Task tells a client how to verify a number.
type Task struct {
	Start   string `json:"start,omitempty"` // where to ask for a code
	Check   string `json:"check,omitempty"` // where to send it
	Channel string `json:"channel"`         // "sms" or "voice"
	Digits  int    `json:"digits"`
}

// Ask implements [risk.Asker]. It sends nothing.
func (s *Signal) Ask(_ context.Context, q risk.Question) (any, error) {
	t := Task{Start: s.o.StartPath, Check: s.o.CheckPath, Channel: SMS.String()}
	if s.v == nil || q.Proof != risk.ProofPhone && q.Proof != risk.ProofVoice {
		return nil, fmt.Errorf("phone: no task gives proof %q", q.Proof)
	}
	t.Digits = s.v.o.Digits
	if q.Proof == risk.ProofVoice || q.Attempt != nil && s.o.HighValue != nil && s.o.HighValue(q.Attempt) {
		t.Channel = Voice.String()
	}
	return t, nil
}

// StartCode sends a code to the attempt's number for its flow, for handlers such as those of package riskhttp, which have
// asked [risk.Engine.Pending] whether they may. It reports false for what is no number. What became of it otherwise is
// the same to the visitor: retry is when asking again may help. request is the client's name for this request, or "".
func (s *Signal) StartCode(ctx context.Context, a *risk.Attempt, voice bool, request string) (readable bool, retry time.Duration, err error) {
	n, err := s.number(a)
	if err != nil {
		return false, 0, nil
	}
	if s.v == nil {
		return false, 0, errors.New("phone: the signal has no verifier")
	}
	r := StartRequest{Number: n, Tenant: a.Tenant, Purpose: string(a.Event), Flow: a.Flow, Request: request, IP: a.IP}
	if len(a.Device) > 0 {
		r.Device = a.Device[0]
	}
	r.HighValue = voice || s.o.HighValue != nil && s.o.HighValue(a)
	if s.o.Locale != nil {
		r.Locale = s.o.Locale(a)
	}
	if s.o.Brand != nil {
		r.Brand = s.o.Brand(a)
	}
	c, err := s.v.Start(ctx, r)
	if err != nil {
		return true, 0, err
	}
	if s.o.OnStart != nil {
		s.o.OnStart(a, c)
	}
	return true, c.RetryAfter, nil
}

// CheckCode checks a code for the attempt's number and flow. failed says that the code was compared and wrong, which the
// caller may count; locked that asking again now does not help.
func (s *Signal) CheckCode(ctx context.Context, a *risk.Attempt, code string) (right, failed, locked bool, err error) {
	n, err := s.number(a)
	if err != nil {
		return false, false, false, nil
	}
	if s.v == nil {
		return false, false, false, errors.New("phone: the signal has no verifier")
	}
	r := CheckRequest{Number: n, Tenant: a.Tenant, Purpose: string(a.Event), Flow: a.Flow, Code: code}
	if len(a.Device) > 0 {
		r.Device = a.Device[0]
	}
	got, err := s.v.Check(ctx, r)
	if err != nil {
		return false, false, false, err
	}
	return got.Verdict == OK, got.Counted, got.Verdict == TooMany, nil
}

// Codes of a [CountSignal], all in group "phone".
const (
	CodePrefix   = "prefix"   // 10 at most: many numbers of one block of 10,000
	CodeSequence = "sequence" // 14: numbers in a row
	CodeShared   = "shared"   // 14 at most: many numbers on one device
)

// DeviceCounter counts the numbers a device has used, for stores that know devices already. tags are the attempt's.
type DeviceCounter interface {
	PhonesOfDevice(ctx context.Context, tenant string, tags []string, phone Key) (int, error)
}

// CountOptions of a [CountSignal]. The zero value and nil mean the defaults.
type CountOptions struct {
	Region func(a *risk.Attempt) string // as of SignalOptions
	// PrefixFrom and DeviceFrom are the counts that begin to count: distinct numbers of a block of 10,000 in an hour,
	// default 20, and on a device in a day, default 3. Twice as many count in full.
	PrefixFrom, DeviceFrom int
	// SequenceFrom is how many numbers in a row (gaps of at most 10 within ten minutes) are a sequence; default 4.
	SequenceFrom int
	// Devices counts instead of the store.
	Devices DeviceCounter
	Timeout time.Duration
	OnError risk.FailMode // default risk.FailReview
}

// CountSignal counts the numbers of attempts, under the name "phones": by prefix, in sequence, by device. Each attempt
// with a number is counted once, a continued flow not again. It is safe for concurrent use.
type CountSignal struct {
	store SightingStore
	keys  Keys
	o     CountOptions
}

var (
	_ risk.Signal  = (*CountSignal)(nil)
	_ risk.Applier = (*CountSignal)(nil)
)

// NewCountSignal makes a signal that counts in a store. Of keys only Index is used.
func NewCountSignal(store SightingStore, keys Keys, opts *CountOptions) (*CountSignal, error) {
	s := &CountSignal{store: store, keys: keys}
	if opts != nil {
		s.o = *opts
	}
	o := &s.o
	for _, d := range []struct {
		p *int
		v int
	}{{&o.PrefixFrom, 20}, {&o.DeviceFrom, 3}, {&o.SequenceFrom, 4}} {
		if *d.p == 0 {
			*d.p = d.v
		}
		if *d.p < 2 || *d.p > MaxDistinct/2 {
			return nil, fmt.Errorf("phone: PrefixFrom, DeviceFrom and SequenceFrom are 2 to %d", MaxDistinct/2)
		}
	}
	if o.OnError == 0 {
		o.OnError = risk.FailReview
	}
	switch {
	case store == nil:
		return nil, errors.New("phone: no store to count in; NewMemory makes one")
	case keys.Index == nil || keys.Index.Epoch() != 0:
		return nil, errors.New("phone: Keys.Index is missing or has epochs: make it with keyed.NoEpochs")
	case o.OnError > risk.FailClosed || o.Timeout < 0:
		return nil, errors.New("phone: OnError or Timeout of the signal is out of range")
	}
	return s, nil
}

// Describe implements [risk.Signal].
func (s *CountSignal) Describe() risk.Description {
	cost := risk.Stored
	if inProcess(s.store) && s.o.Devices == nil {
		cost = risk.Local
	}
	const group = "phone"
	return risk.Description{
		Name: "phones", Cost: cost, Counts: true, Timeout: s.o.Timeout, OnError: s.o.OnError,
		Codes: []risk.Code{{Name: CodePrefix, Points: 10, Group: group}, {Name: CodeSequence, Points: 14, Group: group},
			{Name: CodeShared, Points: 14, Group: group}},
		Facts: []risk.FactType{{Name: "prefix10k", Kind: risk.Number}, {Name: "run", Kind: risk.Number}, {Name: "device24h", Kind: risk.Number}},
		Collects: []risk.Datum{
			{What: "phone number", Why: "counting numbers by block and device", Keep: 24 * time.Hour, Form: "keyed hash; the last three digits for ten minutes under a keyed hash of the others"},
			{What: "device", Why: "counting its numbers", Keep: 24 * time.Hour, Form: "keyed hash"},
		},
	}
}

// Applies implements [risk.Applier].
func (s *CountSignal) Applies(a *risk.Attempt) bool { return a.Phone != "" }

// Evaluate implements [risk.Signal].
func (s *CountSignal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	region := ""
	if s.o.Region != nil {
		region = s.o.Region(a)
	}
	n, err := Parse(string(a.Phone), region)
	if err != nil {
		return nil // Signal says so
	}
	k := s.keys
	phoneKey := k.index(usePhone, a.Tenant, n.E164())
	in := &Sighting{Tenant: a.Tenant, Phone: phoneKey,
		Sets:  []SightingSet{{k.index(useSeen, a.Tenant, "prefix", n.Prefix(4)), time.Hour}},
		Block: k.index(useSeen, a.Tenant, "attempt", n.Prefix(3)), Offset: int(n.Digits() % 1000),
		Window: sequenceWindow, Near: sequenceNear}
	if s.o.Devices == nil {
		for _, tag := range a.Device[:min(len(a.Device), 4)] {
			in.Sets = append(in.Sets, SightingSet{k.index(useSeen, a.Tenant, "device", tag), 24 * time.Hour})
		}
	}
	if err := s.store.Sight(ctx, in); err != nil {
		return fmt.Errorf("phone: counting a number: %w", err)
	}
	if len(in.Distinct) != len(in.Sets) {
		return errors.New("phone: the store answered nonsense")
	}
	devices := 0
	for _, d := range in.Distinct[1:] {
		devices = max(devices, d)
	}
	if s.o.Devices != nil && len(a.Device) > 0 {
		if devices, err = s.o.Devices.PhonesOfDevice(ctx, a.Tenant, a.Device, phoneKey); err != nil {
			return fmt.Errorf("phone: counting the numbers of a device: %w", err)
		}
	}
	f.Number("prefix10k", float64(in.Distinct[0]))
	f.Number("run", float64(in.Run))
	if len(a.Device) > 0 {
		f.Number("device24h", float64(devices))
	}
	grow := func(code string, n, from int) {
		if n >= from {
			f.ObserveAt(code, min(1, float64(n)/float64(2*from)))
		}
	}
	grow(CodePrefix, in.Distinct[0], s.o.PrefixFrom)
	grow(CodeShared, devices, s.o.DeviceFrom)
	if in.Run >= s.o.SequenceFrom {
		f.Observe(CodeSequence)
	}
	f.Receipt("1")
	return nil
}

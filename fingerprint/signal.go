package fingerprint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/risk"
)

// Collect is for riskhttp.Options.Collectors: it attaches the [Evidence] of a request to its attempt, and at level
// Active the device's tags.
func (d *Devices) Collect(r *http.Request, a *risk.Attempt) {
	d.attach(a, d.Read(r))
}

// Report adds what the page's script has sent (the form's field "device") to an attempt that [Devices.Collect] has
// seen. Without a report, and at level Passive, it changes nothing.
func (d *Devices) Report(a *risk.Attempt, report []byte) {
	e, _ := risk.Evidence[Evidence](a)
	agent := ""
	if v := a.Header["User-Agent"]; len(v) > 0 {
		agent = v[0]
	}
	d.attach(a, d.WithReport(e, a.Tenant, report, agent))
}

func (d *Devices) attach(a *risk.Attempt, e Evidence) {
	hello, _ := risk.Evidence[ja4.Hello](a)
	agent := ""
	if v := a.Header["User-Agent"]; len(v) > 0 {
		agent = v[0]
	}
	e.similarTo(a.IP, agent, hello.JA4)
	risk.Attach(a, e)
	if tags := d.Tags(e, a.Tenant, a.Time); tags != nil {
		a.Device = tags
	}
}

// The codes of [Velocity], in group "velocity".
const (
	CodeIP        = "ip"        // 10: many accounts from one network in an hour
	CodeHigh      = "high"      // 15: one device, number, address or business tries more often in a day than people do
	CodeCollector = "collector" // 8: one account, address or number on many devices in a day, or one device with many numbers
	CodeDevices   = "devices"   // 6: many devices from one network in an hour
)

// VelocityOptions of a [Velocity]. The zero value and nil mean the defaults.
type VelocityOptions struct {
	// MaxAttempts is how many attempts of one device, telephone number, e-mail address or business identifier in 24
	// hours are ordinary; default 3, so that the fourth onboarding flow is observed as high.
	MaxAttempts int
	// MaxIPAccounts is how many accounts from one network in an hour are ordinary; default 20: offices and carriers
	// share addresses.
	MaxIPAccounts int
	// MaxDevices is how many devices of one account, e-mail address or telephone number in 24 hours are ordinary, and how
	// many telephone numbers of one device; default 4.
	MaxDevices int
	// MaxIPDevices is how many devices from one network in an hour are ordinary; default 30.
	MaxIPDevices int
	// Email brings an address to the form it is counted by; default: lower case. Package risk/identity has a better
	// one.
	Email func(address string) string
	// Events are counted; default risk.SignUp only. Others are not looked at.
	Events []risk.Event
	// Timeout bounds one evaluation; default the engine's, 50 ms. SightingsOptions.Timeout bounds the store's part of it.
	Timeout time.Duration
	// OnError is what an outage of the store may cost; default risk.FailChallenge, as for limits.
	OnError risk.FailMode
}

// Velocity is [Sightings] as a signal of package risk, named "velocity". It counts each attempt once, and the flow an
// attempt continues with it, and gives what it counted as facts: velocity.device24h is how many attempts the device
// made in 24 hours, this one included, velocity.ipAccounts1h how many accounts came from its network in an hour. The
// names are
//
//	device, similar, ip, phone, email, account, business                      attempts
//	deviceIPs, deviceAccounts, devicePhones, printDevices, similarAccounts,
//	ipDevices, ipAccounts, phoneDevices, phoneAccounts, emailDevices,
//	emailIPs, accountDevices, accountIPs, businessDevices, businessAccounts   distinct values
//
// each with 1h, 24h or 7d behind it. A fact is missing when the attempt has no such thing, so that a comparison with it
// is false. deviceAge and printAge are seconds since the device was first seen; 0 when it is new.
//
// An attempt that the host settles as risk.Undone, because its own insert failed, does not count: what the attempt has
// added is taken back. When the flow, which reopens then, goes on, it counts again. It is safe for concurrent use.
type Velocity struct {
	sightings *Sightings
	o         VelocityOptions
}

var (
	_ risk.Signal  = (*Velocity)(nil)
	_ risk.Applier = (*Velocity)(nil)
	_ risk.Settler = (*Velocity)(nil)
)

// NewVelocity makes the signal.
func NewVelocity(s *Sightings, opts *VelocityOptions) (*Velocity, error) {
	if s == nil {
		return nil, errors.New("fingerprint: no sightings; NewSightings makes them")
	}
	v := &Velocity{sightings: s}
	if opts != nil {
		v.o = *opts
	}
	o := &v.o
	for _, d := range []struct {
		name  string
		value *int
		or    int
	}{{"MaxAttempts", &o.MaxAttempts, 3}, {"MaxIPAccounts", &o.MaxIPAccounts, 20}, {"MaxDevices", &o.MaxDevices, 4}, {"MaxIPDevices", &o.MaxIPDevices, 30}} {
		if *d.value == 0 {
			*d.value = d.or
		}
		if *d.value < 1 || *d.value >= MaxCap {
			return nil, fmt.Errorf("fingerprint: %s is %d, want 1 to %d, and less than the store's cap", d.name, *d.value, MaxCap-1)
		}
	}
	if o.Email == nil {
		o.Email = strings.ToLower
	}
	if o.Events == nil {
		o.Events = []risk.Event{risk.SignUp}
	}
	o.Events = slices.Clone(o.Events)
	if o.OnError == 0 {
		o.OnError = risk.FailChallenge
	}
	if o.OnError > risk.FailClosed {
		return nil, fmt.Errorf("fingerprint: OnError %d is no fail mode", o.OnError)
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("fingerprint: Timeout is %v, want a positive one, or 0 for the engine's", o.Timeout)
	}
	return v, nil
}

// Describe implements [risk.Signal]. It is local when its store is in this process.
func (v *Velocity) Describe() risk.Description {
	const group = "velocity"
	d := risk.Description{
		Name: "velocity", Cost: risk.Stored, Counts: true, Timeout: v.o.Timeout, OnError: v.o.OnError,
		Codes: []risk.Code{
			{Name: CodeIP, Points: 10, Group: group}, {Name: CodeHigh, Points: 15, Group: group},
			{Name: CodeCollector, Points: 8, Group: group}, {Name: CodeDevices, Points: 6, Group: group},
		},
		Facts: []risk.FactType{{Name: "deviceAge", Kind: risk.Number}, {Name: "printAge", Kind: risk.Number}},
	}
	if v.sightings.local {
		d.Cost = risk.Local
	}
	for _, names := range factNames {
		for _, n := range names {
			d.Facts = append(d.Facts, risk.FactType{Name: n, Kind: risk.Number})
		}
	}
	for _, what := range []string{"network address", "account", "e-mail address", "telephone number", "business identifiers"} {
		d.Collects = append(d.Collects, risk.Datum{What: what, Why: "to count how often it comes, and with what", Keep: Windows[2], Form: "keyed hash"})
	}
	d.Collects = append(d.Collects, risk.Datum{What: "device id or fingerprint, where allowed", Why: "to tell that many sign-ups are one machine", Keep: v.sightings.o.Keep, Form: "keyed hash"})
	return d
}

// Applies implements [risk.Applier].
func (v *Velocity) Applies(a *risk.Attempt) bool { return slices.Contains(v.o.Events, a.Event) }

// Evaluate implements [risk.Signal].
func (v *Velocity) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	s, err := v.sightings.See(ctx, v.visit(a))
	if err != nil {
		return err
	}
	for i := range velocityFacts {
		seen, counts := velocityFacts[i].of(&s)
		if seen.There {
			for w := range counts {
				f.Number(factNames[i][w], float64(counts[w].N))
			}
		}
	}
	f.Receipt(s.Receipt)
	now := a.Time
	if now.IsZero() {
		now = v.sightings.o.Now()
	}
	age(f, "deviceAge", now, &s.Device)
	age(f, "printAge", now, &s.Print)
	if s.IP.Accounts[0].N > v.o.MaxIPAccounts {
		f.Observe(CodeIP)
	}
	most := v.o.MaxAttempts
	if s.Device.Attempts[1].N > most || s.Phone.Attempts[1].N > most || s.Email.Attempts[1].N > most || s.Business.Attempts[1].N > most {
		f.Observe(CodeHigh)
	}
	most = v.o.MaxDevices
	if s.Account.Devices[1].N > most || s.Email.Devices[1].N > most || s.Phone.Devices[1].N > most || s.Device.Phones[1].N > most {
		f.Observe(CodeCollector)
	}
	if s.IP.Devices[0].N > v.o.MaxIPDevices {
		f.Observe(CodeDevices)
	}
	return nil
}

func age(f *risk.Finding, name string, now time.Time, s *Seen) {
	if !s.There {
		return
	}
	seconds := 0.0
	if s.Before {
		seconds = max(1, now.Sub(s.First).Seconds())
	}
	f.Number(name, seconds)
}

// Settle implements [risk.Settler].
func (v *Velocity) Settle(ctx context.Context, st risk.Settlement) error {
	if st.Outcome != risk.Undone || st.Receipt == "" || st.Attempt == nil {
		return nil
	}
	return v.sightings.Undo(ctx, st.Attempt.Tenant, st.Receipt)
}

// visit is what an attempt shows. At level Passive nothing of the device is looked at.
func (v *Velocity) visit(a *risk.Attempt) Visit {
	visit := Visit{
		Tenant: a.Tenant, Attempt: a.ID, IP: a.IP, Account: clipped(a.Account), Phone: digits(clipped(string(a.Phone))),
		Receipt: true,
	}
	if a.Email != "" {
		visit.Email = v.o.Email(strings.TrimSpace(clipped(string(a.Email))))
	}
	if a.Flow != "" && a.Continued() {
		visit.Attempt = "flow:" + clipped(a.Flow)
	}
	e, there := risk.Evidence[Evidence](a)
	if there && e.Level == Active {
		visit.Device, visit.Print, visit.Similar = e.names()
	}
	if !there {
		visit.Tags = a.Device
	}
	for _, k := range sortedKeys(a.IDs) {
		if k != "sso" {
			visit.IDs = append(visit.IDs, ID{clipped(k), clipped(string(a.IDs[k]))})
		}
	}
	return visit
}

// clipped bounds what is hashed: nobody's address is longer.
func clipped(s string) string { return s[:min(len(s), 512)] }

func sortedKeys(ids map[string]risk.Private) []string {
	keys := make([]string, 0, len(ids))
	for k := range ids {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// digits are a telephone number's digits, without what people write between them.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// The codes of [Signal], in group "device".
const (
	CodeNew           = "new"               // 4: the device has not been seen before
	CodeReused        = "reused"            // 3: another account was opened on it in the last day
	CodeShared        = "shared"            // 14: many accounts on one device that stays where it is: kiosks and schools too
	CodeFarm          = "farm"              // 20: many accounts on one device in many networks
	CodeCloned        = "cloned"            // 14: one device id in very many networks
	CodeWiped         = "wiped"             // 6: a new id on a device whose fingerprint had others
	CodeForged        = "forged"            // 18: a device id that we did not sign
	CodeMismatch      = "mismatch"          // 10: different ids in the places of one browser
	CodeMalformed     = "malformed"         // 10: a report that cannot be read
	CodeInconsistent  = "inconsistent"      // 14: a fingerprint that does not follow from its components
	CodeLowConfidence = "low_confidence"    // 0: a fingerprint that all devices of a model share
	CodeWebDriver     = "webdriver"         // 20: a browser driven by a program
	CodeHeadless      = "headless"          // 14: BotD takes it for a program
	CodePlatform      = "platform_mismatch" // 14: the script's platform is not the User-Agent's
	CodeRenderer      = "renderer"          // 3: graphics drawn by software, as in virtual machines
)

// SignalOptions of a Signal. The zero value and nil mean the defaults.
type SignalOptions struct {
	// FarmAccounts and FarmIPs are the different accounts and networks of one device in 24 hours from which it is a
	// farm; default 4 and 3. With fewer networks it is shared. Fingerprints of low confidence are counted together
	// with network, User-Agent and JA4, and need ten times as many accounts.
	FarmAccounts, FarmIPs int
	// CloneIPs are the networks of one device in 24 hours from which its id is taken for a copy; default 10.
	CloneIPs int
}

// Signal judges the [Evidence] of an attempt, as a signal of package risk named "device". What it says about reuse it
// takes from the facts of the signal "velocity"; without that one it judges the report and the id alone. At level
// Passive it says nothing: a visitor who does not agree to being recognised loses no point by it. It is safe for
// concurrent use.
type Signal struct{ o SignalOptions }

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
)

// NewSignal makes the signal.
func NewSignal(opts *SignalOptions) (*Signal, error) {
	s := &Signal{}
	if opts != nil {
		s.o = *opts
	}
	for _, d := range []struct {
		name  string
		value *int
		or    int
	}{{"FarmAccounts", &s.o.FarmAccounts, 4}, {"FarmIPs", &s.o.FarmIPs, 3}, {"CloneIPs", &s.o.CloneIPs, 10}} {
		if *d.value == 0 {
			*d.value = d.or
		}
		if *d.value < 2 || *d.value > MaxCap {
			return nil, fmt.Errorf("fingerprint: %s is %d, want 2 to %d", d.name, *d.value, MaxCap)
		}
	}
	return s, nil
}

// needs are the facts the signal reads.
var needs = []string{
	"velocity.deviceAge", "velocity.printAge", "velocity.deviceAccounts24h", "velocity.deviceIPs24h",
	"velocity.printDevices7d", "velocity.similarAccounts24h",
}

// Describe implements [risk.Signal]. It does no I/O; it is Stored because what it needs is known only after counting.
func (s *Signal) Describe() risk.Description {
	const group = "device"
	observed := func(name string, points int) risk.Code { return risk.Code{Name: name, Points: points, Group: group} }
	invalid := func(name string, points int) risk.Code {
		return risk.Code{Name: name, State: risk.Invalid, Points: points, Group: group}
	}
	return risk.Description{
		Name: "device", Cost: risk.Stored, OnError: risk.FailOpen, Needs: slices.Clone(needs),
		Codes: []risk.Code{
			observed(CodeNew, 4), observed(CodeReused, 3), observed(CodeShared, 14), observed(CodeFarm, 20),
			observed(CodeCloned, 14), observed(CodeWiped, 6), invalid(CodeForged, 18), observed(CodeMismatch, 10),
			invalid(CodeMalformed, 10), invalid(CodeInconsistent, 14), observed(CodeLowConfidence, 0),
			observed(CodeWebDriver, 20), observed(CodeHeadless, 14), observed(CodePlatform, 14), observed(CodeRenderer, 3),
		},
		Facts: []risk.FactType{{Name: "confidence", Kind: risk.Number}},
		Collects: []risk.Datum{{
			What: "properties of the browser and a device id, where allowed", Why: "to recognise programs and devices", Form: "not stored by us; the id is kept in the browser",
		}},
	}
}

// Applies implements [risk.Applier]: something may be looked at.
func (s *Signal) Applies(a *risk.Attempt) bool {
	e, ok := risk.Evidence[Evidence](a)
	return ok && e.Level == Active
}

// Evaluate implements [risk.Signal].
func (s *Signal) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	e, _ := risk.Evidence[Evidence](a)
	if e.Level != Active {
		return nil
	}
	for _, c := range []struct {
		code string
		is   bool
	}{
		{CodeMalformed, e.Malformed}, {CodeForged, e.Forged}, {CodeMismatch, e.Mismatch}, {CodeInconsistent, e.Token.Inconsistent},
		{CodeWebDriver, e.Marks&MarkWebDriver != 0}, {CodeHeadless, e.Marks&MarkHeadless != 0},
		{CodePlatform, e.Marks&MarkPlatform != 0}, {CodeRenderer, e.Marks&MarkRenderer != 0},
	} {
		if c.is {
			f.Observe(c.code)
		}
	}
	if !e.Token.Zero() {
		if e.Token.Confidence >= 0 && e.Token.Confidence <= 1 {
			f.Number("confidence", e.Token.Confidence)
		}
		if e.Token.Confidence < MinConfidence {
			f.Observe(CodeLowConfidence)
		}
	}
	s.reuse(e, a, f)
	return nil
}

// reuse judges what was counted. A fact that is missing is below every threshold.
func (s *Signal) reuse(e Evidence, a *risk.Attempt, f *risk.Finding) {
	fact := func(name string) (float64, bool) {
		v, ok := a.Fact("velocity." + name)
		return v.Number(), ok
	}
	age, known := fact("deviceAge")
	accounts, _ := fact("deviceAccounts24h")
	networks, _ := fact("deviceIPs24h")
	similar, _ := fact("similarAccounts24h")
	prints, printed := fact("printDevices7d")
	if known && age == 0 {
		f.Observe(CodeNew)
		own := 0.0 // the id this visit has shown is counted among them
		if e.HasID() {
			own = 1
		}
		if printed && prints > own {
			f.Observe(CodeWiped)
		}
	}
	farm, many := float64(s.o.FarmAccounts), float64(s.o.FarmIPs)
	switch {
	case accounts >= farm && networks >= many:
		f.Observe(CodeFarm)
	case accounts >= farm, similar >= 10*farm:
		f.Observe(CodeShared)
	case accounts > 1:
		f.Observe(CodeReused)
	}
	if e.HasID() && networks >= float64(s.o.CloneIPs) {
		f.Observe(CodeCloned)
	}
}

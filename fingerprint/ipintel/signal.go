package ipintel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of a [Signal], in group "network" unless they have no points.
const (
	CodeTor         = "tor"         // 22: a Tor exit
	CodeThreat      = "threat"      // 16: on a threat feed
	CodeResidential = "residential" // 14: an exit of a residential proxy network
	CodeProxy       = "proxy"       // 14: a public proxy
	CodeHosting     = "hosting"     // 12: a server in a datacenter
	CodeVPN         = "vpn"         // 12: a VPN exit
	CodeAnonymous   = "anonymous"   // 8: an anonymizer of which nobody says more
	CodeListed      = "listed"      // 0: on a list of the host's own
	CodeRelay       = "relay"       // 0: a privacy relay
	CodeCarrier     = "carrier"     // 0: carrier NAT
	CodeCorporate   = "corporate"   // 0: a company's or school's way out
	CodePrivate     = "private"     // 0: not a public address; a proxy in front that is not trusted
)

// The facts of a [Signal].
const (
	FactCountry    = "country"    // text: ISO 3166-1 alpha-2
	FactASN        = "asn"        // number
	FactClass      = "class"      // text: see Info.Class
	FactConnection = "connection" // text: the kind of line in the database's words
	FactLists      = "lists"      // text: names of the lists, joined by ","

	// With SignalOptions.Location only.
	FactLat    = "lat"    // number: degrees north
	FactLon    = "lon"    // number: degrees east
	FactRadius = "radius" // number: accuracy in km
	FactZone   = "zone"   // text: IANA time zone
)

// SignalOptions of a [Signal]. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Location reports where the address is: coordinates, accuracy and time zone. They reach decision logs.
	Location bool
	// OnError is what an error may cost the visitor; default risk.FailOpen: the visitor does not control it.
	OnError risk.FailMode
}

// Signal says what the attempt's address is, as a signal of package risk named "ip". It is Local: everything is in
// memory. Users of privacy relays and carrier NAT get no points for what their neighbours do, see [Kind.Fair]. Safe for
// concurrent use.
type Signal struct {
	intel *Intel
	opts  SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
)

// NewSignal makes the signal.
func NewSignal(i *Intel, opts *SignalOptions) (*Signal, error) {
	if i == nil {
		return nil, errors.New("ipintel: no intel; New makes one")
	}
	s := &Signal{intel: i}
	if opts != nil {
		s.opts = *opts
	}
	var err error
	s.opts.OnError, err = failMode(s.opts.OnError)
	return s, err
}

func failMode(m risk.FailMode) (risk.FailMode, error) {
	if m > risk.FailClosed {
		return 0, fmt.Errorf("ipintel: OnError %d is no fail mode", m)
	}
	if m == 0 {
		m = risk.FailOpen
	}
	return m, nil
}

const group = "network"

// Describe implements risk.Signal.
func (s *Signal) Describe() risk.Description {
	d := risk.Description{
		Name: "ip", Cost: risk.Local, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodeTor, Points: 22, Group: group},
			{Name: CodeThreat, Points: 16, Group: group},
			{Name: CodeResidential, Points: 14, Group: group},
			{Name: CodeProxy, Points: 14, Group: group},
			{Name: CodeHosting, Points: 12, Group: group},
			{Name: CodeVPN, Points: 12, Group: group},
			{Name: CodeAnonymous, Points: 8, Group: group},
			{Name: CodeListed, Group: group},
			{Name: CodeRelay, Group: group},
			{Name: CodeCarrier, Group: group},
			{Name: CodeCorporate, Group: group},
			{Name: CodePrivate, Group: group},
		},
		Facts: []risk.FactType{
			{Name: FactCountry, Kind: risk.Text}, {Name: FactASN, Kind: risk.Number}, {Name: FactClass, Kind: risk.Text},
			{Name: FactConnection, Kind: risk.Text}, {Name: FactLists, Kind: risk.Text},
		},
		Collects: []risk.Datum{{
			What: "IP address", Why: "to know datacenters, anonymizers, attackers and the country", Form: "not stored; looked up in memory",
		}},
	}
	if s.opts.Location {
		d.Facts = append(d.Facts, risk.FactType{Name: FactLat, Kind: risk.Number}, risk.FactType{Name: FactLon, Kind: risk.Number},
			risk.FactType{Name: FactRadius, Kind: risk.Number}, risk.FactType{Name: FactZone, Kind: risk.Text})
		d.Collects = append(d.Collects, risk.Datum{
			What: "approximate location of the IP address", Why: "to notice travel that is impossible", Form: "clear, in decisions",
		})
	}
	return d
}

// Applies implements risk.Applier: the attempt has an address.
func (s *Signal) Applies(a *risk.Attempt) bool { return a.IP.IsValid() }

// codes in the order of Kind's bits. Anonymous is left out: it counts only where nothing more is known.
var codes = [...]struct {
	kind Kind
	code string
}{
	{Tor, CodeTor}, {VPN, CodeVPN}, {Hosting, CodeHosting}, {Proxy, CodeProxy}, {Residential, CodeResidential},
	{Threat, CodeThreat}, {Listed, CodeListed}, {Relay, CodeRelay}, {Carrier, CodeCarrier}, {Corporate, CodeCorporate},
}

// Evaluate implements risk.Signal.
func (s *Signal) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	info, err := s.intel.Lookup(a.IP)
	if err != nil {
		return err
	}
	for _, c := range codes {
		if info.Kinds.Has(c.kind) {
			f.Observe(c.code)
		}
	}
	if info.Kinds.Has(Anonymous) && info.Kinds&(Tor|VPN|Proxy|Residential) == 0 {
		f.Observe(CodeAnonymous)
	}
	if info.Range != RangePublic && info.Range != RangeCarrier {
		f.Observe(CodePrivate)
	}
	text := func(fact, v string) {
		if v != "" {
			f.Text(fact, v)
		}
	}
	text(FactCountry, info.Country)
	text(FactClass, info.Class())
	text(FactConnection, info.Connection)
	text(FactLists, info.lists())
	if info.AS.Number != 0 {
		f.Number(FactASN, float64(info.AS.Number))
	}
	if s.opts.Location {
		if info.HasPlace {
			f.Number(FactLat, info.Place.Lat)
			f.Number(FactLon, info.Place.Lon)
			f.Number(FactRadius, radius(info.Place))
		}
		text(FactZone, info.TimeZone)
	}
	return nil
}

// The codes of a [LiveSignal].
const (
	CodeReported = "reported" // 16 at the degree of the provider's risk, group "network"
	CodeLiveTor  = "tor"      // 22, group "network": the provider says it is a Tor exit
	CodeBenign   = "benign"   // 0: the provider knows it as harmless
	CodeShared   = "shared"   // 0: reported, but shared by honest people: it costs nothing
	// FactReputed is a number from 0 to 1: the provider's score as risk.
	FactReputed = "risk"
)

// LiveOptions of a [LiveSignal]. The zero value and nil mean the defaults.
type LiveOptions struct {
	// Intel keeps addresses of relays, carriers and networks that are not public from being asked about.
	Intel *Intel
	// MinRisk is the least risk that counts, 0 to 1; default 0.25: a single report is often a mistake.
	MinRisk float64
	// Keep is how long an answer is used again; default an hour. Entries is how many are kept; default 10,000.
	Keep    time.Duration
	Entries int
	// Cost is risk.Remote, the default, or risk.Costly for a small quota: then only suspicious attempts ask.
	Cost risk.Cost
	// Timeout bounds one question; default the engine's for the cost.
	Timeout time.Duration
	// OnError is what an error may cost the visitor; default risk.FailOpen.
	OnError risk.FailMode
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// LiveSignal asks a [Provider] about the attempt's address, as a signal named after the provider. A provider whose quota
// is used up is not asked until it says, or for a minute. Safe for concurrent use.
type LiveSignal struct {
	provider Provider
	opts     LiveOptions
	cache    *cache
	paused   atomic.Int64 // until then, in microseconds since 1970
}

var (
	_ risk.Signal  = (*LiveSignal)(nil)
	_ risk.Applier = (*LiveSignal)(nil)
)

// NewLiveSignal makes the signal of a provider.
func NewLiveSignal(p Provider, opts *LiveOptions) (*LiveSignal, error) {
	if p == nil {
		return nil, errors.New("ipintel: no provider; NewAbuseIPDB and NewCrowdSec make some")
	}
	s := &LiveSignal{provider: p}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if o.MinRisk == 0 {
		o.MinRisk = 0.25
	}
	if o.Keep == 0 {
		o.Keep = time.Hour
	}
	if o.Entries == 0 {
		o.Entries = 10_000
	}
	if o.Cost == 0 {
		o.Cost = risk.Remote
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case !(o.MinRisk > 0 && o.MinRisk <= 1):
		return nil, fmt.Errorf("ipintel: MinRisk is %v; it must be above 0 and at most 1", o.MinRisk)
	case o.Keep < 0 || o.Entries < 0 || o.Timeout < 0:
		return nil, errors.New("ipintel: Keep, Entries and Timeout must be positive, or 0 for the default")
	case o.Cost != risk.Remote && o.Cost != risk.Costly:
		return nil, errors.New("ipintel: a live look-up's cost is risk.Remote or risk.Costly")
	}
	var err error
	if o.OnError, err = failMode(o.OnError); err != nil {
		return nil, err
	}
	s.cache = &cache{most: o.Entries, keep: o.Keep, held: map[netip.Addr]cached{}}
	return s, nil
}

// Describe implements risk.Signal.
func (s *LiveSignal) Describe() risk.Description {
	return risk.Description{
		Name: s.provider.Name(), Cost: s.opts.Cost, Timeout: s.opts.Timeout, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodeReported, Points: 16, Group: group},
			{Name: CodeLiveTor, Points: 22, Group: group},
			{Name: CodeBenign, Group: group},
			{Name: CodeShared, Group: group},
		},
		Facts: []risk.FactType{{Name: FactReputed, Kind: risk.Number}},
		Collects: []risk.Datum{{
			What: "IP address", Why: "to learn whether it was reported for attacks", Keep: s.opts.Keep,
			Form: "clear, sent to " + s.provider.Name() + " and kept in memory",
		}},
	}
}

// Applies implements risk.Applier: the address is public, and nobody's relay or carrier as far as Intel knows.
func (s *LiveSignal) Applies(a *risk.Attempt) bool {
	if RangeOf(a.IP) != RangePublic {
		return false
	}
	if s.opts.Intel == nil {
		return true
	}
	info, _ := s.opts.Intel.Lookup(a.IP) // what cannot be decoded does not excuse
	return info.Kinds&Shared == 0
}

// errPaused is not a LimitError: it was not the provider who said so just now.
var errPaused = errors.New("ipintel: the provider's quota is used up; it is not asked for a while")

// Evaluate implements risk.Signal.
func (s *LiveSignal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	ip, now := Normal(a.IP), s.opts.Now()
	r, ok := s.cache.get(ip, now)
	if !ok {
		if now.UnixMicro() < s.paused.Load() {
			return errPaused
		}
		var err error
		if r, err = s.provider.Check(ctx, ip); err != nil {
			if limit, ok := errors.AsType[*LimitError](err); ok {
				s.paused.Store(now.Add(max(limit.RetryAfter, time.Minute)).UnixMicro())
			}
			return fmt.Errorf("ipintel: %s: %w", s.provider.Name(), err)
		}
		if !(r.Risk >= 0 && r.Risk <= 1) {
			return fmt.Errorf("ipintel: %s: %w", s.provider.Name(), errAnswer)
		}
		s.cache.put(ip, r, now)
	}
	if r.Kinds.Has(Tor) {
		f.Observe(CodeLiveTor)
	}
	if !r.Known {
		return nil
	}
	f.Number(FactReputed, r.Risk)
	switch {
	case r.Benign:
		f.Observe(CodeBenign)
	case r.Risk < s.opts.MinRisk:
	case r.Kinds&Shared != 0:
		f.Observe(CodeShared)
	default:
		f.ObserveAt(CodeReported, r.Risk)
	}
	return nil
}

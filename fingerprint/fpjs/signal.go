package fpjs

import (
	"context"
	"errors"
	"fmt"

	"github.com/vestibule-go/vestibule/risk"
)

// Response is what the page sent: attach it to the attempt. Sealed wins. LinkedID is what the server gave this visitor,
// not what the page says.
type Response struct {
	EventID  string
	Sealed   string
	LinkedID string
}

// String says nothing of the response.
func (Response) String() string { return "fpjs.Response" }

// Format prints String for every verb.
func (r Response) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, r.String()) }

// Events gets events by id; [*Client] does.
type Events interface {
	Event(ctx context.Context, id string) (*Event, error)
}

// The codes of the signal, in group "device".
const (
	CodeInvalid    = "invalid"     // 18: no event, or one that cannot be opened
	CodeReplayed   = "replayed"    // 18: used before
	CodeStale      = "stale"       // 8: too old; slow visitors do this too
	CodeMismatch   = "mismatch"    // 20: made on another page, or for another visitor
	CodeIPChanged  = "ip_changed"  // 3: asked from another address
	CodeUAChanged  = "ua_changed"  // 8: asked by another browser
	CodeBot        = "bot"         // 24
	CodeTampering  = "tampering"   // 16: a changed browser
	CodeVM         = "vm"          // 6: a virtual machine
	CodeVPN        = "vpn"         // 6; an iCloud relay is none
	CodeProxy      = "proxy"       // 8
	CodeTor        = "tor"         // 16
	CodeEmulator   = "emulator"    // 14: an emulator, or an app inside a cloning one
	CodeRooted     = "rooted"      // 6: a rooted or jailbroken device
	CodeHooked     = "hooked"      // 14: instrumented, or its traffic is read on the way
	CodeIncognito  = "incognito"   // 0
	CodeHighActive = "high_active" // 8: very active for one device
)

// SignalOptions of a Signal. The zero value and nil mean the defaults.
type SignalOptions struct {
	// OnError is what an outage may cost the visitor; default risk.FailOpen.
	OnError risk.FailMode
}

// Signal judges the event of an attempt as a signal of package risk, named "fpjs". It is safe for concurrent use.
type Signal struct {
	events   Events
	opener   *Opener
	verifier *Verifier
	o        SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
)

// NewSignal makes a signal of at least one of a source of events and an opener, and a verifier.
func NewSignal(events Events, opener *Opener, v *Verifier, opts *SignalOptions) (*Signal, error) {
	if c, ok := events.(*Client); ok && c == nil {
		events = nil
	}
	if events == nil && opener == nil {
		return nil, errors.New("fpjs: neither a client nor an opener for sealed results")
	}
	if v == nil {
		return nil, errors.New("fpjs: no verifier: an event that is not checked may be anybody's")
	}
	s := &Signal{events: events, opener: opener, verifier: v}
	if opts != nil {
		s.o = *opts
	}
	if s.o.OnError == 0 {
		s.o.OnError = risk.FailOpen
	}
	if s.o.OnError > risk.FailClosed {
		return nil, fmt.Errorf("fpjs: OnError %d is no fail mode", s.o.OnError)
	}
	return s, nil
}

// Describe implements [risk.Signal].
func (s *Signal) Describe() risk.Description {
	d := risk.Description{
		Name: "fpjs", Cost: risk.Remote, OnError: s.o.OnError,
		Facts: []risk.FactType{{Name: "confidence", Kind: risk.Number}, {Name: "suspect", Kind: risk.Number}, {Name: "distinctIPs24h", Kind: risk.Number}},
		Collects: []risk.Datum{{
			What: "event of Fingerprint: device, address and signals", Why: "to recognise programs and devices", Form: "not stored; the event's id is remembered as used",
		}},
	}
	for _, c := range []risk.Code{
		{Name: CodeInvalid, State: risk.Invalid, Points: 18}, {Name: CodeReplayed, State: risk.Invalid, Points: 18},
		{Name: CodeStale, State: risk.Invalid, Points: 8}, {Name: CodeMismatch, State: risk.Invalid, Points: 20},
		{Name: CodeIPChanged, Points: 3}, {Name: CodeUAChanged, Points: 8}, {Name: CodeBot, Points: 24},
		{Name: CodeTampering, Points: 16}, {Name: CodeVM, Points: 6}, {Name: CodeVPN, Points: 6, Group: "network"},
		{Name: CodeProxy, Points: 8, Group: "network"}, {Name: CodeTor, Points: 16, Group: "network"},
		{Name: CodeEmulator, Points: 14}, {Name: CodeRooted, Points: 6}, {Name: CodeHooked, Points: 14},
		{Name: CodeIncognito}, {Name: CodeHighActive, Points: 8},
	} {
		if c.Group == "" {
			c.Group = "device"
		}
		d.Codes = append(d.Codes, c)
	}
	return d
}

// Applies implements [risk.Applier].
func (s *Signal) Applies(a *risk.Attempt) bool {
	r, _ := risk.Evidence[Response](a)
	return r.EventID != "" || r.Sealed != ""
}

// Evaluate implements [risk.Signal].
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	r, _ := risk.Evidence[Response](a)
	e, err := s.event(ctx, r)
	if err != nil {
		return err
	}
	if e == nil {
		f.Observe(CodeInvalid)
		return nil
	}
	x := Expect{Tenant: a.Tenant, IP: a.IP, LinkedID: r.LinkedID}
	if v := a.Header["Origin"]; len(v) == 1 {
		x.Origin = v[0]
	}
	if v := a.Header["User-Agent"]; len(v) == 1 {
		x.Agent = v[0]
	}
	verdict, err := s.verifier.Verify(ctx, e, x)
	if err != nil {
		return err
	}
	switch verdict.Reason {
	case Accepted:
	case Stale:
		f.Observe(CodeStale)
		return nil
	case Replayed:
		f.Observe(CodeReplayed)
		return nil
	default:
		f.Observe(CodeMismatch)
		return nil
	}
	observe(f, e, verdict)
	return nil
}

// event gets the event; nil: the visitor sent none that is.
func (s *Signal) event(ctx context.Context, r Response) (*Event, error) {
	if r.Sealed != "" && s.opener != nil {
		e, err := s.opener.Open(r.Sealed)
		if err != nil {
			return nil, nil //nolint:nilerr // what the visitor sent is the cause
		}
		return e, nil
	}
	if s.events == nil || r.EventID == "" {
		return nil, nil
	}
	e, err := s.events.Event(ctx, r.EventID)
	if api, ok := errors.AsType[*APIError](err); errors.Is(err, ErrID) || ok && (api.NotFound() || api.BadRequest()) {
		return nil, nil
	}
	return e, err
}

func observe(f *risk.Finding, e *Event, v Verdict) {
	for _, c := range []struct {
		code string
		is   bool
	}{
		{CodeIPChanged, v.IPMismatch}, {CodeUAChanged, v.AgentMismatch}, {CodeBot, e.Bot == "bad"},
		{CodeTampering, e.Tampering == Yes || e.AntiDetect == Yes || e.TamperingScore > 0.8 || e.AnomalyScore > 0.5},
		{CodeVM, e.VirtualMachine == Yes}, {CodeVPN, e.VPN == Yes && e.Relay != Yes}, {CodeProxy, e.Proxy == Yes},
		{CodeTor, e.Tor == Yes}, {CodeEmulator, e.Emulator == Yes || e.ClonedApp == Yes},
		{CodeRooted, e.RootApps == Yes || e.Jailbroken == Yes},
		{CodeHooked, e.Frida == Yes || e.MITM == Yes || e.LocationSpoofing == Yes},
		{CodeIncognito, e.Incognito == Yes}, {CodeHighActive, e.HighActivity == Yes},
	} {
		if c.is {
			f.Observe(c.code)
		}
	}
	if e.Confidence > 0 {
		f.Number("confidence", e.Confidence)
	}
	if e.SuspectScore >= 0 {
		f.Number("suspect", e.SuspectScore)
	}
	if e.DistinctIPs24h >= 0 {
		f.Number("distinctIPs24h", float64(e.DistinctIPs24h))
	}
}

package risk

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Event is the kind of thing attempted. Users add their own.
type Event string

// The events the default policy and the providers know.
const (
	SignUp        Event = "signup"
	Login         Event = "login"
	ProfileChange Event = "profile_change"
	PayoutChange  Event = "payout_change"
	Recovery      Event = "recovery"
)

// Channels that have a meaning of their own. A channel is any text.
const (
	ChannelWeb     = "web"
	ChannelMobile  = "mobile"
	ChannelSupport = "support"
)

// Proof is something a visitor can prove.
type Proof string

// The proofs providers of this module give. Users add their own.
const (
	ProofHuman   Proof = "human"   // a CAPTCHA, or a user-verified passkey where the policy allows
	ProofPhone   Proof = "phone"   // control of the attempt's phone number
	ProofVoice   Proof = "voice"   // control of the number by a voice call; gives ProofPhone too
	ProofEmail   Proof = "email"   // control of the attempt's e-mail address
	ProofDevice  Proof = "device"  // a genuine device: attestation checked up to a trusted root
	ProofPasskey Proof = "passkey" // a user-verified passkey of the account
)

// Attempt is one thing somebody tries to do, and all that is known about it. The zero value is an attempt nothing is
// known about. Fill it in one goroutine, then pass it to [Engine.Assess], which never writes to it; it may be reused
// once Assess has returned. It prints and logs without personal data.
type Attempt struct {
	// ID names the attempt in logs. The engine makes one when it is empty.
	ID string
	// Event is what is being tried.
	Event Event
	// Time is when; zero means now. Signals judge by it; limits and expiry use their store's clock.
	Time time.Time

	// Tenant, Channel and Tier choose the policy's segment. Tenant also separates everything that is stored.
	Tenant, Channel, Tier string
	// Client is the client's class: "user", "partner", "public".
	Client string

	// IP is the client's address, behind trusted proxies already resolved.
	IP netip.Addr
	// Header holds the request's headers; an http.Header fits. The guard of package riskhttp drops the values of
	// Cookie and Authorization.
	Header map[string][]string

	// Account is the host's name for an existing account.
	Account string
	// Session, Email and Phone are as the visitor gave them.
	Session, Email, Phone Private
	// Device holds keyed tags (package risk/keyed) of one device, current salt epoch first; never a raw token.
	Device []string
	// IDs holds business identifiers: "usdot", "mc", "ein"; "sso" is issuer and subject.
	IDs map[string]Private

	// Flow continues a challenged attempt. It comes from the client and is untrusted until the engine has loaded it.
	Flow string
	// Cannot lists proofs the client says it cannot give.
	Cannot []Proof

	evidence []any
	state    *attemptState
}

// attemptState is what the engine tells one signal beside the attempt. It is not changed once handed out.
type attemptState struct {
	asked     []Proof
	continued bool
	facts     []Fact // those the signal needs, by full name
}

// Attach adds typed evidence, found again by its dynamic type: a captcha.Response, an appattest.Attestation. A second
// value of the same type replaces the first. Attached values must not be changed afterwards.
func Attach(a *Attempt, evidence any) {
	if evidence == nil {
		return
	}
	for i, e := range a.evidence {
		if sameType(e, evidence) {
			next := slices.Clone(a.evidence)
			next[i] = evidence
			a.evidence = next
			return
		}
	}
	a.evidence = append(a.evidence[:len(a.evidence):len(a.evidence)], evidence)
}

// Evidence returns the attached value of type E.
func Evidence[E any](a *Attempt) (E, bool) {
	for _, e := range a.evidence {
		if v, ok := e.(E); ok {
			return v, true
		}
	}
	var none E
	return none, false
}

// Asked reports whether proof p should have come with this attempt: its channel always carries p, or p is the only
// proof its flow still misses and the client has not said that it cannot give it. Only then is its absence evidence. It
// is false outside an assessment.
func (a *Attempt) Asked(p Proof) bool {
	return a.state != nil && slices.Contains(a.state.asked, p)
}

// Continued reports whether the attempt's flow was loaded, is bound to it and is not spent. It is false outside an
// assessment.
func (a *Attempt) Continued() bool { return a.state != nil && a.state.continued }

// Fact returns a fact of an earlier step, by its full name ("ip.country"), which the signal's Description.Needs must
// list. It is absent when nobody gave it.
func (a *Attempt) Fact(name string) (Value, bool) {
	if a.state != nil {
		for i := range a.state.facts {
			if a.state.facts[i].Name == name {
				return a.state.facts[i].Value, true
			}
		}
	}
	return Value{}, false
}

// Rehearse returns a copy of a as the engine would hand it to a signal that is asked for the given proofs, continues
// a flow or not, and may read the given facts. It is for tests of signals; package risktest wraps it.
func Rehearse(a *Attempt, asked []Proof, continued bool, facts map[string]Value) *Attempt {
	c := a.clone()
	c.state = &attemptState{asked: slices.Clone(asked), continued: continued}
	for name, v := range facts {
		c.state.facts = append(c.state.facts, Fact{name, v})
	}
	return c
}

// clone copies everything the caller may change later. Evidence is shared: it must not change once attached.
func (a *Attempt) clone() *Attempt {
	c := *a
	c.detach()
	return &c
}

// detach gives a copied attempt maps and slices of its own.
func (a *Attempt) detach() {
	a.Header = cloneHeader(a.Header)
	a.Device = slices.Clone(a.Device)
	a.IDs = maps.Clone(a.IDs)
	a.Cannot = slices.Clone(a.Cannot)
	a.evidence = a.evidence[:len(a.evidence):len(a.evidence)]
}

// cloneHeader copies a header with one allocation for all its values.
func cloneHeader(h map[string][]string) map[string][]string {
	if h == nil {
		return nil
	}
	n := 0
	for _, vv := range h {
		n += len(vv)
	}
	values := make([]string, 0, n)
	c := make(map[string][]string, len(h))
	for k, vv := range h {
		start := len(values)
		values = append(values, vv...)
		c[k] = values[start:len(values):len(values)]
	}
	return c
}

// Format prints the attempt without personal data, for every verb.
func (a Attempt) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, a.String()) }

// String names the attempt by id, event and segment only.
func (a Attempt) String() string {
	return fmt.Sprintf("attempt %s: %s tenant=%s channel=%s tier=%s client=%s", a.ID, a.Event, a.Tenant, a.Channel, a.Tier, a.Client)
}

// LogValue logs id, event and segment only.
func (a Attempt) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", a.ID), slog.String("event", string(a.Event)), slog.String("tenant", a.Tenant),
		slog.String("channel", a.Channel), slog.String("tier", a.Tier), slog.String("client", a.Client))
}

// MarshalJSON gives id, event, time and segment only: addresses, headers and evidence stay out of every log.
func (a Attempt) MarshalJSON() ([]byte, error) {
	return marshalAttempt(a)
}

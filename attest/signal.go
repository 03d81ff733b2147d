package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of the signal, all in group "attest". Evidence that cannot help is worth at least what missing evidence is, so
// that sending rubbish never beats sending nothing.
const (
	CodePassed        = "passed"         // -12: genuine; at half points where nothing better than software was shown
	CodeSecureElement = "secure_element" // 0: passed, and the key is in a chip of its own
	CodeTEE           = "tee"            // 0: passed, and the key is in a trusted execution environment
	CodeSoftware      = "software"       // 0: passed, by the word of the platform's service
	CodeAbsent        = "absent"         // 6: asked for and not sent
	CodeExpired       = "expired"        // 8: its challenge is unknown or over, or the evidence too old; slow clients do this too
	CodeReplayed      = "replayed"       // 18, floor challenge: a challenge or a counter used before
	CodeMismatch      = "mismatch"       // 20: made for another flow, session, tenant, account, app or environment
	CodeFailed        = "failed"         // 30, floor review: malformed, wrong, or not what the policy wants
	CodeTampered      = "tampered"       // 30, floor review: a changed app or an opened device
	CodeEmulator      = "emulator"       // 30, floor review: a virtual device
	CodeRevoked       = "revoked"        // 30, floor review: a certificate of the device is revoked
	CodeTest          = "test"           // 30, floor review: a test response of the vendor's
	CodeForged        = "forged"         // 0, floor block: no honest device sends this
	CodeChannel       = "channel"        // 18: app attestation in a channel that has no app
	CodeEnvironment   = "environment"    // 12 at the verdict's Risk: genuine, in company that is not
)

// The facts of the signal.
const (
	FactPlatform = "platform" // text: Platform of what was judged
	FactStrength = "strength" // number: Strength
	FactStep     = "step"     // text: the step that refused
	FactIssued   = "issued"   // number: keys lately issued to this device, where the vendor says so
)

// MaxEvidence is the default bound of what a client may send, in bytes.
const MaxEvidence = 64 << 10

// purposeApp is what the signal's challenges are for.
const purposeApp = "app"

// SignalOptions of a Signal. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Refuse lists the channels in which app attestation is worth nothing; default {"web"}: a browser has none, so what
	// comes there was relayed from a phone elsewhere. Let the policy's segments of these channels offer no device proof.
	Refuse []string
	// Least is the strength from which the proof risk.ProofDevice is given; default Software.
	Least Strength
	// MaxEvidence is the most bytes of a Response that are looked at; default MaxEvidence, 1 KiB to 1 MiB.
	MaxEvidence int
	// Cost is the signal's place in the order; default risk.Remote. Without Play Integrity's decode endpoint risk.Stored
	// suits too.
	Cost risk.Cost
	// Timeout bounds one evaluation; default 250 ms for Stored, else the engine's.
	Timeout time.Duration
	// OnError is what an outage may cost the visitor; default risk.FailChallenge.
	OnError risk.FailMode
}

// Signal is app attestation as a signal of package risk, named "attest": it hands out challenges bound to tenant, flow,
// session and account, redeems them once, and has a [Verifier] for each platform judge the [Response] attached to an
// attempt. It is safe for concurrent use.
type Signal struct {
	challenges *Challenges
	verifiers  map[Platform]Verifier
	platforms  []Platform
	opts       SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
	_ risk.Asker   = (*Signal)(nil)
)

// Task is what [Signal.Ask] hands to a client: the challenge to attest to, and with which platforms.
type Task struct {
	Challenge string     `json:"challenge"`
	Expires   time.Time  `json:"expires"`
	Platforms []Platform `json:"platforms"`
}

// NewSignal makes a signal over challenges and one verifier a platform.
func NewSignal(c *Challenges, verifiers map[Platform]Verifier, opts *SignalOptions) (*Signal, error) {
	if c == nil {
		return nil, errors.New("attest: no challenges; NewChallenges makes them over a store")
	}
	if len(verifiers) == 0 {
		return nil, errors.New("attest: no verifiers; packages appattest, playintegrity and androidkey make them")
	}
	s := &Signal{challenges: c, verifiers: map[Platform]Verifier{}}
	for p, v := range verifiers {
		if p == "" || len(p) > 64 || v == nil {
			return nil, fmt.Errorf("attest: verifier of platform %.64q: a platform needs a name of at most 64 bytes and a verifier", p)
		}
		s.verifiers[p] = v
		s.platforms = append(s.platforms, p)
	}
	slices.Sort(s.platforms)
	if opts != nil {
		s.opts = *opts
	}
	if err := s.opts.fill(); err != nil {
		return nil, err
	}
	return s, nil
}

func (o *SignalOptions) fill() error {
	if o.Refuse == nil {
		o.Refuse = []string{risk.ChannelWeb}
	}
	o.Refuse = slices.Clone(o.Refuse)
	if o.Least == None {
		o.Least = Software
	}
	if o.MaxEvidence == 0 {
		o.MaxEvidence = MaxEvidence
	}
	if o.Cost == 0 {
		o.Cost = risk.Remote
	}
	if o.Timeout == 0 && o.Cost == risk.Stored {
		o.Timeout = 250 * time.Millisecond
	}
	if o.OnError == 0 {
		o.OnError = risk.FailChallenge
	}
	switch {
	case o.Least > SecureElement:
		return fmt.Errorf("attest: Least %d is no strength", o.Least)
	case o.MaxEvidence < 1<<10 || o.MaxEvidence > 1<<20:
		return fmt.Errorf("attest: MaxEvidence is %d; it must be from 1 KiB to 1 MiB, or 0 for %d", o.MaxEvidence, MaxEvidence)
	case o.Cost < risk.Stored || o.Cost > risk.Costly:
		return errors.New("attest: the cost of attestation is risk.Stored, risk.Remote or risk.Costly; it is never Local")
	case o.Timeout < 0:
		return fmt.Errorf("attest: Timeout is %v; it must be positive, or 0 for the default", o.Timeout)
	case o.OnError > risk.FailClosed:
		return fmt.Errorf("attest: OnError %d is no fail mode", o.OnError)
	}
	return nil
}

// Describe implements risk.Signal.
func (s *Signal) Describe() risk.Description {
	const group = "attest"
	const failed = "The check of your app or device failed."
	return risk.Description{
		Name: "attest", Cost: s.opts.Cost, Timeout: s.opts.Timeout, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodePassed, Points: -12, Group: group},
			{Name: CodeSecureElement, Group: group},
			{Name: CodeTEE, Group: group},
			{Name: CodeSoftware, Group: group},
			{Name: CodeAbsent, State: risk.Absent, Points: 6, Group: group, Public: "The check of your app and device is missing."},
			{Name: CodeExpired, State: risk.Invalid, Points: 8, Group: group, Public: "The check of your app and device has expired."},
			{Name: CodeReplayed, State: risk.Invalid, Points: 18, Floor: risk.Challenge, Group: group, Public: failed},
			{Name: CodeMismatch, State: risk.Invalid, Points: 20, Group: group, Public: failed},
			{Name: CodeFailed, State: risk.Invalid, Points: 30, Floor: risk.Review, Group: group, Public: failed},
			{Name: CodeTampered, Points: 30, Floor: risk.Review, Group: group, Public: failed},
			{Name: CodeEmulator, Points: 30, Floor: risk.Review, Group: group, Public: failed},
			{Name: CodeRevoked, Points: 30, Floor: risk.Review, Group: group, Public: failed},
			{Name: CodeTest, Points: 30, Floor: risk.Review, Group: group, Public: failed},
			{Name: CodeForged, State: risk.Invalid, Floor: risk.Block, Group: group, Public: failed},
			{Name: CodeChannel, State: risk.Invalid, Points: 18, Group: group, Public: failed},
			{Name: CodeEnvironment, Points: 12, Group: group},
		},
		Facts: []risk.FactType{
			{Name: FactPlatform, Kind: risk.Text}, {Name: FactStrength, Kind: risk.Number},
			{Name: FactStep, Kind: risk.Text}, {Name: FactIssued, Kind: risk.Number},
		},
		Proofs: []risk.Proof{risk.ProofDevice},
		Collects: []risk.Datum{
			{What: "attestation of app and device", Why: "to tell genuine apps on genuine devices from programs", Form: "not stored"},
			{What: "public key made by the app on the device", Why: "to know the device's later signatures", Keep: DefaultKeep, Form: "public key under a hash of its id; owner hashed"},
			{What: "one-time challenge", Why: "to accept an attestation once", Keep: s.challenges.ttl, Form: "hash"},
		},
	}
}

// refused reports whether the attempt's channel has no app.
func (s *Signal) refused(a *risk.Attempt) bool { return slices.Contains(s.opts.Refuse, a.Channel) }

// Applies implements risk.Applier: something was sent, or should have been. Nothing should come from a channel without an
// app.
func (s *Signal) Applies(a *risk.Attempt) bool {
	r, _ := risk.Evidence[Response](a)
	return !r.Empty() || a.Asked(risk.ProofDevice) && !s.refused(a)
}

// Evaluate implements risk.Signal. A challenge handed out for a flow counts in that flow only, and in a flow no other one
// does. Evidence is verified only once its challenge is redeemed, so each challenge gives one try.
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	r, _ := risk.Evidence[Response](a)
	switch {
	case r.Empty():
		if a.Asked(risk.ProofDevice) && !s.refused(a) {
			f.Observe(CodeAbsent)
		}
		return nil
	case s.refused(a):
		f.Observe(CodeChannel)
		return nil
	case r.size() > s.opts.MaxEvidence:
		refuse(f, CodeFailed, "size")
		return nil
	}
	v := s.verifiers[r.Platform]
	if v == nil {
		refuse(f, CodeFailed, "platform")
		return nil
	}
	f.Text(FactPlatform, string(r.Platform))
	b := binding(a)
	if a.Continued() {
		b.Flow = a.Flow
	}
	red, _, err := s.challenges.Redeem(ctx, r.Challenge, b)
	if err != nil {
		return err
	}
	switch red {
	case Unknown:
		refuse(f, CodeExpired, "challenge")
		return nil
	case Spent:
		refuse(f, CodeReplayed, "challenge")
		return nil
	case Mismatch:
		refuse(f, CodeMismatch, "challenge")
		return nil
	}
	verdict, err := v.Verify(ctx, Request{Response: r, Tenant: a.Tenant, Owner: OwnerHash(a.Tenant, a.Account), At: a.Time})
	if err != nil {
		return fmt.Errorf("attest: verifying %s: %w", r.Platform, err)
	}
	return s.say(verdict, f)
}

func binding(a *risk.Attempt) Binding {
	return Binding{Purpose: purposeApp, Tenant: a.Tenant, Session: string(a.Session), Subject: a.Account}
}

func refuse(f *risk.Finding, code, step string) {
	f.Observe(code)
	f.Text(FactStep, step)
}

// say turns a verdict into codes.
func (s *Signal) say(v Verdict, f *risk.Finding) error {
	if v.Issued > 0 {
		f.Number(FactIssued, float64(v.Issued))
	}
	if v.Risk > 0 {
		f.ObserveAt(CodeEnvironment, min(v.Risk, 1))
	}
	code := ""
	switch v.Outcome {
	case Passed:
		return s.passed(v, f)
	case Failed:
		code = CodeFailed
	case Forged:
		code = CodeForged
	case Tampered:
		code = CodeTampered
	case Emulator:
		code = CodeEmulator
	case Replayed:
		code = CodeReplayed
	case Revoked:
		code = CodeRevoked
	case Test:
		code = CodeTest
	case StaleProof:
		code = CodeExpired
	case WrongAudience:
		code = CodeMismatch
	default:
		return fmt.Errorf("attest: the verifier left the evidence unjudged")
	}
	refuse(f, code, v.Step())
	return nil
}

func (s *Signal) passed(v Verdict, f *risk.Finding) error {
	strength := v.Strength()
	f.Number(FactStrength, float64(strength))
	switch strength {
	case SecureElement:
		f.Observe(CodePassed)
		f.Observe(CodeSecureElement)
	case TEE:
		f.Observe(CodePassed)
		f.Observe(CodeTEE)
	case Software:
		f.ObserveAt(CodePassed, 0.5)
		f.Observe(CodeSoftware)
	default:
		return errors.New("attest: the verifier passed evidence that shows nothing")
	}
	if strength >= s.opts.Least && v.GenuineApp {
		f.Prove(risk.ProofDevice)
	}
	return nil
}

// Ask implements risk.Asker with a Task for risk.ProofDevice. It refuses channels without an app.
func (s *Signal) Ask(ctx context.Context, q risk.Question) (any, error) {
	switch {
	case q.Proof != risk.ProofDevice:
		return nil, fmt.Errorf("attest: no task gives proof %q", q.Proof)
	case q.Attempt == nil:
		return nil, errors.New("attest: a challenge is made for an attempt")
	case s.refused(q.Attempt):
		return nil, errors.New("attest: no app attestation in this channel; let its segment offer no device proof")
	}
	b := binding(q.Attempt)
	b.Flow = q.Flow
	c, err := s.challenges.Issue(ctx, b, nil)
	if err != nil {
		return nil, err
	}
	return Task{Challenge: c.Text, Expires: c.Expires.UTC(), Platforms: slices.Clone(s.platforms)}, nil
}

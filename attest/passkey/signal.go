package passkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/risk"
)

// The codes of the signal. Those that say what a device is worth are in group "attest", which app attestation shares;
// "verified" is in group "account", and those of the ceremony in "passkey". Evidence that cannot help is worth at least
// what missing evidence is, so that sending rubbish never beats sending nothing.
const (
	CodeVerified   = "verified"   // -12: a user-verified passkey of the account; proves risk.ProofPasskey
	CodeRegistered = "registered" // 0: a passkey was made
	CodeCertified  = "certified"  // -12: in certified hardware, chain and status checked; proves risk.ProofDevice
	CodeHardware   = "hardware"   // -8: in hardware by its maker's word, checked up to its root
	CodeSoftware   = "software"   // 0: a model that keeps keys in software
	CodeNone       = "none"       // 0: no attestation, self attestation, or a certificate nobody vouches for: as most have it
	CodeUntrusted  = "untrusted"  // 30, floor review: the claimed model's chain does not lead to its roots
	CodeRevoked    = "revoked"    // 30, floor review: a new passkey of a revoked or compromised model
	CodeDowngraded = "downgraded" // 12: a known passkey, whose model was revoked or lost its standing since
	CodeAbsent     = "absent"     // 6: asked for and not sent
	CodeExpired    = "expired"    // 8: its challenge is unknown or over; slow visitors do this too
	CodeReplayed   = "replayed"   // 18, floor challenge: its challenge was used before
	CodeMismatch   = "mismatch"   // 20: made for another flow, session, tenant or account
	CodeOrigin     = "origin"     // 30, floor review: made on another site's page: phishing looks like this
	CodeFailed     = "failed"     // 30, floor review: malformed, forged or wrong
	CodeUnverified = "unverified" // 8: the user was not verified, or nobody was there
	CodePolicy     = "policy"     // 8: genuine, and not of a model or trust that is wanted
	CodeUnknown    = "unknown"    // 8: no such passkey: deleted here and not on the device, perhaps
	CodeExists     = "exists"     // 8: registered already
	CodeCounter    = "counter"    // 16: the signature counter did not advance: two copies may be in use
	CodeBackup     = "backup"     // 2: was copied to elsewhere since it was last used, or is no longer
	CodeNew        = "new"        // 4: made less than SignalOptions.New ago
)

// The facts of the signal.
const (
	FactTrust = "trust" // text: Trust
	FactLevel = "level" // number: Level
	FactModel = "model" // text: AAGUID of an authentic model
	FactStep  = "step"  // text: the step that refused
	FactAge   = "age"   // number: hours since the passkey was made
)

// SignalOptions of a Signal. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Device is the trust from which risk.ProofDevice is given; default Certified. With Hardware it is given for
	// uncertified models too, never for any whose status could not be checked.
	Device Trust
	// Human is the trust from which a user-verified ceremony gives risk.ProofHuman; zero: never, as any program can make
	// passkeys and claim to have verified somebody. Hardware makes each such program cost a device and a finger. None
	// admits what consumers have, and programs: leave it to sites where bots are no matter.
	Human Trust
	// New is how long a passkey counts as new; default 24 hours. Nobody who just took over an account should meet a step-up
	// with a passkey made a minute ago: while it is new it gives no risk.ProofPasskey where NewIsNoProof lists the event.
	New time.Duration
	// NewIsNoProof lists events at which a new passkey is no proof; default risk.PayoutChange.
	NewIsNoProof []risk.Event
	// Cost is the signal's place in the order; default risk.Stored.
	Cost risk.Cost
	// Timeout bounds one evaluation; default 250 ms for Stored, else the engine's.
	Timeout time.Duration
	// OnError is what an outage may cost the visitor; default risk.FailChallenge.
	OnError risk.FailMode
	// Now is the clock for ages; default time.Now.
	Now func() time.Time
}

// Signal is WebAuthn as a signal of package risk, named "passkey": it hands out ceremonies bound to tenant, flow and
// session, and verifies the [Response] attached to an attempt. It is safe for concurrent use.
//
// A passkey made in answer to a task is kept under no account: a step-up never adds a passkey to an account. The host
// binds it with [Verifier.Bind] once it has created the account or the user has asked for it.
type Signal struct {
	v    *Verifier
	opts SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
	_ risk.Asker   = (*Signal)(nil)
)

// NewSignal makes a signal over a verifier.
func NewSignal(v *Verifier, opts *SignalOptions) (*Signal, error) {
	if v == nil {
		return nil, errors.New("passkey: no verifier; New makes one")
	}
	s := &Signal{v: v}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if o.Device == 0 {
		o.Device = Certified
	}
	if o.New == 0 {
		o.New = 24 * time.Hour
	}
	if o.NewIsNoProof == nil {
		o.NewIsNoProof = []risk.Event{risk.PayoutChange}
	}
	o.NewIsNoProof = append([]risk.Event(nil), o.NewIsNoProof...)
	if o.Cost == 0 {
		o.Cost = risk.Stored
	}
	if o.Timeout == 0 && o.Cost == risk.Stored {
		o.Timeout = 250 * time.Millisecond
	}
	if o.OnError == 0 {
		o.OnError = risk.FailChallenge
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Device < Hardware || o.Device > Certified:
		return nil, fmt.Errorf("passkey: Device %d; it must be Hardware or Certified: nothing less proves a device", o.Device)
	case o.Human != 0 && (o.Human < None || o.Human > Certified):
		return nil, fmt.Errorf("passkey: Human %d; it must be 0, or None to Certified", o.Human)
	case o.New < 0 || o.Timeout < 0:
		return nil, errors.New("passkey: New and Timeout must be positive, or 0 for the default")
	case o.Cost < risk.Stored || o.Cost > risk.Costly:
		return nil, errors.New("passkey: the cost is risk.Stored, risk.Remote or risk.Costly; it is never Local")
	case o.OnError > risk.FailClosed:
		return nil, fmt.Errorf("passkey: OnError %d is no fail mode", o.OnError)
	}
	return s, nil
}

// RequireFor is a rule that asks for a passkey of the account at the events given: payout changes and what else is of high
// value. Put it into a policy's Rules; a passkey that is not there sends the attempt to review.
func RequireFor(events ...risk.Event) risk.Rule {
	when := ""
	for _, e := range events {
		when += fmt.Sprintf(", %q", string(e))
	}
	return risk.Rule{Name: "passkey required", When: "oneof(event" + when + ")", Require: []risk.Proof{risk.ProofPasskey}}
}

// Describe implements risk.Signal.
func (s *Signal) Describe() risk.Description {
	const device, ceremony = "attest", "passkey"
	const failed = "The check of your passkey failed."
	proofs := []risk.Proof{risk.ProofPasskey, risk.ProofDevice}
	if s.opts.Human != 0 {
		proofs = append(proofs, risk.ProofHuman)
	}
	return risk.Description{
		Name: "passkey", Cost: s.opts.Cost, Timeout: s.opts.Timeout, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodeVerified, Points: -12, Group: "account"},
			{Name: CodeRegistered, Group: ceremony},
			{Name: CodeCertified, Points: -12, Group: device},
			{Name: CodeHardware, Points: -8, Group: device},
			{Name: CodeSoftware, Group: device},
			{Name: CodeNone, Group: device},
			{Name: CodeUntrusted, State: risk.Invalid, Points: 30, Floor: risk.Review, Group: device, Public: failed},
			{Name: CodeRevoked, State: risk.Invalid, Points: 30, Floor: risk.Review, Group: device, Public: failed},
			{Name: CodeDowngraded, Points: 12, Group: device},
			{Name: CodeAbsent, State: risk.Absent, Points: 6, Group: ceremony, Public: "Your passkey is missing."},
			{Name: CodeExpired, State: risk.Invalid, Points: 8, Group: ceremony, Public: "The request for your passkey has expired."},
			{Name: CodeReplayed, State: risk.Invalid, Points: 18, Floor: risk.Challenge, Group: ceremony, Public: failed},
			{Name: CodeMismatch, State: risk.Invalid, Points: 20, Group: ceremony, Public: failed},
			{Name: CodeOrigin, State: risk.Invalid, Points: 30, Floor: risk.Review, Group: ceremony, Public: failed},
			{Name: CodeFailed, State: risk.Invalid, Points: 30, Floor: risk.Review, Group: ceremony, Public: failed},
			{Name: CodeUnverified, State: risk.Invalid, Points: 8, Group: ceremony, Public: failed},
			{Name: CodePolicy, State: risk.Invalid, Points: 8, Group: ceremony, Public: "This kind of passkey is not accepted."},
			{Name: CodeUnknown, State: risk.Invalid, Points: 8, Group: ceremony, Public: failed},
			{Name: CodeExists, State: risk.Invalid, Points: 8, Group: ceremony, Public: failed},
			{Name: CodeCounter, Points: 16, Group: ceremony},
			{Name: CodeBackup, Points: 2, Group: ceremony},
			{Name: CodeNew, Points: 4, Group: ceremony},
		},
		Facts: []risk.FactType{
			{Name: FactTrust, Kind: risk.Text}, {Name: FactLevel, Kind: risk.Number}, {Name: FactModel, Kind: risk.Text},
			{Name: FactStep, Kind: risk.Text}, {Name: FactAge, Kind: risk.Number},
		},
		Proofs: proofs,
		Collects: []risk.Datum{
			{What: "passkey: public key, random user handle and model", Why: "to know the account's holder again", Keep: DefaultKeep, Form: "under the account; the key of the record is a hash"},
			{What: "attestation of the authenticator", Why: "to tell certified hardware, and to learn later that its model was revoked", Keep: DefaultKeep, Form: "as it came, beside the passkey"},
			{What: "one-time challenge", Why: "to accept a passkey once", Keep: attest.DefaultTTL, Form: "hash"},
		},
	}
}

// asked reports whether something should have come. A device is proven by passkeys on the web, elsewhere by apps.
func (s *Signal) asked(a *risk.Attempt) bool {
	return a.Asked(risk.ProofPasskey) || a.Channel == risk.ChannelWeb && a.Asked(risk.ProofDevice)
}

// Applies implements risk.Applier: something was sent, or should have been.
func (s *Signal) Applies(a *risk.Attempt) bool {
	r, _ := risk.Evidence[Response](a)
	return !r.Empty() || s.asked(a)
}

func scopeOf(a *risk.Attempt) Scope {
	s := Scope{Tenant: a.Tenant, Session: string(a.Session)}
	if a.Continued() {
		s.Flow = a.Flow
	}
	return s
}

// Evaluate implements risk.Signal. A ceremony begun for a flow counts in that flow only, and in a flow no other one does.
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	r, _ := risk.Evidence[Response](a)
	scope := scopeOf(a)
	switch {
	case r.Empty():
		if s.asked(a) {
			f.Observe(CodeAbsent)
		}
		return nil
	case r.Ticket != "":
		t, out, err := s.v.redeemTicket(ctx, scope, r.Ticket)
		if err != nil {
			return err
		}
		if out != attest.Passed {
			s.refuse(out, StepChallenge, f)
			return nil
		}
		s.passed(a, t, f)
		return nil
	case len(r.Credential) > s.v.o.MaxBody:
		s.refuse(attest.Failed, StepSize, f)
		return nil
	}
	var res *Result
	var err error
	if ceremonyOf(r.Credential) == Registration {
		res, err = s.v.FinishRegistration(ctx, scope, r.Credential)
	} else {
		scope.Account = a.Account
		res, err = s.v.FinishLogin(ctx, scope, r.Credential)
	}
	if err != nil {
		return err
	}
	if !res.Passed() {
		if res.Judged.Trust == Untrusted {
			f.Observe(CodeUntrusted)
			f.Text(FactStep, StepTrust)
			return nil
		}
		s.refuse(res.Verdict.Outcome, res.Verdict.Step(), f)
		return nil
	}
	c := res.Credential
	s.passed(a, &ticket{
		res.Ceremony, c.Account, c.ID, res.Verdict, res.UserVerified, res.CounterStalled, res.BackupChanged, res.Downgraded, res.Judged, c.Created.Unix(),
	}, f)
	return nil
}

// refuse says why a ceremony was refused.
func (s *Signal) refuse(out attest.Outcome, step string, f *risk.Finding) {
	code := CodeFailed
	switch {
	case out == attest.Revoked:
		code = CodeRevoked
	case out == attest.StaleProof:
		code = CodeExpired
	case out == attest.Replayed:
		code = CodeReplayed
	case step == StepOrigin, step == StepRPID, step == StepCrossOrigin:
		code = CodeOrigin
	case out == attest.WrongAudience:
		code = CodeMismatch
	case step == StepVerification, step == StepPresence:
		code = CodeUnverified
	case step == StepTrust, step == StepModel, step == StepAlgorithm, step == StepFull:
		code = CodePolicy
	case step == StepCredential:
		code = CodeUnknown
	case step == StepExists:
		code = CodeExists
	}
	f.Observe(code)
	f.Text(FactStep, step)
}

// passed says what a ceremony is worth.
func (s *Signal) passed(a *risk.Attempt, t *ticket, f *risk.Finding) {
	if t.Ceremony == Login && t.Account != a.Account {
		if a.Account != "" { // somebody else's
			s.refuse(attest.WrongAudience, StepAccount, f)
			return
		}
	}
	s.device(t, f)
	age := max(s.opts.Now().Sub(time.Unix(t.Created, 0)), 0)
	isNew := age < s.opts.New
	f.Number(FactAge, age.Hours())
	if t.CounterStalled {
		f.Observe(CodeCounter)
	}
	if t.BackupChanged {
		f.Observe(CodeBackup)
	}
	if t.Downgraded {
		f.Observe(CodeDowngraded)
	}
	if t.Ceremony == Registration {
		f.Observe(CodeRegistered)
	} else if isNew {
		f.Observe(CodeNew)
	}
	if !t.UserVerified || t.CounterStalled { // of two copies one is not the user's
		return
	}
	if t.Ceremony == Login && a.Account != "" {
		noProof := false
		for _, e := range s.opts.NewIsNoProof {
			noProof = noProof || isNew && e == a.Event
		}
		if !noProof {
			f.Observe(CodeVerified)
			f.Prove(risk.ProofPasskey)
		}
	}
	if s.opts.Human != 0 && t.Judged.Trust >= s.opts.Human {
		f.Prove(risk.ProofHuman)
	}
	if t.Judged.Trust >= s.opts.Device && t.Verdict.Strength() >= attest.TEE {
		f.Prove(risk.ProofDevice)
	}
}

// device says what the authenticator is.
func (s *Signal) device(t *ticket, f *risk.Finding) {
	j := t.Judged
	f.Text(FactTrust, j.Trust.String())
	f.Number(FactLevel, float64(j.Level))
	if j.Authentic {
		f.Text(FactModel, j.AAGUID.String())
	}
	switch j.Trust {
	case Certified:
		f.Observe(CodeCertified)
	case Hardware:
		f.Observe(CodeHardware)
	case Software:
		f.Observe(CodeSoftware)
	case Revoked, Untrusted:
		if t.Ceremony == Registration { // the host's Least accepts it all the same
			if j.Trust == Revoked {
				f.Observe(CodeRevoked)
			} else {
				f.Observe(CodeUntrusted)
			}
		}
	default:
		f.Observe(CodeNone)
	}
}

// Ask implements risk.Asker with a [Task]: for risk.ProofPasskey a login by a passkey of the attempt's account; for a
// device, or a human, a login where the account has a passkey that would do, else a registration.
func (s *Signal) Ask(ctx context.Context, q risk.Question) (any, error) {
	if q.Attempt == nil {
		return nil, errors.New("passkey: a ceremony is begun for an attempt")
	}
	a := q.Attempt
	scope := Scope{Tenant: a.Tenant, Session: string(a.Session), Flow: q.Flow}
	least := s.opts.Device
	switch {
	case q.Proof == risk.ProofPasskey:
		if a.Account == "" {
			return nil, errors.New("passkey: a passkey of no account cannot be asked for")
		}
		scope.Account = a.Account
		return s.v.BeginLogin(ctx, scope)
	case q.Proof == risk.ProofHuman && s.opts.Human != 0:
		least = s.opts.Human
	case q.Proof != risk.ProofDevice:
		return nil, fmt.Errorf("passkey: no task gives proof %q", q.Proof)
	}
	if a.Account != "" {
		have, err := s.v.store.List(ctx, a.Tenant, a.Account)
		if err != nil {
			return nil, fmt.Errorf("passkey: listing credentials: %w", err)
		}
		for i := range have {
			if have[i].Attestation.Trust >= least {
				scope.Account = a.Account
				return s.v.BeginLogin(ctx, scope)
			}
		}
	}
	return s.v.BeginRegistration(ctx, scope, User{Name: string(a.Email)})
}

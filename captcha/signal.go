package captcha

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of the signal, all in group "human". Evidence that cannot help is worth at least what missing evidence is,
// so that sending rubbish never beats sending nothing.
const (
	CodePassed   = "passed"   // -6: a fresh, right answer bound to this attempt; proves risk.ProofHuman
	CodeAbsent   = "absent"   // 8: asked for and not sent
	CodeExpired  = "expired"  // 8: right once; slow visitors do this too
	CodeInvalid  = "invalid"  // 18: malformed, oversize, forged or wrong
	CodeReplayed = "replayed" // 18: used before
	CodeMismatch = "mismatch" // 20: genuine, but made for another session, flow, action, tenant or host
)

// The facts of the signal.
const (
	FactProvider = "provider" // text: who verified
	FactRisk     = "risk"     // number, 0 to 1: the provider's score as risk; only from providers that score
)

// SignalOptions of a Signal. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Cost is the signal's place in the order; default risk.Stored for providers that are Offline (proof of work
	// derives a key for some milliseconds and asks a replay guard: too long for Local), risk.Remote for others.
	Cost risk.Cost
	// Timeout bounds one verification; default 250 ms for Stored, so that a short queue for derivation slots is no
	// outage, else the engine's.
	Timeout time.Duration
	// OnError is what an outage may cost the visitor; default risk.FailChallenge.
	OnError risk.FailMode
	// Hostnames a remote provider may report; empty: what the provider was built with.
	Hostnames []string
	// MaxEvidence is the most bytes of an answer that reach the provider; default MaxToken, at most 64 KiB.
	MaxEvidence int
	// SkipRemoteIP keeps the visitor's address from the provider. Remote providers judge worse without it.
	SkipRemoteIP bool
}

// Signal is the CAPTCHA as a signal of package risk, named "captcha": it verifies the [Response] attached to an attempt
// and, when its provider is a [Challenger], hands out tasks bound to event, tenant, session and flow. A Response that
// nobody asked for is verified all the same. It is safe for concurrent use.
type Signal struct {
	provider   Provider
	challenger Challenger
	opts       SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
	_ risk.Asker   = (*Signal)(nil)
)

// NewSignal makes a signal over one provider.
func NewSignal(p Provider, opts *SignalOptions) (*Signal, error) {
	if p == nil {
		return nil, errors.New("captcha: no provider; NewPoW makes one that needs no account")
	}
	if p.Name() == "" {
		return nil, errors.New("captcha: the provider has no name")
	}
	s := &Signal{provider: p}
	if opts != nil {
		s.opts = *opts
	}
	s.challenger, _ = p.(Challenger)
	offline, _ := p.(Offline)
	if s.opts.Cost == 0 {
		s.opts.Cost = risk.Remote
		if offline != nil && offline.Offline() {
			s.opts.Cost = risk.Stored
		}
	}
	if s.opts.Cost < risk.Stored || s.opts.Cost > risk.Costly {
		return nil, errors.New("captcha: a CAPTCHA's cost is risk.Stored, risk.Remote or risk.Costly; verifying is never Local")
	}
	if s.opts.Timeout == 0 && s.opts.Cost == risk.Stored {
		s.opts.Timeout = 250 * time.Millisecond
	}
	if s.opts.Timeout < 0 {
		return nil, fmt.Errorf("captcha: Timeout is %v; it must be positive, or 0 for the default", s.opts.Timeout)
	}
	if s.opts.OnError == 0 {
		s.opts.OnError = risk.FailChallenge
	}
	if s.opts.OnError > risk.FailClosed {
		return nil, fmt.Errorf("captcha: OnError %d is no fail mode", s.opts.OnError)
	}
	if err := defaultInt(&s.opts.MaxEvidence, "MaxEvidence", MaxToken, 64, 64<<10); err != nil {
		return nil, err
	}
	return s, nil
}

// Describe implements risk.Signal.
func (s *Signal) Describe() risk.Description {
	const group = "human"
	return risk.Description{
		Name: "captcha", Cost: s.opts.Cost, Timeout: s.opts.Timeout, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodePassed, Points: -6, Group: group},
			{Name: CodeAbsent, State: risk.Absent, Points: 8, Group: group, Public: "The check that you are human is missing."},
			{Name: CodeExpired, State: risk.Invalid, Points: 8, Group: group, Public: "The check that you are human has expired."},
			{Name: CodeInvalid, State: risk.Invalid, Points: 18, Group: group, Public: "The check that you are human failed."},
			{Name: CodeReplayed, State: risk.Invalid, Points: 18, Group: group, Public: "The check that you are human failed."},
			{Name: CodeMismatch, State: risk.Invalid, Points: 20, Group: group, Public: "The check that you are human failed."},
		},
		Facts:  []risk.FactType{{Name: FactProvider, Kind: risk.Text}, {Name: FactRisk, Kind: risk.Number}},
		Proofs: []risk.Proof{risk.ProofHuman},
		Collects: []risk.Datum{{
			What: "answer to a CAPTCHA", Why: "to tell people from programs", Form: "not stored; a hash of the challenge or token marks it as used until it has expired",
		}},
	}
}

// Applies implements risk.Applier: something was sent, or should have been.
func (s *Signal) Applies(a *risk.Attempt) bool {
	r, _ := risk.Evidence[Response](a)
	return !r.Empty() || a.Asked(risk.ProofHuman)
}

// Evaluate implements risk.Signal. A challenge handed out for a flow counts in that flow only, and in a flow no other
// one does: nobody answers a harder task with an easier one.
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	r, _ := risk.Evidence[Response](a)
	if r.Empty() {
		if a.Asked(risk.ProofHuman) {
			f.Observe(CodeAbsent)
		}
		return nil
	}
	if r.size() > s.opts.MaxEvidence {
		f.Observe(CodeInvalid)
		return nil
	}
	in := Request{Token: r.Token, Fields: r.Fields, Expect: Expect{
		Hostnames: s.opts.Hostnames, Action: string(a.Event), Tenant: a.Tenant, Session: string(a.Session),
	}}
	if !s.opts.SkipRemoteIP {
		in.RemoteIP = a.IP
	}
	if a.Continued() {
		in.Expect.Flow = a.Flow
	}
	res, err := s.provider.Verify(ctx, in)
	if err != nil {
		return fmt.Errorf("captcha: verifying: %w", err)
	}
	switch {
	case res.Outcome == Passed:
		f.Observe(CodePassed)
		f.Prove(risk.ProofHuman)
	case res.Outcome != Failed || res.Fault == FaultCaller || res.Fault == FaultProvider:
		return fmt.Errorf("captcha: %s left the answer unverified (%s)", s.provider.Name(), res.Fault)
	case res.Fault == FaultBinding:
		f.Observe(CodeMismatch)
	case res.Reason == ReasonExpired:
		f.Observe(CodeExpired)
	case res.Reason == ReasonReplayed:
		f.Observe(CodeReplayed)
	default:
		f.Observe(CodeInvalid)
	}
	f.Text(FactProvider, s.provider.Name())
	if res.HasRisk {
		f.Number(FactRisk, res.Risk)
	}
	return nil
}

// Ask implements risk.Asker with a Task for risk.ProofHuman.
func (s *Signal) Ask(ctx context.Context, q risk.Question) (any, error) {
	if q.Proof != risk.ProofHuman {
		return nil, fmt.Errorf("captcha: no task gives proof %q", q.Proof)
	}
	if s.challenger == nil {
		return nil, fmt.Errorf("captcha: provider %s hands out no tasks", s.provider.Name())
	}
	r := ChallengeRequest{Score: q.Score, Failures: q.Failures, Flow: q.Flow}
	if a := q.Attempt; a != nil {
		r.Action, r.Tenant, r.Session = string(a.Event), a.Tenant, string(a.Session)
	}
	task, err := s.challenger.Challenge(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("captcha: making a task: %w", err)
	}
	return task, nil
}

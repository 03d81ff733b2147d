package captcha

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
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

	CodeMediumRisk   = "medium_risk"   // 8: the provider's risk is 0.3 to 0.7
	CodeHighRisk     = "high_risk"     // 18: the provider's risk is above; no proof
	CodeSecondFailed = "second_failed" // 10: the behavioural provider beside the first refused, or its answer is missing
	CodeUnverified   = "unverified"    // 8: nobody could verify the answer, and the orchestrator is told to refuse then
	CodeFallback     = "fallback"      // 0: nobody could; the next task comes from another provider
	CodeAnomaly      = "anomaly"       // 0: the provider accepts far fewer answers than usual
)

// The least risk of CodeMediumRisk and of CodeHighRisk.
const (
	MediumRisk = 0.3
	HighRisk   = 0.7
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
	// References keeps which of the provider's assessments belongs to which of ours, so that Label can annotate it;
	// default none: confirmed fraud is then not told to the provider.
	References References
	// Remember is how long References keeps one; default 30 days.
	Remember time.Duration
	// MaxEvidence is the most bytes of an answer that reach the provider; default what the provider takes (MaxToken where
	// it does not say), at most 64 KiB.
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
	annotator  Annotator // nil: none
	opts       SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
	_ risk.Asker   = (*Signal)(nil)
	_ risk.Settler = (*Signal)(nil)
	_ risk.Labeler = (*Signal)(nil)
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
	if s.opts.Remember == 0 {
		s.opts.Remember = 30 * 24 * time.Hour
	}
	if s.opts.Remember < 0 {
		return nil, fmt.Errorf("captcha: Remember is %v; it must be positive, or 0 for 30 days", s.opts.Remember)
	}
	most := MaxToken
	if p, ok := p.(interface{ MaxEvidence() int }); ok {
		most = p.MaxEvidence()
	}
	s.annotator, _ = p.(Annotator)
	if err := defaultInt(&s.opts.MaxEvidence, "MaxEvidence", most, 64, 64<<10); err != nil {
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
			{Name: CodeMediumRisk, Points: 8, Group: group},
			{Name: CodeHighRisk, Points: 18, Group: group},
			{Name: CodeSecondFailed, Points: 10, Group: group},
			{Name: CodeUnverified, State: risk.Absent, Points: 8, Group: group, Public: "The check that you are human is missing."},
			{Name: CodeFallback, Group: group},
			{Name: CodeAnomaly, Group: group},
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
	in.Visitor = network(a.IP)
	if !s.opts.SkipRemoteIP {
		in.RemoteIP = a.IP
	}
	if agent := a.Header["User-Agent"]; len(agent) > 0 {
		in.UserAgent = agent[0]
	}
	if a.Continued() {
		in.Expect.Flow = a.Flow
	}
	res, err := s.provider.Verify(ctx, in)
	if err != nil {
		return fmt.Errorf("captcha: verifying: %w", err)
	}
	bad := res.HasRisk && res.Risk >= HighRisk
	if two := res.Second; two != nil {
		bad = bad || two.HasRisk && two.Risk >= HighRisk
	}
	switch {
	case res.Outcome == Passed:
		f.Observe(CodePassed)
		if !bad {
			f.Prove(risk.ProofHuman)
		}
	case res.Outcome == Unverified && res.Policy == UnverifiedRefuse:
		f.Observe(CodeUnverified)
	case res.Outcome == Unverified && res.Policy == UnverifiedFallback:
		f.Observe(CodeFallback)
	case res.Outcome != Failed || res.Fault == FaultCaller || res.Fault == FaultProvider:
		return fmt.Errorf("captcha: %s left the answer unverified (%s)", s.provider.Name(), res.Fault)
	case res.Fault == FaultBinding:
		f.Observe(CodeMismatch)
	case res.Reason == ReasonExpired || res.Reason == ReasonSpent:
		f.Observe(CodeExpired)
	case res.Reason == ReasonReplayed:
		f.Observe(CodeReplayed)
	default:
		f.Observe(CodeInvalid)
	}
	if res.Anomaly {
		f.Observe(CodeAnomaly)
	}
	s.scored(f, &res)
	if two := res.Second; two != nil {
		if two.Outcome == Failed {
			f.Observe(CodeSecondFailed)
		}
		if two.HasRisk && (!res.HasRisk || two.Risk > res.Risk) {
			s.scored(f, two)
			res.HasRisk, res.Risk = true, two.Risk
		}
	}
	name := res.Provider
	if name == "" {
		name = s.provider.Name()
	}
	f.Text(FactProvider, name)
	if res.HasRisk {
		f.Number(FactRisk, res.Risk)
	}
	for _, r := range []*Result{&res, res.Second} {
		if r != nil && r.Reference != "" && s.learns(r.Provider) {
			f.Receipt(r.Provider + " " + r.Reference)
			break
		}
	}
	return nil
}

// scored observes the band of a risk.
func (s *Signal) scored(f *risk.Finding, res *Result) {
	switch {
	case !res.HasRisk || res.Outcome != Passed:
	case res.Risk >= HighRisk:
		f.Observe(CodeHighRisk)
	case res.Risk >= MediumRisk:
		f.Observe(CodeMediumRisk)
	}
}

// learns reports whether a provider takes annotations.
func (s *Signal) learns(provider string) bool {
	if o, ok := s.provider.(*Orchestrator); ok {
		return o.annotates(provider)
	}
	return s.annotator != nil
}

// network names where an address is, for visitors without a session: its /24, or /48 for IPv6.
func network(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// Settle implements risk.Settler. When the assessment is made it keeps the provider's reference, if there is a place
// for it. A login that succeeded or met a wrong password is told to providers that learn (reCAPTCHA Enterprise:
// CORRECT_PASSWORD, INCORRECT_PASSWORD); other outcomes confirm nothing.
func (s *Signal) Settle(ctx context.Context, t risk.Settlement) error {
	if t.Receipt == "" || s.annotator == nil {
		return nil
	}
	switch {
	case t.Outcome == risk.Judged:
		if s.opts.References == nil || t.Assessment == nil {
			return nil
		}
		if err := s.opts.References.Keep(ctx, t.Assessment.ID, t.Receipt, s.opts.Remember); err != nil {
			return fmt.Errorf("captcha: keeping a reference: %w", err)
		}
		return nil
	case t.Attempt == nil || t.Attempt.Event != risk.Login:
		return nil
	case t.Outcome == risk.Completed:
		return s.annotate(ctx, t.Receipt, Annotation{Events: []string{"CORRECT_PASSWORD"}})
	case t.Outcome == risk.Refused:
		return s.annotate(ctx, t.Receipt, Annotation{Events: []string{"INCORRECT_PASSWORD"}})
	}
	return nil
}

// Label implements risk.Labeler: confirmed fraud or good is told to the provider that judged the assessment, if its
// reference is still known.
func (s *Signal) Label(ctx context.Context, l risk.Label) error {
	if s.annotator == nil || s.opts.References == nil || l.Assessment == "" {
		return nil
	}
	ref, err := s.opts.References.Find(ctx, l.Assessment)
	if err != nil {
		return fmt.Errorf("captcha: finding a reference: %w", err)
	}
	if ref == "" {
		return nil
	}
	return s.annotate(ctx, ref, Annotation{Fraud: l.Verdict == risk.Fraud, Good: l.Verdict == risk.Good})
}

func (s *Signal) annotate(ctx context.Context, receipt string, a Annotation) error {
	var ok bool
	if a.Provider, a.Reference, ok = strings.Cut(receipt, " "); !ok {
		return errors.New("captcha: this receipt is not one of this signal")
	}
	return s.annotator.Annotate(ctx, a)
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
		r.Action, r.Tenant, r.Session, r.Visitor = string(a.Event), a.Tenant, string(a.Session), network(a.IP)
	}
	task, err := s.challenger.Challenge(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("captcha: making a task: %w", err)
	}
	return task, nil
}

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// Codes of a [Signal].
const (
	CodeSoft   = "soft"   // a soft limit is exceeded: 20 points, floor challenge
	CodeDenied = "denied" // a hard limit is exceeded: Retry
	CodeSlow   = "slow"   // the source is slowed: Retry
	CodeRepeat = "repeat" // the source's offences demand a challenge: floor challenge
	CodeBanned = "banned" // the source is banned: floor block, Retry
)

// Offence says which reason of an assessment is a failure to report.
type Offence struct {
	// Signal and Code name the reason. Empty Code: any of the signal's codes with state Invalid.
	Signal, Code string
	Failure      Failure
}

// DefaultOffences are failed CAPTCHAs and failed or forged attestations and passkeys.
func DefaultOffences() []Offence {
	return []Offence{
		{Signal: "captcha", Failure: CaptchaFailed},
		{Signal: "attest", Failure: AttestFailed},
		{Signal: "attest", Code: "failed", Failure: AttestFailed},
		{Signal: "attest", Code: "forged", Failure: AttestFailed},
		{Signal: "passkey", Failure: AttestFailed},
	}
}

// SignalOptions of a [Signal]. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Subject may change what an attempt is counted by: values of custom dimensions, DeviceVerified. It is called for
	// each attempt and each settlement, must not block and must not keep s.
	Subject func(a *risk.Attempt, s *Subject)
	// Offences are the reasons that count as failures; nil: DefaultOffences. One assessment reports a failure once.
	Offences []Offence
	// OnError is what an error of the store may cost a visitor; default risk.FailChallenge.
	OnError risk.FailMode
	// Now is the clock Retry times are told by; default time.Now. Limits go by the store's clock.
	Now func() time.Time
}

// Signal is the limiter as package risk's engine asks it. An attempt within its limits is charged and leaves a receipt,
// so that its flow is not charged again. A refused attempt is not charged; when its flow continues it is asked again
// as one that was challenged: soft limits are then charged without deciding. What is exceeded is still observed, so that
// the engine goes on demanding the proofs, whoever opened the flow.
//
// Settling charges failures and offences (Judged), failures of kind Refused (Refused), and refunds (Undone). It is
// safe for concurrent use.
type Signal struct {
	limiter *Limiter
	opts    SignalOptions
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Settler = (*Signal)(nil)
)

// NewSignal returns the limiter's signal.
func NewSignal(l *Limiter, opts *SignalOptions) (*Signal, error) {
	if l == nil {
		return nil, errors.New("ratelimit: no limiter; New makes one")
	}
	s := &Signal{limiter: l}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.OnError == 0 {
		s.opts.OnError = risk.FailChallenge
	}
	if s.opts.OnError > risk.FailClosed {
		return nil, fmt.Errorf("ratelimit: unknown OnError %d", s.opts.OnError)
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	if s.opts.Offences == nil {
		s.opts.Offences = DefaultOffences()
	}
	s.opts.Offences = slices.Clone(s.opts.Offences)
	for i, o := range s.opts.Offences {
		if o.Signal == "" || o.Failure == "" {
			return nil, fmt.Errorf("ratelimit: offence %d needs Signal and Failure", i)
		}
		s.opts.Offences[i].Code = bare(o.Signal, o.Code)
	}
	return s, nil
}

// bare drops the signal's name from a code.
func bare(signal, code string) string { return strings.TrimPrefix(code, signal+".") }

// Describe implements [risk.Signal]. The signal is local when its store is in this process.
func (s *Signal) Describe() risk.Description {
	cost := risk.Stored
	if s.limiter.local {
		cost = risk.Local
	}
	const wait = "Too many attempts. Please try again later."
	return risk.Description{
		Name:   "ratelimit",
		Cost:   cost,
		Counts: true,
		Codes: []risk.Code{
			{Name: CodeSoft, Points: 20, Floor: risk.Challenge},
			{Name: CodeDenied, Public: wait},
			{Name: CodeSlow, Public: wait},
			{Name: CodeRepeat, Floor: risk.Challenge},
			{Name: CodeBanned, Floor: risk.Block},
		},
		Facts: []risk.FactType{
			{Name: "score", Kind: risk.Number}, // highest offence score of the sources, in points
			{Name: "limit", Kind: risk.Text},   // the first limit the attempt is above
		},
		Collects: s.collects(),
		OnError:  s.opts.OnError,
	}
}

// collects says what is stored, and for how long at most.
func (s *Signal) collects() []risk.Datum {
	keep := map[Dimension]int64{}
	var order []Dimension
	note := func(d Dimension, us int64) {
		if _, ok := keep[d]; !ok {
			order = append(order, d)
		}
		keep[d] = max(keep[d], us)
	}
	for _, l := range s.limiter.policy.limits {
		span := l.rate.span()
		if l.ChargeDenied {
			span *= 2
		}
		note(l.Dim, span)
	}
	p := s.limiter.policy.penalty
	for _, d := range offenceOrder {
		if r, ok := p.sources[d]; ok {
			us := keepHalfLives * p.ladder.HalfLife
			if r.most == Ban {
				us += p.ladder.MaxBan
			}
			note(d, us)
		}
	}
	var list []risk.Datum
	for _, d := range order {
		list = append(list, risk.Datum{What: string(d), Why: "counting attempts and offences against limits", Keep: micros(keep[d]), Form: "keyed hash"})
	}
	return list
}

// subject is who the attempt is counted as. ids is room for its identifiers.
func (s *Signal) subject(a *risk.Attempt, ids []Value) Subject {
	for name, v := range a.IDs {
		if name != "sso" {
			ids = append(ids, Value{name, string(v)})
		}
	}
	slices.SortFunc(ids, func(x, y Value) int { return strings.Compare(x.Name, y.Name) })
	sub := Subject{
		Tenant: a.Tenant, Event: string(a.Event), Client: a.Client,
		IP: a.IP, Phone: string(a.Phone), Email: string(a.Email),
		Account: a.Account, Session: string(a.Session), SSO: string(a.IDs["sso"]),
		Device:     a.Device[:min(len(a.Device), maxDevices)],
		IDs:        ids,
		Challenged: a.Continued(),
	}
	if s.opts.Subject != nil {
		s.opts.Subject(a, &sub)
	}
	return sub
}

// Evaluate implements [risk.Signal].
func (s *Signal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	d, err := s.limiter.Decide(ctx, s.subject(a, nil))
	if err != nil {
		return err
	}
	tell(ctx, &d)
	if d.Score > 0 {
		f.Number("score", d.Score)
	}
	var soft, hard string
	var forgive int64
	for i := range d.n {
		st := d.state(i)
		if !st.exceeded {
			continue
		}
		if st.limit.On == Deny && hard == "" {
			hard = st.limit.Name
		} else if st.limit.On == Challenge && soft == "" {
			soft = st.limit.Name
		}
		forgive = max(forgive, st.limit.weight)
	}
	at := s.opts.Now().Add(d.RetryAfter)
	switch {
	case d.Level == Ban:
		f.Observe(CodeBanned)
		f.Retry(at)
		return nil
	case d.Level == Deny:
		// No challenge helps, so none is asked for.
		f.Observe(CodeDenied)
		f.Text("limit", hard)
		f.Retry(at)
		return nil
	case d.Level == Slow:
		f.Observe(CodeSlow)
		f.Retry(at)
	}
	if soft != "" {
		f.Observe(CodeSoft)
		f.Text("limit", soft)
	}
	if d.Standing >= Challenge {
		f.Observe(CodeRepeat)
		forgive = max(forgive, s.limiter.policy.penalty.ladder.Repeat)
	}
	// Charged with something to forgive: it was refused for that before, and has now been challenged.
	f.Receipt(d.receipt(forgive))
	return nil
}

// Settle implements [risk.Settler].
func (s *Signal) Settle(ctx context.Context, st risk.Settlement) error {
	if st.Attempt == nil {
		return errors.New("ratelimit: settlement without an attempt")
	}
	switch st.Outcome {
	case risk.Judged:
		return errors.Join(s.penalise(ctx, st), s.forgive(ctx, st))
	case risk.Refused:
		return s.Report(ctx, st.Attempt, Refused)
	case risk.Undone:
		if st.Receipt != "" {
			return s.limiter.RefundReceipt(ctx, st.Attempt.Tenant, st.Receipt)
		}
	}
	return nil
}

// Report charges failures that no assessment has seen, a wrong one-time code say, to whom the attempt is counted by.
func (s *Signal) Report(ctx context.Context, a *risk.Attempt, failures ...Failure) error {
	return s.limiter.Report(ctx, s.subject(a, nil), failures...)
}

// penalise reports the failures among the assessment's reasons.
func (s *Signal) penalise(ctx context.Context, st risk.Settlement) error {
	if st.Assessment == nil {
		return nil
	}
	var failures []Failure
	for _, o := range s.opts.Offences {
		if !slices.Contains(failures, o.Failure) && happened(st, o) {
			failures = append(failures, o.Failure)
		}
	}
	if len(failures) == 0 {
		return nil
	}
	return s.Report(ctx, st.Attempt, failures...)
}

// happened reports whether the offence is among the reasons and is of this attempt: a flow keeps its findings, so a
// failure of an earlier attempt is among the reasons of all later ones.
func happened(st risk.Settlement, o Offence) bool {
	for i := range st.Assessment.Reasons {
		r := &st.Assessment.Reasons[i]
		if r.Signal != o.Signal || r.Rule != "" || r.Kept {
			continue
		}
		if o.Code == "" && r.State == risk.Invalid || o.Code != "" && bare(r.Signal, r.Code) == o.Code {
			return true
		}
	}
	return false
}

// forgive takes back the offence of having been refused from a visitor who passed the challenge and is let in.
func (s *Signal) forgive(ctx context.Context, st risk.Settlement) error {
	if st.Receipt == "" || !st.Assessment.Allowed() {
		return nil
	}
	_, points, err := parseReceipt(st.Receipt)
	if err != nil {
		return err
	}
	return s.limiter.Forgive(ctx, s.subject(st.Attempt, nil), float64(points)/1000)
}

package identity

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of an [EmailSignal], in group "email".
const (
	CodeDisposable = "disposable" // 14: a mailbox that is thrown away
	CodeMalformed  = "malformed"  // 8, invalid: not an e-mail address
	CodeRespelled  = "respelled"  // 16 at a degree: one mailbox under many spellings
	CodeRelayed    = "relay"      // 0: forwarded to a mailbox the visitor keeps secret
	CodeFree       = "free"       // 0: at a large free provider
)

// The facts of an [EmailSignal].
const (
	FactClass     = "class"     // text: see Class
	FactSpellings = "spellings" // number: spellings of the mailbox seen, this one included; with Reuse only
)

// EmailOptions of an [EmailSignal]. The zero value and nil mean the defaults.
type EmailOptions struct {
	// Disposable domains; default those embedded. SetDisposable changes them later.
	Disposable *Domains
	// Reuse counts spellings of one mailbox: dots and "+" aliases; nil: they are not counted. With it the signal counts.
	Reuse Reuse
	// Ordinary is how many spellings of a mailbox are nothing, default 2; Certain is how many get full points, default 10.
	Ordinary, Certain int
	// OnError is what an outage of Reuse may cost the visitor; default risk.FailOpen.
	OnError risk.FailMode
}

// EmailSignal judges the attempt's e-mail address, as a signal named "email". People who use a relay or an alias get no
// points. Safe for concurrent use.
type EmailSignal struct {
	opts       EmailOptions
	disposable atomic.Pointer[Domains]
}

var (
	_ risk.Signal  = (*EmailSignal)(nil)
	_ risk.Applier = (*EmailSignal)(nil)
)

// NewEmailSignal makes the signal.
func NewEmailSignal(opts *EmailOptions) (*EmailSignal, error) {
	s := &EmailSignal{}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Ordinary == 0 {
		s.opts.Ordinary = 2
	}
	if s.opts.Certain == 0 {
		s.opts.Certain = max(10, s.opts.Ordinary+1)
	}
	if s.opts.Ordinary < 1 || s.opts.Certain <= s.opts.Ordinary {
		return nil, fmt.Errorf("identity: Ordinary is %d and Certain %d; want 1 <= Ordinary < Certain", s.opts.Ordinary, s.opts.Certain)
	}
	if s.opts.Disposable == nil {
		s.opts.Disposable = Disposable()
	}
	var err error
	if s.opts.OnError, err = failMode(s.opts.OnError, risk.FailOpen); err != nil {
		return nil, err
	}
	s.disposable.Store(s.opts.Disposable)
	return s, nil
}

func failMode(m, usual risk.FailMode) (risk.FailMode, error) {
	if m > risk.FailClosed {
		return 0, fmt.Errorf("identity: OnError %d is no fail mode", m)
	}
	if m == 0 {
		m = usual
	}
	return m, nil
}

// SetDisposable replaces the list of disposable domains, while attempts are judged. nil is refused.
func (s *EmailSignal) SetDisposable(d *Domains) error {
	if d == nil {
		return errors.New("identity: no list of domains; ParseDomains makes one")
	}
	s.disposable.Store(d)
	return nil
}

// Describe implements risk.Signal. Without Reuse the signal is Local.
func (s *EmailSignal) Describe() risk.Description {
	const group = "email"
	d := risk.Description{
		Name: "email", Cost: risk.Local, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodeDisposable, Points: 14, Group: group},
			{Name: CodeMalformed, State: risk.Invalid, Points: 8, Group: group, Public: "The e-mail address is not valid."},
			{Name: CodeRespelled, Points: 16, Group: group},
			{Name: CodeRelayed, Group: group},
			{Name: CodeFree, Group: group},
		},
		Facts: []risk.FactType{{Name: FactClass, Kind: risk.Text}, {Name: FactSpellings, Kind: risk.Number}},
		Collects: []risk.Datum{{
			What: "e-mail address", Why: "to know disposable mailboxes", Form: "not stored; its domain is looked up in memory",
		}},
	}
	if s.opts.Reuse != nil {
		d.Cost, d.Counts = risk.Stored, true
		d.Collects = append(d.Collects, risk.Datum{
			What: "spellings of an e-mail address", Why: "to notice one mailbox with many accounts", Form: "handed to the application's counter of reuse",
		})
	}
	return d
}

// Applies implements risk.Applier: there is an address.
func (s *EmailSignal) Applies(a *risk.Attempt) bool { return a.Email != "" }

// Evaluate implements risk.Signal.
func (s *EmailSignal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	e, err := ParseEmail(string(a.Email))
	if err != nil {
		f.Observe(CodeMalformed)
		return nil
	}
	class := Classify(e.domain, s.disposable.Load())
	switch class {
	case ClassDisposable:
		f.Observe(CodeDisposable)
	case ClassRelay:
		f.Observe(CodeRelayed)
	case ClassFree:
		f.Observe(CodeFree)
	}
	if class != ClassUnknown {
		f.Text(FactClass, class.String())
	}
	if s.opts.Reuse == nil {
		return nil
	}
	spelling := lowerNFC(e.local) + "@" + e.domain
	n, err := s.opts.Reuse.Uses(ctx, a.Tenant, "email", opaque(e.Canonical()), opaque(spelling))
	if err != nil {
		return fmt.Errorf("identity: counting spellings: %w", err)
	}
	if n > 0 {
		f.Number(FactSpellings, float64(n))
	}
	if d := degree(n, s.opts.Ordinary, s.opts.Certain); d > 0 {
		f.ObserveAt(CodeRespelled, d)
	}
	return nil
}

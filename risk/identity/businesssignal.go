package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of a [BusinessSignal], in group "business".
const (
	CodeBadID    = "malformed" // 8, invalid: not an identifier of its kind
	CodeBadCheck = "check"     // 12, invalid: its check digits are wrong, or it cannot have been given out
	CodeReused   = "reused"    // 16 at a degree: others have used it
)

// FactUses of a [BusinessSignal] is a number: how many different owners have used the identifier that most have, this
// one included; with Reuse only.
const FactUses = "uses"

// BusinessOptions of a [BusinessSignal]. The zero value and nil mean the defaults.
type BusinessOptions struct {
	// Reuse counts who uses an identifier; nil: nobody does. With it the signal counts.
	Reuse Reuse
	// Owner says who uses the identifiers of an attempt; "" counts nothing. Default: the telephone number, else the
	// device's current tag, else the mailbox, else the account; so the same number from another telephone or device is
	// another owner. It must not block.
	Owner func(a *risk.Attempt) string
	// Ordinary is how many owners are nothing, default 1; Certain how many get full points, default Ordinary + 2.
	Ordinary, Certain int
	// OnError is what an outage of Reuse may cost the visitor; default risk.FailOpen.
	OnError risk.FailMode
}

// BusinessSignal judges the attempt's business identifiers, as a signal named "business". "sso" is none and is left
// out. Safe for concurrent use.
type BusinessSignal struct{ opts BusinessOptions }

var (
	_ risk.Signal  = (*BusinessSignal)(nil)
	_ risk.Applier = (*BusinessSignal)(nil)
)

// NewBusinessSignal makes the signal.
func NewBusinessSignal(opts *BusinessOptions) (*BusinessSignal, error) {
	s := &BusinessSignal{}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Ordinary == 0 {
		s.opts.Ordinary = 1
	}
	if s.opts.Certain == 0 {
		s.opts.Certain = s.opts.Ordinary + 2
	}
	if s.opts.Ordinary < 1 || s.opts.Certain <= s.opts.Ordinary {
		return nil, fmt.Errorf("identity: Ordinary is %d and Certain %d; want 1 <= Ordinary < Certain", s.opts.Ordinary, s.opts.Certain)
	}
	if s.opts.Owner == nil {
		s.opts.Owner = owner
	}
	var err error
	if s.opts.OnError, err = failMode(s.opts.OnError, risk.FailOpen); err != nil {
		return nil, err
	}
	return s, nil
}

// owner is who uses the identifiers of an attempt.
func owner(a *risk.Attempt) string {
	if d, ok := foldPhone(string(a.Phone)); ok {
		return "phone:" + d
	}
	if len(a.Device) > 0 && a.Device[0] != "" && len(a.Device[0]) <= 256 {
		return "device:" + a.Device[0]
	}
	if e, err := ParseEmail(string(a.Email)); err == nil {
		return "email:" + e.Canonical()
	}
	if a.Account != "" && len(a.Account) <= 256 {
		return "account:" + a.Account
	}
	return ""
}

// Describe implements risk.Signal. Without Reuse the signal is Local.
func (s *BusinessSignal) Describe() risk.Description {
	const public = "A business number is not valid."
	d := risk.Description{
		Name: "business", Cost: risk.Local, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodeBadID, State: risk.Invalid, Points: 8, Public: public},
			{Name: CodeBadCheck, State: risk.Invalid, Points: 12, Public: public},
			{Name: CodeReused, Points: 16},
		},
		Facts: []risk.FactType{{Name: FactUses, Kind: risk.Number}},
		Collects: []risk.Datum{{
			What: "business identifiers", Why: "to check their form", Form: "not stored",
		}},
	}
	if s.opts.Reuse != nil {
		d.Cost, d.Counts = risk.Stored, true
		d.Collects = append(d.Collects, risk.Datum{
			What: "business identifiers and who uses them", Why: "to notice one business with many owners", Form: "handed to the application's counter of reuse",
		})
	}
	return d
}

// Applies implements risk.Applier: there is an identifier.
func (s *BusinessSignal) Applies(a *risk.Attempt) bool {
	for kind, v := range a.IDs {
		if kind != "sso" && v != "" {
			return true
		}
	}
	return false
}

// mostIDs is how many identifiers of an attempt are judged.
const mostIDs = 8

// Evaluate implements risk.Signal.
func (s *BusinessSignal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	kinds := make([]string, 0, len(a.IDs))
	for kind, v := range a.IDs {
		if kind != "sso" && v != "" {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	if len(kinds) > mostIDs {
		f.Observe(CodeBadID)
		kinds = kinds[:mostIDs]
	}
	who, most := "", 0
	if s.opts.Reuse != nil {
		who = s.opts.Owner(a)
	}
	for _, kind := range kinds {
		id, err := ParseID(kind, string(a.IDs[kind]))
		switch {
		case errors.Is(err, ErrCheck):
			f.Observe(CodeBadCheck)
			continue
		case err != nil:
			f.Observe(CodeBadID)
			continue
		}
		if who == "" || len(kind) > maxID {
			continue
		}
		n, err := s.opts.Reuse.Uses(ctx, a.Tenant, kind, id, who)
		if err != nil {
			return fmt.Errorf("identity: counting uses: %w", err)
		}
		most = max(most, n)
	}
	if most > 0 {
		f.Number(FactUses, float64(most))
	}
	if d := degree(most, s.opts.Ordinary, s.opts.Certain); d > 0 {
		f.ObserveAt(CodeReused, d)
	}
	return nil
}

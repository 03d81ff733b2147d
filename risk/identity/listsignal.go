package identity

import (
	"context"
	"errors"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of a [ListSignal].
const (
	CodeDeny  = "deny"  // 0, floor block
	CodeAllow = "allow" // 0: for a ceiling rule of the policy, "lists.allow"
)

// FactMatch of a [ListSignal] is a text: the kind of the entry that matched, the strictest first: "ip", "domain".
const FactMatch = "match"

// ListSignalOptions of a [ListSignal]. The zero value and nil mean the defaults.
type ListSignalOptions struct {
	// OnError is what an outage of the store may cost the visitor; default risk.FailClosed: whom a list denies must not
	// get in by taking the store down.
	OnError risk.FailMode
}

// ListSignal asks the emergency lists about an attempt, as a signal named "lists". A denied attempt is blocked, whatever
// else speaks for it; an allowed one is let through only by a policy that says so, with a rule like
// {when: lists.allow, ceiling: allow}. Safe for concurrent use.
type ListSignal struct {
	lists *Lists
	opts  ListSignalOptions
}

var _ risk.Signal = (*ListSignal)(nil)

// NewListSignal makes the signal.
func NewListSignal(l *Lists, opts *ListSignalOptions) (*ListSignal, error) {
	if l == nil {
		return nil, errors.New("identity: no lists; NewLists makes some")
	}
	s := &ListSignal{lists: l}
	if opts != nil {
		s.opts = *opts
	}
	var err error
	s.opts.OnError, err = failMode(s.opts.OnError, risk.FailClosed)
	return s, err
}

// Describe implements risk.Signal. The signal is Local when the store is in this process.
func (s *ListSignal) Describe() risk.Description {
	cost := risk.Stored
	if s.lists.local {
		cost = risk.Local
	}
	return risk.Description{
		Name: "lists", Cost: cost, OnError: s.opts.OnError,
		Codes: []risk.Code{
			{Name: CodeDeny, Floor: risk.Block},
			{Name: CodeAllow},
		},
		Facts: []risk.FactType{{Name: FactMatch, Kind: risk.Text}},
		Collects: []risk.Datum{{
			What: "addresses, e-mail addresses, telephone numbers and devices on an emergency list", Why: "to deny or allow them until the entry expires",
			Keep: MaxTerm, Form: "keyed hash",
		}},
	}
}

// Evaluate implements risk.Signal.
func (s *ListSignal) Evaluate(ctx context.Context, a *risk.Attempt, f *risk.Finding) error {
	entries, err := s.lists.Match(ctx, Subject{
		Tenant: a.Tenant, IP: a.IP, Email: string(a.Email), Phone: string(a.Phone), Devices: a.Device,
	})
	if err != nil {
		return err
	}
	match := EntryKind("")
	for _, e := range entries {
		if e.Effect == Deny {
			f.Observe(CodeDeny)
			match = e.Kind
			break
		}
	}
	for _, e := range entries {
		if e.Effect == Allow {
			f.Observe(CodeAllow)
			if match == "" {
				match = e.Kind
			}
			break
		}
	}
	if match != "" {
		f.Text(FactMatch, string(match))
	}
	return nil
}

package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// CheckRequest asks whether a code is right.
type CheckRequest struct {
	Number                Number
	Tenant, Purpose, Flow string // as given to Start
	Device                string
	Code                  string // as typed
}

// String names the masked number only.
func (r CheckRequest) String() string { return "check for " + r.Number.String() }

// GoString is String.
func (r CheckRequest) GoString() string { return r.String() }

// LogValue logs the masked number only.
func (r CheckRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Verdict is what a visitor may learn of a check.
type Verdict uint8

// The verdicts. NotOK is wrong, expired, replaced, used, never sent and for something else alike.
const (
	NotOK Verdict = iota
	OK
	TooMany // too many failures; asking again now does not help
)

// Result is the answer of [Verifier.Check].
type Result struct {
	Verdict Verdict
	// The rest is for the caller, never for the visitor.
	Counted bool    // the code was compared and wrong: a failure
	Left    int     // tries left with this code
	Channel Channel // how the code was sent
}

// Check checks a code and, if it is right, consumes it and records the number as verified for its flow. Of any number of
// concurrent calls at most Options.Tries are compared and at most one is OK. With a code of its own it takes exactly one
// call of the store. An error means that nobody could tell; nobody passes then, and a try may be used up.
func (v *Verifier) Check(ctx context.Context, r CheckRequest) (Result, error) {
	if r.Number.IsZero() || r.Flow == "" || r.Purpose == "" {
		return Result{}, errors.New("phone: Check wants the number, flow and purpose of Start")
	}
	code, ok := ReadCode(r.Code)
	if !ok {
		return Result{}, nil // no code at all: nothing to compare, nothing to count
	}
	b := binding{r.Tenant, r.Purpose, r.Flow, r.Number}
	c := &Check{
		Tenant:   r.Tenant,
		Record:   v.keys.index(useRecord, r.Tenant, r.Purpose, r.Number.E164()),
		Flow:     v.keys.index(useFlow, r.Tenant, r.Flow),
		MACs:     v.macs(b, code),
		Failures: v.failures(r.Tenant, r.Number, r.Device),
		Grant:    v.keys.grantKey(r.Tenant, r.Flow, r.Number), GrantTTL: v.o.GrantTTL,
	}
	if v.routes != nil {
		for ch := SMS; ch < channels; ch++ {
			keys := v.routeKeys(r.Tenant, r.Number, ch)
			c.Routes[ch] = keys[:]
		}
	}
	_, test := v.tests[r.Number]
	if len(v.o.Hosted) > 0 && !test {
		return v.checkHosted(ctx, r, c, code)
	}
	if test && !v.o.Now().Before(v.o.InsecureTestUntil) {
		return Result{}, nil
	}
	bounded, cancel := v.bounded(ctx)
	defer cancel()
	if err := v.store.Check(bounded, c); err != nil {
		return Result{}, fmt.Errorf("phone: checking a code: %w", err)
	}
	return c.result()
}

func (c *Check) result() (Result, error) {
	out := Result{Left: max(0, c.Left), Channel: c.Channel}
	switch c.Outcome {
	case Right:
		out.Verdict = OK
	case Wrong:
		out.Counted = true
		if c.Left <= 0 {
			out.Verdict = TooMany
		}
	case Barred:
		out.Verdict = TooMany
	case Gone:
	default:
		return Result{}, errors.New("phone: the store answered nonsense")
	}
	return out, nil
}

// Verified tells how a number was verified in a flow; zero: it was not.
func (v *Verifier) Verified(ctx context.Context, tenant, flow string, n Number) (Grant, error) {
	return granted(ctx, v.store, v.keys, tenant, flow, n)
}

func granted(ctx context.Context, s Store, k Keys, tenant, flow string, n Number) (Grant, error) {
	if flow == "" || n.IsZero() {
		return Grant{}, nil
	}
	g, err := s.Granted(ctx, tenant, k.grantKey(tenant, flow, n))
	if err != nil {
		return Grant{}, fmt.Errorf("phone: asking whether a number is verified: %w", err)
	}
	return g, nil
}

// Delivery is what a service reports about a message.
type Delivery struct {
	Tenant string
	Ref    string // Receipt.Ref
	Failed bool   // it will not arrive
}

// Delivered takes a delivery report, whose signature the caller has checked. It reports false for messages that are not
// known and for repeated reports. What failed is counted, but stays charged and stays a code that was not confirmed: a
// carrier that takes part in fraud can report what it likes.
func (v *Verifier) Delivered(ctx context.Context, d Delivery) (bool, error) {
	if v.routes == nil || d.Ref == "" {
		return false, nil
	}
	ctx, cancel := v.bounded(ctx)
	defer cancel()
	first, err := v.routes.Deliver(ctx, d.Tenant, v.keys.index(useMessage, d.Tenant, d.Ref), d.Failed)
	if err != nil {
		return false, fmt.Errorf("phone: noting a delivery: %w", err)
	}
	return first, nil
}

package phone

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// Tri is an answer that may be missing. The zero value is NotKnown: no answer is never read as No.
type Tri uint8

// The answers.
const (
	NotKnown Tri = iota
	No
	Yes
)

// TriOf makes a Tri of a boolean that is known.
func TriOf(yes bool) Tri {
	if yes {
		return Yes
	}
	return No
}

// String is "unknown", "no" or "yes".
func (t Tri) String() string { return [...]string{"unknown", "no", "yes", "invalid"}[min(t, 3)] }

// Fields is a set of things to know about a number.
type Fields uint32

// The fields.
const (
	FieldValid      Fields = 1 << iota // in use according to the service
	FieldLine                          // line type
	FieldCarrier                       // who serves it
	FieldSIMSwap                       // SIM changed lately
	FieldDeviceSwap                    // device changed lately
	FieldPumping                       // risk of SMS pumping
	FieldRecycled                      // given to somebody else since a date
	FieldForwarding                    // unconditional call forwarding
	FieldActive                        // the line is active
	FieldDisposable                    // on a list
	allFields       = 1<<iota - 1
)

// Query says what to look up.
type Query struct {
	Fields Fields
	// SwapWithin is how recent a swap must be to count; default 10 days. Services take whole hours, up to 100 days.
	SwapWithin time.Duration
	// Since is when the number was last known to be its owner's, for FieldRecycled, which is not asked without it.
	Since time.Time
}

// Swap returns SwapWithin or its default.
func (q Query) Swap() time.Duration {
	if q.SwapWithin <= 0 {
		return 240 * time.Hour
	}
	return q.SwapWithin
}

// Intel is what is known about a number. The zero value knows nothing. It holds no number.
type Intel struct {
	Valid      Tri
	Line       LineType // Unknown: not known
	Carrier    string
	MCC, MNC   string
	SIMSwap    Tri       // within Query.SwapWithin
	SIMSwapAt  time.Time // zero: not known, also beside Yes
	DeviceSwap Tri
	DeviceAt   time.Time
	// Pumping is the risk of SMS pumping from 0 (none) to 1 (certain), when HasPumping. Services compute it anew each
	// time: it moves by some hundredths within seconds.
	Pumping    float64
	HasPumping bool
	Blocked    Tri // the service blocks the number for pumping
	Recycled   Tri
	Forwarding Tri
	Active     Tri
	Disposable Tri
	LastSeen   time.Time // on the list of disposable numbers
}

// Known says which fields have an answer.
func (i Intel) Known() Fields {
	var f Fields
	for _, x := range []struct {
		ok    bool
		field Fields
	}{
		{i.Valid != 0, FieldValid}, {i.Line != 0, FieldLine}, {i.Carrier != "", FieldCarrier}, {i.SIMSwap != 0, FieldSIMSwap},
		{i.DeviceSwap != 0, FieldDeviceSwap}, {i.HasPumping || i.Blocked != 0, FieldPumping}, {i.Recycled != 0, FieldRecycled},
		{i.Forwarding != 0, FieldForwarding}, {i.Active != 0, FieldActive}, {i.Disposable != 0, FieldDisposable},
	} {
		if x.ok {
			f |= x.field
		}
	}
	return f
}

// Take copies the given fields of another Intel, where that knows them.
func (i *Intel) Take(o Intel, fields Fields) {
	fields &= o.Known()
	if fields&FieldValid != 0 {
		i.Valid = o.Valid
	}
	if fields&FieldLine != 0 {
		i.Line = o.Line
	}
	if fields&FieldCarrier != 0 {
		i.Carrier, i.MCC, i.MNC = o.Carrier, o.MCC, o.MNC
	}
	if fields&FieldSIMSwap != 0 {
		i.SIMSwap, i.SIMSwapAt = o.SIMSwap, o.SIMSwapAt
	}
	if fields&FieldDeviceSwap != 0 {
		i.DeviceSwap, i.DeviceAt = o.DeviceSwap, o.DeviceAt
	}
	if fields&FieldPumping != 0 {
		i.Pumping, i.HasPumping, i.Blocked = o.Pumping, o.HasPumping, o.Blocked
	}
	if fields&FieldRecycled != 0 {
		i.Recycled = o.Recycled
	}
	if fields&FieldForwarding != 0 {
		i.Forwarding = o.Forwarding
	}
	if fields&FieldActive != 0 {
		i.Active = o.Active
	}
	if fields&FieldDisposable != 0 {
		i.Disposable, i.LastSeen = o.Disposable, o.LastSeen
	}
}

// Intelligence looks numbers up. It is called concurrently. What it does not know stays unknown; an error means that it
// could not tell something it should have told, and what it could is returned beside it. Errors hold no number.
type Intelligence interface {
	Lookup(ctx context.Context, n Number, q Query) (Intel, error)
}

// IntelligenceFunc makes an [Intelligence] of a function.
type IntelligenceFunc func(ctx context.Context, n Number, q Query) (Intel, error)

// Lookup calls f.
func (f IntelligenceFunc) Lookup(ctx context.Context, n Number, q Query) (Intel, error) {
	return f(ctx, n, q)
}

// Chain asks several in order, each for what those before did not know. Errors of earlier ones are forgotten when a later
// one knows.
func Chain(list ...Intelligence) Intelligence { return chain(list) }

type chain []Intelligence

func (c chain) Lookup(ctx context.Context, n Number, q Query) (Intel, error) {
	var out Intel
	var errs []error
	want := q.Fields
	for _, x := range c {
		if want == 0 {
			break
		}
		ask := q
		ask.Fields = want
		got, err := x.Lookup(ctx, n, ask)
		if err != nil {
			errs = append(errs, err)
		}
		out.Take(got, want)
		want &^= out.Known()
	}
	if want == 0 {
		return out, nil
	}
	return out, errors.Join(errs...)
}

// ListSource makes an [Intelligence] of a list of disposable numbers. It answers Yes or, for numbers that are not listed,
// nothing: not being on a list proves nothing.
func ListSource(l Lister) Intelligence {
	return IntelligenceFunc(func(_ context.Context, n Number, q Query) (Intel, error) {
		var out Intel
		if q.Fields&FieldDisposable != 0 {
			if h := l.Look(n); h.Listed {
				out.Disposable, out.LastSeen = Yes, h.LastSeen
			}
		}
		return out, nil
	})
}

// SilentVerifier verifies a number without a code: the mobile network says whose number a device has. token comes from
// the client's own authorization over mobile data. An error that is [ErrNotMobile] means that the device is not on
// mobile data: fall back to a code.
type SilentVerifier interface {
	VerifyDevice(ctx context.Context, token Token, n Number) (bool, error)
}

// ErrNotMobile says that the network cannot tell, because the device is on Wi-Fi.
var ErrNotMobile = errors.New("phone: the device is not connected by mobile data")

// Token is a bearer token. It prints and logs as "[token]".
type Token string

// String returns "[token]", or "" when t is empty.
func (t Token) String() string {
	if t == "" {
		return ""
	}
	return "[token]"
}

// GoString is String.
func (t Token) GoString() string { return t.String() }

// LogValue makes package slog log the hidden form.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText marshals the hidden form.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// ParseLineType reads the words that services use for line types, whatever their case and separators: "nonFixedVoip",
// "MOBILE", "toll-free". What it does not know is Unknown.
func ParseLineType(s string) LineType {
	s = strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
	switch s {
	case "mobile", "wireless":
		return Mobile
	case "landline", "fixedline":
		return Landline
	case "fixedlineormobile":
		return FixedOrMobile
	case "fixedvoip":
		return FixedVoIP
	case "nonfixedvoip", "voip", "virtual":
		return NonFixedVoIP
	case "tollfree":
		return TollFree
	case "premium", "premiumrate":
		return Premium
	case "sharedcost":
		return SharedCost
	case "personal":
		return Personal
	case "pager":
		return Pager
	case "uan":
		return UAN
	case "voicemail":
		return Voicemail
	}
	return Unknown
}

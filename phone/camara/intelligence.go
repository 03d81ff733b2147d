package camara

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// IntelligenceOptions of [Intelligence]. The zero value and nil mean the defaults.
type IntelligenceOptions struct {
	HTTP HTTPOptions
	// Paths of the APIs below the root; default "/sim-swap/v2", "/device-swap/v1" and "/number-recycling/v0.2".
	SIMSwap, DeviceSwap, Recycling string
	// SkipDates asks for no dates of swaps: one call less for each.
	SkipDates bool
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Intelligence is SIM Swap, Device Swap and Number Recycling as a [phone.Intelligence]. It is safe for concurrent use.
type Intelligence struct {
	http   *jsonhttp.Client
	tokens Tokens
	o      IntelligenceOptions
}

var _ phone.Intelligence = (*Intelligence)(nil)

// NewIntelligence makes a client of an operator's API root.
func NewIntelligence(root string, tokens Tokens, opts *IntelligenceOptions) (*Intelligence, error) {
	i := &Intelligence{tokens: tokens}
	if opts != nil {
		i.o = *opts
	}
	if tokens == nil {
		return nil, errors.New("camara: no Tokens: every call needs one")
	}
	for _, p := range []struct {
		path *string
		def  string
	}{{&i.o.SIMSwap, "/sim-swap/v2"}, {&i.o.DeviceSwap, "/device-swap/v1"}, {&i.o.Recycling, "/number-recycling/v0.2"}} {
		if *p.path == "" {
			*p.path = p.def
		}
	}
	if i.o.Now == nil {
		i.o.Now = time.Now
	}
	var err error
	i.http, err = newHTTP(root, i.o.HTTP)
	return i, err
}

// MaxAge bounds of the swap APIs, in hours.
const (
	MinAge = 1
	MaxAge = 2400
)

// ErrAge says that a swap was asked for outside 1 to 2400 hours.
var ErrAge = errors.New("camara: a swap can be asked for within 1 to 2400 whole hours")

// Lookup implements [phone.Intelligence].
func (i *Intelligence) Lookup(ctx context.Context, n phone.Number, q phone.Query) (phone.Intel, error) {
	if n.IsZero() {
		return phone.Intel{}, errors.New("camara: no number to look up")
	}
	var out phone.Intel
	var errs []error
	if q.Fields&phone.FieldSIMSwap != 0 {
		var err error
		out.SIMSwap, out.SIMSwapAt, err = i.swap(ctx, n, i.o.SIMSwap, "sim-swap", "latestSimChange", q.Swap())
		errs = append(errs, err)
	}
	if q.Fields&phone.FieldDeviceSwap != 0 {
		var err error
		out.DeviceSwap, out.DeviceAt, err = i.swap(ctx, n, i.o.DeviceSwap, "device-swap", "latestDeviceChange", q.Swap())
		errs = append(errs, err)
	}
	if q.Fields&phone.FieldRecycled != 0 && !q.Since.IsZero() {
		v, err := i.call(ctx, n, i.o.Recycling+"/check", "number-recycling:check", map[string]any{
			"phoneNumber": n.E164(), "specifiedDate": q.Since.UTC().Format(time.DateOnly)})
		if is, ok := v.At("phoneNumberRecycled").Bool(); ok && err == nil {
			out.Recycled = phone.TriOf(is)
		} else if err == nil {
			err = &Error{Status: http.StatusOK}
		}
		errs = append(errs, unknown(err))
	}
	return out, errors.Join(errs...)
}

// unknown makes an answer that the network has no data a plain "not known".
func unknown(err error) error {
	e, ok := errors.AsType[*Error](err)
	if ok && (e.Status == http.StatusNotFound || e.Status == http.StatusUnprocessableEntity && e.Code == "SERVICE_NOT_APPLICABLE" ||
		e.Status == http.StatusBadRequest && e.Code == "OUT_OF_RANGE") {
		return nil
	}
	return err
}

// swap asks whether something changed lately, and when.
func (i *Intelligence) swap(ctx context.Context, n phone.Number, path, api, field string, within time.Duration) (phone.Tri, time.Time, error) {
	if within < MinAge*time.Hour || within > MaxAge*time.Hour {
		return 0, time.Time{}, ErrAge
	}
	v, err := i.call(ctx, n, path+"/check", api+":check", map[string]any{
		"phoneNumber": n.E164(), "maxAge": int((within + time.Hour - 1) / time.Hour)})
	if err != nil {
		return 0, time.Time{}, unknown(err)
	}
	swapped, ok := v.At("swapped").Bool()
	if !ok {
		return 0, time.Time{}, &Error{Status: http.StatusOK}
	}
	if !swapped || i.o.SkipDates {
		return phone.TriOf(swapped), time.Time{}, nil
	}
	// The date is a nicety: that it was swapped stands without it.
	v, err = i.call(ctx, n, path+"/retrieve-date", api+":retrieve-date", map[string]any{"phoneNumber": n.E164()})
	if err != nil {
		return phone.Yes, time.Time{}, nil
	}
	at, _ := SwapDate(v.At(field).String(), 0)
	return phone.Yes, at, nil
}

// SwapDate reads a date of a swap. Without one, a monitored period says that there was none within so many days: the
// second result, zero when nothing is said. No date never means "never".
func SwapDate(latest string, monitoredDays int) (at time.Time, noneWithin time.Duration) {
	if t, err := time.Parse(time.RFC3339, latest); err == nil {
		return t, 0
	}
	return time.Time{}, time.Duration(min(max(monitoredDays, 0), 36500)) * 24 * time.Hour
}

// RetrieveSIMSwap asks for the date of the latest SIM change: at, or that there was none within a time.
func (i *Intelligence) RetrieveSIMSwap(ctx context.Context, n phone.Number) (at time.Time, noneWithin time.Duration, err error) {
	v, err := i.call(ctx, n, i.o.SIMSwap+"/retrieve-date", "sim-swap:retrieve-date", map[string]any{"phoneNumber": n.E164()})
	if err != nil {
		return time.Time{}, 0, err
	}
	if !v.At("latestSimChange").There() {
		return time.Time{}, 0, &Error{Status: http.StatusOK}
	}
	days, _ := v.At("monitoredPeriod").Int()
	at, noneWithin = SwapDate(v.At("latestSimChange").String(), int(days))
	return at, noneWithin, nil
}

// call asks with a token, and once more with a fresh one when the first has expired meanwhile. Asking changes nothing, so
// that the second call does no harm.
func (i *Intelligence) call(ctx context.Context, n phone.Number, path, scope string, body any) (jsonhttp.Value, error) {
	for _, fresh := range []bool{false, true} {
		token, err := i.tokens.Token(ctx, n, scope, fresh)
		if err != nil {
			return jsonhttp.Value{}, errors.New("camara: no token could be had") // its text may hold anything
		}
		v, err := post(ctx, i.http, path, token, body)
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusUnauthorized && !fresh {
			continue
		}
		return v, err
	}
	return jsonhttp.Value{}, &Error{Status: http.StatusUnauthorized}
}

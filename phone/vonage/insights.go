package vonage

import (
	"context"
	"errors"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// InsightsOptions of [Insights]. The zero value and nil mean the defaults.
type InsightsOptions struct {
	HTTP HTTPOptions
	// Path of the requests; default "/identity-insights/v1/requests". Older accounts have "/v0.1/identity-insights".
	Path string
	// Now is the clock that dates of swaps are judged by; default time.Now.
	Now func() time.Time
}

// Insights is Identity Insights as a [phone.Intelligence]. It is safe for concurrent use.
type Insights struct {
	c *client
	o InsightsOptions
}

var _ phone.Intelligence = (*Insights)(nil)

// NewInsights makes a client of https://api-eu.vonage.com.
func NewInsights(app *Application, opts *InsightsOptions) (*Insights, error) {
	i := &Insights{}
	if opts != nil {
		i.o = *opts
	}
	if i.o.Path == "" {
		i.o.Path = "/identity-insights/v1/requests"
	}
	if i.o.Path[0] != '/' {
		return nil, errors.New("vonage: Path must begin with a slash")
	}
	if i.o.Now == nil {
		i.o.Now = time.Now
	}
	var err error
	i.c, err = newClient(app, i.o.HTTP, "https://api-eu.vonage.com", 2*time.Second)
	return i, err
}

// Lookup implements [phone.Intelligence].
func (i *Insights) Lookup(ctx context.Context, n phone.Number, q phone.Query) (phone.Intel, error) {
	if n.IsZero() {
		return phone.Intel{}, errors.New("vonage: no number to look up")
	}
	type object = map[string]any
	want := object{}
	if q.Fields&phone.FieldValid != 0 {
		want["format"] = object{}
	}
	if q.Fields&(phone.FieldLine|phone.FieldCarrier) != 0 {
		want["current_carrier"] = object{}
	}
	period := object{"period": hours(q.Swap())}
	if q.Fields&phone.FieldSIMSwap != 0 {
		want["sim_swap"] = period
	}
	if q.Fields&phone.FieldDeviceSwap != 0 {
		want["device_swap"] = period
	}
	if q.Fields&phone.FieldActive != 0 {
		want["reachability"] = object{}
	}
	if len(want) == 0 {
		return phone.Intel{}, nil
	}
	v, _, err := i.c.call(ctx, jsonhttp.Request{Path: i.o.Path, JSON: object{
		"phone_number": n.E164(), "purpose": "FraudPreventionAndDetection", "insights": want,
	}})
	if err != nil {
		return phone.Intel{}, err
	}
	return readInsights(v)
}

// hours are whole hours from 1 to 2400.
func hours(d time.Duration) int { return int(min(max((d+time.Hour-1)/time.Hour, 1), 2400)) }

// ParseInsights reads the body of an answer: what it knows, and an error for each insight that failed on the service's
// side or ours.
func ParseInsights(body []byte) (phone.Intel, error) {
	v, err := jsonhttp.Parse(body)
	if err != nil {
		return phone.Intel{}, &Error{Status: 200}
	}
	return readInsights(v)
}

func readInsights(v jsonhttp.Value) (phone.Intel, error) {
	var out phone.Intel
	var errs []error
	all := v.At("insights")
	if !all.IsObject() {
		return out, &Error{Status: 200, Code: "no insights"}
	}
	get := func(name string) (jsonhttp.Value, bool) {
		x := all.At(name)
		if !x.IsObject() {
			return x, false
		}
		switch code := x.At("status", "code").String(); code {
		case "OK", "PARTIAL_SUCCESS":
			return x, true
		case "NO_COVERAGE", "NOT_FOUND", "UNSUPPORTED_NETWORK_TYPE": // an answer: unknown
		case "INVALID_NUMBER_FORMAT":
			out.Valid = phone.No
		default:
			errs = append(errs, &Error{Status: 200, Insight: name, Code: word(code)})
		}
		return x, false
	}
	if x, ok := get("format"); ok {
		if valid, ok := x.At("is_format_valid").Bool(); ok {
			out.Valid = phone.TriOf(valid)
		}
	}
	if x, ok := get("current_carrier"); ok {
		out.Line = phone.ParseLineType(x.At("network_type").String())
		out.Carrier = x.At("name").String()
		if code := x.At("network_code").String(); len(code) >= 5 {
			out.MCC, out.MNC = code[:3], code[3:]
		}
	}
	if x, ok := get("sim_swap"); ok {
		if swapped, ok := x.At("is_swapped").Bool(); ok {
			out.SIMSwap = phone.TriOf(swapped)
		}
		out.SIMSwapAt, _ = time.Parse(time.RFC3339, x.At("latest_sim_swap_at").String())
	}
	if x, ok := get("device_swap"); ok {
		if swapped, ok := x.At("is_swapped").Bool(); ok {
			out.DeviceSwap = phone.TriOf(swapped)
		}
		out.DeviceAt, _ = time.Parse(time.RFC3339, x.At("latest_device_swap_at").String())
	}
	if x, ok := get("reachability"); ok {
		if on, ok := x.At("is_reachable").Bool(); ok && on {
			out.Active = phone.Yes // a phone that is switched off is no proof of anything
		}
	}
	return out, errors.Join(errs...)
}

package twilio

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// LookupOptions of a [Lookup]. The zero value and nil mean the defaults.
type LookupOptions struct {
	HTTP HTTPOptions
	// Now is the clock that dates of SIM swaps are judged by; default time.Now.
	Now func() time.Time
	// PartnerSubID is passed on for sms_pumping_risk.
	PartnerSubID string
}

// Lookup is Twilio Lookup v2 as a [phone.Intelligence]. Each field is billed by Twilio: ask for what is needed, and put a
// [phone.Cache] in front. It is safe for concurrent use.
type Lookup struct {
	c *client
	o LookupOptions
}

var _ phone.Intelligence = (*Lookup)(nil)

// NewLookup makes a client of https://lookups.twilio.com.
func NewLookup(cred Credentials, opts *LookupOptions) (*Lookup, error) {
	l := &Lookup{}
	if opts != nil {
		l.o = *opts
	}
	if l.o.Now == nil {
		l.o.Now = time.Now
	}
	var err error
	l.c, err = newClient(cred, l.o.HTTP, "https://lookups.twilio.com", 2*time.Second)
	return l, err
}

// Lookup implements [phone.Intelligence]. Fields that Twilio does not have (recycling needs Query.Since) stay unknown.
func (l *Lookup) Lookup(ctx context.Context, n phone.Number, q phone.Query) (phone.Intel, error) {
	if n.IsZero() {
		return phone.Intel{}, errors.New("twilio: no number to look up")
	}
	var fields []string
	query := url.Values{}
	add := func(f phone.Fields, name string) {
		if q.Fields&f != 0 {
			fields = append(fields, name)
		}
	}
	add(phone.FieldLine|phone.FieldCarrier, "line_type_intelligence")
	add(phone.FieldSIMSwap, "sim_swap")
	add(phone.FieldPumping, "sms_pumping_risk")
	add(phone.FieldForwarding, "call_forwarding")
	add(phone.FieldActive, "line_status")
	if !q.Since.IsZero() && q.Fields&phone.FieldRecycled != 0 {
		fields = append(fields, "reassigned_number")
		query.Set("LastVerifiedDate", q.Since.UTC().Format("20060102"))
	}
	if len(fields) == 0 && q.Fields&phone.FieldValid == 0 {
		return phone.Intel{}, nil
	}
	if len(fields) > 0 {
		query.Set("Fields", strings.Join(fields, ","))
	}
	if l.o.PartnerSubID != "" && q.Fields&phone.FieldPumping != 0 {
		query.Set("PartnerSubId", l.o.PartnerSubID)
	}
	v, err := l.c.call(ctx, jsonhttp.Request{Path: "/v2/PhoneNumbers/" + url.PathEscape(n.E164()), Query: query})
	if err != nil {
		return phone.Intel{}, err
	}
	if got := v.At("phone_number").String(); got != n.E164() {
		return phone.Intel{}, &Error{Status: 200} // an answer about another number
	}
	return read(v, q, l.o.Now())
}

// coverage are codes that say that the number is out of reach, which is an answer: unknown.
func coverage(code int) bool {
	switch code {
	case 60600, 60601, 60607, 60610, 60620:
		return true
	}
	return false
}

// ParseLookup reads the body of a Lookup v2 answer: what it knows, and an error for each package that could not tell for a
// reason of ours (not enabled, parameters) rather than the number's. now judges dates of SIM swaps.
func ParseLookup(body []byte, q phone.Query, now time.Time) (phone.Intel, error) {
	v, err := jsonhttp.Parse(body)
	if err != nil || !v.IsObject() {
		return phone.Intel{}, &Error{Status: 200}
	}
	return read(v, q, now)
}

func read(v jsonhttp.Value, q phone.Query, now time.Time) (phone.Intel, error) {
	var out phone.Intel
	var errs []error
	if valid, ok := v.At("valid").Bool(); ok {
		out.Valid = phone.TriOf(valid)
	}
	// pack is a package's object, unless it holds an error.
	pack := func(name string) (jsonhttp.Value, bool) {
		p := v.At(name)
		if !p.IsObject() {
			return p, false
		}
		code := p.At("error_code")
		if !code.There() || code.IsNull() {
			return p, true
		}
		number, ok := code.Int()
		if !ok { // reassigned_number writes a text
			number, _ = strconv.ParseInt(code.String(), 10, 32)
		}
		if !coverage(int(number)) {
			errs = append(errs, &Error{Status: 200, Code: int(number), Package: name})
		}
		return p, false
	}
	if p, ok := pack("line_type_intelligence"); ok {
		out.Line = phone.ParseLineType(p.At("type").String())
		out.Carrier, out.MCC, out.MNC = p.At("carrier_name").String(), p.At("mobile_country_code").String(), p.At("mobile_network_code").String()
	}
	if p, ok := pack("sim_swap"); ok {
		out.SIMSwap, out.SIMSwapAt = swap(p.At("last_sim_swap"), q.Swap(), now)
	}
	if p, ok := pack("sms_pumping_risk"); ok {
		if score, ok := p.At("sms_pumping_risk_score").Number(); ok && score >= 0 && score <= 100 {
			out.Pumping, out.HasPumping = score/100, true // 100: certain abuse
		}
		if blocked, ok := p.At("number_blocked").Bool(); ok {
			out.Blocked = phone.TriOf(blocked)
		}
	}
	if p, ok := pack("call_forwarding"); ok {
		if on, ok := p.At("call_forwarding_enabled").Bool(); ok {
			out.Forwarding = phone.TriOf(on)
		}
	}
	if p, ok := pack("line_status"); ok {
		switch p.At("status").String() {
		case "active":
			out.Active = phone.Yes
		case "inactive":
			out.Active = phone.No
		}
	}
	if p, ok := pack("reassigned_number"); ok {
		switch p.At("is_number_reassigned").String() {
		case "yes":
			out.Recycled = phone.Yes
		case "no":
			out.Recycled = phone.No
		}
	}
	return out, errors.Join(errs...)
}

// swap judges a SIM swap. The carrier's own period is fixed: "not within 24 hours" says nothing about ten days.
func swap(v jsonhttp.Value, within time.Duration, now time.Time) (phone.Tri, time.Time) {
	in, known := v.At("swapped_in_period").Bool()
	period, hasPeriod := parsePeriod(v.At("swapped_period").String())
	if at, err := time.Parse(time.RFC3339, v.At("last_sim_swap_date").String()); err == nil {
		if known && in && hasPeriod && period <= within {
			return phone.Yes, at
		}
		return phone.TriOf(now.Sub(at) <= within), at
	}
	switch {
	case known && in && (!hasPeriod || period <= within):
		return phone.Yes, time.Time{}
	case known && !in && hasPeriod && period >= within:
		return phone.No, time.Time{}
	}
	return phone.NotKnown, time.Time{}
}

// parsePeriod reads the ISO 8601 durations that occur: "PT48H", "P7D", "PT90M".
func parsePeriod(s string) (time.Duration, bool) {
	unit := map[byte]time.Duration{'D': 24 * time.Hour, 'W': 7 * 24 * time.Hour}
	rest, ok := strings.CutPrefix(s, "PT")
	if ok {
		unit = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	} else if rest, ok = strings.CutPrefix(s, "P"); !ok {
		return 0, false
	}
	if len(rest) < 2 || len(rest) > 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[:len(rest)-1], 10, 16)
	u, known := unit[rest[len(rest)-1]]
	return time.Duration(n) * u, err == nil && known
}

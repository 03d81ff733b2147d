package risktest

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// probe is an attempt a signal is tried with.
type probe struct {
	label   string
	attempt *risk.Attempt
	// visitor: only what a visitor controls is hostile, so that an error would be the visitor's doing.
	visitor bool
	huge    bool // megabytes of it
}

const megabyte = 1 << 20

// bare copies an attempt without its evidence.
func bare(a *risk.Attempt) *risk.Attempt {
	c := risk.Rehearse(a, nil, false, nil)
	return &risk.Attempt{ID: c.ID, Event: c.Event, Time: c.Time, Tenant: c.Tenant, Channel: c.Channel, Tier: c.Tier,
		Client: c.Client, IP: c.IP, Header: c.Header, Account: c.Account, Session: c.Session, Email: c.Email, Phone: c.Phone,
		Device: c.Device, IDs: c.IDs, Flow: c.Flow, Cannot: c.Cannot}
}

// texts puts one text wherever a visitor can put one.
func texts(a *risk.Attempt, text string) {
	a.Session, a.Email, a.Phone, a.Flow = risk.Private(text), risk.Private(text), risk.Private(text), text
	a.Device = []string{text}
	a.IDs = map[string]risk.Private{"usdot": risk.Private(text), "mc": risk.Private(text), "ein": risk.Private(text), "sso": risk.Private(text)}
	a.Header = map[string][]string{}
	for _, name := range []string{"User-Agent", "Accept-Language", "Accept", "Accept-Encoding", "Sec-Ch-Ua", "X-Forwarded-For", "Referer"} {
		a.Header[name] = []string{text}
	}
}

// hostile returns variants of an attempt that try a signal's patience.
func hostile(base *risk.Attempt) []probe {
	var out []probe
	add := func(label string, visitor, huge bool, change func(a *risk.Attempt)) {
		a := risk.Rehearse(base, nil, false, nil)
		change(a)
		out = append(out, probe{label, a, visitor, huge})
	}
	for _, v := range []struct{ label, text string }{
		{"invalid UTF-8 everywhere", "\xff\xfe\x80\xc3("}, {"empty texts everywhere", ""}, {"NUL and line breaks", "a\x00b\r\nc: d\n\x1b[31m"},
		{"bidirectional and zero-width characters", "a\u202eb\u2066\u200d\ufeff@\u0130.example"}, {"quotes and braces", `"'` + "`" + `{}[]()<>\%s%n$(x);--`},
		{"numbers", "99999999999999999999999999999999"}, {"separators only", "@@@...---+++:::"},
	} {
		add(v.label, true, false, func(a *risk.Attempt) { texts(a, v.text) })
	}
	add("texts of 1 MB everywhere", true, true, func(a *risk.Attempt) { texts(a, strings.Repeat("a@", megabyte/2)) })
	add("an e-mail address of 1 MB", true, true, func(a *risk.Attempt) { a.Email = risk.Private(strings.Repeat("a.", megabyte/2) + "@example.com") })
	add("a phone number of 1 MB", true, true, func(a *risk.Attempt) { a.Phone = risk.Private("+" + strings.Repeat("1", megabyte)) })
	add("a header of 1 MB", true, true, func(a *risk.Attempt) {
		a.Header = map[string][]string{"User-Agent": {strings.Repeat("Mozilla/5.0 (", megabyte/13)}}
	})
	add("2,000 headers", true, true, func(a *risk.Attempt) {
		a.Header = make(map[string][]string, 2_000)
		for i := range 2_000 {
			a.Header[fmt.Sprintf("X-%d", i)] = []string{"v", "w"}
		}
	})
	add("headers without values", true, false, func(a *risk.Attempt) {
		a.Header = map[string][]string{"": {""}, "User-Agent": nil, "Accept": {}, "Accept-Language": {"", ""}}
	})
	add("no headers", true, false, func(a *risk.Attempt) { a.Header = nil })
	add("2,000 devices and identifiers", true, true, func(a *risk.Attempt) {
		a.Device, a.IDs = make([]string, 2_000), make(map[string]risk.Private, 2_000)
		for i := range a.Device {
			a.Device[i] = strings.Repeat("d", i%50)
			a.IDs[fmt.Sprint(i)] = risk.Private(fmt.Sprint(i))
		}
	})
	add("cannot prove anything", true, false, func(a *risk.Attempt) {
		a.Cannot = []risk.Proof{risk.ProofHuman, risk.ProofPhone, risk.ProofVoice, risk.ProofEmail, risk.ProofDevice, risk.ProofPasskey, ""}
	})
	for _, ip := range []string{"0.0.0.0", "255.255.255.255", "::", "::1", "::ffff:192.0.2.1", "fe80::1%eth0", "ff02::1", "2002:c000:201::1", "64:ff9b::c000:201"} {
		add("address "+ip, true, false, func(a *risk.Attempt) { a.IP = netip.MustParseAddr(ip) })
	}
	add("no address", false, false, func(a *risk.Attempt) { a.IP = netip.Addr{} })
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		add("time "+at.Format(time.DateOnly), false, false, func(a *risk.Attempt) { a.Time = at })
	}
	add("unknown event and segment", false, false, func(a *risk.Attempt) {
		a.Event, a.Tenant, a.Channel, a.Tier, a.Client, a.Account = "\xff", "\x00", strings.Repeat("c", 4096), ":", "{}", " "
	})
	return append(out, hostileEvidence(base)...)
}

type strange struct{ Anything map[string]any }

// hostileEvidence varies what is attached: nothing, other types, and the types of base with hostile contents.
func hostileEvidence(base *risk.Attempt) []probe {
	wrong := bare(base)
	for _, e := range []any{"text", []byte{0xff}, 7, 1.5, true, strange{}, &strange{}, map[string]string{"token": "x"}, []any{nil}, fmt.Errorf("evidence"), struct{}{}} {
		risk.Attach(wrong, e)
	}
	out := []probe{{"no evidence", bare(base), true, false}, {"evidence of other types", wrong, true, false}}
	types := evidenceTypes(base)
	for _, v := range []struct {
		label, text string
		huge        bool
	}{{"empty evidence", "", false}, {"evidence of invalid UTF-8", "\xff\xfe\x80", false}, {"evidence of 1 MB", strings.Repeat("e", megabyte), true}} {
		if len(types) == 0 {
			break
		}
		a := bare(base)
		for _, t := range types {
			risk.Attach(a, filled(t, v.text))
		}
		out = append(out, probe{v.label, a, true, v.huge})
	}
	return out
}

// evidenceTypes are the types of what is attached to an attempt. They are read from an unexported field, since only who
// knows a type can ask for its value.
func evidenceTypes(a *risk.Attempt) []reflect.Type {
	field := reflect.ValueOf(a).Elem().FieldByName("evidence")
	if !field.IsValid() || field.Kind() != reflect.Slice {
		return nil
	}
	var out []reflect.Type
	for i := range field.Len() {
		if e := field.Index(i); e.Kind() == reflect.Interface && !e.IsNil() {
			out = append(out, e.Elem().Type())
		}
	}
	return out
}

// filled makes a value of type t with text in every exported text within it.
func filled(t reflect.Type, text string) any {
	v := reflect.New(t).Elem()
	fill(v, text, 0)
	return v.Interface()
}

func fill(v reflect.Value, text string, depth int) {
	const deepest = 5
	if !v.CanSet() || depth > deepest {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text, depth+1)
		}
	case reflect.Slice:
		if text == "" {
			return
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(text))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, depth+1)
	case reflect.Map:
		if text == "" || v.Type().Key().Kind() != reflect.String {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, text, depth+1)
		v.SetMapIndex(reflect.ValueOf(text).Convert(v.Type().Key()), value)
	}
}

package phone_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

// Whatever brand, locale and flow hold, the message is one GSM-7 segment whose last line binds the code to the one origin.
func FuzzWholeMessage(f *testing.F) {
	f.Add("Example", "en", "flow", "example.com", "{code} is your {brand} code", "")
	f.Add("Evil\n@evil.com #111111", "nb_NO\n@evil.com #1", "f", "example.com", "{brand}{code}", "abcdefghij+")
	f.Add("{code}{brand}", "de-AT-1996-x", "f\x00", "a.b", "[{code}]{brand}^~€", "")
	policy, err := phone.NewPolicy([]string{"NO"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	n, err := phone.Parse(mobile, "")
	if err != nil {
		f.Fatal(err)
	}
	keys := keysOf(f)
	f.Fuzz(func(t *testing.T, brand, locale, flow, origin, text, hash string) {
		store, err := phone.NewMemory(nil)
		if err != nil {
			t.Fatal(err)
		}
		sent := &box{}
		v, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: sent}, keys,
			&phone.Options{Origin: origin, AppHash: hash, Texts: phone.Texts{"en": text, "nb": "{code} {brand}"}})
		if err != nil || flow == "" {
			return
		}
		_, err = v.Start(context.Background(), phone.StartRequest{Number: n, Purpose: "signup", Flow: flow, Brand: brand, Locale: locale})
		if err != nil || sent.count() != 1 {
			t.Fatal(err, sent.count())
		}
		m := sent.got[0]
		if k := phone.Septets(m.Text); k < 1 || k > phone.MaxText {
			t.Fatalf("%d septets in %q", k, m.Text)
		}
		if strings.Count(m.Text, string(m.Code)) < 1 || len(m.Code) != 6 {
			t.Fatalf("no code in %q", m.Text)
		}
		bound, ok := phone.ParseOriginBound(m.Text)
		if ok != (origin != "") || ok && (bound != phone.OriginBound{Host: origin, Code: m.Code}) {
			t.Fatalf("%q is bound to %v", m.Text, bound.Host)
		}
		if strings.Count(m.Text, "@") > 1 || strings.Count(m.Text, "#") > 1 {
			t.Fatalf("%q", m.Text)
		}
		if got, err := v.Check(context.Background(), phone.CheckRequest{Number: n, Purpose: "signup", Flow: flow, Code: string(m.Code)}); err != nil || got.Verdict != phone.OK {
			t.Fatal("its own code is wrong", err)
		}
	})
}

// What a store counts in never breaks, whatever times and amounts it is given, and the bound holds.
func FuzzQuota(f *testing.F) {
	f.Add(int64(3), int64(1), uint16(60), []byte{1, 5, 200, 0, 255})
	f.Add(int64(1000), int64(27), uint16(3600), []byte{128, 1, 127, 255, 0, 0})
	f.Fuzz(func(t *testing.T, most, cost int64, seconds uint16, steps []byte) {
		if most < 1 || most > 1<<50 || cost < 1 || cost > most || seconds == 0 || len(steps) > 200 {
			return
		}
		c := newClock()
		store, err := phone.NewMemory(&phone.MemoryOptions{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		window := time.Duration(seconds) * time.Second
		var at []time.Time // of what was granted, by a clock that does not go back
		var latest time.Time
		for i, b := range steps {
			c.pass(time.Duration(int8(b)) * window / 40) // also back
			r := &phone.Issue{Record: phone.Key{1, byte(i)}, Phone: phone.Key{2, byte(i)}, Channel: phone.SMS, TTL: time.Minute, Tries: 1, Sends: 1,
				Cooldowns: []time.Duration{0}, Quotas: []phone.Quota{{Key: phone.Key{3}, Window: window, Max: most, Cost: cost}}}
			if err := store.Issue(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			if r.Outcome != phone.Issued {
				if r.RetryAfter <= 0 || r.RetryAfter > window*14/12+15*time.Millisecond*12 {
					t.Fatalf("retry after %v of %v", r.RetryAfter, window)
				}
				continue
			}
			if c.now().After(latest) {
				latest = c.now()
			}
			at = append(at, latest)
			spent := int64(0)
			for _, x := range at {
				if latest.Sub(x) < window {
					spent += cost
				}
			}
			if spent > most {
				t.Fatal(fmt.Sprint("step ", i, ": ", spent, " of ", most))
			}
		}
	})
}

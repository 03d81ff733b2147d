package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// phoneCodes is how codes are sent: "log" writes them to the log, "twilio" hands them to a stand-in for Twilio in this
// process, by the client a real account would use.
type phoneCodes struct {
	senders  map[phone.Channel]phone.Sender
	fakes    phone.Intelligence // nil: nobody looks numbers up
	stop     func()
	received *phonetest.Inbox // of the stand-in
}

// newPhoneCodes makes what a name of the flag stands for; "" and "off" are nobody, and nil.
func newPhoneCodes(name string, log *slog.Logger) (*phoneCodes, error) {
	switch name {
	case "", "off":
		return nil, nil
	case "log":
		s, err := phone.NewInsecureLogSender(log)
		if err != nil {
			return nil, err
		}
		return &phoneCodes{senders: map[phone.Channel]phone.Sender{phone.SMS: s, phone.Voice: s}, stop: func() {}}, nil
	case "twilio":
		fake := phonetest.NewTwilio(nil)
		s, err := twilio.NewSender(fake.Credentials(), fake.From(), &twilio.SenderOptions{HTTP: fake.HTTP()})
		if err != nil {
			return nil, err
		}
		lookup, err := twilio.NewLookup(fake.Credentials(), &twilio.LookupOptions{HTTP: fake.HTTP()})
		if err != nil {
			return nil, err
		}
		cache, err := phone.NewCache(lookup, nil)
		if err != nil {
			return nil, err
		}
		return &phoneCodes{senders: map[phone.Channel]phone.Sender{phone.SMS: s, phone.Voice: s}, fakes: cache, stop: fake.Close, received: fake.Inbox}, nil
	}
	return nil, fmt.Errorf("phone codes by %q: want log, twilio or off", name)
}

// newPhone verifies numbers by one-time codes, where a challenge asks for it. Nothing is sent before the proof that a
// person is there.
func newPhone(s settings) (*provider, error) {
	if s.phone == nil {
		return nil, nil
	}
	store, err := phone.NewMemory(&phone.MemoryOptions{Now: s.now, MaxEntries: 100_000})
	if err != nil {
		return nil, err
	}
	policy, err := phone.NewPolicy([]string{"NO", "SE", "DK", "DE", "GB", "US"}, nil)
	if err != nil {
		return nil, err
	}
	var keys phone.Keys
	for _, r := range []**keyed.Ring{&keys.Pepper, &keys.Index} {
		if *r, err = keyed.New([]keyed.Key{{ID: "p", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs}); err != nil {
			return nil, err
		}
	}
	verifier, err := phone.NewVerifier(store, policy, s.phone.senders, keys, &phone.Options{Now: s.now, Brand: "Example", Intelligence: s.phone.fakes})
	if err != nil {
		return nil, err
	}
	signal, err := phone.NewSignal(verifier, &phone.SignalOptions{
		Policy: policy, Intelligence: s.phone.fakes, StartPath: "/api/phone/start", CheckPath: "/api/phone/check",
	})
	if err != nil {
		return nil, err
	}
	return &provider{
		signal: signal,
		mount: func(mux *http.ServeMux, guard *riskhttp.Guard) {
			opts := &riskhttp.PhoneOptions{Timeout: 15 * time.Second}
			mux.Handle("POST /api/phone/start", guard.PhoneStartHandler(risk.SignUp, signal, opts))
			mux.Handle("POST /api/phone/check", guard.PhoneCheckHandler(risk.SignUp, signal, opts))
		},
	}, nil
}

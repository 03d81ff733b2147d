package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// phoneService is how codes are sent, and numbers looked up.
type phoneService struct {
	sender phone.Sender
	lookup phone.Intelligence // nil: nobody looks numbers up
	stop   func()
}

// newPhoneService makes what the flag -phone names: "log" writes codes to the log, "twilio" hands them to a stand-in for
// Twilio in this process, by the client a real account would use. Both show the codes in the log.
func newPhoneService(name string, log *slog.Logger) (*phoneService, error) {
	switch name {
	case "log":
		sender, err := phone.NewInsecureLogSender(log)
		if err != nil {
			return nil, err
		}
		return &phoneService{sender: sender, stop: func() {}}, nil
	case "twilio":
		fake := phonetest.NewTwilio(nil)
		client, err := twilio.NewSender(fake.Credentials(), fake.From(), &twilio.SenderOptions{HTTP: fake.HTTP()})
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
		sender := phone.SenderFunc(func(ctx context.Context, m phone.Message) (phone.Receipt, error) {
			receipt, err := client.Send(ctx, m)
			if code, came := fake.Inbox.Code(m.To); err == nil && came {
				log.InfoContext(ctx, "the stand-in for Twilio has a message", "channel", m.Channel.String(), "to", m.To.String(), "code", string(code))
			}
			return receipt, err
		})
		return &phoneService{sender: sender, lookup: cache, stop: fake.Close}, nil
	}
	return nil, fmt.Errorf("-phone %q: want log or twilio", name)
}

// phoneCountries are where codes are sent. The page names them.
var phoneCountries = []string{"DE", "DK", "GB", "NO", "SE", "US"}

// newPhone verifies numbers by one-time codes, where a challenge asks for it, and counts them. Nothing is sent before the
// proof that a person is there.
func newPhone(o *options) (*provider, error) {
	var store interface {
		phone.Store
		phone.SightingStore
	}
	if o.Shared != nil {
		store = o.Shared.phones
	} else {
		memory, err := phone.NewMemory(&phone.MemoryOptions{Now: o.Now, MaxEntries: 100_000})
		if err != nil {
			return nil, err
		}
		store = memory
	}
	policy, err := phone.NewPolicy(phoneCountries, nil)
	if err != nil {
		return nil, err
	}
	keys, err := phone.NewKeys(o.Shared.key("phone"))
	if err != nil {
		return nil, err
	}
	host := "" // of the page, in the last line of messages: the browser fills the code in there and nowhere else
	if page, err := url.Parse(o.Origin); err == nil {
		host = page.Hostname()
	}
	senders := map[phone.Channel]phone.Sender{phone.SMS: o.Phone.sender, phone.Voice: o.Phone.sender}
	verifier, err := phone.NewVerifier(store, policy, senders, keys, &phone.Options{
		Now: o.Now, Brand: "Example", Origin: host, Intelligence: o.Phone.lookup,
		Background: true, // how long sending takes would show which numbers are served
	})
	if err != nil {
		return nil, err
	}
	signal, err := phone.NewSignal(verifier, &phone.SignalOptions{
		Policy: policy, Intelligence: o.Phone.lookup, StartPath: "/api/phone/start", CheckPath: "/api/phone/check",
		OnStart: func(_ *risk.Attempt, c phone.Challenge) {
			o.Log.Info("a code was asked for", "outcome", c.Outcome, "reason", c.Reason, "channel", c.Channel)
		},
	})
	if err != nil {
		return nil, err
	}
	counts, err := phone.NewCountSignal(store, keys, nil)
	if err != nil {
		return nil, err
	}
	handlers := &riskhttp.PhoneOptions{OnWrong: func(ctx context.Context, a *risk.Attempt) error {
		return o.limits.Report(ctx, a, ratelimit.OTPFailed)
	}}
	return &provider{
		signals: []risk.Signal{signal, counts},
		mount: func(mux *http.ServeMux, guard *riskhttp.Guard) {
			mux.Handle("POST /api/phone/start", guard.PhoneStartHandler(risk.SignUp, signal, handlers))
			mux.Handle("POST /api/phone/check", guard.PhoneCheckHandler(risk.SignUp, signal, handlers))
		},
	}, nil
}

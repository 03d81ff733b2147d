package phone_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// must ends an example that cannot go on.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newKeys makes keys for one run. A service keeps its secret, as all of its instances need the same.
func newKeys() phone.Keys { return must(phone.NewKeys(keyed.NewSecret())) }

// Development: codes are written to the log instead of being sent.
func ExampleNewInsecureLogSender() {
	hide := func(_ []string, a slog.Attr) slog.Attr { // what differs from run to run
		if a.Key == "time" || a.Key == "code" {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: hide}))
	sender := must(phone.NewInsecureLogSender(log))
	verifier := must(phone.NewVerifier(must(phone.NewMemory(nil)), must(phone.NewPolicy([]string{"NO"}, nil)),
		map[phone.Channel]phone.Sender{phone.SMS: sender}, newKeys(), &phone.Options{Brand: "Example", Origin: "example.com"}))
	n := must(phone.Parse("+47 400 00 000", ""))
	c := must(verifier.Start(context.Background(), phone.StartRequest{Number: n, Purpose: "signup", Flow: "flow-1"}))
	fmt.Println(c.Outcome, "ask again in", c.RetryAfter)
	// Output:
	// level=INFO msg="development: a code that would be sent" channel=sms to=+47••••••00
	// sent ask again in 30s
}

// Messages through Twilio, here through the fake that tests use.
func ExampleVerifier_twilio() {
	fake := phonetest.NewTwilio(nil)
	defer fake.Close()
	sender := must(twilio.NewSender(fake.Credentials(), fake.From(), &twilio.SenderOptions{HTTP: fake.HTTP()}))
	verifier := must(phone.NewVerifier(must(phone.NewMemory(nil)), must(phone.NewPolicy([]string{"NO"}, nil)),
		map[phone.Channel]phone.Sender{phone.SMS: sender, phone.Voice: sender}, newKeys(), &phone.Options{Brand: "Example"}))

	ctx := context.Background()
	n := must(phone.Parse("+4740000000", ""))
	c := must(verifier.Start(ctx, phone.StartRequest{Number: n, Purpose: "transfer", Flow: "flow-1", HighValue: true}))
	fmt.Println(c.Outcome, c.Channel)
	code, _ := fake.Inbox.Code(n) // what the person hears
	fmt.Println(must(verifier.Check(ctx, phone.CheckRequest{Number: n, Purpose: "transfer", Flow: "flow-1", Code: string(code)})).Verdict == phone.OK)
	// Output:
	// sent voice
	// true
}

// Codes that a service makes and checks itself stand behind the same limits, budgets and answers.
func ExampleHosted() {
	fake := phonetest.NewTwilio(nil)
	defer fake.Close()
	hosted := must(twilio.NewVerify(fake.Credentials(), fake.Service(), &twilio.VerifyOptions{HTTP: fake.HTTP()}))
	verifier := must(phone.NewVerifier(must(phone.NewMemory(nil)), must(phone.NewPolicy([]string{"NO"}, nil)), nil, newKeys(),
		&phone.Options{Hosted: map[phone.Channel]phone.Hosted{phone.SMS: hosted}}))

	ctx := context.Background()
	n := must(phone.Parse("+4740000000", ""))
	c := must(verifier.Start(ctx, phone.StartRequest{Number: n, Purpose: "signup", Flow: "flow-1"}))
	fmt.Println(c.Outcome)
	code, _ := fake.Inbox.Code(n)
	got := must(verifier.Check(ctx, phone.CheckRequest{Number: n, Purpose: "signup", Flow: "flow-1", Code: string(code)}))
	fmt.Println(got.Verdict == phone.OK)
	// Output:
	// sent
	// true
}

// What is known about a number: one's own answers first, then the list, then a service that costs money, whose answers
// are kept for as long as each stays true.
func ExampleChain() {
	fake := phonetest.NewTwilio(nil)
	defer fake.Close()
	lookup := must(twilio.NewLookup(fake.Credentials(), &twilio.LookupOptions{HTTP: fake.HTTP()}))
	list := must(phone.ReadList(strings.NewReader("4740000100,2026-01-31\n")))
	burner, honest := must(phone.Parse("+4740000100", "")), must(phone.Parse("+4741000000", ""))
	chain := phone.Chain(
		phone.NewOverrides(nil, map[phone.Number]phone.Intel{honest: {Line: phone.Mobile}}),
		phone.ListSource(list),
		must(phone.NewCache(lookup, &phone.CacheOptions{Lifetimes: map[phone.Fields]time.Duration{phone.FieldLine: time.Hour}})),
	)
	q := phone.Query{Fields: phone.FieldLine | phone.FieldDisposable}
	for range 2 {
		for _, n := range []phone.Number{burner, honest} {
			known := must(chain.Lookup(context.Background(), n, q))
			fmt.Println(n, known.Line, known.Disposable)
		}
	}
	fmt.Println("requests:", fake.Requests())
	// Output:
	// +47••••••00 mobile yes
	// +47••••••00 mobile unknown
	// +47••••••00 mobile yes
	// +47••••••00 mobile unknown
	// requests: 1
}

// Budgets are told in millionths of a currency. They are reserved before a message is sent: never is more spent.
func ExampleBudget() {
	inbox := phonetest.NewInbox()
	verifier := must(phone.NewVerifier(must(phone.NewMemory(nil)), must(phone.NewPolicy([]string{"NO", "SE"}, nil)),
		map[phone.Channel]phone.Sender{phone.SMS: inbox}, newKeys(), &phone.Options{
			Prices:  phone.PriceTable{"NO": {phone.SMS: phone.Unit * 5 / 100}},
			Budgets: []phone.Budget{{Scope: phone.PerCountry, Window: time.Hour, Max: phone.Unit / 10}},
		}))
	for i, s := range []string{"+4740000000", "+4741000000", "+4745000000", "+46701234567"} {
		c := must(verifier.Start(context.Background(), phone.StartRequest{Number: must(phone.Parse(s, "")), Purpose: "signup", Flow: fmt.Sprint(i)}))
		fmt.Printf("%s %q\n", c.Outcome, c.Reason)
	}
	// Output:
	// sent ""
	// sent ""
	// limited "budget"
	// sent ""
}

// Fixed codes for numbers that reviewers and tests use: nothing is sent to them, until a date.
func ExampleOptions_testNumbers() {
	inbox := phonetest.NewInbox()
	verifier := must(phone.NewVerifier(must(phone.NewMemory(nil)), must(phone.NewPolicy([]string{"NO"}, nil)),
		map[phone.Channel]phone.Sender{phone.SMS: inbox}, newKeys(), &phone.Options{
			InsecureTestNumbers: map[string]string{"+15005550006": "000000"},
			InsecureTestUntil:   time.Now().Add(24 * time.Hour),
		}))
	ctx := context.Background()
	n := must(phone.Parse("+15005550006", ""))
	fmt.Println(must(verifier.Start(ctx, phone.StartRequest{Number: n, Purpose: "signup", Flow: "flow-1"})).Outcome, len(inbox.Messages()))
	fmt.Println(must(verifier.Check(ctx, phone.CheckRequest{Number: n, Purpose: "signup", Flow: "flow-1", Code: "000000"})).Verdict == phone.OK)
	// Output:
	// sent 0
	// true
}

// In the risk engine: what a number is worth, and whether the visitor holds it.
func ExampleNewSignal() {
	inbox, keys := phonetest.NewInbox(), newKeys()
	store := must(phone.NewMemory(nil))
	policy := must(phone.NewPolicy([]string{"NO"}, nil))
	verifier := must(phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: inbox}, keys, nil))
	signals := []risk.Signal{
		must(phone.NewSignal(verifier, &phone.SignalOptions{Policy: policy})),
		must(phone.NewCountSignal(store, keys, nil)),
	}
	engine := must(risk.NewEngine(risk.DefaultPolicy(signals), signals, nil))
	for _, s := range []string{"+4740000000", "+449012345678", "hello"} {
		a := engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp, Phone: risk.Private(s)})
		fmt.Println(a.Score, a.Reasons)
	}
	// Output:
	// 12 [base +12]
	// 30 [base +12 phone.premium +16 (phone) phone.denied +2 (phone)]
	// 20 [base +12 phone.invalid +8 (phone)]
}

func ExampleVerifier() {
	store, _ := phone.NewMemory(nil)
	policy, _ := phone.NewPolicy([]string{"NO", "SE"}, nil)
	var keys phone.Keys
	for _, r := range []**keyed.Ring{&keys.Pepper, &keys.Index} {
		*r, _ = keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	}
	inbox := phonetest.NewInbox()
	verifier, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: inbox}, keys,
		&phone.Options{Brand: "Example", Origin: "example.com"})
	if err != nil {
		panic(err)
	}

	ctx := context.Background()
	n, _ := phone.Parse("400 00 000", "NO")
	c, _ := verifier.Start(ctx, phone.StartRequest{Number: n, Purpose: "signup", Flow: "flow-1"})
	fmt.Println(n, c.Outcome)
	code, _ := inbox.Code(n)
	for range 2 {
		got, _ := verifier.Check(ctx, phone.CheckRequest{Number: n, Purpose: "signup", Flow: "flow-1", Code: string(code)})
		fmt.Println(got.Verdict == phone.OK)
	}
	// Output:
	// +47••••••00 sent
	// true
	// false
}

func ExampleList() {
	list, _ := phone.ReadList(strings.NewReader("4740000100,2026-01-31\n4740000101\n4740000107\n"))
	for _, s := range []string{"+4740000100", "+4740000150", "+4741000000"} {
		n, _ := phone.Parse(s, "")
		h := list.Look(n)
		fmt.Println(h.Listed, h.Block, h.Dense() > 0)
	}
	// Output:
	// true 2 true
	// false 3 true
	// false 0 false
}

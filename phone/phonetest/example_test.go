package phonetest_test

import (
	"context"
	"fmt"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// A test of a sign-up reads the code from the inbox.
func ExampleInbox() {
	inbox := phonetest.NewInbox()
	store, _ := phone.NewMemory(&phone.MemoryOptions{Now: phonetest.NewClock().Now})
	policy, _ := phone.NewPolicy([]string{"NO"}, nil)
	var keys phone.Keys
	keys.Pepper, _ = keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	keys.Index, _ = keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	verifier, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: inbox}, keys, nil)
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	_, _ = verifier.Start(context.Background(), phone.StartRequest{Number: n, Purpose: "signup", Flow: "f"})
	code, ok := inbox.Code(n)
	got, _ := verifier.Check(context.Background(), phone.CheckRequest{Number: n, Purpose: "signup", Flow: "f", Code: string(code)})
	fmt.Println(ok, got.Verdict == phone.OK)
	// Output: true true
}

// What does the service do when Twilio is down?
func ExampleTwilio() {
	fake := phonetest.NewTwilio(nil)
	defer fake.Close()
	sender, err := twilio.NewSender(fake.Credentials(), fake.From(), &twilio.SenderOptions{HTTP: fake.HTTP()})
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	m := phone.Message{To: n, Channel: phone.SMS, Code: "012345", Text: "012345 is your code"}
	for _, fault := range []phonetest.Fault{phonetest.FaultStatus(503), phonetest.FaultHTML, ""} {
		fake.Fail(fault)
		_, err := sender.Send(context.Background(), m)
		fmt.Println(err == nil, phone.Refused(err))
	}
	fake.Limit(0)
	_, err = sender.Send(context.Background(), m)
	fmt.Println(err == nil, phone.Refused(err))
	// Output:
	// false false
	// false false
	// true false
	// false true
}

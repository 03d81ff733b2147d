package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
)

func ExampleSender() {
	fake := phonetest.NewTwilio(nil) // in production leave HTTP empty and use the account's credentials
	defer fake.Close()
	sender, err := twilio.NewSender(fake.Credentials(), fake.From(), &twilio.SenderOptions{HTTP: fake.HTTP()})
	if err != nil {
		panic(err)
	}
	for _, s := range []string{"+4740000000", "+15005550004"} { // the second has opted out
		n, _ := phone.Parse(s, "")
		receipt, err := sender.Send(context.Background(), phone.Message{To: n, Channel: phone.SMS, Code: "012345", Text: "012345 is your code"})
		var failed *phone.SendError
		if errors.As(err, &failed) {
			fmt.Println(failed.Refused, failed.Reason, failed.Code)
			continue
		}
		fmt.Println("sent", receipt.Ref[:2])
	}
	// Output:
	// sent SM
	// true blocked 21610
}

func ExampleLookup() {
	fake := phonetest.NewTwilio(nil)
	defer fake.Close()
	lookup, err := twilio.NewLookup(fake.Credentials(), &twilio.LookupOptions{HTTP: fake.HTTP()})
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	fake.SetLookup(n.E164(), "line_type_intelligence", map[string]any{"type": "nonFixedVoip", "error_code": nil})
	fake.SetLookup(n.E164(), "sim_swap", map[string]any{"error_code": 60600}) // out of coverage: 200 all the same
	known, err := lookup.Lookup(context.Background(), n, phone.Query{Fields: phone.FieldLine | phone.FieldSIMSwap})
	fmt.Println(known.Line, known.SIMSwap, err)
	// Output: nonfixed_voip unknown <nil>
}

func ExampleVerify() {
	fake := phonetest.NewTwilio(nil)
	defer fake.Close()
	verify, err := twilio.NewVerify(fake.Credentials(), fake.Service(), &twilio.VerifyOptions{HTTP: fake.HTTP()})
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	receipt, err := verify.Start(context.Background(), phone.Message{To: n, Channel: phone.SMS})
	if err != nil {
		panic(err)
	}
	code, _ := fake.Inbox.Code(n)
	for _, c := range []phone.Code{"000000", code} {
		verdict, _ := verify.Check(context.Background(), receipt.Ref, n, c)
		fmt.Println(verdict == phone.HostedApproved)
	}
	// Output:
	// false
	// true
}

// Delivery reports for a verifier: the address is the one given to Twilio as StatusCallback, and what Twilio signs.
func ExampleCallback() {
	var verifier *phone.Verifier // of NewVerifier
	handler, err := twilio.Callback("the account's auth token", "https://example.com/twilio/status", "", verifier.Delivered)
	if err != nil {
		panic(err)
	}
	http.Handle("POST /twilio/status", handler)
	fmt.Println("ready")
	// Output: ready
}

package vonage_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/vonage"
)

func ExampleInsights() {
	fake := phonetest.NewVonage(nil) // in production leave HTTP empty and use the application's own key
	defer fake.Close()
	app, err := vonage.NewApplication(phonetest.VonageApplication, fake.PrivateKey(), nil)
	if err != nil {
		panic(err)
	}
	insights, err := vonage.NewInsights(app, &vonage.InsightsOptions{HTTP: vonage.HTTPOptions{BaseURL: fake.URL()}})
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	fake.SetInsight(n.E164(), "sim_swap", map[string]any{"status": map[string]any{"code": "NO_COVERAGE"}})
	known, err := insights.Lookup(context.Background(), n, phone.Query{Fields: phone.FieldLine | phone.FieldSIMSwap})
	fmt.Println(known.Line, known.SIMSwap, err)
	// Output: mobile unknown <nil>
}

func ExampleVerify() {
	fake := phonetest.NewVonage(nil)
	defer fake.Close()
	app, err := vonage.NewApplication(phonetest.VonageApplication, fake.PrivateKey(), nil)
	if err != nil {
		panic(err)
	}
	verify, err := vonage.NewVerify(app, "Example", &vonage.VerifyOptions{HTTP: vonage.HTTPOptions{BaseURL: fake.URL()}})
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	receipt, err := verify.Start(context.Background(), phone.Message{To: n, Channel: phone.SMS})
	if err != nil {
		panic(err)
	}
	code, _ := fake.Inbox.Code(n)
	verdict, err := verify.Check(context.Background(), receipt.Ref, n, code)
	fmt.Println(verdict == phone.HostedApproved, err)
	// Output: true <nil>
}

// What became of verifications, and what Vonage blocked for fraud.
func ExampleCallback() {
	var verifier *phone.Verifier // of NewVerifier
	handler, err := vonage.Callback("the account's signature secret", "", verifier.Delivered, &vonage.CallbackOptions{
		OnBlocked: func(_ context.Context, e vonage.Event) { fmt.Println("blocked:", e.Ref) },
	})
	if err != nil {
		panic(err)
	}
	http.Handle("POST /vonage/status", handler)
	fmt.Println("ready")
	// Output: ready
}

package ratelimit_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/risk"
)

func Example() {
	store, err := ratelimit.NewMemory(nil)
	if err != nil {
		panic(err)
	}
	limiter, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	if err != nil {
		panic(err)
	}
	for i := range 7 {
		d, err := limiter.Decide(context.Background(), ratelimit.Subject{
			Event: "signup",
			IP:    netip.MustParseAddr("192.0.2.7"),
			Phone: fmt.Sprintf("+479000000%d", i),
		})
		if err != nil {
			panic(err) // the store could not tell; a memory store always can
		}
		fmt.Println(d.Level, d.Violated())
	}
	// Output:
	// allow []
	// allow []
	// allow []
	// allow []
	// allow []
	// challenge [ip]
	// challenge [ip]
}

func ExampleDecision_Header() {
	store, _ := ratelimit.NewMemory(nil)
	limiter, _ := ratelimit.New(ratelimit.Policy{Limits: []ratelimit.Limit{
		{Name: "ip", Dim: ratelimit.IPv4, Count: 20, Per: time.Hour, On: ratelimit.Deny},
		{Name: "phone", Dim: ratelimit.Phone, Count: 1, Per: time.Minute, On: ratelimit.Deny}, // never shown
	}}, store, nil)
	d, _ := limiter.Decide(context.Background(), ratelimit.Subject{IP: netip.MustParseAddr("192.0.2.7"), Phone: "+4790000001"})
	w := httptest.NewRecorder()
	d.Header(w.Header())
	fmt.Println(w.Header().Get("RateLimit-Policy"))
	fmt.Println(w.Header().Get("RateLimit"))
	// Output:
	// "ip";q=20;w=3600
	// "ip";r=19;t=180
}

func ExampleDecision_Refund() {
	store, _ := ratelimit.NewMemory(nil)
	limiter, _ := ratelimit.New(ratelimit.Policy{Limits: []ratelimit.Limit{
		{Name: "phone", Dim: ratelimit.Phone, Count: 1, Per: time.Hour, On: ratelimit.Deny},
	}}, store, nil)
	ctx, s := context.Background(), ratelimit.Subject{Phone: "+4790000001"}
	d, _ := limiter.Decide(ctx, s)
	// Creating the account fails for a reason of ours: the visitor may try again at once.
	_ = d.Refund(ctx)
	d, _ = limiter.Decide(ctx, s)
	fmt.Println(d.Level)
	// Output: allow
}

func ExampleLimiter_Report() {
	store, _ := ratelimit.NewMemory(nil)
	limiter, _ := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	ctx, s := context.Background(), ratelimit.Subject{Event: "signup", IP: netip.MustParseAddr("192.0.2.7")}
	for range 5 {
		_ = limiter.Report(ctx, s, ratelimit.CaptchaFailed) // two points each
	}
	d, _ := limiter.Decide(ctx, s)
	fmt.Println(d.Level, d.RetryAfter.Round(time.Second))
	_ = limiter.Unban(ctx, s)
	d, _ = limiter.Decide(ctx, s)
	fmt.Println(d.Level)
	// Output:
	// ban 5m0s
	// allow
}

func ExampleLimiter_SetOverrides() {
	store, _ := ratelimit.NewMemory(nil)
	limiter, _ := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	err := limiter.SetOverrides([]ratelimit.Override{
		{Limit: "net24", Key: "198.51.100.0/24", Unlimited: true}, // a partner's office
		{Limit: "email", Key: "Test@example.com", Unlimited: true},
	})
	fmt.Println(err)
	// Output: ratelimit: override 1 of "email": Key is not in canonical form
}

func ExampleNewSignal() {
	store, _ := ratelimit.NewMemory(nil)
	limiter, _ := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	signal, err := ratelimit.NewSignal(limiter, nil)
	if err != nil {
		panic(err)
	}
	var s risk.Signal = signal // to be given to risk.NewEngine
	fmt.Println(s.Describe().Name, s.Describe().Cost)
	// Output: ratelimit local
}

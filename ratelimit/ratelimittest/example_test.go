package ratelimittest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
)

func ExampleNewScripted() {
	store := ratelimittest.NewScripted(
		ratelimittest.Answer{},
		ratelimittest.Answer{Level: ratelimit.Deny, Wait: time.Minute},
	)
	limiter, _ := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	for range 3 {
		d, _ := limiter.Decide(context.Background(), visitor)
		fmt.Println(d.Level, d.RetryAfter)
	}
	// Output:
	// allow 0s
	// deny 1m0s
	// deny 1m0s
}

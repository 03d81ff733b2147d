package ratelimitredis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

func ExampleNew() {
	// Nothing listens there: the outage is bridged by the local store.
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer client.Close()
	secret := bytes.Repeat([]byte("k"), 32) // 32 random bytes, the same on all machines
	store, err := ratelimitredis.New(client, secret, &ratelimitredis.Options{
		Timeout: 20 * time.Millisecond, Fail: ratelimitredis.Local, Instances: 2,
		Hooks: &ratelimitredis.Hooks{Down: func(error) { fmt.Println("limits are local") }},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := ratelimit.New(ratelimit.Policy{Limits: []ratelimit.Limit{
		{Name: "ip", Dim: ratelimit.IPv4, Count: 12, Per: time.Hour, Burst: 12, On: ratelimit.Deny},
	}}, store, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	admitted := 0
	for range 10 {
		d, err := limiter.Decide(context.Background(), ratelimit.Subject{Event: "signup", IP: netip.MustParseAddr("192.0.2.7")})
		if err != nil {
			fmt.Println(err)
			return
		}
		var outage *ratelimitredis.OutageError
		if d.Allowed() && errors.As(d.Degraded, &outage) {
			admitted++
		}
	}
	fmt.Println(admitted, "of 10: half of 12")
	// Output:
	// limits are local
	// 6 of 10: half of 12
}

package phoneredis_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phoneredis"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// Several instances share codes and limits. They need the same keys and the same Redis.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	store, err := phoneredis.New(client, nil)
	if err != nil {
		panic(err)
	}
	policy, err := phone.NewPolicy([]string{"NO", "SE"}, nil)
	if err != nil {
		panic(err)
	}
	var keys phone.Keys // of secrets that all instances have
	for _, r := range []**keyed.Ring{&keys.Pepper, &keys.Index} {
		*r, _ = keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	}
	senders := map[phone.Channel]phone.Sender{phone.SMS: phonetest.NewInbox()}
	verifier, err := phone.NewVerifier(store, policy, senders, keys, &phone.Options{Brand: "Example"})
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	c, err := verifier.Start(context.Background(), phone.StartRequest{Number: n, Purpose: "signup", Flow: "flow-1"})
	fmt.Println(c.Outcome, err) // an error: Redis cannot be reached, and nothing was sent
}

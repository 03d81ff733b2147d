package phone_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

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

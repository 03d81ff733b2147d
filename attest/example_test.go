package attest_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/risk"
)

// A sign-up by a phone: the app asks for a challenge when it starts, attests to it, and sends the evidence with its first
// attempt. The virtual iPhone stands for the app, and the virtual Apple for Apple.
func Example() {
	ctx := context.Background()
	apple := attesttest.NewApple(nil)
	verifier, err := appattest.New([]appattest.App{{
		TeamID: "ABCDE12345", BundleID: "com.example.app", Environment: appattest.Production,
		Categories: appattest.OnlyOrMissing(appattest.AppStore),
	}}, &appattest.Options{InsecureTestRoots: apple.Roots()}) // in production: nil
	if err != nil {
		log.Fatal(err)
	}
	keys, err := attest.NewMemoryKeys(nil)
	if err != nil {
		log.Fatal(err)
	}
	devices, err := appattest.NewDevices(verifier, keys)
	if err != nil {
		log.Fatal(err)
	}
	store, err := attest.NewMemoryChallenges(nil)
	if err != nil {
		log.Fatal(err)
	}
	challenges, err := attest.NewChallenges(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	opts := &attest.SignalOptions{Timeout: 10 * time.Second} // nil in production: this is for a busy test machine
	signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{attest.AppAttest: devices}, opts)
	if err != nil {
		log.Fatal(err)
	}
	policy, err := risk.NewPolicy(risk.PolicySpec{Name: "phones", Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
		{Name: "device", Range: &[2]int{0, 100}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofDevice}, Then: risk.Allow},
	}}}})
	if err != nil {
		log.Fatal(err)
	}
	engine, err := risk.NewEngine(policy, []risk.Signal{signal}, &risk.Options{Budget: opts.Timeout})
	if err != nil {
		log.Fatal(err)
	}

	attempt := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelMobile, Session: "app session"}
	open := engine.Open(ctx, attempt, risk.ProofDevice)
	tasks, err := engine.Tasks(ctx, open)
	if err != nil {
		log.Fatal(err)
	}
	challenge := tasks[0].Data.(attest.Task).Challenge // the app gets it as JSON

	key := apple.IPhone("ABCDE12345", "com.example.app", nil).NewKey()
	hash := attest.ClientDataHash(challenge, nil)
	attempt.Flow = open.Flow
	risk.Attach(attempt, attest.Response{Platform: attest.AppAttest, Challenge: challenge, KeyID: key.ID, Data: key.Attest(hash[:], nil)})
	fmt.Println(engine.Assess(ctx, attempt).Action)
	// Output: allow
}

// Without the engine: challenges, a verdict, an explanation.
func ExampleChallenges() {
	ctx := context.Background()
	store, err := attest.NewMemoryChallenges(nil)
	if err != nil {
		log.Fatal(err)
	}
	challenges, err := attest.NewChallenges(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	binding := attest.Binding{Purpose: "app", Session: "app session"}
	c, err := challenges.Issue(ctx, binding, nil)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		r, _, err := challenges.Redeem(ctx, c.Text, binding)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r == attest.Redeemed)
	}
	// Output:
	// true
	// false
}

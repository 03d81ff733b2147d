package fpjs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/fpjs"
)

func ExampleVerifier() {
	once, err := fpjs.NewMemoryOnce(nil)
	if err != nil {
		panic(err)
	}
	verifier, err := fpjs.NewVerifier(once, &fpjs.VerifierOptions{Origins: []string{"https://example.com"}})
	if err != nil {
		panic(err)
	}
	body := fingerprinttest.Event{ID: "1795262400000.AbCdEf", Time: time.Now(), URL: "https://example.com/signup"}.JSON()
	event, err := fpjs.ParseEvent(body) // or Client.Event, or Opener.Open
	if err != nil {
		panic(err)
	}
	for range 2 {
		verdict, err := verifier.Verify(context.Background(), event, fpjs.Expect{Origin: "https://example.com"})
		if err != nil {
			panic(err)
		}
		fmt.Printf("%q\n", verdict.Reason)
	}
	// Output:
	// ""
	// "replayed"
}

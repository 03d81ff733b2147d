package androidkey_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

// A virtual Pixel attests a key in its StrongBox; one with an open boot loader does, too.
func Example() {
	google := attesttest.NewGoogle(nil)
	digest := bytes.Repeat([]byte{5}, 32) // SHA-256 of the app's signing certificate
	verifier, err := androidkey.New(
		[]androidkey.App{{Package: "com.example.app", Signers: [][]byte{digest}}},
		nil, // in production: androidkey.NewRevocationList
		&androidkey.Options{SkipRevocation: true, InsecureTestRoots: google.Roots()},
	)
	if err != nil {
		log.Fatal(err)
	}
	challenge := []byte("challenge")
	pixel := google.Pixel("com.example.app", digest).Attest(challenge, nil)
	a, err := verifier.Attestation(context.Background(), pixel.Chain, challenge)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Level, a.Provisioning)

	rooted := google.RootedPhone("com.example.app", digest).Attest(challenge, nil)
	e := verifier.Explain(context.Background(), rooted.Chain, challenge)
	fmt.Println(e.Refused, "-", e.Why)
	// Output:
	// STRONG_BOX remote
	// boot - the app or the device was changed
}

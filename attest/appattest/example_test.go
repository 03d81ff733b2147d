package appattest_test

import (
	"crypto/sha256"
	"fmt"
	"log"

	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

// The procedures alone, without stores: a virtual iPhone attests a key and signs with it.
func Example() {
	apple := attesttest.NewApple(nil)
	verifier, err := appattest.New([]appattest.App{{
		TeamID: "ABCDE12345", BundleID: "com.example.app", Environment: appattest.Production,
		Categories: appattest.OnlyOrMissing(appattest.AppStore),
	}}, &appattest.Options{InsecureTestRoots: apple.Roots()}) // in production: nil
	if err != nil {
		log.Fatal(err)
	}
	phone := apple.IPhone("ABCDE12345", "com.example.app", nil).NewKey()
	hash := sha256.Sum256([]byte("challenge"))
	a, err := verifier.Attestation(phone.Attest(hash[:], nil), phone.ID, hash[:])
	if err != nil {
		log.Fatal(err)
	}
	key := appattest.Key{AppID: a.AppID, Environment: a.Environment, PublicKey: a.PublicKey}
	s, err := verifier.Assertion(key, phone.Assert(hash[:], nil), hash[:])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.AppID, a.Environment, s.Counter)

	key.Counter = s.Counter
	old := uint32(1)
	e := verifier.ExplainAssertion(key, phone.Assert(hash[:], &attesttest.AppleForge{Counter: &old}), hash[:])
	fmt.Println(e.Refused, "-", e.Why)
	// Output:
	// ABCDE12345.com.example.app production 1
	// counter - the counter has not advanced
}

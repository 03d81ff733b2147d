package playintegrity_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
)

// A token of a classic request, decrypted with self-managed keys.
func Example() {
	google := attesttest.NewGoogle(nil)
	digest := bytes.Repeat([]byte{5}, 32) // SHA-256 of the app's signing certificate
	decryption, verification, _ := google.PlayKeys()
	local, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: decryption, Verification: verification}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := playintegrity.New("com.example.app", [][]byte{digest}, local, nil)
	if err != nil {
		log.Fatal(err)
	}
	nonce := bytes.Repeat([]byte{1}, 32) // in production: random, used once
	token := google.Pixel("com.example.app", digest).PlayToken(nonce, "", nil)
	p, err := verifier.Classic(context.Background(), token, nonce)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.App.Verdict, p.Device.Labels)
	// Output: PLAY_RECOGNIZED [MEETS_BASIC_INTEGRITY MEETS_DEVICE_INTEGRITY MEETS_STRONG_INTEGRITY]
}

package attestredis_test

import (
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attestredis"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// One store for everything that instances share: challenges, keys of devices, passkeys.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	store, err := attestredis.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	challenges, err := attest.NewChallenges(store.Challenges(), nil)
	if err != nil {
		log.Fatal(err)
	}
	passkeys, err := passkey.NewCredentials(store.Records(), nil)
	if err != nil {
		log.Fatal(err)
	}
	iPhones, err := appattest.New([]appattest.App{{
		TeamID: "ABCDE12345", BundleID: "com.example.app", Environment: appattest.Production,
		Categories: appattest.OnlyOrMissing(appattest.AppStore),
	}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	devices, err := appattest.NewDevices(iPhones, store.Keys())
	if err != nil {
		log.Fatal(err)
	}
	site, err := passkey.New(
		passkey.RelyingParty{ID: "example.com", Name: "Example", Origins: []string{"https://example.com"}}, challenges, passkeys, nil)
	if err != nil {
		log.Fatal(err)
	}
	signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{attest.AppAttest: devices}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(site.Site(), signal.Describe().Name)
	// Output: example.com attest
}

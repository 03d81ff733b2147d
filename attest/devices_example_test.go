package attest_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
	"github.com/vestibule-go/vestibule/risk"
)

// Every virtual device signs up: through a flow and the engine, by whichever evidence its platform has. What production
// leaves out is InsecureTestRoots, and what it has instead of virtual makers is the makers'.
func Example_devices() {
	ctx := context.Background()
	const team, bundle, pkg = "ABCDE12345", "com.example.app", "com.example.app"
	signer := bytes.Repeat([]byte{5}, 32) // SHA-256 of the Android app's signing certificate
	apple, google := attesttest.NewApple(nil), attesttest.NewGoogle(nil)

	engine := phoneEngine(apple, google, team, bundle, pkg, signer)
	signUp := func(name string, evidence func(challenge string) attest.Response) {
		attempt := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelMobile, Session: "app session"}
		open := engine.Open(ctx, attempt, risk.ProofDevice)
		tasks, err := engine.Tasks(ctx, open)
		if err != nil {
			log.Fatal(err)
		}
		attempt.Flow = open.Flow
		risk.Attach(attempt, evidence(tasks[0].Data.(attest.Task).Challenge))
		got := engine.Assess(ctx, attempt)
		fmt.Printf("%s: %s", name, got.Action)
		for _, r := range got.Reasons {
			if r.Signal == "attest" {
				fmt.Printf(", %s", r.Code)
			}
		}
		fmt.Println()
	}
	key := func(d *attesttest.Android) func(string) attest.Response {
		return func(c string) attest.Response {
			return attest.Response{Platform: attest.AndroidKey, Challenge: c, Chain: d.Attest(androidkey.ChallengeFor(c, nil), nil).Chain}
		}
	}
	play := func(d *attesttest.Android) func(string) attest.Response {
		return func(c string) attest.Response {
			token := d.PlayToken(playintegrity.NonceFor(c, nil), "", nil)
			return attest.Response{Platform: attest.PlayIntegrity, Challenge: c, Data: []byte(token)}
		}
	}
	iPhone := func(id string, o *attesttest.IPhoneOptions) func(string) attest.Response {
		return func(c string) attest.Response {
			k, hash := apple.IPhone(team, id, o).NewKey(), attest.ClientDataHash(c, nil)
			return attest.Response{Platform: attest.AppAttest, Challenge: c, KeyID: k.ID, Data: k.Attest(hash[:], nil)}
		}
	}
	signUp("iPhone before iOS 27", iPhone(bundle, nil))
	signUp("iPhone", iPhone(bundle, &attesttest.IPhoneOptions{Extensions: true, Category: 4}))
	signUp("App Clip", iPhone(bundle+".Clip", &attesttest.IPhoneOptions{Extensions: true, Category: 4}))
	signUp("Mac", iPhone("com.example.mac", &attesttest.IPhoneOptions{Mac: true, Extensions: true, Category: 6}))
	pixel, emulator, rooted := google.Pixel(pkg, signer), google.EmulatorPhone(pkg, signer), google.RootedPhone(pkg, signer)
	signUp("Pixel by its keystore", key(pixel))
	signUp("Pixel by Play", play(pixel))
	signUp("emulator by its keystore", key(emulator))
	signUp("emulator by Play", play(emulator))
	signUp("rooted phone by its keystore", key(rooted))
	signUp("rooted phone by Play", play(rooted))
	// Output:
	// iPhone before iOS 27: allow, passed, secure_element
	// iPhone: allow, passed, secure_element
	// App Clip: allow, passed, secure_element
	// Mac: allow, passed, secure_element
	// Pixel by its keystore: allow, passed, secure_element
	// Pixel by Play: allow, passed, software
	// emulator by its keystore: review, emulator
	// emulator by Play: review, emulator
	// rooted phone by its keystore: review, tampered
	// rooted phone by Play: review, tampered
}

// patient is a timeout that a busy test machine keeps too.
const patient = 10 * time.Second

// phoneEngine is an engine that wants a genuine device of everybody.
func phoneEngine(apple *attesttest.Apple, google *attesttest.Google, team, bundle, pkg string, signer []byte) *risk.Engine {
	phone := appattest.App{
		TeamID: team, BundleID: bundle, Environment: appattest.Production, Categories: appattest.OnlyOrMissing(appattest.AppStore),
	}
	clip, mac := phone, phone
	clip.BundleID += ".Clip"
	mac.BundleID, mac.System, mac.Categories = "com.example.mac", appattest.MacOS, appattest.Only(appattest.DeveloperID)
	apples, err := appattest.New([]appattest.App{phone, clip, mac}, &appattest.Options{InsecureTestRoots: apple.Roots()})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := attest.NewMemoryKeys(nil)
	if err != nil {
		log.Fatal(err)
	}
	devices, err := appattest.NewDevices(apples, keys)
	if err != nil {
		log.Fatal(err)
	}
	// In production: androidkey.NewRevocationList(nil).
	androids, err := androidkey.New([]androidkey.App{{Package: pkg, Signers: [][]byte{signer}}}, revokedList{},
		&androidkey.Options{InsecureTestRoots: google.Roots()})
	if err != nil {
		log.Fatal(err)
	}
	decryption, verification, _ := google.PlayKeys()
	local, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: decryption, Verification: verification}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	play, err := playintegrity.New(pkg, [][]byte{signer}, local, nil)
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
	signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{
		attest.AppAttest: devices, attest.AndroidKey: androids, attest.PlayIntegrity: play,
	}, &attest.SignalOptions{Timeout: patient})
	if err != nil {
		log.Fatal(err)
	}
	policy, err := risk.NewPolicy(risk.PolicySpec{Name: "phones", Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
		{Name: "device", Range: &[2]int{0, 60}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofDevice}, Then: risk.Allow},
		{Name: "review", Range: &[2]int{61, 100}, Action: risk.Review},
	}}}})
	if err != nil {
		log.Fatal(err)
	}
	engine, err := risk.NewEngine(policy, []risk.Signal{signal}, &risk.Options{Budget: patient})
	if err != nil {
		log.Fatal(err)
	}
	return engine
}

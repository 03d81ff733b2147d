package passkey_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
)

// A passkey as a step-up of a sign-up: the engine challenges, the page runs the task, the next attempt of the flow brings
// what came of it, and once there is an account the passkey is bound to it. The virtual key stands for the visitor's.
func ExampleSignal() {
	ctx := context.Background()
	fido := attesttest.NewFIDO(nil) // in production: passkey.NewMDS(nil), and go mds.Run(ctx)
	model := fido.NewModel("Example Key 5", "FIDO_CERTIFIED_L2")
	mds, err := passkey.NewMDS(&passkey.MDSOptions{Roots: fido.Roots()})
	if err != nil {
		log.Fatal(err)
	}
	if err := mds.Load(fido.BLOB(1, time.Now().Add(720*time.Hour), []*attesttest.FIDOModel{model}, nil)); err != nil {
		log.Fatal(err)
	}
	challengeStore, err := attest.NewMemoryChallenges(nil) // or attestredis.Store.Challenges
	if err != nil {
		log.Fatal(err)
	}
	challenges, err := attest.NewChallenges(challengeStore, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := passkey.NewMemory(nil) // or passkey.NewCredentials over attestredis.Store.Records
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := passkey.New(
		passkey.RelyingParty{ID: "example.com", Name: "Example", Origins: []string{"https://example.com"}},
		challenges, store, &passkey.Options{Trust: mds})
	if err != nil {
		log.Fatal(err)
	}
	opts := &passkey.SignalOptions{Timeout: 10 * time.Second} // nil in production: this is for a busy test machine
	signal, err := passkey.NewSignal(verifier, opts)
	if err != nil {
		log.Fatal(err)
	}
	policy, err := risk.NewPolicy(risk.PolicySpec{Name: "web", Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
		{Name: "device", Range: &[2]int{0, 60}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofDevice}, Then: risk.Allow},
		{Name: "review", Range: &[2]int{61, 100}, Action: risk.Review},
	}}}})
	if err != nil {
		log.Fatal(err)
	}
	engine, err := risk.NewEngine(policy, []risk.Signal{signal}, &risk.Options{Budget: opts.Timeout})
	if err != nil {
		log.Fatal(err)
	}

	// The first attempt is challenged, and the page gets the task's Data as JSON.
	attempt := risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelWeb, Session: "session of the cookie", Email: "ann@example.com"}
	first := engine.Assess(ctx, &attempt)
	fmt.Println(first.Action, first.Require)
	tasks, err := engine.Tasks(ctx, first)
	if err != nil {
		log.Fatal(err)
	}
	options, err := json.Marshal(tasks[0].Data.(*passkey.Task).PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	// In the page: const credential = await VestibulePasskey.run(task.data)
	credential, err := fido.SecurityKey(model).Create("https://example.com", options, nil)
	if err != nil {
		log.Fatal(err)
	}

	// The second attempt brings the flow and the credential.
	again := attempt
	again.Flow = first.Flow
	risk.Attach(&again, passkey.Response{Credential: credential})
	second := engine.Assess(ctx, &again)
	fmt.Println(second.Action)

	// The account now exists. Its holder is asked for the passkey from now on.
	var made struct {
		RawID string `json:"rawId"`
	}
	if err := json.Unmarshal(credential, &made); err != nil {
		log.Fatal(err)
	}
	// Only who has made a passkey knows its id while it belongs to nobody: the client's word for it will do.
	id, err := base64.RawURLEncoding.DecodeString(made.RawID)
	if err != nil {
		log.Fatal(err)
	}
	bound, err := verifier.Bind(ctx, "", id, "account 7")
	if err != nil {
		log.Fatal(err)
	}
	mine, err := store.List(ctx, "", "account 7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bound, len(mine), mine[0].Attestation.Trust)
	// Output:
	// challenge [device]
	// allow
	// true 1 certified
}

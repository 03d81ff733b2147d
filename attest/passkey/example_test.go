package passkey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
)

func Example() {
	ctx := context.Background()
	fido := attesttest.NewFIDO(nil) // in production: passkey.NewMDS(nil), and go mds.Run(ctx)
	model := fido.NewModel("Example Key 5", "FIDO_CERTIFIED_L2")
	mds, err := passkey.NewMDS(&passkey.MDSOptions{Roots: fido.Roots()})
	if err != nil {
		log.Fatal(err)
	}
	if err := mds.Load(fido.BLOB(1, time.Now().Add(30*24*time.Hour), []*attesttest.FIDOModel{model}, nil)); err != nil {
		log.Fatal(err)
	}
	kept, err := attest.NewMemoryChallenges(nil)
	if err != nil {
		log.Fatal(err)
	}
	challenges, err := attest.NewChallenges(kept, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := passkey.NewMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	v, err := passkey.New(passkey.RelyingParty{
		ID: "example.com", Name: "Example", Origins: []string{"https://example.com"},
	}, challenges, store, &passkey.Options{Trust: mds})
	if err != nil {
		log.Fatal(err)
	}

	scope := passkey.Scope{Session: "session-1", Account: "ann"}
	task, err := v.BeginRegistration(ctx, scope, passkey.User{Name: "ann@example.com", Display: "Ann"})
	if err != nil {
		log.Fatal(err)
	}
	// The page runs VestibulePasskey.run(task); here a virtual security key does.
	options, err := json.Marshal(task.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	key := fido.SecurityKey(model)
	credential, err := key.Create("https://example.com", options, nil)
	if err != nil {
		log.Fatal(err)
	}
	r, err := v.FinishRegistration(ctx, scope, credential)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Passed(), r.Judged.Trust, r.Judged.Level, r.Judged.Model)

	r, err = v.FinishRegistration(ctx, scope, credential)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Passed(), r.Verdict.Outcome, r.Verdict.Step())
	// Output:
	// true certified L2 Example Key 5
	// false replayed challenge
}

func ExampleVerifier_FinishHandler() {
	var v *passkey.Verifier // of passkey.New
	bind := func(r *http.Request) (passkey.Scope, passkey.User, error) {
		session, err := r.Cookie("session") // whatever the host's sessions are
		if err != nil {
			return passkey.Scope{}, passkey.User{}, err
		}
		return passkey.Scope{Session: session.Value}, passkey.User{}, nil
	}
	begin, err := v.BeginHandler(passkey.Login, bind, nil)
	if err != nil {
		log.Fatal(err)
	}
	finish, err := v.FinishHandler(passkey.Login, bind, &passkey.HandlerOptions{
		Done: func(_ *http.Request, res *passkey.Result) error {
			log.Print("signed in: ", res.Credential.Hash())
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/passkey/begin", begin)
	mux.Handle("/passkey/finish", finish)
	mux.Handle("/passkey.js", passkey.Script())
	// In the page: await VestibulePasskey.ceremony('/passkey/begin', '/passkey/finish')
	fmt.Println("ready")
	// Output: ready
}

// Any database that can compare and set holds passkeys: attestredis's records, or two statements of SQL.
func ExampleNewCredentials() {
	records := attesttest.NewRecords(nil) // in production: attestredis.Store.Records, or the host's own
	store, err := passkey.NewCredentials(records, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	key := attesttest.NewCredential("", "account 7") // what FinishRegistration keeps
	if err := store.Create(ctx, key); err != nil {
		log.Fatal(err)
	}
	mine, err := store.List(ctx, "", "account 7")
	if err != nil {
		log.Fatal(err)
	}
	advanced, err := store.Use(ctx, "", key.ID, passkey.Use{Counter: key.Counter})
	fmt.Println(len(mine), advanced, err) // the counter stands still: two copies may be in use
	// Output: 1 false <nil>
}

func ExampleRequireFor() {
	rule := passkey.RequireFor(risk.PayoutChange, risk.Recovery)
	fmt.Println(rule.When, rule.Require)
	// Output: oneof(event, "payout_change", "recovery") [passkey]
}

func ExampleNewModels() {
	// Keys of the company's own make, or roots that FIDO's metadata does not have.
	aaguid, err := passkey.ParseAAGUID("01020304-0506-0708-0102-030405060708")
	if err != nil {
		log.Fatal(err)
	}
	own, err := passkey.NewModels(passkey.Model{
		AAGUID: aaguid, Name: "Our key", Roots: attesttest.NewFIDO(nil).Roots(), Strength: attest.SecureElement,
	})
	if err != nil {
		log.Fatal(err)
	}
	mds, err := passkey.NewMDS(nil)
	if err != nil {
		log.Fatal(err)
	}
	trust := passkey.Sources(own, mds)
	m, found, err := trust.Lookup(context.Background(), passkey.AttestedKey{AAGUID: aaguid})
	fmt.Println(m.Name, found, err)
	// Output: Our key true <nil>
}

package captcha_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/risk"
)

// randomSecret makes a secret that lives as long as the program; a real one comes from a secret store.
func randomSecret() captcha.Secret {
	b := make(captcha.Secret, captcha.MinSecret)
	_, _ = rand.Read(b)
	return b
}

// A proof of work is issued, solved and verified; it counts once.
func Example() {
	guard, err := captcha.NewMemoryGuard(nil)
	if err != nil {
		panic(err)
	}
	pow, err := captcha.NewPoW(captcha.Keys{Current: captcha.Key{Secret: randomSecret()}}, guard,
		&captcha.PoWOptions{Steps: captchatest.QuickSteps()}) // leave Steps out: the default table
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	challenge, err := pow.Issue(ctx, captcha.ChallengeRequest{Action: "signup", Session: "session of the visitor"})
	if err != nil {
		panic(err)
	}
	token, err := captchatest.Solve(challenge) // what the script does in the browser
	if err != nil {
		panic(err)
	}
	in := captcha.Request{Token: token, Expect: captcha.Expect{Action: "signup", Session: "session of the visitor"}}
	for range 2 {
		res, err := pow.Verify(ctx, in)
		if err != nil {
			panic(err) // it could not be found out
		}
		fmt.Println(res.Outcome, res.Reason)
	}
	// Output:
	// passed ok
	// failed replayed
}

// The signal verifies what a handler attached, and says what a client has to do.
func ExampleNewSignal() {
	signal, err := captcha.NewSignal(captchatest.Pass(), nil) // a PoW, in a program that serves visitors
	if err != nil {
		panic(err)
	}
	attempt := &risk.Attempt{Event: risk.SignUp}
	risk.Attach(attempt, captcha.Response{Token: "value of the form field"})
	var finding risk.Finding
	if err := signal.Evaluate(context.Background(), attempt, &finding); err != nil {
		panic(err)
	}
	for o := range finding.Observations() {
		fmt.Println(o.Code, finding.Proofs())
	}
	// Output: passed [human]
}

// A page without an engine fetches its challenge, and the script, from two handlers.
func ExamplePoW_ChallengeHandler() {
	guard, _ := captcha.NewMemoryGuard(nil)
	pow, err := captcha.NewPoW(captcha.Keys{Current: captcha.Key{Secret: randomSecret()}}, guard, nil)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/captcha.js", captcha.Script())
	mux.Handle("/captcha/challenge", pow.ChallengeHandler(func(r *http.Request) (captcha.ChallengeRequest, error) {
		cookie, err := r.Cookie("session")
		if err != nil {
			return captcha.ChallengeRequest{}, err
		}
		return captcha.ChallengeRequest{Action: "signup", Session: cookie.Value}, nil
	}))
	fmt.Println(pow)
	// Output: captcha.PoW(PBKDF2/SHA-256)
}

// Rotation: the new key signs, the old one is accepted for what it signed before.
func ExamplePoW_SetKeys() {
	guard, _ := captcha.NewMemoryGuard(nil)
	old, next := captcha.Key{Secret: randomSecret()}, captcha.Key{Secret: randomSecret()}
	pow, err := captcha.NewPoW(captcha.Keys{Current: old}, guard, nil)
	if err != nil {
		panic(err)
	}
	err = pow.SetKeys(captcha.Keys{Current: next, Previous: []captcha.RetiredKey{{Key: old, At: time.Now()}}})
	fmt.Println(err, old)
	// Output: <nil> {[secret] [secret]}
}

// Difficulty follows the score and the failures so far.
func ExampleChooseStep() {
	steps := captcha.DefaultSteps()
	for _, v := range []struct{ score, failures int }{{10, 0}, {40, 0}, {40, 2}, {90, 5}} {
		s := captcha.ChooseStep(steps, v.score, v.failures)
		fmt.Println(v.score, v.failures, s.Work.Cost, s.Digits)
	}
	// Output:
	// 10 0 5000 2
	// 40 0 10000 2
	// 40 2 5000 3
	// 90 5 10000 3
}

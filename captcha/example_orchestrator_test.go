package captcha_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// A visitor is assigned a provider, answers, and cannot answer again. The proof of work stands in when the provider is
// down.
func ExampleNewOrchestrator() {
	fake := captchatest.NewTurnstile(nil) // in production: Cloudflare's
	server := httptest.NewServer(fake)
	defer server.Close()
	turnstile, err := captcha.NewTurnstile(captcha.Secret(captchatest.ServerSecret), []string{"example.com"},
		&captcha.RemoteOptions{Endpoint: fake.Endpoint(server.URL), SiteKey: captchatest.ServerSiteKey})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := captcha.NewMemoryGuard(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := captcha.Keys{Current: captcha.Key{Secret: captcha.Secret("32 random bytes, from a secret store")}}
	pow, err := captcha.NewPoW(keys, guard, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), captcha.DefaultSlack)
	if err != nil {
		fmt.Println(err)
		return
	}
	orchestrator, err := captcha.NewOrchestrator([]captcha.Member{{Provider: turnstile, Weight: 1}, {Provider: pow}}, keys, guard,
		&captcha.OrchestratorOptions{Ladder: ladder, Unverified: captcha.UnverifiedFallback})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	task, err := orchestrator.Challenge(ctx, captcha.ChallengeRequest{Action: "signup", Session: "s1", Score: 70})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := fake.Mint(captchatest.Grant{Action: task.Action, CData: task.CData}) // in production: the widget's
	for range 2 {
		res, err := orchestrator.Verify(ctx, captcha.Request{
			Token: captcha.Join(task.Ticket, token), Expect: captcha.Expect{Action: "signup", Session: "s1"},
		})
		fmt.Println(res.Provider, res.Outcome, res.Reason, err)
	}
	for _, h := range orchestrator.Health() {
		fmt.Println(h.Provider, h.Circuit)
	}
	// Output:
	// turnstile passed ok <nil>
	// turnstile failed replayed <nil>
	// turnstile closed
	// pow closed
}

// A score becomes risk, whatever direction the vendor counts in.
func ExampleNewHCaptcha() {
	fake := captchatest.NewHCaptcha(nil)
	server := httptest.NewServer(fake)
	defer server.Close()
	hcaptcha, err := captcha.NewHCaptcha(captcha.Secret(captchatest.ServerSecret), []string{"example.com"},
		&captcha.RemoteOptions{Endpoint: fake.Endpoint(server.URL), SiteKey: captchatest.ServerSiteKey})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := fake.Mint(captchatest.Grant{Risk: 0.9, Scored: true})
	res, err := hcaptcha.Verify(context.Background(), captcha.Request{Token: token})
	fmt.Println(res.Outcome, res.HasRisk, res.Risk, err)
	fake.Inject(captchatest.Outage{Status: 503})
	res, err = hcaptcha.Verify(context.Background(), captcha.Request{Token: fake.Mint(captchatest.Grant{})})
	fmt.Println(res.Outcome, err)
	// Output:
	// passed true 0.9 <nil>
	// unverified captcha: hcaptcha could not tell (fault: provider, HTTP status 503, provider_error)
}

// Package captchatest has what tests of sign-up handlers and of new providers need: a solver for proofs of work, answers
// that are wrong in one way each, a provider with a fixed verdict, and the suites that every [captcha.ReplayGuard] and
// [captcha.Provider] passes.
//
//	pow, err := captcha.NewPoW(keys, guard, &captcha.PoWOptions{Steps: captchatest.QuickSteps()})
//	challenge, err := pow.Issue(ctx, captcha.ChallengeRequest{Action: "signup", Session: "s1"})
//	token, err := captchatest.Solve(challenge)
//	// post token as the form field
//
// A handler whose engine should simply find a passed CAPTCHA takes a provider that solves nothing:
//
//	signal, err := captcha.NewSignal(captchatest.Pass(), nil)
//
// For every remote provider there is a [Server], a stand-in for its service: an http.Handler that speaks the documented
// contract, with test keys, single use, expiry, every error code, and faults on demand. It also serves a stand-in for the
// vendor's widget with its global API, for tests in a browser.
//
//	fake := captchatest.NewTurnstile(nil)
//	server := httptest.NewServer(fake)
//	turnstile, err := captcha.NewTurnstile(captcha.Secret(captchatest.ServerSecret), []string{"example.com"},
//		&captcha.RemoteOptions{Endpoint: fake.Endpoint(server.URL), SiteKey: captchatest.ServerSiteKey})
//	token := fake.Mint(captchatest.Grant{Action: "signup"})
//	fake.Inject(captchatest.Outage{Status: 503}) // the next verification fails
//
// The stand-ins follow the vendors' documentation. What a real service does beyond it they cannot show.
//
// # Security considerations
//
// The package is for tests. [Pass] accepts every answer and [QuickSteps] asks for no work worth the name; neither
// belongs in a program that serves visitors. What the fakes record is kept until they are collected.
package captchatest

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
// # Security considerations
//
// The package is for tests. [Pass] accepts every answer and [QuickSteps] asks for no work worth the name; neither
// belongs in a program that serves visitors. What the fakes record is kept until they are collected.
package captchatest

// Package captcha answers one question about an attempt: does something speak for a person behind it? It verifies
// answers to CAPTCHAs, refuses used ones, and hands out its own: a proof of work that needs no account, no third party
// and no cookies, and speaks ALTCHA v2.
//
//	guard, err := captcha.NewMemoryGuard(nil) // one instance; several share a guard
//	pow, err := captcha.NewPoW(captcha.Keys{Current: captcha.Key{Secret: secret}}, guard, nil)
//	signal, err := captcha.NewSignal(pow, nil) // for risk.NewEngine
//	mux.Handle("/captcha.js", captcha.Script())
//
//	// in the sign-up handler
//	attempt := guard.Attempt(r, risk.SignUp) // package riskhttp
//	risk.Attach(attempt, captcha.Response{Token: r.PostFormValue("captcha")})
//
// Asked only when needed: the engine lets a clean visitor pass, and answers a suspicious one with a challenge whose
// task comes from [Signal]'s Ask, bound to event, tenant, session and flow, and harder the higher the score and the
// more often the visitor failed ([DefaultSteps]). The page gives the task to the script:
//
//	<script src="/captcha.js" defer></script>
//	<form><div data-captcha data-captcha-start="manual"></div></form>
//	// with the task from the server's answer
//	document.querySelector('[data-captcha]').vestibuleCaptcha.start(task)
//
// Without the engine, [PoW].ChallengeHandler serves challenges, data-captcha-url names it, and [PoW].Verify judges.
//
// # Providers
//
// [Provider] is what every CAPTCHA looks like: [Request] in, [Result] out. A refused answer is a result with the
// [Fault] that tells an attack from an accident; an error, of type *[Error], means that it could not be found out, and
// the result is then Unverified, never passed. [KDF] takes further algorithms of ALTCHA v2; package captchakdf has two.
//
// Beside [PoW] there are [Turnstile], [HCaptcha], [RecaptchaEnterprise], [Recaptcha] (v2 and v3), [Friendly], [Arkose],
// [GeeTest], [PrivateCaptcha], [Cap] and [MCaptcha]. Their scores become risk from 0 to 1, their words become [Reason]s
// and stay in Result.Codes. Host name, action, cdata and age are checked where they are reported; public test keys are
// refused. Each was proven against the stand-ins of package captchatest and the cases of its vendor's documentation, not
// against the vendor's own service; ALTCHA's official widget and library are run against PoW.
//
// # Several providers
//
// An [Orchestrator] is a provider made of others. It assigns one to each visitor, by weight, session and epoch, in a
// signed ticket, so that nobody picks the weakest; leaves out those that fail; and, with a [Ladder], asks for more the
// higher the score and the more often the visitor failed:
//
//	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), captcha.DefaultSlack)
//	orchestrator, err := captcha.NewOrchestrator([]captcha.Member{
//		{Provider: turnstile, Weight: 70, Rung: captcha.RungInvisible},
//		{Provider: hcaptcha, Weight: 30},
//		{Provider: enterprise, Second: true}, // scores behaviour beside another one
//		{Provider: pow},                      // weight 0: when nobody else can
//	}, keys, guard, &captcha.OrchestratorOptions{Ladder: ladder})
//	signal, err := captcha.NewSignal(orchestrator, nil)
//
// The script renders whatever was assigned and fills one field. Without the engine, Orchestrator.Challenge and Verify
// are called directly, and [Failures] counts refused answers.
//
// # Security considerations
//
// A proof of work is a brake, not a proof of humanity. A second of computing costs an attacker about a hundred-thousandth
// of a dollar. PBKDF2 at least costs native code what it costs a browser; plain hashes, which native code computes
// thousands of times faster, are neither issued nor, unless asked for with an option called insecure, accepted. Give the
// result few points, as the signal does, and use it beside limits.
//
// Answers are single-use. The guard's key is the signed nonce, so that another encoding or another solution of the same
// challenge is the same answer; marks outlive the challenge by the clocks' skew. If the guard fails or is full, nothing
// passes. Verifiers of several instances need one shared guard, or an answer counts once on each.
//
// Refusing costs microseconds: no key is derived for what is oversize, malformed, forged, expired, bound to something
// else or used. One challenge causes at most four derivations, and PoWOptions.MaxDerivations bounds those that run at
// once. Issuing costs microseconds in random mode and a derivation in deterministic mode: limit the rate of whoever may
// ask.
//
// A challenge is bound by keyed tags that differ in every challenge; neither session nor flow can be read from it. Both
// sides must name the same binding: what is bound to a flow counts in that flow only, and inside a flow nothing else
// does, so that a visitor cannot answer a hard task with an easy one. An answer sent before anything was asked counts at
// the difficulty it was issued with: do not serve the stand-alone endpoint where the engine asks.
//
// Keys need at least 32 random bytes. A retired key is accepted for challenges that were issued before it retired only.
// Challenges live five minutes; a clock that goes back by more than the skew stops verification with [ErrClock] instead
// of making old answers fresh. Secrets, tokens and bindings never appear in errors or when printed.
//
// A remote token is never sent twice, except to Turnstile under an idempotency key. When our question went unanswered,
// the token stays unverified, and [UnverifiedPolicy] says what that means; the visitor's next task is another
// provider's. The circuit of a provider is moved by its own faults and by refused credentials only: a flood of made-up
// tokens opens nothing. A provider that suddenly refuses nearly everybody raises CodeAnomaly, which decides nothing by
// itself. If the guard fails, remote providers are trusted with single use; a proof of work does not pass.
//
// Providers are asked over https only (http on loopback), redirects are not followed, at most 64 KiB of an answer are
// read, strictly: a name that comes twice, another kind of value or success beside an error code is no answer. The
// visitor's address goes to the provider unless SkipRemoteIP is set. Arkose answers a wrong private key as it answers a
// made-up token; try your keys once.
//
// # What it does not do
//
// It does not serve ALTCHA v1, whose plain SHA-256 puzzle hardly costs an attacker anything, and it keeps no statistics
// of visitors. It is no replacement for rate limits.
package captcha

// Package risk answers one question about an onboarding attempt: allow it, challenge it, review it or block it, and why.
//
// A host describes what is being tried as an [Attempt]. [Signal] values, one per aspect (limits, CAPTCHA, device,
// phone, address, ...), each report what they observed as a [Finding]. The [Engine] asks them in order of cost, adds
// their points under a [Policy] and answers with an [Assessment] that explains every point.
//
//	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
//	...
//	attempt := guard.Attempt(r, risk.SignUp) // package riskhttp
//	attempt.Email, attempt.Phone = form.Email, form.Phone
//	risk.Attach(attempt, captcha.Response{Token: form.Captcha})
//	if s := engine.Assess(r.Context(), attempt); !s.Allowed() {
//		guard.Answer(w, r, s)
//		return
//	}
//
// # Score
//
// Points are log-odds: 8 points double the odds of abuse, and a score of 31 is a chance of 5 %. Correlated codes share
// a group so that they do not count twice, good evidence is capped before it meets bad evidence, and the reasons of an
// assessment add up to its score exactly.
//
// # Missing evidence and outages
//
// Evidence that should have come and did not is an observation with points of its own. A failure of our own side is
// an error: it leaves the answer open and the signal's [FailMode] decides, never to the advantage of whoever caused it.
//
// # Flows
//
// A challenged attempt becomes a flow: kept on the server, bound to session, device and tenant, spent exactly once. The
// client carries only its name ([Assessment].Flow) and sends it back with the proofs asked for.
//
// # Security considerations
//
// Assess ignores the cancellation of its context, so that a visitor who hangs up cannot turn signals into errors; it
// keeps the context's deadline and its own budget. Personal data has the type [Private] and prints redacted. Flow
// stores see hashes only. The package does not decide what a blocked visitor is told; package riskhttp does, and tells
// them nothing to learn from.
//
// The package imports the standard library only.
package risk

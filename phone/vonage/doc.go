// Package vonage connects package phone to Vonage: number intelligence (Identity Insights) and codes that Vonage makes and
// checks itself (Verify v2). It talks plain HTTP with a JWT (RS256) of the application's private key. Number Insight,
// which ends in February 2027, is not offered.
//
//	app, err := vonage.NewApplication(id, pem, nil)
//	insights, err := vonage.NewInsights(app, nil)
//	verify, err := vonage.NewVerify(app, "Example", nil)
//	...
//	verifier, err := phone.NewVerifier(store, policy, nil, keys, &phone.Options{
//		Hosted: map[phone.Channel]phone.Hosted{phone.SMS: verify, phone.Voice: verify},
//	})
//
// # Quirks
//
// Each insight of one answer succeeds or fails alone; what is not OK is unknown. Network types that are not documented
// are unknown. Verify answers 409 while a verification of the same number is open: nothing is sent again then, and the
// code that is out stays good. 410 means too many wrong codes. What Vonage blocks for fraud is accepted first and comes
// by webhook: see [Callback].
//
// # Security considerations
//
// The private key stays in the process; each call carries a token that lives a minute. Errors hold no number.
// Webhooks are believed only with a right signature over their very body ([ValidWebhook]).
//
// All of this was proven against published examples and the fakes of package phonetest; Vonage itself was not called.
package vonage

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
// are unknown. Verify answers 409 while a verification of the same number is open and names it, which is taken for that
// one only when it was ours; 410 means too many wrong codes. What Vonage blocks for fraud comes by webhook and is not
// seen here.
//
// # Security considerations
//
// The private key stays in the process; each call carries a token that lives a minute. Errors hold no number.
//
// All of this was proven against published examples and the fakes of package phonetest; Vonage itself was not called.
package vonage

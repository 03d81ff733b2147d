// Package phonetest has what tests of phone verification need: fake Twilio, Vonage and CAMARA servers with the
// documented contracts and their quirks, an inbox that tests read codes from, and the suite that stores pass.
//
//	inbox := phonetest.NewInbox()
//	verifier, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: inbox}, keys, nil)
//	...
//	code, ok := inbox.Code(number)
//
// or, with the HTTP clients in between:
//
//	fake := phonetest.NewTwilio(t, nil)
//	sender, err := twilio.NewSender(fake.Credentials(), fake.SenderOptions())
//	...
//	code, ok := fake.Inbox.Code(number)
//
// # Security considerations
//
// The package is for tests. The inbox keeps codes and numbers in clear.
//
// What the fakes answer is written from the providers' published specifications and examples; no provider was called.
package phonetest

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
//	fake := phonetest.NewTwilio(nil)
//	defer fake.Close()
//	sender, err := twilio.NewSender(fake.Credentials(), fake.From(), &twilio.SenderOptions{HTTP: fake.HTTP()})
//	...
//	code, ok := fake.Inbox.Code(number)
//
// The fakes are as strict as the documentation: wrong credentials, missing and malformed parameters and unknown names are
// refused with the documented status and code. Each can be made to fail ([Fault]) and to have had too many requests
// (Limit).
//
// # Security considerations
//
// The package is for tests. The inbox keeps codes and numbers in clear.
//
// What the fakes answer is written from the providers' published specifications and examples; no provider was called.
package phonetest

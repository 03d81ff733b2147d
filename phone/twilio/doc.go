// Package twilio connects package phone to Twilio: number intelligence (Lookup v2), messages and calls (API 2010-04-01),
// and codes that Twilio makes and checks itself (Verify v2). It talks plain HTTP; the vendor's SDK is not needed.
//
//	cred := twilio.Credentials{AccountSID: "AC...", KeySID: "SK...", Secret: secret}
//	sender, err := twilio.NewSender(cred, "+15017122661", nil)
//	lookup, err := twilio.NewLookup(cred, nil)
//	...
//	verifier, err := phone.NewVerifier(store, policy,
//		map[phone.Channel]phone.Sender{phone.SMS: sender, phone.Voice: sender}, keys, nil)
//	signal, err := phone.NewSignal(verifier, &phone.SignalOptions{Intelligence: lookup})
//
// # Quirks
//
// Lookup answers 200 with the error inside the package's object, as a number or, for reassigned_number, as a text: such
// a field is unknown, never a value. An invalid number is 200 with valid=false. A SIM swap can be known without its date.
// The pumping score of one number moves from call to call. Verify answers 2xx with status=pending for a wrong code. Some
// regions need another host: see BaseURL.
//
// # Security considerations
//
// Credentials and numbers are in no error of this package. A message is never sent twice: what happened to one that got
// no answer is unknown, and said to be. Callbacks are believed only with a right signature ([ValidSignature]); the
// signature covers the URL as Twilio saw it, which behind a proxy must be given and not guessed.
//
// A call is answered by whoever picks up, a voicemail included. Codes are spoken after a pause and twice; a mailbox
// without a PIN is a leak that this package cannot close.
//
// All of this was proven against published examples and the fakes of package phonetest; Twilio itself was not called.
package twilio

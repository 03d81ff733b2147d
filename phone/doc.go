// Package phone answers two questions about a phone number: what is it worth, and does the visitor hold it?
//
// [Parse] makes a [Number] of what people type. A [Policy] says where messages may go, a [List] which numbers are
// disposable, an [Intelligence] (packages phone/twilio, phone/vonage, phone/camara, behind [NewCache] and [Chain]) what
// the networks know. [Verifier] sends one-time codes and checks them; [Signal] and [CountSignal] bring all of it to the
// engine of package risk. Each part works alone.
//
//	store, err := phone.NewMemory(nil) // or phoneredis.New, for several instances
//	policy, err := phone.NewPolicy([]string{"NO", "SE"}, nil)
//	verifier, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: sender},
//		phone.Keys{Pepper: pepper, Index: index}, &phone.Options{Brand: "Example", Origin: "example.com"})
//	...
//	n, err := phone.Parse(form.Phone, "NO")
//	c, err := verifier.Start(ctx, phone.StartRequest{Number: n, Purpose: "signup", Flow: flow, IP: ip})
//	// the same answer to the visitor whatever c.Outcome is; c.Reason is for the log
//	...
//	got, err := verifier.Check(ctx, phone.CheckRequest{Number: n, Purpose: "signup", Flow: flow, Code: form.Code})
//	if err == nil && got.Verdict == phone.OK { ... }
//
// Under the engine, riskhttp's Guard.PhoneStartHandler and PhoneCheckHandler do this for flows that ask for the phone,
// and [Signal] proves it at the next Assess.
//
// # Codes
//
// A code is drawn from a random seed by a keyed hash; the store keeps the seed and a MAC of the code, bound to number,
// purpose, flow and tenant. Neither says anything without the pepper. The same code is sent again while it lives, its
// tries are never refilled, and wrong codes count against number and device across codes and sessions. Checking is one
// atomic step of the store.
//
// # Money
//
// A message is paid for before it is sent: cool-downs, limits, sequences of numbers, price-aware budgets and a
// [Monitor] that compares how many codes are confirmed with the country's own past stand in front of every send.
//
// # Security considerations
//
// The number alone tells little: disposable numbers look like mobiles. Block density is a score for neighbours of listed
// numbers, no proof. Codes by message or call are a restricted authenticator in NIST SP 800-63B: offer something
// stronger beside them, and never recover an account by phone alone. Numbers are recycled: verify again after months.
//
// [Verifier.Start] tells its caller why nothing was sent; the visitor must not see it. What he can see is the same for
// numbers that are known, blocked, limited or not served: a request that is refused asks the store as often, begins the
// same pause, and leaves a code that nobody knows, so that guesses are found wrong, counted and locked as ever. Two things
// still show, and only the caller can hide them: how long a service takes to send, which Options.Background does, and
// with a [Hosted] service how long it takes to check.
//
// Somebody who enters another's number can make it receive a few messages, begin its pauses and lock it for an hour with
// wrong codes; the limits bound the first and the last. He never ends another flow's code without paying for a message.
//
// Nothing is won by a clock that is set back: see [Store].
//
// Nothing here was tried against a real provider, carrier or handset: clients were proven with published examples and the
// fakes of package phonetest, the last line of messages against the examples of its specification.
package phone

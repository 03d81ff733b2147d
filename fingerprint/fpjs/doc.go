// Package fpjs answers what Fingerprint (the paid service, Server API v4) knows about the device behind an attempt, and
// whether that may be believed.
//
// The page's agent sends a request to Fingerprint and hands the host an event id, or a sealed result. The server gets
// the event from the API or unseals it, and checks that it is fresh, unused, and made by this page and visitor:
//
//	client, err := fpjs.New(fpjs.EU, secretKey, nil)
//	once, err := fpjs.NewMemoryOnce(nil)
//	verifier, err := fpjs.NewVerifier(once, &fpjs.VerifierOptions{Origins: []string{"https://example.com"}})
//	signal, err := fpjs.NewSignal(client, nil, verifier, nil) // named "fpjs"
//	...
//	risk.Attach(attempt, fpjs.Response{EventID: form.EventID})
//
// [Opener] opens sealed results, [Webhook] verifies webhooks. Payloads of Server API v3, which ended on 2026-10-31, are
// refused with [ErrLegacy].
//
// # Security considerations
//
// A visitor id that the page sends in clear is worth nothing: only an event that the server fetched or unsealed is. An
// event can be copied from another browser, so each counts once, for a short time, for the page's origin; its address
// is compared softly, because visitors change between IPv4 and IPv6, and relays change addresses. The strongest binding
// is a linked id that the server gave this visitor. Sealed results and webhooks carry no expiry and no nonce of their
// own: replays are found by the same checks.
//
// A signal that an event does not have was not computed, which is not the same as false. An iCloud relay is no VPN.
//
// Secret keys and events are in no error, log or String.
package fpjs

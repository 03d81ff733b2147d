// Package playintegrity answers one question: does Google vouch that this request was made by our app, as Play knows it, on
// a certified Android device?
//
// It judges tokens of classic and standard requests of the Play Integrity API, decoded by Google's server ([Endpoint]) or
// with self-managed keys ([Local]).
//
//	endpoint, err := playintegrity.NewEndpoint("com.example.app", tokens, nil) // tokens: func(ctx) (bearer, error)
//	...
//	verifier, err := playintegrity.New("com.example.app", [][]byte{digest}, endpoint, nil)
//	...
//	p, err := verifier.Standard(ctx, token, playintegrity.RequestHashFor(challenge, body))
//	switch step, refused := errors.AsType[*attest.StepError](err); {
//	case refused: // step.Step says where
//	case err != nil: // Google could not be asked
//	default: // p has every verdict; p.Risk sums up the optional ones
//	}
//
// [Verifier] is the [attest.Verifier] for Play Integrity. [Verifier.Explain] says for support engineers what a payload claims
// and which step refuses it.
//
// # Security considerations
//
//   - A token is decoded once. Google answers a second decode of a standard request's token with cleared verdicts, so
//     nothing is retried; a call that may have reached Google counts as one ([UnsentError] says which did not).
//   - Classic requests have no replay protection but the nonce: it must be ours and used once, which is the caller's
//     (attest.Challenges).
//   - A verdict that is UNEVALUATED or missing never passes. Unknown words are kept and count for nothing.
//   - Algorithms of local decryption are pinned; what a token's header says is compared, never followed.
//   - Google vouches; no hardware is checked here. Verdicts say Software at most, whatever their labels.
//   - Devices that pass by a traded factory key pass here too, for a while.
//
// # What was proven on what
//
// There is no public token together with its keys: all of this was proven against tokens of the virtual devices of
// attest/attesttest and a server on loopback only.
package playintegrity

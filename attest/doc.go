// Package attest answers one question: does this attempt come from our own, unmodified app on a genuine device?
//
// It holds what all platforms share: one-time challenges ([Challenges]) that are bound to flow, session and account and
// redeemed atomically, a store of attested keys ([KeyStore]) that creates once and advances counters by compare-and-set,
// the one normal [Verdict], and the [Signal] for package risk. What a platform's evidence says is judged by its own
// package: attest/appattest, attest/playintegrity, attest/androidkey. They implement [Verifier], whose one method is all
// that this package knows of them.
//
//	store, err := attest.NewMemoryChallenges(nil)
//	...
//	challenges, err := attest.NewChallenges(store, nil)
//	...
//	signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{
//		attest.AppAttest:  iPhones,  // (*appattest.Devices)
//		attest.AndroidKey: androids, // (*androidkey.Verifier)
//	}, nil)
//	...
//	// The app asks for a challenge before its first attempt:
//	open := engine.Open(ctx, attempt, risk.ProofDevice)
//	tasks, err := engine.Tasks(ctx, open) // Data is an attest.Task
//	...
//	// and sends what the device made of it with the attempt:
//	attempt.Flow = form.Flow
//	risk.Attach(attempt, form.Attest) // attest.Response
//	s := engine.Assess(ctx, attempt)
//
// Without the engine, Challenges.Issue, Challenges.Redeem and the verifiers do the same.
//
// # Security considerations
//
//   - A challenge is spent by the first attempt that has the right binding, whatever its evidence is worth: a challenge
//     gives one try. Wrong bindings do not spend it, so nobody who learns a challenge can burn it for its owner.
//   - Verdict.Strength never says hardware unless chain, root and status were checked by this module. A platform's service
//     that vouches for a device (Play Integrity) is worth Software.
//   - App attestation is refused from channels without an app (SignalOptions.Refuse): otherwise one telephone on a desk
//     vouches for any number of browsers.
//   - Attestation says what a device is, not who holds it. Evidence of an honest device can be relayed by whoever controls
//     it; bind challenges to the session, look at Verdict.Issued, and combine with other signals.
//   - Stores hold hashes: those of challenges, sessions and accounts contain the challenge's 256 random bits.
//   - Stores in memory are bounded and answer ErrFull rather than forget what is live. Limit the rate of whatever hands out
//     challenges.
//
// # What it does not do
//
// It reads no evidence itself, keeps no device identifiers, and does not tell people apart. The platforms' packages say
// which of their procedures were proven on captured data of real devices, and which on the virtual devices of
// attest/attesttest only.
package attest

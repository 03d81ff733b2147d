// Package passkey answers two questions by WebAuthn: is this the account's holder, and what kind of device is this really?
//
// It is built on go-webauthn, and decides trust itself: that library, like most, calls any certificate "basic_full", one
// that a program has made for itself included. Here an attestation is worth something only when its chain leads to the
// roots of the model it claims, by the FIDO Metadata Service ([MDS]) or by roots of the host's own ([Models]), when its
// model is not revoked, and when it is certified. What consumers have, passkeys without attestation, is neutral.
//
//	mds, err := passkey.NewMDS(nil)
//	go mds.Run(ctx)
//	...
//	v, err := passkey.New(
//		passkey.RelyingParty{ID: "example.com", Name: "Example", Origins: []string{"https://example.com"}},
//		challenges, store, &passkey.Options{Trust: mds}) // attest.NewChallenges; NewMemory, or NewCredentials over Redis
//	...
//	task, err := v.BeginRegistration(ctx, passkey.Scope{Session: session, Account: "ann"}, passkey.User{Name: "Ann"})
//	// the page: const credential = await VestibulePasskey.run(task)
//	r, err := v.FinishRegistration(ctx, passkey.Scope{Session: session, Account: "ann"}, credential)
//	if r.Passed() { log.Print(r.Judged.Trust, r.Judged.Model) }
//
// BeginHandler, FinishHandler and Script do the same over HTTP. With the engine, [Signal] hands out tasks and verifies what
// comes back: a passkey of the account gives risk.ProofPasskey, a certified one risk.ProofDevice, so that a browser can meet
// a level that asks for a genuine device. [RequireFor] is the policy rule that wants a passkey for payout changes.
//
// # Security considerations
//
//   - A challenge is spent before anything it came with is verified: each ceremony gives one try, for one session. Give
//     Scope a session, or one person's ceremony can be finished by another.
//   - An AAGUID that no chain proves is a claim. Attestation.Authentic says which it is; AllowModels and DenyModels look at
//     authentic ones only. Keys of U2F prove none, and those of Android's keystore only when Google's own authenticator has
//     made them: any app may have keys attested and sign what it likes with them.
//   - The "user verified" flag of a passkey without attestation is the word of whoever made it: a program can say so. It
//     proves possession of the account's passkey, and no human, unless SignalOptions.Human says otherwise.
//   - A step-up never adds a passkey to an account. What is made in answer to the signal's task belongs to nobody until the
//     host binds it, and a new passkey gives no proof for payout changes for a day.
//   - Metadata that is down, stale, older than before or wrongly signed changes nothing: the last good one stays, and past
//     its time nothing is certified any more. Nobody is locked out: models that are not known are neutral, and a model
//     revoked later is a code at the next login, not a refusal. Keep MDSStatus.Number over restarts as MDSOptions.MinNumber.
//   - Origins are compared to the letter. The reasons of refusals are for logs: clients see none, nor any text of go-webauthn.
//   - go-webauthn reads the machine's clock for the validity of attestation certificates.
//
// # What was proven on what
//
// Ceremonies and attestations of real devices (packed, fido-u2f, tpm, android-key, apple) and of W3C's test vectors verify
// in this package's vector tests, and with one thing changed they are refused. Chromium registers and signs in, by its
// virtual authenticators. Revoked and certified models, metadata under attack, and what Android's keystore says of a phone
// that is not as it should be were proven against the virtual authorities of attest/attesttest only.
//
// # What it does not do
//
// It asks for no extensions, follows no rogue lists of the metadata service, and has no attestation for what is synced by a
// cloud. It does not verify android-safetynet, whose service has ended.
package passkey

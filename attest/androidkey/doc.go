// Package androidkey answers one question: does this key live in the keystore hardware of a genuine, locked Android device,
// and was it made by our app for our challenge?
//
// It verifies the certificate chains of Android Key Attestation by a walk of its own: both of Google's roots, by name and
// key; chains of the factory and of remote provisioning (RKP), with or without the root; versions 1 to 500 of the
// key description and later ones.
//
//	list, err := androidkey.NewRevocationList(nil)
//	...
//	verifier, err := androidkey.New([]androidkey.App{{
//		Package: "com.example.app", Signers: [][]byte{digest}, // SHA-256 of the signing certificate
//	}}, list, nil)
//	...
//	a, err := verifier.Attestation(ctx, chain, challenge)
//	switch step, refused := errors.AsType[*attest.StepError](err); {
//	case refused: // step.Step says where
//	case err != nil: // the revocation list could not tell
//	default: // a.Level, a.PublicKeyDER, a.Description
//	}
//
// [Verifier] is the [attest.Verifier] for Android keys. [Verifier.Explain] says for support engineers what a chain claims
// and which step refuses it.
//
// # Why not crypto/x509
//
// Chains of the factory stay good after they have expired, real ones have an issuer without the CA flag, several
// certificates share one root key, the root may be missing, and the leaf's dates are the device's own.
//
// # Security considerations
//
//   - A key of the genuine keystore signs any bytes, a home-made certificate with a forged description too. So the
//     description may be in the leaf only, and only the certificate right above the leaf may lack the CA flag.
//   - REVOKED and SUSPENDED certificates are both refused, anywhere in the chain. The list is kept for a bounded time when
//     it cannot be fetched; after that the verifier cannot tell, and the signal's fail mode decides.
//   - A key taken out of a device that is not on the list yet passes everything. Such keys are traded. Use Chain.Issued,
//     patch levels and Play Integrity beside it.
//   - A device can be made to attest for somebody else: bind challenges to the session.
//   - Every package of a shared user id must be yours.
//   - The software roots of Android's sources are refused as anchors.
//   - An emulator is told apart (attest.ErrEmulator) by what it says of itself: that key and attestation are in software. One
//     that claims hardware is refused as what it is, a chain that nobody knows.
//
// # What was proven on what
//
// Chains of real devices of the factory and of RKP, TEE and StrongBox, versions 2 to 500, verify in this package's vector
// tests. The forgeries, revocation of each position, and Google's status server were proven against the virtual devices of
// attest/attesttest and a server on loopback only.
package androidkey

// Package appattest answers one question: was this made by our app, unmodified, with a key in the Secure Enclave of a
// genuine Apple device?
//
// It verifies attestations, assertions and receipts of Apple's App Attest, iOS 14 to 27, macOS 27 and App Clips, in
// production and development, by the numbered steps of Apple's "Validating apps that connect to your server" and
// "Attestation object validation guide", 2026 edition.
//
//	verifier, err := appattest.New([]appattest.App{{
//		TeamID: "ABCDE12345", BundleID: "com.example.app", Environment: appattest.Production,
//		Categories: appattest.OnlyOrMissing(appattest.AppStore, appattest.TestFlight),
//	}}, nil)
//	...
//	devices, err := appattest.NewDevices(verifier, keys) // an attest.Verifier
//	...
//	signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{attest.AppAttest: devices}, nil)
//
// Verifier alone is the pure procedure without state: [Verifier.Attestation], [Verifier.Assertion], [Verifier.Receipt].
// Explain methods say for support engineers what a piece of evidence claims and which step refuses it.
//
// # iOS 27
//
// Since iOS 27 leaf certificates have an extended key usage of Apple's, and authenticator data ends with a map of
// extensions: the validation category of the running build and its version. Whether the ED flag announces the map depends
// on the device; what follows the fixed part must be nothing or exactly one map. The category is of each launch, so
// [Categories] are judged at every assertion.
//
// # Security considerations
//
//   - The root is pinned by this package. Certificates that a sender adds are refused, system roots play no part.
//   - A new key of a known account is no sign of fraud: reinstalled apps and restored devices make new ones.
//   - Assertions prove one launch of one app. Their counter must be advanced by compare-and-set before anything is done;
//     [Devices] does so.
//   - Signatures with S in the upper half of the order are what devices send, and pass; the counter stops the second form
//     of a signature.
//   - The Secure Enclave signs for whoever controls the device. A jailbroken one passes where Apple does not notice.
//   - A receipt's risk metric counts keys, not people. Apple calls it a hint.
//
// # What was proven on what
//
// Attestations, assertions and receipts of real devices up to iOS 18 and Apple's published sample for iOS 27 verify in this
// package's vector tests. Assertions with extensions, macOS attestations and their access control list, App Clips and
// Apple's receipt server were proven against the virtual devices of attest/attesttest only.
package appattest

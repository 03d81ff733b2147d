// Package attesttest is a virtual Apple, a virtual Google and a virtual FIDO Alliance with virtual devices, for tests of what
// is built on package attest: an iPhone, a Mac, a Pixel, a phone with its boot loader unlocked, an emulator, a certified
// security key, a TPM, a synced passkey, a program that pretends. What the devices mint is signed correctly up to roots of
// this package's own, by the same formats as real evidence; forge hooks change one thing at a time before or after signing,
// for negative tests.
//
//	apple := attesttest.NewApple(nil)
//	verifier, err := appattest.New(apps, &appattest.Options{InsecureTestRoots: apple.Roots()})
//	...
//	key := apple.IPhone("ABCDE12345", "com.example.app", nil).NewKey()
//	hash := attest.ClientDataHash(challenge, nil)
//	a, err := verifier.Attestation(key.Attest(hash[:], nil), key.ID, hash[:])
//
// It also holds the suites that every store must pass ([RunChallenges], [RunKeys], [RunCredentials], [RunRecords]) and
// handlers that play Apple's receipt server and Google's decode and status servers.
//
// # Security considerations
//
// The roots are made anew in each process and their keys never leave it. Production code trusts them only through options
// named InsecureTestRoots.
//
// # What it does not do
//
// It proves that verifiers follow the procedures as they are written down, not that real devices do. The packages say which
// of their procedures were proven on captured data of real devices.
package attesttest

package attest

// Platform names a way to attest: it chooses the verifier of a [Response].
type Platform string

// The platforms of this module. Users add their own.
const (
	AppAttest     Platform = "appattest"     // Apple App Attest: package attest/appattest
	PlayIntegrity Platform = "playintegrity" // Google Play Integrity: package attest/playintegrity
	AndroidKey    Platform = "androidkey"    // Android Key Attestation: package attest/androidkey
	WebAuthn      Platform = "webauthn"      // passkeys and security keys: package attest/passkey
)

// Strength says where the attested key lives. Greater is stronger.
type Strength uint8

// The strengths. None is also what is said of evidence that was refused.
const (
	None          Strength = iota // nothing is known
	Software                      // genuine by the word of the platform's service, or a key in software
	TEE                           // a key in a trusted execution environment of the main processor
	SecureElement                 // a key in a chip of its own: Secure Enclave, StrongBox
)

// String is "none", "software", "tee" or "secure_element".
func (s Strength) String() string {
	switch s {
	case None:
		return "none"
	case Software:
		return "software"
	case TEE:
		return "tee"
	case SecureElement:
		return "secure_element"
	}
	return "invalid"
}

// Checks are what a verifier of this module has checked itself, as a set.
type Checks uint8

// The checks without which no verdict says hardware.
const (
	CheckedChain  Checks = 1 << iota // every signature from the evidence up to the anchor
	CheckedRoot                      // the anchor is a pinned root of the vendor
	CheckedStatus                    // no certificate of the chain is revoked or expired, as the platform defines it

	checkedAll = CheckedChain | CheckedRoot | CheckedStatus
)

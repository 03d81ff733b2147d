package attest

// Outcome is what became of one piece of evidence. The zero value is refused.
type Outcome uint8

// The outcomes. All but Passed are refusals.
const (
	Passed        Outcome = iota + 1 // genuine, and as the policy wants it
	Failed                           // malformed, wrong, or not what the policy wants
	Forged                           // made by somebody else: a signature or a chain that no honest device sends
	Tampered                         // genuine evidence of a changed app or an opened device
	Emulator                         // a virtual device, by its vendor's word or its own
	Replayed                         // used before
	Revoked                          // a certificate of the chain is revoked or suspended
	Test                             // a test response of the vendor's
	StaleProof                       // genuine, but too old
	WrongAudience                    // genuine, but of another app, environment or tenant
)

// String is the outcome as a word.
func (o Outcome) String() string {
	names := [...]string{"invalid", "passed", "failed", "forged", "tampered", "emulator", "replayed", "revoked", "test",
		"stale", "wrong_audience"}
	if int(o) < len(names) {
		return names[o]
	}
	return names[0]
}

// Verdict is the one normal form of what any platform's evidence is worth. It holds no personal data and may be logged.
// The zero value has passed nothing. It is read-only once returned.
type Verdict struct {
	Platform Platform
	Outcome  Outcome
	// Claimed is the strength the evidence speaks of. [Verdict.Strength] is what may be believed of it.
	Claimed Strength
	// Checked is what the verifier has checked itself.
	Checked Checks
	// GenuineApp: the evidence names an app that the verifier was built for, signed by its owner's key.
	GenuineApp bool
	// Reasons are short names of what was noticed, the step that refused it first: "chain", "play.licensing".
	Reasons []string
	// Risk is what the vendor's optional signals add up to, 0 (nothing) to 1.
	Risk float64
	// Key is the hash of the attested key's id; zero where there is none.
	Key Hash
	// Issued is how many keys or certificates the vendor has lately issued to this device (30 days), where it says so; 0:
	// unknown. High numbers are the mark of farms.
	Issued int
}

// Strength is what may be believed: hardware (TEE, SecureElement) only of evidence that has passed and whose chain, root
// and status were checked by this module, Software of everything else that has passed, None of what was refused.
func (v Verdict) Strength() Strength {
	switch {
	case v.Outcome != Passed:
		return None
	case v.Checked&checkedAll != checkedAll:
		return min(v.Claimed, Software)
	}
	return min(v.Claimed, SecureElement)
}

// Step is the step that refused the evidence; empty when it has passed.
func (v Verdict) Step() string {
	if v.Outcome == Passed || len(v.Reasons) == 0 {
		return ""
	}
	return v.Reasons[0]
}

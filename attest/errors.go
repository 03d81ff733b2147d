package attest

import "errors"

// What is wrong with a piece of evidence. Verifiers return them inside a [StepError]; test with errors.Is.
var (
	ErrTooLarge    = errors.New("larger than the limit")
	ErrMalformed   = errors.New("malformed")
	ErrChain       = errors.New("the certificate chain is not the vendor's")
	ErrForged      = errors.New("forged")
	ErrExpired     = errors.New("expired or not yet valid")
	ErrNonce       = errors.New("made for another challenge")
	ErrKeyID       = errors.New("key and key id do not belong together")
	ErrAppIdentity = errors.New("made by another app")
	ErrEnvironment = errors.New("made in another environment")
	ErrCounter     = errors.New("the counter has not advanced")
	ErrSignature   = errors.New("the signature is wrong")
	ErrReplay      = errors.New("used before")
	ErrCategory    = errors.New("the build's validation category is not allowed")
	ErrRevoked     = errors.New("revoked or suspended")
	ErrSoftware    = errors.New("the key is not in hardware")
	ErrTampered    = errors.New("the app or the device was changed")
	ErrEmulator    = errors.New("a virtual device")
	ErrTest        = errors.New("a test response")
	ErrPolicy      = errors.New("not what the policy wants")
)

// Errors that are no fault of the evidence.
var (
	// ErrUnavailable: somebody else's service or list did not answer, or not in time, or not usably.
	ErrUnavailable = errors.New("attest: a service or list is not available")
	// ErrFull: a bounded store has no room. Nothing live is forgotten to make room.
	ErrFull = errors.New("attest: the store is full")
	// ErrKeyExists: the key is there already; nothing was written.
	ErrKeyExists = errors.New("attest: the key exists already")
	// ErrKeyUnknown: there is no such key.
	ErrKeyUnknown = errors.New("attest: no such key")
)

// StepError says which step of which procedure refused a piece of evidence. It holds nothing of the evidence itself.
type StepError struct {
	Op   string // "appattest.attestation"
	Step string // short name of the step, constant: "nonce"
	Err  error  // one of the errors above, or wrapping one
}

// Error names the procedure, the step and the reason.
func (e *StepError) Error() string { return e.Op + ": step " + e.Step + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *StepError) Unwrap() error { return e.Err }

var outcomes = [...]struct {
	err error
	out Outcome
}{
	{ErrForged, Forged}, {ErrReplay, Replayed}, {ErrCounter, Replayed}, {ErrRevoked, Revoked},
	{ErrEmulator, Emulator}, {ErrTampered, Tampered}, {ErrCategory, Tampered}, {ErrTest, Test}, {ErrExpired, StaleProof},
	{ErrAppIdentity, WrongAudience}, {ErrEnvironment, WrongAudience},
}

// Refused turns a verifier's error into a verdict. ok is false when err is no refusal ([StepError]) but says that we could
// not tell, or is nil.
func Refused(p Platform, err error) (v Verdict, ok bool) {
	step, ok := errors.AsType[*StepError](err)
	if !ok || errors.Is(err, ErrUnavailable) {
		return Verdict{}, false
	}
	v = Verdict{Platform: p, Outcome: Failed, Reasons: []string{step.Step}}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			v.Outcome = o.out
			break
		}
	}
	return v, true
}

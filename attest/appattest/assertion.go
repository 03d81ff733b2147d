package appattest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"

	"github.com/vestibule-go/vestibule/attest"
)

// Key is a key that was attested before, as [Verifier.Assertion] needs it.
type Key struct {
	// AppID and Environment are those of its attestation.
	AppID       string
	Environment Environment
	// PublicKey is a P-256 key.
	PublicKey *ecdsa.PublicKey
	// Counter is the last one accepted; 0 after the attestation.
	Counter uint32
}

// Assertion is what a verified assertion says.
type Assertion struct {
	// Counter is greater than the key's. Store it by compare-and-set before anything is done: of two assertions with one
	// counter, only one may win.
	Counter uint32
	// Flags are those of the authenticator data.
	Flags byte
	// Category and BundleVersion are those of this launch, since iOS 27 and macOS 27; nil before.
	Category      *Category
	BundleVersion *string
}

// Assertion verifies an assertion by an attested key: signature, app, counter and the category policy. clientDataHash is
// SHA-256 of what the app signed ([attest.ClientDataHash]).
//
// The error is an [attest.StepError]. The steps in their order: size, decode, key, app, signature, counter, extensions,
// category, bundle_version. Signatures whose S is in the upper half of the order are Apple's own practice and pass; the
// counter makes sure that a second form of one signature is worth nothing.
func (v *Verifier) Assertion(key Key, assertion, clientDataHash []byte) (*Assertion, error) {
	return v.assertion(key, assertion, clientDataHash, nil)
}

func (v *Verifier) assertion(key Key, assertion, clientDataHash []byte, t *trace) (*Assertion, error) {
	bad := func(step string, err error) (*Assertion, error) { return nil, refusal("assertion", step, err) }
	if len(assertion) > MaxAssertion || len(clientDataHash) > MaxClientData {
		return bad("size", attest.ErrTooLarge)
	}
	t.pass("size")
	var o assertionObject
	if strict.Unmarshal(assertion, &o) != nil || len(o.AuthData) < headLen {
		return bad("decode", attest.ErrMalformed)
	}
	t.pass("decode")
	t.sayAuthData(v, o.AuthData)
	if key.PublicKey == nil || key.PublicKey.Curve != elliptic.P256() {
		return bad("key", attest.ErrKeyID)
	}
	t.pass("key")
	app := v.appOf(key, o.AuthData[:rpIDLen])
	if app == nil {
		return bad("app", attest.ErrAppIdentity)
	}
	t.pass("app")
	// Apple signs the nonce as a message: the signature is over its SHA-256.
	h := sha256.New()
	h.Write(o.AuthData)
	h.Write(clientDataHash)
	var nonce [sha256.Size]byte
	digest := sha256.Sum256(h.Sum(nonce[:0]))
	if !ecdsa.VerifyASN1(key.PublicKey, digest[:], o.Signature) {
		return bad("signature", attest.ErrSignature)
	}
	t.pass("signature")
	out := &Assertion{Counter: binary.BigEndian.Uint32(o.AuthData[counterAt:]), Flags: o.AuthData[flagsAt]}
	if out.Counter <= key.Counter {
		return bad("counter", attest.ErrCounter)
	}
	t.pass("counter")
	x, err := readExtensions(o.AuthData[headLen:])
	if err != nil {
		return bad("extensions", err)
	}
	t.pass("extensions")
	if step, err := x.judge(&app.App); err != nil {
		return bad(step, err)
	}
	t.pass("category")
	out.Category, out.BundleVersion = x.category, x.bundleVersion
	return out, nil
}

// appOf is the app of the key, if the authenticator data is of it too.
func (v *Verifier) appOf(key Key, rpID []byte) *known {
	for _, a := range v.find(rpID) {
		if a.ID() == key.AppID && a.Environment == key.Environment {
			return a
		}
	}
	return nil
}

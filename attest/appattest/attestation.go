package appattest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"

	"github.com/vestibule-go/vestibule/attest"
)

// Attestation is what a verified attestation says.
type Attestation struct {
	// AppID is the app it was made by; Environment where.
	AppID       string
	Environment Environment
	// KeyID is SHA-256 of the public key's point, PublicKey the key, and PublicKeyDER its SubjectPublicKeyInfo.
	KeyID        []byte
	PublicKey    *ecdsa.PublicKey
	PublicKeyDER []byte
	// Receipt is Apple's receipt, not yet verified: [Verifier.Receipt] does. May be empty.
	Receipt []byte
	// Flags are those of the authenticator data.
	Flags byte
	// Category and BundleVersion are there since iOS 27 and macOS 27; nil before.
	Category      *Category
	BundleVersion *string
	// CodeHash and CodeHashType are undocumented (apple_cd_hash_*_01) and not judged.
	CodeHash, CodeHashType []byte
}

// aclValue is Apple's one published access control list of a macOS 27 key under System Integrity Protection and Full
// Security, as extension 1.2.840.113635.100.8.6 wraps it.
var aclValue = func() []byte {
	const published = "MEAMAjExMDowCQwCb2uhAwEB/zAJDAJvYaEDAQH/MAsMBG9kZWyhAwEB/zAVDARvc2duoAYMBHJzZWMwBaYDAgEB"
	blob, err := base64.StdEncoding.DecodeString(published)
	if err != nil {
		panic("appattest: " + err.Error()) // a constant
	}
	return append([]byte{0x30, 0x46, 0xa3, 0x44, 0x04, 0x42}, blob...)
}()

// noncePrefix begins the nonce extension: a SEQUENCE of [1] of an OCTET STRING of 32 bytes.
var noncePrefix = []byte{0x30, 0x24, 0xa1, 0x22, 0x04, 0x20}

// Attestation verifies an attestation object by the steps of Apple's "Validating apps that connect to your server".
// keyID is what the app got from generateKey, decoded: 32 bytes. clientDataHash is SHA-256 of what the app attested to
// ([attest.ClientDataHash]); Apple's published samples pass other bytes there, so any up to MaxClientData are taken.
//
// The error is an [attest.StepError] that names the step. The steps in their order: size, decode, format, chain, usage,
// nonce, key_id, auth_data, app, counter, environment, credential_id, cose_key, extensions, category, bundle_version, acl.
// Whether the challenge was ours and fresh is for the caller, and so is keeping the key once ([Devices] does both).
func (v *Verifier) Attestation(object, keyID, clientDataHash []byte) (*Attestation, error) {
	return v.attestation(object, keyID, clientDataHash, nil)
}

func (v *Verifier) attestation(object, keyID, clientDataHash []byte, t *trace) (*Attestation, error) {
	bad := func(step string, err error) (*Attestation, error) { return nil, refusal("attestation", step, err) }
	if len(object) > MaxAttestation || len(clientDataHash) > MaxClientData {
		return bad("size", attest.ErrTooLarge)
	}
	t.pass("size")
	var o attestationObject
	if strict.Unmarshal(object, &o) != nil {
		return bad("decode", attest.ErrMalformed)
	}
	t.pass("decode")
	t.say("format", "%s", o.Format)
	t.say("certificates", "%d", len(o.Statement.X5C))
	t.say("receipt", "%d bytes", len(o.Statement.Receipt))
	if o.Format != "apple-appattest" || len(o.Statement.Receipt) > MaxReceipt {
		return bad("format", attest.ErrMalformed)
	}
	t.pass("format")
	t.sayCerts(o.Statement.X5C)
	t.sayAuthData(v, o.AuthData)
	leaf, err := v.chain(o.Statement.X5C, v.now())
	if err != nil {
		return bad("chain", err)
	}
	t.pass("chain")
	if !usageAllowed(leaf) {
		return bad("usage", attest.ErrChain)
	}
	t.pass("usage")
	if !nonceMatches(leaf, o.AuthData, clientDataHash) {
		return bad("nonce", attest.ErrNonce)
	}
	t.pass("nonce")
	pub, point := p256(leaf)
	sum := sha256.Sum256(point)
	if pub == nil || subtle.ConstantTimeCompare(sum[:], keyID) != 1 {
		return bad("key_id", attest.ErrKeyID)
	}
	t.pass("key_id")
	out := &Attestation{KeyID: sum[:], PublicKey: pub, PublicKeyDER: leaf.RawSubjectPublicKeyInfo, Receipt: o.Statement.Receipt}
	if step, err := v.attestedData(o.AuthData, point, leaf, out, t); err != nil {
		return bad(step, err)
	}
	return out, nil
}

// attestedData judges the authenticator data of an attestation.
func (v *Verifier) attestedData(data, point []byte, leaf *x509.Certificate, out *Attestation, t *trace) (step string, err error) {
	if len(data) < coseAt || data[flagsAt]&flagAttested == 0 {
		return "auth_data", attest.ErrMalformed
	}
	t.pass("auth_data")
	apps := v.find(data[:rpIDLen])
	if len(apps) == 0 {
		return "app", attest.ErrAppIdentity
	}
	t.pass("app")
	if binary.BigEndian.Uint32(data[counterAt:]) != 0 {
		return "counter", attest.ErrCounter
	}
	t.pass("counter")
	app := environmentOf(apps, [16]byte(data[aaguidAt:idLenAt]))
	if app == nil {
		return "environment", attest.ErrEnvironment
	}
	t.pass("environment")
	if binary.BigEndian.Uint16(data[idLenAt:]) != credentialID || subtle.ConstantTimeCompare(data[idAt:coseAt], out.KeyID) != 1 {
		return "credential_id", attest.ErrKeyID
	}
	t.pass("credential_id")
	var key coseKey
	rest, err := strict.UnmarshalFirst(data[coseAt:], &key)
	if err != nil || !key.isP256(point) {
		return "cose_key", attest.ErrKeyID
	}
	t.pass("cose_key")
	x, err := readExtensions(rest)
	if err != nil {
		return "extensions", err
	}
	t.pass("extensions")
	if step, err = x.judge(&app.App); err != nil {
		return step, err
	}
	t.pass("category")
	if app.System == MacOS && subtle.ConstantTimeCompare(extension(leaf, oidACL), aclValue) != 1 {
		return "acl", attest.ErrTampered
	}
	out.AppID, out.Environment, out.Flags = app.ID(), app.Environment, data[flagsAt]
	out.Category, out.BundleVersion = x.category, x.bundleVersion
	out.CodeHash, out.CodeHashType = x.cdHash, x.cdHashType
	return "", nil
}

// nonceMatches compares the whole extension, not a part found in it.
func nonceMatches(leaf *x509.Certificate, authData, clientDataHash []byte) bool {
	h := sha256.New()
	h.Write(authData)
	h.Write(clientDataHash)
	want := h.Sum(append(make([]byte, 0, len(noncePrefix)+sha256.Size), noncePrefix...))
	return subtle.ConstantTimeCompare(extension(leaf, oidNonce), want) == 1
}

// p256 returns the leaf's key and its uncompressed point, or nil.
func p256(leaf *x509.Certificate) (*ecdsa.PublicKey, []byte) {
	pub, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, nil
	}
	point, err := pub.Bytes()
	if err != nil {
		return nil, nil
	}
	return pub, point
}

func environmentOf(apps []*known, aaguid [16]byte) *known {
	for _, a := range apps {
		want := aaguidProduction
		if a.Environment == Development {
			want = aaguidDevelopment
		}
		if want == aaguid {
			return a
		}
	}
	return nil
}

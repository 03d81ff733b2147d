package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"sync"
)

// The flags of authenticator data, WebAuthn section 6.1.
const (
	FlagUP = 0x01
	FlagUV = 0x04
	FlagBE = 0x08
	FlagBS = 0x10
	FlagAT = 0x40
	FlagED = 0x80
)

// Authenticator is a virtual WebAuthn authenticator together with the browser before it. Its fields may be changed between
// ceremonies. It is safe for concurrent use as long as they are not.
type Authenticator struct {
	// Format is the attestation it makes: "packed", "self" (packed without a certificate), "fido-u2f", "tpm", "android-key",
	// "apple", "none".
	Format string
	// AAGUID is what it says of itself.
	AAGUID [16]byte
	// Flags are those of every ceremony, but FlagAT.
	Flags byte
	// Step is what the signature counter advances by; 0: it has none.
	Step uint32
	// Transports are what the browser says.
	Transports []string
	// Signer is the attestation key with its certificate, Chain what is sent behind it.
	Signer CA
	Chain  []*x509.Certificate
	// Android makes the keys of "android-key", as AndroidForge changes them.
	Android      *Android
	AndroidForge *AndroidForge
	// Nonce changes the value of the nonce extension of "apple".
	Nonce func(value []byte) []byte

	mu      sync.Mutex
	counter uint32              // guarded by mu
	keys    map[string]*fidoKey // guarded by mu: by credential id
}

type fidoKey struct {
	id, handle []byte
	key        *ecdsa.PrivateKey
	chain      [][]byte // of a key of Android's
}

// SecurityKey is a certified key of the model: packed attestation by a batch certificate.
func (f *FIDO) SecurityKey(m *FIDOModel) *Authenticator {
	return &Authenticator{Format: "packed", AAGUID: m.AAGUID, Flags: FlagUP | FlagUV, Step: 1, Transports: []string{"usb"},
		Signer: m.batch(f.now(), &m.AAGUID)}
}

// U2FKey is a key of the days before FIDO2: no AAGUID, found in the metadata by its attestation key, which this adds to the
// model. It does not verify users.
func (f *FIDO) U2FKey(m *FIDOModel) *Authenticator {
	m.AAGUID = [16]byte{}
	batch := m.batch(f.now(), nil)
	m.addU2F(batch)
	return &Authenticator{Format: "fido-u2f", Flags: FlagUP, Step: 1, Transports: []string{"usb"}, Signer: batch}
}

// TPMPlatform is a computer's own authenticator, in its TPM.
func (f *FIDO) TPMPlatform(m *FIDOModel) *Authenticator {
	return &Authenticator{Format: "tpm", AAGUID: m.AAGUID, Flags: FlagUP | FlagUV, Transports: []string{"internal"},
		Signer: m.AIK(f.now(), "id:4D534654")}
}

// Keystore is a telephone's own authenticator, in its keystore: android-key attestation by the chain of the device. No
// verifier that was not made for it trusts such a chain.
func (d *Android) Keystore() *Authenticator {
	return &Authenticator{Format: "android-key", AAGUID: [16]byte{0xb9, 0x3f, 0xd9, 0x61}, Flags: FlagUP | FlagUV, Transports: []string{"internal"}, Android: d}
}

// Enclave is an Apple device's own authenticator, as it was before passkeys were synced: apple attestation by a virtual
// "Apple WebAuthn CA 1". No verifier that was not made for it trusts such a chain.
func (a *Apple) Enclave() *Authenticator {
	ca := NewCA(&a.Root, elliptic.P384(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "Apple WebAuthn CA 1"}, NotBefore: a.Root.Cert.NotBefore, NotAfter: a.Root.Cert.NotAfter})
	return &Authenticator{Format: "apple", AAGUID: [16]byte{0xf2, 0x4a, 0x8e, 0x70}, Flags: FlagUP | FlagUV, Transports: []string{"internal"},
		Signer: ca, Chain: []*x509.Certificate{ca.Cert}}
}

// SyncedPasskey is what most people have: kept in the cloud, without attestation. aaguid is what it says of itself.
func SyncedPasskey(aaguid [16]byte) *Authenticator {
	return &Authenticator{Format: "none", AAGUID: aaguid, Flags: FlagUP | FlagUV | FlagBE | FlagBS, Transports: []string{"hybrid", "internal"}}
}

// SoftwareAuthenticator is a program that claims a model it is not: its batch certificate is signed by a CA of its own.
func SoftwareAuthenticator(aaguid [16]byte) *Authenticator {
	f := NewFIDO(nil)
	m := f.NewModel("Homemade", "NOT_FIDO_CERTIFIED")
	m.AAGUID = aaguid
	return f.SecurityKey(m)
}

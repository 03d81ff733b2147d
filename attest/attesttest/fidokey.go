package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" // names of keys are SHA-1 (RFC 5280 section 4.2.1.2)
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"sync"
	"time"
)

var (
	oidAAGUID  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}
	oidSAN     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidAIK     = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
	oidTPMMake = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidTPMType = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidTPMVer  = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
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

// AIK makes the certificate of a TPM's attestation key: WebAuthn section 8.3.1. maker is the vendor's id of the TCG
// registry.
func (m *FIDOModel) AIK(now time.Time, maker string) CA {
	key := newKey(elliptic.P256())
	name := pkix.RDNSequence{
		{{Type: oidTPMMake, Value: maker}}, {{Type: oidTPMType, Value: "Virtual TPM"}}, {{Type: oidTPMVer, Value: "id:13"}},
	}
	der := DER(name)
	cert := Sign(&m.CA, &key.PublicKey, &x509.Certificate{
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour), BasicConstraintsValid: true,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidAIK},
		ExtraExtensions:    []pkix.Extension{{Id: oidSAN, Critical: true, Value: Sequence(wrap(asn1.ClassContextSpecific, 4, der))}},
	})
	return CA{cert, key}
}

// FIDOForge changes a ceremony as it is made, before signing but for the last three. The zero value and nil change nothing.
type FIDOForge struct {
	ClientData func(map[string]any)
	// ClientText changes the client data's JSON.
	ClientText func([]byte) []byte
	AuthData   func([]byte) []byte
	Statement  func(map[string]any)
	Object     func(map[string]any)
	Encoded    func([]byte) []byte // of the attestation object
	Response   func(map[string]any)
}

type fidoOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Allow []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
	Attestation string `json:"attestation"`
}

func fidoClient(kind, challenge, origin string, f *FIDOForge) []byte {
	data := map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false}
	if f.ClientData != nil {
		f.ClientData(data)
	}
	raw, err := json.Marshal(data)
	must(err)
	if f.ClientText != nil {
		raw = f.ClientText(raw)
	}
	return raw
}

func (a *Authenticator) head(rpID string, flags byte) []byte {
	a.counter += a.Step
	sum := sha256.Sum256([]byte(rpID))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), a.counter)
}

// Create answers navigator.credentials.create() on a page of the origin: options is the task's publicKey in JSON, the
// result PublicKeyCredential.toJSON().
func (a *Authenticator) Create(origin string, options []byte, f *FIDOForge) ([]byte, error) {
	if f == nil {
		f = &FIDOForge{}
	}
	var o fidoOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		return nil, err
	}
	k := &fidoKey{id: make([]byte, 32), handle: handle, key: newKey(elliptic.P256())}
	_, _ = rand.Read(k.id)
	a.mu.Lock()
	defer a.mu.Unlock()
	client := fidoClient("webauthn.create", o.Challenge, origin, f)
	hash := sha256.Sum256(client)
	if a.Format == "android-key" {
		made := a.Android.Attest(hash[:], a.AndroidForge)
		k.key, k.chain = made.Key, made.Chain
	}
	data := append(a.head(o.RP.ID, a.Flags|FlagAT), a.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.id)))
	data = append(append(data, k.id...), COSE(&k.key.PublicKey)...)
	if f.AuthData != nil {
		data = f.AuthData(data)
	}
	format, statement := a.statement(k, data, hash[:])
	if o.Attestation == "none" {
		format, statement = "none", map[string]any{}
	}
	if f.Statement != nil {
		f.Statement(statement)
	}
	object := map[string]any{"fmt": format, "attStmt": statement, "authData": data}
	if f.Object != nil {
		f.Object(object)
	}
	raw := CBOR(object)
	if f.Encoded != nil {
		raw = f.Encoded(raw)
	}
	if a.keys == nil {
		a.keys = map[string]*fidoKey{}
	}
	a.keys[string(k.id)] = k
	return fidoAnswer(k.id, map[string]any{"clientDataJSON": fidoB64(client), "attestationObject": fidoB64(raw), "transports": a.Transports}, f), nil
}

// Get answers navigator.credentials.get() with the first of the credentials allowed that it has, or, where none are named,
// with any one it has.
func (a *Authenticator) Get(origin string, options []byte, f *FIDOForge) ([]byte, error) {
	if f == nil {
		f = &FIDOForge{}
	}
	var o fidoOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var k *fidoKey
	for _, d := range o.Allow {
		id, err := base64.RawURLEncoding.DecodeString(d.ID)
		if err != nil {
			return nil, err
		}
		if k = a.keys[string(id)]; k != nil {
			break
		}
	}
	if len(o.Allow) == 0 {
		for _, k = range a.keys {
			break
		}
	}
	if k == nil {
		return nil, errors.New("attesttest: the authenticator has none of the credentials")
	}
	client := fidoClient("webauthn.get", o.Challenge, origin, f)
	data := a.head(o.RPID, a.Flags)
	if f.AuthData != nil {
		data = f.AuthData(data)
	}
	hash := sha256.Sum256(client)
	return fidoAnswer(k.id, map[string]any{
		"clientDataJSON": fidoB64(client), "authenticatorData": fidoB64(data), "signature": fidoB64(fidoSign(k.key, data, hash[:])), "userHandle": fidoB64(k.handle),
	}, f), nil
}

func fidoAnswer(id []byte, response map[string]any, f *FIDOForge) []byte {
	out := map[string]any{
		"id": fidoB64(id), "rawId": fidoB64(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	}
	if f.Response != nil {
		f.Response(out)
	}
	raw, err := json.Marshal(out)
	must(err)
	return raw
}

// statement makes the attestation statement over authenticator data and client data hash.
func (a *Authenticator) statement(k *fidoKey, data, hash []byte) (string, map[string]any) {
	x5c := [][]byte{}
	if a.Signer.Cert != nil && a.Format != "apple" {
		x5c = append(x5c, a.Signer.Cert.Raw)
	}
	for _, c := range a.Chain {
		x5c = append(x5c, c.Raw)
	}
	switch a.Format {
	case "packed":
		return "packed", map[string]any{"alg": -7, "sig": fidoSign(a.Signer.Key, data, hash), "x5c": x5c}
	case "self":
		return "packed", map[string]any{"alg": -7, "sig": fidoSign(k.key, data, hash)}
	case "fido-u2f":
		point, err := k.key.PublicKey.Bytes()
		must(err)
		return "fido-u2f", map[string]any{"sig": fidoSign(a.Signer.Key, []byte{0}, data[:32], hash, k.id, point), "x5c": x5c}
	case "tpm":
		return "tpm", a.tpm(k, data, hash, x5c)
	case "android-key":
		return "android-key", map[string]any{"alg": -7, "sig": fidoSign(k.key, data, hash), "x5c": k.chain}
	case "apple":
		return "apple", map[string]any{"x5c": append([][]byte{a.apple(k, data, hash).Raw}, x5c...)}
	}
	return "none", map[string]any{}
}

// apple makes the certificate of a key: WebAuthn section 8.8.
func (a *Authenticator) apple(k *fidoKey, data, hash []byte) *x509.Certificate {
	nonce := sha256.Sum256(append(append([]byte{}, data...), hash...))
	value := append([]byte{0x30, 0x24, 0xa1, 0x22, 0x04, 0x20}, nonce[:]...)
	if a.Nonce != nil {
		value = a.Nonce(value)
	}
	return Sign(&a.Signer, &k.key.PublicKey, &x509.Certificate{
		NotBefore: a.Signer.Cert.NotBefore, NotAfter: a.Signer.Cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: OIDNonce, Value: value}},
	})
}

// tpm makes a TPM's statement: the structures of TPM 2.0 part 2, sections 12.2.4 and 10.12.8.
func (a *Authenticator) tpm(k *fidoKey, data, hash []byte, x5c [][]byte) map[string]any {
	u16 := binary.BigEndian.AppendUint16
	sized := func(to, b []byte) []byte { return append(u16(to, uint16(len(b))), b...) }
	point, err := k.key.PublicKey.Bytes()
	must(err)
	public := u16(u16(nil, 0x0023), 0x000b)                  // ECC, named by SHA-256
	public = binary.BigEndian.AppendUint32(public, 0x60472)  // a signing key that never leaves
	public = sized(public, nil)                              // no policy
	public = u16(u16(u16(u16(public, 0x10), 0x10), 3), 0x10) // no cipher, no scheme, P-256, no KDF
	public = sized(sized(public, point[1:33]), point[33:65])
	name := sha256.Sum256(public)
	signed := sha256.Sum256(append(append([]byte{}, data...), hash...))
	info := u16(binary.BigEndian.AppendUint32(nil, 0xff544347), 0x8017) // made by a TPM, certifies a key
	info = sized(info, u16(nil, 0x000b))
	info = sized(info, signed[:])
	info = append(info, make([]byte, 8+4+4+1+8)...) // clock, firmware
	info = sized(info, append(u16(nil, 0x000b), name[:]...))
	info = sized(info, nil)
	return map[string]any{"ver": "2.0", "alg": -7, "sig": fidoSign(a.Signer.Key, info), "certInfo": info, "pubArea": public, "x5c": x5c}
}

func fidoSign(key *ecdsa.PrivateKey, parts ...[]byte) []byte {
	d := sha256.New()
	for _, p := range parts {
		d.Write(p)
	}
	raw, err := ecdsa.SignASN1(rand.Reader, key, d.Sum(nil))
	must(err)
	return raw
}

func fidoB64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func fidoKeyID(pub *ecdsa.PublicKey) []byte {
	point, err := pub.Bytes()
	must(err)
	sum := sha1.Sum(point)
	return sum[:]
}

func fidoSerial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(err)
	return n
}

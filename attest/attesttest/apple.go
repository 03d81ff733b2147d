package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Apple's object identifiers.
var (
	OIDNonce          = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}
	OIDACL            = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 6}
	OIDUsage          = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 4, 24}
	oidIntegrationCA  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 3}
	OIDReceiptSigning = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 12, 15}
)

// CA is a certificate authority with its key, or a signer.
type CA struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Apple is a virtual Apple. It is safe for concurrent use.
type Apple struct {
	// Root signs everything; Intermediate signs attestations; Integration is the authority above ReceiptSigner.
	Root, Intermediate, Integration, ReceiptSigner CA
	now                                            func() time.Time
}

// NewApple makes an Apple with the given clock; nil: time.Now.
func NewApple(now func() time.Time) *Apple {
	if now == nil {
		now = time.Now
	}
	a := &Apple{now: now}
	year := 365 * 24 * time.Hour
	from, to := now().Add(-year), now().Add(20*year)
	a.Root = NewCA(nil, elliptic.P384(), &x509.Certificate{Subject: pkix.Name{CommonName: "Virtual App Attestation Root CA"}, NotBefore: from, NotAfter: to})
	a.Intermediate = NewCA(&a.Root, elliptic.P384(), &x509.Certificate{Subject: pkix.Name{CommonName: "Apple App Attestation CA 1"}, NotBefore: from, NotAfter: to})
	a.Integration = NewCA(&a.Root, elliptic.P256(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "Apple Application Integration CA 5 - G1"}, NotBefore: from, NotAfter: to,
		ExtraExtensions: []pkix.Extension{{Id: oidIntegrationCA, Value: []byte{5, 0}}},
	})
	a.ReceiptSigner = a.NewReceiptSigner(OIDReceiptSigning)
	return a
}

// NewReceiptSigner makes a leaf below the integration authority with the given extension: only OIDReceiptSigning makes a
// signer of receipts.
func (a *Apple) NewReceiptSigner(oid asn1.ObjectIdentifier) CA {
	key := newKey(elliptic.P256())
	cert := Sign(&a.Integration, &key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Application Attestation Fraud Receipt Signing"}, NotBefore: a.now().Add(-time.Hour),
		NotAfter: a.now().Add(20 * 365 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: oid, Value: []byte{5, 0}}},
	})
	return CA{cert, key}
}

// Roots is what to trust: for options named InsecureTestRoots.
func (a *Apple) Roots() []*x509.Certificate { return []*x509.Certificate{a.Root.Cert} }

func newKey(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	must(err)
	return k
}

// must is for what no input of a test can make fail.
func must(err error) {
	if err != nil {
		panic("attesttest: " + err.Error())
	}
}

// NewCA makes an authority below parent; nil: a root.
func NewCA(parent *CA, curve elliptic.Curve, template *x509.Certificate) CA {
	key := newKey(curve)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	self := &CA{template, key}
	if parent == nil {
		parent = self
	}
	return CA{Sign(parent, &key.PublicKey, template), key}
}

// Sign makes a certificate for a key. A template without serial number gets a random one. One that does not parse again,
// as templates may want it, has nothing but its Raw bytes.
func Sign(parent *CA, pub any, template *x509.Certificate) *x509.Certificate {
	if template.SerialNumber == nil {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		must(err)
		template.SerialNumber = n.Add(n, big.NewInt(2))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.Cert, pub, parent.Key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return &x509.Certificate{Raw: der}
	}
	return cert
}

// IPhoneOptions of an Apple device. The zero value and nil mean an iPhone before iOS 27 that runs a production build.
type IPhoneOptions struct {
	// Development is for keys made in that environment.
	Development bool
	// Extensions says whether evidence carries the extensions of iOS 27 and macOS 27, and Category and BundleVersion what
	// they say. ED sets the flag that should announce them.
	Extensions    bool
	Category      uint32
	BundleVersion string
	ED            bool
	// Mac adds the access control list of macOS 27.
	Mac bool
}

// IPhone is a virtual Apple device with one app.
type IPhone struct {
	Apple *Apple
	AppID string
	opts  IPhoneOptions
}

// IPhone makes a device of this Apple's.
func (a *Apple) IPhone(teamID, bundleID string, opts *IPhoneOptions) *IPhone {
	p := &IPhone{Apple: a, AppID: teamID + "." + bundleID}
	if opts != nil {
		p.opts = *opts
	}
	return p
}

// AppleKey is a key in a device's Secure Enclave. It is safe for concurrent use.
type AppleKey struct {
	Phone *IPhone
	// ID is what generateKey gives: SHA-256 of the public point.
	ID  []byte
	Key *ecdsa.PrivateKey

	mu      sync.Mutex
	counter uint32
}

// NewKey makes a key.
func (p *IPhone) NewKey() *AppleKey {
	key := newKey(elliptic.P256())
	point, err := key.PublicKey.Bytes()
	must(err)
	sum := sha256.Sum256(point)
	return &AppleKey{Phone: p, ID: sum[:], Key: key}
}

// AppleForge changes evidence. Every hook may be nil.
type AppleForge struct {
	// AuthData changes the authenticator data before anything is signed over it.
	AuthData func(data []byte) []byte
	// Leaf changes the leaf before it is signed; Nonce the value of its nonce extension; Issuer signs it instead.
	Leaf   func(template *x509.Certificate)
	Nonce  func(value []byte) []byte
	Issuer *CA
	// Chain changes x5c, Object the attestation object or assertion before it is encoded, Encoded the bytes.
	Chain   func(x5c [][]byte) [][]byte
	Object  func(object map[string]any)
	Encoded func(raw []byte) []byte
	// Receipt changes the receipt of an attestation.
	Receipt *ReceiptForge
	// SignHash signs an assertion over this instead of the right digest, which it gets; Signature changes the signature.
	SignHash  func(digest, nonce []byte) []byte
	Signature func(sig []byte) []byte
	// Counter of an assertion, instead of the next.
	Counter *uint32
}

// extensions is the map of iOS 27 as devices send it.
func (p *IPhone) extensions() []byte {
	if !p.opts.Extensions {
		return nil
	}
	category := binary.LittleEndian.AppendUint32(nil, p.opts.Category)
	return CBOR(map[string]any{"apple_validation_category_01": category, "apple_bundle_version_01": p.opts.BundleVersion})
}

// CBOR encodes v, maps in their canonical order.
func CBOR(v any) []byte {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	must(err)
	raw, err := mode.Marshal(v)
	must(err)
	return raw
}

func (p *IPhone) head(counter uint32) []byte {
	sum := sha256.Sum256([]byte(p.AppID))
	flags := byte(0x40)
	if p.opts.ED && p.opts.Extensions {
		flags |= 0x80
	}
	return binary.BigEndian.AppendUint32(append(sum[:], flags), counter)
}

// AuthData is the authenticator data of the key's attestation.
func (k *AppleKey) AuthData() []byte {
	data := k.Phone.head(0)
	aaguid := [16]byte{'a', 'p', 'p', 'a', 't', 't', 'e', 's', 't'}
	if k.Phone.opts.Development {
		aaguid = [16]byte([]byte("appattestdevelop"))
	}
	data = append(data, aaguid[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = append(data, k.ID...)
	data = append(data, COSE(&k.Key.PublicKey)...)
	return append(data, k.Phone.extensions()...)
}

// COSE encodes a P-256 key as COSE does.
func COSE(pub *ecdsa.PublicKey) []byte {
	point, err := pub.Bytes()
	must(err)
	return CBOR(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:65]})
}

// Attest makes an attestation object over clientDataHash.
func (k *AppleKey) Attest(clientDataHash []byte, f *AppleForge) []byte {
	if f == nil {
		f = &AppleForge{}
	}
	a := k.Phone.Apple
	data := k.AuthData()
	if f.AuthData != nil {
		data = f.AuthData(data)
	}
	leaf := k.leaf(data, clientDataHash, f)
	chain := [][]byte{leaf.Raw, a.Intermediate.Cert.Raw}
	if f.Chain != nil {
		chain = f.Chain(chain)
	}
	receipt := a.receipt(k, leaf, clientDataHash, "ATTEST", nil, f.Receipt)
	object := map[string]any{
		"fmt": "apple-appattest", "attStmt": map[string]any{"x5c": chain, "receipt": receipt}, "authData": data,
	}
	if f.Object != nil {
		f.Object(object)
	}
	raw := CBOR(object)
	if f.Encoded != nil {
		raw = f.Encoded(raw)
	}
	return raw
}

// aclBlob is what Apple has published for macOS 27.
const aclBlob = "MEAMAjExMDowCQwCb2uhAwEB/zAJDAJvYaEDAQH/MAsMBG9kZWyhAwEB/zAVDARvc2duoAYMBHJzZWMwBaYDAgEB"

func (k *AppleKey) leaf(data, clientDataHash []byte, f *AppleForge) *x509.Certificate {
	a := k.Phone.Apple
	nonce := sha256.Sum256(append(append([]byte{}, data...), clientDataHash...))
	value := append([]byte{0x30, 0x24, 0xa1, 0x22, 0x04, 0x20}, nonce[:]...)
	if f.Nonce != nil {
		value = f.Nonce(value)
	}
	now := a.now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: base64.StdEncoding.EncodeToString(k.ID), OrganizationalUnit: []string{"AAA Certification"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(48 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, ExtraExtensions: []pkix.Extension{{Id: OIDNonce, Value: value}},
	}
	if k.Phone.opts.Extensions {
		template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{OIDUsage}
	}
	if k.Phone.opts.Mac {
		blob, err := base64.StdEncoding.DecodeString(aclBlob)
		must(err)
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkix.Extension{Id: OIDACL, Value: append([]byte{0x30, 0x46, 0xa3, 0x44, 0x04, 0x42}, blob...)})
	}
	if f.Leaf != nil {
		f.Leaf(template)
	}
	issuer := &a.Intermediate
	if f.Issuer != nil {
		issuer = f.Issuer
	}
	return Sign(issuer, &k.Key.PublicKey, template)
}

// Assert makes an assertion over clientDataHash, with the next counter.
func (k *AppleKey) Assert(clientDataHash []byte, f *AppleForge) []byte {
	if f == nil {
		f = &AppleForge{}
	}
	k.mu.Lock()
	k.counter++
	counter := k.counter
	k.mu.Unlock()
	if f.Counter != nil {
		counter = *f.Counter
	}
	data := append(k.Phone.head(counter), k.Phone.extensions()...)
	if f.AuthData != nil {
		data = f.AuthData(data)
	}
	nonce := sha256.Sum256(append(append([]byte{}, data...), clientDataHash...))
	sum := sha256.Sum256(nonce[:])
	digest := sum[:]
	if f.SignHash != nil {
		digest = f.SignHash(digest, nonce[:])
	}
	sig, err := ecdsa.SignASN1(rand.Reader, k.Key, digest)
	must(err)
	if f.Signature != nil {
		sig = f.Signature(sig)
	}
	object := map[string]any{"signature": sig, "authenticatorData": data}
	if f.Object != nil {
		f.Object(object)
	}
	raw := CBOR(object)
	if f.Encoded != nil {
		raw = f.Encoded(raw)
	}
	return raw
}

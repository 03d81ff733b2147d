package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"time"
)

// Android's object identifiers.
var (
	OIDKeyDescription = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}
	OIDProvisioning   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 30}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidTitle          = asn1.ObjectIdentifier{2, 5, 4, 12}
)

// Google is a virtual Google: roots, provisioning authorities, and the keys of Play. It is safe for concurrent use.
type Google struct {
	// Root signs remote provisioning, FactoryRoot the chains of factories.
	Root, FactoryRoot CA
	// CA2 and CA3 are the authorities of remote provisioning.
	CA2, CA3 CA
	// SoftwareRoot is what emulators chain to. Nobody trusts it.
	SoftwareRoot CA

	play playKeys
	now  func() time.Time
}

// NewGoogle makes a Google with the given clock; nil: time.Now.
func NewGoogle(now func() time.Time) *Google {
	if now == nil {
		now = time.Now
	}
	g := &Google{now: now, play: newPlayKeys()}
	day := 24 * time.Hour
	from, to := now().Add(-400*day), now().Add(3650*day)
	g.Root = NewCA(nil, elliptic.P384(), &x509.Certificate{Subject: pkix.Name{CommonName: "Virtual Key Attestation CA1"}, NotBefore: from, NotAfter: to})
	g.CA2 = NewCA(&g.Root, elliptic.P384(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "Droid CA2", Organization: []string{"Google LLC"}}, NotBefore: from, NotAfter: now().Add(365 * day)})
	g.CA3 = NewCA(&g.CA2, elliptic.P256(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "Droid CA3", Organization: []string{"Google LLC"}}, NotBefore: now().Add(-10 * day), NotAfter: now().Add(60 * day)})
	g.FactoryRoot = NewCA(nil, elliptic.P384(), &x509.Certificate{Subject: serialName("f92009e853b60000", ""), NotBefore: from, NotAfter: to})
	g.SoftwareRoot = NewCA(nil, elliptic.P256(), &x509.Certificate{Subject: pkix.Name{CommonName: "Virtual Software Attestation Root"}, NotBefore: from, NotAfter: to})
	return g
}

// serialName is a subject of a serial number and, if there is one, a title.
func serialName(serial, title string) pkix.Name {
	n := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidSerialNumber, Value: serial}}}
	if title != "" {
		n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: oidTitle, Value: title})
	}
	return n
}

// Roots is what to trust: for options named InsecureTestRoots.
func (g *Google) Roots() []*x509.Certificate {
	return []*x509.Certificate{g.Root.Cert, g.FactoryRoot.Cert}
}

// AndroidOptions of a device. The zero value and nil mean a locked phone with a TEE, provisioned remotely.
type AndroidOptions struct {
	// Factory: its attestation key came with it.
	Factory bool
	// StrongBox: keys are in a chip of their own.
	StrongBox bool
	// Unlocked: the boot loader is open and the system unverified.
	Unlocked bool
	// Emulator: no hardware at all.
	Emulator bool
	// Issued is the count in the provisioning information; default 8.
	Issued int
	// NotBefore and NotAfter of the attestation certificate; default two days ago to two weeks ahead.
	NotBefore, NotAfter time.Time
	// PatchLevel of the system as YYYYMM; default 202601.
	PatchLevel int
	// Version of attestations; default 400.
	Version int
	// RSA keys instead of P-256 ones.
	RSA bool
}

// Android is a virtual Android device with one app.
type Android struct {
	Google  *Google
	Package string
	Signer  []byte // SHA-256 of the app's signing certificate
	// Batch is the attestation key, and Above the certificates over it, without the root.
	Batch CA
	Above []*x509.Certificate
	Root  *x509.Certificate
	opts  AndroidOptions
}

// Android makes a device of this Google's.
func (g *Google) Android(pkg string, signer []byte, opts *AndroidOptions) *Android {
	d := &Android{Google: g, Package: pkg, Signer: signer}
	if opts != nil {
		d.opts = *opts
	}
	o := &d.opts
	if o.NotBefore.IsZero() {
		o.NotBefore = g.now().Add(-48 * time.Hour)
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = g.now().Add(14 * 24 * time.Hour)
	}
	if o.Issued == 0 {
		o.Issued = 8
	}
	if o.PatchLevel == 0 {
		o.PatchLevel = 202601
	}
	if o.Version == 0 {
		o.Version = 400
	}
	d.provision()
	return d
}

// Pixel is a locked phone with StrongBox, EmulatorPhone has no hardware, RootedPhone an open boot loader.
func (g *Google) Pixel(pkg string, signer []byte) *Android {
	return g.Android(pkg, signer, &AndroidOptions{StrongBox: true})
}

// EmulatorPhone makes an emulator.
func (g *Google) EmulatorPhone(pkg string, signer []byte) *Android {
	return g.Android(pkg, signer, &AndroidOptions{Emulator: true})
}

// RootedPhone makes a phone with an open boot loader.
func (g *Google) RootedPhone(pkg string, signer []byte) *Android {
	return g.Android(pkg, signer, &AndroidOptions{Unlocked: true})
}

func (d *Android) provision() {
	g, o := d.Google, d.opts
	level := "TEE"
	if o.StrongBox {
		level = "StrongBox"
	}
	var name [8]byte
	_, _ = rand.Read(name[:])
	hexName := hex.EncodeToString(name[:])
	batch := &x509.Certificate{NotBefore: o.NotBefore, NotAfter: o.NotAfter}
	switch {
	case o.Emulator:
		batch.Subject = pkix.Name{CommonName: "Virtual Software Attestation Intermediate"}
		d.Batch, d.Root = NewCA(&g.SoftwareRoot, elliptic.P256(), batch), g.SoftwareRoot.Cert
	case o.Factory:
		title := ""
		if o.StrongBox {
			title = "StrongBox"
		}
		above := NewCA(&g.FactoryRoot, elliptic.P384(), &x509.Certificate{
			Subject: serialName("a"+hexName, title), NotBefore: o.NotBefore, NotAfter: o.NotAfter})
		batch.Subject = serialName("b"+hexName, title)
		d.Batch, d.Above, d.Root = NewCA(&above, elliptic.P256(), batch), []*x509.Certificate{above.Cert}, g.FactoryRoot.Cert
	default:
		batch.Subject = pkix.Name{CommonName: hexName, Organization: []string{level}}
		batch.ExtraExtensions = []pkix.Extension{{Id: OIDProvisioning, Value: CBOR(map[int]any{1: o.Issued, 3: "Google"})}}
		d.Batch, d.Root = NewCA(&g.CA3, elliptic.P256(), batch), g.Root.Cert
		d.Above = []*x509.Certificate{g.CA3.Cert, g.CA2.Cert}
	}
}

// AndroidForge changes evidence. Every hook may be nil.
type AndroidForge struct {
	// Description changes what the device says of the key; DER the encoded extension value.
	Description func(d *Description)
	DER         func(der []byte) []byte
	// Leaf changes the leaf before it is signed; Issuer signs it instead of the device's attestation key.
	Leaf   func(template *x509.Certificate)
	Issuer *CA
	// Chain changes the chain.
	Chain func(chain [][]byte) [][]byte
}

// AndroidKey is an attested key in a device's keystore. Its holder can sign anything with it.
type AndroidKey struct {
	Chain [][]byte // leaf first, root last
	Leaf  *x509.Certificate
	Key   *ecdsa.PrivateKey // nil for RSA keys
}

// Attest makes a key with a certificate chain over the challenge.
func (d *Android) Attest(challenge []byte, f *AndroidForge) *AndroidKey {
	if f == nil {
		f = &AndroidForge{}
	}
	desc := d.Describe(challenge)
	if f.Description != nil {
		f.Description(desc)
	}
	value := desc.Encode()
	if f.DER != nil {
		value = f.DER(value)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Android Keystore Key"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2048, 1, 1, 0, 0, 0, 0, time.UTC), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if value != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: OIDKeyDescription, Value: value}}
	}
	if f.Leaf != nil {
		f.Leaf(template)
	}
	issuer := &d.Batch
	if f.Issuer != nil {
		issuer = f.Issuer
	}
	out := &AndroidKey{}
	if d.opts.RSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(err)
		out.Leaf = Sign(issuer, &key.PublicKey, template)
	} else {
		out.Key = newKey(elliptic.P256())
		out.Leaf = Sign(issuer, &out.Key.PublicKey, template)
	}
	out.Chain = [][]byte{out.Leaf.Raw, d.Batch.Cert.Raw}
	for _, c := range d.Above {
		out.Chain = append(out.Chain, c.Raw)
	}
	out.Chain = append(out.Chain, d.Root.Raw)
	if f.Chain != nil {
		out.Chain = f.Chain(out.Chain)
	}
	return out
}

package androidkey

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/vestibule-go/vestibule/attest"
)

// The bounds of a chain. Real ones have four or five certificates of about 1 KB.
const (
	MaxChain      = 8
	MaxChainBytes = 48 << 10
)

//go:embed google_roots.pem
var googleRoots []byte

//go:embed software_roots.pem
var softwareRoots []byte

var (
	oidKeyDescription = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}
	oidProvisioning   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 30}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
)

// Provisioning is how a device got its attestation key.
type Provisioning string

// The ways.
const (
	Factory Provisioning = "factory" // in the factory: its certificates count for ever
	Remote  Provisioning = "remote"  // by Google's servers every few weeks (RKP): its certificates expire
	Other   Provisioning = "other"   // a shape not known: treated as Remote
)

// Chain is a verified certificate chain: signatures, names, positions, validity and root.
type Chain struct {
	// Certs are those sent, leaf first. The root may be among them or not.
	Certs []*x509.Certificate
	// Root is the pinned anchor.
	Root *x509.Certificate
	// Provisioning is how the device got its key.
	Provisioning Provisioning
	// StrongBox says that the attestation certificate names a StrongBox.
	StrongBox bool
	// Issued is how many certificates Google issued to the device in the last 30 days, 0 if it is not said.
	Issued int
	// Description is what the leaf says of its key.
	Description *KeyDescription
}

// Serials are the serial numbers of all certificates and the root, in lower-case hex without leading zeros, as the
// revocation list writes them.
func (c *Chain) Serials() []string {
	var out []string
	for _, cert := range append(slices.Clone(c.Certs), c.Root) {
		if s := cert.SerialNumber.Text(16); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func parsePEM(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("androidkey: a pinned certificate is damaged: %w", err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("androidkey: the pinned certificates are missing")
	}
	return out, nil
}

// sameKey: several certificates of one root exist; what is pinned is name and key.
func sameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// walk verifies a chain, leaf first. The step is empty when it passes.
func (v *Verifier) walk(ders [][]byte, now time.Time, t *trace) (c *Chain, step string, err error) {
	size := 0
	for _, d := range ders {
		size += len(d)
	}
	if len(ders) > MaxChain || size > MaxChainBytes {
		return nil, "size", attest.ErrTooLarge
	}
	t.pass("size")
	if len(ders) < 2 {
		return nil, "parse", attest.ErrMalformed
	}
	c = &Chain{}
	for i, d := range ders {
		cert, err := x509.ParseCertificate(d)
		if err != nil {
			t.say("certificate", "%d: does not parse", i)
			return nil, "parse", attest.ErrMalformed
		}
		t.sayCert(i, cert)
		c.Certs = append(c.Certs, cert)
	}
	t.pass("parse")
	if err := positions(c.Certs); err != nil {
		return nil, "positions", err
	}
	t.pass("positions")
	path, err := v.anchor(c)
	if err != nil {
		return nil, "root", unrooted(c, err, t)
	}
	t.pass("root")
	if step, err := signatures(path, c.Root); err != nil {
		return nil, step, err
	}
	t.pass("signatures")
	c.classify(path)
	t.say("provisioning", "%s", c.Provisioning)
	if err := c.validity(path, now); err != nil {
		return nil, "validity", err
	}
	t.pass("validity")
	d, err := ParseKeyDescription(extension(c.Certs[0], oidKeyDescription))
	if err != nil {
		return nil, "description", err
	}
	c.Description = d
	t.sayDescription(d)
	t.pass("description")
	return c, "", nil
}

// positions holds the extensions to Google's places: the description of a key is in the leaf and nowhere else. A key of
// the genuine keystore signs any bytes; a home-made certificate signed with it is one more in front of a genuine leaf, and
// all signatures are right.
func positions(certs []*x509.Certificate) error {
	for i, c := range certs {
		has := extension(c, oidKeyDescription) != nil
		if i > 0 && has {
			return attest.ErrForged
		}
		if i == 0 && !has {
			return attest.ErrMalformed
		}
		if i != 1 && extension(c, oidProvisioning) != nil {
			return attest.ErrForged
		}
	}
	return nil
}

// anchor finds the pinned root of a chain that ends with it or with what it signed. path is the certificates below it.
func (v *Verifier) anchor(c *Chain) (path []*x509.Certificate, err error) {
	last := c.Certs[len(c.Certs)-1]
	for _, a := range v.anchors {
		if sameKey(last, a) {
			c.Root = a
			return c.Certs[:len(c.Certs)-1], nil
		}
	}
	for _, a := range v.anchors {
		if bytes.Equal(last.RawIssuer, a.RawSubject) && !bytes.Equal(last.RawSubject, a.RawSubject) {
			c.Root = a
			return c.Certs, nil
		}
	}
	for _, s := range v.software {
		if sameKey(last, s) || bytes.Equal(last.RawIssuer, s.RawSubject) {
			return nil, attest.ErrSoftware
		}
	}
	for _, a := range v.anchors {
		if bytes.Equal(last.RawSubject, a.RawSubject) {
			return nil, attest.ErrForged // Google's name over another key
		}
	}
	return nil, attest.ErrChain
}

// unrooted tells emulators from the rest of what leads to none of the pinned roots, by what the leaf says of itself. That
// nobody has vouched for it is no matter: it speaks against itself. A phone from before 2018 may be attested by software
// too, and says that its key is in hardware: it is no emulator.
func unrooted(c *Chain, err error, t *trace) error {
	if errors.Is(err, attest.ErrForged) {
		return err
	}
	d, bad := ParseKeyDescription(extension(c.Certs[0], oidKeyDescription))
	if bad != nil || d.AttestationLevel != LevelSoftware || d.KeyMintLevel != LevelSoftware {
		return err
	}
	t.sayDescription(d)
	return attest.ErrEmulator
}

// signatures verifies names and signatures from the root down. crypto/x509's own path building cannot: real chains have
// issuers without the CA flag and are good after they have expired.
func signatures(path []*x509.Certificate, root *x509.Certificate) (step string, err error) {
	for i := len(path) - 1; i >= 0; i-- {
		issuer := root
		if i+1 < len(path) {
			issuer = path[i+1]
		}
		child := path[i]
		if !bytes.Equal(child.RawIssuer, issuer.RawSubject) {
			return "names", attest.ErrChain
		}
		if issuer != root && !mayIssue(issuer) && !(i == 0 && len(path) == 3 && hasName(issuer, oidSerialNumber)) {
			return "issuers", attest.ErrChain
		}
		if i > 0 && len(child.UnhandledCriticalExtensions) > 0 {
			return "issuers", attest.ErrChain
		}
		if issuer.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) != nil {
			return "signatures", attest.ErrForged
		}
	}
	return "", nil
}

// mayIssue reports whether a certificate says that it is an authority's. Some makers forgot to in the one right above the
// leaf: there, in a chain of the factory's shape, its position is enough. It cannot be a key of an app, for those have a
// description.
func mayIssue(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}

// classify tells how the device was provisioned, by the certificate below the root.
func (c *Chain) classify(path []*x509.Certificate) {
	c.Provisioning = Other
	top := path[len(path)-1]
	switch {
	case len(path) < 2:
	case strings.HasPrefix(top.Subject.CommonName, "Droid CA") && slices.Contains(top.Subject.Organization, "Google LLC"):
		c.Provisioning = Remote
	case len(path) == 3 && hasName(top, oidSerialNumber):
		c.Provisioning = Factory
	}
	batch := c.Certs[1]
	c.StrongBox = slices.Contains(batch.Subject.Organization, "StrongBox")
	if c.Provisioning == Factory {
		for _, n := range batch.Subject.Names {
			s, ok := n.Value.(string)
			c.StrongBox = c.StrongBox || ok && strings.EqualFold(s, "strongbox")
		}
	}
	if c.Provisioning == Remote {
		c.Issued = issued(extension(batch, oidProvisioning))
	}
}

func hasName(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(c.Subject.Names, func(n pkix.AttributeTypeAndValue) bool { return n.Type.Equal(oid) })
}

// validity: not of the leaf, which has the device's clock; not of factory chains, whose keys cannot be renewed; not of the
// anchor.
func (c *Chain) validity(path []*x509.Certificate, now time.Time) error {
	if c.Provisioning == Factory {
		return nil
	}
	for _, cert := range path[1:] {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return attest.ErrExpired
		}
	}
	return nil
}

// issued reads the number of certificates issued in 30 days. Malformed information counts as none: it is not vital.
func issued(raw []byte) int {
	if len(raw) == 0 || len(raw) > 1<<10 {
		return 0
	}
	var m map[int]cbor.RawMessage
	if provisioningMode.Unmarshal(raw, &m) != nil {
		return 0
	}
	var n uint32
	if provisioningMode.Unmarshal(m[1], &n) != nil || n > 1<<30 {
		return 0
	}
	return int(n)
}

var provisioningMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 16,
	}.DecMode()
	if err != nil {
		panic("androidkey: options of the CBOR decoder: " + err.Error()) // constants
	}
	return mode
}()

// extension returns the value of an extension. Certificates with an extension twice do not parse.
func extension(c *x509.Certificate, oid asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e.Value
		}
	}
	return nil
}

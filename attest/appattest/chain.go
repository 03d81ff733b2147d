package appattest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Apple's object identifiers.
var (
	oidNonce          = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}
	oidACL            = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 6}
	oidUsage          = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 4, 24}
	oidIntegrationCA  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 3}
	oidReceiptSigning = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 12, 15}
)

// intermediateName begins the common name of the authority that signs attestations.
const intermediateName = "Apple App Attestation CA "

// maxWarm bounds the intermediates kept: Apple has had one since 2020.
const maxWarm = 8

// warmCerts are intermediates whose signature by a pinned root was verified, by the hash of their DER. It spares one of
// the two P-384 verifications of an attestation. Their validity is judged anew each time.
type warmCerts struct {
	mu  sync.RWMutex
	all map[[sha256.Size]byte]*warmCert // guarded by mu
}

type warmCert struct{ cert, root *x509.Certificate }

// intermediate parses and verifies the authority's certificate.
func (v *Verifier) intermediate(der []byte) (*warmCert, error) {
	sum := sha256.Sum256(der)
	v.warm.mu.RLock()
	w := v.warm.all[sum]
	v.warm.mu.RUnlock()
	if w != nil {
		return w, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, attest.ErrMalformed
	}
	if !cert.IsCA || !strings.HasPrefix(cert.Subject.CommonName, intermediateName) || len(cert.UnhandledCriticalExtensions) > 0 {
		return nil, attest.ErrChain
	}
	for _, root := range v.roots {
		if !bytes.Equal(cert.RawIssuer, root.RawSubject) || cert.CheckSignatureFrom(root) != nil {
			continue
		}
		w = &warmCert{cert, root}
		v.warm.mu.Lock()
		defer v.warm.mu.Unlock()
		if v.warm.all == nil || len(v.warm.all) >= maxWarm {
			v.warm.all = map[[sha256.Size]byte]*warmCert{}
		}
		v.warm.all[sum] = w
		return w, nil
	}
	return nil, attest.ErrChain
}

// chain verifies the two certificates of an attestation, leaf first, and returns the leaf. The root is the pinned one;
// what else a sender puts into x5c is refused.
func (v *Verifier) chain(x5c [][]byte, now time.Time) (*x509.Certificate, error) {
	if len(x5c) != 2 {
		return nil, attest.ErrChain
	}
	leaf, err := x509.ParseCertificate(x5c[0])
	if err != nil {
		return nil, attest.ErrMalformed
	}
	if leaf.IsCA || len(leaf.UnhandledCriticalExtensions) > 0 {
		return nil, attest.ErrChain
	}
	if leaf.KeyUsage&x509.KeyUsageCertSign != 0 {
		return nil, attest.ErrChain
	}
	w, err := v.intermediate(x5c[1])
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(leaf.RawIssuer, w.cert.RawSubject) {
		return nil, attest.ErrChain
	}
	if err := leaf.CheckSignatureFrom(w.cert); err != nil {
		return nil, attest.ErrForged
	}
	for _, c := range []*x509.Certificate{leaf, w.cert, w.root} {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return nil, attest.ErrExpired
		}
	}
	return leaf, nil
}

// usageAllowed: since iOS 27 leaves have an extended key usage; if there is one, it names App Attest.
func usageAllowed(leaf *x509.Certificate) bool {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, oid := range leaf.UnknownExtKeyUsage {
		if oid.Equal(oidUsage) {
			return true
		}
	}
	return false
}

// extension returns the value of an extension. Certificates with an extension twice do not parse.
func extension(c *x509.Certificate, oid asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e.Value
		}
	}
	return nil
}

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
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
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

// FIDO is a virtual FIDO Alliance: it signs metadata BLOBs for models of authenticators. It is safe for concurrent use.
type FIDO struct {
	// Root is above Signer, which signs BLOBs.
	Root, Signer CA
	now          func() time.Time
}

// NewFIDO makes a FIDO Alliance with the given clock; nil: time.Now.
func NewFIDO(now func() time.Time) *FIDO {
	if now == nil {
		now = time.Now
	}
	f := &FIDO{now: now}
	year := 365 * 24 * time.Hour
	from, to := now().Add(-year), now().Add(20*year)
	f.Root = NewCA(nil, elliptic.P256(), &x509.Certificate{Subject: pkix.Name{CommonName: "Virtual FIDO Root"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageCRLSign})
	f.Signer = f.NewSigner(nil)
	return f
}

// NewSigner makes another signer below the root. lists are where its revocation list is.
func (f *FIDO) NewSigner(lists []string) CA {
	key := newKey(elliptic.P256())
	cert := Sign(&f.Root, &key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Virtual FIDO Metadata"}, NotBefore: f.now().Add(-time.Hour),
		NotAfter: f.now().Add(20 * 365 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, CRLDistributionPoints: lists,
	})
	return CA{cert, key}
}

// Roots is what to trust: for passkey.MDSOptions.Roots.
func (f *FIDO) Roots() []*x509.Certificate { return []*x509.Certificate{f.Root.Cert} }

// RevocationList is a list in DER, signed by the root, that revokes the signers given.
func (f *FIDO) RevocationList(revoked ...CA) []byte {
	list := &x509.RevocationList{Number: fidoSerial(), ThisUpdate: f.now().Add(-time.Hour), NextUpdate: f.now().Add(24 * time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.Cert.SerialNumber, RevocationTime: f.now().Add(-time.Hour)})
	}
	raw, err := x509.CreateRevocationList(rand.Reader, list, f.Root.Cert, f.Root.Key)
	must(err)
	return raw
}

// FIDOModel is a model of authenticator, with an authority of its own that signs its attestation certificates.
type FIDOModel struct {
	AAGUID [16]byte // zero: a U2F key
	Name   string
	CA     CA
	// KeyProtection is where keys are kept: "hardware", "secure_element", "tee", "software".
	KeyProtection []string
	// Formats are the attestation formats it makes; empty: not said.
	Formats []string
	Reports []FIDOReport
	// KeyIDs names the attestation keys of U2F keys.
	KeyIDs []string
	// HideRoots leaves the roots out of the metadata.
	HideRoots bool
}

// FIDOReport is a status report. Zero times are left out.
type FIDOReport struct {
	Status      string
	From, Until time.Time
	Certificate *x509.Certificate
}

// NewModel makes a model that keeps keys in a secure element. status is its first report, a year old:
// "FIDO_CERTIFIED_L1", "NOT_FIDO_CERTIFIED".
func (f *FIDO) NewModel(name, status string) *FIDOModel {
	m := &FIDOModel{Name: name, KeyProtection: []string{"hardware", "secure_element"}}
	_, _ = rand.Read(m.AAGUID[:])
	m.AAGUID[6], m.AAGUID[8] = m.AAGUID[6]&0x0f|0x40, m.AAGUID[8]&0x3f|0x80
	m.CA = NewCA(nil, elliptic.P256(), &x509.Certificate{
		Subject:   pkix.Name{CommonName: name + " Root"},
		NotBefore: f.now().Add(-2 * 365 * 24 * time.Hour), NotAfter: f.now().Add(20 * 365 * 24 * time.Hour),
	})
	m.Reports = []FIDOReport{{Status: status, From: f.now().Add(-365 * 24 * time.Hour)}}
	return m
}

// Report adds a report that takes effect at the time.
func (m *FIDOModel) Report(status string, from time.Time) {
	m.Reports = append(m.Reports, FIDOReport{Status: status, From: from})
}

func (m *FIDOModel) entry() map[string]any {
	statement := map[string]any{
		"description": m.Name, "keyProtection": m.KeyProtection, "schema": 3, "protocolFamily": "fido2",
		"attestationTypes": []string{"basic_full", "attca"}, "attestationRootCertificates": []string{},
		"authenticatorGetInfo": map[string]any{"versions": []string{"FIDO_2_1"}, "attestationFormats": m.Formats},
		"icon":                 "data:image/png;base64,iVBORw0KGgo=",
	}
	if !m.HideRoots {
		statement["attestationRootCertificates"] = []string{base64.StdEncoding.EncodeToString(m.CA.Cert.Raw)}
	}
	reports := []map[string]any{}
	for _, r := range m.Reports {
		out := map[string]any{"status": r.Status}
		if !r.From.IsZero() {
			out["effectiveDate"] = r.From.UTC().Format(time.DateOnly)
		}
		if !r.Until.IsZero() {
			out["sunsetDate"] = r.Until.UTC().Format(time.DateOnly)
		}
		if r.Certificate != nil {
			out["certificate"] = base64.StdEncoding.EncodeToString(r.Certificate.Raw)
		}
		reports = append(reports, out)
	}
	out := map[string]any{"metadataStatement": statement, "statusReports": reports, "timeOfLastStatusChange": "2026-01-01"}
	if m.AAGUID != [16]byte{} {
		out["aaguid"] = AAGUID(m.AAGUID)
	}
	if len(m.KeyIDs) > 0 {
		out["attestationCertificateKeyIdentifiers"] = m.KeyIDs
	}
	return out
}

// AAGUID writes an AAGUID with hyphens.
func AAGUID(a [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", a[:4], a[4:6], a[6:8], a[8:10], a[10:])
}

// BLOBForge changes a BLOB as it is made. The zero value and nil change nothing.
type BLOBForge struct {
	Payload func(map[string]any)
	Header  func(map[string]any)
	Signer  *CA               // signs instead of FIDO.Signer, and is named in the header
	Key     *ecdsa.PrivateKey // signs, while the header names the signer
	Encoded func(jwt []byte) []byte
}

// BLOB makes a metadata BLOB with the number given, announcing the next one.
func (f *FIDO) BLOB(number int, next time.Time, models []*FIDOModel, forge *BLOBForge) []byte {
	if forge == nil {
		forge = &BLOBForge{}
	}
	entries := []any{}
	for _, m := range models {
		entries = append(entries, m.entry())
	}
	payload := map[string]any{"legalHeader": "A test.", "no": number, "nextUpdate": next.UTC().Format(time.DateOnly), "entries": entries}
	if forge.Payload != nil {
		forge.Payload(payload)
	}
	signer := f.Signer
	if forge.Signer != nil {
		signer = *forge.Signer
	}
	header := map[string]any{"alg": "ES256", "typ": "JWT", "x5c": []string{
		base64.StdEncoding.EncodeToString(signer.Cert.Raw), base64.StdEncoding.EncodeToString(f.Root.Cert.Raw),
	}}
	if forge.Header != nil {
		forge.Header(header)
	}
	head, err := json.Marshal(header)
	must(err)
	body, err := json.Marshal(payload)
	must(err)
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	key := signer.Key
	if forge.Key != nil {
		key = forge.Key
	}
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	must(err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	jwt := []byte(text + "." + base64.RawURLEncoding.EncodeToString(signature))
	if forge.Encoded != nil {
		jwt = forge.Encoded(jwt)
	}
	return jwt
}

// batch makes an attestation certificate of the model: WebAuthn section 8.2.1.
func (m *FIDOModel) batch(now time.Time, aaguid *[16]byte) CA {
	key := newKey(elliptic.P256())
	template := &x509.Certificate{
		Subject: pkix.Name{Country: []string{"NO"}, Organization: []string{"Virtual Keys"},
			OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: m.Name + " Batch"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(10 * 365 * 24 * time.Hour), BasicConstraintsValid: true,
		SubjectKeyId: fidoKeyID(&key.PublicKey),
	}
	if aaguid != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: oidAAGUID, Value: append([]byte{4, 16}, aaguid[:]...)}}
	}
	return CA{Sign(&m.CA, &key.PublicKey, template), key}
}

// U2FBatch makes an attestation certificate as U2F keys have it: without an AAGUID.
func (m *FIDOModel) U2FBatch(now time.Time) CA { return m.batch(now, nil) }

// addU2F takes the batch certificate of a U2F key and notes its key in the metadata.
func (m *FIDOModel) addU2F(batch CA) {
	m.KeyIDs = append(m.KeyIDs, hex.EncodeToString(batch.Cert.SubjectKeyId))
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

package passkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// What is wrong with a metadata BLOB. Test with errors.Is.
var (
	ErrBLOB       = errors.New("passkey: the metadata BLOB is malformed")
	ErrBLOBSigner = errors.New("passkey: the metadata BLOB is not signed by the metadata service")
	ErrBLOBSize   = errors.New("passkey: the metadata BLOB is larger than the limit")
	ErrBLOBOlder  = errors.New("passkey: the metadata BLOB is older than the one in use")
	ErrBLOBStale  = errors.New("passkey: the metadata BLOB is past its next update")
)

const (
	maxSigners     = 6
	maxModelRoots  = 64
	maxModelReport = 256
)

// blob is a verified metadata BLOB. The maps are never changed.
type blob struct {
	number int
	next   time.Time
	sum    [sha256.Size]byte
	chain  []*x509.Certificate // of the signer, anchor last
	models map[AAGUID]*Model
	keys   map[string]*Model
	unread int // entries that could not be read
}

// parseBLOB verifies a BLOB, a JWT, to the anchors and reads it: FIDO Metadata Service v3.1.1, section 3.2. It does no I/O:
// headers that point elsewhere (x5u) are refused.
func parseBLOB(raw []byte, roots []*x509.Certificate, now time.Time) (*blob, error) {
	raw = bytes.TrimSpace(raw)
	parts := bytes.Split(raw, []byte("."))
	if len(parts) != 3 {
		return nil, ErrBLOB
	}
	decode := func(part []byte) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(string(part)) }
	head, err1 := decode(parts[0])
	signature, err2 := decode(parts[2])
	if err1 != nil || err2 != nil {
		return nil, ErrBLOB
	}
	var h struct {
		Alg  string   `json:"alg"`
		X5U  any      `json:"x5u"`
		Crit any      `json:"crit"`
		X5C  []string `json:"x5c"`
	}
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, ErrBLOB
	}
	if h.X5U != nil || h.Crit != nil || len(h.X5C) == 0 || len(h.X5C) > maxSigners {
		return nil, ErrBLOBSigner
	}
	var chain []*x509.Certificate
	for _, text := range h.X5C {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, ErrBLOBSigner
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, ErrBLOBSigner
		}
		chain = append(chain, c)
	}
	signer := path(chain, roots, now)
	if signer == nil || !signed(h.Alg, signer[0], raw[:len(parts[0])+1+len(parts[1])], signature) {
		return nil, ErrBLOBSigner
	}
	payload, err := decode(parts[1])
	if err != nil {
		return nil, ErrBLOB
	}
	b, err := readPayload(payload)
	if err != nil {
		return nil, err
	}
	b.sum, b.chain = sha256.Sum256(raw), signer
	return b, nil
}

// signed verifies the signature of a JWT by the algorithm that suits the key, which the header must name.
func signed(alg string, c *x509.Certificate, text, signature []byte) bool {
	hash := map[string]crypto.Hash{"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
		"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "PS256": crypto.SHA256}[alg]
	if hash == 0 {
		return false
	}
	d := hash.New()
	d.Write(text)
	sum := d.Sum(nil)
	switch key := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg]
		if bits != key.Curve.Params().BitSize || len(signature) != 2*size {
			return false
		}
		return ecdsa.Verify(key, sum, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
	case *rsa.PublicKey:
		switch {
		case key.Size() < 256:
			return false
		case strings.HasPrefix(alg, "RS"):
			return rsa.VerifyPKCS1v15(key, hash, sum, signature) == nil
		case strings.HasPrefix(alg, "PS"):
			return rsa.VerifyPSS(key, hash, sum, signature, nil) == nil
		}
	}
	return false
}

// What is read of a payload. What is not listed (icons, texts) is dropped.
type (
	payloadJSON struct {
		Number     int               `json:"no"`
		NextUpdate string            `json:"nextUpdate"`
		Entries    []json.RawMessage `json:"entries"`
	}
	entryJSON struct {
		AAGUID    string        `json:"aaguid"`
		KeyIDs    []string      `json:"attestationCertificateKeyIdentifiers"`
		Statement statementJSON `json:"metadataStatement"`
		Reports   []reportJSON  `json:"statusReports"`
	}
	statementJSON struct {
		AAGUID        string   `json:"aaguid"`
		Description   string   `json:"description"`
		KeyProtection []string `json:"keyProtection"`
		Roots         []string `json:"attestationRootCertificates"`
		Info          struct {
			Formats []string `json:"attestationFormats"`
		} `json:"authenticatorGetInfo"`
	}
	reportJSON struct {
		Status    string `json:"status"`
		Effective string `json:"effectiveDate"`
		Sunset    string `json:"sunsetDate"`
		Cert      string `json:"certificate"`
		Batch     string `json:"batchCertificate"`
	}
)

func readPayload(payload []byte) (*blob, error) {
	var p payloadJSON
	if err := json.Unmarshal(payload, &p); err != nil || p.Number <= 0 || p.Entries == nil {
		return nil, ErrBLOB
	}
	next, err := time.Parse(time.DateOnly, p.NextUpdate)
	if err != nil {
		return nil, ErrBLOB
	}
	b := &blob{number: p.Number, next: next, models: map[AAGUID]*Model{}, keys: map[string]*Model{}}
	version := "mds:" + strconv.Itoa(p.Number)
	for _, raw := range p.Entries {
		var e entryJSON
		if json.Unmarshal(raw, &e) != nil {
			b.unread++
			continue
		}
		m, err := e.model()
		if err != nil {
			b.unread++
			continue
		}
		m.Version = version
		if !m.AAGUID.IsZero() {
			b.models[m.AAGUID] = m
		}
		for _, id := range e.KeyIDs {
			b.keys[strings.ToLower(id)] = m
		}
	}
	return b, nil
}

// model reads one entry. An entry of which any part that decides cannot be read is not used at all: half of it might be
// the half that says REVOKED.
func (e *entryJSON) model() (*Model, error) {
	m := &Model{Name: clip(e.Statement.Description, 200), Strength: strength(e.Statement.KeyProtection), chains: &chainCache{}}
	if e.AAGUID != "" {
		var err error
		if m.AAGUID, err = ParseAAGUID(strings.ToLower(e.AAGUID)); err != nil {
			return nil, err
		}
	}
	if len(e.Statement.Roots) > maxModelRoots || len(e.Reports) > maxModelReport {
		return nil, ErrBLOB
	}
	for _, text := range e.Statement.Roots {
		c, err := certificate(text)
		if err != nil {
			return nil, err
		}
		m.Roots = append(m.Roots, c)
	}
	m.Formats = slices.Clone(e.Statement.Info.Formats)
	for _, r := range e.Reports {
		out := Report{Status: r.Status}
		var err error
		if out.From, err = date(r.Effective); err != nil {
			return nil, err
		}
		if out.Until, err = date(r.Sunset); err != nil {
			return nil, err
		}
		for _, text := range []string{r.Cert, r.Batch} {
			if text == "" {
				continue
			}
			if out.Certificate, err = certificate(text); err != nil {
				return nil, err
			}
		}
		m.Reports = append(m.Reports, out)
	}
	return m, nil
}

// strength reads keyProtection, FIDO Registry of Predefined Values section 3.2: short forms of constants.
func strength(words []string) attest.Strength {
	switch {
	case slices.Contains(words, "software"):
		return attest.Software
	case slices.Contains(words, "secure_element"):
		return attest.SecureElement
	case slices.Contains(words, "tee"), slices.Contains(words, "hardware"):
		return attest.TEE
	}
	return attest.Software
}

func date(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, ErrBLOB
	}
	return t, nil
}

// certificate reads base64, with or without line breaks, of DER.
func certificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, ErrBLOB
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBLOB, err)
	}
	return c, nil
}

// clip bounds a text from outside and drops what could upset a terminal.
func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// revokedBy reports whether a list, signed by the issuer, holds the serial number.
func revokedBy(list *x509.RevocationList, issuer *x509.Certificate, serial *big.Int) (bool, error) {
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return false, fmt.Errorf("passkey: a revocation list: %w", err)
	}
	return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(serial) == 0 && !isRemoved(e.Extensions)
	}), nil
}

// isRemoved: the entry of a delta list that takes a certificate off the list again (RFC 5280 section 5.3.1, code 8).
func isRemoved(extensions []pkix.Extension) bool {
	for _, x := range extensions {
		if x.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 21}) {
			return bytes.Equal(x.Value, []byte{0x0a, 0x01, 0x08})
		}
	}
	return false
}

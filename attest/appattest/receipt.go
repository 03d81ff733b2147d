package appattest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"strconv"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/vestibule-go/vestibule/attest"
)

// ReceiptType is what a receipt was made for.
type ReceiptType string

// The types.
const (
	ReceiptAttest  ReceiptType = "ATTEST"  // comes inside an attestation; has no risk metric
	ReceiptRefresh ReceiptType = "RECEIPT" // comes from Apple's server in exchange for another
)

// Receipt is what a verified receipt says.
type Receipt struct {
	Type ReceiptType
	// AppID is the app, and Key the attested key.
	AppID string
	Key   *ecdsa.PublicKey
	// Environment is Apple's undocumented word: "sandbox" or "production"; may be empty.
	Environment string
	// ClientHash is the clientDataHash of the attestation. Apple mangles it in refreshed receipts: do not compare it there.
	ClientHash []byte
	// Created is when Apple made it. NotBefore is when it may be exchanged for another one (zero: at once). Expires is its
	// end.
	Created, NotBefore, Expires time.Time
	// RiskMetric is about how many keys were attested for this app on this device in the last 30 days; nil in receipts of
	// type ATTEST. Apple calls it a hint and no reason to block.
	RiskMetric *int
}

// The fields of a receipt (Apple, "Assessing fraud risk"; 4, 5 and 7 are undocumented).
const (
	fieldAppID       = 2
	fieldKey         = 3
	fieldClientHash  = 4
	fieldType        = 6
	fieldEnvironment = 7
	fieldCreated     = 12
	fieldRisk        = 17
	fieldNotBefore   = 19
	fieldExpires     = 21
)

// mostFields bounds the fields of a receipt: real ones have eleven.
const mostFields = 64

// receiptSkew is how far ahead of our clock Apple's may be.
const receiptSkew = time.Minute

// Receipt verifies a receipt for an attested key: the one in the attestation, or a refreshed one. The error is an
// [attest.StepError]. The steps in their order: size, decode, signer, signature, chain, payload, app, key, environment,
// age, expiry.
//
// It says nothing about how many keys are too many: Receipt.RiskMetric is a signal.
func (v *Verifier) Receipt(receipt []byte, key Key) (*Receipt, error) {
	bad := func(step string, err error) (*Receipt, error) { return nil, refusal("receipt", step, err) }
	if len(receipt) > MaxReceipt {
		return bad("size", attest.ErrTooLarge)
	}
	now := v.now()
	payload, step, err := v.openReceipt(receipt, now)
	if err != nil {
		return bad(step, err)
	}
	out, err := readReceipt(payload)
	switch {
	case err != nil:
		return bad("payload", err)
	case out.AppID != key.AppID:
		return bad("app", attest.ErrAppIdentity)
	case key.PublicKey == nil || !key.PublicKey.Equal(out.Key):
		return bad("key", attest.ErrKeyID)
	case !environmentFits(out.Environment, key.Environment):
		return bad("environment", attest.ErrEnvironment)
	case now.Sub(out.Created) > v.receiptAge || out.Created.Sub(now) > receiptSkew:
		return bad("age", attest.ErrExpired)
	case !out.Expires.After(now):
		return bad("expiry", attest.ErrExpired)
	}
	return out, nil
}

func environmentFits(said string, e Environment) bool {
	switch said {
	case "":
		return true
	case "sandbox":
		return e == Development
	case "production":
		return e == Production
	}
	return false
}

// openReceipt checks the CMS envelope (RFC 5652): exactly one signer, the one certificate Apple made for this, ECDSA with
// SHA-256 over the content itself.
func (v *Verifier) openReceipt(receipt []byte, now time.Time) (payload []byte, step string, err error) {
	p7, err := pkcs7.Parse(receipt)
	if err != nil || len(p7.Certificates) == 0 || len(p7.Certificates) > 6 {
		return nil, "decode", attest.ErrMalformed
	}
	if len(p7.Signers) != 1 {
		return nil, "signer", attest.ErrMalformed
	}
	s := p7.Signers[0]
	signer := p7.GetOnlySigner()
	if signer == nil || len(s.AuthenticatedAttributes) > 0 || !s.DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256) ||
		!(s.DigestEncryptionAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmECDSASHA256) ||
			s.DigestEncryptionAlgorithm.Algorithm.Equal(oidECPublicKey)) ||
		extension(signer, oidReceiptSigning) == nil {
		return nil, "signer", attest.ErrChain
	}
	if signer.CheckSignature(x509.ECDSAWithSHA256, p7.Content, s.EncryptedDigest) != nil {
		return nil, "signature", attest.ErrForged
	}
	if err := v.receiptChain(signer, p7.Certificates, now); err != nil {
		return nil, "chain", err
	}
	return p7.Content, "", nil
}

var oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// receiptChain: signer, Apple's application integration authority, a pinned root.
func (v *Verifier) receiptChain(signer *x509.Certificate, certs []*x509.Certificate, now time.Time) error {
	if signer.IsCA {
		return attest.ErrChain
	}
	for _, ca := range certs {
		if !ca.IsCA || extension(ca, oidIntegrationCA) == nil || !bytes.Equal(ca.RawSubject, signer.RawIssuer) ||
			signer.CheckSignatureFrom(ca) != nil {
			continue
		}
		for _, root := range v.receiptRoots {
			if !bytes.Equal(ca.RawIssuer, root.RawSubject) || ca.CheckSignatureFrom(root) != nil {
				continue
			}
			for _, c := range []*x509.Certificate{signer, ca, root} {
				if now.Before(c.NotBefore) || now.After(c.NotAfter) {
					return attest.ErrExpired
				}
			}
			return nil
		}
	}
	return attest.ErrChain
}

type receiptField struct {
	Type    int
	Version int
	Value   []byte
}

// readReceipt reads the payload: a SET OF SEQUENCE {type, version, value}.
func readReceipt(payload []byte) (*Receipt, error) {
	var set asn1.RawValue
	rest, err := asn1.Unmarshal(payload, &set)
	if err != nil || len(rest) > 0 || set.Class != asn1.ClassUniversal || set.Tag != asn1.TagSet || !set.IsCompound {
		return nil, attest.ErrMalformed
	}
	fields := map[int][]byte{}
	for n, body := 0, set.Bytes; len(body) > 0; n++ {
		var f receiptField
		if body, err = asn1.Unmarshal(body, &f); err != nil || n >= mostFields {
			return nil, attest.ErrMalformed
		}
		if _, twice := fields[f.Type]; twice {
			return nil, attest.ErrMalformed
		}
		fields[f.Type] = f.Value
	}
	r := &Receipt{
		Type: ReceiptType(fields[fieldType]), AppID: string(fields[fieldAppID]),
		Environment: string(fields[fieldEnvironment]), ClientHash: fields[fieldClientHash],
	}
	if r.AppID == "" || r.Type != ReceiptAttest && r.Type != ReceiptRefresh {
		return nil, attest.ErrMalformed
	}
	leaf, err := x509.ParseCertificate(fields[fieldKey])
	if err != nil {
		return nil, attest.ErrMalformed
	}
	if r.Key, _ = p256(leaf); r.Key == nil {
		return nil, attest.ErrMalformed
	}
	return r, r.readTimes(fields)
}

func (r *Receipt) readTimes(fields map[int][]byte) error {
	for field, to := range map[int]*time.Time{fieldCreated: &r.Created, fieldNotBefore: &r.NotBefore, fieldExpires: &r.Expires} {
		raw, ok := fields[field]
		if !ok && field == fieldNotBefore {
			continue
		}
		at, err := time.Parse(time.RFC3339, string(raw)) // takes fractions of any length
		if err != nil || len(raw) > 40 {
			return attest.ErrMalformed
		}
		*to = at
	}
	raw, ok := fields[fieldRisk]
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(string(raw), 10, 31)
	if err != nil {
		return attest.ErrMalformed
	}
	metric := int(n)
	r.RiskMetric = &metric
	return nil
}

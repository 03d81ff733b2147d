package attesttest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/smallstep/pkcs7"
)

// ReceiptForge changes receipts. Every hook may be nil.
type ReceiptForge struct {
	// Fields changes the fields by their type before they are encoded; Payload the encoded payload.
	Fields  func(fields map[int][]byte)
	Payload func(payload []byte) []byte
	// Signer signs instead of Apple's; Certs are sent instead of the right ones; TwoSigners signs twice; Attributes signs
	// with signed attributes.
	Signer     *CA
	Certs      []*x509.Certificate
	TwoSigners bool
	Attributes bool
	// Encoded changes the whole.
	Encoded func(raw []byte) []byte
}

// Receipt makes a receipt of type RECEIPT for the key, with a risk metric.
func (k *AppleKey) Receipt(risk int, f *ReceiptForge) []byte {
	hash := make([]byte, 32)
	leaf := k.leaf(k.AuthData(), hash, &AppleForge{})
	return k.Phone.Apple.receipt(k, leaf, hash, "RECEIPT", &risk, f)
}

type receiptField struct {
	Type, Version int
	Value         []byte
}

func (a *Apple) receipt(k *AppleKey, leaf *x509.Certificate, hash []byte, kind string, risk *int, f *ReceiptForge) []byte {
	if f == nil {
		f = &ReceiptForge{}
	}
	const layout = "2006-01-02T15:04:05.999Z"
	now := a.now().UTC()
	env := "production"
	if k.Phone.opts.Development {
		env = "sandbox"
	}
	fields := map[int][]byte{
		2: []byte(k.Phone.AppID), 3: leaf.Raw, 4: hash, 5: []byte("token"), 6: []byte(kind), 7: []byte(env),
		12: []byte(now.Format(layout)), 21: []byte(now.Add(90 * 24 * time.Hour).Format(layout)),
	}
	if risk != nil {
		fields[17] = []byte(strconv.Itoa(*risk))
		fields[19] = []byte(now.Add(24 * time.Hour).Format(layout))
	}
	if f.Fields != nil {
		f.Fields(fields)
	}
	var types []int
	for t := range fields {
		types = append(types, t)
	}
	slices.Sort(types)
	var body []byte
	for _, t := range types {
		raw, err := asn1.Marshal(receiptField{t, 1, fields[t]})
		must(err)
		body = append(body, raw...)
	}
	payload, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: body})
	must(err)
	if f.Payload != nil {
		payload = f.Payload(payload)
	}
	return a.sealReceipt(payload, f)
}

func (a *Apple) sealReceipt(payload []byte, f *ReceiptForge) []byte {
	signer := a.ReceiptSigner
	if f.Signer != nil {
		signer = *f.Signer
	}
	sd, err := pkcs7.NewSignedData(payload)
	must(err)
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	sd.SetEncryptionAlgorithm(pkcs7.OIDDigestAlgorithmECDSASHA256)
	sign := func() {
		if f.Attributes {
			must(sd.AddSigner(signer.Cert, signer.Key, pkcs7.SignerInfoConfig{}))
			return
		}
		must(sd.SignWithoutAttr(signer.Cert, signer.Key, pkcs7.SignerInfoConfig{}))
	}
	sign()
	if f.TwoSigners {
		sign()
	}
	certs := f.Certs
	if certs == nil {
		certs = []*x509.Certificate{a.Integration.Cert, a.Root.Cert}
	}
	for _, c := range certs {
		sd.AddCertificate(c)
	}
	raw, err := sd.Finish()
	must(err)
	if f.Encoded != nil {
		raw = f.Encoded(raw)
	}
	return raw
}

// ReceiptServer is Apple's receipt server. Give it the keys it knows; a receipt that contains none is answered with 404.
// The zero value is not usable: see [Apple.ReceiptServer]. It is safe for concurrent use.
type ReceiptServer struct {
	apple *Apple
	risk  int

	mu    sync.Mutex
	keys  []*AppleKey // guarded by mu
	calls int         // guarded by mu
}

// ReceiptServer makes a server that answers with receipts of this risk metric.
func (a *Apple) ReceiptServer(risk int, keys ...*AppleKey) *ReceiptServer {
	return &ReceiptServer{apple: a, risk: risk, keys: keys}
}

// Calls is how often it was asked.
func (s *ReceiptServer) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// ServeHTTP implements http.Handler.
func (s *ReceiptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	if r.URL.Path != "/v1/attestationData" || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Header.Get("Authorization") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	raw, err2 := base64.StdEncoding.DecodeString(string(body))
	if err != nil || err2 != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p7, err := pkcs7.Parse(raw)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		point, err := k.Key.PublicKey.Bytes()
		must(err)
		if bytes.Contains(p7.Content, point) {
			_, _ = io.WriteString(w, base64.StdEncoding.EncodeToString(k.Receipt(s.risk, nil)))
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

package appattest_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

func field(n int, v string) attesttest.ReceiptForge {
	return attesttest.ReceiptForge{Fields: func(f map[int][]byte) {
		if v == "" {
			delete(f, n)
			return
		}
		f[n] = []byte(v)
	}}
}

func TestReceiptRefuses(t *testing.T) {
	w := newWorld()
	v := w.verifier(t, start)
	evil := attesttest.NewApple(at(start))
	otherLeaf := w.apple.NewReceiptSigner(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 12, 16})
	direct := attesttest.CA{Key: w.apple.ReceiptSigner.Key, Cert: attesttest.Sign(&w.apple.Root, &w.apple.ReceiptSigner.Key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Signer"}, NotBefore: start, NotAfter: start.Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: attesttest.OIDReceiptSigning, Value: []byte{5, 0}}}})}
	expired := attesttest.CA{Key: w.apple.ReceiptSigner.Key, Cert: attesttest.Sign(&w.apple.Integration, &w.apple.ReceiptSigner.Key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Signer"}, NotBefore: start.Add(-2 * time.Hour), NotAfter: start.Add(-time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: attesttest.OIDReceiptSigning, Value: []byte{5, 0}}}})}
	raw := func(f func(b []byte) []byte) attesttest.ReceiptForge { return attesttest.ReceiptForge{Encoded: f} }
	for _, row := range []struct {
		name  string
		forge attesttest.ReceiptForge
		step  string
		want  error
	}{
		{"another app", field(2, team+".com.example.other"), "app", attest.ErrAppIdentity},
		{"no app", field(2, ""), "payload", attest.ErrMalformed},
		{"another environment", field(7, "sandbox"), "environment", attest.ErrEnvironment},
		{"unknown environment", field(7, "moon"), "environment", attest.ErrEnvironment},
		{"no type", field(6, ""), "payload", attest.ErrMalformed},
		{"another type", field(6, "OTHER"), "payload", attest.ErrMalformed},
		{"another key", attesttest.ReceiptForge{Fields: func(f map[int][]byte) { f[3] = w.apple.ReceiptSigner.Cert.Raw }}, "key", attest.ErrKeyID},
		{"no key", field(3, ""), "payload", attest.ErrMalformed},
		{"a bare key", field(3, "key"), "payload", attest.ErrMalformed},
		{"five minutes and a second old", field(12, "2026-11-21T11:54:59Z"), "age", attest.ErrExpired},
		{"of the future", field(12, "2026-11-21T12:01:01Z"), "age", attest.ErrExpired},
		{"no time", field(12, ""), "payload", attest.ErrMalformed},
		{"time no time", field(12, "yesterday"), "payload", attest.ErrMalformed},
		{"expired", field(21, "2026-11-21T12:00:00Z"), "expiry", attest.ErrExpired},
		{"no expiry", field(21, ""), "payload", attest.ErrMalformed},
		{"metric no number", field(17, "many"), "payload", attest.ErrMalformed},
		{"metric negative", field(17, "-1"), "payload", attest.ErrMalformed},
		{"metric huge", field(17, strings.Repeat("9", 40)), "payload", attest.ErrMalformed},
		{"another leaf of Apple's", attesttest.ReceiptForge{Signer: &otherLeaf}, "signer", attest.ErrChain},
		{"own chain", attesttest.ReceiptForge{Signer: &evil.ReceiptSigner, Certs: []*x509.Certificate{evil.Integration.Cert, evil.Root.Cert}}, "chain", attest.ErrChain},
		{"own chain, genuine authority sent", attesttest.ReceiptForge{Signer: &evil.ReceiptSigner}, "chain", attest.ErrChain},
		{"right below the root", attesttest.ReceiptForge{Signer: &direct}, "chain", attest.ErrChain},
		{"expired signer", attesttest.ReceiptForge{Signer: &expired}, "chain", attest.ErrExpired},
		{"no authority", attesttest.ReceiptForge{Certs: []*x509.Certificate{w.apple.Root.Cert}}, "chain", attest.ErrChain},
		{"two signers", attesttest.ReceiptForge{TwoSigners: true}, "signer", attest.ErrMalformed},
		{"signed attributes", attesttest.ReceiptForge{Attributes: true}, "signer", attest.ErrChain},
		{"payload no set", attesttest.ReceiptForge{Payload: func(p []byte) []byte { return append([]byte{0x30}, p[1:]...) }}, "payload", attest.ErrMalformed},
		{"payload with more behind it", attesttest.ReceiptForge{Payload: func(p []byte) []byte { return append(p, 0) }}, "payload", attest.ErrMalformed},
		{"payload empty", attesttest.ReceiptForge{Payload: func([]byte) []byte { return nil }}, "payload", attest.ErrMalformed},
		{"field twice", attesttest.ReceiptForge{Payload: func(p []byte) []byte {
			f := attesttest.Sequence(attesttest.DER(2), attesttest.DER(1), attesttest.DER([]byte("other")))
			var set asn1.RawValue
			_, _ = asn1.Unmarshal(p, &set)
			return attesttest.SetOf(set.Bytes, f)
		}}, "payload", attest.ErrMalformed},
		{"content changed", raw(func(b []byte) []byte {
			i := bytes.Index(b, []byte("token"))
			b = bytes.Clone(b)
			b[i] ^= 1
			return b
		}), "signature", attest.ErrForged},
		{"truncated", raw(func(b []byte) []byte { return b[:len(b)-1] }), "decode", attest.ErrMalformed},
		{"rubbish", raw(func([]byte) []byte { return []byte("rubbish") }), "decode", attest.ErrMalformed},
		{"nothing", raw(func([]byte) []byte { return nil }), "decode", attest.ErrMalformed},
		{"too large", raw(func(b []byte) []byte { return append(b, make([]byte, 64<<10)...) }), "size", attest.ErrTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := w.apple.IPhone(team, bundle, nil).NewKey()
			r, err := v.Receipt(k.Receipt(3, &row.forge), keyOf(k))
			requireStep(t, err, row.step, row.want)
			require.Nil(t, r)
		})
	}
}

func TestReceipt(t *testing.T) {
	w := newWorld()
	v := w.verifier(t, start)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	r, err := v.Receipt(k.Receipt(3, nil), keyOf(k))
	require.NoError(t, err)
	require.Equal(t, appattest.ReceiptRefresh, r.Type)
	require.Equal(t, 3, *r.RiskMetric)
	require.Equal(t, start.Add(24*time.Hour), r.NotBefore)
	require.Equal(t, start.Add(90*24*time.Hour), r.Expires)
	for name, f := range map[string]attesttest.ReceiptForge{
		"no metric": field(17, ""), "no environment": field(7, ""), "exactly five minutes old": field(12, "2026-11-21T11:55:00Z"),
		"fraction of one digit": field(12, "2026-11-21T11:59:00.5Z"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Receipt(k.Receipt(3, &f), keyOf(k))
			require.NoError(t, err)
		})
	}
	t.Run("of another key", func(t *testing.T) {
		other := w.apple.IPhone(team, bundle, nil).NewKey()
		_, err := v.Receipt(k.Receipt(3, nil), keyOf(other))
		requireStep(t, err, "key", attest.ErrKeyID)
	})
}

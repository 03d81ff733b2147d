package androidkey_test

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/internal/floor"
)

// BenchmarkAndroidKeyRKP verifies a chain of remote provisioning. The floor is the sum of its signature checks.
func BenchmarkAndroidKeyRKP(b *testing.B) {
	v := newVerifier(b, list{"1234": {}}, nil)
	k := device(attesttest.AndroidOptions{}).Attest(challenge, nil)
	var certs []*x509.Certificate
	for _, raw := range k.Chain {
		c, err := x509.ParseCertificate(raw)
		require.NoError(b, err)
		certs = append(certs, c)
	}
	ours := func(n int) {
		for range n {
			if _, err := v.Attestation(ctx, k.Chain, challenge); err != nil {
				b.Fatal(err)
			}
		}
	}
	bare := func(n int) {
		for range n {
			for i := range len(certs) - 1 {
				if err := certs[i+1].CheckSignature(certs[i].SignatureAlgorithm, certs[i].RawTBSCertificate, certs[i].Signature); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	ours(b.N)
	b.StopTimer()
	b.ReportMetric(floor.Ratio(31, 8, ours, bare), "x/floor")
}

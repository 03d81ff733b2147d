package appattest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/floor"
)

// oneVerify is the floor: a signature check on a curve.
func oneVerify(b *testing.B, curve elliptic.Curve) func(n int) {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(b, err)
	digest := make([]byte, 32)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	require.NoError(b, err)
	return func(n int) {
		for range n {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest, sig) {
				b.Fatal("the floor does not verify")
			}
		}
	}
}

// BenchmarkAppAttestAssertion: the floor is one P-256 verification.
func BenchmarkAppAttestAssertion(b *testing.B) {
	w := newWorld()
	v := w.verifier(b, start)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	key, assertion := keyOf(k), k.Assert(w.hash, nil)
	ours := func(n int) {
		for range n {
			if _, err := v.Assertion(key, assertion, w.hash); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	ours(b.N)
	b.StopTimer()
	b.ReportMetric(floor.Ratio(41, 64, ours, oneVerify(b, elliptic.P256())), "x/floor")
}

// BenchmarkAppAttestAttestation, with a warm intermediate: the floor is one P-384 verification.
func BenchmarkAppAttestAttestation(b *testing.B) {
	w := newWorld()
	v := w.verifier(b, start)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	object := k.Attest(w.hash, nil)
	ours := func(n int) {
		for range n {
			if _, err := v.Attestation(object, k.ID, w.hash); err != nil {
				b.Fatal(err)
			}
		}
	}
	ours(1)
	b.ReportAllocs()
	b.ResetTimer()
	ours(b.N)
	b.StopTimer()
	b.ReportMetric(floor.Ratio(41, 16, ours, oneVerify(b, elliptic.P384())), "x/floor")
}

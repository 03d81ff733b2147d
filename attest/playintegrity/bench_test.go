package playintegrity_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/floor"
	"github.com/vestibule-go/vestibule/internal/jose"
)

// BenchmarkPlayIntegrityLocal decrypts, verifies and judges a token. The floor is one P-256 verification and the decryption
// alone.
func BenchmarkPlayIntegrityLocal(b *testing.B) {
	aes, _, key := theGoogle().PlayKeys()
	d := phone()
	token := d.PlayToken(nonce, "", nil)
	digest := sha256.Sum256([]byte(token))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	require.NoError(b, err)
	l := local(b, nil)
	ours := func(n int) {
		for range n {
			v := newVerifier(b, l, nil) // it decodes no token twice
			if _, err := v.Classic(ctx, token, nonce); err != nil {
				b.Fatal(err)
			}
		}
	}
	bare := func(n int) {
		for range n {
			if _, err := jose.Decrypt([]byte(token), aes); err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
				b.Fatal("the floor does not verify")
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	ours(b.N)
	b.StopTimer()
	b.ReportMetric(floor.Ratio(31, 64, ours, bare), "x/floor")
}

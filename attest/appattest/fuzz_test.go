package appattest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

func refusedBy(t *testing.T, err error) {
	_, refused := attest.Refused(attest.AppAttest, err)
	require.True(t, refused, "%v", err)
}

// FuzzAttestation: whatever the object says, only the attested key passes.
func FuzzAttestation(f *testing.F) {
	w := newWorld()
	v := w.verifier(f, start)
	k := w.apple.IPhone(team, bundle, &attesttest.IPhoneOptions{Extensions: true, Category: 4, BundleVersion: "7"}).NewKey()
	good := k.Attest(w.hash, nil)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(attesttest.CBOR(map[string]any{"fmt": "apple-appattest", "attStmt": map[string]any{"x5c": [][]byte{}, "receipt": []byte{}}, "authData": []byte{}}))
	f.Fuzz(func(t *testing.T, object []byte) {
		_ = v.ExplainAttestation(object, k.ID, w.hash).String()
		a, err := v.Attestation(object, k.ID, w.hash)
		if err != nil {
			refusedBy(t, err)
			return
		}
		require.Equal(t, k.ID, a.KeyID)
	})
}

// FuzzAssertion: no assertion that the key has not signed passes.
func FuzzAssertion(f *testing.F) {
	w := newWorld()
	v := w.verifier(f, start)
	k := w.apple.IPhone(team, bundle, &attesttest.IPhoneOptions{Extensions: true, Category: 4}).NewKey()
	good := k.Assert(w.hash, nil)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, assertion []byte) {
		a, err := v.Assertion(keyOf(k), assertion, w.hash)
		if err != nil {
			refusedBy(t, err)
			return
		}
		require.Equal(t, uint32(1), a.Counter)
	})
}

// FuzzReceipt: no receipt that Apple has not signed passes.
func FuzzReceipt(f *testing.F) {
	w := newWorld()
	v := w.verifier(f, start)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	good := k.Receipt(3, nil)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{0x30, 0x80, 0x30, 0x80, 0x30, 0x80})
	f.Fuzz(func(t *testing.T, receipt []byte) {
		r, err := v.Receipt(receipt, keyOf(k))
		if err != nil {
			refusedBy(t, err)
			return
		}
		require.Equal(t, 3, *r.RiskMetric)
	})
}

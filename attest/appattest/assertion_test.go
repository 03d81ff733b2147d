package appattest_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

func signature(f func(r, s *big.Int) (*big.Int, *big.Int)) attesttest.AppleForge {
	return attesttest.AppleForge{Signature: func(sig []byte) []byte {
		var v struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &v); err != nil {
			panic(err)
		}
		v.R, v.S = f(v.R, v.S)
		out, err := asn1.Marshal(v)
		if err != nil {
			panic(err)
		}
		return out
	}}
}

func counter(n uint32) attesttest.AppleForge { return attesttest.AppleForge{Counter: &n} }

func raw(f func(sig []byte) []byte) attesttest.AppleForge { return attesttest.AppleForge{Signature: f} }

func TestAssertionRefuses(t *testing.T) {
	w := newWorld()
	v := w.verifier(t, start)
	order := elliptic.P256().Params().N
	for _, c := range []change{
		{"single hash", attesttest.AppleForge{SignHash: func(_, nonce []byte) []byte { return nonce }}, "signature", attest.ErrSignature},
		{"another digest", attesttest.AppleForge{SignHash: func(d, _ []byte) []byte { s := sha256.Sum256(d); return s[:] }}, "signature", attest.ErrSignature},
		{"empty signature", raw(func([]byte) []byte { return nil }), "signature", attest.ErrSignature},
		{"signature changed", raw(func(s []byte) []byte { s[len(s)-1] ^= 1; return s }), "signature", attest.ErrSignature},
		{"signature with a byte more", raw(func(s []byte) []byte { return append(s, 0) }), "signature", attest.ErrSignature},
		{"raw 64-byte signature", raw(func(s []byte) []byte {
			var v struct{ R, S *big.Int }
			_, _ = asn1.Unmarshal(s, &v)
			return append(v.R.FillBytes(make([]byte, 32)), v.S.FillBytes(make([]byte, 32))...)
		}), "signature", attest.ErrSignature},
		{"non-minimal integer", raw(func(s []byte) []byte {
			out := append([]byte{0x30, s[1] + 1, 2, s[3] + 1, 0}, s[4:]...)
			return out
		}), "signature", attest.ErrSignature},
		{"zero", signature(func(_, _ *big.Int) (*big.Int, *big.Int) { return new(big.Int), new(big.Int) }), "signature", attest.ErrSignature},
		{"S beyond the order", signature(func(r, s *big.Int) (*big.Int, *big.Int) { return r, s.Add(s, order) }), "signature", attest.ErrSignature},
		{"data changed", attesttest.AppleForge{Object: func(o map[string]any) {
			d := bytes.Clone(o["authenticatorData"].([]byte))
			d[36]++
			o["authenticatorData"] = d
		}}, "signature", attest.ErrSignature},
		{"another app", rpID(team + ".com.example.other"), "app", attest.ErrAppIdentity},
		{"counter 0", counter(0), "counter", attest.ErrCounter},
		{"counter lower", counter(6), "counter", attest.ErrCounter},
		{"counter equal", counter(7), "counter", attest.ErrCounter},
		{"data too short", authData(func(d []byte) []byte { return d[:36] }), "decode", attest.ErrMalformed},
		{"a byte behind", appended(0), "extensions", attest.ErrMalformed},
		{"two maps", appended(0xa0, 0xa0), "extensions", attest.ErrMalformed},
		{"half a map", appended(0xa1), "extensions", attest.ErrMalformed},
		{"trailing byte", encoded(func(r []byte) []byte { return append(r, 0) }), "decode", attest.ErrMalformed},
		{"truncated", encoded(func(r []byte) []byte { return r[:len(r)-1] }), "decode", attest.ErrMalformed},
		{"unknown member", attesttest.AppleForge{Object: func(o map[string]any) { o["more"] = true }}, "decode", attest.ErrMalformed},
		{"member twice", encoded(func(r []byte) []byte {
			return append(append([]byte{0xa3}, r[1:]...), append([]byte{0x69}, append([]byte("signature"), 0x40)...)...)
		}), "decode", attest.ErrMalformed},
		{"indefinite length", encoded(func(r []byte) []byte { return append(append([]byte{0xbf}, r[1:]...), 0xff) }), "decode", attest.ErrMalformed},
		{"huge length", encoded(func([]byte) []byte { return []byte{0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }), "decode", attest.ErrMalformed},
		{"deep nesting", encoded(func([]byte) []byte { return append(bytes.Repeat([]byte{0x81}, 200), 0) }), "decode", attest.ErrMalformed},
		{"map with a name twice", appended(0xa2, 0x61, 'a', 0x01, 0x61, 'a', 0x02), "extensions", attest.ErrMalformed},
		{"endless map", appended(0xbf, 0xff), "extensions", attest.ErrMalformed},
		{"text for bytes", attesttest.AppleForge{Object: func(o map[string]any) { o["signature"] = "text" }}, "decode", attest.ErrMalformed},
		{"no data", attesttest.AppleForge{Object: func(o map[string]any) { delete(o, "authenticatorData") }}, "decode", attest.ErrMalformed},
		{"too large", encoded(func(r []byte) []byte { return append(r, make([]byte, 8<<10)...) }), "size", attest.ErrTooLarge},
		{"nothing", encoded(func([]byte) []byte { return nil }), "decode", attest.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := w.apple.IPhone(team, bundle, nil).NewKey()
			key := keyOf(k)
			key.Counter = 7
			if c.forge.Counter == nil {
				n := uint32(8)
				c.forge.Counter = &n
			}
			a, err := v.Assertion(key, k.Assert(w.hash, &c.forge), w.hash)
			requireStep(t, err, c.step, c.want)
			require.Nil(t, a)
			require.Equal(t, c.step, v.ExplainAssertion(key, k.Assert(w.hash, &c.forge), w.hash).Refused)
		})
	}
}

func TestAssertionKeys(t *testing.T) {
	w := newWorld()
	dev := production()
	dev.Environment = appattest.Development
	v := w.verifier(t, start, production(), dev)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	other := w.apple.IPhone(team, bundle, nil).NewKey()
	for _, row := range []struct {
		name   string
		change func(key *appattest.Key)
		step   string
		want   error
	}{
		{"another key", func(key *appattest.Key) { key.PublicKey = &other.Key.PublicKey }, "signature", attest.ErrSignature},
		{"no key", func(key *appattest.Key) { key.PublicKey = nil }, "key", attest.ErrKeyID},
		{"a key of another curve", func(key *appattest.Key) { key.PublicKey = &w.apple.Root.Key.PublicKey }, "key", attest.ErrKeyID},
		{"of another app", func(key *appattest.Key) { key.AppID = "X.y" }, "app", attest.ErrAppIdentity},
		{"of no environment", func(key *appattest.Key) { key.Environment = 0 }, "app", attest.ErrAppIdentity},
	} {
		t.Run(row.name, func(t *testing.T) {
			key := keyOf(k)
			row.change(&key)
			_, err := v.Assertion(key, k.Assert(w.hash, nil), w.hash)
			requireStep(t, err, row.step, row.want)
		})
	}
	t.Run("attested data is no assertion", func(t *testing.T) {
		forge := authData(func(d []byte) []byte { return k.AuthData() })
		_, err := v.Assertion(keyOf(k), k.Assert(w.hash, &forge), w.hash)
		requireStep(t, err, "counter", attest.ErrCounter)
	})
	t.Run("the last counter", func(t *testing.T) {
		key := keyOf(k)
		key.Counter = math.MaxUint32 - 1
		last, zero := counter(math.MaxUint32), counter(0)
		a, err := v.Assertion(key, k.Assert(w.hash, &last), w.hash)
		require.NoError(t, err)
		require.Equal(t, uint32(math.MaxUint32), a.Counter)
		key.Counter = a.Counter
		_, err = v.Assertion(key, k.Assert(w.hash, &zero), w.hash)
		requireStep(t, err, "counter", attest.ErrCounter)
	})
	t.Run("both halves of S", func(t *testing.T) {
		order := elliptic.P256().Params().N
		flip := signature(func(r, s *big.Int) (*big.Int, *big.Int) { return r, new(big.Int).Sub(order, s) })
		one := counter(1)
		flip.Counter = one.Counter
		key := keyOf(k)
		for _, f := range []attesttest.AppleForge{one, flip} {
			a, err := v.Assertion(key, k.Assert(w.hash, &f), w.hash)
			require.NoError(t, err)
			require.Equal(t, uint32(1), a.Counter)
		}
		key.Counter = 1
		_, err := v.Assertion(key, k.Assert(w.hash, &flip), w.hash)
		requireStep(t, err, "counter", attest.ErrCounter)
	})
}

package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/jose"
)

var b64 = base64.RawURLEncoding

func newKey(t testing.TB) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return k
}

func sealed(t testing.TB, payload []byte, alg, enc string, key any, zip bool) []byte {
	token, err := jose.Encrypt(payload, alg, enc, key, zip)
	require.NoError(t, err)
	return token
}

// withHeader replaces a token's header.
func withHeader(token []byte, header string) []byte {
	_, rest, _ := bytes.Cut(token, []byte{'.'})
	return append([]byte(b64.EncodeToString([]byte(header))+"."), rest...)
}

func TestDecrypt(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 31)
	key = append(key, 1)
	payload := []byte("some text")
	good := sealed(t, payload, "A256KW", "A256GCM", key, false)
	plain, err := jose.Decrypt(good, key)
	require.NoError(t, err)
	require.Equal(t, payload, plain)

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	other := bytes.Repeat([]byte{9}, 32)
	flip := func(i int) []byte {
		parts := bytes.Split(good, []byte{'.'})
		p := bytes.Clone(parts[i])
		if p[3] == 'A' {
			p[3] = 'B'
		} else {
			p[3] = 'A'
		}
		parts[i] = p
		return bytes.Join(parts, []byte{'.'})
	}
	for _, row := range []struct {
		name  string
		token []byte
		key   []byte
		want  error
	}{
		{"another key", good, other, jose.ErrDecrypt},
		{"a short key", good, key[:16], jose.ErrKey},
		{"dir", sealed(t, payload, "dir", "A256GCM", key, false), key, jose.ErrMalformed},
		{"A128KW", sealed(t, payload, "A128KW", "A256GCM", key[:16], false), key, jose.ErrHeader},
		{"A256GCMKW", sealed(t, payload, "A256GCMKW", "A256GCM", key, false), key, jose.ErrHeader},
		{"RSA-OAEP", sealed(t, payload, "RSA-OAEP", "A256GCM", &rsaKey.PublicKey, false), key, jose.ErrHeader},
		{"PBES2", sealed(t, payload, "PBES2-HS256+A128KW", "A256GCM", key, false), key, jose.ErrHeader},
		{"huge p2c", withHeader(good, `{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAAAAAAAAA"}`), key, jose.ErrHeader},
		{"A128CBC-HS256", sealed(t, payload, "A256KW", "A128CBC-HS256", key, false), key, jose.ErrHeader},
		{"A128GCM", sealed(t, payload, "A256KW", "A128GCM", key, false), key, jose.ErrHeader},
		{"zip", sealed(t, bytes.Repeat([]byte{0}, 1<<16), "A256KW", "A256GCM", key, true), key, jose.ErrHeader},
		{"crit", withHeader(good, `{"alg":"A256KW","enc":"A256GCM","crit":["exp"]}`), key, jose.ErrHeader},
		{"jku", withHeader(good, `{"alg":"A256KW","enc":"A256GCM","jku":"https://evil.example"}`), key, jose.ErrHeader},
		{"jwk", withHeader(good, `{"alg":"A256KW","enc":"A256GCM","jwk":{}}`), key, jose.ErrHeader},
		{"x5c", withHeader(good, `{"alg":"A256KW","enc":"A256GCM","x5c":[]}`), key, jose.ErrHeader},
		{"alg twice", withHeader(good, `{"alg":"A256KW","alg":"A256KW","enc":"A256GCM"}`), key, jose.ErrHeader},
		{"alg in capitals", withHeader(good, `{"ALG":"A256KW","enc":"A256GCM"}`), key, jose.ErrHeader},
		{"alg no text", withHeader(good, `{"alg":1,"enc":"A256GCM"}`), key, jose.ErrHeader},
		{"kid no text", withHeader(good, `{"alg":"A256KW","enc":"A256GCM","kid":{}}`), key, jose.ErrHeader},
		{"no header", withHeader(good, `null`), key, jose.ErrHeader},
		{"a huge header", withHeader(good, `{"alg":"A256KW","enc":"A256GCM","kid":"`+strings.Repeat("a", 2000)+`"}`), key, jose.ErrHeader},
		{"header changed", withHeader(good, `{"enc":"A256GCM","alg":"A256KW"} `), key, jose.ErrDecrypt},
		{"wrapped key changed", flip(1), key, jose.ErrDecrypt},
		{"nonce changed", flip(2), key, jose.ErrDecrypt},
		{"ciphertext changed", flip(3), key, jose.ErrDecrypt},
		{"tag changed", flip(4), key, jose.ErrDecrypt},
		{"four parts", good[:bytes.LastIndexByte(good, '.')], key, jose.ErrMalformed},
		{"six parts", append(bytes.Clone(good), ".AAAA"...), key, jose.ErrMalformed},
		{"an empty part", append(bytes.Clone(good[:bytes.LastIndexByte(good, '.')]), '.'), key, jose.ErrMalformed},
		{"JSON form", []byte(`{"protected":"e30","ciphertext":"AA","iv":"AA","tag":"AA","encrypted_key":"AA"}`), key, jose.ErrMalformed},
		{"a line feed", append(bytes.Clone(good), '\n'), key, jose.ErrMalformed},
		{"nothing", nil, key, jose.ErrMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := jose.Decrypt(row.token, row.key)
			require.ErrorIs(t, err, row.want)
			require.Nil(t, got)
		})
	}
}

func TestVerify(t *testing.T) {
	key := newKey(t)
	payload := []byte(`{"a":1}`)
	good, err := jose.Sign(payload, key, map[string]string{"kid": "K1"})
	require.NoError(t, err)
	got, err := jose.Verify(good, &key.PublicKey)
	require.NoError(t, err)
	require.Equal(t, payload, got)

	raw := func(header string, sign func(in []byte) []byte) []byte {
		in := []byte(b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(payload))
		return append(append(in, '.'), b64.EncodeToString(sign(in))...)
	}
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	mac := raw(`{"alg":"HS256"}`, func(in []byte) []byte {
		m := hmac.New(sha256.New, point)
		m.Write(in)
		return m.Sum(nil)
	})
	der := raw(`{"alg":"ES256"}`, func(in []byte) []byte {
		sum := sha256.Sum256(in)
		sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		require.NoError(t, err)
		return sig
	})
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for _, row := range []struct {
		name  string
		token []byte
		key   *ecdsa.PublicKey
		want  error
	}{
		{"another key", good, &newKey(t).PublicKey, jose.ErrSignature},
		{"another curve", good, &p384.PublicKey, jose.ErrKey},
		{"no key", good, nil, jose.ErrKey},
		{"none", raw(`{"alg":"none"}`, func([]byte) []byte { return make([]byte, 64) }), &key.PublicKey, jose.ErrHeader},
		{"HS256 with the public key", mac, &key.PublicKey, jose.ErrHeader},
		{"embedded jwk", withHeader(good, `{"alg":"ES256","jwk":{"kty":"EC"}}`), &key.PublicKey, jose.ErrHeader},
		{"b64", withHeader(good, `{"alg":"ES256","b64":false,"crit":["b64"]}`), &key.PublicKey, jose.ErrHeader},
		{"DER signature", der, &key.PublicKey, jose.ErrSignature},
		{"zero signature", raw(`{"alg":"ES256"}`, func([]byte) []byte { return make([]byte, 64) }), &key.PublicKey, jose.ErrSignature},
		{"unsigned JSON", payload, &key.PublicKey, jose.ErrMalformed},
		{"payload changed", bytes.Replace(good, []byte("."+b64.EncodeToString(payload)), []byte("."+b64.EncodeToString([]byte(`{"a":2}`))), 1), &key.PublicKey, jose.ErrSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := jose.Verify(row.token, row.key)
			require.ErrorIs(t, err, row.want)
			require.Nil(t, got)
		})
	}
	_, err = jose.Sign(payload, p384, nil)
	require.ErrorIs(t, err, jose.ErrKey)
	_, err = jose.Sign(payload, nil, nil)
	require.ErrorIs(t, err, jose.ErrKey)
}

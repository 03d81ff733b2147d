package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// What can be wrong with a token. They hold nothing of it.
var (
	ErrMalformed = errors.New("jose: not a token in compact form")
	ErrHeader    = errors.New("jose: the token's header is not as it must be")
	ErrDecrypt   = errors.New("jose: the token is not encrypted to this key")
	ErrSignature = errors.New("jose: the token's signature is wrong")
	ErrKey       = errors.New("jose: the key does not fit the algorithm")
)

// maxHeader bounds a protected header in bytes, encoded.
const maxHeader = 1 << 10

// Decrypt opens a compact JWE (RFC 7516) that is A256KW and A256GCM and says nothing else in its header but typ, cty and
// kid. The key has 32 bytes. The caller bounds the token's length; the plaintext is shorter.
func Decrypt(token, key []byte) ([]byte, error) {
	if len(key) != 32 {
		return nil, ErrKey
	}
	parts, err := split(token, 5)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(parts[0], pureJWE, map[string]string{"alg": "A256KW", "enc": "A256GCM"}); err != nil {
		return nil, err
	}
	// RFC 7518: a wrapped 32-byte key has 40 bytes, the nonce 12, the tag 16.
	if len(parts[1]) != 54 || len(parts[2]) != 16 || len(parts[4]) != 22 {
		return nil, ErrMalformed
	}
	plain, err := jwe.Decrypt(token, jwe.WithKey(jwa.A256KW, key))
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}

// Verify checks a compact JWS (RFC 7515) that is ES256 and says nothing else in its header but typ, cty and kid, and
// returns its payload. The key is on P-256.
func Verify(token []byte, key *ecdsa.PublicKey) ([]byte, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return nil, ErrKey
	}
	parts, err := split(token, 3)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(parts[0], pureJWS, map[string]string{"alg": "ES256"}); err != nil {
		return nil, err
	}
	// RFC 7518, section 3.4: r and s in 32 bytes each.
	sig, err := base64.RawURLEncoding.Strict().DecodeString(string(parts[2]))
	if err != nil || len(sig) != 64 {
		return nil, ErrSignature
	}
	digest := sha256.Sum256(token[:len(parts[0])+1+len(parts[1])])
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return nil, ErrSignature
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(string(parts[1]))
	if err != nil {
		return nil, ErrMalformed
	}
	return payload, nil
}

// Sign makes a compact JWS by ES256 with the given header values, such as kid.
func Sign(payload []byte, key *ecdsa.PrivateKey, header map[string]string) ([]byte, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return nil, ErrKey
	}
	h := jws.NewHeaders()
	for name, v := range header {
		if err := h.Set(name, v); err != nil {
			return nil, ErrHeader
		}
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.ES256, key, jws.WithProtectedHeaders(h)))
	if err != nil {
		return nil, ErrKey
	}
	return token, nil
}

// Encrypt makes a compact JWE by the algorithms named, compressed if zip says so. Other ones than A256KW and A256GCM make
// what Decrypt must refuse.
func Encrypt(payload []byte, alg, enc string, key any, zip bool) ([]byte, error) {
	options := []jwe.EncryptOption{
		jwe.WithKey(jwa.KeyEncryptionAlgorithm(alg), key), jwe.WithContentEncryption(jwa.ContentEncryptionAlgorithm(enc)),
	}
	if zip {
		options = append(options, jwe.WithCompress(jwa.Deflate))
	}
	token, err := jwe.Encrypt(payload, options...)
	if err != nil {
		return nil, ErrKey
	}
	return token, nil
}

// split cuts a compact token into its parts, which are unpadded base64url and not empty.
func split(token []byte, n int) ([][]byte, error) {
	if bytes.Count(token, []byte{'.'}) != n-1 {
		return nil, ErrMalformed
	}
	parts := bytes.Split(token, []byte{'.'})
	for _, p := range parts {
		if len(p) == 0 {
			return nil, ErrMalformed
		}
		for _, c := range p {
			if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
				continue
			}
			return nil, ErrMalformed
		}
	}
	return parts, nil
}

// pure are the headers that say nothing but what they must, as encoders write them.
const (
	pureJWE = "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0" // {"alg":"A256KW","enc":"A256GCM"}
	pureJWS = "eyJhbGciOiJFUzI1NiJ9"                        // {"alg":"ES256"}
)

// checkHeader reads a protected header strictly: the values that must be, and at most typ, cty and kid beside them.
func checkHeader(part []byte, pure string, must map[string]string) error {
	if string(part) == pure {
		return nil
	}
	if len(part) > maxHeader {
		return ErrHeader
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(part))
	if err != nil {
		return ErrMalformed
	}
	h, err := jsonhttp.Parse(raw)
	if err != nil || !h.IsObject() {
		return ErrHeader
	}
	for name, want := range must {
		if got, ok := h.At(name).Text(); !ok || got != want {
			return ErrHeader
		}
	}
	for _, name := range h.Names() {
		if _, ok := must[name]; ok {
			continue
		}
		if name != "typ" && name != "cty" && name != "kid" {
			return ErrHeader
		}
		if _, ok := h.At(name).Text(); !ok {
			return ErrHeader
		}
	}
	return nil
}

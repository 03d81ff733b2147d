package passkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// coseKey is a public key as RFC 9053 writes it. For RSA, crv is the modulus and x the exponent.
type coseKey struct {
	Type      int64 `cbor:"1,keyasint"`
	Algorithm int64 `cbor:"3,keyasint"`
	Curve     any   `cbor:"-1,keyasint"`
	X         any   `cbor:"-2,keyasint"`
	Y         any   `cbor:"-3,keyasint"`
}

// offered reports whether a key is of an algorithm that was offered, and of the curve and size that go with it: WebAuthn
// section 5.8.5. go-webauthn looks at the algorithm only while it registers, and such a key could never be used.
func offered(key []byte, params []protocol.CredentialParameter) bool {
	var k coseKey
	if webauthncbor.Unmarshal(key, &k) != nil {
		return false
	}
	if !slices.ContainsFunc(params, func(p protocol.CredentialParameter) bool { return int64(p.Algorithm) == k.Algorithm }) {
		return false
	}
	x, _ := k.X.([]byte)
	y, _ := k.Y.([]byte)
	curve, _ := k.Curve.(uint64)
	if c, ok := k.Curve.(int64); ok && c > 0 {
		curve = uint64(c)
	}
	switch webauthncose.COSEAlgorithmIdentifier(k.Algorithm) {
	case webauthncose.AlgES256, webauthncose.AlgESP256:
		return k.Type == 2 && curve == 1 && onCurve(elliptic.P256(), x, y)
	case webauthncose.AlgES384, webauthncose.AlgESP384:
		return k.Type == 2 && curve == 2 && onCurve(elliptic.P384(), x, y)
	case webauthncose.AlgES512, webauthncose.AlgESP512:
		return k.Type == 2 && curve == 3 && onCurve(elliptic.P521(), x, y)
	case webauthncose.AlgEdDSA, webauthncose.AlgEd25519:
		return k.Type == 1 && curve == 6 && len(x) == 32
	case webauthncose.AlgES256K:
		return k.Type == 2 && curve == 8 && len(x) == 32 && len(y) == 32
	case webauthncose.AlgRS256, webauthncose.AlgRS384, webauthncose.AlgRS512, webauthncose.AlgPS256, webauthncose.AlgPS384, webauthncose.AlgPS512:
		n, _ := k.Curve.([]byte)
		return k.Type == 3 && len(n) >= 256 && len(n) <= 1024 && len(x) > 0 && len(x) <= 4
	}
	return false
}

// onCurve reports whether x and y are full-length coordinates of a point of the curve.
func onCurve(c elliptic.Curve, x, y []byte) bool {
	size := (c.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return false
	}
	_, err := ecdsa.ParseUncompressedPublicKey(c, append(append([]byte{4}, x...), y...))
	return err == nil
}

package attesttest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
)

// statement makes the attestation statement over authenticator data and client data hash.
func (a *Authenticator) statement(k *fidoKey, data, hash []byte) (string, map[string]any) {
	x5c := [][]byte{}
	if a.Signer.Cert != nil && a.Format != "apple" {
		x5c = append(x5c, a.Signer.Cert.Raw)
	}
	for _, c := range a.Chain {
		x5c = append(x5c, c.Raw)
	}
	switch a.Format {
	case "packed":
		return "packed", map[string]any{"alg": -7, "sig": fidoSign(a.Signer.Key, data, hash), "x5c": x5c}
	case "self":
		return "packed", map[string]any{"alg": -7, "sig": fidoSign(k.key, data, hash)}
	case "fido-u2f":
		point, err := k.key.PublicKey.Bytes()
		must(err)
		return "fido-u2f", map[string]any{"sig": fidoSign(a.Signer.Key, []byte{0}, data[:32], hash, k.id, point), "x5c": x5c}
	case "tpm":
		return "tpm", a.tpm(k, data, hash, x5c)
	case "android-key":
		return "android-key", map[string]any{"alg": -7, "sig": fidoSign(k.key, data, hash), "x5c": k.chain}
	case "apple":
		return "apple", map[string]any{"x5c": append([][]byte{a.apple(k, data, hash).Raw}, x5c...)}
	}
	return "none", map[string]any{}
}

// apple makes the certificate of a key: WebAuthn section 8.8.
func (a *Authenticator) apple(k *fidoKey, data, hash []byte) *x509.Certificate {
	nonce := sha256.Sum256(append(append([]byte{}, data...), hash...))
	value := append([]byte{0x30, 0x24, 0xa1, 0x22, 0x04, 0x20}, nonce[:]...)
	if a.Nonce != nil {
		value = a.Nonce(value)
	}
	return Sign(&a.Signer, &k.key.PublicKey, &x509.Certificate{
		NotBefore: a.Signer.Cert.NotBefore, NotAfter: a.Signer.Cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: OIDNonce, Value: value}},
	})
}

// tpm makes a TPM's statement: the structures of TPM 2.0 part 2, sections 12.2.4 and 10.12.8.
func (a *Authenticator) tpm(k *fidoKey, data, hash []byte, x5c [][]byte) map[string]any {
	u16 := binary.BigEndian.AppendUint16
	sized := func(to, b []byte) []byte { return append(u16(to, uint16(len(b))), b...) }
	point, err := k.key.PublicKey.Bytes()
	must(err)
	public := u16(u16(nil, 0x0023), 0x000b)                  // ECC, named by SHA-256
	public = binary.BigEndian.AppendUint32(public, 0x60472)  // a signing key that never leaves
	public = sized(public, nil)                              // no policy
	public = u16(u16(u16(u16(public, 0x10), 0x10), 3), 0x10) // no cipher, no scheme, P-256, no KDF
	public = sized(sized(public, point[1:33]), point[33:65])
	name := sha256.Sum256(public)
	signed := sha256.Sum256(append(append([]byte{}, data...), hash...))
	info := u16(binary.BigEndian.AppendUint32(nil, 0xff544347), 0x8017) // made by a TPM, certifies a key
	info = sized(info, u16(nil, 0x000b))
	info = sized(info, signed[:])
	info = append(info, make([]byte, 8+4+4+1+8)...) // clock, firmware
	info = sized(info, append(u16(nil, 0x000b), name[:]...))
	info = sized(info, nil)
	return map[string]any{"ver": "2.0", "alg": -7, "sig": fidoSign(a.Signer.Key, info), "certInfo": info, "pubArea": public, "x5c": x5c}
}

func fidoSign(key *ecdsa.PrivateKey, parts ...[]byte) []byte {
	d := sha256.New()
	for _, p := range parts {
		d.Write(p)
	}
	raw, err := ecdsa.SignASN1(rand.Reader, key, d.Sum(nil))
	must(err)
	return raw
}

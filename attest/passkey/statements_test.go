package passkey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

func statement(f func(s map[string]any)) *attesttest.FIDOForge {
	return &attesttest.FIDOForge{Statement: f}
}

func flip(name string) *attesttest.FIDOForge {
	return statement(func(s map[string]any) {
		b := bytes.Clone(s[name].([]byte))
		b[len(b)-1] ^= 1
		s[name] = b
	})
}

var (
	oidModel = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}
	oidNames = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// reissue signs an attestation certificate of the model anew, with one thing changed.
func reissue(m *attesttest.FIDOModel, of attesttest.CA, change func(c *x509.Certificate)) attesttest.CA {
	c := *of.Cert
	c.ExtraExtensions = nil
	for _, e := range of.Cert.Extensions {
		if e.Id.Equal(oidModel) || e.Id.Equal(oidNames) {
			c.ExtraExtensions = append(c.ExtraExtensions, e)
		}
	}
	c.RawSubject = nil
	change(&c)
	return attesttest.CA{Cert: attesttest.Sign(&m.CA, &of.Key.PublicKey, &c), Key: of.Key}
}

// WebAuthn section 8.2.1: what a certificate of packed attestation must be, one change a row.
func TestPackedCertificates(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(c *x509.Certificate)
	}{
		{"an authority", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }},
		{"no country", func(c *x509.Certificate) { c.Subject.Country = nil }},
		{"country of no standard", func(c *x509.Certificate) { c.Subject.Country = []string{"Norway"} }},
		{"no organization", func(c *x509.Certificate) { c.Subject.Organization = nil }},
		{"no unit", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = nil }},
		{"another unit", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Sales"} }},
		{"no name", func(c *x509.Certificate) { c.Subject.CommonName = "" }},
		{"over", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }},
		{"for another model", func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = append([]byte{4, 16}, make([]byte, 16)...)
		}},
		{"model of 15 bytes", func(c *x509.Certificate) { c.ExtraExtensions[0].Value = append([]byte{4, 15}, make([]byte, 15)...) }},
		{"model marked critical", func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			a := r.key()
			a.Signer = reissue(r.model, a.Signer, row.change)
			requireRefused(t, r.register(a, nil), attest.Failed, passkey.StepAttestation)
		})
	}
	r := newRig(t)
	a := r.key()
	a.Signer = reissue(r.model, a.Signer, func(*x509.Certificate) {})
	requirePassed(t, r.register(a, nil))
}

// Self attestation is a signature by the passkey itself.
func TestSelfStatements(t *testing.T) {
	for name, f := range map[string]*attesttest.FIDOForge{
		"signature":         flip("sig"),
		"another algorithm": statement(func(s map[string]any) { s["alg"] = -257 }),
		"no algorithm":      statement(func(s map[string]any) { delete(s, "alg") }),
		"no signature":      statement(func(s map[string]any) { delete(s, "sig") }),
		"empty chain":       statement(func(s map[string]any) { s["x5c"] = [][]byte{} }),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a := r.key()
			a.Format = "self"
			requireRefused(t, r.register(a, f), attest.Failed, passkey.StepAttestation)
		})
	}
	// With the batch's genuine certificate beside it, it is no signature of the batch's.
	r := newRig(t)
	a, batch := r.key(), r.key()
	a.Format = "self"
	f := statement(func(s map[string]any) { s["x5c"] = [][]byte{batch.Signer.Cert.Raw} })
	requireRefused(t, r.register(a, f), attest.Failed, passkey.StepAttestation)
}

// WebAuthn section 8.6.
func TestU2FStatements(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(r *rig, m *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge
		step   string
		trust  passkey.Trust // of those that pass
	}{
		{"as it should be", func(*rig, *attesttest.FIDOModel, *attesttest.Authenticator) *attesttest.FIDOForge { return nil }, "", passkey.Certified},
		{"signature", func(*rig, *attesttest.FIDOModel, *attesttest.Authenticator) *attesttest.FIDOForge { return flip("sig") }, passkey.StepAttestation, 0},
		{"two certificates", func(r *rig, m *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge {
			a.Chain = append(a.Chain, m.CA.Cert)
			return nil
		}, passkey.StepAttestation, 0},
		{"no certificate", func(*rig, *attesttest.FIDOModel, *attesttest.Authenticator) *attesttest.FIDOForge {
			return statement(func(s map[string]any) { delete(s, "x5c") })
		}, passkey.StepAttestation, 0},
		{"the AAGUID of a better model", func(r *rig, _ *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge {
			a.AAGUID = r.model.AAGUID
			return nil
		}, "", passkey.Certified},
		{"the same, of a key that nobody knows, by the same maker", func(r *rig, m *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge {
			r.model.CA, m.KeyIDs = m.CA, nil // one authority signs all that the maker makes
			r.publish()
			a.AAGUID = r.model.AAGUID
			return nil
		}, "", passkey.Unknown},
		{"certificate over", func(_ *rig, m *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge {
			a.Signer = reissue(m, a.Signer, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
			return nil
		}, passkey.StepAttestation, 0},
		{"key on another curve", func(_ *rig, m *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				panic(err)
			}
			a.Signer = attesttest.CA{Key: key, Cert: attesttest.Sign(&m.CA, &key.PublicKey, a.Signer.Cert)}
			return nil
		}, passkey.StepAttestation, 0},
		{"a key the metadata does not know", func(r *rig, m *attesttest.FIDOModel, _ *attesttest.Authenticator) *attesttest.FIDOForge {
			m.KeyIDs = nil
			r.publish()
			return nil
		}, "", passkey.Unknown},
		{"a known key's name on another CA's certificate", func(r *rig, m *attesttest.FIDOModel, a *attesttest.Authenticator) *attesttest.FIDOForge {
			id := a.Signer.Cert.SubjectKeyId
			thief := r.fido.NewModel("Thief", "")
			a.Signer = reissue(thief, thief.U2FBatch(r.clock()), func(c *x509.Certificate) { c.SubjectKeyId = id })
			return nil
		}, passkey.StepTrust, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			m := r.fido.NewModel("U2F", "FIDO_CERTIFIED")
			a := r.fido.U2FKey(m)
			a.Flags |= attesttest.FlagUV
			r.models = append(r.models, m)
			r.publish()
			res := r.register(a, row.change(r, m, a))
			if row.step == "" {
				requirePassed(t, res)
				require.Equal(t, row.trust, res.Judged.Trust)
				require.False(t, res.Judged.Authentic, "its signature covers no AAGUID")
				return
			}
			requireRefused(t, res, attest.Failed, row.step)
		})
	}
}

// WebAuthn section 8.3, and 8.3.1 for the certificate.
func TestTPMStatements(t *testing.T) {
	at := func(name string, i int) *attesttest.FIDOForge {
		return statement(func(s map[string]any) {
			b := bytes.Clone(s[name].([]byte))
			if i < 0 {
				i += len(b)
			}
			b[i] ^= 1
			s[name] = b
		})
	}
	for name, f := range map[string]*attesttest.FIDOForge{
		"magic":                     at("certInfo", 0),
		"made for another purpose":  at("certInfo", 5),
		"over other data":           at("certInfo", 12),
		"of another key":            at("certInfo", -3),
		"attributes of another key": at("pubArea", 4),
		"public key changed":        at("pubArea", -1),
		"signature":                 flip("sig"),
		"version":                   statement(func(s map[string]any) { s["ver"] = "1.2" }),
		"no version":                statement(func(s map[string]any) { delete(s, "ver") }),
		"another algorithm":         statement(func(s map[string]any) { s["alg"] = -257 }),
		"ECDAA":                     statement(func(s map[string]any) { s["ecdaaKeyId"] = []byte{1} }),
		"no certificates":           statement(func(s map[string]any) { delete(s, "x5c") }),
		"information cut short":     statement(func(s map[string]any) { b := s["certInfo"].([]byte); s["certInfo"] = b[:len(b)-3] }),
		"area cut short":            statement(func(s map[string]any) { b := s["pubArea"].([]byte); s["pubArea"] = b[:len(b)-3] }),
		"no information":            statement(func(s map[string]any) { s["certInfo"] = []byte{} }),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			requireRefused(t, r.register(r.fido.TPMPlatform(r.model), f), attest.Failed, passkey.StepAttestation)
		})
	}
	for name, change := range map[string]func(c *x509.Certificate){
		"a subject":   func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "TPM"} },
		"no names":    func(c *x509.Certificate) { c.ExtraExtensions = nil },
		"no usage":    func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil },
		"other usage": func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}} },
		"authority":   func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign },
		"over":        func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) },
		"for another model": func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidModel, Value: append([]byte{4, 16}, make([]byte, 16)...)})
		},
	} {
		t.Run("certificate: "+name, func(t *testing.T) {
			r := newRig(t)
			a := r.fido.TPMPlatform(r.model)
			a.Signer = reissue(r.model, a.Signer, change)
			requireRefused(t, r.register(a, nil), attest.Failed, passkey.StepAttestation)
		})
	}
}

// statementObject is an attestation object, as far as the rows below change it.
type statementObject struct {
	Format    string                     `cbor:"fmt"`
	Statement map[string]cbor.RawMessage `cbor:"attStmt"`
	AuthData  []byte                     `cbor:"authData"`
}

func recode[T any](t *testing.T, raw cbor.RawMessage, f func(v T) T) cbor.RawMessage {
	var v T
	require.NoError(t, cbor.Unmarshal(raw, &v))
	return attesttest.CBOR(f(v))
}

// What real devices have made, with one thing changed: android-key and apple are reached in no other way, since
// go-webauthn trusts their makers' roots only.
func TestVectorsStatements(t *testing.T) {
	unpad := func(s string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		require.NoError(t, err)
		return raw
	}
	rows := []struct {
		name   string
		change func(t *testing.T, o *statementObject) bool // false: says nothing of this format
	}{
		{"counter changed after signing", func(_ *testing.T, o *statementObject) bool { o.AuthData[36] ^= 1; return o.Format != "fido-u2f" }},
		{"signature", func(t *testing.T, o *statementObject) bool {
			if o.Statement["sig"] == nil {
				return false
			}
			o.Statement["sig"] = recode(t, o.Statement["sig"], func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
			return true
		}},
		{"no signature", func(_ *testing.T, o *statementObject) bool {
			_, ok := o.Statement["sig"]
			delete(o.Statement, "sig")
			return ok
		}},
		{"another algorithm", func(_ *testing.T, o *statementObject) bool {
			_, ok := o.Statement["alg"]
			o.Statement["alg"] = attesttest.CBOR(-8)
			return ok
		}},
		{"another key", func(_ *testing.T, o *statementObject) bool {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				panic(err)
			}
			n := 55 + int(o.AuthData[53])<<8 + int(o.AuthData[54])
			o.AuthData = append(o.AuthData[:n:n], attesttest.COSE(&key.PublicKey)...)
			return true
		}},
		{"no certificates", func(_ *testing.T, o *statementObject) bool {
			o.Statement["x5c"] = attesttest.CBOR([][]byte{})
			return true
		}},
		{"x5c missing", func(_ *testing.T, o *statementObject) bool { delete(o.Statement, "x5c"); return true }},
		{"leaf alone", func(t *testing.T, o *statementObject) bool {
			o.Statement["x5c"] = recode(t, o.Statement["x5c"], func(c [][]byte) [][]byte { return c[:1] })
			return o.Format == "android-key" || o.Format == "apple" // without metadata the others' chains lead nowhere
		}},
		{"one certificate left out", func(t *testing.T, o *statementObject) bool {
			o.Statement["x5c"] = recode(t, o.Statement["x5c"], func(c [][]byte) [][]byte { return append(c[:1:1], c[min(2, len(c)):]...) })
			return o.Format == "android-key" || o.Format == "apple"
		}},
		{"the authority as leaf", func(t *testing.T, o *statementObject) bool {
			n := 0
			o.Statement["x5c"] = recode(t, o.Statement["x5c"], func(c [][]byte) [][]byte { n = len(c); return c[min(1, n-1):] })
			return n > 1
		}},
		{"leaf changed", func(t *testing.T, o *statementObject) bool {
			o.Statement["x5c"] = recode(t, o.Statement["x5c"], func(c [][]byte) [][]byte {
				c[0] = bytes.Clone(c[0])
				c[0][len(c[0])-1] ^= 1
				return c
			})
			return o.Format == "android-key" || o.Format == "apple"
		}},
		{"of another format", func(_ *testing.T, o *statementObject) bool {
			if o.Format == "packed" {
				o.Format = "android-key"
			} else {
				o.Format = "packed"
			}
			return true
		}},
		{"of the format none", func(_ *testing.T, o *statementObject) bool { o.Format = "none"; return true }},
	}
	eachVector(t, func(v *vector, t *testing.T) {
		var o statementObject
		raw := unpad(v.Registration.AttestationObject)
		if v.Expected.Ceremony != "accept" || cbor.Unmarshal(raw, &o) != nil || o.Statement["x5c"] == nil {
			t.Skip("refused as it is, or without a chain")
		}
		for _, row := range rows {
			var o statementObject
			require.NoError(t, cbor.Unmarshal(raw, &o))
			if !row.change(t, &o) {
				continue
			}
			changed := *v
			changed.Registration.AttestationObject = base64.RawURLEncoding.EncodeToString(attesttest.CBOR(o))
			res, _ := changed.play(t, nil, false)
			require.False(t, res.Passed(), row.name)
			require.Equal(t, passkey.StepAttestation, res.Verdict.Step(), row.name)
			require.Equal(t, attest.None, res.Verdict.Strength(), row.name)
		}
		other := *v
		client := unpad(v.Registration.ClientDataJSON)
		other.Registration.ClientDataJSON = base64.RawURLEncoding.EncodeToString(append(client, ' '))
		require.NotEqual(t, sha256.Sum256(client), sha256.Sum256(append(client, ' ')))
		res, _ := other.play(t, nil, false)
		require.Equal(t, passkey.StepAttestation, res.Verdict.Step(), "client data changed after signing")
	})
}

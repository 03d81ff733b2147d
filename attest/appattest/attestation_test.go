package appattest_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

var p384 = elliptic.P384()

func TestAttestationOfEveryDevice(t *testing.T) {
	w := newWorld()
	for name, p := range w.phones() {
		t.Run(name, func(t *testing.T) {
			v := w.verifier(t, start, p.app)
			k := p.phone.NewKey()
			a, err := v.Attestation(k.Attest(w.hash, nil), k.ID, w.hash)
			require.NoError(t, err)
			require.Equal(t, p.app.ID(), a.AppID)
			require.Equal(t, p.app.Environment, a.Environment)
			require.Equal(t, k.ID, a.KeyID)
			require.True(t, a.PublicKey.Equal(&k.Key.PublicKey))
			pub, err := x509.ParsePKIXPublicKey(a.PublicKeyDER)
			require.NoError(t, err)
			require.True(t, a.PublicKey.Equal(pub))
			require.NotEmpty(t, a.Receipt)

			key := appattest.Key{AppID: a.AppID, Environment: a.Environment, PublicKey: a.PublicKey}
			for counter := range uint32(3) {
				key.Counter = counter
				s, err := v.Assertion(key, k.Assert(w.hash, nil), w.hash)
				require.NoError(t, err)
				require.Equal(t, counter+1, s.Counter)
				require.Equal(t, a.Category, s.Category)
			}
			r, err := v.Receipt(a.Receipt, key)
			require.NoError(t, err)
			require.Equal(t, appattest.ReceiptAttest, r.Type)
			require.Nil(t, r.RiskMetric)
			require.Equal(t, w.hash, r.ClientHash)
		})
	}
}

// change is an attestation with one thing wrong, and the step that must say so.
type change struct {
	name  string
	forge attesttest.AppleForge
	step  string
	want  error
}

func authData(f func(d []byte) []byte) attesttest.AppleForge {
	return attesttest.AppleForge{AuthData: func(d []byte) []byte { return f(bytes.Clone(d)) }}
}

func setAt(i int, b ...byte) attesttest.AppleForge {
	return authData(func(d []byte) []byte { copy(d[i:], b); return d })
}

func rpID(id string) attesttest.AppleForge {
	sum := sha256.Sum256([]byte(id))
	return setAt(0, sum[:]...)
}

func appended(b ...byte) attesttest.AppleForge {
	return authData(func(d []byte) []byte { return append(d, b...) })
}

func leafIs(f func(c *x509.Certificate)) attesttest.AppleForge { return attesttest.AppleForge{Leaf: f} }

func encoded(f func(raw []byte) []byte) attesttest.AppleForge {
	return attesttest.AppleForge{Encoded: f}
}

func statement(f func(s map[string]any)) attesttest.AppleForge {
	return attesttest.AppleForge{Object: func(o map[string]any) { f(o["attStmt"].(map[string]any)) }}
}

func attestationChanges(t testing.TB, w *world) []change {
	other := w.apple.IPhone(team, bundle, nil).NewKey()
	evil := authority(t, &x509.Certificate{Subject: w.apple.Root.Cert.Subject}, nil)
	evilCA := authority(t, &x509.Certificate{Subject: w.apple.Intermediate.Cert.Subject}, &evil)
	named := authority(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Apple Other CA 1"}}, &w.apple.Root)
	oldCA := attesttest.NewCA(&w.apple.Root, p384, &x509.Certificate{
		Subject: w.apple.Intermediate.Cert.Subject, NotBefore: start.Add(-2 * time.Hour), NotAfter: start.Add(-time.Hour)})
	chain := func(f func(c [][]byte) [][]byte) attesttest.AppleForge { return attesttest.AppleForge{Chain: f} }
	nested := append(bytes.Repeat([]byte{0x81}, 200), 0)
	return []change{
		{"format", attesttest.AppleForge{Object: func(o map[string]any) { o["fmt"] = "packed" }}, "format", attest.ErrMalformed},
		{"unknown member", attesttest.AppleForge{Object: func(o map[string]any) { o["more"] = 1 }}, "decode", attest.ErrMalformed},
		{"no statement", attesttest.AppleForge{Object: func(o map[string]any) { o["attStmt"] = 7 }}, "decode", attest.ErrMalformed},
		{"trailing byte", encoded(func(r []byte) []byte { return append(r, 0) }), "decode", attest.ErrMalformed},
		{"truncated", encoded(func(r []byte) []byte { return r[:len(r)-1] }), "decode", attest.ErrMalformed},
		{"duplicate key", encoded(func(r []byte) []byte {
			return append(append([]byte{0xa4}, r[1:]...), append([]byte{0x63}, append([]byte("fmt"), 0x60)...)...)
		}), "decode", attest.ErrMalformed},
		{"indefinite length", encoded(func(r []byte) []byte { return append(append([]byte{0xbf}, r[1:]...), 0xff) }), "decode", attest.ErrMalformed},
		{"huge length", encoded(func([]byte) []byte { return []byte{0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }), "decode", attest.ErrMalformed},
		{"deep nesting", encoded(func([]byte) []byte { return nested }), "decode", attest.ErrMalformed},
		{"nothing", encoded(func([]byte) []byte { return nil }), "decode", attest.ErrMalformed},
		{"too large", encoded(func(r []byte) []byte { return append(r, make([]byte, 64<<10)...) }), "size", attest.ErrTooLarge},
		{"huge receipt", statement(func(s map[string]any) { s["receipt"] = make([]byte, 20<<10); s["x5c"] = [][]byte{} }), "chain", attest.ErrChain},

		{"leaf only", chain(func(c [][]byte) [][]byte { return c[:1] }), "chain", attest.ErrChain},
		{"no certificates", chain(func([][]byte) [][]byte { return nil }), "chain", attest.ErrChain},
		{"root added", chain(func(c [][]byte) [][]byte { return append(c, w.apple.Root.Cert.Raw) }), "chain", attest.ErrChain},
		{"twelve certificates", chain(func(c [][]byte) [][]byte {
			return append(c, c[1], c[1], c[1], c[1], c[1], c[1], c[1], c[1], c[1], c[1])
		}), "chain", attest.ErrChain},
		{"hundreds of certificates", statement(func(s map[string]any) {
			var many [][]byte
			for range 500 {
				many = append(many, []byte{0x30})
			}
			s["x5c"] = many
		}), "decode", attest.ErrMalformed},
		{"swapped", chain(func(c [][]byte) [][]byte { return [][]byte{c[1], c[0]} }), "chain", attest.ErrChain},
		{"intermediate as leaf", chain(func(c [][]byte) [][]byte { return [][]byte{c[1], w.apple.Root.Cert.Raw} }), "chain", attest.ErrChain},
		{"rubbish as leaf", chain(func(c [][]byte) [][]byte { return [][]byte{{1, 2, 3}, c[1]} }), "chain", attest.ErrMalformed},
		{"rubbish as intermediate", chain(func(c [][]byte) [][]byte { return [][]byte{c[0], {1, 2, 3}} }), "chain", attest.ErrMalformed},
		{"leaf signature changed", chain(func(c [][]byte) [][]byte {
			l := bytes.Clone(c[0])
			l[len(l)-1] ^= 1
			return [][]byte{l, c[1]}
		}), "chain", attest.ErrForged},
		{"own authority of the same name", attesttest.AppleForge{Issuer: &evilCA, Chain: func(c [][]byte) [][]byte { return [][]byte{c[0], evilCA.Cert.Raw} }}, "chain", attest.ErrChain},
		{"own authority, genuine certificate sent", attesttest.AppleForge{Issuer: &evilCA}, "chain", attest.ErrForged},
		{"another authority of Apple's", attesttest.AppleForge{Issuer: &named, Chain: func(c [][]byte) [][]byte { return [][]byte{c[0], named.Cert.Raw} }}, "chain", attest.ErrChain},
		{"expired authority", attesttest.AppleForge{Issuer: &oldCA, Chain: func(c [][]byte) [][]byte { return [][]byte{c[0], oldCA.Cert.Raw} }}, "chain", attest.ErrExpired},
		{"leaf is a CA", leafIs(func(c *x509.Certificate) { c.IsCA = true }), "chain", attest.ErrChain},
		{"leaf may sign certificates", leafIs(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), "chain", attest.ErrChain},
		{"leaf has an unknown critical extension", leafIs(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}), "chain", attest.ErrChain},
		{"expired", leafIs(func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Second) }), "chain", attest.ErrExpired},
		{"not yet valid", leafIs(func(c *x509.Certificate) { c.NotBefore = start.Add(time.Second) }), "chain", attest.ErrExpired},
		{"foreign usage", leafIs(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 840, 113635, 100, 4, 25}}
		}), "usage", attest.ErrChain},
		{"server usage", leafIs(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "usage", attest.ErrChain},

		{"no nonce", leafIs(func(c *x509.Certificate) { c.ExtraExtensions = nil }), "nonce", attest.ErrNonce},
		{"nonce elsewhere", leafIs(func(c *x509.Certificate) {
			c.ExtraExtensions[0].Id = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 3}
		}), "nonce", attest.ErrNonce},
		{"nonce changed", attesttest.AppleForge{Nonce: func(v []byte) []byte { v[37] ^= 1; return v }}, "nonce", attest.ErrNonce},
		{"nonce with more behind it", attesttest.AppleForge{Nonce: func(v []byte) []byte { return append(v, 0) }}, "nonce", attest.ErrNonce},
		{"nonce somewhere inside", attesttest.AppleForge{Nonce: func(v []byte) []byte { return append([]byte{0x30, 0x00}, v...) }}, "nonce", attest.ErrNonce},
		{"nonce twice", leafIs(func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, c.ExtraExtensions[0]) }), "chain", attest.ErrMalformed},
		{"data changed after signing", attesttest.AppleForge{Object: func(o map[string]any) {
			d := bytes.Clone(o["authData"].([]byte))
			d[36] = 9
			o["authData"] = d
		}}, "nonce", attest.ErrNonce},

		{"no attested data", setAt(32, 0), "auth_data", attest.ErrMalformed},
		{"too short", authData(func(d []byte) []byte { return d[:86] }), "auth_data", attest.ErrMalformed},
		{"data of an assertion", authData(func(d []byte) []byte { return d[:37] }), "auth_data", attest.ErrMalformed},
		{"another team", rpID("ZZZZZ12345." + bundle), "app", attest.ErrAppIdentity},
		{"another bundle", rpID(team + ".com.example.other"), "app", attest.ErrAppIdentity},
		{"bundle prefix", rpID(team + ".com.example"), "app", attest.ErrAppIdentity},
		{"bundle longer", rpID(team + "." + bundle + "x"), "app", attest.ErrAppIdentity},
		{"bundle in capitals", rpID(team + "." + strings.ToUpper(bundle)), "app", attest.ErrAppIdentity},
		{"counter 1", setAt(33, 0, 0, 0, 1), "counter", attest.ErrCounter},
		{"development key", setAt(37, []byte("appattestdevelop")...), "environment", attest.ErrEnvironment},
		{"sandbox key", setAt(37, []byte("appattestsandbox")...), "environment", attest.ErrEnvironment},
		{"name trimmed of zeros", setAt(37, []byte("appattest\x00\x00\x00\x00\x00\x00 ")...), "environment", attest.ErrEnvironment},
		{"zero aaguid", setAt(37, make([]byte, 16)...), "environment", attest.ErrEnvironment},
		{"credential id of 31", setAt(53, 0, 31), "credential_id", attest.ErrKeyID},
		{"credential id beyond the end", setAt(53, 0xff, 0xff), "credential_id", attest.ErrKeyID},
		{"credential id of another key", setAt(55, other.ID...), "credential_id", attest.ErrKeyID},
		{"COSE key of another key", authData(func(d []byte) []byte { return append(d[:87], attesttest.COSE(&other.Key.PublicKey)...) }), "cose_key", attest.ErrKeyID},
		{"no COSE key", authData(func(d []byte) []byte { return d[:87] }), "cose_key", attest.ErrKeyID},
		{"COSE key truncated", authData(func(d []byte) []byte { return d[:len(d)-1] }), "cose_key", attest.ErrKeyID},
		{"COSE key of another algorithm", authData(func(d []byte) []byte { return bytes.Replace(d, []byte{0x03, 0x26}, []byte{0x03, 0x27}, 1) }), "cose_key", attest.ErrKeyID},
		{"COSE key of another curve", authData(func(d []byte) []byte { return bytes.Replace(d, []byte{0x20, 0x01}, []byte{0x20, 0x02}, 1) }), "cose_key", attest.ErrKeyID},
		{"COSE key of another kind", authData(func(d []byte) []byte { return append(d[:87], attesttest.CBOR(map[int]any{1: 3, 3: -257})...) }), "cose_key", attest.ErrKeyID},

		{"a byte behind the key", appended(0), "extensions", attest.ErrMalformed},
		{"a text behind the key", appended(0x61, 'a'), "extensions", attest.ErrMalformed},
		{"two maps", appended(0xa0, 0xa0), "extensions", attest.ErrMalformed},
		{"half a map", appended(0xa1, 0x61, 'a'), "extensions", attest.ErrMalformed},
		{"map of numbers", appended(0xa1, 0x01, 0x01), "extensions", attest.ErrMalformed},
		{"endless map", appended(0xbf, 0xff), "extensions", attest.ErrMalformed},
		{"map with a name twice", appended(0xa2, 0x61, 'a', 0x01, 0x61, 'a', 0x02), "extensions", attest.ErrMalformed},
	}
}

func TestAttestationRefuses(t *testing.T) {
	w := newWorld()
	v := w.verifier(t, start)
	for _, c := range attestationChanges(t, w) {
		t.Run(c.name, func(t *testing.T) {
			k := w.apple.IPhone(team, bundle, nil).NewKey()
			a, err := v.Attestation(k.Attest(w.hash, &c.forge), k.ID, w.hash)
			requireStep(t, err, c.step, c.want)
			require.Nil(t, a)
			e := v.ExplainAttestation(k.Attest(w.hash, &c.forge), k.ID, w.hash)
			require.Equal(t, c.step, e.Refused)
			require.NotContains(t, e.Steps, c.step)
		})
	}
}

func TestAttestationInputs(t *testing.T) {
	w := newWorld()
	v := w.verifier(t, start)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	good := k.Attest(w.hash, nil)
	point, err := k.Key.PublicKey.Bytes()
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&k.Key.PublicKey)
	require.NoError(t, err)
	ofDER := sha256.Sum256(der)
	p384Key := attesttest.NewCA(nil, p384, &x509.Certificate{NotBefore: start, NotAfter: start})
	for _, row := range []struct {
		name        string
		keyID, hash []byte
		step        string
		want        error
	}{
		{"another hash", k.ID, make([]byte, 32), "nonce", attest.ErrNonce},
		{"no hash", k.ID, nil, "nonce", attest.ErrNonce},
		{"prefix of the hash", k.ID, w.hash[:31], "nonce", attest.ErrNonce},
		{"huge hash", k.ID, make([]byte, 2048), "size", attest.ErrTooLarge},
		{"another key id", make([]byte, 32), w.hash, "key_id", attest.ErrKeyID},
		{"no key id", nil, w.hash, "key_id", attest.ErrKeyID},
		{"hash of the DER form", ofDER[:], w.hash, "key_id", attest.ErrKeyID},
		{"the point itself", point, w.hash, "key_id", attest.ErrKeyID},
		{"prefix of the key id", k.ID[:31], w.hash, "key_id", attest.ErrKeyID},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := v.Attestation(good, row.keyID, row.hash)
			requireStep(t, err, row.step, row.want)
		})
	}
	t.Run("key on another curve", func(t *testing.T) {
		leaf := attesttest.Sign(&w.apple.Intermediate, &p384Key.Key.PublicKey, &x509.Certificate{
			NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), ExtraExtensions: nonceOf(t, good)})
		forged := k.Attest(w.hash, &attesttest.AppleForge{Chain: func(c [][]byte) [][]byte { return [][]byte{leaf.Raw, c[1]} }})
		_, err := v.Attestation(forged, k.ID, w.hash)
		requireStep(t, err, "key_id", attest.ErrKeyID)
	})
	t.Run("development is not production", func(t *testing.T) {
		dev := production()
		dev.Environment = appattest.Development
		_, err := w.verifier(t, start, dev).Attestation(good, k.ID, w.hash)
		requireStep(t, err, "environment", attest.ErrEnvironment)
	})
	t.Run("Apple does not vouch for the virtual Apple", func(t *testing.T) {
		v, err := appattest.New([]appattest.App{production()}, &appattest.Options{Now: at(start)})
		require.NoError(t, err)
		_, err = v.Attestation(good, k.ID, w.hash)
		requireStep(t, err, "chain", attest.ErrChain)
	})
	t.Run("a warm intermediate expires all the same", func(t *testing.T) {
		now := start
		v, err := appattest.New([]appattest.App{production()}, &appattest.Options{
			Now: func() time.Time { return now }, InsecureTestRoots: w.apple.Roots()})
		require.NoError(t, err)
		_, err = v.Attestation(good, k.ID, w.hash)
		require.NoError(t, err)
		now = w.apple.Intermediate.Cert.NotAfter.Add(time.Second)
		long := k.Attest(w.hash, &attesttest.AppleForge{Leaf: func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) }})
		_, err = v.Attestation(long, k.ID, w.hash)
		requireStep(t, err, "chain", attest.ErrExpired)
	})
}

// nonceOf is the nonce extension of an attestation of the same data.
func nonceOf(t testing.TB, object []byte) []pkix.Extension {
	i := bytes.Index(object, []byte{0x30, 0x24, 0xa1, 0x22, 0x04, 0x20})
	require.Positive(t, i)
	return []pkix.Extension{{Id: attesttest.OIDNonce, Value: object[i : i+38]}}
}

func category(n uint32) []byte {
	return binary.LittleEndian.AppendUint32(nil, n)
}

func TestCategories(t *testing.T) {
	w := newWorld()
	const cat, ver = "apple_validation_category_01", "apple_bundle_version_01"
	only, missing := production(), production()
	only.Categories = appattest.Only(appattest.AppStore, appattest.TestFlight)
	missing.Categories = appattest.OnlyOrMissing(appattest.AppStore, appattest.TestFlight)
	versioned := only
	versioned.BundleVersions = []string{"7", "8"}
	for _, row := range []struct {
		name string
		app  appattest.App
		ext  map[string]any // nil: none
		step string         // "": passes
	}{
		{"allowed", only, map[string]any{cat: category(4)}, ""},
		{"allowed as number", only, map[string]any{cat: uint32(2)}, ""},
		{"with what is unknown", only, map[string]any{cat: category(4), "apple_new_01": []int{1}}, ""},
		{"with code hashes", only, map[string]any{cat: category(4), "apple_cd_hash_hash_01": make([]byte, 32), "apple_cd_hash_type_01": []byte{2}}, ""},
		{"missing where it must be", only, nil, "category"},
		{"missing in a map", only, map[string]any{ver: "7"}, "category"},
		{"missing where it may", missing, nil, ""},
		{"not allowed", missing, map[string]any{cat: category(3)}, "category"},
		{"invalid", missing, map[string]any{cat: category(0)}, "category"},
		{"restricted", missing, map[string]any{cat: category(7)}, "category"},
		{"unknown", missing, map[string]any{cat: category(255)}, "category"},
		{"big endian", missing, map[string]any{cat: []byte{0, 0, 0, 4}}, "category"},
		{"3 bytes", missing, map[string]any{cat: []byte{4, 0, 0}}, "extensions"},
		{"no bytes", missing, map[string]any{cat: []byte{}}, "extensions"},
		{"text", missing, map[string]any{cat: "4"}, "extensions"},
		{"negative", missing, map[string]any{cat: -1}, "extensions"},
		{"more than 32 bits", missing, map[string]any{cat: uint64(4) << 32}, "extensions"},
		{"null", missing, map[string]any{cat: nil}, "extensions"},
		{"version listed", versioned, map[string]any{cat: category(4), ver: "8"}, ""},
		{"version not listed", versioned, map[string]any{cat: category(4), ver: "9"}, "bundle_version"},
		{"version missing", versioned, map[string]any{cat: category(4)}, "bundle_version"},
		{"version a number", only, map[string]any{cat: category(4), ver: 7}, "extensions"},
		{"version huge", only, map[string]any{cat: category(4), ver: strings.Repeat("7", 300)}, "extensions"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := w.verifier(t, start, row.app)
			k := w.apple.IPhone(team, bundle, nil).NewKey()
			for _, ed := range []byte{0, 0x80} {
				forge := authData(func(d []byte) []byte {
					d[32] |= ed
					if row.ext != nil {
						d = append(d, attesttest.CBOR(row.ext)...)
					}
					return d
				})
				_, err := v.Attestation(k.Attest(w.hash, &forge), k.ID, w.hash)
				_, err2 := v.Assertion(keyOf(k), k.Assert(w.hash, &forge), w.hash)
				for _, err := range []error{err, err2} {
					if row.step == "" {
						require.NoError(t, err)
						continue
					}
					var s *attest.StepError
					require.ErrorAs(t, err, &s)
					require.Equal(t, row.step, s.Step)
				}
			}
		})
	}
}

func TestMacACL(t *testing.T) {
	w := newWorld()
	mac := production()
	mac.System = appattest.MacOS
	v := w.verifier(t, start, mac)
	k := w.apple.IPhone(team, bundle, &attesttest.IPhoneOptions{Mac: true}).NewKey()
	_, err := v.Attestation(k.Attest(w.hash, nil), k.ID, w.hash)
	require.NoError(t, err)
	for name, change := range map[string]func(c *x509.Certificate){
		"missing": func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[:1] },
		"changed": func(c *x509.Certificate) { c.ExtraExtensions[1].Value[40] ^= 1 },
		"longer":  func(c *x509.Certificate) { c.ExtraExtensions[1].Value = append(c.ExtraExtensions[1].Value, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Attestation(k.Attest(w.hash, &attesttest.AppleForge{Leaf: change}), k.ID, w.hash)
			requireStep(t, err, "acl", attest.ErrTampered)
		})
	}
	t.Run("never asked of iOS", func(t *testing.T) {
		ios := w.apple.IPhone(team, bundle, nil).NewKey()
		forge := leafIs(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: attesttest.OIDACL, Value: []byte{0x30, 0x00}})
		})
		_, err := w.verifier(t, start).Attestation(ios.Attest(w.hash, &forge), ios.ID, w.hash)
		require.NoError(t, err)
	})
}

package androidkey_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

const pkg = "com.example.app"

var (
	start     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	signer    = bytes.Repeat([]byte{5}, 32)
	challenge = []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	ctx       = context.Background()
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// theGoogle is made once: authorities are costly to make, and tests only read it.
var theGoogle = sync.OnceValue(func() *attesttest.Google { return attesttest.NewGoogle(at(start)) })

// list is a revocation list of a test.
type list map[string]androidkey.Entry

func (l list) Lookup(_ context.Context, serials []string) (androidkey.Entry, bool, error) {
	for _, s := range serials {
		if e, ok := l[s]; ok {
			return e, true, nil
		}
	}
	return androidkey.Entry{}, false, nil
}

func newVerifier(t testing.TB, revoked androidkey.Revocations, change func(o *androidkey.Options)) *androidkey.Verifier {
	o := &androidkey.Options{Now: at(start), InsecureTestRoots: theGoogle().Roots()}
	if change != nil {
		change(o)
	}
	v, err := androidkey.New([]androidkey.App{{Package: pkg, Signers: [][]byte{signer}}}, revoked, o)
	require.NoError(t, err)
	return v
}

func device(o attesttest.AndroidOptions) *attesttest.Android {
	return theGoogle().Android(pkg, signer, &o)
}

func requireStep(t testing.TB, err error, step string, want error) {
	t.Helper()
	var s *attest.StepError
	require.ErrorAs(t, err, &s)
	require.Equal(t, step, s.Step)
	require.ErrorIs(t, err, want)
}

func TestEveryDevice(t *testing.T) {
	old := attesttest.AndroidOptions{Factory: true, NotBefore: start.Add(-900 * 24 * time.Hour), NotAfter: start.Add(-100 * 24 * time.Hour)}
	for _, row := range []struct {
		name     string
		device   attesttest.AndroidOptions
		level    androidkey.SecurityLevel
		how      androidkey.Provisioning
		strength attest.Strength
	}{
		{"TEE, remote", attesttest.AndroidOptions{}, androidkey.LevelTEE, androidkey.Remote, attest.TEE},
		{"StrongBox, remote", attesttest.AndroidOptions{StrongBox: true}, androidkey.LevelStrongBox, androidkey.Remote, attest.SecureElement},
		{"TEE, factory", attesttest.AndroidOptions{Factory: true}, androidkey.LevelTEE, androidkey.Factory, attest.TEE},
		{"StrongBox, factory", attesttest.AndroidOptions{Factory: true, StrongBox: true}, androidkey.LevelStrongBox, androidkey.Factory, attest.SecureElement},
		{"factory, expired", old, androidkey.LevelTEE, androidkey.Factory, attest.TEE},
		{"version 500", attesttest.AndroidOptions{Version: 500}, androidkey.LevelTEE, androidkey.Remote, attest.TEE},
		{"version 900", attesttest.AndroidOptions{Version: 900}, androidkey.LevelTEE, androidkey.Remote, attest.TEE},
		{"version 1", attesttest.AndroidOptions{Version: 1}, androidkey.LevelTEE, androidkey.Remote, attest.TEE},
		{"RSA key", attesttest.AndroidOptions{RSA: true}, androidkey.LevelTEE, androidkey.Remote, attest.TEE},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVerifier(t, list{}, nil)
			k := device(row.device).Attest(challenge, nil)
			for _, chain := range [][][]byte{k.Chain, k.Chain[:len(k.Chain)-1]} { // with and without the root
				a, err := v.Attestation(ctx, chain, challenge)
				require.NoError(t, err)
				require.Equal(t, row.level, a.Level)
				require.Equal(t, row.how, a.Provisioning)
				require.Equal(t, k.Leaf.RawSubjectPublicKeyInfo, a.PublicKeyDER)
				require.Equal(t, 202601, a.PatchLevel)
			}
			verdict, err := v.Verify(ctx, attest.Request{Response: attest.Response{Challenge: string(challenge), Chain: k.Chain}})
			require.NoError(t, err)
			require.Equal(t, attest.Passed, verdict.Outcome)
			require.Equal(t, row.strength, verdict.Strength())
			skips := newVerifier(t, nil, func(o *androidkey.Options) { o.SkipRevocation = true })
			verdict, err = skips.Verify(ctx, attest.Request{Response: attest.Response{Challenge: string(challenge), Chain: k.Chain}})
			require.NoError(t, err)
			require.Equal(t, attest.Software, verdict.Strength(), "no hardware without the revocation list")
		})
	}
	a, err := newVerifier(t, list{}, nil).Attestation(ctx, device(attesttest.AndroidOptions{Issued: 77}).Attest(challenge, nil).Chain, challenge)
	require.NoError(t, err)
	require.Equal(t, 77, a.Issued)
}

type change struct {
	name  string
	on    attesttest.AndroidOptions
	forge attesttest.AndroidForge
	step  string // "": passes
	want  error
}

func says(f func(d *attesttest.Description)) attesttest.AndroidForge {
	return attesttest.AndroidForge{Description: f}
}

func hardware(tag int, value []byte) attesttest.AndroidForge {
	return says(func(d *attesttest.Description) { attesttest.Set(&d.Hardware, tag, value) })
}

func chain(f func(c [][]byte) [][]byte) attesttest.AndroidForge {
	return attesttest.AndroidForge{Chain: f}
}

func boot(locked byte, state int) attesttest.AndroidForge {
	return hardware(704, attesttest.RootOfTrust(make([]byte, 32), locked, state, make([]byte, 32)))
}

func der(f func(d []byte) []byte) attesttest.AndroidForge { return attesttest.AndroidForge{DER: f} }

func flipped(i int) attesttest.AndroidForge {
	return chain(func(c [][]byte) [][]byte {
		c[i] = bytes.Clone(c[i])
		c[i][len(c[i])-1] ^= 1
		return c
	})
}

func changes(t testing.TB) []change {
	g := theGoogle()
	fake := attesttest.NewGoogle(at(start))
	selfMade := attesttest.NewCA(nil, elliptic.P384(), &x509.Certificate{Subject: g.Root.Cert.Subject, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)})
	stranger := attesttest.NewCA(nil, elliptic.P256(), &x509.Certificate{Subject: pkix.Name{CommonName: "Somebody"}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)})
	genuine := device(attesttest.AndroidOptions{})
	// The attack of September 2026: a genuine key signs a certificate with a description of its holder's choice.
	key := genuine.Attest(challenge, nil)
	prepended := attesttest.Sign(&attesttest.CA{Cert: key.Leaf, Key: key.Key}, &key.Key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Android Keystore Key"}, NotBefore: time.Unix(0, 0), NotAfter: start.Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: attesttest.OIDKeyDescription, Value: genuine.Describe(challenge).Encode()}}})
	// The same with a genuine key that has no description, as if it had not been attested.
	bare := genuine.Attest(challenge, &attesttest.AndroidForge{Leaf: func(c *x509.Certificate) { c.ExtraExtensions = nil }})
	onBare := attesttest.Sign(&attesttest.CA{Cert: bare.Leaf, Key: bare.Key}, &bare.Key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Android Keystore Key"}, NotBefore: time.Unix(0, 0), NotAfter: start.Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: attesttest.OIDKeyDescription, Value: genuine.Describe(challenge).Encode()}}})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	namesake := *genuine.Batch.Cert
	namesake.PublicKey = &rsaKey.PublicKey
	byRSA, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), ExtraExtensions: key.Leaf.Extensions[len(key.Leaf.Extensions)-1:],
	}, &namesake, &key.Key.PublicKey, rsaKey)
	require.NoError(t, err)
	extra := func(id asn1.ObjectIdentifier) func(c *x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Value: []byte{0x30, 0}})
		}
	}
	fourth := func(c [][]byte) [][]byte { return append(c[:1:1], c[2:]...) }
	huge := make([]byte, 1<<20)
	long := attesttest.Authorization{Tag: 999, Value: attesttest.DER(7)}
	factory := attesttest.AndroidOptions{Factory: true}
	out := []change{
		{"forged leaf in front", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte { return append([][]byte{prepended.Raw}, key.Chain...) }), "positions", attest.ErrForged},
		{"forged leaf in front of a key without description", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte { return append([][]byte{onBare.Raw}, bare.Chain...) }), "positions", attest.ErrForged},
		{"no description", attesttest.AndroidOptions{}, der(func([]byte) []byte { return nil }), "positions", attest.ErrMalformed},
		{"description twice", attesttest.AndroidOptions{}, attesttest.AndroidForge{Leaf: func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, c.ExtraExtensions[0]) }}, "parse", attest.ErrMalformed},
		{"description only above the leaf", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte { return append([][]byte{bare.Chain[0]}, key.Chain...) }), "positions", attest.ErrMalformed},
		{"provisioning information in the leaf", attesttest.AndroidOptions{}, attesttest.AndroidForge{Leaf: extra(attesttest.OIDProvisioning)}, "positions", attest.ErrForged},

		{"self-made root of the same name", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { c[len(c)-1] = selfMade.Cert.Raw; return c }), "root", attest.ErrForged},
		{"another Google", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte { return fake.Android(pkg, signer, nil).Attest(challenge, nil).Chain }), "root", attest.ErrForged},
		{"another Google, root left out", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte {
			c := fake.Android(pkg, signer, nil).Attest(challenge, nil).Chain
			return c[:len(c)-1]
		}), "signatures", attest.ErrForged},
		{"emulator", attesttest.AndroidOptions{Emulator: true}, attesttest.AndroidForge{}, "root", attest.ErrEmulator},
		{"emulator that claims hardware", attesttest.AndroidOptions{Emulator: true}, says(func(d *attesttest.Description) { d.AttestationLevel, d.KeyMintLevel = 1, 1 }), "root", attest.ErrChain},
		{"attested by software for a key in hardware", attesttest.AndroidOptions{Emulator: true}, says(func(d *attesttest.Description) { d.KeyMintLevel = 1 }), "root", attest.ErrChain},
		{"emulator with a description cut short", attesttest.AndroidOptions{Emulator: true}, der(func(d []byte) []byte { return d[:len(d)-1] }), "root", attest.ErrChain},
		{"emulator under Google's name", attesttest.AndroidOptions{Emulator: true}, chain(func(c [][]byte) [][]byte { c[len(c)-1] = selfMade.Cert.Raw; return c }), "root", attest.ErrForged},
		{"a stranger's root", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { c[len(c)-1] = stranger.Cert.Raw; return c }), "root", attest.ErrChain},
		{"leaf alone", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { return c[:1] }), "parse", attest.ErrMalformed},
		{"nothing", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte { return nil }), "parse", attest.ErrMalformed},
		{"nine certificates", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { return append(c, c[1], c[1], c[1], c[1]) }), "size", attest.ErrTooLarge},
		{"1 MB", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { c[1] = huge; return c }), "size", attest.ErrTooLarge},
		{"rubbish", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { c[1] = []byte{1, 2, 3}; return c }), "parse", attest.ErrMalformed},
		{"truncated", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { c[0] = c[0][:len(c[0])-1]; return c }), "parse", attest.ErrMalformed},
		{"swapped", attesttest.AndroidOptions{}, chain(func(c [][]byte) [][]byte { c[1], c[2] = c[2], c[1]; return c }), "positions", attest.ErrForged},
		{"one left out", attesttest.AndroidOptions{}, chain(fourth), "names", attest.ErrChain},
		{"signed by an RSA key under the authority's name", attesttest.AndroidOptions{}, chain(func([][]byte) [][]byte { return append([][]byte{byRSA}, key.Chain[1:]...) }), "signatures", attest.ErrForged},
		{"signed by a stranger", attesttest.AndroidOptions{}, attesttest.AndroidForge{Issuer: &stranger}, "names", attest.ErrChain},

		{"remote, expired", attesttest.AndroidOptions{NotBefore: start.Add(-30 * 24 * time.Hour), NotAfter: start.Add(-time.Second)}, attesttest.AndroidForge{}, "validity", attest.ErrExpired},
		{"remote, not yet valid", attesttest.AndroidOptions{NotBefore: start.Add(time.Second), NotAfter: start.Add(time.Hour)}, attesttest.AndroidForge{}, "validity", attest.ErrExpired},
		{"the leaf's own dates do not matter", attesttest.AndroidOptions{}, attesttest.AndroidForge{Leaf: func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Hour) }}, "", nil},

		{"another challenge", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Challenge = make([]byte, 43) }), "challenge", attest.ErrNonce},
		{"prefix of the challenge", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Challenge = challenge[:42] }), "challenge", attest.ErrNonce},
		{"longer challenge", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Challenge = append(bytes.Clone(challenge), 0) }), "challenge", attest.ErrNonce},
		{"empty challenge", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Challenge = nil }), "challenge", attest.ErrNonce},

		{"levels differ", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.KeyMintLevel = 2 }), "level", attest.ErrSoftware},
		{"attested by software", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.AttestationLevel = 0 }), "level", attest.ErrSoftware},
		{"software", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.AttestationLevel, d.KeyMintLevel = 0, 0 }), "level", attest.ErrSoftware},
		{"level 3", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.AttestationLevel, d.KeyMintLevel = 3, 3 }), "description", attest.ErrMalformed},
		{"StrongBox claimed under a TEE's certificate", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.AttestationLevel, d.KeyMintLevel = 2, 2 }), "strongbox", attest.ErrForged},
		{"the same in a factory chain", factory, says(func(d *attesttest.Description) { d.AttestationLevel, d.KeyMintLevel = 2, 2 }), "strongbox", attest.ErrForged},

		{"imported key", attesttest.AndroidOptions{}, hardware(702, attesttest.DER(2)), "origin", attest.ErrPolicy},
		{"origin missing", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { attesttest.Remove(&d.Hardware, 702) }), "origin", attest.ErrPolicy},
		{"origin by software only", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) {
			attesttest.Remove(&d.Hardware, 702)
			attesttest.Set(&d.Software, 702, attesttest.DER(0))
		}), "origin", attest.ErrPolicy},

		{"unlocked", attesttest.AndroidOptions{Unlocked: true}, attesttest.AndroidForge{}, "boot", attest.ErrTampered},
		{"verified and not locked", attesttest.AndroidOptions{}, boot(0, 0), "boot", attest.ErrTampered},
		{"self signed", attesttest.AndroidOptions{}, boot(0xff, 1), "boot", attest.ErrTampered},
		{"unverified", attesttest.AndroidOptions{}, boot(0xff, 2), "boot", attest.ErrTampered},
		{"failed", attesttest.AndroidOptions{}, boot(0xff, 3), "boot", attest.ErrTampered},
		{"state 4", attesttest.AndroidOptions{}, boot(0xff, 4), "description", attest.ErrMalformed},
		{"locked written as 01", attesttest.AndroidOptions{}, boot(0x01, 0), "", nil},
		{"no root of trust", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { attesttest.Remove(&d.Hardware, 704) }), "boot", attest.ErrTampered},
		{"root of trust by software only", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) {
			attesttest.Remove(&d.Hardware, 704)
			attesttest.Set(&d.Software, 704, attesttest.RootOfTrust(make([]byte, 32), 0xff, 0, nil))
		}), "boot", attest.ErrTampered},

		{"another package", attesttest.AndroidOptions{}, app([]string{"com.example.other"}, signer), "app", attest.ErrAppIdentity},
		{"one more package", attesttest.AndroidOptions{}, app([]string{pkg, "com.example.other"}, signer), "app", attest.ErrAppIdentity},
		{"no package", attesttest.AndroidOptions{}, app(nil, signer), "app", attest.ErrAppIdentity},
		{"another signer", attesttest.AndroidOptions{}, app([]string{pkg}, make([]byte, 32)), "app", attest.ErrAppIdentity},
		{"one more signer", attesttest.AndroidOptions{}, app([]string{pkg}, signer, make([]byte, 32)), "app", attest.ErrAppIdentity},
		{"prefix of the signer", attesttest.AndroidOptions{}, app([]string{pkg}, signer[:31]), "app", attest.ErrAppIdentity},
		{"no signer", attesttest.AndroidOptions{}, app([]string{pkg}), "app", attest.ErrAppIdentity},
		{"no application id", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { attesttest.Remove(&d.Software, 709) }), "app", attest.ErrAppIdentity},
		{"two application ids", attesttest.AndroidOptions{}, hardware(709, attesttest.ApplicationID([]string{pkg}, signer)), "app", attest.ErrAppIdentity},
		{"application id no structure", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { attesttest.Set(&d.Software, 709, attesttest.DER([]byte{1})) }), "description", attest.ErrMalformed},

		{"unknown tag", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Hardware = append(d.Hardware, long) }), "", nil},
		{"unordered tags", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Hardware[0], d.Hardware[5] = d.Hardware[5], d.Hardware[0] }), "", nil},
		{"tag twice", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.Hardware = append(d.Hardware, d.Hardware[0]) }), "description", attest.ErrMalformed},
		{"origin twice", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) {
			d.Hardware = append(d.Hardware, attesttest.Authorization{Tag: 702, Value: attesttest.DER(0)})
		}), "description", attest.ErrMalformed},
		{"two values in one tag", attesttest.AndroidOptions{}, hardware(702, append(attesttest.DER(0), attesttest.DER(0)...)), "description", attest.ErrMalformed},
		{"number not minimal", attesttest.AndroidOptions{}, hardware(702, []byte{2, 2, 0, 0}), "description", attest.ErrMalformed},
		{"length not minimal", attesttest.AndroidOptions{}, hardware(702, []byte{2, 0x81, 1, 0}), "description", attest.ErrMalformed},
		{"origin a boolean", attesttest.AndroidOptions{}, hardware(702, []byte{1, 1, 0}), "description", attest.ErrMalformed},
		{"patch level a text", attesttest.AndroidOptions{}, hardware(706, []byte{12, 1, '2'}), "description", attest.ErrMalformed},
		{"a byte behind the description", attesttest.AndroidOptions{}, der(func(d []byte) []byte { return append(d, 0) }), "description", attest.ErrMalformed},
		{"description no sequence", attesttest.AndroidOptions{}, der(func([]byte) []byte { return []byte{4, 1, 0} }), "description", attest.ErrMalformed},
		{"seven fields", attesttest.AndroidOptions{}, der(func([]byte) []byte { return attesttest.Sequence(bytes.Repeat([]byte{2, 1, 1}, 7)) }), "description", attest.ErrMalformed},
		{"version 0", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) { d.AttestationVersion = 0 }), "description", attest.ErrMalformed},
		{"hundreds of tags", attesttest.AndroidOptions{}, says(func(d *attesttest.Description) {
			for i := range 200 {
				d.Software = append(d.Software, attesttest.Authorization{Tag: 2000 + i, Value: attesttest.DER(1)})
			}
		}), "description", attest.ErrMalformed},
	}
	for i := range 5 {
		out = append(out, change{"signature changed at " + string(rune('0'+i)), attesttest.AndroidOptions{}, flipped(i), "signatures", attest.ErrForged})
	}
	// The anchor counts by name and key: its own signature is not asked.
	out[len(out)-1].step, out[len(out)-1].want = "", nil
	return out
}

func app(packages []string, signers ...[]byte) attesttest.AndroidForge {
	return says(func(d *attesttest.Description) {
		attesttest.Set(&d.Software, 709, attesttest.ApplicationID(packages, signers...))
	})
}

func TestChanges(t *testing.T) {
	v := newVerifier(t, list{}, nil)
	for _, c := range changes(t) {
		t.Run(c.name, func(t *testing.T) {
			k := device(c.on).Attest(challenge, &c.forge)
			a, err := v.Attestation(ctx, k.Chain, challenge)
			e := v.Explain(ctx, k.Chain, challenge)
			require.Equal(t, c.step, e.Refused)
			if c.step == "" {
				require.NoError(t, err)
				return
			}
			requireStep(t, err, c.step, c.want)
			require.Nil(t, a)
			require.NotContains(t, e.Steps, c.step)
			verdict, err := v.Verify(ctx, attest.Request{Response: attest.Response{Challenge: string(challenge), Chain: k.Chain}})
			require.NoError(t, err)
			require.NotEqual(t, attest.Passed, verdict.Outcome)
			require.Equal(t, attest.None, verdict.Strength())
			require.Equal(t, c.step, verdict.Step())
		})
	}
}

// TestIssuerWithoutFlag: real chains of the factory have one right above the leaf, and nowhere else is it good.
func TestIssuerWithoutFlag(t *testing.T) {
	g := theGoogle()
	v := newVerifier(t, list{}, nil)
	d := device(attesttest.AndroidOptions{Factory: true})
	build := func(parent *attesttest.CA, above [][]byte, subject pkix.Name) [][]byte {
		noFlag := attesttest.Sign(parent, &d.Batch.Key.PublicKey, &x509.Certificate{
			Subject: subject, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature})
		k := d.Attest(challenge, &attesttest.AndroidForge{Issuer: &attesttest.CA{Cert: noFlag, Key: d.Batch.Key}})
		return append([][]byte{k.Chain[0], noFlag.Raw}, above...)
	}
	serial := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "abc"}}}
	above := attesttest.NewCA(&g.FactoryRoot, elliptic.P256(), &x509.Certificate{Subject: serial, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)})
	_, err := v.Attestation(ctx, build(&above, [][]byte{above.Cert.Raw, g.FactoryRoot.Cert.Raw}, serial), challenge)
	require.NoError(t, err)
	_, err = v.Attestation(ctx, build(&g.CA3, [][]byte{g.CA3.Cert.Raw, g.CA2.Cert.Raw, g.Root.Cert.Raw}, pkix.Name{CommonName: "a", Organization: []string{"TEE"}}), challenge)
	requireStep(t, err, "issuers", attest.ErrChain)
	_, err = v.Attestation(ctx, build(&above, [][]byte{above.Cert.Raw, g.FactoryRoot.Cert.Raw}, pkix.Name{CommonName: "no serial number"}), challenge)
	requireStep(t, err, "issuers", attest.ErrChain)
}

func TestOtherCertificateOfTheRootKey(t *testing.T) {
	g := theGoogle()
	expired := attesttest.Sign(&g.Root, &g.Root.Key.PublicKey, &x509.Certificate{
		Subject: g.Root.Cert.Subject, NotBefore: start.Add(-48 * time.Hour), NotAfter: start.Add(-24 * time.Hour), SerialNumber: big.NewInt(77)})
	k := device(attesttest.AndroidOptions{}).Attest(challenge, nil)
	k.Chain[len(k.Chain)-1] = expired.Raw
	_, err := newVerifier(t, list{}, nil).Attestation(ctx, k.Chain, challenge)
	require.NoError(t, err, "the anchor's dates do not matter")
	_, err = newVerifier(t, list{"4d": {Status: "REVOKED"}}, nil).Attestation(ctx, k.Chain, challenge)
	requireStep(t, err, "revocation", attest.ErrRevoked)
}

func TestRevokedAtEachPosition(t *testing.T) {
	k := device(attesttest.AndroidOptions{}).Attest(challenge, nil)
	for i, raw := range k.Chain {
		cert, err := x509.ParseCertificate(raw)
		require.NoError(t, err)
		for _, status := range []string{"REVOKED", "SUSPENDED", "SOMETHING_NEW", ""} {
			v := newVerifier(t, list{cert.SerialNumber.Text(16): {Status: status}}, nil)
			_, err = v.Attestation(ctx, k.Chain, challenge)
			requireStep(t, err, "revocation", attest.ErrRevoked)
			if i == len(k.Chain)-1 {
				_, err = v.Attestation(ctx, k.Chain[:i], challenge)
				requireStep(t, err, "revocation", attest.ErrRevoked)
			}
		}
	}
}

// down is a list that cannot tell.
type down struct{}

var errDown = errors.New("down")

func (down) Lookup(context.Context, []string) (androidkey.Entry, bool, error) {
	return androidkey.Entry{}, false, errDown
}

func TestOptions(t *testing.T) {
	k := device(attesttest.AndroidOptions{}).Attest(challenge, nil)
	bootKey := append([]byte{7}, make([]byte, 31)...)
	selfSigned := device(attesttest.AndroidOptions{}).Attest(challenge, &attesttest.AndroidForge{Description: func(d *attesttest.Description) {
		attesttest.Set(&d.Hardware, 704, attesttest.RootOfTrust(bootKey, 0xff, 1, nil))
	}})
	badPatch := device(attesttest.AndroidOptions{PatchLevel: 202400}).Attest(challenge, nil)
	noPatch := device(attesttest.AndroidOptions{}).Attest(challenge, &attesttest.AndroidForge{Description: func(d *attesttest.Description) { attesttest.Remove(&d.Hardware, 706) }})
	for _, row := range []struct {
		name   string
		key    *attesttest.AndroidKey
		change func(o *androidkey.Options)
		step   string
		want   error
	}{
		{"StrongBox only", k, func(o *androidkey.Options) { o.StrongBoxOnly = true }, "level", attest.ErrPolicy},
		{"patch level reached", k, func(o *androidkey.Options) { o.MinPatch = 202601 }, "", nil},
		{"patch level too old", k, func(o *androidkey.Options) { o.MinPatch = 202602 }, "patch", attest.ErrPolicy},
		{"patch level no month", badPatch, func(o *androidkey.Options) { o.MinPatch = 202301 }, "patch", attest.ErrPolicy},
		{"patch level missing", noPatch, func(o *androidkey.Options) { o.MinPatch = 202301 }, "patch", attest.ErrPolicy},
		{"patch level not asked", noPatch, func(*androidkey.Options) {}, "", nil},
		{"own system, its key pinned", selfSigned, func(o *androidkey.Options) { o.BootKeys = [][]byte{bootKey} }, "", nil},
		{"own system, another key", selfSigned, func(o *androidkey.Options) { o.BootKeys = [][]byte{make([]byte, 32)} }, "boot", attest.ErrTampered},
		{"no test roots", k, func(o *androidkey.Options) { o.InsecureTestRoots = nil }, "root", attest.ErrChain},
		{"as anchors", k, func(o *androidkey.Options) { o.Anchors, o.InsecureTestRoots = o.InsecureTestRoots, nil }, "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := newVerifier(t, list{}, row.change).Attestation(ctx, row.key.Chain, challenge)
			if row.step == "" {
				require.NoError(t, err)
				require.Equal(t, row.key == selfSigned, a.SelfSigned)
				return
			}
			requireStep(t, err, row.step, row.want)
		})
	}
	_, err := newVerifier(t, down{}, nil).Verify(ctx, attest.Request{Response: attest.Response{Challenge: string(challenge), Chain: k.Chain}})
	require.ErrorIs(t, err, errDown, "a list that cannot tell is no verdict")
	_, err = newVerifier(t, list{}, nil).Attestation(ctx, k.Chain, nil)
	requireStep(t, err, "challenge", attest.ErrNonce)
	verdict, err := newVerifier(t, list{}, nil).Verify(ctx, attest.Request{Response: attest.Response{Kind: "assertion"}})
	require.NoError(t, err)
	require.Equal(t, attest.Failed, verdict.Outcome)

	apps := []androidkey.App{{Package: pkg, Signers: [][]byte{signer}}}
	for name, build := range map[string]func() (*androidkey.Verifier, error){
		"no apps":         func() (*androidkey.Verifier, error) { return androidkey.New(nil, list{}, nil) },
		"wants a package": func() (*androidkey.Verifier, error) { return androidkey.New([]androidkey.App{{}}, list{}, nil) },
		"not hex": func() (*androidkey.Verifier, error) {
			return androidkey.New([]androidkey.App{{Package: "a", Signers: [][]byte{{1}}}}, list{}, nil)
		},
		"no revocation list": func() (*androidkey.Verifier, error) { return androidkey.New(apps, nil, nil) },
		"contradict": func() (*androidkey.Verifier, error) {
			return androidkey.New(apps, list{}, &androidkey.Options{SkipRevocation: true})
		},
		"YYYYMM": func() (*androidkey.Verifier, error) {
			return androidkey.New(apps, list{}, &androidkey.Options{MinPatch: 2026})
		},
		"boot key": func() (*androidkey.Verifier, error) {
			return androidkey.New(apps, list{}, &androidkey.Options{BootKeys: [][]byte{{1}}})
		},
		"anchor is nil": func() (*androidkey.Verifier, error) {
			return androidkey.New(apps, list{}, &androidkey.Options{Anchors: []*x509.Certificate{nil}})
		},
	} {
		v, err := build()
		require.ErrorContains(t, err, name)
		require.Nil(t, v)
	}
}

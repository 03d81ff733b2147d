package passkey_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// kept makes the record of a passkey as if go-webauthn had found its statement right: it knows the roots of Android and
// Apple only, and none of tests. What remains is this module's own decision.
func (r *rig) kept(a *attesttest.Authenticator, kind string, f *attesttest.FIDOForge) passkey.Credential {
	r.t.Helper()
	var in struct {
		Response struct {
			ClientData string `json:"clientDataJSON"`
			Object     string `json:"attestationObject"`
		} `json:"response"`
	}
	require.NoError(r.t, json.Unmarshal(r.create(a, scope, f), &in))
	object, err := base64.RawURLEncoding.DecodeString(in.Response.Object)
	require.NoError(r.t, err)
	client, err := base64.RawURLEncoding.DecodeString(in.Response.ClientData)
	require.NoError(r.t, err)
	hash := sha256.Sum256(client)
	return passkey.Credential{
		Tenant: "t1", ID: []byte("id"), Account: "ann", Object: object, ClientDataHash: hash[:],
		Attestation: passkey.Attestation{Format: a.Format, Type: kind, Trust: passkey.Hardware},
	}
}

// What is the authenticator of Android, and its signer, as a real telephone's attestation names them.
const androidPackage = "com.google.android.gms"

func googleSigner(t testing.TB) []byte {
	sum, err := hex.DecodeString("f0fd6c5b410f25cb25c3b53346c8972fae30f8ee7411df910480ad6b2d60db83")
	require.NoError(t, err)
	return sum
}

func description(change func(d *attesttest.Description)) *attesttest.AndroidForge {
	return &attesttest.AndroidForge{Description: change}
}

// What a telephone's keystore is worth once its chain is known to be Google's: one change a row.
func TestKeystoreTrust(t *testing.T) {
	signer := make([]byte, 32)
	fine := passkey.Hardware
	pixel := attesttest.AndroidOptions{StrongBox: true}
	for _, row := range []struct {
		name     string
		device   attesttest.AndroidOptions
		forge    *attesttest.AndroidForge
		list     androidkey.Revocations
		trust    passkey.Trust
		strength attest.Strength // as a verdict may say
		reason   string
	}{
		{"StrongBox", pixel, nil, listed{}, fine, attest.SecureElement, "certification"},
		{"TEE", attesttest.AndroidOptions{}, nil, listed{}, fine, attest.TEE, "certification"},
		{"of the factory", attesttest.AndroidOptions{Factory: true}, nil, listed{}, fine, attest.TEE, "certification"},
		{"no list", pixel, nil, nil, fine, attest.Software, "unchecked"},
		{"list down", pixel, nil, listed{err: errDown}, fine, attest.Software, "unchecked"},
		{"revoked or suspended", pixel, nil, listed{hit: true}, passkey.Revoked, attest.None, "serial"},
		{"unlocked", attesttest.AndroidOptions{Unlocked: true}, nil, listed{}, passkey.Software, attest.Software, "boot"},
		{"another system", pixel, description(func(d *attesttest.Description) {
			attesttest.Set(&d.Hardware, 704, attesttest.RootOfTrust(make([]byte, 32), 0xff, 1, make([]byte, 32)))
		}), listed{}, passkey.Software, attest.Software, "boot"},
		{"no root of trust", pixel, description(func(d *attesttest.Description) { attesttest.Remove(&d.Hardware, 704) }), listed{},
			passkey.Software, attest.Software, "boot"},
		{"root of trust by software", pixel, description(func(d *attesttest.Description) {
			attesttest.Remove(&d.Hardware, 704)
			attesttest.Set(&d.Software, 704, attesttest.RootOfTrust(make([]byte, 32), 0xff, 0, make([]byte, 32)))
		}), listed{}, passkey.Software, attest.Software, "boot"},
		{"emulator", attesttest.AndroidOptions{Emulator: true}, nil, listed{}, passkey.Software, attest.Software, "model"},
		{"attested by software", pixel, description(func(d *attesttest.Description) { d.AttestationLevel = 0 }), listed{}, passkey.Software, attest.Software, "model"},
		{"key in software", pixel, description(func(d *attesttest.Description) { d.KeyMintLevel = 0 }), listed{}, passkey.Software, attest.Software, "model"},
		{"StrongBox by the word of a TEE", pixel, description(func(d *attesttest.Description) { d.AttestationLevel = 1 }), listed{}, fine, attest.TEE, "certification"},
		{"description cut short", pixel, &attesttest.AndroidForge{DER: func(d []byte) []byte { return d[:len(d)-1] }}, listed{}, passkey.Software, attest.Software, "model"},
		{"no description", pixel, &attesttest.AndroidForge{DER: func([]byte) []byte { return nil }}, listed{}, passkey.Software, attest.Software, "model"},
		{"nine certificates", pixel, &attesttest.AndroidForge{Chain: func(c [][]byte) [][]byte { return append(c, c[1], c[1], c[1], c[1]) }}, listed{},
			passkey.Untrusted, attest.None, "chain"},
		{"no certificates", pixel, &attesttest.AndroidForge{Chain: func([][]byte) [][]byte { return nil }}, listed{}, passkey.Untrusted, attest.None, "chain"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, func(o *passkey.Options) { o.Revocations = row.list })
			a := attesttest.NewGoogle(r.clock).Android(androidPackage, signer, &row.device).Keystore()
			a.AndroidForge = row.forge
			c := r.kept(a, "basic", nil)
			now, downgraded := r.v.Recheck(context.Background(), &c)
			require.Equal(t, row.trust, now.Trust, now.Reasons)
			require.Contains(t, now.Reasons, row.reason)
			require.Equal(t, row.trust < passkey.Hardware, downgraded)
			verdict := attest.Verdict{Outcome: attest.Passed, Claimed: now.Strength, Checked: now.Checked}
			require.Equal(t, row.strength, verdict.Strength())
			require.False(t, now.Authentic, "nobody vouches for the AAGUID")
		})
	}
}

// The forgery of September 2026: a key of the keystore signs a certificate with a description of its holder's choice.
func TestKeystoreForgedLeaf(t *testing.T) {
	r := newRig(t, func(o *passkey.Options) { o.Revocations = listed{} })
	device := attesttest.NewGoogle(r.clock).Pixel(androidPackage, make([]byte, 32))
	genuine := device.Attest([]byte("anything"), nil)
	a := device.Keystore()
	a.AndroidForge = &attesttest.AndroidForge{Chain: func([][]byte) [][]byte {
		forged := attesttest.Sign(&attesttest.CA{Cert: genuine.Leaf, Key: genuine.Key}, &genuine.Key.PublicKey, &x509.Certificate{
			Subject: pkix.Name{CommonName: "Android Keystore Key"}, NotBefore: r.clock().Add(-time.Hour), NotAfter: r.clock().Add(time.Hour),
			ExtraExtensions: []pkix.Extension{{Id: attesttest.OIDKeyDescription, Value: device.Describe([]byte("forged")).Encode()}}})
		return append([][]byte{forged.Raw}, genuine.Chain...)
	}}
	c := r.kept(a, "basic", nil)
	now, downgraded := r.v.Recheck(context.Background(), &c)
	require.True(t, downgraded)
	require.Equal(t, passkey.Untrusted, now.Trust)
	require.Equal(t, attest.None, now.Strength)
}

// A chain that was over when the passkey was made gets no better by waiting; one that was not is good for ever.
func TestKeystoreRenewedChain(t *testing.T) {
	r := newRig(t, func(o *passkey.Options) { o.Revocations = listed{} })
	c := r.kept(attesttest.NewGoogle(r.clock).Pixel(androidPackage, make([]byte, 32)).Keystore(), "basic", nil)
	c.Attestation.Trust, c.Attestation.Reasons = passkey.Software, []string{"expired"}
	for range 2 {
		now, downgraded := r.v.Recheck(context.Background(), &c)
		require.False(t, downgraded)
		require.Equal(t, passkey.Software, now.Trust)
		require.Equal(t, attest.Software, now.Strength)
		require.Contains(t, now.Reasons, "expired")
	}
	c.Attestation.Trust, c.Attestation.Reasons = passkey.Hardware, nil
	r.advance(400 * 24 * time.Hour)
	now, downgraded := r.v.Recheck(context.Background(), &c)
	require.False(t, downgraded)
	require.Equal(t, passkey.Hardware, now.Trust)
}

func TestEnclaveTrust(t *testing.T) {
	r := newRig(t)
	c := r.kept(attesttest.NewApple(r.clock).Enclave(), "anonca", nil)
	now, downgraded := r.v.Recheck(context.Background(), &c)
	require.False(t, downgraded)
	require.Equal(t, passkey.Hardware, now.Trust)
	require.Equal(t, attest.SecureElement, attest.Verdict{Outcome: attest.Passed, Claimed: now.Strength, Checked: now.Checked}.Strength())
	require.False(t, now.Authentic)
	// One that may leave the device proves nothing of it.
	c = r.kept(attesttest.NewApple(r.clock).Enclave(), "anonca", flags(attesttest.FlagBE, 0))
	now, _ = r.v.Recheck(context.Background(), &c)
	require.Contains(t, now.Reasons, "synced")
	require.Less(t, now.Trust, passkey.Certified)
	require.LessOrEqual(t, now.Strength, attest.Software)
}

// What the metadata says of a telephone or an enclave counts when the chain leads to its roots, and only then.
func TestMakersInMetadata(t *testing.T) {
	signer := googleSigner(t)
	app := func(packages []string, signers ...[]byte) *attesttest.AndroidForge {
		return description(func(d *attesttest.Description) {
			attesttest.Set(&d.Software, 709, attesttest.ApplicationID(packages, signers...))
		})
	}
	shared := []string{"com.google.android.gsf", androidPackage}
	same := func(*attesttest.FIDOModel) {}
	for _, row := range []struct {
		name   string
		change func(m *attesttest.FIDOModel)
		forge  *attesttest.AndroidForge
		list   listed
		trust  passkey.Trust
		known  bool
		reason string
	}{
		{"certified", same, nil, listed{}, passkey.Certified, true, ""},
		{"certified, of a shared user id", same, app(shared, signer), listed{}, passkey.Certified, true, ""},
		{"by another app", same, app([]string{"com.example.bot"}, signer), listed{}, passkey.Hardware, false, "model"},
		{"by an app of that name, signed otherwise", same, app([]string{androidPackage}, make([]byte, 32)), listed{}, passkey.Hardware, false, "model"},
		{"by an app with another signer too", same, app([]string{androidPackage}, signer, make([]byte, 32)), listed{}, passkey.Hardware, false, "model"},
		{"by an app nobody signed", same, app([]string{androidPackage}), listed{}, passkey.Hardware, false, "model"},
		{"by nobody", same, description(func(d *attesttest.Description) { attesttest.Remove(&d.Software, 709) }), listed{}, passkey.Hardware, false, "model"},
		{"certified, Google's list down", same, nil, listed{err: errDown}, passkey.Hardware, true, "unchecked"},
		{"certified, on Google's list", same, nil, listed{hit: true}, passkey.Revoked, true, "serial"},
		{"revoked", func(m *attesttest.FIDOModel) { m.Report("REVOKED", time.Now().Add(-48*time.Hour)) }, nil, listed{}, passkey.Revoked, true, "status"},
		{"of another format", func(m *attesttest.FIDOModel) { m.Formats = []string{"packed"} }, nil, listed{}, passkey.Unknown, false, "format"},
		{"of other roots", func(m *attesttest.FIDOModel) { m.CA = attesttest.NewFIDO(nil).NewModel("x", "").CA }, nil, listed{}, passkey.Hardware, false, "certification"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, func(o *passkey.Options) { o.Revocations = row.list })
			google := attesttest.NewGoogle(r.clock)
			a := google.Pixel(androidPackage, signer).Keystore()
			a.AndroidForge = row.forge
			m := r.fido.NewModel("Telephone", "FIDO_CERTIFIED_L1")
			m.AAGUID, m.CA = a.AAGUID, google.Root
			row.change(m)
			r.models = append(r.models, m)
			r.publish()
			c := r.kept(a, "basic", nil)
			now, _ := r.v.Recheck(context.Background(), &c)
			require.Equal(t, row.trust, now.Trust, now.Reasons)
			require.Equal(t, row.known, now.Authentic)
			if row.reason != "" {
				require.Contains(t, now.Reasons, row.reason)
			}
		})
	}
}

// Neither library nor module trusts the roots of virtual makers.
func TestVirtualMakersAreRefused(t *testing.T) {
	r := newRig(t)
	google := attesttest.NewGoogle(r.clock)
	for name, a := range map[string]*attesttest.Authenticator{
		"keystore": google.Pixel(androidPackage, make([]byte, 32)).Keystore(),
		"factory":  google.Android(androidPackage, make([]byte, 32), &attesttest.AndroidOptions{Factory: true}).Keystore(),
		"emulator": google.EmulatorPhone(androidPackage, make([]byte, 32)).Keystore(),
		"enclave":  attesttest.NewApple(r.clock).Enclave(),
	} {
		t.Run(name, func(t *testing.T) {
			requireRefused(t, r.register(a, nil), attest.Failed, passkey.StepAttestation)
		})
	}
}

package passkey_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// Trust is decided by entry, chain, status and certification: one change a row.
func TestTrust(t *testing.T) {
	day := 24 * time.Hour
	for _, row := range []struct {
		name   string
		change func(r *rig)
		forge  *attesttest.FIDOForge
		trust  passkey.Trust
		reason string
	}{
		{"as it should be", func(*rig) {}, nil, passkey.Certified, ""},
		{"not certified", func(r *rig) { r.model.Reports[0].Status = "NOT_FIDO_CERTIFIED" }, nil, passkey.Hardware, "certification"},
		{"no report at all", func(r *rig) { r.model.Reports = nil }, nil, passkey.Hardware, "certification"},
		{"certification to come", func(r *rig) { r.model.Reports[0].From = r.clock().Add(30 * day) }, nil, passkey.Hardware, "certification"},
		{"certification ended", func(r *rig) { r.model.Reports[0].Until = r.clock().Add(-day) }, nil, passkey.Hardware, "certification"},
		{"lost its certification", func(r *rig) { r.model.Report("NOT_FIDO_CERTIFIED", r.clock().Add(-day)) }, nil, passkey.Hardware, "certification"},
		{"an update is available", func(r *rig) { r.model.Report("UPDATE_AVAILABLE", r.clock().Add(-day)) }, nil, passkey.Certified, ""},
		{"FIPS certified later", func(r *rig) { r.model.Report("FIPS140_CERTIFIED_L2", r.clock().Add(-day)) }, nil, passkey.Certified, ""},
		{"a word to come", func(r *rig) { r.model.Report("FIDO_CERTIFIED_L9", r.clock().Add(-day)) }, nil, passkey.Certified, ""},
		{"revoked", func(r *rig) { r.model.Report("REVOKED", r.clock().Add(-day)) }, nil, passkey.Revoked, "status"},
		{"retired", func(r *rig) { r.model.Report("RETIRED", r.clock().Add(-day)) }, nil, passkey.Revoked, "status"},
		{"compromised", func(r *rig) { r.model.Report("USER_KEY_REMOTE_COMPROMISE", r.clock().Add(-day)) }, nil, passkey.Revoked, "status"},
		{"attestation key compromised", func(r *rig) { r.model.Report("ATTESTATION_KEY_COMPROMISE", r.clock().Add(-day)) }, nil, passkey.Revoked, "status"},
		{"bypassed", func(r *rig) { r.model.Report("USER_VERIFICATION_BYPASS", r.clock().Add(-day)) }, nil, passkey.Revoked, "status"},
		{"physically compromised", func(r *rig) { r.model.Report("USER_KEY_PHYSICAL_COMPROMISE", r.clock().Add(-day)) }, nil, passkey.Revoked, "status"},
		{"revoked and certified again later", func(r *rig) {
			r.model.Report("REVOKED", r.clock().Add(-10*day))
			r.model.Report("FIDO_CERTIFIED_L1", r.clock().Add(-day))
		}, nil, passkey.Revoked, "status"},
		{"revoked from next month", func(r *rig) { r.model.Report("REVOKED", r.clock().Add(30*day)) }, nil, passkey.Certified, ""},
		{"a report that has ended", func(r *rig) {
			r.model.Reports = append(r.model.Reports, attesttest.FIDOReport{Status: "USER_VERIFICATION_BYPASS", From: r.clock().Add(-90 * day), Until: r.clock().Add(-day)})
		}, nil, passkey.Certified, ""},
		{"a batch not this one", func(r *rig) {
			r.model.Reports = append(r.model.Reports, attesttest.FIDOReport{Status: "ATTESTATION_KEY_COMPROMISE", From: r.clock().Add(-day), Certificate: r.key().Signer.Cert})
		}, nil, passkey.Certified, ""},
		{"keys in software", func(r *rig) { r.model.KeyProtection = []string{"software"} }, nil, passkey.Software, ""},
		{"keys nobody knows where", func(r *rig) { r.model.KeyProtection = nil }, nil, passkey.Software, ""},
		{"no roots", func(r *rig) { r.model.HideRoots = true }, nil, passkey.Untrusted, "chain"},
		{"roots of another maker", func(r *rig) { r.model.CA = r.fido.NewModel("Other", "FIDO_CERTIFIED").CA }, nil, passkey.Untrusted, "chain"},
		{"not in the metadata", func(r *rig) { r.models = nil }, nil, passkey.Unknown, "model"},
		{"a format it does not make", func(r *rig) { r.model.Formats = []string{"tpm"} }, nil, passkey.Unknown, "format"},
		{"synced", func(*rig) {}, flags(attesttest.FlagBE|attesttest.FlagBS, 0), passkey.Hardware, "synced"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, func(o *passkey.Options) { o.Least = passkey.Revoked })
			a := r.key()
			row.change(r)
			r.publish()
			res := r.register(a, row.forge)
			requirePassed(t, res)
			require.Equal(t, row.trust, res.Judged.Trust, res.Judged.Reasons)
			require.Equal(t, row.trust == passkey.Certified, res.Judged.Trust >= passkey.Certified)
			if row.reason != "" {
				require.Contains(t, res.Judged.Reasons, row.reason)
			}
			if row.trust < passkey.Hardware {
				require.LessOrEqual(t, res.Verdict.Strength(), attest.Software)
			}
		})
	}
}

// One stolen batch key does not take the model's others with it.
func TestRevokedBatch(t *testing.T) {
	r := newRig(t)
	stolen, good := r.key(), r.key()
	r.model.Reports = append(r.model.Reports, attesttest.FIDOReport{
		Status: "ATTESTATION_KEY_COMPROMISE", From: r.clock().Add(-24 * time.Hour), Certificate: stolen.Signer.Cert,
	})
	r.publish()
	requireRefused(t, r.register(stolen, nil), attest.Revoked, passkey.StepTrust)
	requirePassed(t, r.register(good, nil))
}

func TestAttestationOfAnotherCA(t *testing.T) {
	r := newRig(t)
	// A program that claims the certified model, with a CA of its own: what Chromium's virtual authenticator does.
	requireRefused(t, r.register(attesttest.SoftwareAuthenticator(r.model.AAGUID), nil), attest.Failed, passkey.StepTrust)
	// The genuine certificate of the batch, which anybody can read, with another key's signature.
	thief := attesttest.SoftwareAuthenticator(r.model.AAGUID)
	thief.Signer.Cert = r.key().Signer.Cert
	requireRefused(t, r.register(thief, nil), attest.Failed, passkey.StepAttestation)
	// The model's root sent along does not make the chain.
	thief = attesttest.SoftwareAuthenticator(r.model.AAGUID)
	thief.Chain = append(thief.Chain, r.model.CA.Cert)
	requireRefused(t, r.register(thief, nil), attest.Failed, passkey.StepTrust)
	// A certificate of the model's batch cannot issue others.
	batch := r.key().Signer
	leaf := attesttest.SoftwareAuthenticator(r.model.AAGUID)
	leaf.Signer.Cert = attesttest.Sign(&batch, &leaf.Signer.Key.PublicKey, leaf.Signer.Cert)
	leaf.Chain = append(leaf.Chain, batch.Cert)
	requireRefused(t, r.register(leaf, nil), attest.Failed, passkey.StepTrust)
}

func TestTPM(t *testing.T) {
	r := newRig(t)
	m := r.fido.NewModel("TPM", "FIDO_CERTIFIED_L1")
	r.models = append(r.models, m)
	r.publish()
	requirePassed(t, r.register(r.fido.TPMPlatform(m), nil))
	for _, row := range []struct {
		name   string
		change func(a *attesttest.Authenticator) *attesttest.FIDOForge
	}{
		{"unknown maker", func(a *attesttest.Authenticator) *attesttest.FIDOForge {
			a.Signer = m.AIK(time.Now(), "id:00000000")
			return nil
		}},
		{"expired key certificate", func(a *attesttest.Authenticator) *attesttest.FIDOForge {
			a.Signer = m.AIK(time.Now().Add(-3*365*24*time.Hour), "id:4D534654")
			return nil
		}},
		{"certificate of a batch", func(a *attesttest.Authenticator) *attesttest.FIDOForge {
			a.Signer = r.fido.SecurityKey(m).Signer
			return nil
		}},
		{"magic", func(*attesttest.Authenticator) *attesttest.FIDOForge {
			return &attesttest.FIDOForge{Statement: func(s map[string]any) { s["certInfo"].([]byte)[0] ^= 1 }}
		}},
		{"key of another area", func(*attesttest.Authenticator) *attesttest.FIDOForge {
			return &attesttest.FIDOForge{Statement: func(s map[string]any) { p := s["pubArea"].([]byte); p[len(p)-1] ^= 1 }}
		}},
		{"version", func(*attesttest.Authenticator) *attesttest.FIDOForge {
			return &attesttest.FIDOForge{Statement: func(s map[string]any) { s["ver"] = "1.2" }}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.fido.TPMPlatform(m)
			requireRefused(t, r.register(a, row.change(a)), attest.Failed, passkey.StepAttestation)
		})
	}
}

func TestPolicy(t *testing.T) {
	var other passkey.AAGUID
	other[0] = 9
	claim := func(r *rig) *attesttest.Authenticator { return attesttest.SyncedPasskey(r.model.AAGUID) }
	certified := func(r *rig) *attesttest.Authenticator { return r.key() }
	for _, row := range []struct {
		name   string
		a      func(r *rig) *attesttest.Authenticator
		change func(o *passkey.Options, own passkey.AAGUID)
		step   string
	}{
		{"allowed model", certified, func(o *passkey.Options, own passkey.AAGUID) { o.AllowModels = []passkey.AAGUID{own} }, ""},
		{"none that claims the allowed model", claim, func(o *passkey.Options, own passkey.AAGUID) { o.AllowModels = []passkey.AAGUID{own} }, passkey.StepModel},
		{"zero AAGUID against a list", func(*rig) *attesttest.Authenticator { return attesttest.SyncedPasskey([16]byte{}) },
			func(o *passkey.Options, own passkey.AAGUID) { o.AllowModels = []passkey.AAGUID{own} }, passkey.StepModel},
		{"another model allowed", certified, func(o *passkey.Options, _ passkey.AAGUID) { o.AllowModels = []passkey.AAGUID{other} }, passkey.StepModel},
		{"denied model", certified, func(o *passkey.Options, own passkey.AAGUID) { o.DenyModels = []passkey.AAGUID{own} }, passkey.StepModel},
		{"a claim of the denied model says nothing", claim, func(o *passkey.Options, own passkey.AAGUID) { o.DenyModels = []passkey.AAGUID{own} }, ""},
		{"self attestation with the allowed model", func(r *rig) *attesttest.Authenticator { a := r.key(); a.Format = "self"; return a },
			func(o *passkey.Options, own passkey.AAGUID) { o.AllowModels = []passkey.AAGUID{own} }, passkey.StepModel},
		{"certified wanted", certified, func(o *passkey.Options, _ passkey.AAGUID) { o.Least = passkey.Certified }, ""},
		{"certified wanted, none given", claim, func(o *passkey.Options, _ passkey.AAGUID) { o.Least = passkey.Certified }, passkey.StepTrust},
		{"a higher level wanted", certified, func(o *passkey.Options, _ passkey.AAGUID) { o.Least, o.MinLevel = passkey.Certified, passkey.L3 }, passkey.StepTrust},
		{"format allowed", certified, func(o *passkey.Options, _ passkey.AAGUID) { o.AllowFormats = []string{"packed"} }, ""},
		{"format not allowed", certified, func(o *passkey.Options, _ passkey.AAGUID) { o.AllowFormats = []string{"tpm"} }, passkey.StepFormat},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			o := &passkey.Options{Trust: r.mds, Now: r.clock}
			row.change(o, r.model.AAGUID)
			v, err := passkey.New(site, r.challenges, r.store, o)
			require.NoError(t, err)
			r.v = v
			res := r.register(row.a(r), nil)
			if row.step == "" {
				requirePassed(t, res)
				return
			}
			requireRefused(t, res, attest.Failed, row.step)
		})
	}
}

// A model revoked after registration is a signal, and nobody is locked out.
func TestRecheck(t *testing.T) {
	r := newRig(t)
	a := r.key()
	requirePassed(t, r.register(a, nil))
	r.publish()
	in := r.login(a, nil)
	require.False(t, in.Downgraded)
	require.Equal(t, "mds:2", in.Judged.Version)

	r.model.Report("REVOKED", r.clock().Add(-24*time.Hour))
	r.publish()
	in = r.login(a, nil)
	requirePassed(t, in)
	require.True(t, in.Downgraded)
	require.Equal(t, passkey.Revoked, in.Judged.Trust)
	require.Equal(t, attest.None, in.Verdict.Strength())
	stored, err := r.store.Get(context.Background(), "t1", in.Credential.ID)
	require.NoError(t, err)
	require.Equal(t, passkey.Revoked, stored.Attestation.Trust, "sweeps see it too")
	require.True(t, r.login(a, nil).Downgraded, "and it stays so")
	requireRefused(t, r.register(r.key(), nil), attest.Revoked, passkey.StepTrust)

	r.model.Reports = r.model.Reports[:1]
	r.publish()
	in = r.login(a, nil)
	require.False(t, in.Downgraded)
	require.Equal(t, passkey.Certified, in.Judged.Trust)

	// The model leaves the metadata, or the source is gone: nothing is certified, nobody accused.
	r.models = nil
	r.publish()
	in = r.login(a, nil)
	require.False(t, in.Downgraded)
	require.Equal(t, passkey.Unknown, in.Judged.Trust)
	require.LessOrEqual(t, in.Verdict.Strength(), attest.Software)
}

func TestMetadataMissing(t *testing.T) {
	for name, trust := range map[string]passkey.TrustSource{
		"none": nil,
		"down": passkey.TrustSourceFunc(func(context.Context, passkey.AttestedKey) (*passkey.Model, bool, error) { return nil, true, errDown }),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *passkey.Options) { o.Trust = trust })
			a := r.key()
			res := r.register(a, nil)
			requirePassed(t, res)
			require.Equal(t, passkey.Unknown, res.Judged.Trust)
			require.LessOrEqual(t, res.Verdict.Strength(), attest.Software)
			requirePassed(t, r.login(a, nil))
		})
	}
}

func TestModels(t *testing.T) {
	r := newRig(t)
	m := passkey.Model{
		AAGUID: r.model.AAGUID, Name: "Ours", Roots: []*x509.Certificate{r.model.CA.Cert}, Strength: attest.SecureElement,
		Reports: []passkey.Report{{Status: "FIDO_CERTIFIED_L1"}},
	}
	own, err := passkey.NewModels(m)
	require.NoError(t, err)
	down := passkey.TrustSourceFunc(func(context.Context, passkey.AttestedKey) (*passkey.Model, bool, error) { return nil, false, errDown })
	r = &rig{t: t, fido: r.fido, model: r.model, store: r.store, challenges: r.challenges, now: r.now}
	r.v, err = passkey.New(site, r.challenges, r.store, &passkey.Options{Trust: passkey.Sources(down, own), Now: r.clock})
	require.NoError(t, err)
	res := r.register(r.key(), nil)
	requirePassed(t, res)
	require.Equal(t, passkey.Certified, res.Judged.Trust)
	require.Equal(t, "Ours", res.Judged.Model)
	_, found, err := passkey.Sources(down, own).Lookup(context.Background(), passkey.AttestedKey{})
	require.False(t, found)
	require.ErrorIs(t, err, errDown)

	for name, change := range map[string]func(m *passkey.Model){
		"no AAGUID": func(m *passkey.Model) { m.AAGUID = passkey.AAGUID{} },
		"no roots":  func(m *passkey.Model) { m.Roots = nil },
		"nil root":  func(m *passkey.Model) { m.Roots = []*x509.Certificate{nil} },
		"strength":  func(m *passkey.Model) { m.Strength = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := m
			change(&bad)
			_, err := passkey.NewModels(bad)
			require.Error(t, err)
		})
	}
	_, err = passkey.NewModels(m, m)
	require.Error(t, err)
}

func TestAAGUID(t *testing.T) {
	const text = "01020304-0506-0708-0102-030405060708"
	a, err := passkey.ParseAAGUID(text)
	require.NoError(t, err)
	require.Equal(t, text, a.String())
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	var b passkey.AAGUID
	require.NoError(t, json.Unmarshal(raw, &b))
	require.Equal(t, a, b)
	for _, bad := range []string{"", "x", text[1:], text + "0", "01020304-0506-0708-0102-03040506070g", "01020304+0506-0708-0102-030405060708"} {
		_, err := passkey.ParseAAGUID(bad)
		require.Error(t, err, bad)
	}
	require.Error(t, json.Unmarshal([]byte(`"x"`), &b))
	require.Equal(t, a, b)
}

func TestWords(t *testing.T) {
	require.Equal(t, "certified", passkey.Certified.String())
	require.Equal(t, "invalid", passkey.Trust(0).String())
	require.Equal(t, "invalid", passkey.Trust(99).String())
	require.Equal(t, "L3+", passkey.L3Plus.String())
	require.Equal(t, "invalid", passkey.Level(99).String())
	require.Equal(t, "none", passkey.NotCertified.String())
}

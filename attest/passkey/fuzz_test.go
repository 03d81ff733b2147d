package passkey_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// anyChallenge redeems whatever it is given, so that what is fuzzed gets past the door.
type anyChallenge struct{ data []byte }

func (c *anyChallenge) Issue(_ context.Context, _ attest.Binding, data []byte) (attest.Challenge, error) {
	c.data = data
	return attest.Challenge{Text: "AAAAAAAAAAAAAAAAAAAAAA", Expires: time.Now().Add(time.Minute)}, nil
}

func (c *anyChallenge) Redeem(context.Context, string, attest.Binding) (attest.Redemption, []byte, error) {
	return attest.Redeemed, c.data, nil
}

// fuzzed is a verifier for which every challenge is right, with a registered key.
func fuzzed(f *testing.F) (*passkey.Verifier, *rig, *attesttest.Authenticator, *anyChallenge) {
	r := newRig(f)
	a := r.key()
	requirePassed(f, r.register(a, nil))
	c := &anyChallenge{}
	v, err := passkey.New(site, c, r.store, &passkey.Options{Trust: r.mds, Now: r.clock})
	require.NoError(f, err)
	return v, r, a, c
}

func sane(t *testing.T, res *passkey.Result, err error) {
	require.NoError(t, err)
	if !res.Passed() {
		require.Nil(t, res.Credential)
		require.NotEmpty(t, res.Verdict.Step())
		require.Equal(t, attest.None, res.Verdict.Strength())
	}
}

func FuzzRegistration(f *testing.F) {
	v, r, a, _ := fuzzed(f)
	ctx := context.Background()
	synced := attesttest.SyncedPasskey([16]byte{1})
	task, err := v.BeginRegistration(ctx, scope, passkey.User{})
	require.NoError(f, err)
	for _, with := range []*attesttest.Authenticator{a, synced, r.fido.TPMPlatform(r.model)} {
		body, err := with.Create(origin, public(f, task), nil)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		res, err := v.FinishRegistration(ctx, passkey.Scope{Tenant: "t1", Session: "s-42"}, body)
		if err == nil {
			sane(t, res, err)
		} else {
			require.ErrorIs(t, err, passkey.ErrFull) // the store is bounded, and the fuzzer does not sleep
		}
	})
}

func FuzzLogin(f *testing.F) {
	v, _, a, _ := fuzzed(f)
	ctx := context.Background()
	task, err := v.BeginLogin(ctx, scope)
	require.NoError(f, err)
	body, err := a.Get(origin, public(f, task), nil)
	require.NoError(f, err)
	f.Add(body)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		res, err := v.FinishLogin(ctx, scope, body)
		sane(t, res, err)
	})
}

// FuzzClientData fuzzes what the browser says, in a body that is otherwise right.
func FuzzClientData(f *testing.F) {
	v, _, a, _ := fuzzed(f)
	ctx := context.Background()
	task, err := v.BeginLogin(ctx, scope)
	require.NoError(f, err)
	body, err := a.Get(origin, public(f, task), nil)
	require.NoError(f, err)
	var parts map[string]any
	require.NoError(f, json.Unmarshal(body, &parts))
	inner := parts["response"].(map[string]any)
	right, err := base64.RawURLEncoding.DecodeString(inner["clientDataJSON"].(string))
	require.NoError(f, err)
	f.Add(right)
	f.Add([]byte(`{"type":"webauthn.get","origin":"https://example.com","topOrigin":"x","crossOrigin":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		inner["clientDataJSON"] = base64.RawURLEncoding.EncodeToString(data)
		raw, err := json.Marshal(parts)
		require.NoError(t, err)
		res, err := v.FinishLogin(ctx, scope, raw)
		sane(t, res, err)
		require.Equal(t, string(data) == string(right), res.Passed(), "the signature covers every byte")
	})
}

// FuzzAttestationObject fuzzes what the authenticator says, in a body that is otherwise right.
func FuzzAttestationObject(f *testing.F) {
	v, r, a, _ := fuzzed(f)
	ctx := context.Background()
	task, err := v.BeginRegistration(ctx, scope, passkey.User{})
	require.NoError(f, err)
	var parts map[string]any
	u2f := r.fido.U2FKey(r.fido.NewModel("U2F", "FIDO_CERTIFIED"))
	for _, with := range []*attesttest.Authenticator{r.fido.TPMPlatform(r.model), u2f, attesttest.SyncedPasskey([16]byte{1}), a} {
		body, err := with.Create(origin, public(f, task), nil)
		require.NoError(f, err)
		parts = nil
		require.NoError(f, json.Unmarshal(body, &parts))
		object, err := base64.RawURLEncoding.DecodeString(parts["response"].(map[string]any)["attestationObject"].(string))
		require.NoError(f, err)
		f.Add(object)
	}
	inner := parts["response"].(map[string]any)
	f.Fuzz(func(t *testing.T, object []byte) {
		inner["attestationObject"] = base64.RawURLEncoding.EncodeToString(object)
		raw, err := json.Marshal(parts)
		require.NoError(t, err)
		res, err := v.FinishRegistration(ctx, scope, raw)
		sane(t, res, err)
	})
}

func FuzzBLOB(f *testing.F) {
	fido := attesttest.NewFIDO(nil)
	m := fido.NewModel("Key", "FIDO_CERTIFIED")
	right := fido.BLOB(3, time.Now().Add(24*time.Hour), []*attesttest.FIDOModel{m}, nil)
	f.Add(right)
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		mds, err := passkey.NewMDS(&passkey.MDSOptions{Roots: fido.Roots()})
		require.NoError(t, err)
		if mds.Load(raw) == nil {
			require.Equal(t, 3, mds.Status().Number)
		} else {
			require.Zero(t, mds.Status().Number)
		}
	})
}

// FuzzBLOBPayload fuzzes the content of a BLOB that is signed as it should be.
func FuzzBLOBPayload(f *testing.F) {
	fido := attesttest.NewFIDO(nil)
	m := fido.NewModel("Key", "FIDO_CERTIFIED")
	blob := fido.BLOB(3, time.Now().Add(24*time.Hour), []*attesttest.FIDOModel{m}, nil)
	var parts [2]int
	for i, n := 0, 0; i < len(blob); i++ {
		if blob[i] == '.' {
			parts[n] = i
			n++
		}
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(blob[parts[0]+1 : parts[1]]))
	require.NoError(f, err)
	f.Add(payload)
	f.Add([]byte(`{"no":1,"nextUpdate":"2030-01-01","entries":[{"aaguid":"x"},null,7]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var p map[string]any
		if json.Unmarshal(payload, &p) != nil || p == nil {
			return
		}
		mds, err := passkey.NewMDS(&passkey.MDSOptions{Roots: []*x509.Certificate{fido.Root.Cert}})
		require.NoError(t, err)
		err = mds.Load(fido.BLOB(1, time.Now(), nil, &attesttest.BLOBForge{Payload: func(out map[string]any) {
			clear(out)
			for k, v := range p {
				out[k] = v
			}
		}}))
		_, _, lookup := mds.Lookup(context.Background(), passkey.AttestedKey{AAGUID: m.AAGUID})
		if err == nil {
			require.NoError(t, lookup)
		}
	})
}

// FuzzRecheck fuzzes attestation objects as stores give them back: go-webauthn does not verify those again.
func FuzzRecheck(f *testing.F) {
	v, r, a, _ := fuzzed(f)
	google := attesttest.NewGoogle(nil)
	u2f := r.fido.U2FKey(r.fido.NewModel("U2F", "FIDO_CERTIFIED"))
	for _, with := range []*attesttest.Authenticator{
		a, u2f, r.fido.TPMPlatform(r.model), google.Pixel(androidPackage, make([]byte, 32)).Keystore(), attesttest.NewApple(nil).Enclave(),
	} {
		f.Add(r.kept(with, "basic", nil).Object, "basic")
	}
	f.Add(r.kept(a, "basic", compound(2, nil)).Object, "attca")
	f.Fuzz(func(t *testing.T, object []byte, kind string) {
		c := passkey.Credential{Tenant: "t1", ID: []byte("id"), Object: object, Attestation: passkey.Attestation{Type: kind, Trust: passkey.Hardware}}
		now, _ := v.Recheck(context.Background(), &c)
		require.Equal(t, now, c.Attestation)
		switch {
		case now.Trust == passkey.Certified:
			require.Equal(t, attest.CheckedChain|attest.CheckedRoot|attest.CheckedStatus, now.Checked, "certified is what was checked")
		case now.Trust <= passkey.Untrusted:
			require.Equal(t, attest.None, now.Strength)
		}
	})
}

package passkey_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

func TestRegisterAndLogin(t *testing.T) {
	r := newRig(t)
	tpmModel := r.fido.NewModel("TPM", "FIDO_CERTIFIED_L1")
	u2fModel := r.fido.NewModel("U2F", "FIDO_CERTIFIED")
	u2f := r.fido.U2FKey(u2fModel)
	u2f.Flags |= attesttest.FlagUV
	r.models = append(r.models, tpmModel, u2fModel)
	r.publish()
	self := r.key()
	self.Format = "self"
	for _, row := range []struct {
		name  string
		a     *attesttest.Authenticator
		kind  string
		trust passkey.Trust
		level passkey.Level
	}{
		{"certified security key", r.key(), "basic", passkey.Certified, passkey.L2},
		{"TPM", r.fido.TPMPlatform(tpmModel), "attca", passkey.Certified, passkey.L1},
		{"U2F by key identifier", u2f, "basic", passkey.Certified, passkey.L1},
		{"synced passkey", attesttest.SyncedPasskey(r.model.AAGUID), "none", passkey.None, 0},
		{"self attestation of a certified AAGUID", self, "self", passkey.Self, 0},
		{"a program's own CA, unknown model", attesttest.SoftwareAuthenticator([16]byte{1}), "basic", passkey.Unknown, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			res := r.register(row.a, nil)
			requirePassed(t, res)
			require.Equal(t, row.trust, res.Judged.Trust, res.Judged.Reasons)
			require.Equal(t, row.level, res.Judged.Level)
			require.Equal(t, row.kind, res.Judged.Type)
			require.Equal(t, row.trust == passkey.Certified, res.Verdict.Strength() >= attest.TEE)
			require.Equal(t, row.trust == passkey.Certified && row.a.Format != "fido-u2f", res.Judged.Authentic)
			stored, err := r.store.Get(context.Background(), "t1", res.Credential.ID)
			require.NoError(t, err)
			require.Equal(t, *res.Credential, stored)

			in := r.login(row.a, nil)
			requirePassed(t, in)
			require.Equal(t, "ann", in.Credential.Account)
			require.Equal(t, row.trust, in.Judged.Trust)
			require.True(t, in.UserVerified)
			require.False(t, in.CounterStalled || in.BackupChanged || in.Downgraded)
		})
	}
	all, err := r.store.List(context.Background(), "t1", "ann")
	require.NoError(t, err)
	require.Len(t, all, 6)
	for _, c := range all {
		require.Equal(t, all[0].Handle, c.Handle, "one handle an account")
	}
}

// A passkey made while signing up is nobody's until it is bound.
func TestSignUpThenBind(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	signup := passkey.Scope{Tenant: "t1", Session: "s-42", Flow: "f-7"}
	a := r.key()
	res := r.finish(signup, r.create(a, signup, nil))
	requirePassed(t, res)
	require.Empty(t, res.Credential.Account)
	anyone := passkey.Scope{Tenant: "t1", Session: "s-42"}
	in, err := r.v.FinishLogin(ctx, anyone, r.get(a, anyone, nil))
	require.NoError(t, err)
	requireRefused(t, in, attest.Failed, passkey.StepCredential)

	bound, err := r.v.Bind(ctx, "t1", res.Credential.ID, "ann")
	require.NoError(t, err)
	require.True(t, bound)
	bound, err = r.v.Bind(ctx, "t1", res.Credential.ID, "bob")
	require.NoError(t, err)
	require.False(t, bound, "it belongs to somebody")
	_, err = r.v.Bind(ctx, "t2", res.Credential.ID, "ann")
	require.ErrorIs(t, err, passkey.ErrCredentialUnknown)
	_, err = r.v.Bind(ctx, "t1", res.Credential.ID, "")
	require.Error(t, err)
	requirePassed(t, r.login(a, nil))

	res = r.finish(signup, r.create(a, signup, nil))
	r.advance(passkey.PendingKeep)
	_, err = r.v.Bind(ctx, "t1", res.Credential.ID, "ann")
	require.ErrorIs(t, err, passkey.ErrCredentialUnknown, "one that nobody wanted ends by itself")
}

// A ceremony is for one flow, session, tenant, account and purpose, once, for some minutes.
func TestScope(t *testing.T) {
	base := passkey.Scope{Tenant: "t1", Flow: "f-7", Session: "s-42", Account: "ann"}
	for _, row := range []struct {
		name   string
		change func(s *passkey.Scope)
		out    attest.Outcome
	}{
		{"another flow", func(s *passkey.Scope) { s.Flow = "f-8" }, attest.WrongAudience},
		{"no flow", func(s *passkey.Scope) { s.Flow = "" }, attest.WrongAudience},
		{"another session", func(s *passkey.Scope) { s.Session = "s-43" }, attest.WrongAudience},
		{"another account", func(s *passkey.Scope) { s.Account = "bob" }, attest.WrongAudience},
		{"no account", func(s *passkey.Scope) { s.Account = "" }, attest.WrongAudience},
		{"another tenant", func(s *passkey.Scope) { s.Tenant = "t2" }, attest.StaleProof},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			a := r.key()
			body := r.create(a, base, nil)
			other := base
			row.change(&other)
			requireRefused(t, r.finish(other, body), row.out, passkey.StepChallenge)
			requirePassed(t, r.finish(base, body)) // nobody who learns of it can burn it
		})
	}
	t.Run("expired", func(t *testing.T) {
		r := newRig(t)
		body := r.create(r.key(), base, nil)
		r.advance(attest.DefaultTTL)
		requireRefused(t, r.finish(base, body), attest.StaleProof, passkey.StepChallenge)
	})
	t.Run("a registration as a login", func(t *testing.T) {
		r := newRig(t)
		a := r.key()
		requirePassed(t, r.register(a, nil))
		task, err := r.v.BeginRegistration(context.Background(), scope, passkey.User{})
		require.NoError(t, err)
		var o map[string]any
		require.NoError(t, json.Unmarshal(public(t, task), &o))
		o["rpId"] = "example.com"
		raw, err := json.Marshal(o)
		require.NoError(t, err)
		body, err := a.Get(origin, raw, nil)
		require.NoError(t, err)
		res, err := r.v.FinishLogin(context.Background(), scope, body)
		require.NoError(t, err)
		requireRefused(t, res, attest.WrongAudience, passkey.StepChallenge)
	})
}

func TestReplay(t *testing.T) {
	r := newRig(t)
	a := r.key()
	body := r.create(a, scope, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed, replayed := 0, 0
	for range 16 {
		wg.Go(func() {
			res, err := r.v.FinishRegistration(context.Background(), scope, body)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case res.Passed():
				passed++
			case res.Verdict.Outcome == attest.Replayed:
				replayed++
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, passed)
	require.Equal(t, 15, replayed)

	body = r.get(a, scope, nil)
	res, err := r.v.FinishLogin(context.Background(), scope, body)
	require.NoError(t, err)
	requirePassed(t, res)
	res, err = r.v.FinishLogin(context.Background(), scope, body)
	require.NoError(t, err)
	requireRefused(t, res, attest.Replayed, passkey.StepChallenge)
	// A try that fails is a try.
	body = r.create(a, scope, flags(0, attesttest.FlagUV))
	requireRefused(t, r.finish(scope, body), attest.Failed, passkey.StepVerification)
	requireRefused(t, r.finish(scope, body), attest.Replayed, passkey.StepChallenge)
}

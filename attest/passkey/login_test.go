package passkey_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// Without an account in the scope the passkey says who it is.
func TestLoginByWhicheverPasskey(t *testing.T) {
	r := newRig(t)
	a := attesttest.SyncedPasskey([16]byte{7})
	requirePassed(t, r.register(a, nil))
	anyone := passkey.Scope{Tenant: "t1", Session: "s-42"}
	res, err := r.v.FinishLogin(context.Background(), anyone, r.get(a, anyone, nil))
	require.NoError(t, err)
	requirePassed(t, res)
	require.Equal(t, "ann", res.Credential.Account)

	res, err = r.v.FinishLogin(context.Background(), passkey.Scope{Tenant: "t1", Session: "s-42", Account: "bob"}, r.get(a, anyone, nil))
	require.NoError(t, err)
	requireRefused(t, res, attest.WrongAudience, passkey.StepAccount)
	// An account that has none, or is none, is answered alike.
	task, err := r.v.BeginLogin(context.Background(), passkey.Scope{Tenant: "t1", Session: "s-42", Account: "nobody"})
	require.NoError(t, err)
	require.NotContains(t, string(public(t, task)), "allowCredentials\":[{")
}

func TestLoginRefuses(t *testing.T) {
	for _, row := range []struct {
		name  string
		forge *attesttest.FIDOForge
		out   attest.Outcome
		step  string
	}{
		{"other site's page", with("origin", "https://example.com.evil"), attest.WrongAudience, passkey.StepOrigin},
		{"type of a registration", with("type", "webauthn.create"), attest.Failed, passkey.StepType},
		{"cross origin", with("crossOrigin", true), attest.WrongAudience, passkey.StepCrossOrigin},
		{"unknown challenge", with("challenge", base64.RawURLEncoding.EncodeToString(make([]byte, 32))), attest.StaleProof, passkey.StepChallenge},
		{"other site", &attesttest.FIDOForge{AuthData: func(d []byte) []byte { d[0] ^= 1; return d }}, attest.WrongAudience, passkey.StepRPID},
		{"nobody there", flags(0, attesttest.FlagUP), attest.Failed, passkey.StepPresence},
		{"not verified", flags(0, attesttest.FlagUV), attest.Failed, passkey.StepVerification},
		{"backed up and not eligible", flags(attesttest.FlagBS, 0), attest.Failed, passkey.StepBackup},
		{"eligible of a sudden", flags(attesttest.FlagBE, 0), attest.Failed, passkey.StepBackup},
		{"truncated data", &attesttest.FIDOForge{AuthData: func(d []byte) []byte { return d[:30] }}, attest.Failed, passkey.StepFormat},
		{"signature", answer(func(m map[string]any) { m["response"].(map[string]any)["signature"] = "MEQCIAAA" }), attest.Failed, passkey.StepSignature},
		{"handle of another", answer(func(m map[string]any) { m["response"].(map[string]any)["userHandle"] = "AAAA" }), attest.WrongAudience, passkey.StepAccount},
		{"unknown credential", answer(func(m map[string]any) { m["id"], m["rawId"] = "AAAA", "AAAA" }), attest.Failed, passkey.StepCredential},
		{"id is not raw id", answer(func(m map[string]any) { m["id"] = "AAAA" }), attest.Failed, passkey.StepFormat},
		{"client data changed after signing", &attesttest.FIDOForge{Response: func(m map[string]any) {
			in := m["response"].(map[string]any)
			raw, err := base64.RawURLEncoding.DecodeString(in["clientDataJSON"].(string))
			if err != nil {
				panic(err)
			}
			in["clientDataJSON"] = base64.RawURLEncoding.EncodeToString(append(raw, ' '))
		}}, attest.Failed, passkey.StepSignature},
		{"100 KB", answer(func(m map[string]any) { m["more"] = strings.Repeat("x", 100<<10) }), attest.Failed, passkey.StepSize},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			a := r.key()
			made := r.register(a, nil)
			requirePassed(t, made)
			requireRefused(t, r.login(a, row.forge), row.out, row.step)
			stored, err := r.store.Get(context.Background(), "t1", made.Credential.ID)
			require.NoError(t, err)
			require.Equal(t, *made.Credential, stored, "a refusal changes nothing")
		})
	}
}

func TestCounterAndBackup(t *testing.T) {
	r := newRig(t)
	a := r.key()
	requirePassed(t, r.register(a, nil))
	requirePassed(t, r.login(a, nil))
	a.Step = 0 // a copy that has stayed behind
	res := r.login(a, nil)
	requirePassed(t, res)
	require.True(t, res.CounterStalled)
	a.Step = 5
	require.False(t, r.login(a, nil).CounterStalled)

	synced := attesttest.SyncedPasskey([16]byte{1})
	requirePassed(t, r.register(synced, nil))
	for range 3 {
		require.False(t, r.login(synced, nil).CounterStalled, "one that has no counter stalls never")
	}
	requireRefused(t, r.login(synced, flags(0, attesttest.FlagBE|attesttest.FlagBS)), attest.Failed, passkey.StepBackup)
	synced.Flags &^= attesttest.FlagBS
	require.True(t, r.login(synced, nil).BackupChanged)
	require.False(t, r.login(synced, nil).BackupChanged)
}

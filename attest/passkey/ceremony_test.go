package passkey_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

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

// The checklist: one change a row, of what browser and authenticator say, signed as it is.
func TestRegistrationRefuses(t *testing.T) {
	longID := bytes.Repeat([]byte{1}, 1024)
	at := func(from int, change func(d []byte)) *attesttest.FIDOForge {
		return &attesttest.FIDOForge{AuthData: func(d []byte) []byte { change(d[from:]); return d }}
	}
	encoded := func(f func(raw []byte) []byte) *attesttest.FIDOForge { return &attesttest.FIDOForge{Encoded: f} }
	for _, row := range []struct {
		name  string
		forge *attesttest.FIDOForge
		out   attest.Outcome
		step  string
	}{
		{"other scheme", with("origin", "http://example.com"), attest.WrongAudience, passkey.StepOrigin},
		{"other port", with("origin", "https://example.com:8443"), attest.WrongAudience, passkey.StepOrigin},
		{"default port spelled out", with("origin", "https://example.com:443"), attest.WrongAudience, passkey.StepOrigin},
		{"subdomain", with("origin", "https://evil.example.com"), attest.WrongAudience, passkey.StepOrigin},
		{"suffix", with("origin", "https://example.com.evil"), attest.WrongAudience, passkey.StepOrigin},
		{"trailing dot", with("origin", "https://example.com."), attest.WrongAudience, passkey.StepOrigin},
		{"look-alike", with("origin", "https://exаmple.com"), attest.WrongAudience, passkey.StepOrigin},
		{"punycode", with("origin", "https://xn--exmple-4nf.com"), attest.WrongAudience, passkey.StepOrigin},
		{"other spelling", with("origin", "HTTPS://EXAMPLE.COM"), attest.WrongAudience, passkey.StepOrigin},
		{"with a path", with("origin", "https://example.com/x"), attest.WrongAudience, passkey.StepOrigin},
		{"user info", with("origin", "https://example.com@evil"), attest.WrongAudience, passkey.StepOrigin},
		{"null origin", with("origin", "null"), attest.WrongAudience, passkey.StepOrigin},
		{"no origin", with("origin", nil), attest.WrongAudience, passkey.StepOrigin},
		{"type of a login", with("type", "webauthn.get"), attest.Failed, passkey.StepType},
		{"payment type", with("type", "payment.get"), attest.Failed, passkey.StepType},
		{"no type", with("type", nil), attest.Failed, passkey.StepType},
		{"cross origin", with("crossOrigin", true), attest.WrongAudience, passkey.StepCrossOrigin},
		{"top origin without cross origin", with("topOrigin", "https://top.example"), attest.WrongAudience, passkey.StepCrossOrigin},
		{"token binding garbage", with("tokenBinding", map[string]any{"status": "garbage"}), attest.Failed, passkey.StepAttestation},
		{"token binding of a wrong type", with("tokenBinding", "x"), attest.Failed, passkey.StepFormat},
		{"challenge of nobody", with("challenge", base64.RawURLEncoding.EncodeToString(make([]byte, 32))), attest.StaleProof, passkey.StepChallenge},
		{"short challenge", with("challenge", "AAAA"), attest.StaleProof, passkey.StepChallenge},
		{"empty challenge", with("challenge", ""), attest.StaleProof, passkey.StepChallenge},
		{"no challenge", with("challenge", nil), attest.StaleProof, passkey.StepChallenge},
		{"client data is no JSON", &attesttest.FIDOForge{ClientText: func([]byte) []byte { return []byte("{") }}, attest.Failed, passkey.StepFormat},
		{"client data twice", &attesttest.FIDOForge{ClientText: func(b []byte) []byte { return append(b, b...) }}, attest.Failed, passkey.StepFormat},

		{"other site", at(0, func(d []byte) { d[0] ^= 1 }), attest.WrongAudience, passkey.StepRPID},
		{"nobody there", flags(0, attesttest.FlagUP), attest.Failed, passkey.StepPresence},
		{"user not verified", flags(0, attesttest.FlagUV), attest.Failed, passkey.StepVerification},
		{"backed up and not eligible", flags(attesttest.FlagBS, attesttest.FlagBE), attest.Failed, passkey.StepBackup},
		{"no attested data", flags(0, attesttest.FlagAT), attest.Failed, passkey.StepFormat},
		{"extensions announced, none there", flags(attesttest.FlagED, 0), attest.Failed, passkey.StepFormat},
		{"data behind the key", &attesttest.FIDOForge{AuthData: func(d []byte) []byte { return append(d, 0) }}, attest.Failed, passkey.StepFormat},
		{"truncated", &attesttest.FIDOForge{AuthData: func(d []byte) []byte { return d[:60] }}, attest.Failed, passkey.StepFormat},
		{"empty", &attesttest.FIDOForge{AuthData: func([]byte) []byte { return nil }}, attest.Failed, passkey.StepFormat},
		{"algorithm not offered", &attesttest.FIDOForge{AuthData: func(d []byte) []byte {
			return bytes.Replace(d, []byte{0x03, 0x26}, []byte{0x03, 0x29}, 1) // -10
		}}, attest.Failed, passkey.StepAlgorithm},
		{"algorithm of another curve", &attesttest.FIDOForge{AuthData: func(d []byte) []byte {
			return bytes.Replace(d, []byte{0x20, 0x01}, []byte{0x20, 0x02}, 1) // P-384, with P-256's coordinates
		}}, attest.Failed, passkey.StepAlgorithm},
		{"point beside the curve", &attesttest.FIDOForge{AuthData: func(d []byte) []byte {
			d[bytes.Index(d, []byte{0x21, 0x58, 0x20})+10] ^= 1 // in x
			return d
		}}, attest.Failed, passkey.StepAlgorithm},
		{"AAGUID of another model", at(37, func(d []byte) { d[0] ^= 1 }), attest.Failed, passkey.StepAttestation},

		{"wrong signature", &attesttest.FIDOForge{Statement: func(s map[string]any) { s["sig"].([]byte)[10] ^= 1 }}, attest.Failed, passkey.StepAttestation},
		{"signature of another algorithm", &attesttest.FIDOForge{Statement: func(s map[string]any) { s["alg"] = -257 }}, attest.Failed, passkey.StepAttestation},
		{"no certificates", &attesttest.FIDOForge{Statement: func(s map[string]any) { s["x5c"] = [][]byte{} }}, attest.Failed, passkey.StepAttestation},
		{"x5c of a wrong type", &attesttest.FIDOForge{Statement: func(s map[string]any) { s["x5c"] = "x" }}, attest.Failed, passkey.StepAttestation},
		{"certificate garbage", &attesttest.FIDOForge{Statement: func(s map[string]any) { s["x5c"] = [][]byte{{1, 2, 3}} }}, attest.Failed, passkey.StepAttestation},
		{"ECDAA", &attesttest.FIDOForge{Statement: func(s map[string]any) { delete(s, "x5c"); s["ecdaaKeyId"] = []byte{1} }}, attest.Failed, passkey.StepAttestation},
		{"self instead", &attesttest.FIDOForge{Statement: func(s map[string]any) { delete(s, "x5c") }}, attest.Failed, passkey.StepAttestation},
		{"none with a statement", &attesttest.FIDOForge{Object: func(o map[string]any) { o["fmt"] = "none" }}, attest.Failed, passkey.StepAttestation},
		{"unknown format", &attesttest.FIDOForge{Object: func(o map[string]any) { o["fmt"] = "magic" }}, attest.Failed, passkey.StepAttestation},
		{"safetynet", &attesttest.FIDOForge{Object: func(o map[string]any) { o["fmt"] = "android-safetynet" }}, attest.Failed, passkey.StepFormat},
		{"compound of one", compound(1, nil), attest.Failed, passkey.StepAttestation},
		{"compound with one bad part", compound(2, func(s map[string]any) { s["sig"].([]byte)[9] ^= 1 }), attest.Failed, passkey.StepAttestation},
		{"compound with safetynet", &attesttest.FIDOForge{Object: func(o map[string]any) {
			part := map[string]any{"fmt": "packed", "attStmt": o["attStmt"]}
			o["fmt"], o["attStmt"] = "compound", []any{part, map[string]any{"fmt": "android-safetynet", "attStmt": map[string]any{}}}
		}}, attest.Failed, passkey.StepFormat},

		{"trailing CBOR", encoded(func(b []byte) []byte { return append(b, 0xf6) }), attest.Failed, passkey.StepFormat},
		{"duplicate CBOR key", encoded(func(b []byte) []byte {
			return append(append([]byte{0xa4}, b[1:]...), append([]byte{0x63}, "fmt\x64none"...)...)
		}), attest.Failed, passkey.StepFormat},
		{"indefinite length", encoded(func(b []byte) []byte { return append(append([]byte{0xbf}, b[1:]...), 0xff) }), attest.Failed, passkey.StepFormat},
		{"deep nesting", encoded(func([]byte) []byte { return append(bytes.Repeat([]byte{0x81}, 5000), 0) }), attest.Failed, passkey.StepFormat},
		{"empty CBOR", encoded(func([]byte) []byte { return nil }), attest.Failed, passkey.StepFormat},
		{"length of 2^63", encoded(func([]byte) []byte { return []byte{0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0} }), attest.Failed, passkey.StepFormat},

		{"id is not raw id", answer(func(m map[string]any) { m["id"] = "AAAA" }), attest.Failed, passkey.StepFormat},
		{"another id", answer(func(m map[string]any) { m["id"], m["rawId"] = "AAAA", "AAAA" }), attest.Failed, passkey.StepAttestation},
		{"id of 1024 bytes", answer(func(m map[string]any) {
			text := base64.RawURLEncoding.EncodeToString(longID)
			m["id"], m["rawId"] = text, text
		}), attest.Failed, passkey.StepFormat},
		{"no id", answer(func(m map[string]any) { delete(m, "id") }), attest.Failed, passkey.StepFormat},
		{"other type of credential", answer(func(m map[string]any) { m["type"] = "password" }), attest.Failed, passkey.StepFormat},
		{"unsolicited extension", answer(func(m map[string]any) {
			m["clientExtensionResults"] = map[string]any{"appid": true}
		}), attest.Failed, passkey.StepAttestation},
		{"no response", answer(func(m map[string]any) { delete(m, "response") }), attest.Failed, passkey.StepFormat},
		{"100 KB", answer(func(m map[string]any) { m["more"] = strings.Repeat("x", 100<<10) }), attest.Failed, passkey.StepSize},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			requireRefused(t, r.register(r.key(), row.forge), row.out, row.step)
			require.Zero(t, r.store.Len(), "nothing that was refused is kept")
		})
	}
}

func answer(f func(map[string]any)) *attesttest.FIDOForge {
	return &attesttest.FIDOForge{Response: f}
}

// compound makes n parts of the statement; change edits a copy in the last.
func compound(n int, change func(s map[string]any)) *attesttest.FIDOForge {
	return &attesttest.FIDOForge{Object: func(o map[string]any) {
		var parts []any
		for i := range n {
			s := map[string]any{}
			for k, v := range o["attStmt"].(map[string]any) {
				if b, ok := v.([]byte); ok {
					v = bytes.Clone(b)
				}
				s[k] = v
			}
			if change != nil && i == n-1 {
				change(s)
			}
			parts = append(parts, map[string]any{"fmt": "packed", "attStmt": s})
		}
		o["fmt"], o["attStmt"] = "compound", parts
	}}
}

// What the standard allows, or leaves to us.
func TestRegistrationAccepts(t *testing.T) {
	longest := bytes.Repeat([]byte{7}, passkey.MaxCredentialID)
	for _, row := range []struct {
		name   string
		forge  *attesttest.FIDOForge
		change func(o *passkey.Options)
	}{
		{"members to come", with("future", map[string]any{"a": []int{1}}), nil},
		{"old token binding", with("tokenBinding", map[string]any{"status": "supported"}), nil},
		{"two statements", compound(2, nil), nil},
		{"not verified, where the host lets that be", flags(0, attesttest.FlagUV), func(o *passkey.Options) { o.SkipUserVerification = true }},
		{"in a frame, where that is allowed", with("crossOrigin", true), func(o *passkey.Options) { o.AllowCrossOrigin = true }},
		{"in a frame of a listed page", &attesttest.FIDOForge{ClientData: func(d map[string]any) {
			d["crossOrigin"], d["topOrigin"] = true, "https://top.example"
		}}, func(o *passkey.Options) { o.AllowCrossOrigin, o.TopOrigins = true, []string{"https://top.example"} }},
		{"id of 1023 bytes", &attesttest.FIDOForge{
			AuthData: func(d []byte) []byte {
				return append(append(append(bytes.Clone(d[:53]), 0x03, 0xff), longest...), d[87:]...)
			},
			Response: func(m map[string]any) {
				text := base64.RawURLEncoding.EncodeToString(longest)
				m["id"], m["rawId"] = text, text
			},
		}, nil},
		{"odd transports", answer(func(m map[string]any) {
			m["response"].(map[string]any)["transports"] = []string{"usb", "telepathy", strings.Repeat("x", 1000)}
		}), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.change == nil {
				row.change = func(*passkey.Options) {}
			}
			r := newRig(t, row.change)
			res := r.register(r.key(), row.forge)
			requirePassed(t, res)
			require.Equal(t, passkey.Certified, res.Judged.Trust, res.Judged.Reasons)
			require.Equal(t, []string{"usb"}, res.Credential.Transports)
		})
	}
	t.Run("unlisted top page", func(t *testing.T) {
		r := newRig(t, func(o *passkey.Options) { o.AllowCrossOrigin, o.TopOrigins = true, []string{"https://top.example"} })
		requireRefused(t, r.register(r.key(), &attesttest.FIDOForge{ClientData: func(d map[string]any) {
			d["crossOrigin"], d["topOrigin"] = true, "https://other.example"
		}}), attest.WrongAudience, passkey.StepCrossOrigin)
	})
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

func TestCredentialOfSomebodyElse(t *testing.T) {
	r := newRig(t)
	first := r.register(r.key(), nil)
	requirePassed(t, first)
	other := passkey.Scope{Tenant: "t1", Session: "s-99", Account: "mallory"}
	// The same id under another account, with a key of the attacker's own.
	a := attesttest.SyncedPasskey([16]byte{1})
	body := r.create(a, other, &attesttest.FIDOForge{
		AuthData: func(d []byte) []byte { copy(d[55:], first.Credential.ID); return d },
		Response: func(m map[string]any) {
			text := base64.RawURLEncoding.EncodeToString(first.Credential.ID)
			m["id"], m["rawId"] = text, text
		},
	})
	requireRefused(t, r.finish(other, body), attest.Failed, passkey.StepExists)
	stored, err := r.store.Get(context.Background(), "t1", first.Credential.ID)
	require.NoError(t, err)
	require.Equal(t, "ann", stored.Account)
	require.Equal(t, first.Credential.PublicKey, stored.PublicKey)
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

// failing stores: an error is an error, never a refusal.
type failing struct {
	passkey.CredentialStore
	fail map[string]bool
}

func (f *failing) List(ctx context.Context, tenant, account string) ([]passkey.Credential, error) {
	if f.fail["list"] {
		return nil, errDown
	}
	return f.CredentialStore.List(ctx, tenant, account)
}

func (f *failing) Create(ctx context.Context, c passkey.Credential) error {
	if f.fail["create"] {
		return errDown
	}
	return f.CredentialStore.Create(ctx, c)
}

func (f *failing) Get(ctx context.Context, tenant string, id []byte) (passkey.Credential, error) {
	if f.fail["get"] {
		return passkey.Credential{}, errDown
	}
	return f.CredentialStore.Get(ctx, tenant, id)
}

func (f *failing) Use(ctx context.Context, tenant string, id []byte, u passkey.Use) (bool, error) {
	if f.fail["use"] {
		return false, errDown
	}
	return f.CredentialStore.Use(ctx, tenant, id, u)
}

func TestStoreDown(t *testing.T) {
	for _, what := range []string{"list", "create", "get", "use"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			store := &failing{r.store, map[string]bool{}}
			v, err := passkey.New(site, r.challenges, store, &passkey.Options{Trust: r.mds, Now: r.clock})
			require.NoError(t, err)
			r.v = v
			a := r.key()
			requirePassed(t, r.register(a, nil))
			creation, request := r.create(a, scope, nil), r.get(a, scope, nil)
			store.fail[what] = true
			ctx := context.Background()
			errs := map[string]func() error{
				"list":   func() error { _, err := v.BeginLogin(ctx, scope); return err },
				"create": func() error { _, err := v.FinishRegistration(ctx, scope, creation); return err },
				"get":    func() error { _, err := v.FinishLogin(ctx, scope, request); return err },
				"use":    func() error { _, err := v.FinishLogin(ctx, scope, request); return err },
			}
			require.ErrorIs(t, errs[what](), errDown)
		})
	}
	r := newRig(t)
	store, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Max: 1})
	require.NoError(t, err)
	challenges, err := attest.NewChallenges(store, nil)
	require.NoError(t, err)
	v, err := passkey.New(site, challenges, r.store, nil)
	require.NoError(t, err)
	_, err = v.BeginLogin(context.Background(), scope)
	require.NoError(t, err)
	_, err = v.BeginLogin(context.Background(), scope)
	require.ErrorIs(t, err, attest.ErrFull)
}

func TestAccountIsFull(t *testing.T) {
	r := newRig(t)
	for range passkey.MaxPerAccount {
		requirePassed(t, r.register(attesttest.SyncedPasskey([16]byte{1}), nil))
	}
	requireRefused(t, r.register(attesttest.SyncedPasskey([16]byte{1}), nil), attest.Failed, passkey.StepFull)
}

func TestOptions(t *testing.T) {
	r := newRig(t)
	for _, row := range []struct {
		name   string
		site   func(s *passkey.RelyingParty)
		change func(o *passkey.Options)
	}{
		{"no name", func(s *passkey.RelyingParty) { s.Name = "" }, nil},
		{"no origins", func(s *passkey.RelyingParty) { s.Origins = nil }, nil},
		{"http", func(s *passkey.RelyingParty) { s.Origins = []string{"http://example.com"} }, nil},
		{"path", func(s *passkey.RelyingParty) { s.Origins = []string{"https://example.com/"} }, nil},
		{"upper case", func(s *passkey.RelyingParty) { s.Origins = []string{"https://Example.com"} }, nil},
		{"another site", func(s *passkey.RelyingParty) { s.Origins = []string{"https://example.net"} }, nil},
		{"suffix", func(s *passkey.RelyingParty) { s.Origins = []string{"https://notexample.com"} }, nil},
		{"app without hash", func(s *passkey.RelyingParty) { s.Origins = []string{"android:apk-key-hash:x"} }, nil},
		{"least", nil, func(o *passkey.Options) { o.Least = 99 }},
		{"level", nil, func(o *passkey.Options) { o.MinLevel = 99 }},
		{"conveyance", nil, func(o *passkey.Options) { o.Attestation = "please" }},
		{"body", nil, func(o *passkey.Options) { o.MaxBody = 1 }},
		{"timeout", nil, func(o *passkey.Options) { o.Timeout = time.Millisecond }},
		{"zero model", nil, func(o *passkey.Options) { o.AllowModels = []passkey.AAGUID{{}} }},
		{"top without cross", nil, func(o *passkey.Options) { o.TopOrigins = []string{origin} }},
		{"safetynet", nil, func(o *passkey.Options) { o.AllowFormats = []string{"android-safetynet"} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, o := site, &passkey.Options{}
			if row.site != nil {
				row.site(&s)
			}
			if row.change != nil {
				row.change(o)
			}
			_, err := passkey.New(s, r.challenges, r.store, o)
			require.Error(t, err)
		})
	}
	_, err := passkey.New(site, nil, r.store, nil)
	require.Error(t, err)
	_, err = passkey.New(site, r.challenges, nil, nil)
	require.Error(t, err)
	app := site
	app.Origins = []string{origin, "android:apk-key-hash:" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))}
	_, err = passkey.New(app, r.challenges, r.store, nil)
	require.NoError(t, err)
}

package passkey_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

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

func TestAccountIsFull(t *testing.T) {
	r := newRig(t)
	for range passkey.MaxPerAccount {
		requirePassed(t, r.register(attesttest.SyncedPasskey([16]byte{1}), nil))
	}
	requireRefused(t, r.register(attesttest.SyncedPasskey([16]byte{1}), nil), attest.Failed, passkey.StepFull)
}

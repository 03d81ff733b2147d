package passkey_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/passkey"
)

type plainUser struct{ id []byte }

func (u plainUser) WebAuthnID() []byte                         { return u.id }
func (u plainUser) WebAuthnName() string                       { return "ann" }
func (u plainUser) WebAuthnDisplayName() string                { return "ann" }
func (u plainUser) WebAuthnCredentials() []webauthn.Credential { return nil }

// BenchmarkPasskeyRegister is FinishRegistration of a certified security key: parsing, redeeming the challenge, go-webauthn,
// the decision on trust with the chain to its root, and storing. The floor is go-webauthn alone on the same object, which
// decides no trust.
func BenchmarkPasskeyRegister(b *testing.B) {
	r := newRig(b)
	a := r.key()
	web, err := webauthn.New(&webauthn.Config{RPID: site.ID, RPDisplayName: site.Name, RPOrigins: site.Origins})
	require.NoError(b, err)
	type one struct {
		body    []byte
		user    plainUser
		session webauthn.SessionData
	}
	make1 := func() one {
		s := scope
		s.Account = ""
		task, err := r.v.BeginRegistration(context.Background(), s, passkey.User{})
		require.NoError(b, err)
		raw := public(b, task)
		body, err := a.Create(origin, raw, nil)
		require.NoError(b, err)
		var o struct {
			Challenge string `json:"challenge"`
			User      struct {
				ID string `json:"id"`
			} `json:"user"`
		}
		require.NoError(b, json.Unmarshal(raw, &o))
		id, err := base64.RawURLEncoding.DecodeString(o.User.ID)
		require.NoError(b, err)
		return one{body, plainUser{id}, webauthn.SessionData{
			Challenge: o.Challenge, RelyingPartyID: site.ID, UserID: id, UserVerification: protocol.VerificationRequired,
			CredParams: webauthn.CredentialParametersDefault(),
		}}
	}
	s := scope
	s.Account = ""
	ours := func(all []one) {
		for _, x := range all {
			if res, err := r.v.FinishRegistration(context.Background(), s, x.body); err != nil || !res.Passed() || res.Judged.Trust != passkey.Certified {
				b.Fatal(err, res)
			}
		}
	}
	floor := func(all []one) {
		for _, x := range all {
			in, err := protocol.ParseCredentialCreationResponseBytes(x.body)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := web.CreateCredential(x.user, x.session, in); err != nil {
				b.Fatal(err)
			}
		}
	}
	const rounds, n = 21, 200
	var ratios []float64
	for range rounds {
		all := make([]one, n)
		for i := range all {
			all[i] = make1()
		}
		t0 := time.Now()
		floor(all)
		t1 := time.Now()
		ours(all)
		ratios = append(ratios, float64(time.Since(t1))/float64(t1.Sub(t0)))
	}
	slices.Sort(ratios)
	b.ReportAllocs()
	b.StopTimer()
	b.ResetTimer()
	for range b.N {
		x := []one{make1()}
		b.StartTimer()
		ours(x)
		b.StopTimer()
	}
	b.ReportMetric(ratios[rounds/2], "x/floor")
}

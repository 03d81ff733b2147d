package attest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// spy writes down all that a store of challenges and keys is told, and fails with all it knows.
type spy struct {
	attest.ChallengeStore
	attest.KeyStore
	said strings.Builder
	fail bool
}

func (s *spy) Put(ctx context.Context, key attest.Hash, r attest.Record, ttl time.Duration) error {
	fmt.Fprintf(&s.said, "put %x %x %x %q\n", key, r.Binding, r.Subject, r.Data)
	return s.ChallengeStore.Put(ctx, key, r, ttl)
}

func (s *spy) Redeem(ctx context.Context, key, binding, subject attest.Hash) (attest.Redemption, []byte, error) {
	fmt.Fprintf(&s.said, "redeem %x %x %x\n", key, binding, subject)
	if s.fail {
		return 0, nil, errors.New("store down")
	}
	return s.ChallengeStore.Redeem(ctx, key, binding, subject)
}

func (s *spy) Create(ctx context.Context, k attest.Key) error {
	fmt.Fprintf(&s.said, "create %s %x %x\n", k.Tenant, k.ID, k.Owner)
	return s.KeyStore.Create(ctx, k)
}

// A canary in every personal field and in the evidence: neither errors nor logs nor stores nor explanations show it.
func TestNothingLeaks(t *testing.T) {
	store := &spy{}
	s := newServiceOver(t, func(c attest.ChallengeStore, k attest.KeyStore) (attest.ChallengeStore, attest.KeyStore) {
		store.ChallengeStore, store.KeyStore = c, k
		return store, store
	})
	const imei, message = "356938035643809", "message-canary-5f02aa17"
	said := func(d *attesttest.Description) { attesttest.Set(&d.Hardware, 714, attesttest.DER([]byte(imei))) }
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	pixel, emulator, rooted := s.google.Pixel(pkg, appSigner), s.google.EmulatorPhone(pkg, appSigner), s.google.RootedPhone(pkg, appSigner)
	iPhone := s.apple.IPhone(team, bundle, nil)

	type row struct {
		name string
		make func(c string) attest.Response
		fail bool
	}
	var rows []row
	for _, d := range []*attesttest.Android{pixel, emulator, rooted} {
		rows = append(rows,
			row{"keystore", func(c string) attest.Response { return s.android(d, c, &attesttest.AndroidForge{Description: said}) }, false},
			row{"keystore cut", func(c string) attest.Response { return s.android(d, c, &attesttest.AndroidForge{DER: cut}) }, false},
			row{"play", func(c string) attest.Response { return s.play(d, c, nil) }, false},
			row{"play of another request", func(string) attest.Response { return s.play(d, "another", nil) }, false})
	}
	rows = append(rows,
		row{"iPhone", func(c string) attest.Response { return s.iPhone(iPhone.NewKey(), c, nil) }, false},
		row{"iPhone cut", func(c string) attest.Response {
			return s.iPhone(iPhone.NewKey(), c, &attesttest.AppleForge{Encoded: cut})
		}, false},
		row{"iPhone wrong nonce", func(c string) attest.Response {
			return s.iPhone(iPhone.NewKey(), "another", nil)
		}, false},
		row{"unknown key", func(c string) attest.Response {
			k := iPhone.NewKey()
			hash := attest.ClientDataHash(c, nil)
			return attest.Response{Platform: attest.AppAttest, Kind: attest.KindAssertion, KeyID: k.ID, Data: k.Assert(hash[:], nil)}
		}, false},
		row{"store down", func(c string) attest.Response { return s.android(pixel, c, nil) }, true},
		row{"unknown platform", func(string) attest.Response {
			return attest.Response{Platform: "platform-canary-77aa01", Kind: "kind-canary-77aa01", Data: []byte("x")}
		}, false})
	searched := 0
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := risktest.NewCanary()
			a := c.Attempt()
			a.Channel, a.Flow = risk.ChannelMobile, ""
			challenge := s.challenge(t, a)
			r := row.make(challenge)
			r.Challenge, r.Message = challenge, nil
			c.Watch("challenge", challenge)
			c.Watch("imei", imei)
			c.Watch("message", message)
			c.Watch("platform", "platform-canary-77aa01")
			c.Watch("kind", "kind-canary-77aa01")
			for name, raw := range map[string][]byte{"key id": r.KeyID, "data": r.Data} {
				if len(raw) >= 32 {
					c.Watch(name, string(raw[:24]))
					c.Watch(name, string(raw[len(raw)-24:]))
				}
			}
			risk.Attach(a, r)
			store.fail = row.fail
			got := s.engine.Assess(ctx, a)
			store.fail = false

			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("assessed", "assessment", got, "attempt", a, "response", r, "flow", "-")
			body, err := json.Marshal(got)
			require.NoError(t, err)
			texts := []string{log.String(), string(body), got.String(), store.said.String()}
			withMessage := r
			withMessage.Message = []byte(message)
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
				texts = append(texts, fmt.Sprintf(verb, withMessage), fmt.Sprintf(verb, []any{&withMessage}), fmt.Sprintf(verb, got.Errors))
			}
			for _, e := range got.Errors {
				texts = append(texts, fmt.Sprintf("%+v %v", e, e.Err))
			}
			if r.Platform == attest.AndroidKey {
				_, err := s.androids.Attestation(ctx, r.Chain, androidkey.ChallengeFor(challenge, nil))
				texts = append(texts, fmt.Sprintf("%v %+v", err, err), s.androids.Explain(ctx, r.Chain, []byte(challenge)).String())
			}
			if r.Platform == attest.AppAttest {
				hash := attest.ClientDataHash(challenge, nil)
				_, err := s.apples.Attestation(r.Data, r.KeyID, hash[:])
				e := s.apples.ExplainAttestation(r.Data, r.KeyID, hash[:]).String()
				texts = append(texts, fmt.Sprintf("%v %+v", err, err), e)
				require.NotContains(t, e, base64.StdEncoding.EncodeToString(r.KeyID))
			}
			v, err := s.verifiers[attest.AndroidKey].Verify(ctx, attest.Request{Response: r})
			texts = append(texts, fmt.Sprintf("%+v %v", v, err))
			require.Empty(t, c.Search(texts...))
			searched += len(strings.Join(texts, ""))
		})
	}
	require.Greater(t, searched, 10_000, "there was something to search")
}

// Whoever stops waiting is not kept waiting: every call that goes out honours its context.
func TestEngineHonoursContext(t *testing.T) {
	hangs := attest.VerifierFunc(func(ctx context.Context, _ attest.Request) (attest.Verdict, error) {
		<-ctx.Done()
		return attest.Verdict{}, ctx.Err()
	})
	s, _ := newSignal(t, hangs, nil)
	a := attempt()
	risk.Attach(a, attest.Response{Platform: platform, Challenge: ask(t, s, a, "f-7"), Data: []byte("x")})
	seen := risk.Rehearse(a, []risk.Proof{risk.ProofDevice}, true, nil)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	var f risk.Finding
	require.ErrorIs(t, s.Evaluate(canceled, seen, &f), context.Canceled)
	require.Empty(t, f.Proofs())
}

package passkey_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// A canary in every personal field, and in what goes between browser and authenticator: refusals, errors, logs, facts and
// what clients are told show none of it.
func TestCanary(t *testing.T) {
	const secret = "authenticator-canary-21c7fe"
	rubbish := &attesttest.FIDOForge{Statement: func(s map[string]any) { s["sig"] = []byte(secret) }}
	for _, row := range []struct {
		name  string
		forge *attesttest.FIDOForge
		down  string
	}{
		{"certified", nil, ""},
		{"rubbish for a signature", rubbish, ""},
		{"phished", with("origin", "https://"+secret+".example"), ""},
		{"unknown type", with("type", secret), ""},
		{"unknown format", &attesttest.FIDOForge{Object: func(o map[string]any) { o["fmt"] = secret }}, ""},
		{"rubbish for an object", &attesttest.FIDOForge{Encoded: func([]byte) []byte { return []byte(secret) }}, ""},
		{"rubbish for client data", &attesttest.FIDOForge{ClientText: func([]byte) []byte { return []byte(secret) }}, ""},
		{"unverified", flags(0, attesttest.FlagUV), ""},
		{"store down", nil, "create"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := risktest.NewCanary()
			r := newRig(t)
			store := &failing{r.store, map[string]bool{}}
			v, err := passkey.New(site, r.challenges, store, &passkey.Options{Trust: r.mds, Now: r.clock})
			require.NoError(t, err)
			r.v = v
			signal := newSignal(t, r, nil)
			a := c.Attempt()
			c.Watch("authenticator", secret)
			var out bytes.Buffer
			log := slog.New(slog.NewJSONHandler(&out, nil))

			begin := func(s passkey.Scope) []byte {
				task, err := v.BeginRegistration(context.Background(), s, passkey.User{Name: string(a.Email), Display: c.Value(risktest.FieldAccount)})
				require.NoError(t, err)
				return public(t, task)
			}
			// Over HTTP: what the client reads, and what OnError and logs are given.
			own := passkey.Scope{Tenant: a.Tenant, Session: string(a.Session), Flow: a.Flow, Account: a.Account}
			o := &passkey.HandlerOptions{OnError: func(_ *http.Request, err error) { log.Error("passkeys", "err", err) }}
			_, finish := handlers(t, r, passkey.Registration, bindTo(own), o)
			options := begin(own)
			body, err := r.key().Create(origin, options, row.forge)
			require.NoError(t, err)
			watchBody(c, options, body)
			store.fail[row.down] = true
			answered := post(finish, string(body))
			log.Info("answered", "status", answered.StatusCode)
			if answered.StatusCode != http.StatusOK { // a ticket is the client's own
				out.WriteString(read(t, answered))
			}
			// Directly.
			store.fail[row.down] = false
			options = begin(own)
			body, err = r.key().Create(origin, options, row.forge)
			require.NoError(t, err)
			watchBody(c, options, body)
			store.fail[row.down] = true
			res, err := v.FinishRegistration(context.Background(), own, body)
			if err != nil {
				log.Error("passkeys", "err", err, "text", fmt.Sprintf("%+v %#v", err, errors.Unwrap(err)))
			} else {
				log.Info("passkeys", "verdict", res.Verdict, "judged", res.Judged, "text", fmt.Sprintf("%+v %+v", res.Verdict, res.Judged))
			}
			// Through the signal.
			store.fail[row.down] = false
			got, err := signal.Ask(context.Background(), risk.Question{Attempt: a, Proof: risk.ProofDevice, Flow: a.Flow})
			require.NoError(t, err)
			options = public(t, got.(*passkey.Task))
			body, err = r.key().Create(origin, options, row.forge)
			require.NoError(t, err)
			watchBody(c, options, body)
			response := passkey.Response{Credential: body}
			log.Info("passkeys", "response", response, "text", fmt.Sprintf("%v %+v %#v %x", response, &response, response, response))
			store.fail[row.down] = true
			said, err := risktest.Evaluate(signal, risktest.Attempt(a, &risktest.AttemptOptions{
				Asked: []risk.Proof{risk.ProofDevice}, Continued: true, Evidence: []any{response}}))
			log.Info("said", "err", err, "text", fmt.Sprintf("%+v", said))

			require.Empty(t, c.Search(out.String()), out.String())
			require.Greater(t, out.Len(), 300, "there was something to search")
		})
	}
}

// watchBody watches challenge, user handle, credential and evidence.
func watchBody(c *risktest.Canary, options, body []byte) {
	var o struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	var b struct {
		ID       string `json:"id"`
		Response struct {
			Object string `json:"attestationObject"`
		} `json:"response"`
	}
	if json.Unmarshal(options, &o) != nil || json.Unmarshal(body, &b) != nil {
		panic("a body that is no JSON")
	}
	c.Watch("challenge", o.Challenge)
	for name, text := range map[string]string{"handle": o.User.ID, "credential": b.ID} {
		c.Watch(name, text)
		if raw, err := base64.RawURLEncoding.DecodeString(text); err == nil {
			c.Watch(name, string(raw))
		}
	}
	if len(b.Response.Object) > 80 {
		c.Watch("object", b.Response.Object[40:80])
	}
}

// The names of records hide whose they are, and a store's words stay out of answers.
func TestStoreSeesHashes(t *testing.T) {
	c := risktest.NewCanary()
	seen := &keys{Records: attesttest.NewRecords(nil)}
	s, err := passkey.NewCredentials(seen, nil)
	require.NoError(t, err)
	cred := attesttest.NewCredential("tenant-canary-5d11", c.Value(risktest.FieldAccount))
	c.Watch("tenant", cred.Tenant)
	c.Watch("credential", string(cred.ID))
	require.NoError(t, s.Create(context.Background(), cred))
	_, err = s.List(context.Background(), cred.Tenant, cred.Account)
	require.NoError(t, err)
	require.NotEmpty(t, seen.names)
	require.Empty(t, c.Search(strings.Join(seen.names, "\n")))
}

type keys struct {
	passkey.Records
	names []string
}

func (k *keys) Get(ctx context.Context, key attest.Hash) ([]byte, error) {
	k.names = append(k.names, fmt.Sprintf("%x %s", key, key))
	return k.Records.Get(ctx, key)
}

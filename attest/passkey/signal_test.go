package passkey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func newSignal(t testing.TB, r *rig, o *passkey.SignalOptions) *passkey.Signal {
	t.Helper()
	if o == nil {
		o = &passkey.SignalOptions{}
	}
	o.Now = r.clock
	if o.Timeout == 0 {
		o.Timeout = time.Minute // a busy machine is no fault
	}
	s, err := passkey.NewSignal(r.v, o)
	require.NoError(t, err)
	return s
}

func attempt(event risk.Event, account string) *risk.Attempt {
	return &risk.Attempt{Event: event, Tenant: "t1", Session: "s-42", Flow: "f-7", Account: account, Channel: risk.ChannelWeb, Email: "ann@example.com"}
}

// task asks the signal for one, in the flow, and returns what a page gets.
func task(t testing.TB, s *passkey.Signal, a *risk.Attempt, p risk.Proof) (passkey.Ceremony, []byte) {
	t.Helper()
	got, err := s.Ask(context.Background(), risk.Question{Attempt: a, Proof: p, Flow: "f-7"})
	require.NoError(t, err)
	raw, err := json.Marshal(got)
	require.NoError(t, err)
	var out struct {
		Ceremony  passkey.Ceremony `json:"ceremony"`
		PublicKey json.RawMessage  `json:"publicKey"`
	}
	require.NoError(t, json.Unmarshal(raw, &out))
	return out.Ceremony, out.PublicKey
}

// solve answers a task with the authenticator.
func solve(t testing.TB, s *passkey.Signal, a *risk.Attempt, p risk.Proof, with *attesttest.Authenticator, f *attesttest.FIDOForge) passkey.Response {
	t.Helper()
	kind, options := task(t, s, a, p)
	var body []byte
	var err error
	if kind == passkey.Registration {
		body, err = with.Create(origin, options, f)
	} else {
		body, err = with.Get(origin, options, f)
	}
	require.NoError(t, err)
	return passkey.Response{Credential: body}
}

func judge(t testing.TB, s *passkey.Signal, a *risk.Attempt, evidence any, asked ...risk.Proof) *risktest.Said {
	t.Helper()
	said, err := risktest.Evaluate(s, risktest.Attempt(a, &risktest.AttemptOptions{Asked: asked, Continued: true, Evidence: []any{evidence}}))
	require.NoError(t, err)
	return said
}

func codes(s *risktest.Said) []string { return slices.Sorted(maps.Keys(s.Codes)) }

func TestSignalRegistration(t *testing.T) {
	for _, row := range []struct {
		name   string
		a      func(r *rig) *attesttest.Authenticator
		forge  *attesttest.FIDOForge
		opts   *passkey.SignalOptions
		codes  []string
		proofs []risk.Proof
	}{
		{"certified", (*rig).key, nil, nil, []string{"certified", "registered"}, []risk.Proof{risk.ProofDevice}},
		{"certified, human by it", (*rig).key, nil, &passkey.SignalOptions{Human: passkey.Hardware},
			[]string{"certified", "registered"}, []risk.Proof{risk.ProofDevice, risk.ProofHuman}},
		{"certified model, passkey may be copied", (*rig).key, flags(attesttest.FlagBE|attesttest.FlagBS, 0), &passkey.SignalOptions{Device: passkey.Hardware},
			[]string{"hardware", "registered"}, nil},
		{"synced", func(r *rig) *attesttest.Authenticator { return attesttest.SyncedPasskey(r.model.AAGUID) }, nil, nil,
			[]string{"none", "registered"}, nil},
		{"synced where hardware is human", func(r *rig) *attesttest.Authenticator { return attesttest.SyncedPasskey(r.model.AAGUID) }, nil,
			&passkey.SignalOptions{Human: passkey.Hardware}, []string{"none", "registered"}, nil},
		{"synced where everything is human", func(r *rig) *attesttest.Authenticator { return attesttest.SyncedPasskey(r.model.AAGUID) }, nil,
			&passkey.SignalOptions{Human: passkey.None}, []string{"none", "registered"}, []risk.Proof{risk.ProofHuman}},
		{"a program's own CA", func(*rig) *attesttest.Authenticator { return attesttest.SoftwareAuthenticator([16]byte{1}) }, nil,
			&passkey.SignalOptions{Human: passkey.None}, []string{"none", "registered"}, nil},
		{"a program that claims a certified model", func(r *rig) *attesttest.Authenticator { return attesttest.SoftwareAuthenticator(r.model.AAGUID) },
			nil, nil, []string{"untrusted"}, nil},
		{"wrong origin", (*rig).key, with("origin", "https://example.com.evil"), nil, []string{"origin"}, nil},
		{"other site", (*rig).key, &attesttest.FIDOForge{AuthData: func(d []byte) []byte { d[0] ^= 1; return d }}, nil, []string{"origin"}, nil},
		{"not verified", (*rig).key, flags(0, attesttest.FlagUV), nil, []string{"unverified"}, nil},
		{"wrong signature", (*rig).key, &attesttest.FIDOForge{Statement: func(s map[string]any) { s["sig"].([]byte)[9] ^= 1 }}, nil, []string{"failed"}, nil},
		{"too large", (*rig).key, answer(func(m map[string]any) { m["x"] = strings.Repeat("x", 70<<10) }), nil, []string{"failed"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			s := newSignal(t, r, row.opts)
			a := attempt(risk.SignUp, "")
			response := solve(t, s, a, risk.ProofDevice, row.a(r), row.forge)
			said := judge(t, s, a, response, risk.ProofDevice)
			require.Equal(t, row.codes, codes(said))
			require.Equal(t, row.proofs, said.Proofs)
			if len(row.proofs) == 0 {
				return
			}
			said = judge(t, s, a, response, risk.ProofDevice)
			require.Equal(t, []string{"replayed"}, codes(said))
			require.Empty(t, said.Proofs)
		})
	}
}

func TestSignalRevokedModel(t *testing.T) {
	r := newRig(t)
	s := newSignal(t, r, nil)
	old, another := r.key(), r.key()
	requirePassed(t, r.register(old, nil))
	r.advance(48 * time.Hour)
	r.model.Report("REVOKED", time.Now().Add(-24*time.Hour))
	r.publish()
	signup := attempt(risk.SignUp, "")
	require.Equal(t, []string{"revoked"}, codes(judge(t, s, signup, solve(t, s, signup, risk.ProofDevice, another, nil))))

	login := attempt(risk.Login, "ann")
	said := judge(t, s, login, solve(t, s, login, risk.ProofPasskey, old, nil))
	require.Equal(t, []string{"downgraded", "verified"}, codes(said), "a signal, no lock-out")
	require.Equal(t, []risk.Proof{risk.ProofPasskey}, said.Proofs)
}

func TestSignalLogin(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	s := newSignal(t, r, nil)
	a := r.key()
	requirePassed(t, r.register(a, nil))
	login, payout := attempt(risk.Login, "ann"), attempt(risk.PayoutChange, "ann")

	said := judge(t, s, login, solve(t, s, login, risk.ProofPasskey, a, nil), risk.ProofPasskey)
	require.Equal(t, []string{"certified", "new", "verified"}, codes(said))
	require.Equal(t, []risk.Proof{risk.ProofDevice, risk.ProofPasskey}, said.Proofs)
	require.Equal(t, "certified", said.Texts[passkey.FactTrust])
	require.Equal(t, float64(passkey.L2), said.Numbers[passkey.FactLevel])
	require.Equal(t, passkey.AAGUID(r.model.AAGUID).String(), said.Texts[passkey.FactModel])

	said = judge(t, s, payout, solve(t, s, payout, risk.ProofPasskey, a, nil), risk.ProofPasskey)
	require.Equal(t, []string{"certified", "new"}, codes(said))
	require.NotContains(t, said.Proofs, risk.ProofPasskey, "one made a minute ago does not change where money goes")
	r.advance(25 * time.Hour)
	said = judge(t, s, payout, solve(t, s, payout, risk.ProofPasskey, a, nil), risk.ProofPasskey)
	require.Equal(t, []string{"certified", "verified"}, codes(said))
	require.Contains(t, said.Proofs, risk.ProofPasskey)
	require.InDelta(t, 25, said.Numbers[passkey.FactAge], 0.1)

	a.Step = 0
	said = judge(t, s, login, solve(t, s, login, risk.ProofPasskey, a, nil))
	require.Equal(t, []string{"certified", "counter"}, codes(said))
	require.Empty(t, said.Proofs, "of two copies one is not the user's")
	a.Step = 1

	kind, _ := task(t, s, login, risk.ProofDevice)
	require.Equal(t, passkey.Login, kind, "an account that has a certified key shows it")

	// What belongs to somebody else, or comes from elsewhere.
	bob := attempt(risk.Login, "bob")
	response := solve(t, s, login, risk.ProofPasskey, a, nil)
	require.Equal(t, []string{"mismatch"}, codes(judge(t, s, bob, response)))
	other := attempt(risk.Login, "ann")
	other.Session = "s-43"
	require.Equal(t, []string{"mismatch"}, codes(judge(t, s, other, response)))
	flow := attempt(risk.Login, "ann")
	flow.Flow = "f-8"
	require.Equal(t, []string{"mismatch"}, codes(judge(t, s, flow, response)))
	require.Contains(t, codes(judge(t, s, login, response)), "verified")
	require.Equal(t, []string{"replayed"}, codes(judge(t, s, login, response)))
	late := solve(t, s, login, risk.ProofPasskey, a, nil)
	r.advance(attest.DefaultTTL)
	require.Equal(t, []string{"expired"}, codes(judge(t, s, login, late)))
	gone := solve(t, s, login, risk.ProofPasskey, a, nil)
	all, err := r.store.List(ctx, "t1", "ann")
	require.NoError(t, err)
	require.NoError(t, r.store.Delete(ctx, "t1", all[0].ID))
	require.Equal(t, []string{"unknown"}, codes(judge(t, s, login, gone)))

	synced := attesttest.SyncedPasskey([16]byte{1})
	requirePassed(t, r.register(synced, nil))
	synced.Flags &^= attesttest.FlagBS
	require.Contains(t, codes(judge(t, s, login, solve(t, s, login, risk.ProofPasskey, synced, nil))), "backup")
}

// A step-up never adds a passkey to an account.
func TestSignalEnrolsNothing(t *testing.T) {
	r := newRig(t)
	s := newSignal(t, r, nil)
	login := attempt(risk.Login, "ann")
	thief := r.key()
	said := judge(t, s, login, solve(t, s, login, risk.ProofDevice, thief, nil))
	require.Equal(t, []string{"certified", "registered"}, codes(said))
	require.Equal(t, []risk.Proof{risk.ProofDevice}, said.Proofs, "it is a device, and not the account's passkey")
	all, err := r.store.List(context.Background(), "t1", "ann")
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestSignalTickets(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	s := newSignal(t, r, nil)
	a := r.key()
	requirePassed(t, r.register(a, nil))
	inFlow := passkey.Scope{Tenant: "t1", Session: "s-42", Flow: "f-7", Account: "ann"}
	ticket := func() string {
		res, err := r.v.FinishLogin(ctx, inFlow, r.get(a, inFlow, nil))
		require.NoError(t, err)
		requirePassed(t, res)
		text, err := r.v.Ticket(ctx, inFlow, res)
		require.NoError(t, err)
		return text
	}
	login := attempt(risk.Login, "ann")
	text := ticket()
	require.Equal(t, []string{"mismatch"}, codes(judge(t, s, &risk.Attempt{Tenant: "t1", Session: "s-1", Flow: "f-7", Account: "ann"}, passkey.Response{Ticket: text})))
	said := judge(t, s, login, passkey.Response{Ticket: text})
	require.Equal(t, []string{"certified", "new", "verified"}, codes(said))
	require.Equal(t, []risk.Proof{risk.ProofDevice, risk.ProofPasskey}, said.Proofs)
	require.Equal(t, []string{"replayed"}, codes(judge(t, s, login, passkey.Response{Ticket: text})))
	require.Equal(t, []string{"mismatch"}, codes(judge(t, s, attempt(risk.Login, "bob"), passkey.Response{Ticket: ticket()})), "another account's")
	require.Equal(t, []string{"expired"}, codes(judge(t, s, login, passkey.Response{Ticket: "x"})))
	body := r.create(a, inFlow, flags(0, attesttest.FlagUV))
	_, err := r.v.Ticket(ctx, inFlow, r.finish(inFlow, body))
	require.Error(t, err, "none for what was refused")
	require.Equal(t, []string{"expired"}, codes(judge(t, s, login, passkey.Response{Ticket: challengeOf(t, r.create(a, inFlow, nil))})), "a challenge is no ticket")
}

func challengeOf(t *testing.T, body []byte) string {
	var in struct {
		Response struct {
			ClientDataJSON []byte `json:"-"`
			Text           string `json:"clientDataJSON"`
		} `json:"response"`
	}
	require.NoError(t, json.Unmarshal(body, &in))
	return in.Response.Text[:43]
}

func TestSignalAbsence(t *testing.T) {
	r := newRig(t)
	s := newSignal(t, r, nil)
	web, app := attempt(risk.Login, "ann"), attempt(risk.Login, "ann")
	app.Channel = risk.ChannelMobile
	for _, row := range []struct {
		a     *risk.Attempt
		asked []risk.Proof
		codes []string
	}{
		{web, nil, nil},
		{web, []risk.Proof{risk.ProofHuman}, nil},
		{web, []risk.Proof{risk.ProofPasskey}, []string{"absent"}},
		{web, []risk.Proof{risk.ProofDevice}, []string{"absent"}},
		{app, []risk.Proof{risk.ProofDevice}, nil},
		{app, []risk.Proof{risk.ProofPasskey}, []string{"absent"}},
	} {
		require.Equal(t, row.codes, codes(judge(t, s, row.a, passkey.Response{}, row.asked...)))
	}
}

func TestSignalAsk(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	s := newSignal(t, r, nil)
	for _, q := range []risk.Question{
		{Proof: risk.ProofDevice},
		{Proof: risk.ProofPhone, Attempt: attempt(risk.Login, "ann")},
		{Proof: risk.ProofHuman, Attempt: attempt(risk.Login, "ann")}, // no policy lets passkeys prove that
		{Proof: risk.ProofPasskey, Attempt: attempt(risk.SignUp, "")},
	} {
		_, err := s.Ask(ctx, q)
		require.Error(t, err)
	}
	kind, options := task(t, s, attempt(risk.SignUp, ""), risk.ProofDevice)
	require.Equal(t, passkey.Registration, kind)
	require.Contains(t, string(options), `"attestation":"direct"`)
	require.Contains(t, string(options), `"userVerification":"required"`)
}

// A browser meets the review level by a certified key, and payout changes want the account's passkey.
func TestSignalInEngine(t *testing.T) {
	r := newRig(t)
	s := newSignal(t, r, nil)
	e, rec := engine(t, s, nil)
	a := attempt(risk.SignUp, "")
	a.Flow = ""
	first := e.Assess(context.Background(), a)
	require.Equal(t, risk.Challenge, first.Action)
	require.Equal(t, []risk.Proof{risk.ProofDevice}, first.Require)
	tasks, err := e.Tasks(context.Background(), first)
	require.NoError(t, err)
	raw, err := json.Marshal(tasks[0].Data)
	require.NoError(t, err)
	var data struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	require.NoError(t, json.Unmarshal(raw, &data))
	body, err := r.key().Create(origin, data.PublicKey, nil)
	require.NoError(t, err)
	again := attempt(risk.SignUp, "")
	again.Flow = first.Flow
	risk.Attach(again, passkey.Response{Credential: body})
	second := e.Assess(context.Background(), again)
	require.Equal(t, risk.Review, second.Action, second.Reasons)
	require.Contains(t, risktest.Codes(rec.Last()), "passkey.certified")

	e, _ = engine(t, s, []risk.Rule{passkey.RequireFor(risk.PayoutChange, risk.Recovery)})
	for event, want := range map[risk.Event]risk.Action{risk.Login: risk.Challenge, risk.PayoutChange: risk.Challenge} {
		got := e.Assess(context.Background(), &risk.Attempt{Event: event, Tenant: "t1", Session: "s-42", Account: "ann", Channel: risk.ChannelWeb})
		require.Equal(t, want, got.Action)
		require.Equal(t, event == risk.PayoutChange, slices.Contains(got.Require, risk.ProofPasskey), fmt.Sprint(event))
	}
}

// engine judges everything to be worth a review.
func engine(t *testing.T, s risk.Signal, rules []risk.Rule) (*risk.Engine, *risktest.Recorder) {
	t.Helper()
	signals := []risk.Signal{s, risktest.Fixed("odd", risktest.Say("odd"), &risktest.Options{
		Codes: []risk.Code{{Name: "odd", Points: 30, Group: "odd"}, {Name: "odder", Points: 30}},
	})}
	p, err := risk.NewPolicy(risk.PolicySpec{
		Name: "test", Rules: append(rules, risk.Rule{Name: "more", When: "odd.odd", Points: 30}),
		Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
			{Name: "allow", Range: &[2]int{0, 60}, Action: risk.Allow},
			{Name: "review", Range: &[2]int{61, 100}, Action: risk.Review, Require: []risk.Proof{risk.ProofDevice}},
		}}},
	})
	require.NoError(t, err)
	rec := &risktest.Recorder{}
	e, err := risk.NewEngine(p, signals, &risk.Options{Sinks: []risk.Sink{rec}})
	require.NoError(t, err)
	return e, rec
}

func TestSignalConforms(t *testing.T) {
	r := newRig(t)
	s := newSignal(t, r, &passkey.SignalOptions{Human: passkey.Hardware})
	a := r.key()
	requirePassed(t, r.register(a, nil))
	var attempts []*risk.Attempt
	for _, forge := range []*attesttest.FIDOForge{nil, with("origin", "https://evil.example")} {
		login := attempt(risk.Login, "ann")
		risk.Attach(login, solve(t, s, login, risk.ProofPasskey, a, forge))
		signup := attempt(risk.SignUp, "")
		risk.Attach(signup, solve(t, s, signup, risk.ProofDevice, a, forge))
		attempts = append(attempts, login, signup)
	}
	require.NoError(t, risktest.Conform(s, attempts...))
}

func TestSignalOutage(t *testing.T) {
	r := newRig(t)
	store := &failing{r.store, map[string]bool{}}
	v, err := passkey.New(site, r.challenges, store, &passkey.Options{Trust: r.mds, Now: r.clock})
	require.NoError(t, err)
	r.v = v
	s := newSignal(t, r, nil)
	a := r.key()
	requirePassed(t, r.register(a, nil))
	login := attempt(risk.Login, "ann")
	response := solve(t, s, login, risk.ProofPasskey, a, nil)
	store.fail["get"] = true
	_, err = risktest.Evaluate(s, risktest.Attempt(login, &risktest.AttemptOptions{Continued: true, Evidence: []any{response}}))
	require.ErrorIs(t, err, errDown)
	require.Equal(t, risk.FailChallenge, s.Describe().OnError)
	store.fail["list"] = true
	_, err = s.Ask(context.Background(), risk.Question{Attempt: login, Proof: risk.ProofDevice})
	require.ErrorIs(t, err, errDown)
}

func TestSignalOptions(t *testing.T) {
	r := newRig(t)
	for name, o := range map[string]*passkey.SignalOptions{
		"device":  {Device: passkey.Software},
		"human":   {Human: passkey.Unknown},
		"new":     {New: -1},
		"timeout": {Timeout: -1},
		"cost":    {Cost: risk.Local},
		"onerror": {OnError: 99},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := passkey.NewSignal(r.v, o)
			require.Error(t, err)
		})
	}
	_, err := passkey.NewSignal(nil, nil)
	require.Error(t, err)
}

// Neither what is printed nor a result's verdict shows serial numbers, challenges or what was sent.
func TestNothingLeaks(t *testing.T) {
	r := newRig(t)
	a := r.key()
	body := r.create(a, scope, nil)
	response := passkey.Response{Credential: body, Ticket: "secret-ticket"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		require.Equal(t, "passkey.Response", fmt.Sprintf(verb, response))
	}
	res := r.finish(scope, body)
	text := fmt.Sprintf("%+v %+v", res.Verdict, res.Judged)
	require.NotContains(t, text, a.Signer.Cert.SerialNumber.String())
	require.NotContains(t, text, a.Signer.Cert.SerialNumber.Text(16))
	require.NotContains(t, text, "ann")
}

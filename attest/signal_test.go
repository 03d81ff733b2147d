package attest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

const platform attest.Platform = "test"

func fixed(v attest.Verdict, err error) attest.VerifierFunc {
	return func(context.Context, attest.Request) (attest.Verdict, error) { return v, err }
}

func newSignal(t testing.TB, v attest.Verifier, o *attest.SignalOptions) (*attest.Signal, *attesttest.Clock) {
	c, clock := newChallenges(t)
	s, err := attest.NewSignal(c, map[attest.Platform]attest.Verifier{platform: v}, o)
	require.NoError(t, err)
	return s, clock
}

func attempt() *risk.Attempt {
	return &risk.Attempt{Event: risk.SignUp, Tenant: "t", Channel: risk.ChannelMobile, Session: "s-42", Flow: "f-7"}
}

func ask(t testing.TB, s *attest.Signal, a *risk.Attempt, flow string) string {
	got, err := s.Ask(ctx, risk.Question{Attempt: a, Proof: risk.ProofDevice, Flow: flow})
	require.NoError(t, err)
	body, err := json.Marshal(got)
	require.NoError(t, err)
	var task attest.Task
	require.NoError(t, json.Unmarshal(body, &task))
	require.Equal(t, []attest.Platform{platform}, task.Platforms)
	return task.Challenge
}

type judged struct {
	codes  map[string]float64
	proofs []risk.Proof
	facts  map[string]risk.Value
}

func judge(t testing.TB, s *attest.Signal, a *risk.Attempt, asked, continued bool) (judged, error) {
	var p []risk.Proof
	if asked {
		p = []risk.Proof{risk.ProofDevice}
	}
	seen := risk.Rehearse(a, p, continued, nil)
	out := judged{codes: map[string]float64{}, facts: map[string]risk.Value{}}
	if !s.Applies(seen) {
		return out, nil
	}
	var f risk.Finding
	err := s.Evaluate(ctx, seen, &f)
	for o := range f.Observations() {
		out.codes[o.Code] = o.Degree
	}
	for v := range f.Facts() {
		out.facts[v.Name] = v.Value
	}
	out.proofs = f.Proofs()
	return out, err
}

func TestSignalVerdicts(t *testing.T) {
	all := attest.CheckedChain | attest.CheckedRoot | attest.CheckedStatus
	device := []risk.Proof{risk.ProofDevice}
	pass := func(s attest.Strength, c attest.Checks) attest.Verdict {
		return attest.Verdict{Outcome: attest.Passed, Claimed: s, Checked: c, GenuineApp: true}
	}
	risky := pass(attest.Software, 0)
	risky.Risk, risky.Issued = 0.5, 70
	strange := pass(attest.TEE, all)
	strange.GenuineApp = false
	for _, row := range []struct {
		name   string
		v      attest.Verdict
		err    error
		codes  map[string]float64
		proofs []risk.Proof
	}{
		{"secure element", pass(attest.SecureElement, all), nil, map[string]float64{"passed": 1, "secure_element": 1}, device},
		{"TEE", pass(attest.TEE, all), nil, map[string]float64{"passed": 1, "tee": 1}, device},
		{"hardware nobody checked", pass(attest.TEE, 0), nil, map[string]float64{"passed": 0.5, "software": 1}, device},
		{"software", pass(attest.Software, 0), nil, map[string]float64{"passed": 0.5, "software": 1}, device},
		{"in bad company", risky, nil, map[string]float64{"passed": 0.5, "software": 1, "environment": 0.5}, device},
		{"no app named", strange, nil, map[string]float64{"passed": 1, "tee": 1}, nil},
		{"failed", attest.Verdict{Outcome: attest.Failed, Reasons: []string{"nonce"}}, nil, map[string]float64{"failed": 1}, nil},
		{"forged", attest.Verdict{Outcome: attest.Forged}, nil, map[string]float64{"forged": 1}, nil},
		{"tampered", attest.Verdict{Outcome: attest.Tampered}, nil, map[string]float64{"tampered": 1}, nil},
		{"emulator", attest.Verdict{Outcome: attest.Emulator}, nil, map[string]float64{"emulator": 1}, nil},
		{"replayed", attest.Verdict{Outcome: attest.Replayed}, nil, map[string]float64{"replayed": 1}, nil},
		{"revoked", attest.Verdict{Outcome: attest.Revoked}, nil, map[string]float64{"revoked": 1}, nil},
		{"test", attest.Verdict{Outcome: attest.Test}, nil, map[string]float64{"test": 1}, nil},
		{"stale", attest.Verdict{Outcome: attest.StaleProof}, nil, map[string]float64{"expired": 1}, nil},
		{"wrong audience", attest.Verdict{Outcome: attest.WrongAudience}, nil, map[string]float64{"mismatch": 1}, nil},
		{"unjudged", attest.Verdict{}, errors.New(""), nil, nil},
		{"passed for nothing", attest.Verdict{Outcome: attest.Passed, GenuineApp: true}, errors.New(""), nil, nil},
		{"error beside passed", pass(attest.TEE, all), errors.New("down"), nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			verr := row.err
			if verr != nil && verr.Error() == "" {
				verr = nil // the signal's own error
			}
			s, _ := newSignal(t, fixed(row.v, verr), nil)
			a := attempt()
			risk.Attach(a, attest.Response{Platform: platform, Challenge: ask(t, s, a, "f-7"), Data: []byte("x")})
			got, err := judge(t, s, a, true, true)
			require.Equal(t, row.err != nil, err != nil, "%v", err)
			require.Equal(t, row.proofs, got.proofs)
			if row.err != nil {
				return
			}
			require.Equal(t, row.codes, got.codes)
			require.Equal(t, string(platform), got.facts[attest.FactPlatform].Text())
			if row.v.Issued > 0 {
				require.Equal(t, 70.0, got.facts[attest.FactIssued].Number())
			}
			if row.v.Outcome == attest.Failed {
				require.Equal(t, "nonce", got.facts[attest.FactStep].Text())
			}
		})
	}
}

func TestSignalChallenges(t *testing.T) {
	for _, row := range []struct {
		name      string
		issued    string // the flow the challenge is for
		change    func(a *risk.Attempt)
		continued bool
		code      string
	}{
		{"own flow", "f-7", func(*risk.Attempt) {}, true, attest.CodePassed},
		{"not continued", "f-7", func(*risk.Attempt) {}, false, attest.CodeMismatch},
		{"another flow", "f-8", func(*risk.Attempt) {}, true, attest.CodeMismatch},
		{"of no flow", "", func(*risk.Attempt) {}, true, attest.CodeMismatch},
		{"no flow at all", "", func(a *risk.Attempt) { a.Flow = "" }, false, attest.CodePassed},
		{"another session", "f-7", func(a *risk.Attempt) { a.Session = "s-43" }, true, attest.CodeMismatch},
		{"account known since", "f-7", func(a *risk.Attempt) { a.Account = "ann" }, true, attest.CodePassed},
		{"another tenant", "f-7", func(a *risk.Attempt) { a.Tenant = "u" }, true, attest.CodeExpired},
		{"a browser", "f-7", func(a *risk.Attempt) { a.Channel = risk.ChannelWeb }, true, attest.CodeChannel},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, _ := newSignal(t, fixed(attest.Verdict{Outcome: attest.Passed, Claimed: attest.Software}, nil), nil)
			a := attempt()
			text := ask(t, s, a, row.issued)
			row.change(a)
			risk.Attach(a, attest.Response{Platform: platform, Challenge: text, Data: []byte("x")})
			got, err := judge(t, s, a, true, row.continued)
			require.NoError(t, err)
			require.Contains(t, got.codes, row.code)
		})
	}
	calls := 0
	s, clock := newSignal(t, attest.VerifierFunc(func(_ context.Context, in attest.Request) (attest.Verdict, error) {
		calls++
		require.Equal(t, attest.OwnerHash("t", "ann"), in.Owner)
		return attest.Verdict{Outcome: attest.Failed}, nil
	}), nil)
	a := attempt()
	a.Account = "ann"
	text := ask(t, s, a, "f-7")
	risk.Attach(a, attest.Response{Platform: platform, Challenge: text, Data: []byte("x")})
	for _, want := range []string{attest.CodeFailed, attest.CodeReplayed} {
		got, err := judge(t, s, a, true, true)
		require.NoError(t, err)
		require.Contains(t, got.codes, want)
	}
	require.Equal(t, 1, calls, "one try a challenge")
	text = ask(t, s, a, "f-7")
	clock.Advance(5 * time.Minute)
	risk.Attach(a, attest.Response{Platform: platform, Challenge: text, Data: []byte("x")})
	got, err := judge(t, s, a, true, true)
	require.NoError(t, err)
	require.Contains(t, got.codes, attest.CodeExpired)
}

func TestSignalAbsenceAndBounds(t *testing.T) {
	s, _ := newSignal(t, fixed(attest.Verdict{}, errors.New("not to be asked")), nil)
	for _, row := range []struct {
		name    string
		channel string
		r       attest.Response
		asked   bool
		want    map[string]float64
	}{
		{"nobody asked", risk.ChannelMobile, attest.Response{}, false, map[string]float64{}},
		{"asked", risk.ChannelMobile, attest.Response{}, true, map[string]float64{"absent": 1}},
		{"asked of a browser", risk.ChannelWeb, attest.Response{}, true, map[string]float64{}},
		{"unknown platform", risk.ChannelMobile, attest.Response{Platform: "moon", Data: []byte{1}}, false, map[string]float64{"failed": 1}},
		{"no platform", risk.ChannelMobile, attest.Response{Data: []byte{1}}, false, map[string]float64{"failed": 1}},
		{"too large", risk.ChannelMobile, attest.Response{Platform: platform, Data: make([]byte, 65<<10)}, false, map[string]float64{"failed": 1}},
		{"many empty certificates", risk.ChannelMobile, attest.Response{Platform: platform, Chain: make([][]byte, 9000)}, false, map[string]float64{"failed": 1}},
		{"made-up challenge", risk.ChannelMobile, attest.Response{Platform: platform, Challenge: "x", Data: []byte{1}}, false, map[string]float64{"expired": 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := attempt()
			a.Channel = row.channel
			risk.Attach(a, row.r)
			got, err := judge(t, s, a, row.asked, false)
			require.NoError(t, err)
			require.Equal(t, row.want, got.codes)
		})
	}
	_, err := s.Ask(ctx, risk.Question{Attempt: &risk.Attempt{Channel: risk.ChannelWeb}, Proof: risk.ProofDevice})
	require.ErrorContains(t, err, "channel")
	_, err = s.Ask(ctx, risk.Question{Attempt: attempt(), Proof: risk.ProofHuman})
	require.ErrorContains(t, err, "human")
	_, err = s.Ask(ctx, risk.Question{Proof: risk.ProofDevice})
	require.Error(t, err)
}

func TestSignalDescription(t *testing.T) {
	s, _ := newSignal(t, fixed(attest.Verdict{}, nil), nil)
	d := s.Describe()
	require.Equal(t, "attest", d.Name)
	require.Equal(t, risk.FailChallenge, d.OnError)
	require.Equal(t, []risk.Proof{risk.ProofDevice}, d.Proofs)
	for _, c := range d.Codes {
		require.Equal(t, "attest", c.Group)
		if c.State == risk.Invalid {
			require.True(t, c.Points >= 6 || c.Floor == risk.Block, "rubbish is never better than nothing: %s", c.Name)
		}
		switch c.Name {
		case attest.CodePassed:
			require.Equal(t, -12, c.Points)
		case attest.CodeAbsent:
			require.Equal(t, 6, c.Points)
		case attest.CodeFailed:
			require.Equal(t, 30, c.Points)
			require.Equal(t, risk.Review, c.Floor)
		case attest.CodeForged:
			require.Zero(t, c.Points)
			require.Equal(t, risk.Block, c.Floor)
		}
	}
}

func TestSignalConforms(t *testing.T) {
	s, _ := newSignal(t, fixed(attest.Verdict{Outcome: attest.Passed, Claimed: attest.Software, GenuineApp: true}, nil), nil)
	a := attempt()
	risk.Attach(a, attest.Response{Platform: platform, Challenge: ask(t, s, a, ""), KeyID: []byte("key"), Data: []byte("data"), Chain: [][]byte{{1}}})
	require.NoError(t, risktest.Conform(withHuman{s}, a, attempt()))
}

// withHuman adds a proof that anybody can be asked for: there is no default policy of the device proof alone.
type withHuman struct{ *attest.Signal }

func (s withHuman) Describe() risk.Description {
	d := s.Signal.Describe()
	d.Proofs = append(d.Proofs, risk.ProofHuman)
	return d
}

func (s withHuman) Ask(ctx context.Context, q risk.Question) (any, error) {
	if q.Proof == risk.ProofHuman {
		return struct{}{}, nil
	}
	return s.Signal.Ask(ctx, q)
}

func TestNewSignalRefuses(t *testing.T) {
	c, _ := newChallenges(t)
	v := map[attest.Platform]attest.Verifier{platform: fixed(attest.Verdict{}, nil)}
	for name, o := range map[string]attest.SignalOptions{
		"strength": {Least: 9}, "MaxEvidence": {MaxEvidence: 1}, "Local": {Cost: risk.Local}, "Timeout": {Timeout: -1}, "fail mode": {OnError: 9},
	} {
		s, err := attest.NewSignal(c, v, &o)
		require.ErrorContains(t, err, name)
		require.Nil(t, s)
	}
	_, err := attest.NewSignal(nil, v, nil)
	require.ErrorContains(t, err, "NewChallenges")
	_, err = attest.NewSignal(c, nil, nil)
	require.ErrorContains(t, err, "no verifiers")
	_, err = attest.NewSignal(c, map[attest.Platform]attest.Verifier{platform: nil}, nil)
	require.ErrorContains(t, err, "platform")
}

func TestResponsePrintsNothing(t *testing.T) {
	r := attest.Response{Platform: attest.AppAttest, Challenge: "chall-3nge", KeyID: []byte("k3y"), Data: []byte("d4ta"), Message: []byte("m3ssage")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		require.Equal(t, "attest.Response(appattest)", fmt.Sprintf(verb, r))
	}
	e := attest.Explanation{Platform: attest.AppAttest}
	e.Say("line", "a\nb\x1b[31m%s\u202e", string(make([]byte, 500)))
	require.NotContains(t, e.String(), "\x1b")
	require.Less(t, len(e.Lines[0].Value), 220)
}

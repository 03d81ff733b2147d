package ratelimit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
	"github.com/vestibule-go/vestibule/risk"
)

func attempt() *risk.Attempt {
	return &risk.Attempt{
		Event: risk.SignUp, Tenant: "shop", Client: "public", IP: addr("192.0.2.7"), Account: "acc",
		Session: "session", Email: "alice@example.com", Phone: "+4790000001", Device: []string{"tag"},
		IDs: map[string]risk.Private{"sso": "issuer subject", "usdot": "1234567", "mc": "12"},
	}
}

// continued is the attempt as the engine hands it on when its flow goes on.
func continued(a *risk.Attempt) *risk.Attempt { return risk.Rehearse(a, nil, true, nil) }

func evaluate(t *testing.T, s *ratelimit.Signal, a *risk.Attempt) (*risk.Finding, []string) {
	t.Helper()
	f := &risk.Finding{}
	require.NoError(t, s.Evaluate(ctx, a, f))
	codes := []string{}
	for o := range f.Observations() {
		require.Equal(t, 1.0, o.Degree)
		codes = append(codes, o.Code)
	}
	return f, codes
}

type world struct {
	*testing.T
	limiter *ratelimit.Limiter
	signal  *ratelimit.Signal
	clock   *clock
}

func newWorld(t *testing.T, p ratelimit.Policy, opts *ratelimit.SignalOptions) *world {
	t.Helper()
	l, c := newLimiter(t, p, nil)
	var o ratelimit.SignalOptions
	if opts != nil {
		o = *opts
	}
	o.Now = c.now
	s, err := ratelimit.NewSignal(l, &o)
	require.NoError(t, err)
	return &world{t, l, s, c}
}

func (w *world) score(a *risk.Attempt) float64 {
	w.Helper()
	return peek(w, w.limiter, ratelimit.Subject{Tenant: a.Tenant, Event: "signup", IP: a.IP}).Score
}

func (w *world) settle(a *risk.Attempt, o risk.Outcome, receipt string, s *risk.Assessment) {
	w.Helper()
	require.NoError(w, w.signal.Settle(ctx, risk.Settlement{Attempt: a, Assessment: s, Outcome: o, Receipt: receipt}))
}

func softAndHard(soft, hard int64) ratelimit.Policy {
	p := limits(
		ratelimit.Limit{Name: "soft", Dim: ratelimit.IPv4, Count: soft, Per: time.Minute, On: ratelimit.Challenge, Weight: 1},
		ratelimit.Limit{Name: "hard", Dim: ratelimit.IPv4, Count: hard, Per: time.Hour, On: ratelimit.Deny, Weight: 1},
	)
	p.Penalty = ratelimit.DefaultPenalty()
	return p
}

func TestSignalDescribesItself(t *testing.T) {
	w := newWorld(t, ratelimit.DefaultPolicy(), nil)
	d := w.signal.Describe()
	require.Equal(t, "ratelimit", d.Name)
	require.True(t, d.Counts)
	require.Equal(t, risk.Local, d.Cost)
	require.Equal(t, risk.FailChallenge, d.OnError)
	codes := map[string]risk.Code{}
	for _, c := range d.Codes {
		codes[c.Name] = c
	}
	require.Len(t, codes, 5)
	require.Equal(t, 20, codes["soft"].Points)
	require.Equal(t, risk.Challenge, codes["soft"].Floor)
	require.Equal(t, risk.Challenge, codes["repeat"].Floor)
	require.Equal(t, risk.Block, codes["banned"].Floor)
	require.Empty(t, codes["banned"].Public)
	require.Zero(t, codes["denied"].Points+codes["slow"].Points+codes["repeat"].Points+codes["banned"].Points)
	kept := map[string]time.Duration{}
	for _, c := range d.Collects {
		require.Equal(t, "keyed hash", c.Form)
		kept[c.What] = c.Keep
	}
	require.Equal(t, 24*time.Hour, kept["phone"])
	require.Equal(t, 29*time.Hour, kept["ipv4"], "the longest ban and ten half-lives")

	l, err := ratelimit.New(ratelimit.DefaultPolicy(), ratelimittest.NewRemote(), nil)
	require.NoError(t, err)
	s, err := ratelimit.NewSignal(l, &ratelimit.SignalOptions{OnError: risk.FailClosed})
	require.NoError(t, err)
	require.Equal(t, risk.Stored, s.Describe().Cost)
	require.Equal(t, risk.FailClosed, s.Describe().OnError)

	_, err = ratelimit.NewSignal(nil, nil)
	require.ErrorContains(t, err, "no limiter")
	_, err = ratelimit.NewSignal(l, &ratelimit.SignalOptions{OnError: 99})
	require.ErrorContains(t, err, "OnError")
	_, err = ratelimit.NewSignal(l, &ratelimit.SignalOptions{Offences: []ratelimit.Offence{{Signal: "x"}}})
	require.ErrorContains(t, err, "offence 0")
}

func TestSignalLevels(t *testing.T) {
	w := newWorld(t, softAndHard(2, 4), nil)
	a := attempt()
	for range 2 {
		f, codes := evaluate(t, w.signal, a)
		require.Empty(t, codes)
		require.NotEmpty(t, f.ReceiptText())
		require.Zero(t, f.RetryAt())
	}
	f, codes := evaluate(t, w.signal, a)
	require.Equal(t, []string{"soft"}, codes)
	require.Empty(t, f.ReceiptText(), "a refused attempt is not charged and is asked again")
	require.Zero(t, f.RetryAt())
	require.Equal(t, map[string]string{"score": "1", "limit": "soft"}, facts(f))

	f, codes = evaluate(t, w.signal, continued(a))
	require.Equal(t, []string{"soft"}, codes, "the proof stays required, whoever opened the flow")
	require.NotEmpty(t, f.ReceiptText(), "but the attempt is charged")
	evaluate(t, w.signal, continued(a))

	f, codes = evaluate(t, w.signal, continued(a))
	require.Equal(t, []string{"denied"}, codes)
	require.Empty(t, f.ReceiptText())
	require.Equal(t, w.clock.now().Add(15*time.Minute), f.RetryAt())
	require.Equal(t, "hard", facts(f)["limit"])
}

func TestSignalLadder(t *testing.T) {
	w := newWorld(t, softAndHard(100, 100), nil)
	a := attempt()
	subject := ratelimit.Subject{Tenant: "shop", IP: a.IP}
	require.NoError(t, w.limiter.Report(ctx, subject, ratelimit.AttestFailed))
	f, codes := evaluate(t, w.signal, a)
	require.Equal(t, []string{"slow"}, codes)
	require.Equal(t, w.clock.now().Add(10*time.Second), f.RetryAt())
	require.Empty(t, f.ReceiptText())
	require.NoError(t, w.limiter.Report(ctx, subject, ratelimit.CaptchaFailed))
	f, codes = evaluate(t, w.signal, a)
	require.Equal(t, []string{"repeat"}, codes)
	require.Empty(t, f.ReceiptText())
	f, codes = evaluate(t, w.signal, continued(a))
	require.Equal(t, []string{"repeat"}, codes)
	require.NotEmpty(t, f.ReceiptText())
	require.NoError(t, w.limiter.Report(ctx, subject, ratelimit.AttestFailed, ratelimit.CaptchaFailed))
	f, codes = evaluate(t, w.signal, continued(a))
	require.Equal(t, []string{"banned"}, codes)
	require.Equal(t, w.clock.now().Add(5*time.Minute), f.RetryAt())
	require.Empty(t, f.ReceiptText())
}

func TestSignalErrors(t *testing.T) {
	down := errors.New("down")
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), ratelimittest.NewRemote(ratelimittest.Answer{Err: down}), nil)
	require.NoError(t, err)
	s, err := ratelimit.NewSignal(l, nil)
	require.NoError(t, err)
	f := &risk.Finding{}
	require.ErrorIs(t, s.Evaluate(ctx, attempt(), f), down)
	require.Equal(t, risk.Finding{}, *f)
	a := attempt()
	a.IP = addr("::")
	require.ErrorIs(t, s.Evaluate(ctx, a, f), ratelimit.ErrNoAddress)
	require.Error(t, s.Settle(ctx, risk.Settlement{Outcome: risk.Judged}))
	require.ErrorIs(t, s.Settle(ctx, risk.Settlement{Attempt: attempt(), Outcome: risk.Undone, Receipt: "nonsense"}), ratelimit.ErrReceipt)
	require.ErrorIs(t, s.Settle(ctx, risk.Settlement{Attempt: attempt(), Outcome: risk.Judged, Receipt: "nonsense", Assessment: &risk.Assessment{Action: risk.Allow}}), ratelimit.ErrReceipt)
}

func TestSettleJudged(t *testing.T) {
	invalid := risk.Reason{Signal: "captcha", Code: "invalid", State: risk.Invalid, Points: 18}
	kept := invalid
	kept.Kept = true
	for _, tt := range []struct {
		name    string
		reasons []risk.Reason
		want    float64
	}{
		{"nothing", nil, 0},
		{"base", []risk.Reason{{Code: "base", Points: 12}}, 0},
		{"captcha invalid", []risk.Reason{invalid}, 2},
		{"with the signal's name in front", []risk.Reason{{Signal: "attest", Code: "attest.failed", Points: 30}}, 3},
		{"attest failed", []risk.Reason{{Signal: "attest", Code: "failed", Points: 30}}, 3},
		{"attest forged and malformed", []risk.Reason{{Signal: "attest", Code: "forged"}, {Signal: "attest", Code: "malformed", State: risk.Invalid}}, 3},
		{"both", []risk.Reason{invalid, {Signal: "attest", Code: "failed"}}, 5},
		{"captcha absent", []risk.Reason{{Signal: "captcha", Code: "absent", State: risk.Absent, Points: 8}}, 0},
		{"another signal's invalid", []risk.Reason{{Signal: "email", Code: "invalid", State: risk.Invalid}}, 0},
		{"a rule's line", []risk.Reason{{Signal: "captcha", Rule: "r", Code: "invalid", State: risk.Invalid}}, 0},
		{"kept by its flow", []risk.Reason{kept}, 0},
		{"kept, and again", []risk.Reason{kept, {Signal: "captcha", Code: "replayed", State: risk.Invalid}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, softAndHard(100, 100), nil)
			a := attempt()
			w.settle(a, risk.Judged, "", &risk.Assessment{Action: risk.Challenge, Reasons: tt.reasons})
			require.Equal(t, tt.want, w.score(a))
		})
	}
}

func TestSettleForgivesWhoPassedTheChallenge(t *testing.T) {
	w := newWorld(t, softAndHard(1, 100), nil)
	a := attempt()
	f, _ := evaluate(t, w.signal, a)
	w.settle(a, risk.Judged, f.ReceiptText(), &risk.Assessment{Action: risk.Allow})
	evaluate(t, w.signal, a)
	require.Equal(t, 1.0, w.score(a), "turned away")
	f, _ = evaluate(t, w.signal, continued(a))
	w.settle(continued(a), risk.Judged, f.ReceiptText(), &risk.Assessment{Action: risk.Challenge})
	require.Equal(t, 1.0, w.score(a), "not in yet")
	w.settle(continued(a), risk.Judged, f.ReceiptText(), &risk.Assessment{Action: risk.Allow})
	require.Equal(t, 0.0, w.score(a), "in")
}

func TestSettleLater(t *testing.T) {
	p := softAndHard(5, 50)
	p.Limits = append(p.Limits, ratelimit.Limit{Name: "failures", Dim: ratelimit.Account, Count: 3, Per: time.Hour, On: ratelimit.Challenge, Kind: ratelimit.Failures})
	w := newWorld(t, p, nil)
	a := attempt()
	left := func(name string) int64 {
		d := peek(t, w.limiter, ratelimit.Subject{Tenant: "shop", IP: a.IP, Account: "acc"})
		return state(t, d, name).Remaining
	}
	f, _ := evaluate(t, w.signal, a)
	require.EqualValues(t, 4, left("soft"))
	w.settle(a, risk.Completed, f.ReceiptText(), nil)
	require.EqualValues(t, 4, left("soft"))
	w.settle(a, risk.Refused, f.ReceiptText(), nil)
	require.EqualValues(t, 2, left("failures"))
	require.Zero(t, w.score(a))
	w.settle(a, risk.Undone, f.ReceiptText(), nil)
	require.EqualValues(t, 5, left("soft"))
	require.EqualValues(t, 50, left("hard"))
	require.EqualValues(t, 2, left("failures"), "failures are not refunded")
	w.settle(a, risk.Undone, "", nil)
}

func TestSignalCountsEverythingTheAttemptHas(t *testing.T) {
	p := limits()
	for _, d := range []ratelimit.Dimension{
		ratelimit.IP, ratelimit.IPv4, ratelimit.IPv4Prefix24, ratelimit.Phone, ratelimit.Device, ratelimit.Email, ratelimit.Account, ratelimit.Session,
		ratelimit.SSO, ratelimit.Business, ratelimit.ID("usdot"), ratelimit.Endpoint, ratelimit.Client, ratelimit.Global, ratelimit.Custom("org"),
	} {
		name := "x" + string(d)
		for i := range name {
			if name[i] == ':' {
				name = name[:i] + "-" + name[i+1:]
			}
		}
		p.Limits = append(p.Limits, hard(name, d, 5))
	}
	w := newWorld(t, p, &ratelimit.SignalOptions{Subject: func(a *risk.Attempt, s *ratelimit.Subject) {
		require.Len(t, s.IDs, 2, "the single sign-on is no business identifier")
		s.Custom = append(s.Custom, ratelimit.Value{Name: "org", Value: a.Account})
	}})
	a := attempt()
	f, codes := evaluate(t, w.signal, a)
	require.Empty(t, codes)
	require.NotContains(t, f.ReceiptText(), "alice")
	d := peek(t, w.limiter, ratelimit.Subject{
		Tenant: "shop", Event: "signup", Client: "public", IP: a.IP, Phone: "+4790000001", Email: "alice@example.com", Account: "acc", Session: "session",
		SSO: "issuer subject", Device: a.Device, IDs: []ratelimit.Value{{Name: "mc", Value: "12"}, {Name: "usdot", Value: "1234567"}}, Custom: []ratelimit.Value{{Name: "org", Value: "acc"}},
	})
	n := 0
	for st := range d.Limits() {
		require.EqualValues(t, 4, st.Remaining, st.Name)
		n++
	}
	require.Equal(t, 16, n, "two business identifiers, one of every other")
}

func facts(f *risk.Finding) map[string]string {
	m := map[string]string{}
	for v := range f.Facts() {
		m[v.Name] = v.Value.String()
	}
	return m
}

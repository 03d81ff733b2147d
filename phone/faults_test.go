package phone_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

const patience = 300 * time.Millisecond

// twilioBench is a verifier that sends through a fake Twilio.
func twilioBench(t *testing.T, change func(*phone.Options)) (*bench, *phonetest.Twilio) {
	f := phonetest.NewTwilio(nil)
	t.Cleanup(f.Close)
	o := f.HTTP()
	o.Timeout = patience
	sender, err := twilio.NewSender(f.Credentials(), f.From(), &twilio.SenderOptions{HTTP: o})
	require.NoError(t, err)
	b := newBench(t, change)
	b.box.fail = func(m phone.Message) (phone.Receipt, error) { return sender.Send(context.Background(), m) }
	return b, f
}

func faults() []phonetest.Fault {
	list := phonetest.Faults()
	for _, status := range []int{204, 302, 400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504} {
		list = append(list, phonetest.FaultStatus(status))
	}
	return list
}

// However a provider fails under a running verifier: one request, the right outcome, money back only where surely nothing
// was sent, and a code that can be had as soon as the provider is well.
func TestProviderFails(t *testing.T) {
	for _, fault := range faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b, f := twilioBench(t, func(o *phone.Options) { o.Budgets = []phone.Budget{{Window: time.Hour, Max: 2 * phone.DearMessage}} })
			f.Fail(fault)
			r := asking(t, mobile)
			c := b.start(t, r)
			sure := strings.HasPrefix(string(fault), "status:4") && fault != phonetest.FaultStatus(408) && fault != phonetest.FaultStatus(409)
			if sure {
				require.Equal(t, phone.Failed, c.Outcome)
			} else {
				require.Equal(t, phone.Unsure, c.Outcome)
			}
			require.Equal(t, 30*time.Second, c.RetryAfter)
			require.Error(t, c.Err)
			code := b.box.last(t).Code
			for _, secret := range []string{"40000000", string(code), "Example"} {
				require.NotContains(t, c.Err.Error(), secret)
			}
			require.Equal(t, 1, f.Requests(), "nothing is sent again")
			require.Equal(t, phone.NotOK, b.check(t, r, wrong(code)).Verdict)

			f.Fail("")
			b.clock.pass(30 * time.Second)
			require.Equal(t, phone.Resent, b.start(t, r).Outcome)
			left := map[bool]phone.StartOutcome{true: phone.Sent, false: phone.Limited}
			require.Equal(t, left[sure], b.start(t, asking(t, "+4741000000")).Outcome, "the budget has what is surely unspent")
			got, ok := f.Inbox.Code(r.Number)
			require.True(t, ok)
			require.Equal(t, phone.OK, b.check(t, r, string(got)).Verdict)
		})
	}
}

// When nobody can say what a line is, it is not called, unless that is wanted.
func TestLookupFailsBeforeACall(t *testing.T) {
	for _, fault := range faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			f := phonetest.NewTwilio(nil)
			t.Cleanup(f.Close)
			o := f.HTTP()
			o.Timeout = patience
			lookup, err := twilio.NewLookup(f.Credentials(), &twilio.LookupOptions{HTTP: o})
			require.NoError(t, err)
			f.Fail(fault)
			for _, call := range []bool{false, true} {
				b := newBench(t, func(o *phone.Options) { o.Intelligence, o.CallUnknown = lookup, call })
				r := asking(t, mobile)
				r.AttestFailed = true
				c := b.start(t, r)
				if call {
					require.Equal(t, phone.Sent, c.Outcome)
					require.Equal(t, phone.Voice, b.box.last(t).Channel)
				} else {
					require.Equal(t, phone.Denied, c.Outcome)
					require.Equal(t, "line type unknown", c.Reason)
					require.Zero(t, b.box.count())
				}
			}
		})
	}
}

// What an outage of the look-up costs the visitor is the fail mode's to say: each has its own answer.
func TestFailModes(t *testing.T) {
	f := phonetest.NewTwilio(nil)
	t.Cleanup(f.Close)
	lookup, err := twilio.NewLookup(f.Credentials(), &twilio.LookupOptions{HTTP: f.HTTP()})
	require.NoError(t, err)
	for mode, want := range map[risk.FailMode]risk.Action{
		risk.FailOpen: risk.Allow, risk.FailChallenge: risk.Challenge, risk.FailReview: risk.Review, risk.FailClosed: risk.Block,
	} {
		signal, err := phone.NewSignal(nil, &phone.SignalOptions{Intelligence: lookup, Cost: risk.Remote, OnError: mode})
		require.NoError(t, err)
		signals := []risk.Signal{signal, risktest.NewProver("human", []risk.Proof{risk.ProofHuman}, nil)}
		// Levels so close that what a phone number can add reaches all of them: an error never counts for more than that.
		policy, err := risk.NewPolicy(risk.PolicySpec{Name: "close", Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
			{Name: "allow", Range: &[2]int{0, 12}, Action: risk.Allow},
			{Name: "challenge", Range: &[2]int{13, 14}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofHuman}},
			{Name: "review", Range: &[2]int{15, 16}, Action: risk.Review},
			{Name: "block", Range: &[2]int{17, 100}, Action: risk.Block},
		}}}, Groups: map[string]risk.Group{"phone": {Lo: -8, Hi: 30}}})
		require.NoError(t, err)
		engine, err := risk.NewEngine(policy, signals, nil)
		require.NoError(t, err)
		assess := func() risk.Action {
			return engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp, Tenant: "t", Phone: mobile, Device: []string{"d"}}).Action
		}
		f.Fail("")
		require.Equal(t, risk.Allow, assess(), "well")
		f.Fail(phonetest.FaultStatus(503))
		require.Equal(t, want, assess(), "%v", mode)
	}
}

// A message that was accepted and does not arrive is counted once, by a callback whose signature is right, and gives no
// money back: a carrier that takes part in fraud can report what it likes.
func TestUndeliveredCallback(t *testing.T) {
	b, f := twilioBench(t, func(o *phone.Options) { o.Budgets = []phone.Budget{{Window: time.Hour, Max: phone.DearMessage}} })
	const public = "https://example.com/twilio/status"
	h, err := twilio.Callback("auth-token", public, "t", b.Delivered)
	require.NoError(t, err)
	r := asking(t, mobile)
	var ref string
	send := b.box.fail
	b.box.fail = func(m phone.Message) (phone.Receipt, error) {
		got, err := send(m)
		ref = got.Ref
		return got, err
	}
	require.Equal(t, phone.Sent, b.start(t, r).Outcome)
	post := func(token phone.Token) int {
		form, signature := f.Callback(ref, "undelivered", public, token)
		q := httptest.NewRequest(http.MethodPost, "/twilio/status", strings.NewReader(form.Encode()))
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("X-Twilio-Signature", signature)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		return w.Code
	}
	require.Equal(t, http.StatusForbidden, post("forged"))
	first, err := b.Delivered(context.Background(), phone.Delivery{Tenant: "other", Ref: ref, Failed: true})
	require.NoError(t, err)
	require.False(t, first, "another tenant's")
	require.Equal(t, http.StatusNoContent, post("auth-token"))
	require.Equal(t, http.StatusNoContent, post("auth-token"), "a repeated one is taken and changes nothing")
	first, err = b.Delivered(context.Background(), phone.Delivery{Tenant: "t", Ref: ref, Failed: true})
	require.NoError(t, err)
	require.False(t, first, "it was counted")
	require.Equal(t, phone.Limited, b.start(t, asking(t, "+4741000000")).Outcome, "what was sent is spent")
	require.Equal(t, phone.OK, b.check(t, r, string(b.box.last(t).Code)).Verdict, "the code is good all the same")
}

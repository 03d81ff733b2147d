package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

const number = "+47 400 00 000"

func (v *visitor) post(path string, f fields) reply {
	v.t.Helper()
	body, err := json.Marshal(f)
	require.NoError(v.t, err)
	return v.do(http.MethodPost, path, "application/json", string(body))
}

func (v *visitor) start(more ...string) reply {
	v.t.Helper()
	f := fields{"phone": number}
	for i := 0; i < len(more); i += 2 {
		f[more[i]] = more[i+1]
	}
	return v.post("/api/phone/start", f)
}

func (v *visitor) check(code string) reply {
	v.t.Helper()
	return v.post("/api/phone/check", fields{"phone": number, "code": code})
}

// codes are those in the log, oldest first.
func (w *world) codes() []string {
	var out []string
	for _, m := range regexp.MustCompile(`\bcode=(\d{6})\b`).FindAllStringSubmatch(w.log.String(), -1) {
		out = append(out, m[1])
	}
	return out
}

// sent waits for the n codes that have been sent, which happens after the answer.
func (w *world) sent(t *testing.T, n int) []string {
	t.Helper()
	require.Eventually(t, func() bool { return len(w.codes()) == n }, 10*time.Second, time.Millisecond)
	return w.codes()
}

func other(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func phoneBy(t *testing.T, name string) func(o *options) {
	return func(o *options) {
		var err error
		o.Phone, err = newPhoneService(name, o.Log)
		require.NoError(t, err)
		t.Cleanup(o.Phone.stop)
	}
}

// challenged is a visitor who has solved the CAPTCHA of a flow that asks for the phone too.
func challenged(t *testing.T, w *world) *visitor {
	t.Helper()
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.signUp("ann@example.com", "kind", business)
	require.Equal(t, http.StatusForbidden, r.status, r.text)
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, r.Require)
	v.continues(r.Flow)
	require.Equal(t, http.StatusForbidden, v.start().status, "the CAPTCHA first")
	r = v.signUp("ann@example.com", "kind", business, "captcha", v.solve(r))
	require.Equal(t, http.StatusForbidden, r.status, r.text)
	require.Equal(t, []risk.Proof{risk.ProofPhone}, r.Require)
	require.JSONEq(t, `{"start":"/api/phone/start","check":"/api/phone/check","channel":"sms","digits":6}`, string(r.task(t, "phone")))
	require.Empty(t, w.codes(), "nothing is sent unless it is asked for")
	return v
}

// Challenge, CAPTCHA, phone, allowed: over HTTP, with the codes in the log and with a stand-in for Twilio.
func TestPhoneIsVerified(t *testing.T) {
	for _, by := range []string{"log", "twilio"} {
		t.Run(by, func(t *testing.T) {
			kept := &recording{}
			w := newWorld(t, func(o *options) {
				phoneBy(t, by)(o)
				o.Accounts = kept
			})
			require.Equal(t, http.StatusNotFound, w.visit(t).start().status, "no flow, no message")
			v := challenged(t, w)
			bad := v.post("/api/phone/start", fields{"phone": "hello"})
			require.Equal(t, http.StatusUnprocessableEntity, bad.status)
			require.Contains(t, bad.text, "country code")

			sent := v.start()
			require.Equal(t, http.StatusAccepted, sent.status, sent.text)
			w.sent(t, 1)
			require.GreaterOrEqual(t, sent.RetryAfter, 30)
			blocked := v.post("/api/phone/start", fields{"phone": "+33612345678"})
			require.Equal(t, sent.status, blocked.status, "a country that gets nothing looks the same")
			w.sent(t, 1)

			again := v.start()
			require.Equal(t, sent.status, again.status)
			require.Len(t, w.codes(), 1, "too soon")
			w.clock.pass(31 * time.Second)
			require.Equal(t, sent.status, v.start().status)
			codes := w.sent(t, 2)
			code := codes[0]
			require.Equal(t, code, codes[1], "the same code while it lives")

			wrong := v.check(other(code))
			require.Equal(t, http.StatusUnprocessableEntity, wrong.status)
			require.JSONEq(t, `{"result":"wrong"}`, wrong.text)
			thief := w.visit(t)
			thief.continues(v.header.Get("Vestibule-Flow"))
			require.Equal(t, http.StatusNotFound, thief.check(code).status, "somebody else's flow")
			require.Equal(t, http.StatusForbidden, v.signUp("ann@example.com", "kind", business, "phone", number).status, "not yet")

			good := v.check(code[:3] + " " + code[3:])
			require.Equal(t, http.StatusOK, good.status, good.text)
			require.JSONEq(t, `{"result":"ok"}`, good.text)
			in := v.signUp("ann@example.com", "kind", business, "phone", number)
			require.Equal(t, http.StatusCreated, in.status, in.text)
			require.Contains(t, w.last(t), "phone.verified -8 (phone)")
			require.Equal(t, []account{{email: "ann@example.com", business: true}}, kept.all)
			require.NotContains(t, w.log.String(), "40000000")
		})
	}
}

func TestPhoneByACall(t *testing.T) {
	for _, by := range []string{"log", "twilio"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t, phoneBy(t, by))
			v := challenged(t, w)
			require.Equal(t, http.StatusAccepted, v.start("channel", "voice").status)
			code := w.sent(t, 1)[0]
			require.Contains(t, w.log.String(), "channel=voice")
			require.Equal(t, http.StatusOK, v.check(code).status)
			in := v.signUp("ann@example.com", "kind", business, "phone", number)
			require.Equal(t, http.StatusCreated, in.status, in.text)
			require.Contains(t, w.last(t), "phone.voice -8 (phone)")
		})
	}
}

func TestPhoneGuessing(t *testing.T) {
	w := newWorld(t, nil)
	v := challenged(t, w)
	require.Equal(t, http.StatusAccepted, v.start().status)
	code := w.sent(t, 1)[0]
	var last reply
	for i := range 8 {
		if last = v.check(fmt.Sprintf("%06d", (i+1)*111111%1000000)); last.status == http.StatusTooManyRequests {
			break
		}
	}
	require.Equal(t, http.StatusTooManyRequests, last.status)
	require.JSONEq(t, `{"result":"locked"}`, last.text)
	require.NotEqual(t, http.StatusOK, v.check(code).status, "the right one is too late")
	require.NotEqual(t, http.StatusCreated, v.signUp("ann@example.com", "kind", business, "phone", number).status)
	require.Contains(t, w.last(t), "phone.guesses +8 (phone)")
}

func TestPhoneFlowExpires(t *testing.T) {
	w := newWorld(t, nil)
	v := challenged(t, w)
	require.Equal(t, http.StatusAccepted, v.start().status)
	code := w.sent(t, 1)[0]
	w.clock.pass(6 * time.Minute)
	require.Equal(t, http.StatusUnprocessableEntity, v.check(code).status, "the code has expired")
	w.clock.pass(10 * time.Minute)
	require.Equal(t, http.StatusNotFound, v.check(code).status, "so has the flow")
	require.Equal(t, http.StatusNotFound, v.start().status)
	w.sent(t, 1)
	r := v.signUp("ann@example.com", "kind", business, "phone", number)
	require.Equal(t, http.StatusForbidden, r.status, "a new one begins")
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, r.Require)
	require.Contains(t, w.last(t), "flow.expired +0 (flow)")
}

// A program with a disposable mailbox in a burst is asked for a phone as well; each of these alone is not.
func TestPhoneIsAskedOfWhoLooksWorse(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	v.burst()
	require.Equal(t, []risk.Proof{risk.ProofHuman}, v.signUp("ann@mailinator.com").Require)
	v.header.Set("User-Agent", "curl/8.0")
	r := v.signUp("bob@mailinator.com", "form_stamp", "")
	require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, r.Require)
	require.Contains(t, w.last(t), "assessment.level=phone")
}

func TestPhoneCannotBeGiven(t *testing.T) {
	kept := &recording{}
	w := newWorld(t, func(o *options) { o.Accounts = kept })
	v := challenged(t, w)
	v.header.Set("Vestibule-Cannot", "phone")
	r := v.signUp("ann@example.com", "kind", business)
	require.Equal(t, http.StatusAccepted, r.status, r.text)
	require.Equal(t, []account{{email: "ann@example.com", business: true, pending: true}}, kept.all)
}

func TestPhoneFlag(t *testing.T) {
	_, err := newPhoneService("pigeon", nil)
	require.ErrorContains(t, err, "want log or twilio")
	_, err = newPhoneService("log", nil)
	require.Error(t, err)
	require.Error(t, run(t.Context(), []string{"-phone", "pigeon"}, &strings.Builder{}))
}

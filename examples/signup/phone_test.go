package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/risk"
)

func (v *visitor) post(path string, f fields) reply {
	v.t.Helper()
	body, err := json.Marshal(f)
	require.NoError(v.t, err)
	return v.do(http.MethodPost, path, "application/json", string(body))
}

// Challenge, CAPTCHA, phone, allowed: over HTTP, with the codes in the log and with a stand-in for Twilio.
func TestPhoneIsVerified(t *testing.T) {
	for _, by := range []string{"log", "twilio"} {
		t.Run(by, func(t *testing.T) {
			const number = "+47 400 00 000"
			var codes *phoneCodes
			w := newWorld(t, func(o *options) {
				var err error
				codes, err = newPhoneCodes(by, o.Log)
				require.NoError(t, err)
				t.Cleanup(codes.stop)
				o.Phone = codes
			})
			code := func() string {
				if by == "log" {
					found := regexp.MustCompile(`\bcode=(\d{6})\b`).FindAllStringSubmatch(w.log.String(), -1)
					require.NotEmpty(t, found, w.log.String())
					return found[len(found)-1][1]
				}
				n, err := phone.Parse(number, "")
				require.NoError(t, err)
				c, ok := codes.received.Code(n)
				require.True(t, ok)
				return string(c)
			}
			v := w.visit(t)
			w.clock.pass(20 * time.Second)
			for i := range 5 {
				require.Equal(t, http.StatusCreated, v.signUp(person(i)).status)
			}
			r := v.signUp(person(5), "phone", number)
			require.Equal(t, http.StatusForbidden, r.status, r.text)
			require.Equal(t, []risk.Proof{risk.ProofHuman, risk.ProofPhone}, r.Require)

			asking := fields{"phone": number}
			require.Equal(t, http.StatusNotFound, v.post("/api/phone/start", asking).status, "no flow, no message")
			v.continues(r.Flow)
			require.Equal(t, http.StatusForbidden, v.post("/api/phone/start", asking).status, "the CAPTCHA first")
			r = v.signUp(person(5), "phone", number, "captcha", v.solve(r))
			require.Equal(t, http.StatusForbidden, r.status, r.text)
			require.Equal(t, []risk.Proof{risk.ProofPhone}, r.Require)
			v.continues(r.Flow)

			require.Equal(t, http.StatusUnprocessableEntity, v.post("/api/phone/start", fields{"phone": "hello"}).status)
			sent := v.post("/api/phone/start", asking)
			require.Equal(t, http.StatusAccepted, sent.status, sent.text)
			again := v.post("/api/phone/start", asking)
			require.Equal(t, sent.status, again.status)
			blocked := v.post("/api/phone/start", fields{"phone": "+33612345678"})
			require.Equal(t, sent.status, blocked.status, "a country that gets nothing looks the same")
			require.Equal(t, sent.text, blocked.text)

			right := code()
			wrong := "000000"
			if right == wrong {
				wrong = "000001"
			}
			bad := v.post("/api/phone/check", fields{"phone": number, "code": wrong})
			require.Equal(t, http.StatusUnprocessableEntity, bad.status)
			require.JSONEq(t, `{"result":"wrong"}`, bad.text)
			other := w.visit(t)
			other.continues(r.Flow)
			require.Equal(t, http.StatusNotFound, other.post("/api/phone/check", fields{"phone": number, "code": right}).status, "somebody else's flow")
			good := v.post("/api/phone/check", fields{"phone": number, "code": right})
			require.Equal(t, http.StatusOK, good.status, good.text)
			require.JSONEq(t, `{"result":"ok"}`, good.text)

			done := v.signUp(person(5), "phone", number)
			require.Equal(t, http.StatusCreated, done.status, done.text)
			require.Contains(t, w.last(t), "phone.verified -8 (phone)")
			require.NotContains(t, w.log.String(), "40000000")
		})
	}
}

func TestPhoneFlag(t *testing.T) {
	for _, name := range []string{"", "off"} {
		c, err := newPhoneCodes(name, nil)
		require.NoError(t, err)
		require.Nil(t, c)
	}
	_, err := newPhoneCodes("pigeon", nil)
	require.Error(t, err)
	_, err = newPhoneCodes("log", nil)
	require.Error(t, err)
}

package captcha_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// answered gives a provider one answer.
func (v vendor) answered(t *testing.T, name string, now func() time.Time, status int, body string) (captcha.Result, error) {
	p, err := v.make(captcha.Secret("secret"), captcha.RemoteOptions{
		Now: now, Endpoint: "https://provider.example", Transport: canned{status, body}, SiteKey: captchatest.ServerSiteKey,
	})
	require.NoError(t, err)
	in := captcha.Request{Token: "token", Expect: captcha.Expect{Action: "signup"}}
	switch name {
	case "cap":
		in.Token = captchatest.ServerSiteKey + ":id:secret"
	case "geetest":
		in = captcha.Request{Fields: map[string]string{"lot_number": "l", "captcha_output": "o", "pass_token": "p", "gen_time": "1"}}
	}
	return p.Verify(context.Background(), in)
}

// good is an answer that passes, with the time in place of TIME.
var good = map[string]string{
	"turnstile":            `{"success":true,"challenge_ts":"TIME","hostname":"example.com","error-codes":[],"action":"signup"}`,
	"hcaptcha":             `{"success":true,"challenge_ts":"TIME","hostname":"example.com","score":0.5,"score_reason":[]}`,
	"recaptcha":            `{"success":true,"challenge_ts":"TIME","hostname":"example.com"}`,
	"recaptcha_v3":         `{"success":true,"challenge_ts":"TIME","hostname":"example.com","score":0.5,"action":"signup"}`,
	"recaptcha_enterprise": `{"name":"projects/p/assessments/a","tokenProperties":{"valid":true,"hostname":"example.com","action":"signup","createTime":"TIME"},"riskAnalysis":{"score":0.5}}`,
	"friendly":             `{"success":true,"data":{"event_id":"e","challenge":{"timestamp":"TIME","origin":"https://example.com"},"risk_intelligence":{"risk_scores":{"overall":3}}}}`,
	"arkose":               `{"session_details":{"solved":true,"check_answer":"TIME"},"session_risk":{"risk_band":"LOW"}}`,
	"geetest":              `{"status":"success","result":"success","reason":""}`,
	"private_captcha":      `{"success":true,"code":0,"timestamp":"TIME","origin":"example.com"}`,
	"cap":                  `{"success":true}`,
	"mcaptcha":             `{"valid":true}`,
}

// Answers that break a contract are nobody's pass and no blame of the visitor's.
func TestProvidersBadAnswers(t *testing.T) {
	c := newClock()
	stamp := c.Now().UTC().Format(time.RFC3339)
	for name, body := range good {
		v := vendors[name]
		body = strings.ReplaceAll(body, "TIME", stamp)
		res, err := v.answered(t, name, c.Now, 200, body)
		require.NoError(t, err, name)
		require.Equal(t, captcha.Passed, res.Outcome, name)
		bad := map[string]string{
			"empty": "", "null": "null", "array": "[" + body + "]", "two values": body + body, "trailing": body + "x", "HTML": "<html>ok</html>",
			"truncated": body[:len(body)-1], "text": `"true"`, "number": "7", "empty object": "{}", "large": strings.Repeat(" ", 1<<20) + body,
			"text for a boolean": strings.Replace(body, "true", `"true"`, 1), "number for a boolean": strings.Replace(body, "true", "1", 1),
			"other case": strings.NewReplacer(`"success":`, `"SUCCESS":`, `"valid":`, `"Valid":`, `"solved":`, `"Solved":`, `"result":`, `"Result":`).Replace(body),
			"twice":      strings.Replace(body, "{", `{"success":false,"valid":false,"session_details":{},"status":"error","tokenProperties":{},`, 1),
		}
		if strings.Contains(body, stamp) {
			bad["no time"] = strings.ReplaceAll(body, stamp, "yesterday")
			bad["future"] = strings.ReplaceAll(body, stamp, c.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		}
		if v.host && name != "private_captcha" {
			bad["host of another kind"] = strings.NewReplacer(`"hostname":"example.com"`, `"hostname":5`, `"origin":"https://example.com"`, `"origin":{}`).Replace(body)
		}
		if strings.Contains(body, "0.5") {
			bad["score above"], bad["score below"] = strings.Replace(body, "0.5", "1.5", 1), strings.Replace(body, "0.5", "-0.5", 1)
			bad["score as text"], bad["score too big"] = strings.Replace(body, "0.5", `"0.5"`, 1), strings.Replace(body, "0.5", "1e999", 1)
		}
		if strings.Contains(body, `"overall":3`) {
			bad["overall above"], bad["overall of a half"] = strings.Replace(body, ":3", ":6", 1), strings.Replace(body, ":3", ":3.5", 1)
		}
		if strings.Contains(body, `"error-codes":[]`) {
			bad["success with a code"] = strings.Replace(body, "[]", `["timeout-or-duplicate"]`, 1)
			bad["codes of another kind"], bad["code of another kind"] = strings.Replace(body, "[]", `"none"`, 1), strings.Replace(body, "[]", `[1]`, 1)
		}
		for what, b := range bad {
			if b == body {
				continue
			}
			t.Run(name+"/"+what, func(t *testing.T) {
				res, err := v.answered(t, name, c.Now, 200, b)
				require.NotEqual(t, captcha.Passed, res.Outcome, "%s", b)
				if name == "recaptcha_enterprise" && what == "other case" { // proto3 JSON leaves false out
					require.Equal(t, captcha.ReasonToken, res.Reason)
					return
				}
				require.Error(t, err, "%+v", res)
				require.Equal(t, captcha.ReasonResponse, res.Reason)
				require.Equal(t, captcha.FaultProvider, res.Fault)
			})
		}
	}
}

func TestProvidersStatuses(t *testing.T) {
	for name := range good {
		for status, want := range map[int]captcha.Fault{
			204: captcha.FaultProvider, 302: captcha.FaultProvider, 307: captcha.FaultProvider, 400: captcha.FaultCaller, 401: captcha.FaultCaller,
			403: captcha.FaultCaller, 404: captcha.FaultCaller, 408: captcha.FaultProvider, 429: captcha.FaultProvider, 500: captcha.FaultProvider,
			502: captcha.FaultProvider, 503: captcha.FaultProvider,
		} {
			for _, body := range []string{"", "<html>", "{}", good[name]} {
				res, err := vendors[name].answered(t, name, time.Now, status, body)
				require.NotEqual(t, captcha.Passed, res.Outcome, "%s %d %s", name, status, body)
				e, ok := errors.AsType[*captcha.Error](err)
				require.True(t, ok, "%s %d %s %+v", name, status, body, res)
				require.Equal(t, want, e.Fault, "%s %d %s", name, status, body)
				require.Equal(t, status, e.Status)
			}
		}
	}
}

func TestProvidersRetryAfter(t *testing.T) {
	s := vendors["hcaptcha"].stage(t)
	s.fake.Inject(captchatest.Outage{Status: 429, Body: "{}", Header: http.Header{"Retry-After": {"7"}}})
	_, err := s.provider.Verify(t.Context(), s.request())
	e, ok := errors.AsType[*captcha.Error](err)
	require.True(t, ok)
	require.Equal(t, 7*time.Second, e.RetryAfter)
	require.True(t, e.Retryable)
}

// Age is judged by our clock, whatever the provider thinks of its own.
func TestProvidersAge(t *testing.T) {
	c := newClock()
	for name, body := range good {
		if !strings.Contains(body, "TIME") {
			continue
		}
		v := vendors[name]
		for _, row := range []struct {
			age  time.Duration
			most time.Duration
			ok   bool
		}{{0, 0, true}, {59 * time.Second, time.Minute, true}, {61 * time.Second, time.Minute, false}, {-10 * time.Second, 0, true}} {
			at := c.Now().Add(-row.age).UTC().Format(time.RFC3339)
			p, err := v.make(captcha.Secret("secret"), captcha.RemoteOptions{
				Now: c.Now, Endpoint: "https://provider.example", MaxAge: row.most, Transport: canned{200, strings.ReplaceAll(body, "TIME", at)},
				SiteKey: captchatest.ServerSiteKey,
			})
			require.NoError(t, err)
			res, err := p.Verify(t.Context(), captcha.Request{Token: "token", Expect: captcha.Expect{Action: "signup"}})
			require.NoError(t, err)
			require.Equal(t, row.ok, res.Outcome == captcha.Passed, "%s %v %+v", name, row, res)
			if !row.ok {
				require.Equal(t, captcha.ReasonExpired, res.Reason)
			}
		}
	}
}

package captcha_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// canned answers every request with one status and body, without a network.
type canned struct {
	status int
	body   string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.status, Header: http.Header{}, Request: r, Body: readCloser{strings.NewReader(c.body)}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// saysYes is what an answer of each service must hold to pass.
var saysYes = map[string][]string{
	"turnstile": {"success", "true"}, "hcaptcha": {"success", "true"}, "recaptcha": {"success", "true"}, "recaptcha_v3": {"success", "true", "score"},
	"recaptcha_enterprise": {"tokenProperties", "valid", "true"}, "friendly": {"success", "true", "data"}, "arkose": {"session_details", "solved", "true"},
	"arkose_simple": {}, "geetest": {"success"}, "private_captcha": {"success", "true", "code"}, "cap": {"success", "true"}, "mcaptcha": {"valid", "true"},
}

// FuzzResponse gives each provider any answer: it never panics, an outcome and its error fit together, risk stays in its
// range, and nothing passes that does not say so.
func FuzzResponse(f *testing.F) {
	for _, body := range []string{
		`{"success":true,"challenge_ts":"2027-01-15T08:00:00Z","hostname":"example.com","error-codes":[],"action":"signup","cdata":"d","score":0.9}`,
		`{"success":false,"error-codes":["invalid-input-response"]}`, `{"SUCCESS":true,"success":false}`, `{"success":true,"success":false}`,
		`{"success":"true"}`, `{"success":true,"error-codes":["timeout-or-duplicate"]}`, `null`, `[]`, `1`, `0`, ``, `{}{}`, `<html>`,
		`{"name":"projects/1/assessments/2","tokenProperties":{"valid":true,"hostname":"example.com","action":"signup"},"riskAnalysis":{}}`,
		`{"success":true,"data":{"event_id":"e","challenge":{"timestamp":"2027-01-15T08:00:00Z","origin":"https://example.com"},"risk_intelligence":{"risk_scores":{"overall":5}}}}`,
		`{"session_details":{"solved":true},"session_risk":{"risk_band":"LOW","global":{"score":1e400}}}`, `{"error":"DENIED ACCESS"}`,
		`{"status":"success","result":"success"}`, `{"status":"error","code":"-50005"}`, `{"success":true,"code":0,"origin":"example.com"}`, `{"valid":true}`,
	} {
		f.Add(200, body)
	}
	f.Add(429, `{}`)
	f.Add(403, `{"success":false,"error":"Token expired"}`)
	f.Add(302, ``)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 100 || status > 599 {
			return
		}
		for name, v := range vendors {
			c := newClock()
			p, err := v.make(captcha.Secret("secret"), captcha.RemoteOptions{
				Now: c.Now, Endpoint: "https://provider.example", Transport: canned{status, body}, SiteKey: captchatest.ServerSiteKey,
			})
			require.NoError(t, err)
			in := captcha.Request{Token: "token", Expect: captcha.Expect{Action: "signup"}}
			switch name {
			case "cap":
				in.Token = captchatest.ServerSiteKey + ":id:secret"
			case "geetest":
				in.Token = `{"lot_number":"l","captcha_output":"o","pass_token":"p","gen_time":"1"}`
			}
			res, err := p.Verify(context.Background(), in)
			require.Equal(t, res.Outcome == captcha.Unverified, err != nil, "%s %+v %v", name, res, err)
			require.Equal(t, res.Outcome == captcha.Passed, res.Fault == captcha.FaultNone && res.Reason == captcha.ReasonOK, "%s %+v", name, res)
			require.True(t, res.Risk >= 0 && res.Risk <= 1, "%s %v", name, res.Risk)
			require.LessOrEqual(t, len(res.Codes), 16)
			for _, code := range res.Codes {
				require.LessOrEqual(t, len(code), 256)
				require.True(t, utf8.ValidString(code))
			}
			if res.Outcome == captcha.Passed {
				require.Equal(t, 200, status)
				for _, word := range saysYes[name] {
					if !strings.Contains(body, `\u`) {
						require.Contains(t, body, word, name)
					}
				}
				if v.host {
					require.Equal(t, "example.com", strings.ToLower(res.Hostname))
				}
			}
		}
	})
}

// FuzzTicket posts any text as a ticket with a token: only the one that was signed is let through to the provider.
func FuzzTicket(f *testing.F) {
	c := newCast(f, "alpha")
	var err error
	random := captcha.Keys{Current: captcha.Key{Secret: []byte(rand.Text() + rand.Text())}} // another one in every process
	c.Orchestrator, err = captcha.NewOrchestrator([]captcha.Member{{Provider: c.members["alpha"], Weight: 1}}, random, newGuard(f, c.clock),
		&captcha.OrchestratorOptions{Now: c.clock.Now})
	require.NoError(f, err)
	task := c.task("s")
	f.Add(task.Ticket)
	f.Add("")
	f.Add("1.zz.alpha..0.00.")
	f.Add(strings.Repeat(".", 300))
	f.Add(strings.Replace(task.Ticket, "alpha", "alpha.beta", 1))
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, " ") {
			return // another token
		}
		before := c.members["alpha"].calls.Load()
		res, err := c.Verify(context.Background(), answerOf("s", captcha.Join(text, "tok")))
		require.NoError(t, err)
		if text != task.Ticket {
			require.Equal(t, captcha.Failed, res.Outcome)
			require.Equal(t, before, c.members["alpha"].calls.Load())
		}
	})
}

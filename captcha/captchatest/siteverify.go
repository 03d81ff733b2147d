package captchatest

import (
	"net/http"
	"strings"
	"time"
)

// codes is an answer of the siteverify family that refuses.
func codes(list ...string) map[string]any {
	return map[string]any{"success": false, "error-codes": list}
}

// secretOf reads the two required members of a form or a JSON body.
func (c *call) member(name string) string {
	if c.form != nil {
		return c.form.Get(name)
	}
	return c.text(name)
}

// NewTurnstile stands in for Cloudflare Turnstile: forms and JSON, the three test secrets with the dummy token, tokens
// that live 300 seconds, idempotency keys.
func NewTurnstile(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "turnstile", prefix: "/turnstile/v0", life: 300 * time.Second, script: "/api.js", widget: turnstileWidget,
		verify: verifyTurnstile, code: func(_ *Server, code string) (int, any) { return http.StatusOK, codes(code) },
	}, opts)
}

// TurnstileDummyToken is what Turnstile's test site keys answer.
const TurnstileDummyToken = "XXXX.DUMMY.TOKEN.XXXX"

func verifyTurnstile(s *Server, r *call) (int, any) {
	if r.Method != http.MethodPost || r.form == nil && r.json == nil {
		return http.StatusBadRequest, codes("bad-request")
	}
	secret, token, key := r.member("secret"), r.member("response"), r.member("idempotency_key")
	c := Call{RemoteIP: r.member("remoteip")}
	switch {
	case !strings.HasSuffix(r.URL.Path, "/siteverify"), key != "" && len(key) != 36:
		return http.StatusBadRequest, codes("bad-request")
	case secret == "":
		return http.StatusOK, codes("missing-input-secret")
	case len(secret) == 35 && strings.HasSuffix(secret, "x0000000000000000000000000000000AA"):
		if token != TurnstileDummyToken {
			return http.StatusOK, codes("invalid-input-secret")
		}
		switch secret[0] {
		case '1':
			return http.StatusOK, map[string]any{
				"success": true, "challenge_ts": stamp(s.opts.Now()), "hostname": "localhost", "error-codes": []string{}, "action": "test", "cdata": "test-data",
			}
		case '2':
			return http.StatusOK, codes("invalid-input-response")
		}
		return http.StatusOK, codes("timeout-or-duplicate")
	case secret != s.opts.Secret:
		return http.StatusOK, codes("invalid-input-secret")
	case token == "":
		return http.StatusOK, codes("missing-input-response")
	case len(token) > 2048:
		return http.StatusOK, codes("invalid-input-response")
	}
	if key != "" {
		s.mu.Lock()
		v := s.verdicts[key]
		s.mu.Unlock()
		if v != nil && v.token == token {
			return v.status, v.body
		}
	}
	m, st := s.redeem(token, c)
	var body any
	switch {
	case st == unknown || m.SiteKey != s.opts.SiteKey || m.Unsolved:
		body = codes("invalid-input-response")
	case st != fresh:
		body = codes("timeout-or-duplicate")
	default:
		answer := map[string]any{
			"success": true, "challenge_ts": stamp(m.at), "hostname": m.host(""), "error-codes": []string{}, "action": m.Action, "cdata": m.CData,
		}
		if m.Visitor != "" {
			answer["metadata"] = map[string]any{"ephemeral_id": m.Visitor}
		}
		body = answer
	}
	if key != "" {
		s.mu.Lock()
		s.verdicts[key] = &verdict{token, http.StatusOK, body}
		s.mu.Unlock()
	}
	return http.StatusOK, body
}

// NewHCaptcha stands in for hCaptcha with Enterprise: forms only, the three test site keys with the test secret, tokens
// that live 120 seconds.
func NewHCaptcha(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "hcaptcha", prefix: "/hcaptcha", life: 120 * time.Second, script: "/1/api.js", widget: hcaptchaWidget,
		verify: verifyHCaptcha, code: func(_ *Server, code string) (int, any) { return http.StatusOK, codes(code) },
	}, opts)
}

func verifyHCaptcha(s *Server, r *call) (int, any) {
	if r.Method != http.MethodPost || r.form == nil || !strings.HasSuffix(r.URL.Path, "/siteverify") {
		return http.StatusBadRequest, codes("bad-request")
	}
	secret, token, key, ip := r.form.Get("secret"), r.form.Get("response"), r.form.Get("sitekey"), r.form.Get("remoteip")
	switch {
	case secret == "":
		return http.StatusOK, codes("missing-input-secret")
	case token == "":
		return http.StatusOK, codes("missing-input-response")
	case !validIP(ip):
		return http.StatusOK, codes("invalid-remoteip")
	case strings.HasPrefix(secret, "0x") && strings.Trim(secret[2:], "0") == "":
		return hcaptchaDummy(s, token, key)
	case strings.Contains(token, "0000000-aaaa-bbbb-cccc-00000000000"):
		return http.StatusOK, codes("not-using-dummy-secret")
	case secret != s.opts.Secret:
		return http.StatusOK, codes("invalid-input-secret")
	case key != "" && key != s.opts.SiteKey:
		return http.StatusOK, codes("sitekey-secret-mismatch")
	}
	m, st := s.redeem(token, Call{RemoteIP: ip})
	switch {
	case st == unknown || m.Unsolved:
		return http.StatusOK, codes("invalid-input-response")
	case m.SiteKey != s.opts.SiteKey:
		return http.StatusOK, codes("sitekey-secret-mismatch")
	case st == old:
		return http.StatusOK, codes("expired-input-response")
	case st == spent:
		return http.StatusOK, codes("already-seen-response")
	}
	body := map[string]any{"success": true, "challenge_ts": stamp(m.at), "hostname": m.host("not-provided")}
	if m.Scored {
		body["score"], body["score_reason"] = m.Risk, append([]string{}, m.Codes...)
	}
	return http.StatusOK, body
}

func hcaptchaDummy(s *Server, token, key string) (int, any) {
	n := token[:min(1, len(token))]
	if token != n+"0000000-aaaa-bbbb-cccc-00000000000"+n || n < "1" || n > "3" || key != "" && key != n+"0000000-ffff-ffff-ffff-00000000000"+n {
		return http.StatusOK, codes("not-using-dummy-passcode")
	}
	body := map[string]any{"success": true, "challenge_ts": stamp(s.opts.Now()), "hostname": "dummy-key-pass"}
	switch n {
	case "2":
		body["score"], body["score_reason"] = 0.0, []string{"safe"}
	case "3":
		body["score"], body["score_reason"] = 0.8, []string{"bot-detected"}
	}
	return http.StatusOK, body
}

// NewRecaptcha stands in for reCAPTCHA v2 or v3: forms only, the v2 test secret, tokens that live 120 seconds.
func NewRecaptcha(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "recaptcha", prefix: "/recaptcha/api", life: 120 * time.Second, script: ".js", widget: recaptchaWidget,
		verify: verifyRecaptcha, code: func(_ *Server, code string) (int, any) { return http.StatusOK, codes(code) },
	}, opts)
}

func verifyRecaptcha(s *Server, r *call) (int, any) {
	if r.Method != http.MethodPost || r.form == nil || !strings.HasSuffix(r.URL.Path, "/siteverify") {
		return http.StatusOK, codes("bad-request")
	}
	secret, token := r.form.Get("secret"), r.form.Get("response")
	switch {
	case secret == "":
		return http.StatusOK, codes("missing-input-secret")
	case token == "":
		return http.StatusOK, codes("missing-input-response")
	case secret == "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe":
		return http.StatusOK, map[string]any{"success": true, "challenge_ts": stamp(s.opts.Now()), "hostname": "testkey.google.com"}
	case secret != s.opts.Secret:
		return http.StatusOK, codes("invalid-input-secret")
	}
	m, st := s.redeem(token, Call{RemoteIP: r.form.Get("remoteip")})
	switch {
	case st == unknown || m.Unsolved || m.SiteKey != s.opts.SiteKey:
		return http.StatusOK, codes("invalid-input-response")
	case st != fresh:
		return http.StatusOK, codes("timeout-or-duplicate")
	}
	body := map[string]any{"success": true, "challenge_ts": m.at.UTC().Format("2006-01-02T15:04:05Z")}
	if app, ok := strings.CutPrefix(m.Hostname, "android:"); ok {
		body["apk_package_name"] = app
	} else {
		body["hostname"] = m.host("")
	}
	if s.opts.Version == 3 {
		body["score"], body["action"] = 1-m.Risk, m.Action
	}
	return http.StatusOK, body
}

package captchatest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// NewFriendly stands in for Friendly Captcha v2 with Risk Intelligence; tokens live an hour, as the real ones' life is
// not documented.
func NewFriendly(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "friendly", prefix: "/api/v2/captcha", script: "/site.min.js", widget: friendlyWidget, verify: verifyFriendly,
		code: func(_ *Server, code string) (int, any) { return friendlyError(code) },
	}, opts)
}

func friendlyError(code string) (int, any) {
	status := map[string]int{
		"auth_required": 401, "auth_invalid": 401, "sitekey_invalid": 400, "bad_request": 400, "response_missing": 400,
	}[code]
	return max(status, http.StatusOK), map[string]any{"success": false, "error": map[string]any{"error_code": code, "detail": "stand-in"}}
}

func verifyFriendly(s *Server, r *call) (int, any) {
	key, token, site := r.Header.Get("X-API-Key"), r.member("response"), r.member("sitekey")
	switch {
	case key == "":
		return friendlyError("auth_required")
	case key != s.opts.Secret:
		return friendlyError("auth_invalid")
	case r.Method != http.MethodPost || r.form == nil && r.json == nil || !strings.HasSuffix(r.URL.Path, "/siteverify"):
		return friendlyError("bad_request")
	case site != "" && site != s.opts.SiteKey:
		return friendlyError("sitekey_invalid")
	case token == "":
		return friendlyError("response_missing")
	}
	m, st := s.redeem(token, Call{})
	switch {
	case st == unknown || m.Unsolved || m.SiteKey != s.opts.SiteKey:
		return friendlyError("response_invalid")
	case st == old:
		return friendlyError("response_timeout")
	case st == spent:
		return friendlyError("response_duplicate")
	}
	origin := ""
	if m.Hostname != "none" {
		origin = "https://" + m.Hostname
	}
	var intelligence any
	if m.Scored {
		overall := 1 + int(math.Round(4*m.Risk))
		intelligence = map[string]any{"risk_scores": map[string]any{"overall": overall, "network": overall, "browser": 1}}
	}
	return http.StatusOK, map[string]any{"success": true, "data": map[string]any{
		"event_id": "ev_" + random()[:16], "challenge": map[string]any{"timestamp": stamp(m.at), "origin": origin}, "risk_intelligence": intelligence,
	}}
}

// NewArkose stands in for Arkose Labs Verify API v4. A token that is verified again is answered again, marked as
// verified before; Grant.Risk chooses the band.
func NewArkose(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "arkose", prefix: "/api/v4", script: "/api.js", widget: arkoseWidget, verify: verifyArkose,
		code: func(s *Server, code string) (int, any) {
			return http.StatusOK, map[string]any{"error": code, "verified": stamp(s.opts.Now())}
		},
	}, opts)
}

func verifyArkose(s *Server, r *call) (int, any) {
	denied := map[string]any{"error": "DENIED ACCESS", "verified": stamp(s.opts.Now())}
	if r.Method != http.MethodPost || r.json == nil {
		return http.StatusBadRequest, map[string]any{"error": "bad request"}
	}
	if r.text("private_key") != s.opts.Secret || r.text("session_token") == "" {
		return http.StatusOK, denied
	}
	m, st := s.redeem(r.text("session_token"), Call{})
	if st == unknown || m.SiteKey != s.opts.SiteKey {
		return http.StatusOK, denied
	}
	if simple, _ := r.json["simple_mode"].(bool); simple {
		if st == fresh && !m.Unsolved {
			return http.StatusOK, 1
		}
		return http.StatusOK, 0
	}
	band := "LOW"
	if m.Risk >= 0.7 {
		band = "HIGH"
	} else if m.Risk >= 0.3 {
		band = "MEDIUM"
	}
	return http.StatusOK, map[string]any{
		"session_details": map[string]any{
			"solved": !m.Unsolved && st != old, "session": random()[:16], "session_created": stamp(m.at), "check_answer": stamp(m.at),
			"verified": stamp(s.opts.Now()), "attempted": true, "security_level": 0, "previously_verified": st == spent,
			"session_timed_out": st == old, "suppressed": false, "telltale_list": append([]string{}, m.Codes...), "lowsec_error": nil,
		},
		"session_risk": map[string]any{
			"risk_band": band, "risk_category": "NO-THREAT", "global": map[string]any{"score": math.Round(100 * m.Risk), "telltales": []any{}},
			"custom": map[string]any{"score": 0, "telltales": []any{}},
		},
		"data_exchange": map[string]any{"blob_received": false},
	}
}

// NewGeeTest stands in for GeeTest v4. What Mint and the widget return is the JSON object of the four fields.
func NewGeeTest(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "geetest", prefix: "/geetest", life: 10 * time.Minute, script: "/v4/gt4.js", widget: geetestWidget, verify: verifyGeeTest,
		token: func(s *Server) string {
			raw, _ := json.Marshal(map[string]string{ // texts always marshal
				"lot_number": random()[:32], "captcha_output": random(), "pass_token": random(), "gen_time": strconv.FormatInt(s.opts.Now().Unix(), 10),
			})
			return string(raw)
		},
		code: func(_ *Server, code string) (int, any) { return geetestError(code) },
	}, opts)
}

func geetestError(code string) (int, any) {
	return http.StatusOK, map[string]any{"status": "error", "code": code, "msg": "stand-in", "desc": map[string]any{"type": "defined error"}}
}

func verifyGeeTest(s *Server, r *call) (int, any) {
	if r.Method != http.MethodPost || r.form == nil {
		return geetestError("-50000")
	}
	switch id := r.URL.Query().Get("captcha_id"); {
	case id == "":
		return geetestError("-50101")
	case id != s.opts.SiteKey:
		return geetestError("-50102")
	}
	f := map[string]string{}
	for _, name := range []string{"lot_number", "captcha_output", "pass_token", "gen_time"} {
		f[name] = r.form.Get(name)
	}
	h := hmac.New(sha256.New, []byte(s.opts.Secret))
	h.Write([]byte(f["lot_number"]))
	switch {
	case f["lot_number"] == "":
		return geetestError("-50302")
	case strings.Trim(f["gen_time"], "0123456789") != "" || f["gen_time"] == "":
		return geetestError("-50005")
	}
	fail := func(why string) (int, any) {
		return http.StatusOK, map[string]any{"status": "success", "result": "fail", "reason": why, "captcha_args": map[string]any{}}
	}
	if r.form.Get("sign_token") != hex.EncodeToString(h.Sum(nil)) {
		return fail("sign_token error")
	}
	raw, _ := json.Marshal(f)
	m, st := s.redeem(string(raw), Call{})
	switch {
	case st == unknown:
		return geetestError("-50303")
	case st == old:
		return fail("pass_token expire")
	case st == spent:
		return geetestError("-50308")
	case m.Unsolved:
		return fail("not pass")
	}
	return http.StatusOK, map[string]any{"status": "success", "result": "success", "reason": "", "captcha_args": map[string]any{
		"used_type": "slide", "user_ip": "192.0.2.1", "lot_number": f["lot_number"], "scene": "test", "referer": "https://" + m.Hostname + "/",
	}}
}

// NewPrivateCaptcha stands in for Private Captcha; the test site key answers success with code 10, and Grant.Invalid is
// a code to answer with.
func NewPrivateCaptcha(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "private_captcha", prefix: "/privatecaptcha", life: 30 * time.Minute, script: "/widget/js/privatecaptcha.js", widget: privateWidget,
		verify: verifyPrivate, code: func(s *Server, code string) (int, any) { return s.privateAnswer(code, s.opts.Now(), "example.com") },
	}, opts)
}

func (s *Server) privateAnswer(code string, at time.Time, origin string) (int, any) {
	n, _ := strconv.Atoi(code)
	return http.StatusOK, map[string]any{"success": n == 0 || n == 9 || n == 10, "code": n, "timestamp": stamp(at), "origin": origin}
}

func verifyPrivate(s *Server, r *call) (int, any) {
	switch {
	case r.Header.Get("X-Api-Key") == "":
		return http.StatusUnauthorized, map[string]any{}
	case r.Header.Get("X-Api-Key") != s.opts.Secret:
		return http.StatusForbidden, map[string]any{}
	case r.Method != http.MethodPost || r.kind != "text/plain":
		return http.StatusBadRequest, map[string]any{}
	}
	m, st := s.redeem(string(r.body), Call{})
	code := "0"
	pin := r.Header.Get("X-Pc-Sitekey")
	switch {
	case st == unknown:
		code = "4"
	case st == old:
		code = "5"
	case st == spent:
		code = "8"
	case m.Invalid != "":
		code = m.Invalid
	case m.SiteKey == "aaaaaaaabbbbccccddddeeeeeeeeeeee":
		code = "10"
	case m.SiteKey != s.opts.SiteKey:
		code = "7"
	case pin != "" && pin != m.SiteKey:
		code = "6"
	case m.Unsolved:
		code = "3"
	}
	return s.privateAnswer(code, m.at, m.host(""))
}

// NewCap stands in for Cap Standalone; tokens live twenty minutes and are forgotten with their use.
func NewCap(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "cap", prefix: "/cap", life: 20 * time.Minute, script: "/widget.js", widget: capWidget, verify: verifyCap,
		token: func(s *Server) string { return s.opts.SiteKey + ":" + random()[:16] + ":" + random() },
		code: func(_ *Server, code string) (int, any) {
			status := map[string]int{"Missing required parameters": 400, "Token not found": 404, "Token expired": 403, "Invalid site key or secret": 403}[code]
			return max(status, http.StatusBadRequest), map[string]any{"success": false, "error": code}
		},
	}, opts)
}

func verifyCap(s *Server, r *call) (int, any) {
	refuse := func(status int, why string) (int, any) {
		return status, map[string]any{"success": false, "error": why}
	}
	token := r.text("response")
	switch {
	case r.Method != http.MethodPost || r.text("secret") == "" || token == "" || strings.Count(token, ":") != 2:
		return refuse(http.StatusBadRequest, "Missing required parameters")
	case r.URL.Path != s.service.prefix+"/"+s.opts.SiteKey+"/siteverify":
		return refuse(http.StatusNotFound, "Invalid site key or secret")
	case r.text("secret") != s.opts.Secret:
		return refuse(http.StatusForbidden, "Invalid site key or secret")
	}
	switch m, st := s.redeem(token, Call{}); {
	case st == old:
		return refuse(http.StatusForbidden, "Token expired")
	case st != fresh || m.Unsolved:
		return refuse(http.StatusNotFound, "Token not found")
	}
	return http.StatusOK, map[string]any{"success": true}
}

// NewMCaptcha stands in for mCaptcha.
func NewMCaptcha(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "mcaptcha", prefix: "/mcaptcha", life: time.Minute, script: "/glue.js", frame: "/widget/", widget: mcaptchaWidget, verify: verifyMCaptcha,
		code: func(_ *Server, code string) (int, any) {
			status := map[string]int{"Wrong password": 401, "Captcha not found.": 404}[code]
			return max(status, http.StatusBadRequest), map[string]any{"error": code}
		},
	}, opts)
}

func verifyMCaptcha(s *Server, r *call) (int, any) {
	switch {
	case r.Method != http.MethodPost || r.json == nil || !strings.HasSuffix(r.URL.Path, "/api/v1/pow/siteverify"):
		return http.StatusBadRequest, map[string]any{"error": "bad request"}
	case r.text("key") != s.opts.SiteKey:
		return http.StatusNotFound, map[string]any{"error": "Captcha not found."}
	case r.text("secret") != s.opts.Secret:
		return http.StatusUnauthorized, map[string]any{"error": "Wrong password"}
	}
	m, st := s.redeem(r.text("token"), Call{})
	return http.StatusOK, map[string]any{"valid": st == fresh && !m.Unsolved && m.SiteKey == s.opts.SiteKey}
}

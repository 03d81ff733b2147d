package captchatest

import (
	"net/http"
	"strings"
	"time"
)

// NewRecaptchaEnterprise stands in for reCAPTCHA Enterprise: createAssessment and annotate, an API key in the header or
// the query or any bearer token equal to the secret, tokens that live 120 seconds. Grant.Invalid makes a token that is
// invalid for that reason.
func NewRecaptchaEnterprise(opts *ServerOptions) *Server {
	return newServer(&service{
		name: "recaptcha_enterprise", prefix: "/recaptchaenterprise", life: 120 * time.Second, script: "/enterprise.js", widget: enterpriseWidget,
		verify: verifyEnterprise, code: func(_ *Server, code string) (int, any) { return googleError(code) },
	}, opts)
}

var googleStatus = map[string]int{
	"INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429,
	"INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}

func googleError(code string) (int, any) {
	status := googleStatus[code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return status, map[string]any{"error": map[string]any{"code": status, "message": "stand-in: " + code, "status": code}}
}

func verifyEnterprise(s *Server, r *call) (int, any) {
	key := r.Header.Get("X-Goog-Api-Key")
	if key == "" {
		key = r.URL.Query().Get("key")
	}
	if key == "" {
		key, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	path := strings.TrimPrefix(r.URL.Path, s.service.prefix)
	home := "/v1/projects/" + s.opts.Project + "/assessments"
	switch {
	case key == "":
		return googleError("UNAUTHENTICATED")
	case key != s.opts.Secret || !strings.HasPrefix(path, home):
		return googleError("PERMISSION_DENIED")
	case r.Method != http.MethodPost || r.json == nil:
		return googleError("INVALID_ARGUMENT")
	case path != home:
		return s.annotate(r, strings.TrimPrefix(path, "/v1/"))
	}
	token, site, want := r.text("event", "token"), r.text("event", "siteKey"), r.text("event", "expectedAction")
	if site == "" {
		return googleError("INVALID_ARGUMENT")
	}
	name := "projects/" + s.opts.Project + "/assessments/" + random()[:16]
	properties := map[string]any{}
	analysis := map[string]any{"reasons": []string{}, "extendedVerdictReasons": []string{}, "challenge": "CHALLENGE_UNSPECIFIED"}
	invalid := func(why string) { properties["valid"], properties["invalidReason"] = false, why }
	m, st := s.redeem(token, Call{RemoteIP: r.text("event", "userIpAddress"), UserAgent: r.text("event", "userAgent")})
	if st != unknown {
		properties["hostname"], properties["action"], properties["createTime"] = m.host(""), m.Action, stamp(m.at)
	}
	switch {
	case token == "":
		invalid("MISSING")
	case st == unknown:
		invalid("MALFORMED")
	case st == spent:
		invalid("DUPE")
	case st == old:
		invalid("EXPIRED")
	case m.Invalid != "":
		invalid(m.Invalid)
	case m.SiteKey != site:
		invalid("KEY_MISMATCH")
	default:
		properties["valid"], properties["invalidReason"] = true, "INVALID_REASON_UNSPECIFIED"
		if m.Risk < 1 { // as proto3 JSON leaves a zero out
			analysis["score"] = 1 - m.Risk
		}
		analysis["reasons"] = append([]string{}, m.Codes...)
		if m.Unsolved {
			analysis["challenge"] = "FAILED"
		}
		s.mu.Lock()
		s.noted[name] = Annotation{}
		s.mu.Unlock()
	}
	return http.StatusOK, map[string]any{
		"name": name, "event": map[string]any{"token": token, "siteKey": site, "expectedAction": want},
		"tokenProperties": properties, "riskAnalysis": analysis,
	}
}

func (s *Server) annotate(r *call, path string) (int, any) {
	name, ok := strings.CutSuffix(path, ":annotate")
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.noted[name]; !ok || !known {
		return googleError("NOT_FOUND")
	}
	a := Annotation{Annotation: r.text("annotation")}
	list, _ := r.json["reasons"].([]any)
	for _, e := range list {
		if s, ok := e.(string); ok {
			a.Reasons = append(a.Reasons, s)
		}
	}
	switch a.Annotation {
	case "", "LEGITIMATE", "FRAUDULENT":
	default:
		return googleError("INVALID_ARGUMENT")
	}
	if a.Annotation == "" && len(a.Reasons) == 0 {
		return googleError("INVALID_ARGUMENT")
	}
	s.noted[name] = a
	return http.StatusOK, map[string]any{}
}

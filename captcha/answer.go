package captcha

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// unverified is the result of a question without an answer.
func unverified(why Reason) Result { return Result{Reason: why, Fault: why.fault()} }

// refusal is a result that refuses, or, when it is not the visitor's fault, leaves open.
func refusal(why Reason, codes ...string) Result {
	res := unverified(why)
	res.Codes = codes
	if res.Fault == FaultVisitor || res.Fault == FaultBinding {
		res.Outcome = Failed
	}
	return res
}

// passed is a result that passes, unless it is bound to something else.
func passed() Result { return Result{Outcome: Passed, Reason: ReasonOK} }

// byStatus judges an answer by its status alone; ok is true for 200, whose body must be read.
func byStatus(status int) (res Result, ok bool) {
	switch {
	case status == http.StatusOK:
		return Result{}, true
	case status == http.StatusTooManyRequests:
		return refusal(ReasonLimited), false
	case status == http.StatusRequestTimeout || status >= 500:
		return refusal(ReasonProvider), false
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return refusal(ReasonCredentials), false
	case status >= 400:
		return refusal(ReasonRequest), false
	}
	return refusal(ReasonResponse), false // nothing, or elsewhere
}

// readFault reports whether a status is the provider's fault whatever the body says.
func readFault(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 || status < 200 || status > 200 && status < 400
}

// keep bounds what is kept of a provider's own words.
func keep(codes []string) []string {
	if len(codes) > mostCodes {
		codes = codes[:mostCodes]
	}
	for i, c := range codes {
		if len(c) > mostText {
			codes[i] = strings.ToValidUTF8(c[:mostText], "")
		}
	}
	return codes
}

// parse reads a body that must be a JSON object.
func parse(body []byte) (jsonhttp.Value, bool) {
	v, err := jsonhttp.Parse(body)
	return v, err == nil && v.IsObject()
}

// text returns an optional string member; ok is false for one of another kind. null counts as absent.
func text(v jsonhttp.Value, names ...string) (string, bool) {
	m := v.At(names...)
	if !m.There() || m.IsNull() {
		return "", true
	}
	s, ok := m.Text()
	if len(s) > mostText {
		return "", false
	}
	return s, ok
}

// when returns an optional time; ok is false for what is none.
func when(v jsonhttp.Value, names ...string) (time.Time, bool) {
	s, ok := text(v, names...)
	if !ok || s == "" {
		return time.Time{}, ok
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// score returns an optional number in [lo, hi]; ok is false for what is none.
func score(v jsonhttp.Value, lo, hi float64) (n float64, there, ok bool) {
	if !v.There() || v.IsNull() {
		return 0, false, true
	}
	n, is := v.Number()
	return n, is, is && n >= lo && n <= hi
}

// originHost is the host name of an origin such as https://example.com:8443, or of a bare host name.
func originHost(origin string) string {
	if !strings.Contains(origin, "://") {
		return origin
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	return u.Hostname()
}

package captcha

import "strings"

// bound compares what a passed answer was made for.
func (r *remote) bound(res *Result, e *Expect, x exchange) Reason {
	if r.reports && (!r.opts.SkipHostname || len(e.Hostnames) > 0) && !r.hosted(res.Hostname, e.Hostnames) {
		return ReasonHostname
	}
	if x.acts && e.Action != "" {
		want := WidgetAction(e.Action)
		if res.Action != want && !(x.fold && strings.EqualFold(res.Action, want)) {
			return ReasonAction
		}
	}
	if x.acts && !x.fold && e.CData != "" && res.CData != e.CData {
		return ReasonCData
	}
	most := r.opts.MaxAge
	if res.ChallengeTime.IsZero() {
		if most > 0 {
			return ReasonExpired
		}
		return ReasonOK
	}
	if most == 0 {
		most = r.life
	}
	age := r.opts.Now().Sub(res.ChallengeTime)
	if age < -r.opts.Skew {
		return ReasonResponse // one of the clocks is wrong, which is not the visitor's fault
	}
	if most > 0 && age > most {
		return ReasonExpired
	}
	return ReasonOK
}

// hosted reports whether host is one of ours: exactly, but for the case of ASCII letters.
func (r *remote) hosted(host string, expected []string) bool {
	if len(expected) == 0 {
		_, ok := r.hosts[strings.ToLower(host)]
		return ok
	}
	for _, h := range expected {
		if host != "" && strings.EqualFold(h, host) && printable(host, 253) {
			return true
		}
	}
	return false
}

// WidgetAction is an action as widgets carry it: letters, digits and underscores, at most 32; others become
// underscores.
func WidgetAction(action string) string {
	b := []byte(action)
	if len(b) > 32 {
		b = b[:32]
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		b[i] = '_'
	}
	return string(b)
}

package ratelimit

import (
	"strconv"
	"time"
)

// maxSF is the largest Integer of RFC 9651.
const maxSF = 999_999_999_999_999

// Header sets RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After when the
// level is Slow, Deny or Ban. An http.Header fits. Only limits of class Source on attempts are shown: a limit on a phone
// or an e-mail address would tell a stranger whether it is in use. q is the burst and w the seconds it takes to regain
// it; t is when the bucket will be full, or, when nothing remains, when the next unit can be had.
func (d *Decision) Header(h map[string][]string) {
	var policy, limit []byte
	for i := range d.n {
		s := d.state(i)
		if s.limit.Class != Source || s.limit.Kind != Attempts {
			continue
		}
		if len(policy) > 0 {
			policy, limit = append(policy, ", "...), append(limit, ", "...)
		}
		p := s.public()
		policy = item(policy, p.Name)
		policy = param(policy, 'q', p.Limit)
		// To the nearest: a unit's rounding up to a microsecond is nothing to advertise.
		policy = param(policy, 'w', max(1, int64(p.Window.Round(time.Second)/time.Second)))
		t := p.ResetAfter
		if p.Remaining == 0 {
			t = p.RetryAfter
		}
		limit = item(limit, p.Name)
		limit = param(limit, 'r', p.Remaining)
		limit = param(limit, 't', ceilSeconds(t))
	}
	if len(policy) > 0 {
		h["Ratelimit-Policy"] = []string{string(policy)}
		h["Ratelimit"] = []string{string(limit)}
	}
	d.retryHeader(h)
}

// LegacyHeader sets prefix+"Limit", "Remaining" and "Reset" for the source limit with the least remaining, for
// clients that know the older fields only: "Ratelimit-" or "X-Ratelimit-", in this spelling, which is the canonical one
// of package net/http. Reset is in seconds from now. Retry-After is as in Header.
func (d *Decision) LegacyHeader(h map[string][]string, prefix string) {
	var least *state
	for i := range d.n {
		s := d.state(i)
		if s.limit.Class != Source || s.limit.Kind != Attempts {
			continue
		}
		if least == nil || s.public().Remaining < least.public().Remaining {
			least = s
		}
	}
	if least != nil {
		p := least.public()
		h[prefix+"Limit"] = []string{strconv.FormatInt(p.Limit, 10)}
		h[prefix+"Remaining"] = []string{strconv.FormatInt(p.Remaining, 10)}
		h[prefix+"Reset"] = []string{strconv.FormatInt(ceilSeconds(p.ResetAfter), 10)}
	}
	d.retryHeader(h)
}

func (d *Decision) retryHeader(h map[string][]string) {
	if n := d.RetrySeconds(); n > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(n, 10)}
	}
}

// RetrySeconds is RetryAfter in whole seconds, rounded up, with 0 to 3 % added at random so that those turned away do
// not come back all at once. It is drawn anew by each call. It is 0 unless the level is Slow, Deny or Ban.
func (d *Decision) RetrySeconds() int64 {
	if d.Level != Slow && d.Level != Deny && d.Level != Ban {
		return 0
	}
	jitter := 0.0
	if d.l != nil {
		jitter = min(max(d.l.jitter(), 0), 1)
	}
	wait := max(d.RetryAfter, 1)
	return ceilSeconds(wait + time.Duration(float64(wait)*0.03*jitter))
}

func ceilSeconds(d time.Duration) int64 { return ceilDiv(int64(max(d, 0)), int64(time.Second)) }

func item(b []byte, name string) []byte {
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"')
}

func param(b []byte, name byte, v int64) []byte {
	b = append(b, ';', name, '=')
	return strconv.AppendInt(b, min(v, maxSF), 10)
}

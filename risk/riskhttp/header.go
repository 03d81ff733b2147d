package riskhttp

import (
	"net/http"
	"net/textproto"
)

// setDropped lists the headers whose values stay out of attempts: secrets, and addresses the guard alone may judge.
func (g *Guard) setDropped() {
	g.drop = make(map[string]struct{})
	for _, h := range []string{
		"Authorization", "Cookie", "Forwarded", "Proxy-Authorization", "Set-Cookie", "X-Api-Key", "X-Auth-Token",
		"X-Csrf-Token", "X-Forwarded-For", "X-Real-Ip", "X-Xsrf-Token", g.o.FlowHeader,
	} {
		g.drop[h] = struct{}{}
	}
	for _, h := range g.o.DropHeaders {
		g.drop[textproto.CanonicalMIMEHeaderKey(h)] = struct{}{}
	}
}

// copyHeader copies a header. Dropped ones keep their name, without values: that they were sent is worth knowing.
func (g *Guard) copyHeader(h http.Header) map[string][]string {
	n := 0
	for _, vv := range h {
		n += len(vv)
	}
	values := make([]string, 0, n)
	c := make(map[string][]string, len(h))
	for k, vv := range h {
		key := textproto.CanonicalMIMEHeaderKey(k)
		if _, secret := g.drop[key]; secret {
			c[key] = nil
			continue
		}
		start := len(values)
		values = append(values, vv...)
		if old := c[key]; old != nil { // two spellings of one name
			c[key] = append(old[:len(old):len(old)], vv...)
			continue
		}
		c[key] = values[start:len(values):len(values)]
	}
	return c
}

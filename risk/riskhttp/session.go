package riskhttp

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// maxCookie bounds what is read of a cookie; longer values are as good as none.
const maxCookie = 1024

// Session returns the request's session and issues one when there is none: a cookie with 128 random bits, HttpOnly,
// SameSite=Lax, Path=/, Secure and with the prefix "__Host-" (RFC 6265bis: not to be planted by sibling domains). Call
// it on the page that shows the form, before the body is written, so that the form's attempt carries it; an attempt
// that is made in the same request gets it by assignment:
//
//	attempt.Session = guard.Session(w, r)
//
// With Options.Session set nothing is issued: the session is the host's.
func (g *Guard) Session(w http.ResponseWriter, r *http.Request) risk.Private {
	if s := g.readSession(r); s != "" || g.o.Session != nil {
		return s
	}
	if value := g.issued(w); value != "" {
		return risk.Private(value)
	}
	value := rand.Text()
	http.SetCookie(w, g.cookie(g.session, value, g.o.SessionMaxAge))
	w.Header().Set("Cache-Control", "no-store") // a stored Set-Cookie would be shared
	return risk.Private(value)
}

// issued finds the session this response issues already: two cookies of one name would leave the flow with the wrong one.
func (g *Guard) issued(w http.ResponseWriter) string {
	for _, line := range w.Header()["Set-Cookie"] {
		if rest, ok := strings.CutPrefix(line, g.session+"="); ok {
			value, _, _ := strings.Cut(rest, ";")
			return value
		}
	}
	return ""
}

func (g *Guard) readSession(r *http.Request) risk.Private {
	if g.o.Session != nil {
		return g.o.Session(r)
	}
	return risk.Private(readCookie(r, g.session))
}

// readCookie returns the first cookie of that name, or "".
func readCookie(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil && len(c.Value) <= maxCookie {
		return c.Value
	}
	return ""
}

// ClearFlow takes the cookie of Options.FlowCookie back: call it when an attempt was allowed, for its flow is spent then,
// and a spent flow counts against the next attempt that carries it. The middleware does so by itself. Without a flow
// cookie in options and request it does nothing.
func (g *Guard) ClearFlow(w http.ResponseWriter, r *http.Request) {
	if g.flow == "" || readCookie(r, g.flow) == "" {
		return
	}
	c := g.cookie(g.flow, "", 0)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func (g *Guard) cookie(name, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(age / time.Second),
		HttpOnly: true, Secure: !g.o.InsecureCookies, SameSite: http.SameSiteLaxMode,
	}
}

// cookieName is the name on the wire.
func (g *Guard) cookieName(name string) string {
	if name == "" || g.o.InsecureCookies {
		return name
	}
	return "__Host-" + name
}

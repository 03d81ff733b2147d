package riskhttp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// Engine is what a guard needs of the risk engine. [*risk.Engine] satisfies it.
type Engine interface {
	Assess(ctx context.Context, a *risk.Attempt) *risk.Assessment
	Open(ctx context.Context, a *risk.Attempt, offer ...risk.Proof) *risk.Assessment
	Tasks(ctx context.Context, s *risk.Assessment) ([]risk.Task, error)
	Pending(ctx context.Context, a *risk.Attempt) ([]risk.Proof, error)
	Settle(ctx context.Context, s *risk.Assessment, o risk.Outcome) error
}

var _ Engine = (*risk.Engine)(nil)

// Collector adds what it finds in a request to an attempt: device tags, evidence from headers. It must not read the
// body and must not block. Collectors run in order, on the request's goroutine. One that panics is reported to
// [Options].OnError as a [*PanicError]; what it has written stays, and the next one runs.
type Collector func(r *http.Request, a *risk.Attempt)

// Answerer writes one kind of answer instead of the guard. It gets the assessment, which holds what the visitor must
// not see, and the problem prepared for the visitor, whose headers (Cache-Control, Retry-After) are already set. It
// returns true if it has written the answer. If it returns false, the guard writes p, with the changes made to it. s is
// nil for an answer without an assessment.
type Answerer func(w http.ResponseWriter, r *http.Request, s *risk.Assessment, p *Problem) bool

// Options of a guard. The zero value and nil mean the defaults.
type Options struct {
	// TrustedProxies are the addresses of the reverse proxies in front of the server. Default: none, so that
	// forwarding headers are ignored. A prefix that trusts everybody (length 0) is refused.
	TrustedProxies []netip.Prefix
	// TrustUnix makes the peer of a Unix socket a trusted proxy. Default false: such requests have no address.
	TrustUnix bool
	// Forwarding names the one header that trusted proxies keep; default [XForwardedFor]. Others are not read.
	Forwarding Forwarding

	// DropHeaders names headers whose values must not reach the attempt, beside those of Authorization, Cookie,
	// Forwarded, Proxy-Authorization, Set-Cookie, X-Api-Key, X-Auth-Token, X-Csrf-Token, X-Forwarded-For, X-Real-Ip,
	// X-Xsrf-Token and FlowHeader.
	DropHeaders []string

	// Session finds the attempt's session; default: the cookie of [Guard.Session].
	Session func(r *http.Request) risk.Private
	// SessionCookie is the name of the cookie that [Guard.Session] issues, "__Host-" is put in front of it; default
	// "vestibule".
	SessionCookie string
	// SessionMaxAge is how long that cookie lives; default 0: until the browser closes.
	SessionMaxAge time.Duration
	// InsecureCookies issues cookies without Secure and without "__Host-", for development over plain HTTP. Anybody on
	// the network path, and any sibling domain, can then read or plant them.
	InsecureCookies bool

	// FlowHeader and FlowField name the header and the form field that carry a flow; default
	// "Vestibule-Flow" and "vestibule_flow". The header wins. URL query values are never read: they reach logs.
	FlowHeader, FlowField string
	// FlowCookie names a cookie that carries a flow, read last and set by challenge answers, for forms without
	// scripts; "__Host-" is put in front. Default: none. Two tabs share one cookie, so the later challenge wins. Inline handlers take it back with
	// [Guard.ClearFlow].
	FlowCookie string
	// CannotHeader and CannotField name the header and form field in which a client lists proofs it cannot give,
	// separated by commas; default "Vestibule-Cannot" and "vestibule_cannot".
	CannotHeader, CannotField string

	// Channel, Tenant, Client and Tier choose the policy's segment. Their answers must come from a bounded set that
	// the visitor cannot pick from freely: a tenant from an allow-list of hosts, not the Host header as it came. They
	// are not protected from panics. Defaults: Channel [risk.ChannelWeb], the others empty.
	Channel, Tenant, Client, Tier func(r *http.Request) string
	// Collectors run last in Attempt, in order.
	Collectors []Collector

	// OnChallenge and the others override an answer; nil: the guard's own. OnWait is for every 429, also that of a
	// lock or block with an end; OnOther for problems without an assessment (flow, request, cross-origin,
	// unavailable).
	OnChallenge, OnReview, OnDelay, OnLock, OnBlock, OnWait, OnOther Answerer
	// ProblemTypes is put before a problem's name to make its type; default [ProblemTypes]. It must be an absolute
	// URI or an absolute path.
	ProblemTypes string

	// Admit is asked before the endpoints touch the engine; a positive duration refuses with 429 and Retry-After. Use
	// it to limit how often an address may open flows. Default: everybody is admitted.
	Admit func(ctx context.Context, a *risk.Attempt) (retry time.Duration)
	// CrossOrigin judges requests to the endpoints; default [http.NewCrossOriginProtection]. Give one with trusted
	// origins when pages of another origin call them.
	CrossOrigin *http.CrossOriginProtection
	// Timeout bounds each of Tasks, Pending and Settle; default 2 s.
	Timeout time.Duration

	// Now is the clock Retry-After is computed by; default time.Now. It must be the engine's.
	Now func() time.Time
	// Jitter returns a number in [0,1) that spreads Retry-After; default a random one.
	Jitter func() float64
	// OnError is told what went wrong on our side: [ErrForwarded], [*PanicError], [*BodyError], errors of the engine. It must not
	// block. Default: nobody is told. Errors made by this package hold no personal data.
	OnError func(r *http.Request, err error)
}

// Guard stands between net/http and the engine. The zero value is not usable: make one with [New]. It is safe for
// concurrent use.
type Guard struct {
	engine  Engine
	o       Options
	trusted []netip.Prefix
	drop    map[string]struct{}
	session string // cookie names as they are on the wire
	flow    string
}

// New makes a guard for an engine. It fails on options that cannot work or would trust everybody, and starts nothing.
func New(engine Engine, opts *Options) (*Guard, error) {
	if e, ok := engine.(*risk.Engine); engine == nil || (ok && e == nil) {
		return nil, errors.New("riskhttp: an engine is needed: pass the *risk.Engine that judges the attempts")
	}
	g := &Guard{engine: engine}
	if opts != nil {
		g.o = *opts
	}
	o := &g.o
	if err := g.setProxies(o.TrustedProxies); err != nil {
		return nil, err
	}
	if o.Forwarding > XRealIP {
		return nil, fmt.Errorf("riskhttp: Forwarding %d is unknown: use XForwardedFor, Forwarded or XRealIP", o.Forwarding)
	}
	defaultTo(&o.SessionCookie, "vestibule")
	defaultTo(&o.FlowHeader, "Vestibule-Flow")
	defaultTo(&o.FlowField, "vestibule_flow")
	defaultTo(&o.CannotHeader, "Vestibule-Cannot")
	defaultTo(&o.CannotField, "vestibule_cannot")
	defaultTo(&o.ProblemTypes, ProblemTypes)
	if err := g.checkNames(); err != nil {
		return nil, err
	}
	if u, err := url.Parse(o.ProblemTypes); err != nil || (!u.IsAbs() && !strings.HasPrefix(o.ProblemTypes, "/")) {
		return nil, errors.New("riskhttp: ProblemTypes must be an absolute URI or an absolute path")
	}
	if o.SessionMaxAge < 0 || (o.SessionMaxAge > 0 && o.SessionMaxAge < time.Second) {
		return nil, errors.New("riskhttp: SessionMaxAge must be zero or at least a second")
	}
	if o.Timeout < 0 {
		return nil, errors.New("riskhttp: Timeout must not be negative")
	}
	if slices.ContainsFunc(o.Collectors, func(c Collector) bool { return c == nil }) {
		return nil, errors.New("riskhttp: Collectors must not hold nil")
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.CrossOrigin == nil {
		o.CrossOrigin = http.NewCrossOriginProtection()
	}
	if o.Channel == nil {
		o.Channel = func(*http.Request) string { return risk.ChannelWeb }
	}
	o.Collectors = slices.Clone(o.Collectors)
	g.setDropped()
	g.session, g.flow = g.cookieName(o.SessionCookie), g.cookieName(o.FlowCookie)
	return g, nil
}

// Attempt describes the request: address, headers, session, flow, segment, and what the collectors find. Of
// the body it reads a posted urlencoded form that declares at most 64 KiB, with http.Request.ParseForm; a larger form and
// a multipart one the host parses before, or the flow in it is not found. The attempt is the caller's, who adds
// what it knows (e-mail, phone, evidence) and passes it to the engine.
func (g *Guard) Attempt(r *http.Request, event risk.Event) *risk.Attempt {
	addr, err := g.ClientIP(r)
	if err != nil {
		g.report(r, err)
	}
	parseForm(r)
	a := &risk.Attempt{
		Event:   event,
		Channel: g.o.Channel(r),
		IP:      addr,
		Header:  g.copyHeader(r.Header),
		Session: g.readSession(r),
		Flow:    g.readFlow(r),
		Cannot:  g.readCannot(r),
	}
	for _, s := range [...]struct {
		to *string
		by func(*http.Request) string
	}{{&a.Tenant, g.o.Tenant}, {&a.Client, g.o.Client}, {&a.Tier, g.o.Tier}} {
		if s.by != nil {
			*s.to = s.by(r)
		}
	}
	for i, c := range g.o.Collectors {
		g.collect(r, a, i, c)
	}
	return a
}

// collect runs one collector and reports its panic.
func (g *Guard) collect(r *http.Request, a *risk.Attempt, i int, c Collector) {
	defer func() {
		if v := recover(); v != nil {
			g.report(r, &PanicError{Collector: i, Value: v})
		}
	}()
	c(r, a)
}

// report tells the host what went wrong.
func (g *Guard) report(r *http.Request, err error) {
	if g.o.OnError != nil {
		g.o.OnError(r, err)
	}
}

// checkNames refuses names that are no HTTP tokens: a header or cookie of such a name never arrives.
func (g *Guard) checkNames() error {
	names := []struct{ what, name string }{
		{"SessionCookie", g.o.SessionCookie}, {"FlowHeader", g.o.FlowHeader}, {"CannotHeader", g.o.CannotHeader},
	}
	if g.o.FlowCookie != "" {
		names = append(names, struct{ what, name string }{"FlowCookie", g.o.FlowCookie})
	}
	for _, h := range g.o.DropHeaders {
		names = append(names, struct{ what, name string }{"DropHeaders", h})
	}
	for _, n := range names {
		if !isToken(n.name) {
			return fmt.Errorf("riskhttp: %s holds %q, which is no HTTP token: use letters, digits and hyphens", n.what, n.name)
		}
	}
	if g.o.FlowCookie == g.o.SessionCookie {
		return errors.New("riskhttp: FlowCookie and SessionCookie must differ")
	}
	g.o.FlowHeader = textproto.CanonicalMIMEHeaderKey(g.o.FlowHeader)
	g.o.CannotHeader = textproto.CanonicalMIMEHeaderKey(g.o.CannotHeader)
	return nil
}

func defaultTo(s *string, v string) {
	if *s == "" {
		*s = v
	}
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || (c < 128 && strings.ContainsRune("!#$%&'*+-.^_`|~", c)))
	})
}

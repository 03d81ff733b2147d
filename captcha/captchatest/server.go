package captchatest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ServerOptions of a Server. The zero value and nil mean the defaults.
type ServerOptions struct {
	// Now is the service's clock; default time.Now.
	Now func() time.Time
	// Secret and SiteKey are the only account the service knows; defaults ServerSecret and ServerSiteKey. For Enterprise
	// the secret is the API key.
	Secret, SiteKey string
	// Project is the only project of Enterprise; default "test-project".
	Project string
	// Score is the risk, 0 to 1, of answers minted by the stand-in widget, for services that score; default 0.1.
	Score float64
	// Version of reCAPTCHA, 2 or 3; default 2.
	Version int
}

// The account of a Server whose options name none.
const (
	ServerSecret  = "captchatest-secret"
	ServerSiteKey = "captchatest-site-key"
)

// Grant is what an answer minted by a Server stands for. The zero value is a visitor who solved the challenge on
// example.com.
type Grant struct {
	Hostname string // default "example.com"; "none": the page sent none
	Action   string
	CData    string
	SiteKey  string        // default the server's
	Risk     float64       // 0 to 1; only where Scored, by services that score
	Scored   bool          // the answer carries a score
	Unsolved bool          // the visitor did not solve it
	Age      time.Duration // how long ago it was made
	Visitor  string        // Turnstile's ephemeral id
	Codes    []string      // reasons or telltales that come with a score
	Invalid  string        // Enterprise: the invalidReason; Private Captcha: the code
}

// Outage is one misbehaviour of a Server, for one request.
type Outage struct {
	// Status and Body replace the answer; a Status of 0 is 200. Header is added.
	Status int
	Body   string
	Header http.Header
	// Code replaces the answer with one of the service's own error codes.
	Code string
	// Silent answers nothing until the client gives up.
	Silent bool
	// HangUp closes the connection.
	HangUp bool
	// Late does what the service would do, spending the token, and then misbehaves: the answer is lost.
	Late bool
}

// Server is a stand-in for one remote service: an http.Handler that speaks its documented verification contract, with
// test keys, single use, expiry and every error code, and serves a stand-in for its widget. Make one with NewTurnstile
// or one of its sisters. It is safe for concurrent use.
type Server struct {
	opts    ServerOptions
	service *service

	mu       sync.Mutex
	tokens   map[string]*minted    // guarded by mu
	verdicts map[string]*verdict   // guarded by mu: by idempotency key
	outages  []Outage              // guarded by mu
	calls    []Call                // guarded by mu
	noted    map[string]Annotation // guarded by mu
}

type minted struct {
	Grant
	at   time.Time
	used bool
}

type verdict struct {
	token  string
	status int
	body   any
}

// Call is what a Server saw of one verification.
type Call struct {
	Token, RemoteIP, UserAgent string
}

// Annotation is what a Server was told about an assessment.
type Annotation struct {
	Annotation string
	Reasons    []string
}

// service is what differs between services.
type service struct {
	name   string
	prefix string        // path below which it lives
	life   time.Duration // of a token; 0: an hour
	script string        // path of the widget's script below prefix
	widget string        // the vendor's part of the stand-in widget
	frame  string        // path of a page that vendors show in a frame; "": none
	token  func(s *Server) string
	// verify answers one request; it reports the token it was about.
	verify func(s *Server, r *call) (int, any)
	// code is the answer that carries one of the service's error codes.
	code func(s *Server, code string) (int, any)
}

func newServer(s *service, opts *ServerOptions) *Server {
	srv := &Server{service: s, tokens: map[string]*minted{}, verdicts: map[string]*verdict{}, noted: map[string]Annotation{}}
	if opts != nil {
		srv.opts = *opts
	}
	o := &srv.opts
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Secret == "" {
		o.Secret = ServerSecret
	}
	if o.SiteKey == "" {
		o.SiteKey = ServerSiteKey
	}
	if o.Project == "" {
		o.Project = "test-project"
	}
	if o.Score == 0 {
		o.Score = 0.1
	}
	if o.Version == 0 {
		o.Version = 2
	}
	return srv
}

// Name is the service's name, as its provider's.
func (s *Server) Name() string { return s.service.name }

// Endpoint is what RemoteOptions.Endpoint (for Cap and mCaptcha: the instance) has to be, when the server is mounted at
// base, such as httptest's URL.
func (s *Server) Endpoint(base string) string {
	return strings.TrimSuffix(base, "/") + s.service.prefix
}

// ScriptPath is the path of the stand-in widget's script.
func (s *Server) ScriptPath() string { return s.service.prefix + s.service.script }

// Mint makes an answer as the service's widget would.
func (s *Server) Mint(g Grant) string {
	if g.Hostname == "" {
		g.Hostname = "example.com"
	}
	if g.SiteKey == "" {
		g.SiteKey = s.opts.SiteKey
	}
	token := random()
	if s.service.token != nil {
		token = s.service.token(s)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = &minted{Grant: g, at: s.opts.Now().Add(-g.Age)}
	return token
}

// Inject makes the next verifications misbehave, one each.
func (s *Server) Inject(o ...Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outages = append(s.outages, o...)
}

// Calls are the verifications seen so far, in order.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Annotated is what was last said about an assessment (Enterprise).
func (s *Server) Annotated(name string) (Annotation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.noted[name]
	return a, ok
}

// state is what became of a token.
type state int

const (
	unknown state = iota
	fresh
	old
	spent
)

// redeem spends a token.
func (s *Server) redeem(token string, c Call) (minted, state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Token = token
	s.calls = append(s.calls, c)
	m, ok := s.tokens[token]
	if !ok {
		return minted{}, unknown
	}
	life := s.service.life
	if life == 0 {
		life = time.Hour
	}
	switch {
	case m.used:
		return *m, spent
	case s.opts.Now().Sub(m.at) > life:
		return *m, old
	}
	m.used = true
	return *m, fresh
}

// validIP reports whether an optional address is one.
func validIP(s string) bool {
	if s == "" {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

func random() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// stamp is a time as most services write it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// host is the reported host name.
func (m minted) host(none string) string {
	if m.Hostname == "none" {
		return none
	}
	return m.Hostname
}

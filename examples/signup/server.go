package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// options of newServer, which providers are made with. Only Log, Now and Phone are needed.
type options struct {
	Log        *slog.Logger
	Now        func() time.Time
	Phone      *phoneService       // how codes are sent to phones
	Accounts   accounts            // default in memory, or where Shared is
	Origin     string              // of the page, "http://localhost:8080"; default unknown: no passkeys then
	Trust      passkey.TrustSource // what vouches for models of authenticators; default nothing
	Difficulty []captcha.Step      // of the proof of work; default captcha.DefaultSteps
	Vendor     *vendor             // whose CAPTCHA comes before the proof of work; default nobody's
	Intel      *ipintel.Intel      // what is known about addresses; default nothing
	Shared     *shared             // what instances keep together; default nothing
	TLS        bool                // the server is reached over TLS: its cookies then go no other way
	// InsecureTrustForwardedFor believes the X-Forwarded-For of whoever connects from loopback.
	InsecureTrustForwardedFor bool

	limits *ratelimit.Signal             // of newLimits
	wrap   func(risk.Signal) risk.Signal // of tests
}

// server is the sign-up service.
type server struct {
	engine    *risk.Engine
	guard     *riskhttp.Guard
	providers []*provider
	accounts  accounts
	log       *slog.Logger
	page      *pages
}

// newServer wires the providers into an engine, the engine into a guard, and the guard into a handler.
func newServer(o options) (http.Handler, error) {
	if o.Accounts == nil {
		var err error
		if o.Accounts, err = newAccounts(&o); err != nil {
			return nil, err
		}
	}
	s := &server{accounts: o.Accounts, log: o.Log, page: newPages()}
	mux := http.NewServeMux()
	var signals []risk.Signal
	for _, newProvider := range providers {
		p, err := newProvider(&o)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		s.providers = append(s.providers, p)
		for _, signal := range p.signals {
			if o.wrap != nil {
				signal = o.wrap(signal)
			}
			signals = append(signals, signal)
		}
		if p.script != "" {
			mux.Handle("GET "+p.script, p.serve)
		}
	}
	policy, err := newPolicy(signals)
	if err != nil {
		return nil, err
	}
	var flows risk.FlowStore // nil: in memory
	if o.Shared != nil {
		flows = o.Shared.flows
	}
	s.engine, err = risk.NewEngine(policy, signals, &risk.Options{
		Now:   o.Now,
		Flows: flows,
		Sinks: []risk.Sink{risk.NewSlogSink(o.Log)},
		Hooks: &risk.Hooks{
			SignalError: func(e risk.SignalError) { o.Log.Warn("a signal could not tell", "signal", e.Signal, "cause", e.Cause) },
			SettleError: func(signal string, _ error) { o.Log.Warn("a signal could not settle", "signal", signal) },
		},
	})
	if err != nil {
		return nil, err
	}
	guardOptions := &riskhttp.Options{
		Now:             o.Now,
		InsecureCookies: !o.TLS, // plain HTTP on loopback; never on a network
		OnError:         func(_ *http.Request, err error) { o.Log.Warn("guard", "error", err) },
		OnChallenge:     s.page.answer, OnReview: s.page.answer, OnBlock: s.page.answer, OnWait: s.page.answer, OnOther: s.page.answer,
	}
	if o.InsecureTrustForwardedFor {
		guardOptions.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	for _, p := range s.providers {
		if p.collect != nil {
			guardOptions.Collectors = append(guardOptions.Collectors, p.collect)
		}
	}
	if s.guard, err = riskhttp.New(s.engine, guardOptions); err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /{$}", s.form)
	mux.Handle("GET /static/", s.page.files())
	mux.HandleFunc("POST /api/signup", s.signUp)
	mux.Handle("POST /api/tasks", s.guard.TasksHandler(risk.SignUp))
	for _, p := range s.providers {
		if p.mount != nil {
			p.mount(mux, s.guard)
		}
	}
	var sources []string
	if o.Vendor != nil {
		sources = o.Vendor.sources
	}
	return secure(http.NewCrossOriginProtection().Handler(mux), sources...), nil
}

// form shows the page, and gives the visitor a session that ties the steps of a challenge together.
func (s *server) form(w http.ResponseWriter, r *http.Request) {
	s.guard.Session(w, r)
	s.page.form(w, s.providers)
}

// signUp judges one sign-up, and keeps it if it may go on or if a person shall look at it.
func (s *server) signUp(w http.ResponseWriter, r *http.Request) {
	sent, err := readFields(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		s.refuse(w, r, status, "Not understood", "The request could not be read.")
		return
	}
	if fault := sent.fault(); fault != "" {
		s.refuse(w, r, http.StatusUnprocessableEntity, "Something is missing", fault)
		return
	}

	attempt := s.guard.Attempt(r, risk.SignUp)
	attempt.Email, attempt.Phone, attempt.Tier = risk.Private(sent["email"]), risk.Private(sent["phone"]), sent["kind"]
	for _, p := range s.providers {
		if p.attach != nil {
			p.attach(sent, attempt)
		}
	}
	ctx, limits := ratelimit.Watch(r.Context())
	verdict := s.engine.Assess(ctx, attempt)
	limits.Header(w.Header())
	pending := verdict.Action == risk.Review
	if !verdict.Allowed() && !pending {
		s.guard.Answer(w, r, verdict)
		return
	}

	ref, fresh, err := s.accounts.Create(r.Context(), account{email: attempt.Email, business: attempt.Tier == business, pending: pending})
	if err != nil {
		s.settle(r.Context(), verdict, risk.Undone) // not the visitor's fault: what was charged is given back
		s.log.Error("the account could not be kept", "id", verdict.ID)
		s.refuse(w, r, http.StatusServiceUnavailable, "Not available", "The account could not be created. Please try again later.")
		return
	}
	s.settle(r.Context(), verdict, risk.Completed)
	s.log.Info("account kept", "account", ref, "pending", pending, "id", verdict.ID)
	if fresh { // what came with the sign-up never goes with somebody else's account
		for _, p := range s.providers {
			if p.kept != nil {
				if err := p.kept(r.Context(), sent, ref); err != nil {
					s.log.Warn("what goes with the account", "account", ref, "error", err)
				}
			}
		}
	}
	if pending {
		s.guard.Answer(w, r, verdict)
		return
	}
	// The same answer whether or not the address was taken: nobody learns who has an account.
	s.welcome(w, r)
}

func (s *server) settle(ctx context.Context, a *risk.Assessment, o risk.Outcome) {
	if err := s.engine.Settle(ctx, a, o); err != nil {
		s.log.Warn("settling", "error", err)
	}
}

func (s *server) welcome(w http.ResponseWriter, r *http.Request) {
	const title, detail = "Check your inbox", "We have sent you a link to finish your account. (This is an example: nothing is sent.)"
	w.Header().Set("Cache-Control", "no-store")
	if riskhttp.WantsHTML(r) {
		s.page.message(w, http.StatusCreated, message{Title: title, Detail: detail})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]string{"title": title, "detail": detail}) // the client is gone
}

// refuse answers what the engine has not seen.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, title, detail string) {
	p := &riskhttp.Problem{Type: "about:blank", Title: title, Status: status, Detail: detail}
	if !s.page.answer(w, r, nil, p) {
		riskhttp.WriteProblem(w, r, p)
	}
}

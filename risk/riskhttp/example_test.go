package riskhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// exampleEngine judges by one small signal: sign-ups with an address at example.net have to wait for a person.
func exampleEngine() *risk.Engine {
	signals := []risk.Signal{risk.SignalFunc{
		Description: risk.Description{
			Name: "domain", Cost: risk.Local, OnError: risk.FailOpen,
			Codes: []risk.Code{{Name: "watched", Points: 60, Public: "Your e-mail provider needs a closer look."}},
		},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if strings.HasSuffix(string(a.Email), "@example.net") {
				f.Observe("watched")
			}
			return nil
		},
	}}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	if err != nil {
		panic(err)
	}
	return engine
}

// post sends a request to a handler and prints status and title of the answer.
func post(h http.Handler, contentType, body string) {
	r := httptest.NewRequest(http.MethodPost, "/signup", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var p riskhttp.Problem
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", p.Title, " ", strings.Join(p.Reasons, " "))))
}

// The inline form: four lines in a handler.
func Example() {
	engine := exampleEngine()
	proxies, err := riskhttp.ParseProxies("10.0.0.0/8")
	if err != nil {
		panic(err)
	}
	guard, err := riskhttp.New(engine, &riskhttp.Options{TrustedProxies: proxies})
	if err != nil {
		panic(err)
	}
	signUp := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempt := guard.Attempt(r, risk.SignUp)
		attempt.Email = risk.Private(r.PostFormValue("email"))
		if s := engine.Assess(r.Context(), attempt); !s.Allowed() {
			guard.Answer(w, r, s)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	const form = "application/x-www-form-urlencoded"
	post(signUp, form, "email=ann@example.com")
	post(signUp, form, "email=bob@example.net")
	// Output:
	// 201
	// 202 Under review Your e-mail provider needs a closer look.
}

// The middleware form: the attempt is filled from the JSON body, and settled by the status.
func ExampleGuard_Middleware() {
	guard, err := riskhttp.New(exampleEngine(), nil)
	if err != nil {
		panic(err)
	}
	type form struct{ Email, Phone string }
	guarded := guard.Middleware(risk.SignUp, &riskhttp.MiddlewareOptions{
		Enrich: riskhttp.JSON(4096, func(f *form, a *risk.Attempt) {
			a.Email, a.Phone = risk.Private(f.Email), risk.Private(f.Phone)
		}),
		Through: []risk.Action{risk.Review}, // the handler keeps them
	})
	signUp := guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := riskhttp.From(r.Context())
		if s.Action == risk.Review {
			fmt.Println("kept for review")
			guard.Answer(w, r, s)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	post(signUp, "application/json", `{"email":"ann@example.com"}`)
	post(signUp, "application/json", `{"email":"bob@example.net"}`)
	post(signUp, "application/json", `{"email":`)
	// Output:
	// 201
	// kept for review
	// 202 Under review Your e-mail provider needs a closer look.
	// 400 Not understood
}

// A login page shows a wrong password with status 200, and says so with SetOutcome: failures are charged.
func ExampleSetOutcome() {
	guard, err := riskhttp.New(exampleEngine(), nil)
	if err != nil {
		panic(err)
	}
	login := guard.Middleware(risk.Login, &riskhttp.MiddlewareOptions{
		Enrich: riskhttp.Form(4096, func(f url.Values, a *risk.Attempt) { a.Account = f.Get("user") }),
	})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("password") != "right" {
			fmt.Println("refused:", riskhttp.SetOutcome(r.Context(), risk.Refused))
		}
	}))
	post(login, "application/x-www-form-urlencoded", "user=ann&password=wrong")
	// Output:
	// refused: true
	// 200
}

// A hook answers browsers with a page of its own, and leaves the rest to the guard.
func ExampleAnswerer() {
	var page riskhttp.Answerer = func(w http.ResponseWriter, r *http.Request, _ *risk.Assessment, p *riskhttp.Problem) bool {
		if riskhttp.WantsHTML(r) {
			w.WriteHeader(p.Status)
			fmt.Fprint(w, "<h1>Come back later</h1>")
			return true
		}
		p.Title = "Slow down, please"
		return false
	}
	guard, err := riskhttp.New(exampleEngine(), &riskhttp.Options{OnWait: page})
	if err != nil {
		panic(err)
	}
	for _, accept := range []string{"text/html", "application/json"} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		guard.Answer(w, r, &risk.Assessment{Action: risk.Wait, Until: time.Now().Add(time.Hour)})
		fmt.Println(w.Code, strings.Contains(w.Body.String(), "Come back"), strings.Contains(w.Body.String(), "Slow down"))
	}
	// Output:
	// 429 true false
	// 429 false true
}

// The address behind a proxy: what the visitor wrote on the left is not believed.
func ExampleGuard_ClientIP() {
	guard, err := riskhttp.New(exampleEngine(), &riskhttp.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "127.0.0.1, 203.0.113.9, 10.0.0.2")
	fmt.Println(guard.ClientIP(r))
	r.RemoteAddr = "198.51.100.7:4711" // straight to the server
	fmt.Println(guard.ClientIP(r))
	// Output:
	// 203.0.113.9 <nil>
	// 198.51.100.7 <nil>
}

// A collector reads a header that only the proxy sets. The session is issued with the page that shows the form.
func ExampleGuard_Session() {
	var guard *riskhttp.Guard
	guard, err := riskhttp.New(exampleEngine(), &riskhttp.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Collectors: []riskhttp.Collector{func(r *http.Request, a *risk.Attempt) {
			if guard.FromProxy(r) {
				a.Tier = r.Header.Get("X-Tier")
			}
		}},
	})
	if err != nil {
		panic(err)
	}
	page := httptest.NewRecorder()
	session := guard.Session(page, httptest.NewRequest(http.MethodGet, "/signup", nil))

	r := httptest.NewRequest(http.MethodPost, "/signup", nil) // from 192.0.2.1
	r.Header.Set("X-Tier", "gold")
	r.AddCookie(page.Result().Cookies()[0])
	attempt := guard.Attempt(r, risk.SignUp)
	fmt.Println(attempt.Session == session, attempt.Session, attempt.Tier)
	// Output: true [private] gold
}

// Mobile clients open a flow for a nonce first; a page that was reloaded asks for its tasks again.
func ExampleGuard_OpenHandler() {
	signals := []risk.Signal{&puzzle{}} // it can prove that somebody is human
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	if err != nil {
		panic(err)
	}
	guard, err := riskhttp.New(engine, &riskhttp.Options{
		Admit: func(_ context.Context, a *risk.Attempt) time.Duration {
			if !a.IP.IsValid() {
				return time.Minute
			}
			return 0 // ask a limiter here
		},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/flow/open", guard.OpenHandler(risk.SignUp, risk.ProofHuman))
	mux.Handle("/flow/tasks", guard.TasksHandler(risk.SignUp))
	flow := ""
	for _, path := range []string{"/flow/open", "/flow/tasks"} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Vestibule-Flow", flow)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var steps riskhttp.Steps
		if err := json.Unmarshal(w.Body.Bytes(), &steps); err != nil {
			panic(err)
		}
		flow = steps.Flow
		fmt.Println(path, w.Code, steps.Require, len(steps.Tasks))
	}
	// Output:
	// /flow/open 200 [human] 1
	// /flow/tasks 200 [human] 1
}

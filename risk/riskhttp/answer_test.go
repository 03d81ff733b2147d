package riskhttp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

func newMultipart(name, value string) *multipart.Form {
	return &multipart.Form{Value: map[string][]string{name: {value}}}
}

func TestAnswers(t *testing.T) {
	const types = `{"type":"tag:vestibule-go.github.io,2026:problem/`
	wait := types + `wait","title":"Too many requests","status":429,"detail":"Please wait before trying again.","instance":"a1","retry_after":%d}` + "\n"
	block := types + `block","title":"Refused","status":403,"detail":"The request has been refused.","instance":"a1"}` + "\n"
	unavailable := types + `unavailable","title":"Not available","status":503,"detail":"This cannot be answered at the moment. Please try again later."`
	challengeText := types + `challenge","title":"More proof is needed","status":403,"detail":"Please complete the steps asked for, then send the request again.",` +
		`"instance":"a1","require":["human","phone"],"tasks":[{"proof":"human","signal":"captcha","data":{"algorithm":"x","cost":5}},{"proof":"phone","signal":"phone"}],` +
		`"flow":"FLOW"%s,"reasons":["Your network is often used by robots."]}` + "\n"
	at := func(s *risk.Assessment, until time.Duration) *risk.Assessment { s.Until = start.Add(until); return s }
	of := func(a risk.Action) *risk.Assessment {
		s := challenge()
		s.Action, s.Require, s.Flow = a, nil, ""
		return s
	}
	for _, c := range []struct {
		name   string
		s      *risk.Assessment
		status int
		retry  string
		body   string
	}{
		{"challenge", challenge(), 403, "", fmt.Sprintf(challengeText, "")},
		{"challenge, not at once", at(challenge(), 5*time.Second), 403, "5", fmt.Sprintf(challengeText, `,"retry_after":5`)},
		{"challenge, the wait is over", at(challenge(), -time.Second), 403, "", fmt.Sprintf(challengeText, "")},
		{"review", of(risk.Review), 202, "", types + `review","title":"Under review","status":202,"detail":"The request has been received and will be looked at by a person.","instance":"a1","reasons":["Your network is often used by robots."]}` + "\n"},
		{"review with an end", at(of(risk.Review), time.Hour), 202, "", types + `review","title":"Under review","status":202,"detail":"The request has been received and will be looked at by a person.","instance":"a1","reasons":["Your network is often used by robots."]}` + "\n"},
		{"delay", at(of(risk.Delay), time.Hour-1), 202, "", types + `delay","title":"Accepted for later","status":202,"detail":"The request has been received and takes effect later.","instance":"a1","until":"2026-03-01T13:00:00Z"}` + "\n"},
		{"delay without an end", of(risk.Delay), 202, "", types + `delay","title":"Accepted for later","status":202,"detail":"The request has been received and takes effect later.","instance":"a1"}` + "\n"},
		{"wait", at(of(risk.Wait), 90*time.Second), 429, "90", fmt.Sprintf(wait, 90)},
		{"wait is rounded up", at(of(risk.Wait), 90*time.Second+1), 429, "91", fmt.Sprintf(wait, 91)},
		{"wait that is over", at(of(risk.Wait), -time.Hour), 429, "1", fmt.Sprintf(wait, 1)},
		{"wait without an end", of(risk.Wait), 429, "1", fmt.Sprintf(wait, 1)},
		{"wait for ever", at(of(risk.Wait), 1<<63-1), 429, "2147483647", fmt.Sprintf(wait, 2147483647)},
		{"lock", of(risk.Lock), 423, "", types + `lock","title":"Locked","status":423,"detail":"This is locked at the moment.","instance":"a1"}` + "\n"},
		{"lock with an end", at(of(risk.Lock), time.Minute), 429, "60", fmt.Sprintf(wait, 60)},
		{"block", of(risk.Block), 403, "", block},
		{"ban", at(of(risk.Block), 5*time.Minute), 429, "300", fmt.Sprintf(wait, 300)},
		{"nil", nil, 503, "", unavailable + "}\n"},
		{"zero action", of(0), 503, "", unavailable + `,"instance":"a1"}` + "\n"},
		{"unknown action", of(99), 503, "", unavailable + `,"instance":"a1"}` + "\n"},
		{"allowed by mistake", of(risk.Allow), 503, "", unavailable + "}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{tasks: []risk.Task{
				{Proof: risk.ProofHuman, Signal: "captcha", Data: struct {
					Algorithm string `json:"algorithm"`
					Cost      int    `json:"cost"`
				}{"x", 5}},
				{Proof: risk.ProofPhone, Signal: "phone"},
			}}
			var errs []error
			g := newGuard(t, e, &riskhttp.Options{OnError: func(_ *http.Request, err error) { errs = append(errs, err) }})
			w := httptest.NewRecorder()
			w.Header().Set("Etag", "x")
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Cache-Control", "public, max-age=60")
			g.Answer(w, get(), c.s)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.body, w.Body.String())
			require.True(t, json.Valid(w.Body.Bytes()))
			want := http.Header{
				"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Vary": {"Accept"},
				"Content-Type": {"application/problem+json"}, "Content-Length": {fmt.Sprint(len(c.body))},
			}
			if c.retry != "" {
				want.Set("Retry-After", c.retry)
			}
			require.Equal(t, want, w.Header())
			require.Equal(t, c.name == "allowed by mistake", len(errs) == 1)

			// HEAD: the same without the body, and without tasks made for nobody.
			asked := len(e.asked)
			w = httptest.NewRecorder()
			r := get()
			r.Method = http.MethodHead
			g.Answer(w, r, c.s)
			require.Equal(t, c.status, w.Code)
			require.Empty(t, w.Body.String())
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, c.retry, w.Header().Get("Retry-After"))
			require.Len(t, e.asked, asked)
		})
	}
}

// A block tells nothing: the bytes are the same whatever led to it, but for the reference.
func TestBlockTellsNothing(t *testing.T) {
	answer := func(s *risk.Assessment) (string, http.Header) {
		e := &engine{tasks: []risk.Task{{Proof: "human", Signal: "captcha", Data: "canary-task"}}}
		w := httptest.NewRecorder()
		newGuard(t, e, nil).Answer(w, get(), s)
		require.Equal(t, http.StatusForbidden, w.Code)
		return w.Body.String(), w.Header()
	}
	body, header := answer(&risk.Assessment{ID: "a1", Action: risk.Block})
	for _, s := range []*risk.Assessment{
		{Event: risk.Login, Score: 100, Raw: 140, Chance: 0.99, Level: "block"},
		{Reasons: []risk.Reason{{Signal: "lists", Code: "deny", Public: "canary-public"}}},
		{Flow: "canary-flow", Require: []risk.Proof{"human"}},
		{Degraded: true, Errors: []risk.SignalError{{Signal: "captcha", Cause: risk.CauseTimeout, Err: errors.New("canary")}}},
		{Policy: risk.PolicyRef{Name: "canary-policy"}, Skipped: []string{"attest"}, Unused: []string{"phone"}},
		{Shadow: []risk.ShadowResult{{Action: risk.Allow}}, Timings: []risk.Timing{{Signal: "ip", Took: 1}}},
	} {
		s.ID, s.Action = "b2", risk.Block
		other, otherHeader := answer(s)
		require.Equal(t, body, strings.ReplaceAll(other, `"b2"`, `"a1"`))
		require.Equal(t, header, otherHeader)
	}
}

// Nothing of scores, levels, codes, rules or the policy reaches any answer; public texts only challenge and review.
func TestAnswersHideTheJudgement(t *testing.T) {
	g := newGuard(t, &engine{}, &riskhttp.Options{OnError: func(*http.Request, error) {}})
	for _, action := range []risk.Action{risk.Wait, risk.Challenge, risk.Delay, risk.Review, risk.Lock, risk.Block} {
		for _, accept := range []string{"*/*", "text/html"} {
			s := challenge()
			s.Action = action
			w := httptest.NewRecorder()
			g.Answer(w, get("Accept", accept), s)
			for _, secret := range []string{"44", "0.14", "challenge-level", "policy-name", "segment-name", "rule-name", "hosting", "velocity", "signup"} {
				require.NotContains(t, w.Body.String(), secret, "%v %s", action, accept)
			}
			public := action == risk.Challenge || action == risk.Review
			require.Equal(t, public, strings.Contains(w.Body.String(), "often used by robots"), "%v %s", action, accept)
			require.Equal(t, action == risk.Challenge && accept == "*/*", strings.Contains(w.Body.String(), "FLOW"), "%v %s", action, accept)
		}
	}
}

// What visitors send as secrets and personal data is in no answer, nor in errors.
func TestAnswersCanary(t *testing.T) {
	const canary = "canary"
	e := &engine{tasks: []risk.Task{{Proof: "human", Signal: "captcha", Data: func() {}}}, err: errors.New("store down")}
	var log strings.Builder
	g := newGuard(t, e, &riskhttp.Options{
		FlowCookie: "flow",
		OnError:    func(_ *http.Request, err error) { fmt.Fprintln(&log, err) },
		Collectors: []riskhttp.Collector{func(r *http.Request, a *risk.Attempt) { panic(r.Header.Get("Cookie")) }},
	})
	request := func(method, body string) *http.Request {
		r := httptest.NewRequest(method, "/x?email=canary@example.com", strings.NewReader(body))
		for name := range map[string]int{"Cookie": 0, "Authorization": 0, "Proxy-Authorization": 0, "X-Api-Key": 0, "User-Agent": 0, "X-Forwarded-For": 0, "Vestibule-Cannot": 0} {
			r.Header.Set(name, canary+"@example.com")
		}
		r.Header.Set("Cookie", "__Host-vestibule=canary")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	var out strings.Builder
	dump := func(w *httptest.ResponseRecorder) { fmt.Fprintln(&out, w.Code, w.Header(), w.Body) }
	type form struct{ Email string }
	fill := func(f *form, a *risk.Attempt) { a.Email = risk.Private(f.Email) }
	for _, accept := range []string{"*/*", "text/html"} {
		for _, action := range []risk.Action{0, risk.Wait, risk.Challenge, risk.Delay, risk.Review, risk.Lock, risk.Block} {
			e.answer = &risk.Assessment{ID: "a1", Action: action, Flow: "f", Require: []risk.Proof{"human"}}
			for _, body := range []string{`{"email":"canary@example.com"}`, `canary`} {
				r := request(http.MethodPost, body)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				g.Middleware(risk.SignUp, &riskhttp.MiddlewareOptions{Enrich: riskhttp.JSON(0, fill)})(http.NotFoundHandler()).ServeHTTP(w, r)
				dump(w)
			}
			for _, h := range []http.Handler{g.OpenHandler(risk.SignUp, "device"), g.TasksHandler(risk.SignUp)} {
				for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
					r := request(method, "vestibule_flow=canary")
					r.Header.Set("Accept", accept)
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					dump(w)
				}
			}
		}
	}
	require.NotContains(t, out.String(), canary)
	require.NotContains(t, log.String(), canary)
	require.Contains(t, log.String(), "collector 0 panicked")
	require.Contains(t, log.String(), "store down")
}

func TestRetryAfterJitter(t *testing.T) {
	for _, c := range []struct {
		jitter float64
		until  time.Duration
		want   string
	}{
		{0, 100 * time.Second, "100"},
		{0.5, 100 * time.Second, "102"}, // 101.5 rounded up
		{0.999999, 100 * time.Second, "103"},
		{0.999999, time.Second, "2"},
		{1, 100 * time.Second, "100"}, // not a jitter
		{-1, 100 * time.Second, "100"},
		{7, 100 * time.Second, "100"},
	} {
		g := newGuard(t, &engine{}, &riskhttp.Options{Jitter: func() float64 { return c.jitter }})
		w := httptest.NewRecorder()
		g.Answer(w, get(), &risk.Assessment{Action: risk.Wait, Until: start.Add(c.until)})
		require.Equal(t, c.want, w.Header().Get("Retry-After"), c)
	}
	g, err := riskhttp.New(&engine{}, &riskhttp.Options{Now: func() time.Time { return start }})
	require.NoError(t, err)
	for range 50 {
		w := httptest.NewRecorder()
		g.Answer(w, get(), &risk.Assessment{Action: risk.Wait, Until: start.Add(1000 * time.Second)})
		var p riskhttp.Problem
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.GreaterOrEqual(t, p.RetryAfter, 1000)
		require.LessOrEqual(t, p.RetryAfter, 1030)
	}
}

func TestAnswerTasksFail(t *testing.T) {
	var errs []error
	o := &riskhttp.Options{OnError: func(_ *http.Request, err error) { errs = append(errs, err) }}
	down := errors.New("down")
	e := &engine{tasks: []risk.Task{{Proof: "human", Signal: "captcha", Data: make(chan int)}, {Proof: "phone", Signal: "phone", Data: 7}}, err: down}
	w := httptest.NewRecorder()
	newGuard(t, e, o).Answer(w, get(), challenge())
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Body.String(), `"require":["human","phone"],"tasks":[{"proof":"human","signal":"captcha"},{"proof":"phone","signal":"phone","data":7}],"flow":"FLOW"`)
	require.Len(t, errs, 2)
	require.ErrorIs(t, errs[0], down)
	require.NotNil(t, e.tasks[0].Data, "the engine's answer is not written to")
}

func TestAnswerInstance(t *testing.T) {
	for id, want := range map[string]string{
		"": "", "abc-1": "abc-1", "a b/c:d\"<\n": "a+b%2Fc%3Ad%22%3C%0A", strings.Repeat("x", 257): "",
	} {
		w := httptest.NewRecorder()
		newGuard(t, &engine{}, nil).Answer(w, get(), &risk.Assessment{ID: id, Action: risk.Block})
		var p riskhttp.Problem
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, want, p.Instance)
	}
}

func TestAnswerPublicReasons(t *testing.T) {
	s := challenge()
	s.Reasons = nil
	for i := range 20 {
		s.Reasons = append(s.Reasons, risk.Reason{Public: fmt.Sprint("text ", i/2)})
	}
	w := httptest.NewRecorder()
	newGuard(t, &engine{}, nil).Answer(w, get(), s)
	var p riskhttp.Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, []string{"text 0", "text 1", "text 2", "text 3", "text 4", "text 5", "text 6", "text 7"}, p.Reasons)
}

func TestAnswerHTML(t *testing.T) {
	s := challenge()
	s.Reasons = append(s.Reasons, risk.Reason{Public: "<script>alert(1)</script>"})
	s.ID = "a<b"
	w := httptest.NewRecorder()
	newGuard(t, &engine{}, nil).Answer(w, get("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), s)
	require.Equal(t, 403, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "default-src 'none'; frame-ancestors 'none'", w.Header().Get("Content-Security-Policy"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	body := w.Body.String()
	require.Contains(t, body, "<h1>More proof is needed</h1>")
	require.Contains(t, body, "<li>&lt;script&gt;alert(1)&lt;/script&gt;</li>")
	require.Contains(t, body, "Reference: a%3Cb")
	require.NotContains(t, body, "<script")

	w = httptest.NewRecorder()
	newGuard(t, &engine{}, nil).Answer(w, get("Accept", "text/html"), &risk.Assessment{Action: risk.Delay, Until: start})
	require.Contains(t, w.Body.String(), "From: 2026-03-01 12:00:00 UTC")
	w = httptest.NewRecorder()
	newGuard(t, &engine{}, nil).Answer(w, get("Accept", "text/html"), &risk.Assessment{Action: risk.Wait, Until: start.Add(time.Minute)})
	require.Contains(t, w.Body.String(), "Seconds to wait: 60")
}

func TestWantsHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"":    false,
		"*/*": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json":                             false,
		"application/json, text/html":                  false,
		"application/json;q=0.5, TEXT/HTML;q=0.9":      true,
		"text/html;q=0.4, application/problem+json":    false,
		"text/html;q=0":                                false,
		"text/html;level=1; q=0.3":                     true,
		"text/html;q=NaN":                              false,
		"text/html;q=2":                                false,
		"text/*":                                       false,
		"text/htmlx":                                   false,
		strings.Repeat("a/b,", 64) + "text/html":       false,
		strings.Repeat("a/b,", 63) + "text/html":       true,
		"application/xhtml+xml , application/xml;q=.5": true,
	} {
		require.Equal(t, want, riskhttp.WantsHTML(get("Accept", accept)), accept)
	}
}

func TestHooks(t *testing.T) {
	end := func(a risk.Action, d time.Duration) *risk.Assessment {
		return &risk.Assessment{ID: "a1", Action: a, Until: start.Add(d)}
	}
	for _, c := range []struct {
		name string
		s    *risk.Assessment
	}{
		{"challenge", challenge()},
		{"review", &risk.Assessment{Action: risk.Review}},
		{"delay", &risk.Assessment{Action: risk.Delay}},
		{"lock", &risk.Assessment{Action: risk.Lock}},
		{"block", &risk.Assessment{Action: risk.Block}},
		{"wait", end(risk.Wait, time.Minute)},
		{"wait", end(risk.Block, time.Minute)},
		{"wait", end(risk.Lock, time.Minute)},
		{"other", nil},
		{"other", &risk.Assessment{}},
	} {
		called := ""
		hook := func(name string, done bool) riskhttp.Answerer {
			return func(w http.ResponseWriter, r *http.Request, s *risk.Assessment, p *riskhttp.Problem) bool {
				called += name
				require.Equal(t, c.s, s)
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				require.Equal(t, p.RetryAfter > 0, w.Header().Get("Retry-After") != "")
				if done {
					w.WriteHeader(http.StatusTeapot)
				}
				p.Detail, p.RetryAfter = "own words", 9
				return done
			}
		}
		for _, done := range []bool{true, false} {
			called = ""
			g := newGuard(t, &engine{}, &riskhttp.Options{
				OnChallenge: hook("challenge", done), OnReview: hook("review", done), OnDelay: hook("delay", done),
				OnLock: hook("lock", done), OnBlock: hook("block", done), OnWait: hook("wait", done), OnOther: hook("other", done),
			})
			w := httptest.NewRecorder()
			g.Answer(w, get(), c.s)
			require.Equal(t, c.name, called)
			require.Equal(t, done, w.Code == http.StatusTeapot)
			require.Equal(t, !done, strings.Contains(w.Body.String(), "own words"))
			if !done {
				require.Equal(t, "9", w.Header().Get("Retry-After"))
			}
		}
	}
	// A hook's own task that is no JSON does not break the answer.
	g := newGuard(t, &engine{}, &riskhttp.Options{
		OnChallenge: func(_ http.ResponseWriter, _ *http.Request, _ *risk.Assessment, p *riskhttp.Problem) bool {
			p.Tasks = []risk.Task{{Proof: "human", Data: func() {}}}
			return false
		},
	})
	w := httptest.NewRecorder()
	g.Answer(w, get(), challenge())
	require.True(t, json.Valid(w.Body.Bytes()))
	require.Contains(t, w.Body.String(), "FLOW")
}

func TestFlowCookie(t *testing.T) {
	g := newGuard(t, &engine{}, &riskhttp.Options{FlowCookie: "flow"})
	w := httptest.NewRecorder()
	g.Answer(w, get(), challenge())
	require.Equal(t, "__Host-flow=FLOW; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Lax", w.Header().Get("Set-Cookie"))
	w = httptest.NewRecorder()
	g.Answer(w, get(), &risk.Assessment{Action: risk.Block, Flow: "FLOW"})
	require.Empty(t, w.Header().Get("Set-Cookie"))

	const cleared = "__Host-flow=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
	w = httptest.NewRecorder()
	g.ClearFlow(w, get("Cookie", "__Host-flow=FLOW"))
	require.Equal(t, cleared, w.Header().Get("Set-Cookie"))
	w = httptest.NewRecorder()
	g.ClearFlow(w, get())
	newGuard(t, &engine{}, nil).ClearFlow(w, get("Cookie", "__Host-flow=FLOW"))
	require.Empty(t, w.Header())

	for action, want := range map[risk.Action]string{risk.Allow: cleared, risk.Review: "", risk.Block: ""} {
		g := newGuard(t, &engine{answer: &risk.Assessment{Action: action}}, &riskhttp.Options{FlowCookie: "flow"})
		o := &riskhttp.MiddlewareOptions{Through: []risk.Action{risk.Review}}
		w = httptest.NewRecorder()
		g.Middleware(risk.SignUp, o)(status(200)).ServeHTTP(w, get("Cookie", "__Host-flow=FLOW"))
		require.Equal(t, want, w.Header().Get("Set-Cookie"), "%v", action)
	}
}

func TestProblemTypesOption(t *testing.T) {
	for _, base := range []string{"https://example.com/problems/", "/problems/", "urn:example:"} {
		g := newGuard(t, &engine{}, &riskhttp.Options{ProblemTypes: base})
		w := httptest.NewRecorder()
		g.Answer(w, get(), &risk.Assessment{Action: risk.Block})
		require.Contains(t, w.Body.String(), `"type":"`+base+riskhttp.ProblemBlock+`"`)
	}
}

func TestProblemPrintsNoFlow(t *testing.T) {
	p := riskhttp.Problem{Type: "t", Instance: "i", Flow: "canary"}
	s := riskhttp.Steps{Flow: "canary"}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %v %v %+v %#v", p, p, p, p, &p, s, s, s), "canary")
}

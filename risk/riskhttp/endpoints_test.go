package riskhttp_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func TestOpenHandler(t *testing.T) {
	e := &engine{
		answer: &risk.Assessment{ID: "a1", Action: risk.Challenge, Flow: "NEW", Require: []risk.Proof{risk.ProofDevice}},
		tasks:  []risk.Task{{Proof: risk.ProofDevice, Signal: "attest", Data: map[string]string{"nonce": "n"}}},
	}
	h := newGuard(t, e, nil).OpenHandler(risk.SignUp, risk.ProofDevice)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, get("Vestibule-Flow", "OLD"))
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"flow":"NEW","require":["device"],"tasks":[{"proof":"device","signal":"attest","data":{"nonce":"n"}}]}`+"\n", w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, []risk.Proof{risk.ProofDevice}, e.offers)
	require.Empty(t, e.last(t).Flow, "a flow in the request is not continued")
	require.Equal(t, risk.SignUp, e.last(t).Event)
}

func TestOpenHandlerAnswersWhatIsNotOpened(t *testing.T) {
	for _, c := range []struct {
		s      *risk.Assessment
		status int
	}{
		{nil, 503},
		{&risk.Assessment{}, 503},
		{&risk.Assessment{Action: risk.Allow}, 503},
		{&risk.Assessment{Action: risk.Review, Degraded: true}, 503},
		{&risk.Assessment{Action: risk.Block}, 403},
		{&risk.Assessment{Action: risk.Wait, Until: start.Add(time.Minute)}, 429},
	} {
		w := httptest.NewRecorder()
		newGuard(t, &engine{answer: c.s}, nil).OpenHandler(risk.SignUp, "device").ServeHTTP(w, get())
		require.Equal(t, c.status, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
}

func TestTasksHandler(t *testing.T) {
	form := func(body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return r
	}
	byGet := get("Vestibule-Flow", "F")
	byGet.Method = http.MethodGet
	const found = `{"flow":"F","require":["human"],"tasks":[{"proof":"human","signal":"captcha","data":1}]}` + "\n"
	const gone = `{"type":"tag:vestibule-go.github.io,2026:problem/flow","title":"Nothing to continue","status":404,"detail":"Please start again."}` + "\n"
	for _, c := range []struct {
		name    string
		r       *http.Request
		pending []risk.Proof
		status  int
		body    string
	}{
		{"POST with header", get("Vestibule-Flow", "F"), []risk.Proof{"human"}, 200, found},
		{"GET with header", byGet, []risk.Proof{"human"}, 200, found},
		{"POST with form", form("vestibule_flow=F"), []risk.Proof{"human"}, 200, found},
		{"no flow", get(), []risk.Proof{"human"}, 404, gone},
		{"nothing pending: unknown, expired, spent, another's", get("Vestibule-Flow", "F"), nil, 404, gone},
		{"form too large", form("vestibule_flow=F&x=" + strings.Repeat("x", 5000)), []risk.Proof{"human"}, 413,
			`{"type":"tag:vestibule-go.github.io,2026:problem/request","title":"Not understood","status":413,"detail":"The request could not be read."}` + "\n"},
		{"form broken", form("vestibule_flow=%zz"), []risk.Proof{"human"}, 400,
			`{"type":"tag:vestibule-go.github.io,2026:problem/request","title":"Not understood","status":400,"detail":"The request could not be read."}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{answer: challenge(), pending: c.pending, tasks: []risk.Task{{Proof: "human", Signal: "captcha", Data: 1}}}
			w := httptest.NewRecorder()
			newGuard(t, e, nil).TasksHandler(risk.SignUp).ServeHTTP(w, c.r)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.body, w.Body.String())
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Empty(t, e.settled)
			if c.status == 200 {
				require.Equal(t, "F", e.last(t).Flow)
				require.Equal(t, "F", e.asked[0].Flow)
				require.Equal(t, []risk.Proof{"human"}, e.asked[0].Require)
				require.Equal(t, 100, e.asked[0].Score, "asking again makes nothing easier")
			}
		})
	}
}

func TestTasksHandlerFails(t *testing.T) {
	var got error
	e := &engine{err: errors.New("store down")}
	g := newGuard(t, e, &riskhttp.Options{OnError: func(_ *http.Request, err error) { got = err }})
	w := httptest.NewRecorder()
	g.TasksHandler(risk.SignUp).ServeHTTP(w, get("Vestibule-Flow", "F"))
	require.Equal(t, 503, w.Code)
	require.ErrorIs(t, got, e.err)
	require.NotContains(t, w.Body.String(), "store")
}

func TestTasksHandlerCannotResume(t *testing.T) {
	for _, s := range []*risk.Assessment{nil, {Action: risk.Review}} {
		var got error
		e := &engine{pending: []risk.Proof{"human"}, answer: s}
		g := newGuard(t, e, &riskhttp.Options{OnError: func(_ *http.Request, err error) { got = err }})
		w := httptest.NewRecorder()
		g.TasksHandler(risk.SignUp).ServeHTTP(w, get("Vestibule-Flow", "F"))
		require.Equal(t, 503, w.Code)
		require.Error(t, got)
	}
}

// resuming is an engine with the ability.
type resuming struct {
	engine
	s   *risk.Assessment
	err error
}

func (e *resuming) Resume(_ context.Context, a *risk.Attempt) (*risk.Assessment, error) {
	e.saw(a)
	return e.s, e.err
}

func TestTasksHandlerResumer(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      *risk.Assessment
		err    error
		status int
	}{
		{"challenge", &risk.Assessment{Action: risk.Challenge, Flow: "F", Require: []risk.Proof{"human"}, Score: 40}, nil, 200},
		{"none", nil, nil, 404},
		{"nothing to give", &risk.Assessment{Action: risk.Challenge}, nil, 404},
		{"cannot tell", nil, errors.New("down"), 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &resuming{s: c.s, err: c.err}
			g, err := riskhttp.New(e, nil)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.TasksHandler(risk.SignUp).ServeHTTP(w, get("Vestibule-Flow", "F"))
			require.Equal(t, c.status, w.Code)
			require.Equal(t, "F", e.last(t).Flow)
			if c.status == 200 {
				require.Same(t, c.s, e.asked[0])
				require.Equal(t, 40, c.s.Score)
			}
		})
	}
}

// No task known is an empty list, not null.
func TestStepsWithoutTasks(t *testing.T) {
	w := httptest.NewRecorder()
	newGuard(t, &engine{pending: []risk.Proof{"email"}, answer: challenge()}, nil).TasksHandler(risk.SignUp).ServeHTTP(w, get("Vestibule-Flow", "F"))
	require.Equal(t, `{"flow":"F","require":["email"],"tasks":[]}`+"\n", w.Body.String())
}

func TestEndpointMethods(t *testing.T) {
	g := newGuard(t, &engine{pending: []risk.Proof{"human"}, answer: challenge()}, nil)
	for _, c := range []struct {
		h     http.Handler
		allow string
	}{{g.OpenHandler(risk.SignUp, "device"), "POST"}, {g.TasksHandler(risk.SignUp), "GET, POST"}} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""} {
			r := get("Vestibule-Flow", "F")
			r.Method = method
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, r)
			if strings.Contains(c.allow, method) && method != "" {
				require.Equal(t, 200, w.Code, method)
				continue
			}
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
			require.Equal(t, c.allow, w.Header().Get("Allow"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
}

func TestEndpointCrossOrigin(t *testing.T) {
	friend := http.NewCrossOriginProtection()
	require.NoError(t, friend.AddTrustedOrigin("https://app.example.com"))
	for _, c := range []struct {
		name   string
		opts   riskhttp.Options
		header []string
		status int
	}{
		{"no browser", riskhttp.Options{}, nil, 200},
		{"same origin", riskhttp.Options{}, []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://example.com"}, 200},
		{"typed in", riskhttp.Options{}, []string{"Sec-Fetch-Site", "none"}, 200},
		{"old browser, same origin", riskhttp.Options{}, []string{"Origin", "https://example.com"}, 200},
		{"other site", riskhttp.Options{}, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"sibling", riskhttp.Options{}, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"old browser, other origin", riskhttp.Options{}, []string{"Origin", "https://evil.example"}, 403},
		{"old browser, no origin", riskhttp.Options{}, []string{"Origin", "null"}, 403},
		{"trusted origin", riskhttp.Options{CrossOrigin: friend}, []string{"Sec-Fetch-Site", "same-site", "Origin", "https://app.example.com"}, 200},
		{"not the trusted one", riskhttp.Options{CrossOrigin: friend}, []string{"Sec-Fetch-Site", "same-site", "Origin", "https://blog.example.com"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{pending: []risk.Proof{"human"}, answer: challenge()}
			g := newGuard(t, e, &c.opts)
			for _, h := range []http.Handler{g.OpenHandler(risk.SignUp, "device"), g.TasksHandler(risk.SignUp)} {
				r := get(c.header...)
				r.Header.Set("Vestibule-Flow", "F")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, c.status, w.Code)
				require.Equal(t, c.status == 200, len(e.attempts) > 0)
			}
		})
	}
}

func TestEndpointAdmit(t *testing.T) {
	var seen []string
	wait := time.Duration(0)
	e := &engine{pending: []risk.Proof{"human"}, answer: challenge()}
	hooked := 0
	g := newGuard(t, e, &riskhttp.Options{
		Admit: func(_ context.Context, a *risk.Attempt) time.Duration {
			seen = append(seen, a.IP.String()+" "+string(a.Event))
			return wait
		},
		OnWait: func(http.ResponseWriter, *http.Request, *risk.Assessment, *riskhttp.Problem) bool {
			hooked++
			return false
		},
	})
	for _, h := range []http.Handler{g.OpenHandler(risk.SignUp, "device"), g.TasksHandler(risk.Login)} {
		wait = 0
		w := httptest.NewRecorder()
		h.ServeHTTP(w, get("Vestibule-Flow", "F"))
		require.Equal(t, 200, w.Code)
		before := len(e.attempts)
		wait = 1500 * time.Millisecond
		w = httptest.NewRecorder()
		h.ServeHTTP(w, get("Vestibule-Flow", "F"))
		require.Equal(t, 429, w.Code)
		require.Equal(t, "2", w.Header().Get("Retry-After"))
		require.Len(t, e.attempts, before, "the engine is not touched")
	}
	require.Equal(t, []string{"192.0.2.1 signup", "192.0.2.1 signup", "192.0.2.1 login", "192.0.2.1 login"}, seen)
	require.Equal(t, 2, hooked)
}

func TestEndpointsSetFlowCookie(t *testing.T) {
	g := newGuard(t, &engine{answer: challenge()}, &riskhttp.Options{FlowCookie: "flow"})
	w := httptest.NewRecorder()
	g.OpenHandler(risk.SignUp, "device").ServeHTTP(w, get())
	require.Contains(t, w.Header().Get("Set-Cookie"), "__Host-flow=FLOW;")
}

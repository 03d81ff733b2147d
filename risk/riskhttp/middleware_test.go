package riskhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

func allowed() *risk.Assessment { return &risk.Assessment{ID: "a1", Action: risk.Allow} }

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func TestMiddlewareStatusTable(t *testing.T) {
	none := risk.Outcome(0)
	for _, c := range []struct {
		code       int
		want, gone risk.Outcome // gone: the client has hung up
	}{
		{101, risk.Completed, risk.Completed},
		{200, risk.Completed, risk.Completed},
		{201, risk.Completed, risk.Completed},
		{204, risk.Completed, risk.Completed},
		{303, risk.Completed, risk.Completed},
		{304, risk.Completed, risk.Completed},
		{400, risk.Refused, risk.Refused},
		{401, risk.Refused, risk.Refused},
		{403, risk.Refused, risk.Refused},
		{404, risk.Refused, risk.Refused},
		{408, none, none},
		{409, risk.Refused, risk.Refused},
		{422, risk.Refused, risk.Refused},
		{425, none, none},
		{429, none, none},
		{499, risk.Refused, risk.Refused},
		{500, risk.Undone, none},
		{503, risk.Undone, none},
		{504, risk.Undone, none},
		{599, risk.Undone, none},
	} {
		for _, hungUp := range []bool{false, true} {
			want := c.want
			if hungUp {
				want = c.gone
			}
			e := &engine{answer: allowed()}
			ctx, cancel := context.WithCancel(t.Context())
			h := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if hungUp {
					cancel()
				}
				w.WriteHeader(c.code)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, get().WithContext(ctx))
			cancel()
			require.Equal(t, c.code, w.Code)
			if want == none {
				require.Empty(t, e.settled, "%d %v", c.code, hungUp)
				continue
			}
			require.Equal(t, []risk.Outcome{want}, e.settled, "%d %v", c.code, hungUp)
			require.NoError(t, e.gone, "the settlement outlives the client")
			_, bounded := e.settleBy.Deadline()
			require.True(t, bounded)
		}
	}
}

func TestMiddlewareNothingWritten(t *testing.T) {
	e := &engine{answer: allowed()}
	h := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), get())
	require.Equal(t, []risk.Outcome{risk.Completed}, e.settled)
}

func TestMiddlewarePanic(t *testing.T) {
	for _, c := range []struct {
		name    string
		next    func(w http.ResponseWriter, r *http.Request, cancel func())
		settled []risk.Outcome
	}{
		{"panic", func(http.ResponseWriter, *http.Request, func()) { panic("boom") }, []risk.Outcome{risk.Undone}},
		{"after 200", func(w http.ResponseWriter, _ *http.Request, _ func()) { w.WriteHeader(200); panic("boom") }, []risk.Outcome{risk.Undone}},
		{"after an explicit outcome", func(_ http.ResponseWriter, r *http.Request, _ func()) {
			riskhttp.SetOutcome(r.Context(), risk.Refused)
			panic("boom")
		}, []risk.Outcome{risk.Refused}},
		{"after the client has gone", func(_ http.ResponseWriter, _ *http.Request, cancel func()) { cancel(); panic("boom") }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{answer: allowed()}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.next(w, r, cancel)
			}))
			require.PanicsWithValue(t, "boom", func() { h.ServeHTTP(httptest.NewRecorder(), get().WithContext(ctx)) })
			require.Equal(t, c.settled, e.settled)
		})
	}
}

func TestMiddlewareAbort(t *testing.T) {
	e := &engine{answer: allowed()}
	h := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { h.ServeHTTP(httptest.NewRecorder(), get()) })
	require.Equal(t, []risk.Outcome{risk.Undone}, e.settled)
}

func TestMiddlewareAnswers(t *testing.T) {
	for _, action := range []risk.Action{0, risk.Wait, risk.Challenge, risk.Delay, risk.Review, risk.Lock, risk.Block} {
		for _, through := range []bool{false, true} {
			s := challenge()
			s.Action = action
			e := &engine{answer: s}
			ran := false
			o := &riskhttp.MiddlewareOptions{}
			if through { // only the two that are allowed to be let through have an effect
				o.Through = []risk.Action{0, risk.Wait, risk.Challenge, risk.Delay, risk.Review, risk.Lock, risk.Block}
			}
			h := newGuard(t, e, nil).Middleware(risk.SignUp, o)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				ran = true
				require.Same(t, s, riskhttp.From(r.Context()))
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, get())
			passes := through && (action == risk.Delay || action == risk.Review)
			require.Equal(t, passes, ran, "%v", action)
			require.Equal(t, passes, len(e.settled) == 1, "%v: an attempt that was answered is not settled", action)
			require.Equal(t, passes, w.Header().Get("Content-Type") == "", "%v", action)
		}
	}
	e := &engine{}
	w := httptest.NewRecorder()
	newGuard(t, e, nil).Middleware(risk.SignUp, nil)(status(200)).ServeHTTP(w, get())
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "no assessment lets nobody in")
}

func TestFromAndSetOutcome(t *testing.T) {
	require.Nil(t, riskhttp.From(t.Context()))
	require.False(t, riskhttp.SetOutcome(t.Context(), risk.Refused))

	for _, c := range []struct {
		set  []risk.Outcome
		want risk.Outcome
	}{
		{[]risk.Outcome{risk.Refused}, risk.Refused},
		{[]risk.Outcome{risk.Refused, risk.Undone}, risk.Undone},
		{[]risk.Outcome{risk.Judged, 0, 99}, risk.Completed},
	} {
		e := &engine{answer: allowed()}
		h := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Same(t, e.answer, riskhttp.From(r.Context()))
			for _, o := range c.set {
				require.Equal(t, o != risk.Judged && o != 0 && o != 99, riskhttp.SetOutcome(r.Context(), o))
			}
			fmt.Fprint(w, "wrong password")
		}))
		h.ServeHTTP(httptest.NewRecorder(), get())
		require.Equal(t, []risk.Outcome{c.want}, e.settled)
	}
}

func TestMiddlewareOutcomeOption(t *testing.T) {
	for _, c := range []struct {
		says risk.Outcome
		want []risk.Outcome
	}{{0, nil}, {risk.Judged, nil}, {risk.Undone, []risk.Outcome{risk.Undone}}} {
		e := &engine{answer: allowed()}
		o := &riskhttp.MiddlewareOptions{Outcome: func(_ *http.Request, status int) risk.Outcome {
			require.Equal(t, http.StatusTeapot, status)
			return c.says
		}}
		newGuard(t, e, nil).Middleware(risk.SignUp, o)(status(http.StatusTeapot)).ServeHTTP(httptest.NewRecorder(), get())
		require.Equal(t, c.want, e.settled)
	}
}

func TestMiddlewareSettleFails(t *testing.T) {
	down := errors.New("down")
	var got error
	e := &engine{answer: allowed(), err: down}
	g := newGuard(t, e, &riskhttp.Options{OnError: func(_ *http.Request, err error) { got = err }})
	w := httptest.NewRecorder()
	g.Middleware(risk.SignUp, nil)(status(201)).ServeHTTP(w, get())
	require.Equal(t, 201, w.Code)
	require.ErrorIs(t, got, down)
}

// A handler that settles with the engine itself has the last word, and nobody is troubled.
func TestMiddlewareSettledByHandler(t *testing.T) {
	e := &engine{answer: allowed(), err: risk.ErrSettled}
	g := newGuard(t, e, &riskhttp.Options{OnError: func(_ *http.Request, err error) { t.Error(err) }})
	g.Middleware(risk.SignUp, nil)(status(201)).ServeHTTP(httptest.NewRecorder(), get())
	require.Len(t, e.settled, 1)
}

// A settlement that hangs ends with the guard's timeout.
func TestMiddlewareSettleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &hanging{engine{answer: allowed()}}
		g, err := riskhttp.New(e, &riskhttp.Options{Timeout: 3 * time.Second})
		require.NoError(t, err)
		begin := time.Now()
		g.Middleware(risk.SignUp, nil)(status(200)).ServeHTTP(httptest.NewRecorder(), get())
		require.Equal(t, 3*time.Second, time.Since(begin))
	})
}

type hanging struct{ engine }

func (*hanging) Settle(ctx context.Context, _ *risk.Assessment, _ risk.Outcome) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestMiddlewareEnrich(t *testing.T) {
	type form struct{ Email, Captcha string }
	enrich := riskhttp.JSON(64, func(f *form, a *risk.Attempt) { a.Email = risk.Private(f.Email) })
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"good", `{"email":"a@example.com"}`, 200},
		{"malformed", `{"email":`, 400},
		{"too large", `{"email":"` + strings.Repeat("x", 100) + `"}`, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{answer: allowed()}
			var errs []error
			g := newGuard(t, e, &riskhttp.Options{OnError: func(_ *http.Request, err error) { errs = append(errs, err) }})
			h := g.Middleware(risk.SignUp, &riskhttp.MiddlewareOptions{Enrich: enrich})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body)))
			require.Equal(t, c.status, w.Code)
			if c.status == 200 {
				require.Equal(t, c.body, w.Body.String())
				require.Equal(t, "a@example.com", string(e.last(t).Email))
				require.Empty(t, errs)
				return
			}
			require.Equal(t, fmt.Sprintf(`{"type":"tag:vestibule-go.github.io,2026:problem/request","title":"Not understood","status":%d,"detail":"The request could not be read."}`+"\n", c.status), w.Body.String())
			require.Empty(t, e.attempts, "not judged")
			require.Len(t, errs, 1)
		})
	}
}

// The flow of a form is found once the form has been read.
func TestMiddlewareFormFlow(t *testing.T) {
	e := &engine{answer: allowed()}
	o := &riskhttp.MiddlewareOptions{Enrich: riskhttp.Form(0, func(url.Values, *risk.Attempt) {})}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("vestibule_flow=f1&vestibule_cannot=voice"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	newGuard(t, e, nil).Middleware(risk.SignUp, o)(status(200)).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "f1", e.last(t).Flow)
	require.Equal(t, []risk.Proof{"voice"}, e.last(t).Cannot)
}

func TestMiddlewareIssuesSession(t *testing.T) {
	e := &engine{answer: allowed()}
	g := newGuard(t, e, nil)
	var inHandler risk.Private
	h := g.Middleware(risk.SignUp, &riskhttp.MiddlewareOptions{IssueSession: true})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHandler = g.Session(w, r)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, get())
	require.Len(t, string(inHandler), 26)
	require.Equal(t, inHandler, e.last(t).Session)
	require.Len(t, w.Header()["Set-Cookie"], 1)

	w = httptest.NewRecorder()
	h.ServeHTTP(w, get("Cookie", "__Host-vestibule="+string(inHandler)))
	require.Equal(t, inHandler, e.last(t).Session)
	require.Empty(t, w.Header()["Set-Cookie"])
}

// The writer handed on keeps what net/http's can do.
func TestMiddlewareWriter(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(t *testing.T, w http.ResponseWriter, r *http.Request)
		want risk.Outcome
		body string
	}{
		{"flusher", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.WriteHeader(500) // too late: superfluous
			fmt.Fprint(w, "x")
		}, risk.Completed, "x"},
		{"controller flush and deadline", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			require.NoError(t, rc.SetWriteDeadline(time.Now().Add(time.Minute)))
			require.NoError(t, rc.SetReadDeadline(time.Now().Add(time.Minute)))
			require.NoError(t, rc.EnableFullDuplex())
			require.NoError(t, rc.Flush())
		}, risk.Completed, ""},
		{"read from", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			n, err := io.Copy(w, strings.NewReader("copied"))
			require.NoError(t, err)
			require.EqualValues(t, 6, n)
		}, risk.Completed, "copied"},
		{"early hints", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusUnauthorized)
			w.WriteHeader(http.StatusOK) // superfluous
		}, risk.Refused, ""},
		{"implicit 200", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "hello")
			w.WriteHeader(500) // superfluous
		}, risk.Completed, "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{answer: allowed()}
			srv := httptest.NewUnstartedServer(newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.next(t, w, r)
			})))
			srv.Config.ErrorLog = quiet()
			srv.Start()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			srv.Close()
			require.Equal(t, c.body, string(body))
			require.Equal(t, []risk.Outcome{c.want}, e.settled)
		})
	}
}

func TestMiddlewareHijack(t *testing.T) {
	for name, hijack := range map[string]func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"assertion": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{answer: allowed()}
			done := make(chan struct{})
			guarded := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := hijack(w)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			}))
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				guarded.ServeHTTP(w, r)
			}))
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusNoContent, resp.StatusCode)
			<-done
			require.Equal(t, []risk.Outcome{risk.Completed}, e.settled)
		})
	}
	// A writer that cannot be hijacked says so.
	e := &engine{answer: allowed()}
	newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := w.(http.Hijacker).Hijack()
		require.ErrorIs(t, err, http.ErrNotSupported)
	})).ServeHTTP(httptest.NewRecorder(), get())
}

// A client that hangs up in the middle of the handler does not take the settlement with it.
func TestMiddlewareHangUp(t *testing.T) {
	e := &engine{answer: allowed()}
	arrived, done := make(chan struct{}), make(chan struct{})
	guarded := newGuard(t, e, nil).Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		w.WriteHeader(http.StatusUnauthorized)
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		guarded.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	_, err = srv.Client().Do(req)
	require.ErrorIs(t, err, context.Canceled)
	<-done
	require.Equal(t, []risk.Outcome{risk.Refused}, e.settled)
	require.NoError(t, e.gone)
}

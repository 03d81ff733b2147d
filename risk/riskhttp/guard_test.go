package riskhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		opts riskhttp.Options
		text string
	}{
		"invalid prefix":    {riskhttp.Options{TrustedProxies: []netip.Prefix{{}}}, "invalid prefix"},
		"everybody":         {riskhttp.Options{TrustedProxies: proxies("0.0.0.0/0")}, "lets everybody"},
		"everybody, IPv6":   {riskhttp.Options{TrustedProxies: proxies("::/0")}, "lets everybody"},
		"everybody, mapped": {riskhttp.Options{TrustedProxies: proxies("::ffff:0:0/96")}, "lets everybody"},
		"odd mapped":        {riskhttp.Options{TrustedProxies: proxies("::ffff:0:0/90")}, "write IPv4"},
		"forwarding":        {riskhttp.Options{Forwarding: 9}, "Forwarding 9"},
		"cookie name":       {riskhttp.Options{SessionCookie: "a b"}, "SessionCookie"},
		"flow cookie name":  {riskhttp.Options{FlowCookie: "a;b"}, "FlowCookie"},
		"same cookies":      {riskhttp.Options{FlowCookie: "vestibule"}, "differ"},
		"flow header":       {riskhttp.Options{FlowHeader: "X:Y"}, "FlowHeader"},
		"cannot header":     {riskhttp.Options{CannotHeader: "é"}, "CannotHeader"},
		"dropped header":    {riskhttp.Options{DropHeaders: []string{"X-Ok", "a\r\nb"}}, "DropHeaders"},
		"relative types":    {riskhttp.Options{ProblemTypes: "problems/"}, "ProblemTypes"},
		"no URI":            {riskhttp.Options{ProblemTypes: "a b:\x7f"}, "ProblemTypes"},
		"negative age":      {riskhttp.Options{SessionMaxAge: -1}, "SessionMaxAge"},
		"age in ns":         {riskhttp.Options{SessionMaxAge: 3600}, "SessionMaxAge"},
		"negative timeout":  {riskhttp.Options{Timeout: -1}, "Timeout"},
		"nil collector":     {riskhttp.Options{Collectors: []riskhttp.Collector{nil}}, "Collectors"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := riskhttp.New(&engine{}, &c.opts)
			require.ErrorContains(t, err, c.text)
		})
	}
	_, err := riskhttp.New(nil, nil)
	require.ErrorContains(t, err, "engine")
	_, err = riskhttp.New((*risk.Engine)(nil), nil)
	require.ErrorContains(t, err, "engine")
	_, err = riskhttp.New(&engine{}, nil)
	require.NoError(t, err)
}

func TestAttemptDefaults(t *testing.T) {
	r := get("User-Agent", "test", "Accept", "a", "Accept", "b")
	a := newGuard(t, &engine{}, nil).Attempt(r, risk.SignUp)
	require.Equal(t, &risk.Attempt{
		Event: risk.SignUp, Channel: risk.ChannelWeb, IP: netip.MustParseAddr("192.0.2.1"),
		Header: map[string][]string{"User-Agent": {"test"}, "Accept": {"a", "b"}},
	}, a)
}

func TestAttemptSegments(t *testing.T) {
	text := func(s string) func(*http.Request) string { return func(*http.Request) string { return s } }
	g := newGuard(t, &engine{}, &riskhttp.Options{
		Channel: text("mobile"), Tenant: text("t1"), Client: text("partner"), Tier: text("gold"),
		Session: func(r *http.Request) risk.Private { return risk.Private(r.Header.Get("X-Sid")) },
	})
	r := get("X-Sid", "s1", "Cookie", "__Host-vestibule=other")
	a := g.Attempt(r, risk.Login)
	require.Equal(t, []string{"mobile", "t1", "partner", "gold", "s1"}, []string{a.Channel, a.Tenant, a.Client, a.Tier, string(a.Session)})
	w := httptest.NewRecorder()
	require.Equal(t, "s1", string(g.Session(w, r)))
	require.Empty(t, g.Session(w, get()))
	require.Empty(t, w.Header()["Set-Cookie"])
}

func TestAttemptHeader(t *testing.T) {
	secret := []string{
		"Cookie", "Authorization", "Proxy-Authorization", "Set-Cookie", "X-Api-Key", "X-Auth-Token", "X-Csrf-Token",
		"X-Xsrf-Token", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "Vestibule-Flow", "X-Own",
	}
	r := get("Accept-Language", "nb")
	for _, name := range secret {
		r.Header.Add(name, "canary-1")
		r.Header.Add(name, "canary-2")
	}
	r.Header["cOOKIE"] = []string{"canary-3"}
	r.Header["accept-language"] = []string{"nn"}
	a := newGuard(t, &engine{}, &riskhttp.Options{DropHeaders: []string{"x-own"}}).Attempt(r, risk.SignUp)
	for _, name := range secret {
		require.Contains(t, a.Header, name)
		require.Empty(t, a.Header[name], name)
	}
	require.ElementsMatch(t, []string{"nb", "nn"}, a.Header["Accept-Language"])
	require.NotContains(t, fmt.Sprint(a.Header), "canary")

	r.Header["Accept-Language"][0] = "changed"
	require.ElementsMatch(t, []string{"nb", "nn"}, a.Header["Accept-Language"])
	require.Contains(t, r.Header.Get("Cookie"), "canary", "the request keeps its own")
}

// Two values of one header must not grow into the next one's.
func TestAttemptHeaderAppend(t *testing.T) {
	a := newGuard(t, &engine{}, nil).Attempt(get("A", "1", "B", "2", "C", "3"), risk.SignUp)
	for k := range a.Header {
		a.Header[k] = append(a.Header[k], "x")
	}
	require.Equal(t, map[string][]string{"A": {"1", "x"}, "B": {"2", "x"}, "C": {"3", "x"}}, a.Header)
}

func TestAttemptFlow(t *testing.T) {
	form := func(r *http.Request) *http.Request {
		r.PostForm = url.Values{"vestibule_flow": {"from-form"}, "vestibule_cannot": {"voice"}}
		return r
	}
	cookie := []string{"Cookie", "__Host-flow=from-cookie"}
	query := httptest.NewRequest(http.MethodPost, "/?vestibule_flow=from-query", nil)
	require.NoError(t, query.ParseForm())
	multi := get()
	require.Empty(t, multi.PostForm)
	multi.MultipartForm = newMultipart("vestibule_flow", "from-multipart")
	post := func(kind, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	const urlencoded = "application/x-www-form-urlencoded"
	unread := post("application/json", "vestibule_flow=from-body")
	endless := post(urlencoded, "vestibule_flow=from-body")
	endless.ContentLength = -1
	g := newGuard(t, &engine{}, &riskhttp.Options{FlowCookie: "flow"})
	for _, c := range []struct {
		name, want string
		r          *http.Request
	}{
		{"none", "", get()},
		{"header", "from-header", form(get("Vestibule-Flow", " from-header ", cookie[0], cookie[1]))},
		{"form", "from-form", form(get(cookie...))},
		{"multipart form", "from-multipart", multi},
		{"cookie", "from-cookie", get(cookie...)},
		{"query is not read", "", query},
		{"a small form is parsed", "from-body", post(urlencoded, "vestibule_flow=from-body")},
		{"a malformed form", "", post(urlencoded, "%zz")},
		{"a large form is left alone", "", post(urlencoded, "vestibule_flow=from-body&x="+strings.Repeat("x", 64<<10))},
		{"so is one of unknown length", "", endless},
		{"and any other body", "", unread},
		{"too long is cut, so that it is unknown", strings.Repeat("x", 256), get("Vestibule-Flow", strings.Repeat("x", 5000))},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, g.Attempt(c.r, risk.SignUp).Flow)
		})
	}
	left, err := io.ReadAll(unread.Body)
	require.NoError(t, err)
	require.Equal(t, "vestibule_flow=from-body", string(left))
	require.Empty(t, newGuard(t, &engine{}, nil).Attempt(get(cookie...), risk.SignUp).Flow, "no flow cookie by default")
	require.Equal(t, []risk.Proof{"voice"}, g.Attempt(form(get()), risk.SignUp).Cannot)
}

func TestAttemptCannot(t *testing.T) {
	for list, want := range map[string][]risk.Proof{
		"":                        nil,
		"device":                  {"device"},
		" voice , device ,voice,": {"voice", "device"},
		"a b, <c>, é,ok":          {"ok"},
		strings.Repeat("x", 33):   nil,
		"1,2,3,4,5,6,7,8,9,10":    {"1", "2", "3", "4", "5", "6", "7", "8"},
	} {
		require.Equal(t, want, newGuard(t, &engine{}, nil).Attempt(get("Vestibule-Cannot", list), risk.SignUp).Cannot, list)
	}
}

func TestCollectors(t *testing.T) {
	cause := errors.New("canary@example.com")
	var got []error
	add := func(tag string) riskhttp.Collector {
		return func(_ *http.Request, a *risk.Attempt) { a.Device = append(a.Device, tag) }
	}
	list := []riskhttp.Collector{
		add("one"),
		func(*http.Request, *risk.Attempt) { panic(cause) },
		func(_ *http.Request, a *risk.Attempt) { var none *http.Request; a.ID = none.Host },
		add("two"),
	}
	g := newGuard(t, &engine{}, &riskhttp.Options{Collectors: list, OnError: func(_ *http.Request, err error) { got = append(got, err) }})
	list[0] = nil // the guard has its own copy
	a := g.Attempt(get(), risk.SignUp)
	require.Equal(t, []string{"one", "two"}, a.Device)
	require.Len(t, got, 2)
	p, ok := errors.AsType[*riskhttp.PanicError](got[0])
	require.True(t, ok)
	require.Equal(t, 1, p.Collector)
	require.ErrorIs(t, got[0], cause)
	require.NotContains(t, got[0].Error(), "canary")
	require.Equal(t, "riskhttp: collector 2 panicked with a runtime.errorString", strings.Replace(got[1].Error(), "runtime.errorAddressString", "runtime.errorString", 1))
}

func TestSession(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   riskhttp.Options
		cookie string
		flags  string
	}{
		{"secure", riskhttp.Options{}, "__Host-vestibule", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"named, an hour", riskhttp.Options{SessionCookie: "sid", SessionMaxAge: time.Hour}, "__Host-sid", "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"},
		{"insecure", riskhttp.Options{InsecureCookies: true}, "vestibule", "; Path=/; HttpOnly; SameSite=Lax"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuard(t, &engine{}, &c.opts)
			w := httptest.NewRecorder()
			s := g.Session(w, get())
			require.Len(t, string(s), 26)
			require.Equal(t, c.cookie+"="+string(s)+c.flags, w.Header().Get("Set-Cookie"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, s, g.Session(w, get()), "one response issues one session")
			require.Len(t, w.Header()["Set-Cookie"], 1)

			back := get("Cookie", c.cookie+"="+string(s))
			require.Equal(t, s, g.Attempt(back, risk.SignUp).Session)
			w = httptest.NewRecorder()
			require.Equal(t, s, g.Session(w, back))
			require.Empty(t, w.Header())
			require.NotEqual(t, s, g.Session(httptest.NewRecorder(), get()))
		})
	}
	g := newGuard(t, &engine{}, nil)
	require.Empty(t, g.Attempt(get("Cookie", "vestibule=planted"), risk.SignUp).Session, "a sibling domain can set a name without __Host-")
	require.Empty(t, g.Attempt(get("Cookie", "__Host-vestibule="+strings.Repeat("x", 1025)), risk.SignUp).Session)
}

func TestJSONEnricher(t *testing.T) {
	type form struct{ Email, Phone string }
	fill := func(f *form, a *risk.Attempt) { a.Email, a.Phone = risk.Private(f.Email), risk.Private(f.Phone) }
	for _, c := range []struct {
		name, body string
		ok         bool
	}{
		{"good", `{"email":"a@example.com","phone":"+47"}`, true},
		{"other content", `email=a`, false},
		{"empty", ``, false},
		{"trailing", `{} {}`, false},
		{"wrong type", `{"phone":4712345678}`, false},
		{"too large", `{"email":"` + strings.Repeat("x", 100) + `"}`, false},
		{"exactly the limit", `{"email":"a@example.com"` + strings.Repeat(" ", 64-len(`{"email":"a@example.com"}`)) + `}`, true},
		{"one more", `{"email":"a@example.com"` + strings.Repeat(" ", 65-len(`{"email":"a@example.com"}`)) + `}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
			a := &risk.Attempt{}
			err := riskhttp.JSON(64, fill)(r, a)
			require.Equal(t, c.ok, err == nil, "%v", err)
			if !c.ok {
				require.EqualError(t, err, "riskhttp: the request's body cannot be read as what it should be")
			}
			require.Equal(t, c.ok, a.Email == "a@example.com")
			back, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, c.body, string(back), "the handler reads all of it")
		})
	}
}

func TestReadBody(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	body, err := riskhttp.ReadBody(r, 10)
	require.NoError(t, err)
	require.Empty(t, body)

	closed := &closer{Reader: strings.NewReader("12345678")}
	r.Body = closed
	body, err = riskhttp.ReadBody(r, 1<<63-1)
	require.NoError(t, err)
	require.Equal(t, "12345678", string(body))
	require.NoError(t, r.Body.Close())
	require.True(t, closed.closed)

	broken := errors.New("broken")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("123"), failing{broken}))
	_, err = riskhttp.ReadBody(r, 10)
	require.ErrorIs(t, err, broken)
	back, err := io.ReadAll(r.Body)
	require.ErrorIs(t, err, broken)
	require.Equal(t, "123", string(back))

	r.Body = io.NopCloser(bytes.NewReader(make([]byte, riskhttp.DefaultBodyLimit+1)))
	_, err = riskhttp.ReadBody(r, 0)
	large, ok := errors.AsType[*http.MaxBytesError](err)
	require.True(t, ok)
	require.EqualValues(t, riskhttp.DefaultBodyLimit, large.Limit)
}

func TestFormEnricher(t *testing.T) {
	fill := func(f url.Values, a *risk.Attempt) { a.Email = risk.Private(f.Get("email")) }
	post := func(kind, target, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	const urlencoded = "application/x-www-form-urlencoded"
	multi := "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@example.com\r\n--b--\r\n"
	for _, c := range []struct {
		name string
		r    *http.Request
		ok   bool
	}{
		{"urlencoded", post(urlencoded, "/", "email=a%40example.com"), true},
		{"body before query", post(urlencoded, "/?email=b", "email=a%40example.com"), true},
		{"query when the body has none, as r.FormValue", post(urlencoded, "/?email=a%40example.com", "x=1"), true},
		{"multipart", post("multipart/form-data; boundary=b", "/", multi), true},
		{"multipart without boundary", post("multipart/form-data", "/", multi), false},
		{"multipart cut off", post("multipart/form-data; boundary=b", "/", multi[:70]), false},
		{"two boundaries", post("multipart/form-data; boundary=b; boundary=c", "/", multi), false},
		{"broken", post(urlencoded, "/", "email=%zz"), false},
		{"too large", post(urlencoded, "/", "email="+strings.Repeat("x", 300)), false},
		{"too large multipart", post("multipart/form-data; boundary=b", "/", multi[:60]+strings.Repeat("x", 300)+multi[60:]), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &risk.Attempt{}
			err := riskhttp.Form(200, fill)(c.r, a)
			require.Equal(t, c.ok, err == nil, "%v", err)
			require.Equal(t, c.ok, a.Email == "a@example.com")
			if c.ok {
				require.Equal(t, string(a.Email), c.r.FormValue("email"), "guard and handler see the same")
			}
		})
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// The real engine fits.
var _ riskhttp.Engine = (*risk.Engine)(nil)

// Asking for tasks has a deadline, so that no answer hangs on a signal.
func TestContextOfTasks(t *testing.T) {
	e := &tasksContext{engine: engine{answer: challenge()}}
	g, err := riskhttp.New(e, nil)
	require.NoError(t, err)
	g.Answer(httptest.NewRecorder(), get(), e.answer)
	require.True(t, e.deadline)
}

type tasksContext struct {
	engine
	deadline bool
}

func (e *tasksContext) Tasks(ctx context.Context, _ *risk.Assessment) ([]risk.Task, error) {
	_, e.deadline = ctx.Deadline()
	return nil, nil
}

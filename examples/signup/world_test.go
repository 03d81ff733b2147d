package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/risk"
)

// clock is the time of a whole server.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// logged is a log that tests read while the server writes.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// patient is a signal that may take its time: tests run on busy machines.
type patient struct{ risk.Signal }

func newPatient(s risk.Signal) risk.Signal { return patient{s} }

func (p patient) Unwrap() risk.Signal { return p.Signal }

func (p patient) Describe() risk.Description {
	d := p.Signal.Describe()
	if d.Cost != risk.Local {
		d.Timeout = 900 * time.Millisecond
	}
	return d
}

// page is where browsers find the page, or think so.
const page = "http://localhost:8080"

// world is a running server with a clock and a log of its own.
type world struct {
	*httptest.Server
	clock *clock
	log   *logged
}

func newWorld(t *testing.T, change func(*options)) *world {
	t.Helper()
	w := &world{clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, log: &logged{}}
	o := options{Log: newLog(w.log), Now: w.clock.now, Difficulty: captchatest.QuickSteps(), Origin: page, wrap: newPatient}
	var err error
	o.Phone, err = newPhoneService("log", o.Log)
	require.NoError(t, err)
	if change != nil {
		change(&o)
	}
	h, err := newServer(o)
	require.NoError(t, err)
	w.Server = httptest.NewServer(h)
	t.Cleanup(w.Close)
	return w
}

// visitor is a browser with cookies.
type visitor struct {
	t      *testing.T
	w      *world
	client *http.Client
	header http.Header
	stamp  string
}

// visit opens the page, as far as the form goes.
func (w *world) visit(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	v := &visitor{t: t, w: w, client: &http.Client{Jar: jar}, header: http.Header{}}
	page := v.do(http.MethodGet, "/", "", "")
	require.Equal(t, http.StatusOK, page.status)
	found := regexp.MustCompile(`name="form_stamp" value="([^"]+)"`).FindStringSubmatch(page.text)
	require.NotNil(t, found, page.text)
	v.stamp = found[1]
	return v
}

// reply is an answer of the server, with what a challenge holds.
type reply struct {
	status int
	header http.Header
	text   string

	Type       string
	Title      string
	Flow       string
	Require    []risk.Proof
	RetryAfter int `json:"retry_after"`
	Reasons    []string
	Tasks      []struct {
		Proof  risk.Proof
		Signal string
		Data   json.RawMessage
	}
}

// task is what a signal asks for.
func (r *reply) task(t *testing.T, signal string) json.RawMessage {
	t.Helper()
	for _, task := range r.Tasks {
		if task.Signal == signal {
			return task.Data
		}
	}
	require.Fail(t, "no task of "+signal, r.text)
	return nil
}

func (v *visitor) do(method, path, kind, body string) reply {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.w.URL+path, strings.NewReader(body))
	require.NoError(v.t, err)
	browser := fingerprinttest.Firefox().Header // Accept stays the client's own: it chooses between pages and JSON
	for _, name := range []string{"User-Agent", "Accept-Language", "Sec-Fetch-Mode"} {
		req.Header[name] = browser[name]
	}
	req.Header.Set("Accept-Encoding", "identity")
	for name, values := range v.header {
		req.Header[name] = values
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := v.client.Do(req)
	require.NoError(v.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	require.NoError(v.t, err)
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		require.NoError(v.t, json.Unmarshal(text, &r), r.text)
	}
	return r
}

// signUp sends the form as the page's script does; more fields replace its own.
func (v *visitor) signUp(email string, more ...string) reply {
	v.t.Helper()
	f := fields{"email": email, "phone": "", "website": "", "form_stamp": v.stamp, "captcha": ""}
	for i := 0; i < len(more); i += 2 {
		f[more[i]] = more[i+1]
	}
	body, err := json.Marshal(f)
	require.NoError(v.t, err)
	return v.do(http.MethodPost, "/api/signup", "application/json", string(body))
}

// continues makes the visitor send the flow along, "" none.
func (v *visitor) continues(flow string) {
	v.header.Del("Vestibule-Flow")
	if flow != "" {
		v.header.Set("Vestibule-Flow", flow)
	}
}

func person(i int) string { return fmt.Sprintf("person%d@example.com", i) }

// burst sends as many sign-ups as are let in, from the visitor's address, and the one that is challenged.
func (v *visitor) burst() reply {
	v.t.Helper()
	for i := range 5 {
		r := v.signUp(person(i))
		require.Equal(v.t, http.StatusCreated, r.status, r.text)
	}
	r := v.signUp(person(5))
	require.Equal(v.t, http.StatusForbidden, r.status, r.text)
	require.Equal(v.t, []risk.Proof{risk.ProofHuman}, r.Require)
	require.NotEmpty(v.t, r.Flow)
	require.Len(v.t, r.Tasks, 1)
	require.Equal(v.t, "captcha", r.Tasks[0].Signal)
	return r
}

func (v *visitor) solve(r reply) string {
	v.t.Helper()
	var task captcha.Task
	require.NoError(v.t, json.Unmarshal(r.task(v.t, "captcha"), &task))
	token, err := captchatest.Solve(task.Challenge)
	require.NoError(v.t, err)
	return token
}

// assessments are the log's lines about assessments.
func (w *world) assessments() []string {
	var out []string
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, "msg=assessment ") {
			out = append(out, line)
		}
	}
	return out
}

func (w *world) last(t *testing.T) string {
	t.Helper()
	lines := w.assessments()
	require.NotEmpty(t, lines)
	return lines[len(lines)-1]
}

// serving runs the program itself until the test ends, and returns where it listens and its log, which goes to also too.
func serving(t *testing.T, also io.Writer, args ...string) (string, *logged) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := &logged{}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), io.MultiWriter(log, also))
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	open := regexp.MustCompile(`open (https?://localhost:\d+)/`)
	require.Eventually(t, func() bool { return open.MatchString(log.String()) }, 20*time.Second, time.Millisecond)
	return open.FindStringSubmatch(log.String())[1], log
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func TestCleanVisitorIsLetInAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.signUp("ann@example.com", "phone", "+47 400 00 000")
	require.Equal(t, http.StatusCreated, r.status, r.text)
	require.Equal(t, "Check your inbox", r.Title)
	require.Contains(t, w.last(t), "assessment.action=allow assessment.score=12")
	require.Contains(t, w.last(t), `assessment.reasons="[base +12]"`)
	require.Contains(t, w.log.String(), `msg="account kept"`)

	again := v.signUp("Ann@example.com")
	require.Equal(t, r.text, again.text, "nobody learns who has an account")
}

func TestBurstIsChallengedAndGetsIn(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.burst()
	require.Contains(t, w.last(t), "assessment.action=challenge")
	require.Contains(t, w.last(t), "ratelimit.soft +20 (ratelimit)")
	require.Contains(t, w.last(t), "assessment.require=[human]")

	require.Contains(t, r.header.Get("RateLimit"), ";r=", "the visitor's own limits are announced")
	require.NotEmpty(t, r.header.Get("RateLimit-Policy"))
	require.NotContains(t, r.header.Get("RateLimit-Policy"), "email", "nobody else's")

	token := v.solve(r)
	v.continues(r.Flow)
	in := v.signUp(person(5), "captcha", token)
	require.Equal(t, http.StatusCreated, in.status, in.text)
	require.Contains(t, w.last(t), "captcha.passed -6 (human)")
}

func TestAnswersAreGoodOnce(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.burst()
	token := v.solve(r)
	v.continues(r.Flow)
	require.Equal(t, http.StatusCreated, v.signUp(person(5), "captcha", token).status)

	t.Run("flow and token again", func(t *testing.T) {
		r := v.signUp(person(6), "captcha", token)
		require.Equal(t, http.StatusForbidden, r.status)
		require.Contains(t, w.last(t), "flow.spent")
	})
	t.Run("token without a flow", func(t *testing.T) {
		v.continues("")
		r := v.signUp(person(7), "captcha", token)
		require.Equal(t, http.StatusForbidden, r.status)
		require.Contains(t, w.last(t), "captcha.mismatch")
	})
	t.Run("token in a flow of its own", func(t *testing.T) {
		other := v.signUp(person(8))
		require.Equal(t, http.StatusForbidden, other.status)
		v.continues(other.Flow)
		require.Equal(t, http.StatusForbidden, v.signUp(person(8), "captcha", token).status)
		require.Contains(t, w.last(t), "captcha.mismatch")
	})
}

func TestWrongAndMissingAnswers(t *testing.T) {
	for name, c := range map[string]struct{ token, code string }{
		"nothing": {"", "captcha.absent"},
		"rubbish": {"rubbish", "captcha.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			v := w.visit(t)
			w.clock.pass(20 * time.Second)
			v.continues(v.burst().Flow)
			r := v.signUp(person(5), "captcha", c.token)
			require.Equal(t, http.StatusForbidden, r.status)
			require.Contains(t, w.last(t), c.code)
			v.continues(r.Flow) // the next task is good
			in := v.signUp(person(5), "captcha", v.solve(r))
			require.Equal(t, http.StatusCreated, in.status, in.text)
		})
	}
}

func TestFlowsBelongToSessions(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.burst()
	thief := w.visit(t)
	w.clock.pass(20 * time.Second)
	thief.continues(r.Flow)
	require.Equal(t, http.StatusForbidden, thief.signUp(person(9), "captcha", v.solve(r)).status)
	require.Contains(t, w.last(t), "flow.mismatch")
	require.Equal(t, http.StatusNotFound, thief.do(http.MethodPost, "/api/tasks", "", "").status)
	v.continues(r.Flow)
	require.Equal(t, http.StatusOK, v.do(http.MethodPost, "/api/tasks", "", "").status)
}

func TestTasksAreRenewed(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.burst()
	v.continues(r.Flow)
	w.clock.pass(6 * time.Minute) // the challenge has expired, the flow has not
	renewed := v.do(http.MethodPost, "/api/tasks", "", "")
	require.Equal(t, http.StatusOK, renewed.status, renewed.text)
	in := v.signUp(person(5), "captcha", v.solve(renewed))
	require.Equal(t, http.StatusCreated, in.status, in.text)
}

func TestFloodIsBanned(t *testing.T) {
	w := newWorld(t, func(o *options) { o.InsecureTrustForwardedFor = true })
	flood := w.visit(t)
	flood.header.Set("X-Forwarded-For", "203.0.113.7")
	w.clock.pass(20 * time.Second)
	var banned reply
	sent := 0
	for ; sent < 40 && banned.status != http.StatusTooManyRequests; sent++ {
		banned = flood.signUp(person(sent))
	}
	require.Equal(t, http.StatusTooManyRequests, banned.status)
	require.Equal(t, 15, sent, "five are let in, nine ignore the challenge, the tenth offence bans")
	require.Contains(t, w.last(t), "ratelimit.banned")
	require.Contains(t, w.last(t), "assessment.action=block")
	require.Empty(t, banned.Flow)
	require.Empty(t, banned.Tasks)
	require.InDelta(t, 300, banned.RetryAfter, 10)
	require.Equal(t, fmt.Sprint(banned.RetryAfter), banned.header.Get("Retry-After"))

	flood.header.Set("Accept", "text/html")
	page := flood.do(http.MethodPost, "/api/signup", "application/x-www-form-urlencoded", "email=a@example.com")
	require.Equal(t, http.StatusTooManyRequests, page.status)
	require.NotEmpty(t, page.header.Get("Retry-After"))
	require.Contains(t, page.text, "You can try again in")
	require.NotContains(t, page.text, "ban")
	flood.header.Del("Accept")

	other := w.visit(t)
	other.header.Set("X-Forwarded-For", "198.51.100.20")
	w.clock.pass(20 * time.Second)
	require.Equal(t, http.StatusCreated, other.signUp("other@example.com").status, "nobody else is hit")

	w.clock.pass(6 * time.Minute)
	require.NotEqual(t, http.StatusTooManyRequests, flood.signUp("later@example.com").status, "a ban ends")
}

func TestForwardedHeadersAreIgnoredByDefault(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	for i := range 6 {
		v.header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i+1))
		want := http.StatusCreated
		if i == 5 {
			want = http.StatusForbidden
		}
		require.Equal(t, want, v.signUp(person(i)).status)
	}
}

// failing keeps nothing.
type failing struct{ calls int }

func (f *failing) Create(context.Context, account) (string, bool, error) {
	f.calls++
	return "", false, errors.New("the disk is full of ann@example.com")
}

func TestFailedInsertIsUndone(t *testing.T) {
	broken := &failing{}
	w := newWorld(t, func(o *options) { o.Accounts = broken })
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	for i := range 12 { // more than the limit allows: each is given back
		r := v.signUp(person(i))
		require.Equal(t, http.StatusServiceUnavailable, r.status, r.text)
		require.NotContains(t, r.text, "disk")
	}
	require.Equal(t, 12, broken.calls)
	require.Contains(t, w.log.String(), "the account could not be kept")
	require.NotContains(t, w.log.String(), "ann@example.com")
}

func TestFailedInsertReopensTheFlow(t *testing.T) {
	accounts := &flaky{}
	w := newWorld(t, func(o *options) { o.Accounts = accounts })
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	r := v.burst()
	v.continues(r.Flow)
	token := v.solve(r)
	accounts.broken = true
	require.Equal(t, http.StatusServiceUnavailable, v.signUp(person(5), "captcha", token).status)
	accounts.broken = false
	in := v.signUp(person(5), "captcha", token)
	require.Equal(t, http.StatusCreated, in.status, "%s\n%s", in.text, w.last(t))
}

// flaky fails while it is broken.
type flaky struct{ broken bool }

func (f *flaky) Create(context.Context, account) (string, bool, error) {
	if f.broken {
		return "", false, errors.New("broken")
	}
	return "ref", true, nil
}

// trap is a sign-up in the burst that fills in what people do not see: a device is asked for.
func (v *visitor) trap(more ...string) reply {
	v.t.Helper()
	return v.signUp(person(6), append([]string{"website", "https://example.com"}, more...)...)
}

func TestTrappedFormInABurstIsKeptForAPerson(t *testing.T) {
	kept := &recording{}
	w := newWorld(t, func(o *options) { o.Accounts = kept })
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	v.burst()
	asked := v.trap()
	require.Equal(t, http.StatusForbidden, asked.status, asked.text)
	require.Equal(t, []risk.Proof{risk.ProofDevice}, asked.Require)
	require.Contains(t, w.last(t), "form.honeypot +40 (human)")
	v.continues(asked.Flow)
	v.header.Set("Vestibule-Cannot", "device")
	r := v.trap()
	require.Equal(t, http.StatusAccepted, r.status, r.text)
	require.Len(t, kept.all, 6)
	for i, a := range kept.all {
		require.Equal(t, i == 5, a.pending)
	}
	require.NotContains(t, r.text, "honeypot")
}

// recording remembers the accounts it was given.
type recording struct{ all []account }

func (k *recording) Create(_ context.Context, a account) (string, bool, error) {
	k.all = append(k.all, a)
	return fmt.Sprint("ref", len(k.all)), true, nil
}

// taken has an account for every address.
type taken struct{ calls int }

func (k *taken) Create(context.Context, account) (string, bool, error) {
	k.calls++
	return "ref", false, nil
}

func TestLogHoldsNoPersonalData(t *testing.T) {
	w := newWorld(t, func(o *options) { o.InsecureTrustForwardedFor = true })
	canary := risktest.NewCanary()
	v := w.visit(t)
	v.header.Set("X-Forwarded-For", canary.Value(risktest.FieldIP))
	canary.Watch("stamp", v.stamp)
	w.clock.pass(20 * time.Second)
	var challenged reply
	for i := range 20 { // allowed, challenged, banned
		email, phone := fmt.Sprintf("canary.person%d@example.org", i), fmt.Sprintf("+47 400998%02d", i)
		canary.Watch("email", email)
		canary.Watch("phone", phone)
		if r := v.signUp(email, "phone", phone); r.Flow != "" {
			challenged = r
			canary.Watch("flow", r.Flow)
		}
	}
	token := v.solve(challenged)
	canary.Watch("token", token)
	v.continues(challenged.Flow)
	v.signUp("canary.person@example.org", "captcha", token)
	r := v.signUp("not an address of canary.person", "captcha", token)
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.NotContains(t, r.text, "canary")
	u, err := url.Parse(w.URL)
	require.NoError(t, err)
	cookies := v.client.Jar.Cookies(u)
	require.NotEmpty(t, cookies)
	for _, c := range cookies {
		canary.Watch("cookie", c.Value)
	}
	log := w.log.String()
	require.Contains(t, log, "action=block")
	require.Empty(t, canary.Search(log))
	for _, s := range []string{"canary", "example.org", "127.0.0.1"} {
		require.NotContains(t, log, s)
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	const js, form = "application/json", "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"no body":          {js, "", 400},
		"cut JSON":         {js, `{"email":`, 400},
		"not an object":    {js, `["a"]`, 400},
		"null":             {js, `null`, 400},
		"not texts":        {js, `{"email":1}`, 400},
		"two values":       {js, `{"email":"a@example.com"}{}`, 400},
		"too large":        {js, `{"email":"` + strings.Repeat("a", mostBody) + `"}`, 413},
		"too large a form": {form, "email=" + strings.Repeat("a", mostBody), 413},
		"unknown type":     {"text/plain", `{"email":"a@example.com"}`, 400},
		"no type":          {"", `{"email":"a@example.com"}`, 400},
		"broken form":      {form, "email=%zz", 400},
		"no e-mail":        {js, `{}`, 422},
		"not an e-mail":    {js, `{"email":"ann"}`, 422},
		"name and e-mail":  {js, `{"email":"Ann <ann@example.com>"}`, 422},
		"long e-mail":      {js, `{"email":"` + strings.Repeat("a", 250) + `@example.com"}`, 422},
		"unknown kind":     {js, `{"email":"a@example.com","kind":"charity"}`, 422},
		"not a phone":      {js, `{"email":"a@example.com","phone":"call me"}`, 422},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.assessments())
			r := v.do(http.MethodPost, "/api/signup", c.kind, c.body)
			require.Equal(t, c.status, r.status, r.text)
			require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
			require.Len(t, w.assessments(), before)
		})
	}
	t.Run("another site", func(t *testing.T) {
		v.header.Set("Sec-Fetch-Site", "cross-site")
		require.Equal(t, http.StatusForbidden, v.signUp("ann@example.com").status)
		require.Empty(t, w.assessments())
	})
}

func TestWithoutScript(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	v.header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	w.clock.pass(20 * time.Second)
	send := func(i int) reply {
		f := url.Values{"email": {person(i)}, "website": {""}, "form_stamp": {v.stamp}}
		return v.do(http.MethodPost, "/api/signup", "application/x-www-form-urlencoded", f.Encode())
	}
	for i := range 5 {
		r := send(i)
		require.Equal(t, http.StatusCreated, r.status)
		require.Contains(t, r.text, "<h1>Check your inbox</h1>")
	}
	r := send(5)
	require.Equal(t, http.StatusForbidden, r.status)
	require.Contains(t, r.text, "switch JavaScript on")
	r = v.do(http.MethodPost, "/api/signup", "application/x-www-form-urlencoded", "email=ann")
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.text, "Please enter an e-mail address.")
}

func TestPagesObeyTheirPolicy(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	page := v.do(http.MethodGet, "/", "", "")
	policy := page.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "no-store", page.header.Get("Cache-Control"))
	require.NotRegexp(t, `<script(>| [^>]*>[^<])`, page.text, "no inline script")
	require.NotRegexp(t, `<style| style=| on[a-z]+=`, page.text)

	// Everything the page names is there, as what it should be.
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page.text, -1) {
		r := v.do(http.MethodGet, m[1], "", "")
		require.Equal(t, http.StatusOK, r.status, m[1])
		require.NotEmpty(t, r.text)
		require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
		kind := map[string]string{"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[m[1][strings.LastIndex(m[1], ".")+1:]]
		require.Contains(t, r.header.Get("Content-Type"), kind, m[1])
	}
	require.Equal(t, http.StatusNotFound, v.do(http.MethodGet, "/other", "", "").status)
	require.Equal(t, http.StatusMethodNotAllowed, v.do(http.MethodGet, "/api/signup", "", "").status)
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t, func(o *options) { o.InsecureTrustForwardedFor = true })
	var wg sync.WaitGroup
	statuses := make([]int, 60)
	for i := range statuses {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/api/signup",
				strings.NewReader(fmt.Sprintf(`{"email":"p%d@example.com"}`, i)))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.%d.1", i%6))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			statuses[i] = resp.StatusCode
			_ = resp.Body.Close()
		})
	}
	wg.Wait()
	in := 0
	for _, s := range statuses {
		require.NotZero(t, s)
		if s == http.StatusCreated {
			in++
		}
	}
	require.Equal(t, 30, in, "five for each of six addresses")
}

func TestRun(t *testing.T) {
	url, log := serving(t, io.Discard, "-insecure-trust-forwarded-for", "-phone", "twilio")
	resp, err := http.Get(url)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, log.String(), "choose their own address")

	require.ErrorContains(t, run(t.Context(), []string{"extra"}, io.Discard), "extra")
	require.Error(t, run(t.Context(), []string{"-addr", "127.0.0.1:-1"}, io.Discard))
	require.Error(t, run(t.Context(), []string{"-no-such-flag"}, io.Discard))
}

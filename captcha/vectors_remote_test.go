package captcha_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

// remoteWords maps the vectors' vocabulary onto ours where it differs.
var remoteWords = map[string][]captcha.Reason{
	"ok":                         {captcha.ReasonOK},
	"token_missing":              {captcha.ReasonMissing},
	"token_malformed":            {captcha.ReasonMalformed, captcha.ReasonToken},
	"token_invalid":              {captcha.ReasonToken, captcha.ReasonMalformed, captcha.ReasonMissing, captcha.ReasonSiteKey},
	"token_expired":              {captcha.ReasonExpired},
	"token_too_old":              {captcha.ReasonExpired},
	"too_old":                    {captcha.ReasonExpired},
	"token_duplicate":            {captcha.ReasonReplayed, captcha.ReasonSpent},
	"token_expired_or_duplicate": {captcha.ReasonSpent, captcha.ReasonExpired, captcha.ReasonReplayed},
	"challenge_failed":           {captcha.ReasonUnsolved},
	"binding_mismatch":           {captcha.ReasonHostname, captcha.ReasonAction, captcha.ReasonCData, captcha.ReasonSiteKey},
	"sitekey_mismatch":           {captcha.ReasonSiteKey},
	"key_mismatch":               {captcha.ReasonSiteKey},
	"bad_credentials":            {captcha.ReasonCredentials},
	"misconfigured":              {captcha.ReasonCredentials, captcha.ReasonRequest, captcha.ReasonTestKey, captcha.ReasonSiteKey},
	"test_key":                   {captcha.ReasonTestKey},
	"maintenance":                {captcha.ReasonProvider},
	"response_too_large":         {captcha.ReasonResponse},
	"redirect":                   {captcha.ReasonResponse, captcha.ReasonProvider},
}

type remoteGiven struct {
	Now       time.Time `json:"now"`
	Hostnames []string  `json:"expect_hostnames"`
	Action    string    `json:"expect_action"`
	CData     string    `json:"expect_cdata"`
	Version   string    `json:"version"`
	MaxAge    float64   `json:"max_age_s"`
	Simple    bool      `json:"simple_mode"`
	timeout   time.Duration
}

type remoteServer struct {
	Status      int               `json:"status"`
	Headers     map[string]string `json:"headers"`
	ContentType string            `json:"content_type"`
	Body        json.RawMessage   `json:"body"`
	Delay       string            `json:"delay_headers"`
	Closed      bool              `json:"closed_port"`
	Drip        int               `json:"drip_ms_per_byte"`
	Repeat      []any             `json:"body_repeat"`
	Gzip        int64             `json:"gzip_of_zeros"`
	Then        string            `json:"then"`
	Consumed    bool              `json:"token_consumed"`
	Sequence    []remoteServer    `json:"sequence"`
}

type remoteExpect struct {
	Valid      oneOf[bool]       `json:"valid"`
	Fault      oneOf[string]     `json:"fault"`
	Reason     oneOf[string]     `json:"reason"`
	Retryable  oneOf[bool]       `json:"retryable"`
	HasScore   oneOf[bool]       `json:"has_score"`
	Risk       oneOf[float64]    `json:"risk"`
	Raw        oneOf[float64]    `json:"raw_score"`
	Band       oneOf[string]     `json:"band"`
	Hostname   oneOf[string]     `json:"hostname"`
	Action     oneOf[string]     `json:"action"`
	CData      oneOf[string]     `json:"cdata"`
	Time       oneOf[string]     `json:"challenge_ts"`
	Assessment oneOf[string]     `json:"assessment"`
	EventID    oneOf[string]     `json:"event_id"`
	Reasons    []string          `json:"reasons"`
	Metadata   map[string]string `json:"metadata"`
}

type remoteCase struct {
	ID        string          `json:"id"`
	Optional  json.RawMessage `json:"optional"`
	AppliesTo []string        `json:"applies_to"`
	Given     remoteGiven     `json:"given"`
	Response  remoteServer    `json:"response"`
	Server    remoteServer    `json:"server"`
	Expect    remoteExpect    `json:"expect"`
}

type remoteFile struct {
	Provider string       `json:"provider"`
	Cases    []remoteCase `json:"cases"`
}

// The client's timeouts: short where the server keeps silent or drips, else far more than any machine needs.
const (
	shortTimeout = time.Second
	longTimeout  = 20 * time.Second
)

// remotes makes the provider of each file against a base URL, with a request it would send.
var remotes = map[string]func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error){
	"turnstile": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewTurnstile(captcha.Secret("secret-of-turnstile"), g.Hostnames, remoteOptions(base, g))
		return p, request(g), err
	},
	"hcaptcha": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewHCaptcha(captcha.Secret("secret-of-hcaptcha"), g.Hostnames, remoteOptions(base, g))
		return p, request(g), err
	},
	"recaptcha": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		o := &captcha.RecaptchaOptions{RemoteOptions: *remoteOptions(base, g)}
		if strings.Contains(g.Version, "3") {
			o.Version = 3
		}
		p, err := captcha.NewRecaptcha(captcha.Secret("secret-of-recaptcha"), g.Hostnames, o)
		return p, request(g), err
	},
	"recaptcha_enterprise": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewRecaptchaEnterprise("project", "site-key", captcha.EnterpriseLogin{APIKey: captcha.Secret("api-key")}, g.Hostnames,
			&captcha.RecaptchaEnterpriseOptions{RemoteOptions: *remoteOptions(base, g)})
		return p, request(g), err
	},
	"friendly_v2": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewFriendly(captcha.Secret("api-key"), g.Hostnames, remoteOptions(base, g))
		return p, request(g), err
	},
	"arkose": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewArkose("", captcha.Secret("private-key"), &captcha.ArkoseOptions{RemoteOptions: *remoteOptions(base, g), SimpleMode: g.Simple})
		return p, request(g), err
	},
	"geetest_v4": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewGeeTest("captcha-id", captcha.Secret("key"), remoteOptions(base, g))
		in := request(g)
		in.Token, in.Fields = "", map[string]string{"lot_number": "lot", "captcha_output": "out", "pass_token": "pass", "gen_time": "1800000000"}
		return p, in, err
	},
	"private_captcha": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewPrivateCaptcha(captcha.Secret("api-key"), g.Hostnames, remoteOptions(base, g))
		return p, request(g), err
	},
	"cap_standalone": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewCap(base, "site", captcha.Secret("secret"), remoteOptions(base, g))
		in := request(g)
		in.Token = "site:id:secret"
		return p, in, err
	},
	"mcaptcha": func(base string, g remoteGiven) (captcha.Provider, captcha.Request, error) {
		p, err := captcha.NewMCaptcha(base, "site", captcha.Secret("secret"), remoteOptions(base, g))
		return p, request(g), err
	},
}

func remoteOptions(base string, g remoteGiven) *captcha.RemoteOptions {
	o := &captcha.RemoteOptions{
		Endpoint: base, Timeout: g.timeout, MaxAge: time.Duration(g.MaxAge * float64(time.Second)), SkipHostname: len(g.Hostnames) == 0,
	}
	if !g.Now.IsZero() {
		o.Now = func() time.Time { return g.Now }
	}
	return o
}

func request(g remoteGiven) captcha.Request {
	return captcha.Request{Token: "a-token-of-the-visitor", Expect: captcha.Expect{Action: g.Action, CData: g.CData}}
}

func TestVectorsProviders(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no directory of vectors")
	}
	files, err := filepath.Glob(filepath.Join(dir, "captcha", "*.json"))
	require.NoError(t, err)
	for _, name := range files {
		file := filepath.Base(name)
		if strings.HasPrefix(file, "altcha_v") {
			continue
		}
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		var f remoteFile
		require.NoError(t, json.Unmarshal(raw, &f), name)
		for _, c := range f.Cases {
			if file == "transport_faults.json" {
				for provider := range remotes {
					if slices.Contains(c.AppliesTo, "*") || slices.Contains(c.AppliesTo, provider) {
						t.Run(file+"/"+c.ID+"/"+provider, func(t *testing.T) {
							t.Parallel()
							runRemote(t, provider, c, c.Server)
						})
					}
				}
				continue
			}
			t.Run(file+"/"+c.ID, func(t *testing.T) {
				provider := f.Provider
				if remotes[provider] == nil {
					provider = strings.TrimSuffix(file, ".json")
				}
				if remotes[provider] == nil {
					t.Skipf("provider %s is not offered", provider)
				}
				runRemote(t, provider, c, c.Response)
			})
		}
	}
}

func runRemote(t *testing.T, provider string, c remoteCase, server remoteServer) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	fake := &faultServer{steps: server.Sequence, other: other.Listener.Addr().(*net.TCPAddr).Port, done: make(chan struct{})}
	if len(fake.steps) == 0 {
		fake.steps = []remoteServer{server}
	}
	s := httptest.NewServer(fake)
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(fake.done) })
	base := s.URL
	if server.Closed {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		base = "http://" + l.Addr().String()
		require.NoError(t, l.Close())
	}
	c.Given.timeout = longTimeout
	if slow(server) || slices.ContainsFunc(server.Sequence, slow) {
		c.Given.timeout = shortTimeout
	}
	p, in, err := remotes[provider](base, c.Given)
	require.NoError(t, err)
	start := time.Now()
	res, err := p.Verify(context.Background(), in)
	require.Less(t, time.Since(start), c.Given.timeout+time.Second, "the timeout bounds the call")
	require.Zero(t, elsewhere.Load(), "redirects are not followed")
	if provider != "turnstile" {
		require.LessOrEqual(t, fake.count(), 1, "the token is not sent again")
	}
	failure, _ := errors.AsType[*captcha.Error](err)
	require.Equal(t, err != nil, failure != nil)
	require.Equal(t, err != nil, res.Outcome == captcha.Unverified, "%+v %v", res, err)
	if in.Token != "" {
		require.NotContains(t, fmt.Sprintf("%+v %v", res, err), in.Token)
	}
	e := c.Expect
	require.Contains(t, e.Valid, res.Outcome == captcha.Passed, "%+v %v", res, err)
	if len(e.Fault) > 0 {
		require.Contains(t, e.Fault, res.Fault.String(), "%+v %v", res, err)
	}
	if len(e.Reason) > 0 {
		var right []captcha.Reason
		known := false
		for _, w := range e.Reason {
			right = append(append(right, captcha.Reason(w)), remoteWords[w]...)
			known = known || remoteWords[w] != nil || slices.Contains(ourReasons, captcha.Reason(w))
		}
		if known {
			require.Contains(t, right, res.Reason)
		} else {
			t.Logf("the reasons %v are no words of ours: fault compared only", e.Reason)
		}
	}
	if len(e.Retryable) > 0 {
		require.Contains(t, e.Retryable, failure != nil && failure.Retryable)
	}
	if len(e.HasScore) > 0 {
		require.Contains(t, e.HasScore, res.HasRisk)
	}
	close := func(want oneOf[float64], got float64) {
		if len(want) > 0 {
			require.True(t, slices.ContainsFunc(want, func(w float64) bool { return got > w-1e-9 && got < w+1e-9 }), "%v, want %v", got, want)
		}
	}
	close(e.Risk, res.Risk)
	close(e.Raw, res.RawScore)
	equal := func(want oneOf[string], got string) {
		if len(want) > 0 {
			require.Contains(t, want, got)
		}
	}
	equal(e.Band, res.Band)
	equal(e.Hostname, res.Hostname)
	equal(e.Action, res.Action)
	equal(e.CData, res.CData)
	equal(e.Assessment, res.Reference)
	equal(e.EventID, res.Reference)
	if len(e.Time) > 0 {
		want, err := time.Parse(time.RFC3339Nano, e.Time[0])
		require.NoError(t, err)
		require.True(t, want.Equal(res.ChallengeTime))
	}
	if e.Reasons != nil {
		require.Subset(t, res.Codes, e.Reasons)
	}
	if id := e.Metadata["ephemeral_id"]; id != "" {
		require.Equal(t, id, res.VisitorID)
	}
}

func slow(s remoteServer) bool { return s.Delay != "" || s.Drip > 0 }

var ourReasons = []captcha.Reason{
	captcha.ReasonHostname, captcha.ReasonAction, captcha.ReasonCData, captcha.ReasonTimeout, captcha.ReasonNetwork, captcha.ReasonResponse,
	captcha.ReasonLimited, captcha.ReasonProvider, captcha.ReasonRequest,
}

// faultServer misbehaves as a vector says, one step a request, the last one for all further ones.
type faultServer struct {
	steps []remoteServer
	other int
	done  chan struct{}

	mu   sync.Mutex
	seen int             // guarded by mu
	used map[string]bool // guarded by mu: tokens counted, by idempotency key
}

func (f *faultServer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *faultServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	f.mu.Lock()
	step := f.steps[min(f.seen, len(f.steps)-1)]
	f.seen++
	key := r.PostForm.Get("idempotency_key")
	burnt := len(f.used) > 0 && (key == "" || !f.used[key])
	if step.Consumed {
		f.used = map[string]bool{key: true}
	}
	f.mu.Unlock()
	if step.Delay != "" {
		select {
		case <-r.Context().Done():
		case <-f.done:
		}
		return
	}
	body := []byte(step.Body)
	var text string
	if json.Unmarshal(step.Body, &text) == nil {
		body = []byte(text)
	}
	if burnt {
		body = []byte(`{"success":false,"error-codes":["timeout-or-duplicate"]}`)
	}
	if step.ContentType != "" {
		w.Header().Set("Content-Type", step.ContentType)
	}
	for k, v := range step.Headers {
		w.Header().Set(k, strings.ReplaceAll(v, "{other_port}", fmt.Sprint(f.other)))
	}
	if step.Then == "reset" && w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+100))
	}
	status := step.Status
	if status == 0 {
		status = 200
	}
	if step.Gzip > 0 {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(status)
	if len(step.Repeat) == 3 {
		n, _ := step.Repeat[2].(float64)
		_, err := io.WriteString(w, fmt.Sprint(step.Repeat[0]))
		for unit := fmt.Sprint(step.Repeat[1]); n > 0 && err == nil; n-- {
			_, err = io.WriteString(w, unit)
		}
		return
	}
	if step.Gzip > 0 {
		z := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		var err error
		for left := step.Gzip; left > 0 && err == nil; left -= int64(len(zeros)) {
			_, err = z.Write(zeros[:min(left, int64(len(zeros)))])
		}
		_ = z.Close()
		return
	}
	flusher, _ := w.(http.Flusher)
	if step.Drip > 0 {
		flusher.Flush()
		tick := time.NewTicker(time.Duration(step.Drip) * time.Millisecond)
		defer tick.Stop()
		for i := range body {
			_, _ = w.Write(body[i : i+1])
			flusher.Flush()
			select {
			case <-r.Context().Done():
				return
			case <-f.done:
				return
			case <-tick.C:
			}
		}
		return
	}
	_, _ = w.Write(body)
	if step.Then == "reset" {
		flusher.Flush()
		panic(http.ErrAbortHandler)
	}
}

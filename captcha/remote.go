package captcha

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// RemoteOptions are common to the providers that are asked over HTTP. The zero value and nil mean the defaults.
type RemoteOptions struct {
	// Now is the wall clock, by which ages are judged; default time.Now.
	Now func() time.Time
	// Endpoint replaces the provider's base URL, for regional hosts and for tests against package captchatest. It is
	// https, or http on loopback, without user, query or fragment.
	Endpoint string
	// SiteKey is the public key of the widget. It is handed out in tasks and, where the provider can, pins answers to it.
	SiteKey string
	// Script replaces the address of the widget's script that tasks send pages to; default the vendor's own.
	Script string
	// Transport sends the requests; default a clone of http.DefaultTransport, which honours the proxy environment.
	// Redirects are never followed, whatever it is.
	Transport http.RoundTripper
	// Timeout bounds a verification, its one retry included where there is one; default 5 seconds.
	Timeout time.Duration
	// MaxAge is the age above which an answer is refused, when the provider tells the time; default its documented
	// lifetime, where one is. Naming it makes an answer without a time refused too.
	MaxAge time.Duration
	// Skew is how far the provider's clock may be ahead of ours; default 30 seconds.
	Skew time.Duration
	// SkipHostname leaves the host name unchecked: a token solved on any page that shows your site key is then good.
	SkipHostname bool
	// InsecureHTTP allows plain http beyond loopback: anybody on the way can read the secret and forge verdicts.
	InsecureHTTP bool
	// InsecureTestKeys accepts the provider's public test keys, with which everybody passes. Never in production.
	InsecureTestKeys bool
}

const (
	defaultTimeout = 5 * time.Second
	mostAnswer     = 64 << 10 // bytes of a provider's answer
	mostCodes      = 16       // raw codes kept
	mostText       = 256      // bytes kept of a text of the provider's
)

// contract is what is fixed about a provider.
type contract struct {
	name     string
	base     string        // default endpoint
	life     time.Duration // documented lifetime of a token; 0: undocumented
	maxToken int
	reports  bool // reports host names
}

// remote is what all providers asked over HTTP have in common.
type remote struct {
	contract
	opts   RemoteOptions
	client *jsonhttp.Client
	hosts  map[string]struct{} // lower case
}

func newRemote(c contract, hostnames []string, opts *RemoteOptions) (*remote, error) {
	r := &remote{contract: c}
	if opts != nil {
		r.opts = *opts
	}
	o := &r.opts
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Endpoint == "" {
		o.Endpoint = c.base
	}
	if o.Endpoint == "" {
		return nil, fmt.Errorf("captcha: %s needs an Endpoint", c.name)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Skew == 0 {
		o.Skew = 30 * time.Second
	}
	if o.Timeout < 0 || o.Skew < 0 || o.MaxAge < 0 {
		return nil, fmt.Errorf("captcha: %s: Timeout, Skew and MaxAge must not be negative", c.name)
	}
	if o.SiteKey != "" && !printable(o.SiteKey, 256) {
		return nil, fmt.Errorf("captcha: the site key of %s must be at most 256 printable ASCII characters without spaces", c.name)
	}
	var err error
	r.client, err = jsonhttp.New(o.Endpoint, &jsonhttp.Options{
		Transport: o.Transport, Timeout: o.Timeout, MaxBody: mostAnswer, InsecureHTTP: o.InsecureHTTP,
	})
	if err != nil {
		return nil, fmt.Errorf("captcha: the endpoint of %s: %w", c.name, err)
	}
	if !c.reports {
		return r, nil
	}
	if len(hostnames) == 0 && !o.SkipHostname {
		return nil, fmt.Errorf("captcha: no host names for %s; name those your forms are served from, or set SkipHostname", c.name)
	}
	r.hosts, err = hostSet(hostnames)
	return r, err
}

// hostSet checks and folds host names.
func hostSet(names []string) (map[string]struct{}, error) {
	set := make(map[string]struct{}, len(names))
	for _, n := range names {
		if !printable(n, 253) || strings.ContainsAny(n, "/@*") || strings.HasSuffix(n, ".") {
			return nil, errors.New("captcha: a host name is not of the form www.example.com; give no scheme, path, wildcard or final dot, and IDN in ASCII")
		}
		set[strings.ToLower(n)] = struct{}{}
	}
	return set, nil
}

// checkSecret says what is wrong with a credential, without repeating it.
func checkSecret(name, what string, s Secret) error {
	if len(s) == 0 {
		return fmt.Errorf("captcha: %s needs its %s", name, what)
	}
	if !printable(string(s), 1024) {
		return fmt.Errorf("captcha: the %s of %s has spaces, line ends or characters that are not ASCII", what, name)
	}
	return nil
}

// printable reports whether s is 1 to most bytes of printable ASCII without spaces.
func printable(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Name is the provider's name.
func (r *remote) Name() string { return r.name }

// MaxEvidence is the most bytes of an answer that are looked at.
func (r *remote) MaxEvidence() int { return r.maxToken }

// Lifetime is how long an answer may be used after it was made, as far as it is documented; 0: it is not.
func (r *remote) Lifetime() time.Duration { return r.life }

// Format prints the name only, for every verb.
func (r *remote) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// String is the name only.
func (r *remote) String() string {
	if r == nil {
		return "captcha provider (nil)"
	}
	return "captcha provider " + r.name
}

// LogValue logs the name only.
func (r *remote) LogValue() slog.Value { return slog.StringValue(r.String()) }

// task is what a page needs to show the widget.
func (r *remote) task() (Task, error) {
	if r.opts.SiteKey == "" {
		return Task{}, fmt.Errorf("captcha: %s has no SiteKey, so that no task can be handed out", r.name)
	}
	return Task{Provider: r.name, SiteKey: r.opts.SiteKey, Script: r.opts.Script}, nil
}

// exchange is one question to a provider: what is sent, and how an answer is read. read gets answers of any status.
type exchange struct {
	token string // what the answer is remembered by
	send  jsonhttp.Request
	read  func(resp *jsonhttp.Response) Result
	retry bool // the request may be sent twice: it carries an idempotency key
	fold  bool // actions are compared without regard to case
	acts  bool // the provider reports actions
}

// begin makes the result of an answer and refuses those that cannot be one.
func (r *remote) begin(token string) (Result, bool) {
	res := Result{Provider: r.name}
	switch {
	case token == "":
		return res.refused(ReasonMissing), false
	case !printable(token, r.maxToken):
		return res.refused(ReasonMalformed), false
	}
	res.ReplayKey = TokenKey(r.name, token)
	return res, true
}

// ask sends x and judges the answer.
func (r *remote) ask(ctx context.Context, in *Request, x exchange) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	var res Result
	var failure *Error
	if x.retry {
		// Half of the time is kept for the second try.
		first, stop := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			first, stop = context.WithTimeout(ctx, time.Until(deadline)/2)
		}
		res, failure = r.once(first, x)
		stop()
		if failure != nil && retryable(failure.Reason) && ctx.Err() == nil {
			res, failure = r.once(ctx, x)
		}
	} else {
		res, failure = r.once(ctx, x)
	}
	res.Provider = r.name
	if x.token != "" {
		res.ReplayKey = TokenKey(r.name, x.token)
	}
	if failure != nil {
		return res, failure
	}
	if res.Outcome == Passed {
		if why := r.bound(&res, &in.Expect, x); why != ReasonOK {
			res.Reason, res.Fault = why, why.fault()
			res.Outcome = Failed
			if res.Fault == FaultProvider {
				res.Outcome = Unverified
				return res, r.fail(why, http.StatusOK, true, 0, nil)
			}
		}
	}
	return res, nil
}

func retryable(why Reason) bool {
	return why == ReasonProvider || why == ReasonTimeout || why == ReasonNetwork || why == ReasonResponse
}

// once sends x once.
func (r *remote) once(ctx context.Context, x exchange) (Result, *Error) {
	resp, err := r.client.Do(ctx, x.send)
	if err != nil {
		e, ok := errors.AsType[*jsonhttp.Error](err)
		if !ok {
			e = &jsonhttp.Error{Kind: jsonhttp.Network, Sent: true}
		}
		why := ReasonNetwork
		switch e.Kind {
		case jsonhttp.Timeout:
			why = ReasonTimeout
		case jsonhttp.Canceled:
			why = ReasonCanceled
		case jsonhttp.TooLarge:
			why = ReasonResponse
		case jsonhttp.BadRequest:
			why = ReasonRequest
		}
		return unverified(why), r.fail(why, e.Status, e.Sent, 0, e)
	}
	res := x.read(resp)
	res.Codes = keep(res.Codes)
	if res.Outcome == Unverified {
		wait := jsonhttp.RetryAfter(resp.Header, r.opts.Now())
		return res, r.fail(res.Reason, resp.Status, true, wait, nil)
	}
	return res, nil
}

func (r *remote) fail(why Reason, status int, sent bool, wait time.Duration, cause error) *Error {
	f := why.fault()
	return &Error{
		Provider: r.name, Fault: f, Reason: why, Sent: sent, Status: status, Retryable: f == FaultProvider, RetryAfter: wait, Err: cause,
	}
}

// keep bounds what is kept of a provider's own words.
func keep(codes []string) []string {
	if len(codes) > mostCodes {
		codes = codes[:mostCodes]
	}
	for i, c := range codes {
		if len(c) > mostText {
			codes[i] = strings.ToValidUTF8(c[:mostText], "")
		}
	}
	return codes
}

// bound compares what a passed answer was made for.
func (r *remote) bound(res *Result, e *Expect, x exchange) Reason {
	if r.reports && (!r.opts.SkipHostname || len(e.Hostnames) > 0) && !r.hosted(res.Hostname, e.Hostnames) {
		return ReasonHostname
	}
	if x.acts && e.Action != "" {
		want := WidgetAction(e.Action)
		if res.Action != want && !(x.fold && strings.EqualFold(res.Action, want)) {
			return ReasonAction
		}
	}
	if x.acts && !x.fold && e.CData != "" && res.CData != e.CData {
		return ReasonCData
	}
	most := r.opts.MaxAge
	if res.ChallengeTime.IsZero() {
		if most > 0 {
			return ReasonExpired
		}
		return ReasonOK
	}
	if most == 0 {
		most = r.life
	}
	age := r.opts.Now().Sub(res.ChallengeTime)
	if age < -r.opts.Skew {
		return ReasonResponse // one of the clocks is wrong, which is not the visitor's fault
	}
	if most > 0 && age > most {
		return ReasonExpired
	}
	return ReasonOK
}

// hosted reports whether host is one of ours: exactly, but for the case of ASCII letters.
func (r *remote) hosted(host string, expected []string) bool {
	if len(expected) == 0 {
		_, ok := r.hosts[strings.ToLower(host)]
		return ok
	}
	for _, h := range expected {
		if host != "" && strings.EqualFold(h, host) && printable(host, 253) {
			return true
		}
	}
	return false
}

// WidgetAction is an action as widgets carry it: letters, digits and underscores, at most 32; others become
// underscores.
func WidgetAction(action string) string {
	b := []byte(action)
	if len(b) > 32 {
		b = b[:32]
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		b[i] = '_'
	}
	return string(b)
}

// unverified is the result of a question without an answer.
func unverified(why Reason) Result { return Result{Reason: why, Fault: why.fault()} }

// refusal is a result that refuses, or, when it is not the visitor's fault, leaves open.
func refusal(why Reason, codes ...string) Result {
	res := unverified(why)
	res.Codes = codes
	if res.Fault == FaultVisitor || res.Fault == FaultBinding {
		res.Outcome = Failed
	}
	return res
}

// passed is a result that passes, unless it is bound to something else.
func passed() Result { return Result{Outcome: Passed, Reason: ReasonOK} }

// byStatus judges an answer by its status alone; ok is true for 200, whose body must be read.
func byStatus(status int) (res Result, ok bool) {
	switch {
	case status == http.StatusOK:
		return Result{}, true
	case status == http.StatusTooManyRequests:
		return refusal(ReasonLimited), false
	case status == http.StatusRequestTimeout || status >= 500:
		return refusal(ReasonProvider), false
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return refusal(ReasonCredentials), false
	case status >= 400:
		return refusal(ReasonRequest), false
	}
	return refusal(ReasonResponse), false // nothing, or elsewhere
}

// readFault reports whether a status is the provider's fault whatever the body says.
func readFault(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 || status < 200 || status > 200 && status < 400
}

// parse reads a body that must be a JSON object.
func parse(body []byte) (jsonhttp.Value, bool) {
	v, err := jsonhttp.Parse(body)
	return v, err == nil && v.IsObject()
}

// text returns an optional string member; ok is false for one of another kind. null counts as absent.
func text(v jsonhttp.Value, names ...string) (string, bool) {
	m := v.At(names...)
	if !m.There() || m.IsNull() {
		return "", true
	}
	s, ok := m.Text()
	if len(s) > mostText {
		return "", false
	}
	return s, ok
}

// when returns an optional time; ok is false for what is none.
func when(v jsonhttp.Value, names ...string) (time.Time, bool) {
	s, ok := text(v, names...)
	if !ok || s == "" {
		return time.Time{}, ok
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// score returns an optional number in [lo, hi]; ok is false for what is none.
func score(v jsonhttp.Value, lo, hi float64) (n float64, there, ok bool) {
	if !v.There() || v.IsNull() {
		return 0, false, true
	}
	n, is := v.Number()
	return n, is, is && n >= lo && n <= hi
}

// originHost is the host name of an origin such as https://example.com:8443, or of a bare host name.
func originHost(origin string) string {
	if !strings.Contains(origin, "://") {
		return origin
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	return u.Hostname()
}

// address is an address as providers take it; "" for none.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

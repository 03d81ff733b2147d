package captcha

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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

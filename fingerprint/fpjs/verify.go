package fpjs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Once remembers what was used. It must be safe for concurrent use. [MemoryOnce] is one; fingerprintredis has another.
type Once interface {
	// Use marks a name as used and reports whether it was not before, in one atomic step. It is forgotten no sooner
	// than after keep. An error means that it could not tell.
	Use(ctx context.Context, name string, keep time.Duration) (first bool, err error)
}

// Releaser is an ability of a [Once]: a name that was marked as used is not used after all. A webhook whose handler fails
// needs it, for its repetition would be taken for a replay otherwise. [MemoryOnce] and fingerprintredis have it.
type Releaser interface {
	Release(ctx context.Context, name string) error
}

// VerifierOptions of a Verifier. The zero value and nil mean the defaults.
type VerifierOptions struct {
	// Origins are the sites' own, such as "https://example.com": the event's page must be of one. Default: any, which
	// accepts events made on other pages with the same public key.
	Origins []string
	// MaxAge is how old an event may be; default 2 minutes. The agent should ask when the form is sent, not when the
	// page loads.
	MaxAge time.Duration
	// WebhookAge is how old a webhook may be; default 24 hours, for Fingerprint repeats those it could not deliver.
	WebhookAge time.Duration
	// Skew is how far the event's clock may be ahead; default 10 s.
	Skew time.Duration
	// StrictIP refuses an event of another address instead of noting it. Visitors change between IPv4 and IPv6.
	StrictIP bool
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Verifier judges whether an event is of this visitor, now, for the first time. It is safe for concurrent use.
type Verifier struct {
	once Once
	o    VerifierOptions
}

// NewVerifier makes one. once is required: without it one event serves any number of sign-ups.
func NewVerifier(once Once, opts *VerifierOptions) (*Verifier, error) {
	if once == nil {
		return nil, errors.New("fpjs: nothing remembers used events; NewMemoryOnce makes one")
	}
	v := &Verifier{once: once}
	if opts != nil {
		v.o = *opts
	}
	o := &v.o
	o.MaxAge = cmp.Or(o.MaxAge, 2*time.Minute)
	o.WebhookAge = cmp.Or(o.WebhookAge, 24*time.Hour)
	o.Skew = cmp.Or(o.Skew, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxAge < 0 || o.Skew < 0 || o.WebhookAge < 0 || o.MaxAge > 24*time.Hour || o.WebhookAge > 30*24*time.Hour || o.Skew > time.Hour {
		return nil, fmt.Errorf("fpjs: MaxAge %v, WebhookAge %v, Skew %v; want at most 24 h, 30 days and 1 h", o.MaxAge, o.WebhookAge, o.Skew)
	}
	o.Origins = slices.Clone(o.Origins)
	for i, text := range o.Origins {
		if o.Origins[i] = origin(text); o.Origins[i] == "" || strings.TrimSuffix(text, "/") != o.Origins[i] {
			return nil, fmt.Errorf("fpjs: origin %d is not of the form https://host or https://host:port", i)
		}
	}
	return v, nil
}

// origin is scheme, host and port of a URL in lower case, without a default port; "" for what has none.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// Expect is what is known about the visitor from the request itself. Empty fields are not compared.
type Expect struct {
	Tenant   string // separates what is used
	Origin   string // the request's Origin header
	IP       netip.Addr
	Agent    string // the request's User-Agent
	LinkedID string // what the server gave this visitor
}

// Reason says why an event is not accepted.
type Reason string

// The reasons. The empty one is none: accepted.
const (
	Accepted      Reason = ""
	Stale         Reason = "stale"    // too old, or from the future
	Replayed      Reason = "replayed" // used before, here or at Fingerprint
	WrongOrigin   Reason = "origin"   // made on another page
	WrongIP       Reason = "ip"       // with StrictIP only
	WrongLinkedID Reason = "linked_id"
)

// Verdict is what a Verifier found.
type Verdict struct {
	Reason Reason
	// IPMismatch and AgentMismatch are noted and do not refuse.
	IPMismatch, AgentMismatch bool
}

// Verify judges an event. It is used up when nothing else speaks against it. An error means that it could not tell
// whether the event was used.
func (v *Verifier) Verify(ctx context.Context, e *Event, x Expect) (Verdict, error) {
	var d Verdict
	d.IPMismatch = x.IP.IsValid() && e.IP.IsValid() && x.IP.Unmap().WithZone("") != e.IP.WithZone("")
	d.AgentMismatch = x.Agent != "" && e.Agent != "" && x.Agent != e.Agent
	now := v.o.Now()
	page := origin(e.URL)
	switch {
	case now.Sub(e.Time) > v.o.MaxAge, e.Time.Sub(now) > v.o.Skew:
		d.Reason = Stale
	case e.Replayed:
		d.Reason = Replayed
	case len(v.o.Origins) > 0 && !slices.Contains(v.o.Origins, page), x.Origin != "" && origin(x.Origin) != page:
		d.Reason = WrongOrigin
	case v.o.StrictIP && d.IPMismatch:
		d.Reason = WrongIP
	case x.LinkedID != "" && x.LinkedID != e.LinkedID:
		d.Reason = WrongLinkedID
	}
	if d.Reason != Accepted {
		return d, nil
	}
	first, err := v.once.Use(ctx, "event\x00"+x.Tenant+"\x00"+e.ID, v.o.MaxAge+v.o.Skew)
	if err != nil {
		return d, fmt.Errorf("fpjs: marking an event as used: %w", err)
	}
	if !first {
		d.Reason = Replayed
	}
	return d, nil
}

// webhook reports whether a webhook is new.
func (v *Verifier) webhook(ctx context.Context, e *Event) (bool, error) {
	now := v.o.Now()
	if now.Sub(e.Time) > v.o.WebhookAge || e.Time.Sub(now) > v.o.Skew {
		return false, nil
	}
	return v.once.Use(ctx, webhookName(e), v.o.WebhookAge+v.o.Skew)
}

// undelivered makes a webhook new again that could not be handled.
func (v *Verifier) undelivered(ctx context.Context, e *Event) error {
	if r, ok := v.once.(Releaser); ok {
		return r.Release(ctx, webhookName(e))
	}
	return nil
}

func webhookName(e *Event) string { return "webhook\x00" + e.ID }

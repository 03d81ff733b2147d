package ipintel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Reputation is what a live provider says of an address.
type Reputation struct {
	// Known is false for an address the provider has never heard of, which is most of them and no reproach.
	Known bool
	// Risk is the provider's score from 0, none, to 1, certain abuse; each provider's constructor says how it is made.
	Risk float64
	// Benign says that the provider knows the address as a harmless service and its reports as mistakes.
	Benign bool
	// Kinds is what else it says of the address.
	Kinds Kind
}

// Provider looks an address up at an outside service. [LiveSignal] calls it; it must be safe for concurrent use and keep
// to its context. An error means that the service did not tell, of type *[LimitError] when it wants no further questions
// for a while; an unknown address is a Reputation. It is given public addresses in their [Normal] form only.
type Provider interface {
	// Name is the signal's name, a Go identifier.
	Name() string
	Check(ctx context.Context, ip netip.Addr) (Reputation, error)
}

// ErrKey says that a provider does not accept the key.
var ErrKey = errors.New("ipintel: the provider refuses the API key")

// LimitError says that a provider's quota is used up.
type LimitError struct {
	// RetryAfter is when to ask again; 0: the provider does not say.
	RetryAfter time.Duration
}

// Error says so.
func (e *LimitError) Error() string { return "ipintel: the provider's quota is used up" }

// ProviderOptions of providers. The zero value and nil mean the defaults.
type ProviderOptions struct {
	// BaseURL of the service; default the provider's own. https, or http on loopback.
	BaseURL string
	// Transport sends the requests; default a clone of http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one call beside the context; default 2 s.
	Timeout time.Duration
}

// api is one provider's HTTP interface. The key is inside of a function, where package fmt does not look.
type api struct {
	client *jsonhttp.Client
	header func() http.Header
}

func newAPI(name, base, keyHeader, key string, opts *ProviderOptions) (api, error) {
	var o ProviderOptions
	if opts != nil {
		o = *opts
	}
	if key == "" {
		return api{}, fmt.Errorf("ipintel: %s needs an API key", name)
	}
	if o.BaseURL == "" {
		o.BaseURL = base
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	c, err := jsonhttp.New(o.BaseURL, &jsonhttp.Options{Transport: o.Transport, Timeout: o.Timeout, MaxBody: 256 << 10})
	if err != nil {
		return api{}, fmt.Errorf("ipintel: %s: %w", name, err)
	}
	return api{c, func() http.Header { return http.Header{keyHeader: {key}} }}, nil
}

// get asks once. found is false for 404.
func (a api) get(ctx context.Context, in jsonhttp.Request) (v jsonhttp.Value, found bool, err error) {
	in.Header = a.header()
	resp, err := a.client.Do(ctx, in)
	if err != nil {
		return v, false, fmt.Errorf("ipintel: %w", err)
	}
	switch resp.Status {
	case http.StatusOK:
		v, err = jsonhttp.Parse(resp.Body)
		if err != nil {
			return v, false, fmt.Errorf("ipintel: %w", err)
		}
		return v, true, nil
	case http.StatusNotFound:
		return v, false, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return v, false, ErrKey
	case http.StatusTooManyRequests:
		return v, false, &LimitError{jsonhttp.RetryAfter(resp.Header, time.Now())}
	}
	return v, false, &StatusError{Status: resp.Status}
}

var errAnswer = errors.New("ipintel: the provider's answer lacks what it promises")

package twilio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// Credentials of an account: its own Secret (the auth token), or with KeySID that of an API key.
type Credentials struct {
	AccountSID string // "AC..."
	KeySID     string // "SK..."; "" for the auth token
	Secret     phone.Token
}

// String names the account only.
func (c Credentials) String() string { return "twilio " + c.AccountSID }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// LogValue logs the account only.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Credentials) check() error {
	switch {
	case !sid(c.AccountSID, "AC"):
		return errors.New("twilio: AccountSID must be AC and 32 hexadecimal digits")
	case c.KeySID != "" && !sid(c.KeySID, "SK"):
		return errors.New("twilio: KeySID must be SK and 32 hexadecimal digits, or empty for the auth token")
	case c.Secret == "":
		return errors.New("twilio: Secret is empty: set the auth token, or the secret of the API key")
	}
	return nil
}

func sid(s, prefix string) bool {
	return len(s) == 34 && s[:2] == prefix && strings.Trim(s[2:], "0123456789abcdefABCDEF") == ""
}

// HTTPOptions say how to reach Twilio. The zero value means the defaults.
type HTTPOptions struct {
	// BaseURL replaces the service's address, for other regions (Lookup answers 60614 where that is needed) and fakes.
	BaseURL string
	// Timeout bounds one call; default 2 s for look-ups, 5 s for the rest.
	Timeout time.Duration
	// Transport sends the requests; default net/http's.
	Transport http.RoundTripper
}

type client struct {
	http *jsonhttp.Client
	auth http.Header
}

func newClient(c Credentials, o HTTPOptions, base string, timeout time.Duration) (*client, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if o.BaseURL != "" {
		base = o.BaseURL
	}
	if o.Timeout != 0 {
		timeout = o.Timeout
	}
	h, err := jsonhttp.New(base, &jsonhttp.Options{Transport: o.Transport, Timeout: timeout})
	if err != nil {
		return nil, fmt.Errorf("twilio: BaseURL or Timeout: %w", err)
	}
	user := c.KeySID
	if user == "" {
		user = c.AccountSID
	}
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + string(c.Secret)))
	return &client{h, http.Header{"Authorization": {"Basic " + basic}}}, nil
}

// Error is an answer of Twilio that is an error, or no answer of a form that is documented. It holds no number and no
// text of Twilio's, which may repeat one.
type Error struct {
	Status  int           // HTTP status
	Code    int           // Twilio's error code, or 0
	Package string        // of Lookup, when the error is inside a 200
	Retry   time.Duration // what Retry-After asks for, or 0
}

// Error names status and code.
func (e *Error) Error() string {
	if e.Package != "" {
		return fmt.Sprintf("twilio: %s is not known (code %d)", e.Package, e.Code)
	}
	return fmt.Sprintf("twilio: status %d, code %d", e.Status, e.Code)
}

// call sends a request and reads the answer. A status of 400 and more, and what is no JSON object, is an *Error.
func (c *client) call(ctx context.Context, r jsonhttp.Request) (jsonhttp.Value, error) {
	r.Header = c.auth
	resp, err := c.http.Do(ctx, r)
	if err != nil {
		return jsonhttp.Value{}, err
	}
	v, bad := jsonhttp.Parse(resp.Body)
	if resp.Status < 200 || resp.Status > 299 {
		code, _ := v.At("code").Int()
		return v, &Error{Status: resp.Status, Code: int(code), Retry: jsonhttp.RetryAfter(resp.Header, time.Now())}
	}
	if bad != nil || !v.IsObject() {
		return v, &Error{Status: resp.Status}
	}
	return v, nil
}

// sendError says what an error means for a message.
func sendError(err error) error {
	out := &phone.SendError{Reason: phone.SendUnknown, Err: err}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		if h, ok := errors.AsType[*jsonhttp.Error](err); ok && !h.Sent {
			out.Refused = true // no connection: nobody has seen it
		}
		return out
	}
	out.Status, out.Code = e.Status, e.Code
	// A 4xx says that nothing was done, but for 408 and 409, which say nothing about an earlier one.
	out.Refused = e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout && e.Status != http.StatusConflict
	switch e.Code {
	case 21211, 21217, 60200, 20404:
		out.Reason = phone.SendInvalidNumber
	case 21612, 21614, 21214, 60205:
		out.Reason = phone.SendUnreachable
	case 21610, 21216, 60410, 60238, 30450, 60413:
		out.Reason = phone.SendBlocked
	case 21408, 21215, 60605:
		out.Reason = phone.SendNoPermission
	case 21611, 20429, 60203, 60202:
		out.Reason = phone.SendBusy
	case 21212, 21606, 21210, 20003:
		out.Reason = phone.SendConfig
	default:
		switch e.Status {
		case http.StatusUnauthorized:
			out.Reason = phone.SendConfig
		case http.StatusTooManyRequests:
			out.Reason = phone.SendBusy
		}
	}
	return out
}

package fpjs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// The regions' base URLs.
const (
	Global = "https://api.fpjs.io/v4"
	EU     = "https://eu.api.fpjs.io/v4"
	AP     = "https://ap.api.fpjs.io/v4"
)

// Options of a Client. The zero value and nil mean the defaults.
type Options struct {
	// Transport sends the requests; default a clone of http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one call beside the context; default 2 s.
	Timeout time.Duration
	// Now is the clock for Retry-After; default time.Now.
	Now func() time.Time
}

// Client gets events from the Server API. It is safe for concurrent use.
type Client struct {
	http *jsonhttp.Client
	auth func() string // hides the key from package fmt
	now  func() time.Time
}

// New makes a client of a region's base URL (or a fake's) and the workspace's secret API key.
func New(base, secretKey string, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	if secretKey == "" || strings.ContainsAny(secretKey, " \r\n\t") {
		return nil, errors.New("fpjs: the secret API key is empty or has white space; copy it from the dashboard")
	}
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = 2 * time.Second
	}
	c, err := jsonhttp.New(base, &jsonhttp.Options{Transport: opts.Transport, Timeout: timeout})
	if err != nil {
		return nil, fmt.Errorf("fpjs: %w", err)
	}
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	return &Client{http: c, auth: func() string { return "Bearer " + secretKey }, now: now}, nil
}

// APIError is an answer of the API that is no event. Code is the API's, such as "event_not_found".
type APIError struct {
	Status int
	Code   string
	// RetryAfter is how long the API asks to wait; 0: it does not say.
	RetryAfter time.Duration
}

// Error names status and code.
func (e *APIError) Error() string { return fmt.Sprintf("fpjs: status %d (%s)", e.Status, e.Code) }

// NotFound reports that there is no such event: what a visitor made up.
func (e *APIError) NotFound() bool {
	return e.Status == http.StatusNotFound && e.Code == "event_not_found"
}

// BadRequest reports that the API refused the event id as it stands.
func (e *APIError) BadRequest() bool {
	return e.Status == http.StatusBadRequest && e.Code == "request_cannot_be_parsed"
}

// ParseError reads the body of an answer that is no event. Codes that are no identifiers become "unknown".
func ParseError(status int, body []byte) *APIError {
	e := &APIError{Status: status, Code: "unknown"}
	v, err := jsonhttp.Parse(body)
	if err != nil {
		return e
	}
	code := v.At("error", "code").String()
	if code != "" && len(code) <= 64 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" {
		e.Code = code
	}
	return e
}

// ErrID says that a text cannot be an event id. It does not repeat it.
var ErrID = errors.New("fpjs: not an event id")

// Event gets an event. The id comes from the visitor: one that cannot be an id is [ErrID] and asks nobody. Answers that
// are no event are an *APIError. It is asked for once; an event that is missing is not asked for again.
func (c *Client) Event(ctx context.Context, id string) (*Event, error) {
	if !validID(id) {
		return nil, ErrID
	}
	answer, err := c.http.Do(ctx, jsonhttp.Request{
		Path: "/events/" + url.PathEscape(id), Header: http.Header{"Authorization": {c.auth()}},
	})
	if err != nil {
		return nil, fmt.Errorf("fpjs: getting an event: %w", err)
	}
	if answer.Status != http.StatusOK {
		e := ParseError(answer.Status, answer.Body)
		e.RetryAfter = jsonhttp.RetryAfter(answer.Header, c.now())
		return nil, e
	}
	e, err := ParseEvent(answer.Body)
	if err != nil {
		return nil, err
	}
	if e.ID != id {
		return nil, ErrEvent // another event than was asked for
	}
	return e, nil
}

// validID reports the form of an event id: milliseconds, a dot, letters and digits.
func validID(id string) bool {
	if id == "" || len(id) > mostID || id == "." || id == ".." {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

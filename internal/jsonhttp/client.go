package jsonhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options of a client. The zero value and nil mean the defaults.
type Options struct {
	// Transport sends the requests; default a clone of http.DefaultTransport, which honours the proxy environment.
	Transport http.RoundTripper
	// Timeout bounds one call beside the context; default 5 s.
	Timeout time.Duration
	// MaxBody is the most bytes of an answer, unpacked; default 1 MiB.
	MaxBody int64
	// InsecureHTTP allows plain http beyond loopback: anybody on the way can read secrets and forge answers.
	InsecureHTTP bool
}

// Client calls one provider. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	http    *http.Client
	timeout time.Duration
	maxBody int64
}

// New makes a client of a base URL: https (plain http for loopback), no user, query or fragment.
func New(base string, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("the base URL is malformed") // url.Parse would repeat it
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the base URL must begin with https://")
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("the base URL has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the base URL must have no user, query or fragment")
	case u.Scheme == "http" && !opts.InsecureHTTP && !loopback(u.Hostname()):
		return nil, errors.New("the base URL must use https: plain http is for loopback, or for InsecureHTTP")
	case opts.Timeout < 0 || opts.MaxBody < 0:
		return nil, errors.New("negative Timeout or MaxBody")
	}
	c := &Client{base: u, timeout: opts.Timeout, maxBody: opts.MaxBody}
	if c.timeout == 0 {
		c.timeout = 5 * time.Second
	}
	if c.maxBody == 0 {
		c.maxBody = 1 << 20
	}
	transport := opts.Transport
	if transport == nil {
		if t, ok := http.DefaultTransport.(*http.Transport); ok {
			transport = t.Clone()
		}
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Request is one call. At most one of Form, JSON and Body is set.
type Request struct {
	Method string // default POST with a body, else GET
	Path   string // appended to the base URL's path; escape variable parts with url.PathEscape
	Query  url.Values
	Header http.Header
	Form   url.Values
	JSON   any
	Body   []byte
	Type   string // content type of Body
}

// Response is an answer of any status. 3xx is an answer too: redirects are never followed.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends one request, once. An error is of type *Error and means that no whole answer came; an answer of any status
// is a Response.
func (c *Client) Do(ctx context.Context, in Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, bad := c.request(ctx, &in)
	if bad != nil {
		return nil, bad
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	defer func() {
		// What little is left lets the connection be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		_ = resp.Body.Close()
	}()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	if err != nil {
		e := transportError(ctx, err)
		e.Status, e.Sent = resp.StatusCode, true
		return nil, e
	}
	if int64(len(body)) > c.maxBody {
		return nil, &Error{Kind: TooLarge, Status: resp.StatusCode, Sent: true}
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

func (c *Client) request(ctx context.Context, in *Request) (*http.Request, *Error) {
	u := *c.base
	u.RawPath = ""
	joined, err := url.Parse(strings.TrimSuffix(c.base.EscapedPath(), "/") + in.Path)
	if err != nil {
		return nil, &Error{Kind: BadRequest}
	}
	u.Path, u.RawPath = joined.Path, joined.RawPath
	u.RawQuery = in.Query.Encode()
	var body []byte
	kind := in.Type
	switch {
	case in.Form != nil:
		body, kind = []byte(in.Form.Encode()), "application/x-www-form-urlencoded"
	case in.JSON != nil:
		if body, err = json.Marshal(in.JSON); err != nil {
			return nil, &Error{Kind: BadRequest}
		}
		kind = "application/json"
	case in.Body != nil:
		body = in.Body
	}
	method := in.Method
	if method == "" {
		method = http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), reader)
	if err != nil {
		return nil, &Error{Kind: BadRequest}
	}
	req.GetBody = nil // never sent twice, whatever the transport thinks
	for k, vv := range in.Header {
		for _, v := range vv {
			if strings.ContainsAny(v, "\r\n") {
				return nil, &Error{Kind: BadRequest}
			}
			req.Header.Add(k, v)
		}
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	return req, nil
}

// Kind says what went wrong.
type Kind string

// The kinds.
const (
	BadRequest Kind = "the request cannot be made"
	Timeout    Kind = "no answer in time"
	Canceled   Kind = "the caller gave up"
	Network    Kind = "network failure"
	TooLarge   Kind = "the answer is too large"
)

// Error says that no whole answer came. It holds no URL, header or body, and wraps nothing that does.
type Error struct {
	Kind   Kind
	Status int  // of the answer's beginning, or 0
	Sent   bool // the provider may have seen the request: sending it again may burn what it carries
}

// Error says what went wrong.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("jsonhttp: %s (status %d)", e.Kind, e.Status)
	}
	return "jsonhttp: " + string(e.Kind)
}

// Is makes errors.Is find context errors.
func (e *Error) Is(target error) bool {
	return e.Kind == Timeout && target == context.DeadlineExceeded || e.Kind == Canceled && target == context.Canceled
}

func transportError(ctx context.Context, err error) *Error {
	e := &Error{Kind: Network, Sent: true}
	netErr, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || (isNet && netErr.Timeout()):
		e.Kind = Timeout
	case ctx.Err() != nil:
		e.Kind = Canceled
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		e.Sent = false
	}
	return e
}

// RetryAfter reads the header of that name: seconds or an HTTP date, at most a day; 0 when there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	const most = 24 * time.Hour
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if secs, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(secs)*time.Second, most)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), most)
	}
	return 0
}

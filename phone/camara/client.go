package camara

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// HTTPOptions say how to reach the network. The zero value means the defaults.
type HTTPOptions struct {
	// Timeout bounds one call; default 2 s.
	Timeout time.Duration
	// Transport sends the requests; default net/http's.
	Transport http.RoundTripper
}

// Tokens gives bearer tokens of two-legged access (client credentials, or CIBA per number), and keeps them as it likes.
// fresh asks for a new one, since the last was refused.
type Tokens interface {
	Token(ctx context.Context, n phone.Number, scope string, fresh bool) (phone.Token, error)
}

// TokenFunc makes Tokens of a function.
type TokenFunc func(ctx context.Context, n phone.Number, scope string, fresh bool) (phone.Token, error)

// Token calls f.
func (f TokenFunc) Token(ctx context.Context, n phone.Number, scope string, fresh bool) (phone.Token, error) {
	return f(ctx, n, scope, fresh)
}

// Error is an answer that is an error, or no answer of a form that is documented. It holds no number.
type Error struct {
	Status int    // HTTP status
	Code   string // CAMARA's code: "IDENTIFIER_NOT_FOUND"
	Retry  time.Duration
}

// Error names status and code.
func (e *Error) Error() string { return fmt.Sprintf("camara: status %d %s", e.Status, e.Code) }

func newHTTP(base string, o HTTPOptions) (*jsonhttp.Client, error) {
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	c, err := jsonhttp.New(base, &jsonhttp.Options{Transport: o.Transport, Timeout: o.Timeout})
	if err != nil {
		return nil, fmt.Errorf("camara: the API root or Timeout: %w", err)
	}
	return c, nil
}

// post sends one request with a token.
func post(ctx context.Context, c *jsonhttp.Client, path string, token phone.Token, body any) (jsonhttp.Value, error) {
	if token == "" {
		return jsonhttp.Value{}, errors.New("camara: no token")
	}
	resp, err := c.Do(ctx, jsonhttp.Request{Method: http.MethodPost, Path: path, JSON: body,
		Header: http.Header{"Authorization": {"Bearer " + string(token)}}})
	if err != nil {
		return jsonhttp.Value{}, err
	}
	v, bad := jsonhttp.Parse(resp.Body)
	if resp.Status != http.StatusOK {
		return v, &Error{resp.Status, word(v.At("code").String()), jsonhttp.RetryAfter(resp.Header, time.Now())}
	}
	if bad != nil || !v.IsObject() {
		return v, &Error{Status: resp.Status}
	}
	return v, nil
}

// word lets codes into errors: capital letters, dots and underscores.
func word(s string) string {
	if len(s) > 96 {
		return ""
	}
	for _, r := range s {
		if r != '_' && r != '.' && (r < 'A' || r > 'Z') {
			return ""
		}
	}
	return s
}

package vonage

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// HTTPOptions say how to reach Vonage. The zero value means the defaults.
type HTTPOptions struct {
	// BaseURL replaces the service's address, for other regions and fakes.
	BaseURL string
	// Timeout bounds one call; default 2 s for look-ups, 5 s for the rest.
	Timeout time.Duration
	// Transport sends the requests; default net/http's.
	Transport http.RoundTripper
}

// Application is a Vonage application with its private key. It is safe for concurrent use and prints its id only.
type Application struct {
	id  string
	key func() *rsa.PrivateKey
	now func() time.Time
}

// NewApplication reads a private key in PEM (PKCS 8 or PKCS 1), RSA of at least 2048 bits. now is the clock of tokens; nil:
// time.Now.
func NewApplication(id string, privateKey []byte, now func() time.Time) (*Application, error) {
	if id == "" || len(id) > 64 {
		return nil, errors.New("vonage: the application id is empty or too long")
	}
	block, _ := pem.Decode(privateKey)
	if block == nil {
		return nil, errors.New("vonage: the private key is not PEM")
	}
	var key *rsa.PrivateKey
	if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		key, _ = parsed.(*rsa.PrivateKey)
	} else {
		key, _ = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if key == nil || key.N.BitLen() < 2048 {
		return nil, errors.New("vonage: the private key must be RSA of at least 2048 bits")
	}
	if now == nil {
		now = time.Now
	}
	return &Application{id: id, key: func() *rsa.PrivateKey { return key }, now: now}, nil
}

// String names the application's id.
func (a *Application) String() string { return "vonage application " + a.id }

// GoString is String.
func (a *Application) GoString() string { return a.String() }

// tokenLife is how long a token lives: one call.
const tokenLife = time.Minute

// token makes a JWT (RFC 7519) with RS256 (RFC 7518 section 3.3).
func (a *Application) token() (string, error) {
	var id [16]byte
	_, _ = rand.Read(id[:])
	now := a.now().Unix()
	claims, err := json.Marshal(map[string]any{
		"application_id": a.id, "iat": now, "exp": now + int64(tokenLife/time.Second), "jti": base64.RawURLEncoding.EncodeToString(id[:]),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, a.key(), crypto.SHA256, sum[:])
	if err != nil {
		return "", errors.New("vonage: the private key cannot sign")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

type client struct {
	app  *Application
	http *jsonhttp.Client
}

func newClient(app *Application, o HTTPOptions, base string, timeout time.Duration) (*client, error) {
	if app == nil {
		return nil, errors.New("vonage: no application; NewApplication makes one")
	}
	if o.BaseURL != "" {
		base = o.BaseURL
	}
	if o.Timeout != 0 {
		timeout = o.Timeout
	}
	h, err := jsonhttp.New(base, &jsonhttp.Options{Transport: o.Transport, Timeout: timeout})
	if err != nil {
		return nil, fmt.Errorf("vonage: BaseURL or Timeout: %w", err)
	}
	return &client{app, h}, nil
}

// Error is an answer of Vonage that is an error, or no answer of a form that is documented. It holds no number.
type Error struct {
	Status  int    // HTTP status
	Insight string // of Identity Insights, when one of them failed
	Code    string // Vonage's word for it, or ""
	Retry   time.Duration
}

// Error names status and code.
func (e *Error) Error() string {
	if e.Insight != "" {
		return fmt.Sprintf("vonage: %s is not known (%s)", e.Insight, e.Code)
	}
	return fmt.Sprintf("vonage: status %d %s", e.Status, e.Code)
}

// call sends a request and reads the answer; 204 has none. A status of 400 and more is an *Error beside the value.
func (c *client) call(ctx context.Context, r jsonhttp.Request) (jsonhttp.Value, int, error) {
	token, err := c.app.token()
	if err != nil {
		return jsonhttp.Value{}, 0, err
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}}
	resp, err := c.http.Do(ctx, r)
	if err != nil {
		return jsonhttp.Value{}, 0, err
	}
	v, bad := jsonhttp.Parse(resp.Body)
	if resp.Status < 200 || resp.Status > 299 {
		return v, resp.Status, &Error{Status: resp.Status, Code: word(v.At("title").String()), Retry: jsonhttp.RetryAfter(resp.Header, time.Now())}
	}
	if resp.Status != http.StatusNoContent && (bad != nil || !v.IsObject()) {
		return v, resp.Status, &Error{Status: resp.Status}
	}
	return v, resp.Status, nil
}

// word lets short titles without digits into errors: longer texts may repeat what was sent.
func word(s string) string {
	if len(s) > 40 {
		return ""
	}
	for _, r := range s {
		if r >= '0' && r <= '9' || r < ' ' || r > '~' {
			return ""
		}
	}
	return s
}

func sendError(err error) error {
	out := &phone.SendError{Reason: phone.SendUnknown, Err: err}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		if h, ok := errors.AsType[*jsonhttp.Error](err); ok && !h.Sent {
			out.Refused = true
		}
		return out
	}
	out.Status = e.Status
	out.Refused = e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout
	switch e.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired:
		out.Reason = phone.SendConfig
	case http.StatusForbidden:
		out.Reason = phone.SendBlocked
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		out.Reason = phone.SendInvalidNumber
	case http.StatusTooManyRequests, http.StatusConflict:
		out.Reason = phone.SendBusy
	}
	return out
}

package playintegrity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/internal/jose"
	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// MaxToken bounds a token in bytes. Real ones have 1 to 4 KB.
const MaxToken = 16 << 10

// Decoder turns a token into its payload: [Endpoint] asks Google, [Local] decrypts. A [Verifier] calls it once a token; it
// must be safe for concurrent use. A token that is wrong is an [attest.StepError]; any other error means that it could not
// tell.
type Decoder interface {
	Decode(ctx context.Context, token string) (payload []byte, err error)
}

func refusal(step string, err error) error {
	return &attest.StepError{Op: "playintegrity", Step: step, Err: err}
}

// KeyPair is what Play Console gives for self-managed keys.
type KeyPair struct {
	// Decryption is DECRYPTION_KEY, decoded: 32 bytes.
	Decryption []byte
	// Verification is VERIFICATION_KEY, decoded: a P-256 key's SubjectPublicKeyInfo.
	Verification []byte
}

// LocalOptions of a Local. The zero value and nil mean the defaults.
type LocalOptions struct {
	// Fallback decodes tokens that no key pair opens; default none. An Endpoint here bridges a change of keys: going back to
	// keys that Google manages makes downloaded ones worthless at once.
	Fallback Decoder
}

// Local decrypts tokens of classic requests with self-managed keys. Tokens of standard requests are encrypted otherwise:
// only [Endpoint] decodes them. It prints without its keys. It is safe for concurrent use.
type Local struct {
	pairs    []pair
	fallback Decoder
}

// pair hides its key in a function, which prints as an address.
type pair struct {
	decrypt func() []byte
	verify  *ecdsa.PublicKey
}

var _ Decoder = (*Local)(nil)

// NewLocal makes a Local with one or more key pairs, at most 16; they are tried in turn.
func NewLocal(pairs []KeyPair, opts *LocalOptions) (*Local, error) {
	if len(pairs) == 0 || len(pairs) > 16 {
		return nil, fmt.Errorf("playintegrity: %d key pairs, want 1 to 16 from Play Console", len(pairs))
	}
	l := &Local{}
	if opts != nil {
		l.fallback = opts.Fallback
	}
	for i, p := range pairs {
		if len(p.Decryption) != 32 {
			return nil, fmt.Errorf("playintegrity: key pair %d: the decryption key has %d bytes, want 32 (decode it from base64)", i, len(p.Decryption))
		}
		pub, err := x509.ParsePKIXPublicKey(p.Verification)
		key, ok := pub.(*ecdsa.PublicKey)
		if err != nil || !ok || key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("playintegrity: key pair %d: the verification key is no P-256 key in DER (decode it from base64)", i)
		}
		secret := append([]byte(nil), p.Decryption...)
		l.pairs = append(l.pairs, pair{func() []byte { return secret }, key})
	}
	return l, nil
}

// Decode implements Decoder. Algorithms are pinned: A256KW and A256GCM around ES256, whatever the token says.
func (l *Local) Decode(ctx context.Context, token string) ([]byte, error) {
	if len(token) > MaxToken {
		return nil, refusal("size", attest.ErrTooLarge)
	}
	for _, p := range l.pairs {
		signed, err := jose.Decrypt([]byte(token), p.decrypt())
		if errors.Is(err, jose.ErrDecrypt) {
			continue
		}
		if err != nil {
			return nil, refusal("decrypt", attest.ErrMalformed)
		}
		payload, err := jose.Verify(signed, p.verify)
		switch {
		case errors.Is(err, jose.ErrSignature):
			return nil, refusal("signature", attest.ErrForged)
		case err != nil:
			return nil, refusal("signature", attest.ErrMalformed)
		}
		return payload, nil
	}
	if l.fallback != nil {
		return l.fallback.Decode(ctx, token)
	}
	return nil, refusal("decrypt", attest.ErrKeyID)
}

// DecodeURL is Google's server, and Scope the OAuth scope that calls of it need.
const (
	DecodeURL = "https://playintegrity.googleapis.com"
	Scope     = "https://www.googleapis.com/auth/playintegrity"
)

// TokenSource returns a bearer token of a service account for [Scope]. It caches and refreshes as it likes; it is called
// for each request, concurrently.
type TokenSource func(ctx context.Context) (string, error)

// EndpointOptions of an Endpoint. The zero value and nil mean the defaults.
type EndpointOptions struct {
	// BaseURL is the server; default DecodeURL.
	BaseURL string
	// Transport and Timeout of the calls; default a clone of http.DefaultTransport, 5 s.
	Transport http.RoundTripper
	Timeout   time.Duration
}

// Endpoint decodes tokens at Google's server, each once. It retries nothing: a second decode of a standard request's token
// is answered with cleared verdicts. It is safe for concurrent use.
type Endpoint struct {
	client *jsonhttp.Client
	path   string
	source TokenSource
}

var _ Decoder = (*Endpoint)(nil)

// packageName is Android's form of an application id.
var packageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)

func checkPackage(name string) error {
	if len(name) > 255 || !packageName.MatchString(name) {
		return fmt.Errorf("playintegrity: %.40q is no package name", name)
	}
	return nil
}

// NewEndpoint makes an Endpoint for one package.
func NewEndpoint(pkg string, source TokenSource, opts *EndpointOptions) (*Endpoint, error) {
	if err := checkPackage(pkg); err != nil {
		return nil, err
	}
	if source == nil {
		return nil, errors.New("playintegrity: an Endpoint wants a source of OAuth tokens for Scope")
	}
	var o EndpointOptions
	if opts != nil {
		o = *opts
	}
	if o.BaseURL == "" {
		o.BaseURL = DecodeURL
	}
	client, err := jsonhttp.New(o.BaseURL, &jsonhttp.Options{Transport: o.Transport, Timeout: o.Timeout, MaxBody: 2 * MaxPayload})
	if err != nil {
		return nil, fmt.Errorf("playintegrity: the server: %w", err)
	}
	return &Endpoint{client, "/v1/" + pkg, source}, nil
}

// UnsentError says that Google has not seen the token: trying it again is safe.
type UnsentError struct{ Err error }

// Error says why.
func (e *UnsentError) Error() string { return "playintegrity: not sent: " + e.Err.Error() }

// Unwrap returns Err, and makes the error attest.ErrUnavailable.
func (e *UnsentError) Unwrap() []error { return []error{attest.ErrUnavailable, e.Err} }

// Decode implements Decoder. A token that Google refuses (400) is a refusal; all else that is no payload is
// attest.ErrUnavailable.
func (e *Endpoint) Decode(ctx context.Context, token string) ([]byte, error) {
	if len(token) > MaxToken {
		return nil, refusal("size", attest.ErrTooLarge)
	}
	body, status, err := e.post(ctx, ":decodeIntegrityToken", map[string]any{"integrityToken": token})
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusBadRequest:
		return nil, refusal("decode", attest.ErrMalformed)
	case status != http.StatusOK:
		return nil, fmt.Errorf("playintegrity: %w: status %d", attest.ErrUnavailable, status)
	}
	var members map[string]json.RawMessage
	if _, err := jsonhttp.Parse(body); err != nil || json.Unmarshal(body, &members) != nil || members["tokenPayloadExternal"] == nil {
		return nil, fmt.Errorf("playintegrity: %w: the answer has no payload", attest.ErrUnavailable)
	}
	return members["tokenPayloadExternal"], nil
}

// WriteRecall sets bits that Google keeps for the device of a token; nil leaves a bit as it is. The token is one of an app
// whose verdicts were decoded, at most 14 days old. Google calls the interface a beta.
func (e *Endpoint) WriteRecall(ctx context.Context, token string, first, second, third *bool) error {
	if len(token) > MaxToken {
		return refusal("size", attest.ErrTooLarge)
	}
	values := map[string]bool{}
	for name, b := range map[string]*bool{"bitFirst": first, "bitSecond": second, "bitThird": third} {
		if b != nil {
			values[name] = *b
		}
	}
	if len(values) == 0 {
		return errors.New("playintegrity: WriteRecall wants at least one bit")
	}
	_, status, err := e.post(ctx, "/deviceRecall:write", map[string]any{"integrityToken": token, "newValues": values})
	switch {
	case err != nil:
		return err
	case status == http.StatusBadRequest:
		return refusal("recall", attest.ErrMalformed)
	case status != http.StatusOK:
		return fmt.Errorf("playintegrity: %w: status %d", attest.ErrUnavailable, status)
	}
	return nil
}

func (e *Endpoint) post(ctx context.Context, path string, body any) ([]byte, int, error) {
	bearer, err := e.source(ctx)
	if err != nil {
		return nil, 0, &UnsentError{errors.New("no OAuth token")} // the source's words may hold secrets
	}
	resp, err := e.client.Do(ctx, jsonhttp.Request{
		Path: e.path + path, JSON: body, Header: http.Header{"Authorization": {"Bearer " + bearer}},
	})
	if err != nil {
		if failed, ok := errors.AsType[*jsonhttp.Error](err); ok && !failed.Sent {
			return nil, 0, &UnsentError{err}
		}
		return nil, 0, fmt.Errorf("playintegrity: %w: %w", attest.ErrUnavailable, err)
	}
	return resp.Body, resp.Status, nil
}

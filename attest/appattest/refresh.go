package appattest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/internal/jose"
	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Apple's servers for receipts.
const (
	ProductionURL  = "https://data.appattest.apple.com"
	DevelopmentURL = "https://data-development.appattest.apple.com"
)

// What Apple's server says instead of a receipt. All others are attest.ErrUnavailable.
var (
	ErrTooEarly    = errors.New("appattest: the receipt cannot be exchanged yet")               // 304
	ErrRejected    = errors.New("appattest: Apple rejects the receipt; is it the environment?") // 400
	ErrCredentials = errors.New("appattest: Apple rejects the DeviceCheck key")                 // 401
	ErrNoData      = errors.New("appattest: Apple has no data for the receipt any more")        // 404
)

// RefreshOptions of a Refresher. The zero value and nil mean the defaults.
type RefreshOptions struct {
	// Now is the clock for the tokens' time of issue; default time.Now.
	Now func() time.Time
	// BaseURL is the server; default the one of the environment.
	BaseURL string
	// Transport and Timeout of the calls; default a clone of http.DefaultTransport, 5 s.
	Transport http.RoundTripper
	Timeout   time.Duration
}

// Refresher exchanges receipts at Apple's server for ones with a risk metric. It retries nothing. It is safe for
// concurrent use.
type Refresher struct {
	team, keyID string
	key         func() *ecdsa.PrivateKey // a function prints as an address
	now         func() time.Time
	client      *jsonhttp.Client
}

// NewRefresher makes a Refresher for the keys of one environment. keyID and key are those of a DeviceCheck key of the
// developer account, a P-256 key.
func NewRefresher(env Environment, teamID, keyID string, key *ecdsa.PrivateKey, opts *RefreshOptions) (*Refresher, error) {
	var o RefreshOptions
	if opts != nil {
		o = *opts
	}
	switch {
	case env != Production && env != Development:
		return nil, errors.New("appattest: a Refresher wants an environment: Production or Development")
	case teamID == "" || keyID == "":
		return nil, errors.New("appattest: a Refresher wants a team id and the id of a DeviceCheck key")
	case key == nil || key.Curve != elliptic.P256():
		return nil, errors.New("appattest: a Refresher wants a DeviceCheck key, which is on P-256")
	}
	if o.BaseURL == "" {
		o.BaseURL = ProductionURL
		if env == Development {
			o.BaseURL = DevelopmentURL
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := jsonhttp.New(o.BaseURL, &jsonhttp.Options{Transport: o.Transport, Timeout: o.Timeout, MaxBody: 2 * MaxReceipt})
	if err != nil {
		return nil, fmt.Errorf("appattest: the receipt server: %w", err)
	}
	return &Refresher{teamID, keyID, func() *ecdsa.PrivateKey { return key }, o.Now, client}, nil
}

// Refresh exchanges a receipt for a newer one, which is not yet verified: [Verifier.Receipt] does. Ask no more than once a
// day for each key, and not before Receipt.NotBefore.
func (r *Refresher) Refresh(ctx context.Context, receipt []byte) ([]byte, error) {
	if len(receipt) == 0 || len(receipt) > MaxReceipt {
		return nil, fmt.Errorf("appattest: a receipt of %d bytes cannot be exchanged", len(receipt))
	}
	claims, err := json.Marshal(map[string]any{"iss": r.team, "iat": r.now().Unix()})
	if err != nil {
		return nil, fmt.Errorf("appattest: claims: %w", err)
	}
	token, err := jose.Sign(claims, r.key(), map[string]string{"kid": r.keyID})
	if err != nil {
		return nil, fmt.Errorf("appattest: signing for the receipt server: %w", err)
	}
	resp, err := r.client.Do(ctx, jsonhttp.Request{
		Path: "/v1/attestationData", Body: []byte(base64.StdEncoding.EncodeToString(receipt)), Type: "text/plain",
		Header: http.Header{"Authorization": {string(token)}, "Accept": {"*/*"}},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", attest.ErrUnavailable, err)
	}
	switch resp.Status {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil, ErrTooEarly
	case http.StatusBadRequest:
		return nil, ErrRejected
	case http.StatusUnauthorized:
		return nil, ErrCredentials
	case http.StatusNotFound:
		return nil, ErrNoData
	default:
		return nil, fmt.Errorf("%w: status %d", attest.ErrUnavailable, resp.Status)
	}
	fresh, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(resp.Body)))
	if err != nil || len(fresh) == 0 || len(fresh) > MaxReceipt {
		return nil, fmt.Errorf("%w: the answer is no receipt", attest.ErrUnavailable)
	}
	return fresh, nil
}

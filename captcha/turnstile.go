package captcha

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Turnstile is Cloudflare Turnstile
// (https://developers.cloudflare.com/turnstile/get-started/server-side-validation/). It has no score. Host name, action
// and cdata are checked. When no answer comes it asks once more under the same idempotency key, which repeats the
// verdict instead of burning the token; it is the only provider that can. Build it with NewTurnstile. It is safe for
// concurrent use.
type Turnstile struct {
	*remote
	secret Secret
}

var (
	_ Provider   = (*Turnstile)(nil)
	_ Challenger = (*Turnstile)(nil)
)

var turnstileCodes = siteverify{map[string]Reason{
	"missing-input-secret":   ReasonCredentials,
	"invalid-input-secret":   ReasonCredentials,
	"missing-input-response": ReasonMissing,
	"invalid-input-response": ReasonToken,
	"bad-request":            ReasonRequest,
	"timeout-or-duplicate":   ReasonSpent,
	"internal-error":         ReasonProvider,
}}

// NewTurnstile makes a Turnstile. hostnames are those that forms are served from. Cloudflare's test secrets are refused
// unless InsecureTestKeys is set.
func NewTurnstile(secret Secret, hostnames []string, opts *RemoteOptions) (*Turnstile, error) {
	if err := checkSecret("turnstile", "secret", secret); err != nil {
		return nil, err
	}
	r, err := newRemote(contract{"turnstile", "https://challenges.cloudflare.com/turnstile/v0", 5 * time.Minute, 2048, true}, hostnames, opts)
	if err != nil {
		return nil, err
	}
	s, key := string(secret), r.opts.SiteKey
	test := len(s) == 35 && strings.Contains("123", s[:1]) && strings.HasPrefix(s[1:], "x00000000000000000000") ||
		len(key) == 24 && strings.Contains("123", key[:1]) && strings.HasPrefix(key[1:], "x0000000000000000")
	if test && !r.opts.InsecureTestKeys {
		return nil, errTestKey("turnstile")
	}
	return &Turnstile{r, secret}, nil
}

func errTestKey(name string) error {
	return fmt.Errorf("captcha: this is a public test key of %s, with which everybody passes; use your own, or InsecureTestKeys in a test", name)
}

// Verify implements Provider.
func (t *Turnstile) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := t.begin(in.Token); !ok {
		return res, nil
	}
	form := t.form(t.secret, &in)
	key := in.IdempotencyKey
	if key == "" {
		key = newUUID()
	}
	form.Set("idempotency_key", key)
	return t.ask(ctx, &in, exchange{
		token: in.Token, send: jsonhttp.Request{Path: "/siteverify", Form: form}, read: t.read, retry: true, acts: true,
	})
}

func (t *Turnstile) read(resp *jsonhttp.Response) Result {
	return turnstileCodes.read(resp, func(v jsonhttp.Value, res *Result) bool {
		var ok1, ok2, ok3 bool
		res.Action, ok1 = text(v, "action")
		res.CData, ok2 = text(v, "cdata")
		res.VisitorID, ok3 = text(v, "metadata", "ephemeral_id")
		return ok1 && ok2 && ok3
	})
}

// Challenge implements Challenger with the site key.
func (t *Turnstile) Challenge(_ context.Context, r ChallengeRequest) (Task, error) {
	task, err := t.task()
	task.Action = WidgetAction(r.Action)
	return task, err
}

// newUUID is a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

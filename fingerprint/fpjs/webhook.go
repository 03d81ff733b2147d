package fpjs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
)

// HeaderSignature is the header of a webhook's signature. It is absent where the plan has no signatures: then nothing
// can be verified, and everything is refused.
const HeaderSignature = "fpjs-event-signature"

// MaxWebhook is the most bytes of a webhook that are read.
const MaxWebhook = 256 << 10

// Webhook verifies webhooks. It is safe for concurrent use.
type Webhook struct {
	secrets [][]byte
	v       *Verifier
}

// NewWebhook makes one of the signing secrets, newest first, 1 to 8 and none empty: an empty one would accept what
// anybody signs. The verifier finds old and repeated webhooks, which the signature does not; it is required.
func NewWebhook(v *Verifier, secrets ...string) (*Webhook, error) {
	if v == nil {
		return nil, errors.New("fpjs: webhooks need a Verifier: their signature says nothing about when")
	}
	if len(secrets) == 0 || len(secrets) > 8 {
		return nil, errors.New("fpjs: want 1 to 8 webhook secrets")
	}
	w := &Webhook{v: v}
	for _, s := range secrets {
		if s == "" {
			return nil, errors.New("fpjs: a webhook secret is empty: anybody could sign with it")
		}
		w.secrets = append(w.secrets, []byte(s))
	}
	return w, nil
}

// mostSignature is the longest list of signatures that is read.
const mostSignature = 4096

// Verify reports whether one of the signatures in the header's value ("v1=hex, ...") is that of the body, in constant
// time.
func (w *Webhook) Verify(body []byte, signature string) bool {
	var shown [][]byte
	if len(signature) > mostSignature {
		return false
	}
	for part := range strings.SplitSeq(signature, ",") {
		text, found := strings.CutPrefix(strings.TrimSpace(part), "v1=")
		if !found || len(text) != hex.EncodedLen(sha256.Size) {
			continue
		}
		if sum, err := hex.DecodeString(text); err == nil {
			shown = append(shown, sum)
		}
	}
	if len(shown) == 0 {
		return false
	}
	ok := false
	for _, secret := range w.secrets { // the body is hashed once for each, however many signatures are shown
		m := hmac.New(sha256.New, secret)
		_, _ = m.Write(body)
		want := m.Sum(nil)
		for _, sum := range shown {
			ok = hmac.Equal(sum, want) || ok
		}
	}
	return ok
}

// Handler verifies webhooks and gives each new event to f, once. It answers 401 to wrong signatures, 413 and 400 to
// bodies that are too large or no events, 200 to old and repeated ones, and 503 when f or the store fails, so that
// Fingerprint tries again; what f has failed on is given to it again then, if the verifier's Once is a [Releaser].
func (w *Webhook) Handler(f func(ctx context.Context, e *Event) error) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			out.Header().Set("Allow", http.MethodPost)
			http.Error(out, "want POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, MaxWebhook))
		if err != nil {
			http.Error(out, "the body is too large or ended early", http.StatusRequestEntityTooLarge)
			return
		}
		if !w.Verify(body, strings.Join(r.Header.Values(HeaderSignature), ",")) {
			http.Error(out, "the signature is wrong", http.StatusUnauthorized)
			return
		}
		e, err := ParseEvent(body)
		if err != nil {
			http.Error(out, "the body is no event", http.StatusBadRequest)
			return
		}
		if err := w.deliver(r.Context(), e, f); err != nil {
			http.Error(out, "try again", http.StatusServiceUnavailable)
		}
	})
}

// deliver gives an event to f unless it is old or was given before. One that f does not take is new again.
func (w *Webhook) deliver(ctx context.Context, e *Event, f func(ctx context.Context, e *Event) error) (err error) {
	fresh, err := w.v.webhook(ctx, e)
	if err != nil || !fresh {
		return err
	}
	taken := false
	defer func() { // also when f panics
		if !taken {
			err = errors.Join(err, w.v.undelivered(context.WithoutCancel(ctx), e))
		}
	}()
	err = f(ctx, e)
	taken = err == nil
	return err
}

package vonage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// Event is what a status webhook of Verify v2 says of a verification.
type Event struct {
	Ref     string // the verification: Receipt.Ref
	Status  string // Vonage's word: "completed", "blocked", "failed", "expired", ...
	Final   bool   // nothing follows
	Failed  bool   // no code arrived
	Blocked bool   // by Vonage's own anti-fraud: velocity rules, the network, or a VoIP number
}

// ParseEvent reads a webhook's body, whose signature was checked. It reports false for what is none of a verification.
func ParseEvent(body []byte) (Event, bool) {
	v, err := jsonhttp.Parse(body)
	if err != nil {
		return Event{}, false
	}
	e := Event{Ref: v.At("request_id").String(), Status: v.At("status").String()}
	if e.Ref == "" || len(e.Ref) > 128 || len(e.Status) > 32 {
		return Event{}, false
	}
	if v.At("type").String() == "event" { // of one channel: the workflow may go on with another
		return e, e.Status != ""
	}
	switch e.Status {
	case "completed", "expired", "user_rejected", "cancelled", "canceled":
		e.Final = true
	case "failed":
		e.Final, e.Failed = true, true
	case "blocked":
		e.Final, e.Failed, e.Blocked = true, true, true
	case "":
		return Event{}, false
	}
	return e, true
}

// Bounds of a webhook.
const (
	mostEvent = 32 << 10
	mostAge   = 5 * time.Minute
	ahead     = time.Minute
)

// ValidWebhook reports whether the Authorization header of a webhook is right: "Bearer" and a JWT (RFC 7519) with HS256,
// keyed with the account's signature secret, made at most five minutes ago, whose payload_hash is the SHA-256 of the body
// in hexadecimal.
func ValidWebhook(secret phone.Token, authorization string, body []byte, now time.Time) bool {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok || secret == "" || len(token) > 4<<10 {
		return false
	}
	text, sig, ok := cutLast(token, '.')
	given, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	if !ok || err != nil || !hmac.Equal(given, m.Sum(nil)) {
		return false
	}
	head, claims, ok := strings.Cut(text, ".")
	h, err1 := part(head)
	c, err2 := part(claims)
	if !ok || err1 != nil || err2 != nil || h.At("alg").String() != "HS256" {
		return false
	}
	made, ok := c.At("iat").Int()
	sum := sha256.Sum256(body)
	hash, err := hex.DecodeString(c.At("payload_hash").String())
	at := time.Unix(made, 0)
	return ok && err == nil && hmac.Equal(hash, sum[:]) && at.After(now.Add(-mostAge)) && at.Before(now.Add(ahead))
}

func cutLast(s string, c byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func part(s string) (jsonhttp.Value, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return jsonhttp.Value{}, err
	}
	return jsonhttp.Parse(raw)
}

// Delivered takes what a webhook says; [phone.Verifier.Delivered] fits.
type Delivered func(ctx context.Context, d phone.Delivery) (bool, error)

// CallbackOptions of [Callback]. The zero value and nil mean the defaults.
type CallbackOptions struct {
	// OnBlocked is told of verifications that Vonage blocked for fraud; default nobody. It must not block for long.
	OnBlocked func(ctx context.Context, e Event)
	// Now is the clock of tokens; default time.Now.
	Now func() time.Time
}

// Callback is a handler for status webhooks. Posts without a right signature are answered 403; repeated ones change
// nothing. tenant names whose verifications these are.
func Callback(secret phone.Token, tenant string, delivered Delivered, opts *CallbackOptions) (http.Handler, error) {
	var o CallbackOptions
	if opts != nil {
		o = *opts
	}
	if secret == "" || delivered == nil {
		return nil, errors.New("vonage: Callback wants the account's signature secret and somebody to tell")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostEvent))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		signatures := r.Header.Values("Authorization")
		if len(signatures) != 1 || !ValidWebhook(secret, signatures[0], body, o.Now()) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		e, ok := ParseEvent(body)
		if ok && e.Final {
			if _, err := delivered(r.Context(), phone.Delivery{Tenant: tenant, Ref: e.Ref, Failed: e.Failed}); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable) // Vonage tries again
				return
			}
			if e.Blocked && o.OnBlocked != nil {
				o.OnBlocked(r.Context(), e)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

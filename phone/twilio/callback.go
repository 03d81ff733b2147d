package twilio

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's signature is HMAC-SHA-1, whose strength does not rest on collisions
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vestibule-go/vestibule/phone"
)

// ValidSignature reports whether the X-Twilio-Signature of a form post is right: base64 of HMAC-SHA-1, keyed with the
// auth token (never an API key's secret), over the full URL as Twilio requested it and then each parameter's name and
// value in the order of the names. It takes constant time.
func ValidSignature(authToken phone.Token, fullURL string, form url.Values, signature string) bool {
	if authToken == "" || len(signature) > 64 {
		return false
	}
	given, err := base64.StdEncoding.Strict().DecodeString(signature)
	return err == nil && hmac.Equal(given, sign(authToken, fullURL, form))
}

// Sign is the signature itself, for fakes and tests.
func Sign(authToken phone.Token, fullURL string, form url.Values) string {
	return base64.StdEncoding.EncodeToString(sign(authToken, fullURL, form))
}

func sign(authToken phone.Token, fullURL string, form url.Values) []byte {
	m := hmac.New(sha1.New, []byte(authToken))
	m.Write([]byte(fullURL))
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			m.Write([]byte(name))
			m.Write([]byte(v))
		}
	}
	return m.Sum(nil)
}

// Status is a status callback of a message or call.
type Status struct {
	Ref    string // of the message or call
	Status string // Twilio's word: "delivered", "undelivered", "completed", ...
	Code   string // Twilio's error code, or ""
	Final  bool   // nothing follows
	Failed bool   // it will not arrive
}

// ParseStatus reads a status callback whose signature was checked. It reports false for what is none.
func ParseStatus(form url.Values) (Status, bool) {
	s := Status{Ref: form.Get("MessageSid"), Status: form.Get("MessageStatus"), Code: form.Get("ErrorCode")}
	if s.Ref == "" {
		s.Ref, s.Status = form.Get("CallSid"), form.Get("CallStatus")
	}
	if len(s.Ref) != 34 || len(s.Status) > 32 || len(s.Code) > 8 {
		return Status{}, false
	}
	switch s.Status {
	case "undelivered", "failed", "canceled", "busy", "no-answer":
		s.Final, s.Failed = true, true
	case "delivered", "read", "completed":
		s.Final = true
	case "queued", "accepted", "scheduled", "sending", "sent", "partially_delivered", "initiated", "ringing", "in-progress", "answered":
	default:
		return Status{}, false
	}
	return s, true
}

// Delivered takes what a callback says; [phone.Verifier.Delivered] fits.
type Delivered func(ctx context.Context, d phone.Delivery) (bool, error)

const mostCallback = 32 << 10

// Callback is a handler for status callbacks. publicURL is the URL given to Twilio as StatusCallback, for the signature
// covers it. Posts without a right signature are answered 403; repeated ones change nothing. tenant names whose messages
// these are.
func Callback(authToken phone.Token, publicURL, tenant string, delivered Delivered) (http.Handler, error) {
	if authToken == "" || delivered == nil || !strings.HasPrefix(publicURL, "https://") {
		return nil, errors.New("twilio: Callback wants the auth token, the public https URL and somebody to tell")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostCallback)
		if err := r.ParseForm(); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		signatures := r.Header.Values("X-Twilio-Signature")
		if len(signatures) != 1 || !ValidSignature(authToken, publicURL, r.PostForm, signatures[0]) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s, ok := ParseStatus(r.PostForm)
		if ok && s.Final {
			if _, err := delivered(r.Context(), phone.Delivery{Tenant: tenant, Ref: s.Ref, Failed: s.Failed}); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable) // Twilio may try again
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

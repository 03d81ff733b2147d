package twilio_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/twilio"
)

const public = "https://example.com/twilio/status?tenant=t"

func TestCallback(t *testing.T) {
	f := fake(t)
	type told struct{ phone.Delivery }
	var got []told
	token := phone.Token("auth-token")
	h, err := twilio.Callback(token, public, "t", func(_ context.Context, d phone.Delivery) (bool, error) {
		got = append(got, told{d})
		return true, nil
	})
	require.NoError(t, err)
	ref := "SM" + strings.Repeat("a", 32)
	post := func(change func(form url.Values, r *http.Request)) int {
		form, sig := f.Callback(ref, "undelivered", public, token)
		r := httptest.NewRequest(http.MethodPost, "/twilio/status?tenant=t", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Twilio-Signature", sig)
		if change != nil {
			change(form, r)
		}
		r.Body = io.NopCloser(strings.NewReader(form.Encode()))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 204, post(nil))
	require.Equal(t, []told{{phone.Delivery{Tenant: "t", Ref: ref, Failed: true}}}, got)
	for name, change := range map[string]func(url.Values, *http.Request){
		"changed value":   func(f url.Values, _ *http.Request) { f.Set("MessageStatus", "delivered") },
		"added value":     func(f url.Values, _ *http.Request) { f.Add("MessageSid", "SM"+strings.Repeat("b", 32)) },
		"added parameter": func(f url.Values, _ *http.Request) { f.Set("X", "") },
		"removed":         func(f url.Values, _ *http.Request) { f.Del("ErrorCode") },
		"no signature":    func(_ url.Values, r *http.Request) { r.Header.Del("X-Twilio-Signature") },
		"empty signature": func(_ url.Values, r *http.Request) { r.Header.Set("X-Twilio-Signature", "") },
		"two signatures":  func(_ url.Values, r *http.Request) { r.Header.Add("X-Twilio-Signature", "x") },
		"not base64":      func(_ url.Values, r *http.Request) { r.Header.Set("X-Twilio-Signature", "!!") },
		"of another token": func(f url.Values, r *http.Request) {
			r.Header.Set("X-Twilio-Signature", twilio.Sign("other", public, f))
		},
		"of another URL": func(f url.Values, r *http.Request) {
			r.Header.Set("X-Twilio-Signature", twilio.Sign(token, public+"x", f))
		},
	} {
		require.Equal(t, 403, post(change), name)
	}
	require.Len(t, got, 1)
	require.Equal(t, 405, post(func(_ url.Values, r *http.Request) { r.Method = http.MethodGet }))
	require.Equal(t, 400, post(func(f url.Values, _ *http.Request) { f.Set("Body", strings.Repeat("a", 64<<10)) }))
	for _, status := range []string{"queued", "sent", "bogus"} {
		form, sig := f.Callback(ref, status, public, token)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Twilio-Signature", sig)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 204, w.Code)
	}
	require.Len(t, got, 1, "only what is final")
}

// An example that Twilio's documentation has long shown.
func TestSignature(t *testing.T) {
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"}}
	require.True(t, twilio.ValidSignature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form, "RSOYDt4T1cUTdK1PDd93/VVr8B8="))
	require.False(t, twilio.ValidSignature("", "https://example.com/", form, twilio.Sign("", "https://example.com/", form)), "no token is no key")
}

func FuzzSignature(f *testing.F) {
	f.Add("token", "https://example.com/", "a=b&c=d", "AAAA")
	f.Fuzz(func(t *testing.T, token, u, query, sig string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if token != "" && !twilio.ValidSignature(phone.Token(token), u, form, twilio.Sign(phone.Token(token), u, form)) {
			t.Fatal("its own signature is refused")
		}
		if twilio.ValidSignature(phone.Token(token), u, form, sig) && sig != twilio.Sign(phone.Token(token), u, form) {
			t.Fatal("another signature is accepted")
		}
		_, _ = twilio.ParseStatus(form)
	})
}

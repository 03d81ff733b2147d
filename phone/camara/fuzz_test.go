package camara_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/camara"
)

// says is a transport that answers everything alike.
type says struct {
	status int
	body   []byte
}

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.body)), Request: r}, nil
}

// Whatever an operator answers, no number is verified and no swap denied that it does not say so of, and errors repeat
// neither number nor token.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"devicePhoneNumberVerified":true}`))
	f.Add(200, []byte(`{"swapped":true,"latestSimChange":"2026-02-25T12:00:00Z","latestDeviceChange":null,"monitoredPeriod":120}`))
	f.Add(200, []byte(`{"phoneNumberRecycled":false,"latestSimChange":null,"swapped":false}`))
	f.Add(403, []byte(`{"status":403,"code":"NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK","message":"x"}`))
	f.Add(422, []byte(`{"status":422,"code":"SERVICE_NOT_APPLICABLE"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		o := camara.HTTPOptions{Transport: says{status, body}}
		tokens := camara.TokenFunc(func(context.Context, phone.Number, string, bool) (phone.Token, error) { return "s3cret-token", nil })
		i, err := camara.NewIntelligence("https://api.operator.example", tokens, &camara.IntelligenceOptions{HTTP: o})
		if err != nil {
			t.Fatal(err)
		}
		v, err := camara.NewNumberVerification("https://api.operator.example", &camara.VerificationOptions{HTTP: o})
		if err != nil {
			t.Fatal(err)
		}
		n := number(t, mobile)
		check := func(err error) {
			if err != nil && (len(err.Error()) > 800 || strings.Contains(err.Error(), mobile[3:]) || strings.Contains(err.Error(), "s3cret")) {
				t.Fatal("the error repeats what it should not")
			}
		}
		is, err := v.VerifyDevice(t.Context(), "s3cret-token", n)
		check(err)
		if is && (err != nil || status != http.StatusOK || !bytes.Contains(body, []byte("true"))) {
			t.Fatal("verified out of nothing")
		}
		if errors.Is(err, phone.ErrNotMobile) && status != http.StatusForbidden {
			t.Fatal("on Wi-Fi out of nothing")
		}
		got, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap | phone.FieldDeviceSwap | phone.FieldRecycled, Since: now.Add(-time.Hour)})
		check(err)
		if got.Known() != 0 && status != http.StatusOK {
			t.Fatalf("known out of status %d", status)
		}
		if at, none, err := i.RetrieveSIMSwap(t.Context(), n); err == nil && !at.IsZero() && none != 0 || none < 0 {
			t.Fatal("both a date and none")
		}
	})
}

package twilio_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/twilio"
)

// says is a transport that answers everything alike.
type says struct {
	status int
	body   []byte
}

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{"Retry-After": {string(s.body[:min(len(s.body), 12)])}},
		Body: io.NopCloser(bytes.NewReader(s.body)), Request: r}, nil
}

// Whatever Twilio answers, nothing passes that does not say so in so many words, and errors repeat nothing of it.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"sid":"VEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","status":"approved","valid":true,"to":"+4740000000"}`))
	f.Add(201, []byte(`{"sid":"SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","status":"queued","price":"-0.0079","error_code":null}`))
	f.Add(200, []byte(`{"status":"pending","valid":false,"to":"+4740000000","phone_number":"+4740000000","sim_swap":{"error_code":60620}}`))
	f.Add(429, []byte(`{"code":20429,"message":"Too Many Requests","status":429}`))
	f.Add(404, []byte(`{"code":20404}`))
	f.Add(302, []byte(`<html>`))
	cred := twilio.Credentials{AccountSID: "AC" + strings.Repeat("a", 32), Secret: "s3cret-value"}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		http := twilio.HTTPOptions{Transport: says{status, body}}
		s, err := twilio.NewSender(cred, "+15005550006", &twilio.SenderOptions{HTTP: http})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := twilio.NewVerify(cred, "VA"+strings.Repeat("a", 32), &twilio.VerifyOptions{HTTP: http})
		l, _ := twilio.NewLookup(cred, &twilio.LookupOptions{HTTP: http})
		n := number(t, "+4740000000")
		good := status < 300
		check := func(err error) {
			if err == nil {
				if !good {
					t.Fatalf("status %d is no error", status)
				}
				return
			}
			if len(err.Error()) > 500 || strings.Contains(err.Error(), "40000000") || strings.Contains(err.Error(), "s3cret") {
				t.Fatal("the error repeats what it should not")
			}
		}
		got, err := s.Send(t.Context(), message(t, "+4740000000", phone.SMS))
		check(err)
		if err == nil && got.Ref == "" || got.Price < 0 {
			t.Fatal("a receipt of nothing")
		}
		_, err = v.Start(t.Context(), message(t, "+4740000000", phone.SMS))
		check(err)
		verdict, err := v.Check(t.Context(), "VE1", n, "123456")
		if verdict == phone.HostedApproved && (!bytes.Contains(body, []byte("approved")) && !bytes.Contains(body, []byte(`\u`)) || !good) {
			t.Fatal("approved out of nothing")
		}
		if (verdict == 0) != (err != nil) {
			t.Fatal("neither verdict nor error, or both")
		}
		intel, err := l.Lookup(t.Context(), n, phone.Query{Fields: everything, Since: now})
		check(err)
		if intel.HasPumping && !(intel.Pumping >= 0 && intel.Pumping <= 1) {
			t.Fatal("risk out of range")
		}
	})
}

// Nobody is told of a delivery unless the signature over the very form is right.
func FuzzCallback(f *testing.F) {
	f.Add("MessageSid=SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&MessageStatus=delivered", "AAAA", false)
	f.Add("CallSid=CAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&CallStatus=busy&x=%zz", "", true)
	f.Fuzz(func(t *testing.T, body, signature string, sign bool) {
		told := 0
		h, err := twilio.Callback("token", public, "t", func(_ context.Context, d phone.Delivery) (bool, error) {
			if told++; d.Ref == "" || d.Tenant != "t" {
				t.Fatal("a delivery of nothing")
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		form, bad := url.ParseQuery(body)
		right := bad == nil && twilio.Sign("token", public, form) == signature
		if sign && bad == nil {
			signature, right = twilio.Sign("token", public, form), true
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["X-Twilio-Signature"] = []string{signature}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if told > 0 && !right || told > 1 || right && len(body) < 32<<10 && w.Code != http.StatusNoContent || !right && w.Code == http.StatusNoContent {
			t.Fatalf("told %d times with a signature that is right: %v, answer %d", told, right, w.Code)
		}
	})
}

// What a period is read as has a length that can be compared.
func FuzzSwapPeriod(f *testing.F) {
	for _, s := range []string{"PT48H", "P30D", "PT90M", "P1W", "P", "PT", "PT-1H", "PT99999H"} {
		f.Add(s, true, "2026-02-25T12:00:00Z")
	}
	f.Fuzz(func(t *testing.T, period string, swapped bool, date string) {
		body := `{"sim_swap":{"last_sim_swap":{"last_sim_swap_date":` + quote(date) + `,"swapped_period":` + quote(period) + `,"swapped_in_period":`
		if swapped {
			body += "true}}}"
		} else {
			body += "false}}}"
		}
		got, _ := twilio.ParseLookup([]byte(body), phone.Query{Fields: phone.FieldSIMSwap, SwapWithin: 24 * time.Hour}, now)
		if got.SIMSwap == phone.No && swapped && got.SIMSwapAt.IsZero() {
			t.Fatal("a swap is read as none")
		}
	})
}

// quote makes a JSON text of printable ASCII.
func quote(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= ' ' && r <= '~' && r != '"' && r != '\\' {
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

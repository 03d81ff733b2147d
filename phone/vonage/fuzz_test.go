package vonage_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/vonage"
)

// says is a transport that answers everything alike.
type says struct {
	status int
	body   []byte
}

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.body)), Request: r}, nil
}

// Whatever Vonage answers, nothing passes that does not say so in so many words, and errors repeat nothing of it.
func FuzzAnswers(f *testing.F) {
	f.Add(202, []byte(`{"request_id":"c11236f4-00bf-4b89-84ba-88b25df97315"}`))
	f.Add(200, []byte(`{"request_id":"id","status":"completed"}`))
	f.Add(200, []byte(`{"request_id":"x","insights":{"format":{"is_format_valid":true,"status":{"code":"OK"}},"sim_swap":{"status":{"code":"NO_COVERAGE"}}}}`))
	f.Add(409, []byte(`{"title":"Conflict","detail":"Concurrent verifications to the same number are not allowed","request_id":"id"}`))
	f.Add(410, []byte(`{"title":"Invalid Code"}`))
	fake := phonetest.NewVonage(nil)
	app, err := vonage.NewApplication(phonetest.VonageApplication, fake.PrivateKey(), nil)
	fake.Close()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		insights, verify := clients(t, app, vonage.HTTPOptions{Transport: says{status, body}})
		n := number(t, "+4740000000")
		check := func(err error) {
			if err == nil && status > 299 {
				t.Fatalf("status %d is no error", status)
			}
			if err != nil && (len(err.Error()) > 800 || strings.Contains(err.Error(), "40000000")) {
				t.Fatal("the error repeats what it should not")
			}
		}
		got, err := verify.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS})
		check(err)
		if err == nil && got.Ref == "" {
			t.Fatal("a receipt of nothing")
		}
		verdict, err := verify.Check(t.Context(), "id", n, "123456")
		if verdict == phone.HostedApproved && status != http.StatusOK || (verdict == 0) != (err != nil) {
			t.Fatalf("verdict %d, error %v, status %d", verdict, err, status)
		}
		intel, err := insights.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldValid | phone.FieldLine | phone.FieldSIMSwap | phone.FieldDeviceSwap})
		check(err)
		if err != nil && status > 299 && intel != (phone.Intel{}) {
			t.Fatal("knowledge beside an error of all")
		}
	})
}

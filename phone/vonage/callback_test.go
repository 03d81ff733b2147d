package vonage_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/vonage"
)

func TestCallback(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := phonetest.NewVonage(&phonetest.VonageOptions{Now: func() time.Time { return at }})
	t.Cleanup(f.Close)
	var told []phone.Delivery
	var blocked int
	var down error
	h, err := vonage.Callback(f.Secret(), "t", func(_ context.Context, d phone.Delivery) (bool, error) {
		told = append(told, d)
		return true, down
	}, &vonage.CallbackOptions{Now: func() time.Time { return at }, OnBlocked: func(context.Context, vonage.Event) { blocked++ }})
	require.NoError(t, err)
	post := func(body []byte, authorization ...string) int {
		r := httptest.NewRequest(http.MethodPost, "/vonage", strings.NewReader(string(body)))
		r.Header["Authorization"] = authorization
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, row := range []struct {
		status        string
		final, failed bool
	}{{"completed", true, false}, {"expired", true, false}, {"user_rejected", true, false}, {"failed", true, true}, {"blocked", true, true}, {"in_progress", false, false}} {
		told = nil
		body, auth := f.Event("id-1", row.status)
		require.Equal(t, 204, post(body, auth), row.status)
		if !row.final {
			require.Empty(t, told)
			continue
		}
		require.Equal(t, []phone.Delivery{{Tenant: "t", Ref: "id-1", Failed: row.failed}}, told)
	}
	require.Equal(t, 1, blocked)
	told = nil
	channel := []byte(`{"request_id":"id-1","type":"event","channel":"sms","status":"failed"}`)
	require.Equal(t, 204, post(channel, f.SignWebhook(channel)))
	require.Empty(t, told, "one channel of several")
	for _, body := range []string{`{}`, `[]`, `no JSON`, `{"request_id":"x"}`, `{"request_id":"` + strings.Repeat("x", 200) + `","status":"failed"}`} {
		require.Equal(t, 204, post([]byte(body), f.SignWebhook([]byte(body))), "signed, but nothing of ours")
	}
	require.Empty(t, told)

	body, auth := f.Event("id-1", "failed")
	bearer := strings.TrimPrefix(auth, "Bearer ")
	parts := strings.Split(bearer, ".")
	other := phonetest.NewVonage(&phonetest.VonageOptions{Now: func() time.Time { return at }})
	t.Cleanup(other.Close)
	for name, row := range map[string]struct {
		body []byte
		auth []string
	}{
		"no signature":           {body, nil},
		"two signatures":         {body, []string{auth, auth}},
		"another scheme":         {body, []string{"Basic " + bearer}},
		"changed body":           {append([]byte(" "), body...), []string{auth}},
		"another body":           {[]byte(strings.Replace(string(body), "failed", "completed", 1)), []string{auth}},
		"changed claims":         {body, []string{"Bearer " + parts[0] + "." + parts[1][:8] + "A" + parts[1][9:] + "." + parts[2]}},
		"no claims":              {body, []string{"Bearer " + parts[0] + ".." + parts[2]}},
		"cut signature":          {body, []string{strings.TrimSuffix(auth, parts[2])}},
		"of another secret":      {body, []string{other.SignWebhook(body)}},
		"no algorithm":           {body, []string{"Bearer eyJhbGciOiJub25lIn0." + parts[1] + "."}},
		"longer than any":        {body, []string{"Bearer " + strings.Repeat("a", 8<<10)}},
		"not base64":             {body, []string{"Bearer " + parts[0] + "." + parts[1] + ".!!"}},
		"signature, padded more": {body, []string{auth + "="}},
	} {
		require.Equal(t, 403, post(row.body, row.auth...), name)
	}
	require.Empty(t, told)
	now := at
	for _, skew := range []time.Duration{-2 * time.Minute, 6 * time.Minute} {
		at = now.Add(skew)
		require.Equal(t, 403, post(body, auth), "made %v ago", skew)
	}
	at = now
	down = errors.New("down")
	require.Equal(t, 503, post(body, auth), "so that it comes again")
	require.Equal(t, 400, post([]byte(strings.Repeat("a", 64<<10)), auth))
	r := httptest.NewRequest(http.MethodGet, "/vonage", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 405, w.Code)
	_, err = vonage.Callback("", "t", func(context.Context, phone.Delivery) (bool, error) { return true, nil }, nil)
	require.Error(t, err)
	require.False(t, vonage.ValidWebhook("", auth, body, at), "no secret is no key")
}

// What Vonage blocks for fraud is accepted first, and only the webhook says so.
func TestBlockedByWebhook(t *testing.T) {
	f, app := fake(t)
	_, v := clients(t, app, vonage.HTTPOptions{BaseURL: f.URL()})
	f.Block("+4740")
	n := number(t, "+4740000000")
	got, err := v.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS, TTL: 5 * time.Minute})
	require.NoError(t, err)
	_, sent := f.Inbox.Code(n)
	require.False(t, sent)
	verdict, err := v.Check(t.Context(), got.Ref, n, "123456")
	require.NoError(t, err)
	require.Equal(t, phone.HostedGone, verdict)
	body, _ := f.Event(got.Ref, "blocked")
	e, ok := vonage.ParseEvent(body)
	require.True(t, ok)
	require.True(t, e.Blocked && e.Failed && e.Final)
	require.Equal(t, got.Ref, e.Ref)
}

func FuzzWebhook(f *testing.F) {
	fake := phonetest.NewVonage(nil)
	fake.Close()
	body, auth := fake.Event("id", "blocked")
	f.Add(body, auth)
	f.Add([]byte(`{"request_id":"x","status":"failed"}`), "Bearer a.b.c")
	f.Fuzz(func(t *testing.T, body []byte, authorization string) {
		if e, ok := vonage.ParseEvent(body); ok && (e.Ref == "" || e.Blocked && !e.Failed || e.Failed && !e.Final) {
			t.Fatalf("%+v", e)
		}
		if authorization != auth && vonage.ValidWebhook(fake.Secret(), authorization, body, time.Now()) {
			t.Fatal("a signature nobody made")
		}
		if !vonage.ValidWebhook(fake.Secret(), fake.SignWebhook(body), body, time.Now()) {
			t.Fatal("its own signature is refused")
		}
	})
}

package phonetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
)

type object = map[string]any

// caller calls a fake as any client might.
type caller struct {
	t    *testing.T
	base string
	auth func(*http.Request)
}

func (c caller) do(method, path, kind, body string) (int, object) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if c.auth != nil {
		c.auth(r)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, resp.Body.Close()) }()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	var v object
	if len(raw) > 0 {
		require.NoError(c.t, json.Unmarshal(raw, &v), "%s", raw)
	}
	return resp.StatusCode, v
}

func (c caller) form(path string, pairs ...string) (int, object) {
	c.t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return c.do(http.MethodPost, path, "application/x-www-form-urlencoded", v.Encode())
}

func twilioCaller(t *testing.T) (*phonetest.Twilio, caller, string) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := phonetest.NewTwilio(&phonetest.TwilioOptions{Now: func() time.Time { return now }})
	t.Cleanup(f.Close)
	cred := f.Credentials()
	return f, caller{t, f.URL(), func(r *http.Request) { r.SetBasicAuth(cred.KeySID, string(cred.Secret)) }}, "/2010-04-01/Accounts/" + cred.AccountSID
}

const to = "+4740000000"

func TestTwilioRefuses(t *testing.T) {
	f, c, account := twilioCaller(t)
	service := "/v2/Services/" + f.Service()
	say := "<Response><Say>1, 2, 3, 4</Say></Response>"
	for _, row := range []struct {
		name, path   string
		pairs        []string
		status, code int
	}{
		{"unknown account", "/2010-04-01/Accounts/AC0/Messages.json", []string{"To", to, "From", f.From(), "Body", "x"}, 404, 20404},
		{"unknown resource", "/v3/x", nil, 404, 20404},
		{"no To", account + "/Messages.json", []string{"From", f.From(), "Body", "x"}, 400, 21604},
		{"no From", account + "/Messages.json", []string{"To", to, "Body", "x"}, 400, 21603},
		{"From not owned", account + "/Messages.json", []string{"To", to, "From", "+4790000000", "Body", "x"}, 400, 21606},
		{"another messaging service", account + "/Messages.json", []string{"To", to, "MessagingServiceSid", "MG1", "Body", "x"}, 400, 21701},
		{"no Body", account + "/Messages.json", []string{"To", to, "From", f.From()}, 400, 21602},
		{"a long Body", account + "/Messages.json", []string{"To", to, "From", f.From(), "Body", strings.Repeat("x", 1601)}, 400, 21617},
		{"no number", account + "/Messages.json", []string{"To", "40000000", "From", f.From(), "Body", "x"}, 400, 21211},
		{"a validity of a day", account + "/Messages.json", []string{"To", to, "From", f.From(), "Body", "x", "ValidityPeriod", "86400"}, 400, 20001},
		{"another risk check", account + "/Messages.json", []string{"To", to, "From", f.From(), "Body", "x", "RiskCheck", "maybe"}, 400, 20001},
		{"a callback without TLS", account + "/Messages.json", []string{"To", to, "From", f.From(), "Body", "x", "StatusCallback", "http://x"}, 400, 21609},
		{"WhatsApp without a template", account + "/Messages.json", []string{"To", "whatsapp:" + to, "From", "whatsapp:" + f.From(), "Body", "x"}, 400, 63016},
		{"WhatsApp from a number", account + "/Messages.json", []string{"To", "whatsapp:" + to, "From", f.From(), "Body", "x"}, 400, 63007},
		{"a call from nobody", account + "/Calls.json", []string{"To", to, "Twiml", say}, 400, 21213},
		{"a call to nobody", account + "/Calls.json", []string{"From", f.From(), "Twiml", say}, 400, 21201},
		{"no TwiML", account + "/Calls.json", []string{"To", to, "From", f.From()}, 400, 21218},
		{"TwiML that dials", account + "/Calls.json", []string{"To", to, "From", f.From(), "Twiml", "<Response><Dial>+19005551234</Dial></Response>"}, 400, 21218},
		{"TwiML that is cut", account + "/Calls.json", []string{"To", to, "From", f.From(), "Twiml", "<Response><Say>"}, 400, 21218},
		{"ringing for an hour", account + "/Calls.json", []string{"To", to, "From", f.From(), "Twiml", say, "Timeout", "3600"}, 400, 21218},
		{"another service", "/v2/Services/VA1/Verifications", []string{"To", to, "Channel", "sms"}, 404, 20404},
		{"no channel", service + "/Verifications", []string{"To", to}, 400, 60200},
		{"another channel", service + "/Verifications", []string{"To", to, "Channel", "fax"}, 400, 60200},
		{"a channel that is not enabled", service + "/Verifications", []string{"To", to, "Channel", "sna"}, 403, 60204},
		{"a custom code", service + "/Verifications", []string{"To", to, "Channel", "sms", "CustomCode", "123456"}, 403, 60204},
		{"an app hash", service + "/Verifications", []string{"To", to, "Channel", "sms", "AppHash", "x"}, 400, 60200},
		{"tags", service + "/Verifications", []string{"To", to, "Channel", "sms", "Tags", "x"}, 400, 60200},
		{"a check of nothing", service + "/VerificationCheck", []string{"Code", "123456"}, 400, 60200},
		{"a check without a code", service + "/VerificationCheck", []string{"To", to}, 400, 60200},
		{"a check that nobody began", service + "/VerificationCheck", []string{"To", to, "Code", "123456"}, 404, 20404},
		{"a check of another sid", service + "/VerificationCheck", []string{"VerificationSid", "VE1", "Code", "123456"}, 404, 20404},
		{"a safe number", "/v2/SafeList/Numbers", []string{"PhoneNumber", "x"}, 400, 60200},
	} {
		status, v := c.form(row.path, row.pairs...)
		require.Equal(t, row.status, status, row.name)
		require.EqualValues(t, row.code, v["code"], row.name)
		require.EqualValues(t, row.status, v["status"], row.name)
		require.Contains(t, v, "message")
		require.Contains(t, v, "more_info")
	}
	status, v := c.do(http.MethodPost, account+"/Messages.json", "application/json", `{"To":"`+to+`"}`)
	require.Equal(t, 415, status)
	require.EqualValues(t, 20415, v["code"])
	require.Empty(t, f.Inbox.Messages())
	f.Limit(1)
	status, _ = c.do(http.MethodGet, "/v2/PhoneNumbers/"+to, "", "")
	require.Equal(t, 200, status)
	status, v = c.do(http.MethodGet, "/v2/PhoneNumbers/"+to, "", "")
	require.Equal(t, 429, status)
	require.EqualValues(t, 20429, v["code"])
	f.Limit(-1)
	cred := f.Credentials()
	for _, pair := range [][2]string{{"", ""}, {cred.KeySID, "x"}, {cred.AccountSID, string(cred.Secret)}, {cred.KeySID, string(f.AuthToken())}} {
		c.auth = func(r *http.Request) { r.SetBasicAuth(pair[0], pair[1]) }
		status, v = c.form(account+"/Messages.json", "To", to)
		require.Equal(t, 401, status)
		require.EqualValues(t, 20003, v["code"])
	}
	c.auth = func(r *http.Request) { r.SetBasicAuth(cred.AccountSID, string(f.AuthToken())) }
	status, _ = c.do(http.MethodGet, "/v2/PhoneNumbers/"+to, "", "")
	require.Equal(t, 200, status, "the account's own token")
}

func TestTwilioMessageLife(t *testing.T) {
	f, c, account := twilioCaller(t)
	status, m := c.form(account+"/Messages.json", "To", to, "MessagingServiceSid", f.Messaging(), "Body", strings.Repeat("x", 161))
	require.Equal(t, 201, status)
	require.Equal(t, "accepted", m["status"])
	require.Equal(t, "2", m["num_segments"], "a text, and two segments")
	require.Nil(t, m["price"])
	_, m = c.form(account+"/Messages.json", "To", to, "From", f.From(), "Body", strings.Repeat("✓", 71))
	require.Equal(t, "2", m["num_segments"], "not of GSM-7")
	sid := m["sid"].(string)
	f.Advance(sid, "undelivered")
	status, m = c.do(http.MethodGet, account+"/Messages/"+sid+".json", "", "")
	require.Equal(t, 200, status)
	require.Equal(t, "undelivered", m["status"])
	require.EqualValues(t, 30003, m["error_code"])
	status, _ = c.do(http.MethodGet, account+"/Calls/"+sid+".json", "", "")
	require.Equal(t, 404, status)
	status, m = c.form(account+"/Calls.json", "To", to, "From", f.From(), "Twiml", "<Response><Say>Your code is 1, 2, 3, 4</Say></Response>")
	require.Equal(t, 201, status)
	status, _ = c.do(http.MethodGet, account+"/Calls/"+m["sid"].(string)+".json", "", "")
	require.Equal(t, 200, status)
	n, err := phone.Parse(to, "")
	require.NoError(t, err)
	code, _ := f.Inbox.Code(n)
	require.Equal(t, "1234", string(code))
}

func TestTwilioVerifications(t *testing.T) {
	f, c, _ := twilioCaller(t)
	service := "/v2/Services/" + f.Service()
	status, v := c.form(service+"/Verifications", "To", to, "Channel", "sms", "Tags", `{"tenant":"t"}`)
	require.Equal(t, 201, status)
	sid := v["sid"].(string)
	_, v = c.form(service+"/Verifications", "To", to, "Channel", "call")
	require.Equal(t, sid, v["sid"], "one verification of a number")
	require.Len(t, v["send_code_attempts"], 2)
	n, err := phone.Parse(to, "")
	require.NoError(t, err)
	code, _ := f.Inbox.Code(n)
	status, v = c.form(service+"/VerificationCheck", "To", to, "Code", "000000x")
	require.Equal(t, 200, status)
	require.Equal(t, "pending", v["status"])
	require.Equal(t, false, v["valid"])
	require.NotContains(t, v, "send_code_attempts")
	status, _ = c.do(http.MethodGet, service+"/Verifications/"+sid, "", "")
	require.Equal(t, 200, status)
	_, v = c.do(http.MethodGet, "/v2/Attempts/Summary?Country=NO", "", "")
	require.EqualValues(t, 2, v["total_unconverted"])
	require.Equal(t, "0.000000000", v["conversion_rate_percentage"], "a text")
	status, v = c.form(service+"/VerificationCheck", "VerificationSid", sid, "Code", string(code))
	require.Equal(t, 201, status)
	require.Equal(t, "approved", v["status"])
	status, _ = c.form(service+"/VerificationCheck", "VerificationSid", sid, "Code", string(code))
	require.Equal(t, 404, status, "over")
	status, _ = c.do(http.MethodGet, service+"/Verifications/"+sid, "", "")
	require.Equal(t, 404, status)
	_, v = c.form(service+"/Verifications", "To", "+46701234567", "Channel", "sms")
	other := v["sid"].(string)
	status, _ = c.form(service+"/Verifications/"+other, "Status", "lost")
	require.Equal(t, 400, status)
	status, v = c.form(service+"/Verifications/"+other, "Status", "canceled")
	require.Equal(t, 200, status)
	require.Equal(t, "canceled", v["status"])
	status, _ = c.form(service+"/Verifications/"+other, "Status", "approved")
	require.Equal(t, 404, status)
	for query, want := range map[string]int{"": 3, "?VerificationSid=" + sid: 2, "?Status=converted": 2, "?Status=unconverted": 1, "?Channel=call": 1,
		"?Country=SE": 1, "?VerifyServiceSid=VA0": 0, "?VerifyServiceSid=" + f.Service(): 3, "?PageSize=1": 1, "?PageSize=2&Page=1": 1,
		"?DateCreatedAfter=2026-03-01T12:00:01Z": 0, "?DateCreatedBefore=2026-03-01T12:00:00Z": 3} {
		status, v = c.do(http.MethodGet, "/v2/Attempts"+query, "", "")
		require.Equal(t, 200, status)
		require.Len(t, v["attempts"], want, query)
		require.Contains(t, v["meta"], "next_page_url")
	}
	_, v = c.do(http.MethodGet, "/v2/Attempts?VerificationSid="+sid, "", "")
	first := v["attempts"].([]any)[0].(object)
	status, v = c.do(http.MethodGet, "/v2/Attempts/"+first["sid"].(string), "", "")
	require.Equal(t, 200, status)
	require.Equal(t, first, v)
	require.Equal(t, "NO", v["channel_data"].(object)["country"])
	status, _ = c.do(http.MethodGet, "/v2/Attempts/VL0", "", "")
	require.Equal(t, 404, status)
	status, _ = c.do(http.MethodGet, "/v2/Attempts?PageSize=5000", "", "")
	require.Equal(t, 400, status)
	_, v = c.do(http.MethodGet, "/v2/Attempts/Summary?DestinationPrefix=%2B47", "", "")
	require.Equal(t, "100.000000000", v["conversion_rate_percentage"])

	f.Block("+4741")
	status, v = c.form(service+"/Verifications", "To", "+4741000000", "Channel", "sms")
	require.Equal(t, 403, status)
	require.EqualValues(t, 60410, v["code"])
	status, v = c.form("/v2/SafeList/Numbers", "PhoneNumber", "+4741000000")
	require.Equal(t, 201, status)
	require.Contains(t, v, "sid")
	status, _ = c.form(service+"/Verifications", "To", "+4741000000", "Channel", "sms")
	require.Equal(t, 201, status, "on the safe list")
	for i, want := range []int{200, 204, 404} {
		method := []string{http.MethodGet, http.MethodDelete, http.MethodGet}[i]
		status, _ = c.do(method, "/v2/SafeList/Numbers/+4741000000", "", "")
		require.Equal(t, want, status)
	}
}

func TestTwilioLookups(t *testing.T) {
	f, c, _ := twilioCaller(t)
	line := func(number string) any {
		_, v := c.do(http.MethodGet, "/v2/PhoneNumbers/"+number+"?Fields=line_type_intelligence", "", "")
		return v["line_type_intelligence"].(object)["type"]
	}
	path := "/v2/PhoneNumbers/" + to + "/Overrides/line_type_intelligence"
	require.Equal(t, "mobile", line(to))
	const js, set = "application/json", `{"line_type":"nonFixedVoip","reason":"a burner"}`
	for _, row := range []struct {
		method, path, kind, body string
		status                   int
	}{
		{http.MethodGet, path, "", "", 404},
		{http.MethodPut, path, js, set, 404},
		{http.MethodPost, path, "", set, 415},
		{http.MethodPost, path, js, `{"line_type":"hologram","reason":"x"}`, 400},
		{http.MethodPost, path, js, `{"line_type":"mobile"}`, 400},
		{http.MethodPost, "/v2/PhoneNumbers/" + to + "/Overrides/sim_swap", js, set, 400},
		{http.MethodPost, path, js, set, 201},
		{http.MethodPost, path, js, set, 400},
		{http.MethodGet, path, "", "", 200},
	} {
		status, _ := c.do(row.method, row.path, row.kind, row.body)
		require.Equal(t, row.status, status, "%s %s", row.method, row.body)
	}
	require.Equal(t, "nonFixedVoip", line(to))
	status, v := c.do(http.MethodPut, path, js, `{"line_type":"landline","reason":"seen"}`)
	require.Equal(t, 200, status)
	require.Equal(t, "mobile", v["original_line_type"])
	require.Equal(t, "landline", line(to))
	status, _ = c.do(http.MethodDelete, path, "", "")
	require.Equal(t, 204, status)
	require.Equal(t, "mobile", line(to))

	require.Nil(t, line("+16135550123"), "Canada wants an approval")
	f.ApproveCanada()
	require.Equal(t, "mobile", line("+16135550123"))

	status, v = c.do(http.MethodPost, "/v2/batch/query", js, `{"phone_numbers":[{"phone_number":"+4740000000","correlation_id":"a","fields":["sim_swap"]},
		{"phone_number":"+4740000001","fields":["odd"]},{"phone_number":"hello"},
		{"phone_number":"+4740000002","fields":["reassigned_number"],"reassigned_number":{"last_verified_date":"20260101"}}]}`)
	require.Equal(t, 200, status)
	list := v["phone_numbers"].([]any)
	require.Len(t, list, 4)
	require.Equal(t, "a", list[0].(object)["correlation_id"])
	require.NotNil(t, list[0].(object)["sim_swap"])
	require.Nil(t, list[0].(object)["twilio_error_code"])
	require.EqualValues(t, 60200, list[1].(object)["twilio_error_code"])
	require.Equal(t, false, list[2].(object)["valid"])
	require.Equal(t, "no", list[3].(object)["reassigned_number"].(object)["is_number_reassigned"])
	for _, body := range []string{`{}`, `{"phone_numbers":[]}`, `[]`} {
		status, _ = c.do(http.MethodPost, "/v2/batch/query", js, body)
		require.Equal(t, 400, status)
	}
	for query, want := range map[string]int{"?Fields=odd": 400, "?Fields=": 400, "?CountryCode=norway": 400, "?Fields=validation,caller_name": 200} {
		status, _ = c.do(http.MethodGet, "/v2/PhoneNumbers/"+to+query, "", "")
		require.Equal(t, want, status, query)
	}
	for number, want := range map[string]string{"hello": "NOT_A_NUMBER", "+47123": "TOO_SHORT", "+4712345678901234": "TOO_LONG", "+4400000000": "INVALID_BUT_POSSIBLE"} {
		status, v = c.do(http.MethodGet, "/v2/PhoneNumbers/"+number, "", "")
		require.Equal(t, 200, status)
		require.Equal(t, false, v["valid"])
		require.Equal(t, []any{want}, v["validation_errors"], number)
	}
}

func TestFaultStatuses(t *testing.T) {
	f, c, _ := twilioCaller(t)
	for _, status := range []int{204, 400, 503} {
		f.Fail(phonetest.FaultStatus(status))
		got, _ := c.do(http.MethodGet, "/", "", "")
		require.Equal(t, status, got)
	}
	f.Fail("")
	require.Equal(t, 3, f.Requests())
}

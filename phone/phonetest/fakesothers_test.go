package phonetest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/vonage"
)

func TestVonageRefuses(t *testing.T) {
	f := phonetest.NewVonage(nil)
	t.Cleanup(f.Close)
	c := caller{t: t, base: f.URL()}
	status, v := c.do(http.MethodPost, "/v2/verify", "application/json", `{}`)
	require.Equal(t, 401, status)
	for _, name := range []string{"type", "title", "detail", "instance"} {
		require.Contains(t, v, name, "RFC 7807")
	}
	f.Limit(0)
	status, _ = c.do(http.MethodPost, "/v2/verify", "application/json", `{}`)
	require.Equal(t, 429, status)
}

func TestCAMARARefuses(t *testing.T) {
	f := phonetest.NewCAMARA(nil)
	t.Cleanup(f.Close)
	token, err := f.Tokens()(t.Context(), phone.Number{}, "", false)
	require.NoError(t, err)
	bearer := func(token phone.Token) caller {
		return caller{t, f.URL(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+string(token)) }}
	}
	const js, check = "application/json", "/sim-swap/v2/check"
	device := f.Device(to)
	for _, row := range []struct {
		name             string
		token            phone.Token
		path, kind, body string
		status           int
		code             string
	}{
		{"no token", "", check, js, `{"phoneNumber":"` + to + `"}`, 401, "UNAUTHENTICATED"},
		{"form", token, check, "text/plain", `{}`, 400, "INVALID_ARGUMENT"},
		{"no JSON", token, check, js, `{`, 400, "INVALID_ARGUMENT"},
		{"no number", token, check, js, `{}`, 422, "MISSING_IDENTIFIER"},
		{"a number and a user", device, check, js, `{"phoneNumber":"` + to + `"}`, 422, "UNNECESSARY_IDENTIFIER"},
		{"no plus", token, check, js, `{"phoneNumber":"4740000000"}`, 400, "INVALID_ARGUMENT"},
		{"age 0", token, check, js, `{"phoneNumber":"` + to + `","maxAge":0}`, 400, "OUT_OF_RANGE"},
		{"age 2401", token, check, js, `{"phoneNumber":"` + to + `","maxAge":2401}`, 400, "OUT_OF_RANGE"},
		{"no date", token, "/number-recycling/v0.2/check", js, `{"phoneNumber":"` + to + `"}`, 400, "INVALID_ARGUMENT"},
		{"neither form", device, "/number-verification/v2/verify", js, `{}`, 400, "INVALID_ARGUMENT"},
		{"both forms", device, "/number-verification/v2/verify", js, `{"phoneNumber":"` + to + `","hashedPhoneNumber":"` + strings.Repeat("a", 64) + `"}`, 400, "INVALID_ARGUMENT"},
		{"a short hash", device, "/number-verification/v2/verify", js, `{"hashedPhoneNumber":"abc"}`, 400, "INVALID_ARGUMENT"},
		{"no device", token, "/number-verification/v2/verify", js, `{"phoneNumber":"` + to + `"}`, 401, "UNAUTHENTICATED"},
		{"on Wi-Fi", f.Device(""), "/number-verification/v2/verify", js, `{"phoneNumber":"` + to + `"}`, 403, "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK"},
		{"elsewhere", token, "/sim-swap/v9/check", js, `{}`, 404, "NOT_FOUND"},
	} {
		status, v := bearer(row.token).do(http.MethodPost, row.path, row.kind, row.body)
		require.Equal(t, row.status, status, row.name)
		require.Equal(t, row.code, v["code"], row.name)
		require.EqualValues(t, row.status, v["status"], row.name)
	}
	status, v := bearer(device).do(http.MethodGet, "/number-verification/v2/device-phone-number", "", "")
	require.Equal(t, 200, status)
	require.Equal(t, to, v["devicePhoneNumber"])
	require.Panics(t, func() { f.Refuse(to, "ODD") })
}

func vonageCaller(t *testing.T) (*phonetest.Vonage, func(method, path string, body any) (int, object)) {
	f := phonetest.NewVonage(nil)
	t.Cleanup(f.Close)
	app, err := vonage.NewApplication(phonetest.VonageApplication, f.PrivateKey(), nil)
	require.NoError(t, err)
	var authorization string // of a call of the real client
	insights, err := vonage.NewInsights(app, &vonage.InsightsOptions{HTTP: vonage.HTTPOptions{BaseURL: f.URL(), Transport: transport(func(r *http.Request) (*http.Response, error) {
		authorization = r.Header.Get("Authorization")
		return http.DefaultTransport.RoundTrip(r)
	})}})
	require.NoError(t, err)
	n, err := phone.Parse(to, "")
	require.NoError(t, err)
	_, err = insights.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldLine})
	require.NoError(t, err)
	c := caller{t, f.URL(), func(r *http.Request) { r.Header.Set("Authorization", authorization) }}
	return f, func(method, path string, body any) (int, object) {
		t.Helper()
		if body == nil {
			return c.do(method, path, "", "")
		}
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		return c.do(method, path, "application/json", string(raw))
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestVonageVerifications(t *testing.T) {
	f, call := vonageCaller(t)
	workflow := func(channels ...string) []object {
		var list []object
		for _, ch := range channels {
			list = append(list, object{"channel": ch, "to": to[1:]})
		}
		return list
	}
	for name, body := range map[string]object{
		"no brand":        {"workflow": workflow("sms")},
		"a long brand":    {"brand": "seventeen letters", "workflow": workflow("sms")},
		"no workflow":     {"brand": "Example"},
		"four channels":   {"brand": "Example", "workflow": workflow("sms", "sms", "voice", "voice")},
		"fax":             {"brand": "Example", "workflow": workflow("fax")},
		"with a plus":     {"brand": "Example", "workflow": []object{{"channel": "sms", "to": to}}},
		"a short code":    {"brand": "Example", "workflow": workflow("sms"), "code_length": 3},
		"a short time":    {"brand": "Example", "workflow": workflow("sms"), "channel_timeout": 14},
		"a long time":     {"brand": "Example", "workflow": workflow("sms"), "channel_timeout": 901},
		"code and length": {"brand": "Example", "workflow": workflow("sms"), "code": "123456", "code_length": 6},
		"a long name":     {"brand": "Example", "workflow": workflow("sms"), "client_ref": "seventeen letters"},
	} {
		status, v := call(http.MethodPost, "/v2/verify", body)
		require.Equal(t, 422, status, name)
		require.Contains(t, v, "title")
	}
	status, v := call(http.MethodPost, "/v2/verify", object{"brand": "Example", "workflow": workflow("silent_auth", "sms", "voice")})
	require.Equal(t, 202, status)
	require.Contains(t, v, "check_url")
	id := "/v2/verify/" + v["request_id"].(string)
	status, v = call(http.MethodPost, "/v2/verify", object{"brand": "Example", "workflow": workflow("sms")})
	require.Equal(t, 409, status)
	require.Equal(t, "/v2/verify/"+v["request_id"].(string), id, "the one that is open")
	status, _ = call(http.MethodPost, id, object{"code": "1234"})
	require.Equal(t, 409, status, "no code was sent yet")
	require.Empty(t, f.Inbox.Messages())
	for i, want := range []int{200, 200, 409} {
		status, _ = call(http.MethodPost, id+"/next-workflow", nil)
		require.Equal(t, want, status, i)
	}
	require.Equal(t, phone.Voice, f.Inbox.Messages()[1].Channel)
	status, _ = call(http.MethodPost, id, object{"code": "1"})
	require.Equal(t, 422, status)
	for i := range 4 {
		status, _ = call(http.MethodPost, id, object{"code": "99999999"})
		require.Equal(t, map[bool]int{true: 400, false: 410}[i < 3], status)
	}
	status, _ = call(http.MethodDelete, id, nil)
	require.Equal(t, 204, status)
	for _, method := range []string{http.MethodDelete, http.MethodPost} {
		status, _ = call(method, id, object{"code": "1234"})
		require.Equal(t, 404, status)
	}
	status, _ = call(http.MethodPost, id+"/next-workflow", nil)
	require.Equal(t, 404, status)
	status, v = call(http.MethodPost, "/v2/verify", object{"brand": "Example", "workflow": workflow("sms"), "code": "2468"})
	require.Equal(t, 202, status)
	status, v = call(http.MethodPost, "/v2/verify/"+v["request_id"].(string), object{"code": "2468"})
	require.Equal(t, 200, status)
	require.Equal(t, "completed", v["status"])

	status, _ = call(http.MethodPost, "/v2/verify/network-unblock", object{"network": "24201", "unblock_duration": 3600})
	require.Equal(t, 404, status, "nothing is blocked")
	f.Block("+47")
	before := len(f.Inbox.Messages())
	status, _ = call(http.MethodPost, "/v2/verify", object{"brand": "Example", "workflow": workflow("sms")})
	require.Equal(t, 202, status, "accepted all the same")
	require.Len(t, f.Inbox.Messages(), before)
	status, _ = call(http.MethodPost, "/v2/verify/network-unblock", object{"network": "24201", "unblock_duration": 3600})
	require.Equal(t, 202, status)
	status, _ = call(http.MethodPost, "/v2/verify", object{"brand": "Example", "workflow": workflow("sms")})
	require.Equal(t, 202, status)
	require.Len(t, f.Inbox.Messages(), before+1)
}

func TestVonageInsights(t *testing.T) {
	_, call := vonageCaller(t)
	const path = "/identity-insights/v1/requests"
	ask := func(number, purpose string, names ...string) (int, object) {
		insights := object{}
		for _, name := range names {
			insights[name] = object{}
		}
		return call(http.MethodPost, path, object{"phone_number": number, "purpose": purpose, "insights": insights})
	}
	for name, body := range map[string]object{
		"nothing asked": {"phone_number": to}, "no number": {"insights": object{"format": object{}}},
		"unknown": {"phone_number": to, "insights": object{"horoscope": object{}}}, "a period": {"phone_number": to, "insights": object{"format": object{"period": 3}}},
	} {
		status, _ := call(http.MethodPost, path, body)
		require.Equal(t, 400, status, name)
	}
	status, _ := call(http.MethodPost, path, object{"phone_number": to, "insights": object{"sim_swap": object{"period": 2401}}})
	require.Equal(t, 422, status)
	code := func(v object, name string) any {
		return v["insights"].(object)[name].(object)["status"].(object)["code"]
	}
	_, v := ask(to, "FraudPreventionAndDetection", "format", "sim_swap", "roaming", "original_carrier")
	for name, want := range map[string]string{"format": "OK", "sim_swap": "OK", "roaming": "UNAUTHORIZED", "original_carrier": "OK"} {
		require.Equal(t, want, code(v, name), name)
	}
	_, v = ask(to, "Marketing", "format", "sim_swap")
	require.Equal(t, "INVALID_PURPOSE", code(v, "sim_swap"))
	require.Equal(t, "OK", code(v, "format"), "each succeeds or fails alone")
	_, v = ask("+47123", "FraudPreventionAndDetection", "format", "current_carrier")
	require.Equal(t, "INVALID_NUMBER_FORMAT", code(v, "current_carrier"))
	require.Equal(t, false, v["insights"].(object)["format"].(object)["is_format_valid"])
}

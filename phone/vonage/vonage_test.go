package vonage_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/vonage"
)

func number(t testing.TB, s string) phone.Number {
	t.Helper()
	n, err := phone.Parse(s, "")
	require.NoError(t, err)
	return n
}

func fake(t testing.TB) (*phonetest.Vonage, *vonage.Application) {
	f := phonetest.NewVonage(nil)
	t.Cleanup(f.Close)
	app, err := vonage.NewApplication(phonetest.VonageApplication, f.PrivateKey(), nil)
	require.NoError(t, err)
	return f, app
}

func clients(t testing.TB, app *vonage.Application, o vonage.HTTPOptions) (*vonage.Insights, *vonage.Verify) {
	i, err := vonage.NewInsights(app, &vonage.InsightsOptions{HTTP: o})
	require.NoError(t, err)
	v, err := vonage.NewVerify(app, "Example", &vonage.VerifyOptions{HTTP: o})
	require.NoError(t, err)
	return i, v
}

func TestVectorsVonage(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: it names the folder of the vectors")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "phone", "vonage_expected.json"))
	require.NoError(t, err)
	var rows []struct {
		File, Outcome string
		Status        int `json:"http_status"`
	}
	require.NoError(t, json.Unmarshal(raw, &rows))
	_, app := fake(t)
	for _, row := range rows {
		t.Run(row.File, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(dir, "phone", "vonage", filepath.FromSlash(row.File)))
			require.NoError(t, err)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(row.Status)
				_, _ = w.Write(body)
			}))
			defer server.Close()
			insights, verify := clients(t, app, vonage.HTTPOptions{BaseURL: server.URL})
			var id struct {
				RequestID string `json:"request_id"`
			}
			_ = json.Unmarshal(body, &id)
			switch folder := strings.Split(row.File, "/"); {
			case folder[0] == "identity_insights":
				got, err := insights.Lookup(t.Context(), number(t, "+14045550100"), phone.Query{Fields: phone.FieldValid | phone.FieldSIMSwap})
				require.Equal(t, row.Outcome == "ok", err == nil)
				require.NotZero(t, got.Known())
			case folder[0] == "verify" && row.Status == 202:
				got, err := verify.Start(t.Context(), phone.Message{To: number(t, "+14045550100"), Channel: phone.SMS})
				require.NoError(t, err)
				require.Equal(t, id.RequestID, got.Ref)
			case folder[0] == "verify":
				got, err := verify.Check(t.Context(), id.RequestID, number(t, "+14045550100"), "123456")
				require.NoError(t, err)
				require.Equal(t, row.Outcome == "ok", got == phone.HostedApproved)
			default: // Number Insight and Vonage's own network APIs are not offered: none of their answers is taken for one of ours
				got, err := insights.Lookup(t.Context(), number(t, "+14045550100"), phone.Query{Fields: phone.FieldLine})
				require.Error(t, err)
				require.Zero(t, got)
				t.Skip("the API is not offered")
			}
		})
	}
}

func TestInsights(t *testing.T) {
	type object = map[string]any
	f, app := fake(t)
	insights, _ := clients(t, app, vonage.HTTPOptions{BaseURL: f.URL()})
	ok := object{"code": "OK"}
	all := phone.FieldValid | phone.FieldLine | phone.FieldCarrier | phone.FieldSIMSwap | phone.FieldDeviceSwap | phone.FieldActive
	for i, row := range []struct {
		name, insight string
		set           any
		field         phone.Fields
		want          phone.Intel
		fails         bool
	}{
		{"as it comes", "none", nil, all, phone.Intel{Valid: phone.Yes, Line: phone.Mobile, Carrier: "Fake Mobile", MCC: "242", MNC: "01", SIMSwap: phone.No, DeviceSwap: phone.No, Active: phone.Yes}, false},
		{"virtual", "current_carrier", object{"network_type": "VIRTUAL", "status": ok}, phone.FieldLine, phone.Intel{Line: phone.NonFixedVoIP}, false},
		{"unknown type", "current_carrier", object{"network_type": "HOLOGRAM", "status": ok}, phone.FieldLine, phone.Intel{}, false},
		{"no coverage", "current_carrier", object{"network_type": "MOBILE", "status": object{"code": "NO_COVERAGE"}}, phone.FieldLine, phone.Intel{}, false},
		{"supplier", "current_carrier", object{"network_type": "MOBILE", "status": object{"code": "SUPPLIER_ERROR"}}, phone.FieldLine, phone.Intel{}, true},
		{"no status", "current_carrier", object{"network_type": "MOBILE"}, phone.FieldLine, phone.Intel{}, true},
		{"swapped", "sim_swap", object{"is_swapped": true, "latest_sim_swap_at": nil, "status": ok}, phone.FieldSIMSwap, phone.Intel{SIMSwap: phone.Yes}, false},
		{"bad format", "format", object{"status": object{"code": "INVALID_NUMBER_FORMAT"}}, phone.FieldValid, phone.Intel{Valid: phone.No}, false},
		{"off", "reachability", object{"is_reachable": false, "status": ok}, phone.FieldActive, phone.Intel{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := number(t, "+47400000"+string(rune('0'+i))+"0")
			f.SetInsight(n.E164(), row.insight, row.set)
			got, err := insights.Lookup(t.Context(), n, phone.Query{Fields: row.field})
			require.Equal(t, row.fails, err != nil, "%v", err)
			require.Equal(t, row.want, got)
		})
	}
}

func TestVerify(t *testing.T) {
	f, app := fake(t)
	_, v := clients(t, app, vonage.HTTPOptions{BaseURL: f.URL()})
	n := number(t, "+4740000000")
	m := phone.Message{To: n, Channel: phone.SMS, TTL: 5 * time.Minute}
	got, err := v.Start(t.Context(), m)
	require.NoError(t, err)
	_, err = v.Start(t.Context(), m)
	require.True(t, phone.Refused(err), "409 while one is open")
	code, _ := f.Inbox.Code(n)
	check := func(c phone.Code) phone.HostedVerdict {
		verdict, err := v.Check(t.Context(), got.Ref, n, c)
		require.NoError(t, err)
		return verdict
	}
	require.Equal(t, phone.HostedWrong, check("999999x"))
	require.Equal(t, phone.HostedApproved, check(code))
	require.Equal(t, phone.HostedGone, check(code))
	got, err = v.Start(t.Context(), m)
	require.NoError(t, err)
	for range 3 {
		require.Equal(t, phone.HostedWrong, check("0000"))
	}
	require.Equal(t, phone.HostedTooMany, check("0000"))
}

func TestFaults(t *testing.T) {
	faults := append(phonetest.Faults(), phonetest.FaultStatus(401), phonetest.FaultStatus(429), phonetest.FaultStatus(500), phonetest.FaultStatus(204))
	for _, fault := range faults {
		t.Run(string(fault), func(t *testing.T) {
			f, app := fake(t)
			timeout := 10 * time.Second
			if fault == phonetest.FaultHang || fault == phonetest.FaultSlowBody {
				timeout = 500 * time.Millisecond
			}
			i, v := clients(t, app, vonage.HTTPOptions{BaseURL: f.URL(), Timeout: timeout})
			f.Fail(fault)
			n := number(t, "+4740000000")
			got, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldLine})
			require.Error(t, err)
			require.Zero(t, got)
			require.NotContains(t, err.Error(), "40000000")
			_, err = v.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS})
			require.Error(t, err)
			require.Equal(t, strings.HasPrefix(string(fault), "status:4"), phone.Refused(err))
			verdict, err := v.Check(t.Context(), "id", n, "123456")
			require.Error(t, err)
			require.Zero(t, verdict)
			require.Equal(t, 3, f.Requests())
		})
	}
}

func TestApplication(t *testing.T) {
	f, app := fake(t)
	require.NotContains(t, app.String(), "PRIVATE")
	for _, row := range []struct {
		id  string
		key []byte
	}{{"", f.PrivateKey()}, {"x", nil}, {"x", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}} {
		_, err := vonage.NewApplication(row.id, row.key, nil)
		require.Error(t, err)
	}
	old, err := vonage.NewApplication(phonetest.VonageApplication, f.PrivateKey(), func() time.Time { return time.Now().Add(-time.Hour) })
	require.NoError(t, err)
	i, _ := clients(t, old, vonage.HTTPOptions{BaseURL: f.URL()})
	_, err = i.Lookup(t.Context(), number(t, "+4740000000"), phone.Query{Fields: phone.FieldLine})
	require.Error(t, err, "an expired token")
}

func FuzzParseInsights(f *testing.F) {
	f.Add([]byte(`{"insights":{"sim_swap":{"is_swapped":true,"status":{"code":"OK"}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := vonage.ParseInsights(body)
		if err != nil && len(err.Error()) > 1000 {
			t.Fatal("the error repeats the body")
		}
	})
}

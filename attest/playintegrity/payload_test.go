package playintegrity_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
)

// set changes one member of a payload by its path; nil takes it out.
func set(value any, path ...string) func(p map[string]any) {
	return func(p map[string]any) {
		for _, name := range path[:len(path)-1] {
			next, ok := p[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				p[name] = next
			}
			p = next
		}
		if value == nil {
			delete(p, path[len(path)-1])
			return
		}
		p[path[len(path)-1]] = value
	}
}

type null struct{}

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestPayloads(t *testing.T) {
	ms := func(t time.Time) int64 { return t.UnixMilli() }
	type m = map[string]any
	for _, row := range []struct {
		name   string
		change func(p map[string]any)
		policy func(o *playintegrity.Options)
		step   string // "": passes
		want   error
	}{
		{"good", func(m) {}, nil, "", nil},
		{"unknown fields and words", func(p m) {
			p["newDetails"] = m{"a": 1}
			set([]any{"MEETS_DEVICE_INTEGRITY", "MEETS_NEW_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict")(p)
		}, nil, "", nil},
		{"label twice", set([]any{"MEETS_DEVICE_INTEGRITY", "MEETS_DEVICE_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "", nil},

		{"no request details", set(nil, "requestDetails"), nil, "package", attest.ErrAppIdentity},
		{"request of another package", set("com.example.other", "requestDetails", "requestPackageName"), nil, "package", attest.ErrAppIdentity},
		{"no nonce", set(nil, "requestDetails", "nonce"), nil, "request", attest.ErrNonce},
		{"another nonce", set(base64.URLEncoding.EncodeToString(make([]byte, 32)), "requestDetails", "nonce"), nil, "request", attest.ErrNonce},
		{"prefix of the nonce", set(base64.URLEncoding.EncodeToString(nonce[:31]), "requestDetails", "nonce"), nil, "request", attest.ErrNonce},
		{"nonce without padding", set(base64.RawURLEncoding.EncodeToString(nonce), "requestDetails", "nonce"), nil, "", nil},
		{"nonce in the other alphabet", set(base64.StdEncoding.EncodeToString(nonce), "requestDetails", "nonce"), nil, "request", attest.ErrNonce},
		{"huge nonce", set(strings.Repeat("A", 600), "requestDetails", "nonce"), nil, "request", attest.ErrNonce},
		{"request hash too", set(hash, "requestDetails", "requestHash"), nil, "request", attest.ErrNonce},
		{"request hash instead", func(p m) {
			set(nil, "requestDetails", "nonce")(p)
			set(base64.URLEncoding.EncodeToString(nonce), "requestDetails", "requestHash")(p)
		}, nil, "request", attest.ErrNonce},

		{"time as number", set(ms(start), "requestDetails", "timestampMillis"), nil, "", nil},
		{"ten minutes old", set(ms(start.Add(-10*time.Minute)), "requestDetails", "timestampMillis"), nil, "", nil},
		{"older", set(ms(start.Add(-10*time.Minute-time.Millisecond)), "requestDetails", "timestampMillis"), nil, "time", attest.ErrExpired},
		{"of the future", set(ms(start.Add(61*time.Second)), "requestDetails", "timestampMillis"), nil, "time", attest.ErrExpired},
		{"no time", set(nil, "requestDetails", "timestampMillis"), nil, "time", attest.ErrExpired},
		{"negative time", set("-1", "requestDetails", "timestampMillis"), nil, "payload", attest.ErrMalformed},
		{"time beyond 64 bits", set("99999999999999999999", "requestDetails", "timestampMillis"), nil, "payload", attest.ErrMalformed},
		{"greatest time", set("9223372036854775807", "requestDetails", "timestampMillis"), nil, "time", attest.ErrExpired},
		{"time with a fraction", set(1.5, "requestDetails", "timestampMillis"), nil, "payload", attest.ErrMalformed},
		{"time empty", set("", "requestDetails", "timestampMillis"), nil, "payload", attest.ErrMalformed},

		{"test response", set(true, "testingDetails", "isTestingResponse"), nil, "test", attest.ErrTest},
		{"test response allowed", set(true, "testingDetails", "isTestingResponse"), func(o *playintegrity.Options) { o.InsecureAllowTest = true }, "", nil},
		{"test response a text", set("true", "testingDetails", "isTestingResponse"), nil, "payload", attest.ErrMalformed},

		{"app of another package", set("com.example.other", "appIntegrity", "packageName"), nil, "app", attest.ErrAppIdentity},
		{"app missing", set(nil, "appIntegrity"), nil, "app", attest.ErrPolicy},
		{"app null", set(null{}, "appIntegrity"), nil, "app", attest.ErrPolicy},
		{"app not evaluated", set("UNEVALUATED", "appIntegrity", "appRecognitionVerdict"), nil, "app", attest.ErrPolicy},
		{"app unknown", set("UNKNOWN", "appIntegrity", "appRecognitionVerdict"), nil, "app", attest.ErrPolicy},
		{"app changed", set("UNRECOGNIZED_VERSION", "appIntegrity", "appRecognitionVerdict"), nil, "app", attest.ErrTampered},
		{"no digests", set([]any{}, "appIntegrity", "certificateSha256Digest"), nil, "certificate", attest.ErrAppIdentity},
		{"foreign digest", set([]any{base64.RawURLEncoding.EncodeToString(make([]byte, 32))}, "appIntegrity", "certificateSha256Digest"), nil, "certificate", attest.ErrAppIdentity},
		{"digest among others", set([]any{base64.RawURLEncoding.EncodeToString(make([]byte, 32)), base64.URLEncoding.EncodeToString(signer)}, "appIntegrity", "certificateSha256Digest"), nil, "", nil},
		{"digest short", set([]any{"AAAA"}, "appIntegrity", "certificateSha256Digest"), nil, "payload", attest.ErrMalformed},
		{"version reached", func(m) {}, func(o *playintegrity.Options) { o.MinVersion = 42 }, "", nil},
		{"version too old", func(m) {}, func(o *playintegrity.Options) { o.MinVersion = 43 }, "version", attest.ErrPolicy},
		{"version missing", set(nil, "appIntegrity", "versionCode"), func(o *playintegrity.Options) { o.MinVersion = 1 }, "version", attest.ErrPolicy},

		{"no labels", set([]any{}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "device", attest.ErrTampered},
		{"no device", set(nil, "deviceIntegrity"), nil, "device", attest.ErrTampered},
		{"only basic", set([]any{"MEETS_BASIC_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "device", attest.ErrTampered},
		{"basic allowed", set([]any{"MEETS_BASIC_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), func(o *playintegrity.Options) { o.InsecureAllowBasic = true }, "", nil},
		{"only virtual", set([]any{"MEETS_VIRTUAL_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "device", attest.ErrEmulator},
		{"virtual allowed", set([]any{"MEETS_VIRTUAL_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), func(o *playintegrity.Options) { o.InsecureAllowVirtual = true }, "", nil},
		{"only unknown", set([]any{"MEETS_NEW_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "device", attest.ErrTampered},
		{"label in small letters", set([]any{"meets_device_integrity"}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "device", attest.ErrTampered},
		{"only legacy", func(p m) {
			set([]any{}, "deviceIntegrity", "deviceRecognitionVerdict")(p)
			set([]any{"MEETS_DEVICE_INTEGRITY"}, "deviceIntegrity", "legacyDeviceRecognitionVerdict")(p)
		}, nil, "device", attest.ErrTampered},
		{"strong", func(m) {}, func(o *playintegrity.Options) { o.RequireStrong = true }, "", nil},
		{"not strong", set([]any{"MEETS_DEVICE_INTEGRITY"}, "deviceIntegrity", "deviceRecognitionVerdict"), func(o *playintegrity.Options) { o.RequireStrong = true }, "device", attest.ErrPolicy},
		{"strong on an old system", set(32, "deviceIntegrity", "deviceAttributes", "sdkVersion"), func(o *playintegrity.Options) { o.RequireStrong = true }, "device", attest.ErrPolicy},
		{"labels a text", set("MEETS_DEVICE_INTEGRITY", "deviceIntegrity", "deviceRecognitionVerdict"), nil, "payload", attest.ErrMalformed},
		{"label a number", set([]any{1}, "deviceIntegrity", "deviceRecognitionVerdict"), nil, "payload", attest.ErrMalformed},
		{"device a list", set([]any{}, "deviceIntegrity"), nil, "payload", attest.ErrMalformed},
		{"hundred labels", set(make([]any, 100), "deviceIntegrity", "deviceRecognitionVerdict"), nil, "payload", attest.ErrMalformed},

		{"cleared verdicts", func(p m) {
			p["appIntegrity"] = m{"appRecognitionVerdict": "UNEVALUATED"}
			p["deviceIntegrity"] = m{}
			p["accountDetails"] = m{"appLicensingVerdict": "UNEVALUATED"}
		}, nil, "app", attest.ErrTampered},

		{"unlicensed", set("UNLICENSED", "accountDetails", "appLicensingVerdict"), nil, "licensing", attest.ErrPolicy},
		{"licence not evaluated", set("UNEVALUATED", "accountDetails", "appLicensingVerdict"), nil, "licensing", attest.ErrPolicy},
		{"no account", set(nil, "accountDetails"), nil, "licensing", attest.ErrPolicy},
		{"licence not evaluated, refusing only unlicensed", set("UNEVALUATED", "accountDetails", "appLicensingVerdict"), func(o *playintegrity.Options) { o.Licensing = playintegrity.RefuseUnlicensed }, "", nil},
		{"unlicensed, refusing only that", set("UNLICENSED", "accountDetails", "appLicensingVerdict"), func(o *playintegrity.Options) { o.Licensing = playintegrity.RefuseUnlicensed }, "licensing", attest.ErrPolicy},
		{"unlicensed, ignored", set("UNLICENSED", "accountDetails", "appLicensingVerdict"), func(o *playintegrity.Options) { o.Licensing = playintegrity.IgnoreLicensing }, "", nil},

		{"recall bit", set(true, "deviceIntegrity", "deviceRecall", "values", "bitSecond"), func(o *playintegrity.Options) { o.RefuseRecall[1] = true }, "recall", attest.ErrPolicy},
		{"another recall bit", set(true, "deviceIntegrity", "deviceRecall", "values", "bitFirst"), func(o *playintegrity.Options) { o.RefuseRecall[1] = true }, "", nil},
		{"recall partly missing", set(m{}, "deviceIntegrity", "deviceRecall"), func(o *playintegrity.Options) { o.RefuseRecall[1] = true }, "", nil},
		{"recall bit a text", set("true", "deviceIntegrity", "deviceRecall", "values", "bitFirst"), nil, "payload", attest.ErrMalformed},

		{"risk refused", set("HIGH_RISK", "environmentDetails", "playProtectVerdict"), func(o *playintegrity.Options) { o.RefuseRisk = 1 }, "risk", attest.ErrPolicy},
		{"risk below", set("MEDIUM_RISK", "environmentDetails", "playProtectVerdict"), func(o *playintegrity.Options) { o.RefuseRisk = 1 }, "", nil},
		{"risk in the verdict", set("HIGH_RISK", "environmentDetails", "playProtectVerdict"), nil, "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVerifier(t, local(t, nil), row.policy)
			p, err := v.Classic(ctx, phone().PlayToken(nonce, "", row.change), nonce)
			payload := phone().PlayPayload(nonce, "")
			row.change(payload)
			raw, jerr := json.Marshal(payload)
			require.NoError(t, jerr)
			require.Equal(t, row.step, v.Explain(raw, nonce, "").Refused)
			if row.step == "" {
				require.NoError(t, err)
				require.Equal(t, pkg, p.Request.Package)
				require.JSONEq(t, string(raw), string(p.Raw))
				return
			}
			requireStep(t, err, row.step, row.want)
			require.Nil(t, p)
		})
	}
}

func TestPayloadForms(t *testing.T) {
	for name, raw := range map[string]string{
		"name twice": `{"requestDetails":{},"requestDetails":{}}`, "deep name twice": `{"requestDetails":{"nonce":"a","nonce":"b"}}`,
		"a list": `[]`, "a text": `"x"`, "null": `null`, "more behind": `{}{}`, "cut off": `{"requestDetails":{`, "nothing": ``,
		"invalid UTF-8": "{\"a\":\"\xff\"}", "deep": strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
	} {
		_, err := playintegrity.ParsePayload([]byte(raw))
		require.ErrorIs(t, err, attest.ErrMalformed, name)
	}
	_, err := playintegrity.ParsePayload(make([]byte, 64<<10))
	require.ErrorIs(t, err, attest.ErrTooLarge)
	p, err := playintegrity.ParsePayload([]byte(`{"Requestdetails":{"nonce":"x"}}`))
	require.NoError(t, err)
	require.Empty(t, p.Request.Nonce, "names match exactly")
}

func TestEveryVerdictIsKept(t *testing.T) {
	p, err := playintegrity.ParsePayload([]byte(`{
		"requestDetails":{"requestPackageName":"a.b","requestHash":"h","timestampMillis":"1795262400000"},
		"appIntegrity":{"appRecognitionVerdict":"PLAY_RECOGNIZED","packageName":"a.b","versionCode":"7"},
		"deviceIntegrity":{"deviceRecognitionVerdict":["MEETS_STRONG_INTEGRITY"],"legacyDeviceRecognitionVerdict":["MEETS_DEVICE_INTEGRITY"],
			"deviceAttributes":{"sdkVersion":36},"recentDeviceActivity":{"deviceActivityLevel":"LEVEL_4"},
			"deviceRecall":{"values":{"bitFirst":true,"bitThird":false},"writeDates":{"yyyymmFirst":202610}}},
		"accountDetails":{"appLicensingVerdict":"LICENSED","accountActivity":{"activityLevel":"UNUSUAL"}},
		"environmentDetails":{"playProtectVerdict":"MEDIUM_RISK","appAccessRiskVerdict":{"appsDetected":["UNKNOWN_CONTROLLING","KNOWN_CAPTURING"]},
			"locationSpoofingRiskVerdict":["HIGH_RISK_DEVICE","LOW_RISK_NETWORK"]},
		"testingDetails":{"isTestingResponse":true}}`))
	require.NoError(t, err)
	require.Equal(t, playintegrity.RequestDetails{Package: "a.b", RequestHash: "h", Time: time.UnixMilli(1795262400000)}, p.Request)
	require.Equal(t, playintegrity.AppIntegrity{Verdict: "PLAY_RECOGNIZED", Package: "a.b", Version: 7, HasVersion: true}, p.App)
	require.Equal(t, playintegrity.DeviceIntegrity{
		Labels: []string{"MEETS_STRONG_INTEGRITY"}, Legacy: []string{"MEETS_DEVICE_INTEGRITY"}, SDK: 36, Activity: "LEVEL_4",
		Recall: &playintegrity.Recall{Bits: [3]bool{true}, Months: [3]int{202610}},
	}, p.Device)
	require.Equal(t, playintegrity.AccountDetails{Licensing: "LICENSED", Activity: "UNUSUAL"}, p.Account)
	require.Equal(t, playintegrity.EnvironmentDetails{PlayProtect: "MEDIUM_RISK", AppsDetected: []string{"UNKNOWN_CONTROLLING", "KNOWN_CAPTURING"},
		LocationSpoofing: []string{"HIGH_RISK_DEVICE", "LOW_RISK_NETWORK"}}, p.Environment)
	require.True(t, p.Test)
	risk, reasons := p.Risk()
	require.Equal(t, 1.0, risk)
	require.Equal(t, []string{"play.protect.medium_risk", "play.apps.unknown_controlling", "play.location.high_risk_device",
		"play.activity.level_4", "play.account.unusual", "play.recall.first"}, reasons)
}

package playintegrity_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
	"github.com/vestibule-go/vestibule/internal/jose"
)

const pkg = "com.example.app"

var (
	start  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	signer = bytes.Repeat([]byte{5}, 32)
	nonce  = bytes.Repeat([]byte{0xfb}, 32) // its base64 has '-' and '_'
	ctx    = context.Background()
)

const hash = "r3quest-hash"

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

var theGoogle = sync.OnceValue(func() *attesttest.Google { return attesttest.NewGoogle(at(start)) })

func local(t testing.TB, opts *playintegrity.LocalOptions) *playintegrity.Local {
	d, v, _ := theGoogle().PlayKeys()
	l, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: d, Verification: v}}, opts)
	require.NoError(t, err)
	return l
}

func newVerifier(t testing.TB, d playintegrity.Decoder, change func(o *playintegrity.Options)) *playintegrity.Verifier {
	o := &playintegrity.Options{Now: at(start)}
	if change != nil {
		change(o)
	}
	v, err := playintegrity.New(pkg, [][]byte{signer}, d, o)
	require.NoError(t, err)
	return v
}

func phone() *attesttest.Android { return theGoogle().Pixel(pkg, signer) }

func requireStep(t testing.TB, err error, step string, want error) {
	t.Helper()
	var s *attest.StepError
	require.ErrorAs(t, err, &s)
	require.Equal(t, step, s.Step)
	require.ErrorIs(t, err, want)
}

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

var b64 = base64.RawURLEncoding

func TestTokens(t *testing.T) {
	g := theGoogle()
	aes, _, signing := g.PlayKeys()
	payload, err := json.Marshal(phone().PlayPayload(nonce, ""))
	require.NoError(t, err)
	signed, err := jose.Sign(payload, signing, nil)
	require.NoError(t, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	byStranger, err := jose.Sign(payload, stranger, nil)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good := g.EncryptPlay(signed)
	parts := strings.Split(good, ".")
	require.Len(t, parts, 5)
	headed := func(header string) string {
		return strings.Join(append([]string{b64.EncodeToString([]byte(header))}, parts[1:]...), ".")
	}
	encrypt := func(alg, enc string, key any, zip bool) string {
		token, err := jose.Encrypt(signed, alg, enc, key, zip)
		require.NoError(t, err)
		return string(token)
	}
	jws := func(header string, sign func(in []byte) []byte) []byte {
		in := []byte(b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(payload))
		return append(append(in, '.'), b64.EncodeToString(sign(in))...)
	}
	point, err := signing.PublicKey.Bytes()
	require.NoError(t, err)
	other := make([]byte, 32)
	for _, row := range []struct {
		name, token, step string
		want              error
	}{
		{"dir", encrypt("dir", "A256GCM", aes, false), "decrypt", attest.ErrMalformed},
		{"A128KW", encrypt("A128KW", "A256GCM", aes[:16], false), "decrypt", attest.ErrMalformed},
		{"PBES2", encrypt("PBES2-HS256+A128KW", "A256GCM", aes, false), "decrypt", attest.ErrMalformed},
		{"A128CBC-HS256", encrypt("A256KW", "A128CBC-HS256", aes, false), "decrypt", attest.ErrMalformed},
		{"zip", encrypt("A256KW", "A256GCM", aes, true), "decrypt", attest.ErrMalformed},
		{"RSA-OAEP", encrypt("RSA-OAEP", "A256GCM", &rsaKey.PublicKey, false), "decrypt", attest.ErrMalformed},
		{"PBES2 with a billion rounds", headed(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000000,"p2s":"AAAA"}`), "decrypt", attest.ErrMalformed},
		{"critical extension", headed(`{"alg":"A256KW","enc":"A256GCM","crit":["x"],"x":1}`), "decrypt", attest.ErrMalformed},
		{"key by URL", headed(`{"alg":"A256KW","enc":"A256GCM","jku":"https://example.com/keys"}`), "decrypt", attest.ErrMalformed},
		{"key in the header", headed(`{"alg":"A256KW","enc":"A256GCM","jwk":{"kty":"oct"}}`), "decrypt", attest.ErrMalformed},
		{"certificate in the header", headed(`{"alg":"A256KW","enc":"A256GCM","x5c":["AAAA"]}`), "decrypt", attest.ErrMalformed},
		{"algorithm twice", headed(`{"alg":"dir","alg":"A256KW","enc":"A256GCM"}`), "decrypt", attest.ErrMalformed},
		{"JSON form", `{"protected":"` + parts[0] + `","encrypted_key":"` + parts[1] + `","iv":"` + parts[2] + `","ciphertext":"` + parts[3] + `","tag":"` + parts[4] + `"}`,
			"decrypt", attest.ErrMalformed},
		{"six parts", good + ".AAAA", "decrypt", attest.ErrMalformed},
		{"tag cut short", good[:len(good)-6], "decrypt", attest.ErrMalformed},
		{"another key pair", encrypt("A256KW", "A256GCM", other, false), "decrypt", attest.ErrKeyID},
		{"signed by a stranger", g.EncryptPlay(byStranger), "signature", attest.ErrForged},
		{"unsigned", g.EncryptPlay(payload), "signature", attest.ErrMalformed},
		{"alg none", g.EncryptPlay(jws(`{"alg":"none"}`, func([]byte) []byte { return make([]byte, 64) })), "signature", attest.ErrMalformed},
		{"HS256 with the public key", g.EncryptPlay(jws(`{"alg":"HS256"}`, func(in []byte) []byte {
			mac := hmac.New(sha256.New, point)
			mac.Write(in)
			return mac.Sum(nil)
		})), "signature", attest.ErrMalformed},
		{"own key embedded", g.EncryptPlay(jws(`{"alg":"ES256","jwk":{"kty":"EC"}}`, func([]byte) []byte { return make([]byte, 64) })), "signature", attest.ErrMalformed},
		{"encrypted twice", g.EncryptPlay([]byte(g.EncryptPlay(signed))), "signature", attest.ErrMalformed},
		{"signed and not encrypted", string(signed), "decrypt", attest.ErrMalformed},
		{"payload no JSON", g.SealPlay([]byte("text")), "payload", attest.ErrMalformed},
		{"rubbish", "rubbish", "decrypt", attest.ErrMalformed},
		{"nothing", "", "size", attest.ErrTooLarge},
		{"huge", strings.Repeat("A", 1<<20), "size", attest.ErrTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := newVerifier(t, local(t, nil), nil).Classic(ctx, row.token, nonce)
			requireStep(t, err, row.step, row.want)
			if len(row.token) > 20 {
				require.NotContains(t, err.Error(), row.token[:20])
			}
		})
	}
}

func TestNoncesAndHashes(t *testing.T) {
	v := newVerifier(t, local(t, nil), nil)
	token := phone().PlayToken(nonce, "", nil)
	for name, n := range map[string][]byte{"none": nil, "short": make([]byte, 15), "huge": make([]byte, 400)} {
		_, err := v.Classic(ctx, token, n)
		requireStep(t, err, "nonce", attest.ErrNonce)
		_ = name
	}
	for _, h := range []string{"", strings.Repeat("h", 501)} {
		_, err := v.Standard(ctx, token, h)
		requireStep(t, err, "nonce", attest.ErrNonce)
	}
	_, err := v.Classic(ctx, token, nonce)
	require.NoError(t, err, "what was refused before it was decoded may come again")
	_, err = v.Classic(ctx, token, nonce)
	requireStep(t, err, "replay", attest.ErrReplay)
	_, err = v.Standard(ctx, phone().PlayToken(nonce, "", nil), hash)
	requireStep(t, err, "request", attest.ErrNonce)
}

func TestKeyPairs(t *testing.T) {
	d, ver, _ := theGoogle().PlayKeys()
	_, otherVer, _ := attesttest.NewGoogle(at(start)).PlayKeys()
	old := playintegrity.KeyPair{Decryption: make([]byte, 32), Verification: otherVer}
	l, err := playintegrity.NewLocal([]playintegrity.KeyPair{old, {Decryption: d, Verification: ver}}, nil)
	require.NoError(t, err)
	_, err = newVerifier(t, l, nil).Classic(ctx, phone().PlayToken(nonce, "", nil), nonce)
	require.NoError(t, err, "the second pair")
	l, err = playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: d, Verification: otherVer}}, nil)
	require.NoError(t, err)
	_, err = newVerifier(t, l, nil).Classic(ctx, phone().PlayToken(nonce, "", nil), nonce)
	requireStep(t, err, "signature", attest.ErrForged)
	for name, pairs := range map[string][]playintegrity.KeyPair{
		"want 1 to 16": nil, "want 32": {{Decryption: d[:16], Verification: ver}}, "no P-256": {{Decryption: d, Verification: []byte("x")}},
	} {
		_, err := playintegrity.NewLocal(pairs, nil)
		require.ErrorContains(t, err, name)
	}
}

func endpoint(t testing.TB, h http.Handler, o playintegrity.EndpointOptions) *playintegrity.Endpoint {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.BaseURL = s.URL
	e, err := playintegrity.NewEndpoint(pkg, func(context.Context) (string, error) { return "s3cret", nil }, &o)
	require.NoError(t, err)
	return e
}

func TestEndpoint(t *testing.T) {
	server := theGoogle().PlayServer()
	e := endpoint(t, server, playintegrity.EndpointOptions{})
	v := newVerifier(t, e, nil)
	token := phone().PlayToken(nil, hash, nil)
	p, err := v.Standard(ctx, token, hash)
	require.NoError(t, err)
	require.Equal(t, hash, p.Request.RequestHash)
	_, err = v.Standard(ctx, token, hash)
	requireStep(t, err, "replay", attest.ErrReplay)
	require.Equal(t, 1, server.Calls(), "never decoded twice")
	_, err = newVerifier(t, e, nil).Standard(ctx, token, hash) // another process decodes it again
	requireStep(t, err, "app", attest.ErrTampered)
	_, err = v.Standard(ctx, phone().PlayToken(nil, "another", nil), hash)
	requireStep(t, err, "request", attest.ErrNonce)
	_, err = v.Standard(ctx, "rubbish", hash)
	requireStep(t, err, "decode", attest.ErrMalformed)
	yes, no := true, false
	require.NoError(t, e.WriteRecall(ctx, token, &yes, nil, &no))
	require.Error(t, e.WriteRecall(ctx, token, nil, nil, nil))
	// A pair that does not open the token leaves it to the fallback.
	_, otherVer, _ := attesttest.NewGoogle(at(start)).PlayKeys()
	l, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: make([]byte, 32), Verification: otherVer}}, &playintegrity.LocalOptions{Fallback: e})
	require.NoError(t, err)
	_, err = newVerifier(t, l, nil).Classic(ctx, phone().PlayToken(nonce, "", nil), nonce)
	require.NoError(t, err)
}

func TestEndpointFailures(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	for name, h := range map[string]http.HandlerFunc{
		"401": status(401), "403": status(403), "404": status(404), "429": status(429), "500": status(500), "503": status(503),
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, "not JSON": body("<html>"),
		"no payload": body(`{}`), "name twice": body(`{"tokenPayloadExternal":{},"tokenPayloadExternal":{}}`), "huge": body(strings.Repeat(" ", 1<<20)),
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 1<<16))
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := playintegrity.EndpointOptions{Timeout: 5 * time.Second}
			if name == "slow" {
				o.Timeout = 50 * time.Millisecond
			}
			var mu sync.Mutex
			calls := 0
			v := newVerifier(t, endpoint(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				calls++
				mu.Unlock()
				h(w, r)
			}), o), nil)
			token := phone().PlayToken(nil, hash, nil)
			_, err := v.Standard(ctx, token, hash)
			require.ErrorIs(t, err, attest.ErrUnavailable)
			_, refused := attest.Refused(attest.PlayIntegrity, err)
			require.False(t, refused)
			for _, secret := range []string{"s3cret", token[:30], "127.0.0.1"} {
				require.NotContains(t, err.Error(), secret)
			}
			_, err = v.Standard(ctx, token, hash)
			requireStep(t, err, "replay", attest.ErrReplay)
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, 1, calls)
		})
	}
	t.Run("not sent", func(t *testing.T) {
		boom := true
		s := httptest.NewServer(theGoogle().PlayServer())
		t.Cleanup(s.Close)
		e, err := playintegrity.NewEndpoint(pkg, func(context.Context) (string, error) {
			if boom {
				return "", errors.New("s3cret")
			}
			return "token", nil
		}, &playintegrity.EndpointOptions{BaseURL: s.URL})
		require.NoError(t, err)
		v := newVerifier(t, e, nil)
		token := phone().PlayToken(nil, hash, nil)
		_, err = v.Standard(ctx, token, hash)
		require.ErrorIs(t, err, attest.ErrUnavailable)
		require.NotContains(t, err.Error(), "s3cret")
		boom = false
		_, err = v.Standard(ctx, token, hash)
		require.NoError(t, err, "what Google has not seen may be tried again")
	})
	t.Run("bad request", func(t *testing.T) {
		_, err := newVerifier(t, endpoint(t, status(400), playintegrity.EndpointOptions{}), nil).Standard(ctx, "token", hash)
		requireStep(t, err, "decode", attest.ErrMalformed)
	})
}

func TestVerify(t *testing.T) {
	g := theGoogle()
	const challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, row := range []struct {
		name   string
		device *attesttest.Android
		out    attest.Outcome
	}{
		{"Pixel", phone(), attest.Passed},
		{"emulator", g.EmulatorPhone(pkg, signer), attest.Emulator},
		{"rooted", g.RootedPhone(pkg, signer), attest.Tampered},
		{"another app", g.Pixel("com.example.other", signer), attest.WrongAudience},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, message := range []string{"", "body"} {
				classic := row.device.PlayToken(playintegrity.NonceFor(challenge, []byte(message)), "", nil)
				standard := row.device.PlayToken(nil, playintegrity.RequestHashFor(challenge, []byte(message)), nil)
				for kind, token := range map[attest.Kind]string{"": classic, attest.KindStandard: standard} {
					v, err := newVerifier(t, local(t, nil), nil).Verify(ctx, attest.Request{Response: attest.Response{
						Kind: kind, Challenge: challenge, Data: []byte(token), Message: []byte(message)}})
					require.NoError(t, err)
					require.Equal(t, row.out, v.Outcome, "%v", v.Reasons)
					require.LessOrEqual(t, v.Strength(), attest.Software, "Google vouches: no hardware was checked")
				}
			}
		})
	}
	v, err := newVerifier(t, local(t, nil), nil).Verify(ctx, attest.Request{Response: attest.Response{Kind: "assertion"}})
	require.NoError(t, err)
	require.Equal(t, attest.Failed, v.Outcome)
}

func TestNewRefuses(t *testing.T) {
	l := local(t, nil)
	for name, build := range map[string]func() (*playintegrity.Verifier, error){
		"no package name": func() (*playintegrity.Verifier, error) { return playintegrity.New("../../x", [][]byte{signer}, l, nil) },
		"no decoder":      func() (*playintegrity.Verifier, error) { return playintegrity.New(pkg, [][]byte{signer}, nil, nil) },
		"no certificate":  func() (*playintegrity.Verifier, error) { return playintegrity.New(pkg, nil, l, nil) },
		"not hex":         func() (*playintegrity.Verifier, error) { return playintegrity.New(pkg, [][]byte{{1}}, l, nil) },
		"MaxAge": func() (*playintegrity.Verifier, error) {
			return playintegrity.New(pkg, [][]byte{signer}, l, &playintegrity.Options{MaxAge: -1})
		},
		"RefuseRisk": func() (*playintegrity.Verifier, error) {
			return playintegrity.New(pkg, [][]byte{signer}, l, &playintegrity.Options{RefuseRisk: 2})
		},
		"Licensing": func() (*playintegrity.Verifier, error) {
			return playintegrity.New(pkg, [][]byte{signer}, l, &playintegrity.Options{Licensing: 9})
		},
	} {
		v, err := build()
		require.ErrorContains(t, err, name)
		require.Nil(t, v)
	}
	for _, name := range []string{"", "a", "a/b.c", "a.b?x", "a.b:decode", "a..b", "1a.b", strings.Repeat("a.", 200) + "b"} {
		_, err := playintegrity.NewEndpoint(name, func(context.Context) (string, error) { return "", nil }, nil)
		require.Error(t, err, name)
	}
	_, err := playintegrity.NewEndpoint(pkg, nil, nil)
	require.ErrorContains(t, err, "Scope")
}

package fingerprint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
)

func TestReport(t *testing.T) {
	valid := string(desktop.Report())
	r, err := fingerprint.ParseReport([]byte(valid), fingerprinttest.Chrome().Header.Get("User-Agent"))
	require.NoError(t, err)
	require.False(t, r.Token.Inconsistent)
	require.Equal(t, "fpjs", r.Token.Source)
	require.Equal(t, "5.2", r.Token.Version)
	require.InDelta(t, 0.6, r.Token.Confidence, 1e-9, "what the components say, not the visitor's 1")
	require.Zero(t, r.Marks)

	for name, c := range map[string]struct{ old, new string }{
		"no object":           {valid, `[]`},
		"empty":               {valid, ``},
		"cut":                 {`}`, ``},
		"two values":          {valid, valid + `{}`},
		"duplicate member":    {`"webdriver":false`, `"webdriver":false,"webdriver":true`},
		"short visitorId":     {`"visitorId":"`, `"visitorId":"a`},
		"capital visitorId":   {r.Token.ID, strings.ToUpper(r.Token.ID)},
		"no version":          {`"version":"5.2.0"`, `"version":"five"`},
		"version a number":    {`"version":"5.2.0"`, `"version":5.2`},
		"components a list":   {`"components":{`, `"components":[{`},
		"component no object": {`"osCpu":{"duration":0}`, `"osCpu":7`},
		"ids a text":          {`"ids":{"local":"","idb":""}`, `"ids":"x"`},
		"id a number":         {`"local":""`, `"local":7`},
		"id too long":         {`"local":""`, `"local":"` + strings.Repeat("x", 257) + `"`},
		"invalid UTF-8":       {`desktop`, "desk\xfftop"},
		"deep":                {`"value":"Win32"`, `"value":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)},
		"fpjs a text":         {valid, `{"fpjs":"x"}`},
		"botd a text":         {`"botd":{"bot":false}`, `"botd":"x"`},
		"thumbmark no id":     {valid, `{"thumbmark":{"version":"1.2.3"}}`},
		"oversize":            {valid, `{"x":"` + strings.Repeat("x", fingerprint.MaxReport) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, valid, c.old)
			_, err := fingerprint.ParseReport([]byte(strings.Replace(valid, c.old, c.new, 1)), "")
			require.ErrorIs(t, err, fingerprint.ErrReport)
		})
	}
	for name, c := range map[string]struct{ old, new string }{
		"another value":     {`"Win32"`, `"Win64"`},
		"another member":    {`"osCpu"`, `"osGpu"`},
		"an error":          {`"value":"Win32"`, `"error":{}`},
		"undefined":         {`"value":"Win32",`, ``},
		"another visitorId": {r.Token.ID, strings.Repeat("0", 32)},
	} {
		t.Run("inconsistent: "+name, func(t *testing.T) {
			got, err := fingerprint.ParseReport([]byte(strings.Replace(valid, c.old, c.new, 1)), "")
			require.NoError(t, err)
			require.True(t, got.Token.Inconsistent)
		})
	}
	spaced := strings.ReplaceAll(valid, `,"`, `, "`)
	got, err := fingerprint.ParseReport([]byte(spaced), "")
	require.NoError(t, err)
	require.False(t, got.Token.Inconsistent, "white space between members is no change")
	none, err := fingerprint.ParseReport([]byte(`{"fpjs":null,"thumbmark":null,"botd":null,"ids":null}`), "")
	require.NoError(t, err)
	require.True(t, none.Token.Zero())
}

func TestTokens(t *testing.T) {
	token, err := fingerprint.Thumbmark([]byte(`{"thumbmark":"c71548a6b8376fbdfe985710433feceb","version":"1.11.0","components":{}}`))
	require.NoError(t, err)
	require.Equal(t, "thumbmark", token.Source)
	require.Equal(t, "1.11", token.Version)
	_, err = fingerprint.FPJS([]byte(`{}`))
	require.ErrorIs(t, err, fingerprint.ErrReport)
	token, err = fingerprint.Opaque("app", "1", "some id", 0.9)
	require.NoError(t, err)
	require.False(t, token.Zero())
	for name, c := range map[string]struct {
		source, version, id string
		confidence          float64
	}{
		"no source": {"", "1", "x", 1}, "colon": {"a:b", "1", "x", 1}, "no id": {"a", "1", "", 1},
		"long id": {"a", "1", strings.Repeat("x", 257), 1}, "confidence": {"a", "1", "x", 1.1}, "long version": {"a", strings.Repeat("1", 33), "x", 1},
	} {
		_, err := fingerprint.Opaque(c.source, c.version, c.id, c.confidence)
		require.Error(t, err, name)
	}
	for platform, want := range map[string]float64{
		"iPhone": 0.3, "Linux armv81": 0.4, "Linux x86_64": 0.7, "Win32": 0.6, "MacIntel": 0.5, "": 0.3,
	} {
		r, err := fingerprint.ParseReport(fingerprinttest.Machine{Platform: platform}.Report(), "")
		require.NoError(t, err)
		require.InDelta(t, want, r.Token.Confidence, 1e-9, platform)
	}
	got, err := fingerprint.VisitorID([]byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("0", 32), got, "MurmurHash3 of nothing with seed 0")
	_, err = fingerprint.VisitorID([]byte(`[]`))
	require.ErrorIs(t, err, fingerprint.ErrReport)
}

func TestPlatforms(t *testing.T) {
	const windows, mac, linux = "(Windows NT 10.0)", "(Macintosh; Intel Mac OS X 10_15_7)", "(X11; Linux x86_64)"
	const android, iphone, ipad = "(Linux; Android 10; K)", "(iPhone; CPU iPhone OS 18_5 like Mac OS X)", "(iPad; CPU OS 18_5 like Mac OS X)"
	for _, c := range []struct {
		platform, agent string
		differ          bool
	}{
		{"Win32", windows, false}, {"Win32", mac, true}, {"MacIntel", mac, false}, {"MacIntel", ipad, false}, {"MacIntel", windows, true},
		{"Linux x86_64", linux, false}, {"Linux x86_64", windows, true}, {"Linux x86_64", iphone, true}, {"Linux armv81", android, false},
		{"Linux armv81", linux, false}, {"Linux armv81", windows, true}, {"iPhone", iphone, false}, {"iPhone", mac, false}, {"iPhone", windows, true},
		{"SunOS", windows, false}, {"", windows, false}, {"Win32", "", false},
	} {
		r, err := fingerprint.ParseReport(fingerprinttest.Machine{Platform: c.platform}.Report(), c.agent)
		require.NoError(t, err)
		require.Equal(t, c.differ, r.Marks&fingerprint.MarkPlatform != 0, "%s %s", c.platform, c.agent)
	}
}

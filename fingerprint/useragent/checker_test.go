package useragent_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func TestBrowsersAndPrograms(t *testing.T) {
	c := newChecker(t)
	for _, client := range fingerprinttest.Browsers() {
		r := c.Check(client.Header)
		require.Equal(t, useragent.Browser, r.Agent.Kind, client.Name)
		require.Empty(t, r.Codes(), client.Name)
	}
	for _, client := range fingerprinttest.Programs() {
		require.NotEmpty(t, c.Check(client.Header).Codes(), client.Name)
		require.GreaterOrEqual(t, points(t, client.Header), 8, client.Name)
	}
}

// TestRules changes one thing of an honest request in each row.
func TestRules(t *testing.T) {
	const mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	drop := func(names ...string) func(http.Header) {
		return func(h http.Header) {
			for _, n := range names {
				h.Del(n)
			}
		}
	}
	chrome, android, firefox, iphone := fingerprinttest.Chrome, fingerprinttest.AndroidChrome, fingerprinttest.Firefox, fingerprinttest.IPhone
	for name, c := range map[string]struct {
		client func() fingerprinttest.Client
		change func(h http.Header)
		want   []useragent.Code
	}{
		"no User-Agent":          {chrome, drop("User-Agent"), []useragent.Code{useragent.CodeEmpty}},
		"blank User-Agent":       {chrome, set("User-Agent", "  "), []useragent.Code{useragent.CodeEmpty}},
		"a tool":                 {chrome, set("User-Agent", "python-requests/2.34.0"), []useragent.Code{useragent.CodeTool}},
		"a crawler":              {chrome, set("User-Agent", "Mozilla/5.0 (compatible; Examplebot/1.0)"), []useragent.Code{useragent.CodeCrawler}},
		"headless":               {chrome, set("User-Agent", strings.Replace(chrome().Header.Get("User-Agent"), "Chrome/", "HeadlessChrome/", 1)), []useragent.Code{useragent.CodeAutomation}},
		"another system":         {chrome, set("User-Agent", mac), []useragent.Code{useragent.CodePlatform}},
		"another hint":           {chrome, set("Sec-CH-UA-Platform", `"Linux"`), []useragent.Code{useragent.CodePlatform}},
		"unknown hint":           {chrome, set("Sec-CH-UA-Platform", `"Unknown"`), nil},
		"mobile hint":            {chrome, set("Sec-CH-UA-Mobile", "?1"), []useragent.Code{useragent.CodeMobile}},
		"no mobile hint":         {android, set("Sec-CH-UA-Mobile", "?0"), []useragent.Code{useragent.CodeMobile}},
		"another version":        {chrome, set("Sec-CH-UA", `"Chromium";v="120"`), []useragent.Code{useragent.CodeVersion}},
		"brands out of order":    {chrome, set("Sec-CH-UA", `"Chromium";v="156", "(Not(A:Brand";v="99"`), nil},
		"hints cannot be read":   {chrome, set("Sec-CH-UA", `"Chromium;v=`), nil},
		"hints of Firefox":       {firefox, set("Sec-CH-UA-Platform", `"Linux"`), []useragent.Code{useragent.CodeHints}},
		"hints of Safari":        {iphone, set("Sec-CH-UA", `"Chromium";v="156"`), []useragent.Code{useragent.CodeHints}},
		"no hints":               {chrome, drop("Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform"), []useragent.Code{useragent.CodeNoHints}},
		"no language":            {chrome, drop("Accept-Language"), []useragent.Code{useragent.CodeNoLanguage}},
		"no encoding":            {firefox, drop("Accept-Encoding"), []useragent.Code{useragent.CodeNoEncoding}},
		"no fetch metadata":      {firefox, drop("Sec-Fetch-Mode"), []useragent.Code{useragent.CodeNoFetch}},
		"undici":                 {chrome, func(h http.Header) { h.Set("Sec-Fetch-Mode", "cors"); h.Set("Accept-Language", "*") }, []useragent.Code{useragent.CodeNodeFetch}},
		"a megabyte":             {chrome, set("User-Agent", chrome().Header.Get("User-Agent")+strings.Repeat("x", 1<<20)), []useragent.Code{useragent.CodeMalformed}},
		"twice":                  {chrome, func(h http.Header) { h.Add("User-Agent", "x") }, []useragent.Code{useragent.CodeMalformed}},
		"languages in two lines": {chrome, func(h http.Header) { h.Add("Accept-Language", "de") }, nil},
		"control character":      {chrome, set("Sec-CH-UA-Platform", "\"Windows\"\x01"), []useragent.Code{useragent.CodeMalformed}},
		"invalid UTF-8":          {chrome, set("Accept-Language", "\xff"), []useragent.Code{useragent.CodeMalformed}},
		"an app's window": {android, func(h http.Header) {
			h.Set("User-Agent", "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/156.0.0.0 Mobile Safari/537.36")
			drop("Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-Fetch-Mode")(h)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := c.client().Header
			c.change(h)
			got := newChecker(t).Check(h).Codes()
			if name == "control character" { // it also names another system
				require.Contains(t, got, useragent.CodeMalformed)
				return
			}
			require.ElementsMatch(t, c.want, got)
		})
	}
	insecure, err := useragent.New(&useragent.Options{InsecureTransport: true})
	require.NoError(t, err)
	h := chrome().Header
	drop("Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-Fetch-Mode")(h)
	require.Empty(t, insecure.Check(h).Codes(), "plain HTTP")
	require.Equal(t, []useragent.Code{useragent.CodeEmpty}, newChecker(t).Check(nil).Codes())
}

func TestFeed(t *testing.T) {
	list, err := useragent.ParseFeed(strings.NewReader("\ufeff# bad bots\r\n\r\nEvilThing\r\n^StartsWith\nends-with$\n\\bword\\b\nWith\\.dot\n"))
	require.NoError(t, err)
	require.Len(t, list, 5)
	c, err := useragent.New(&useragent.Options{Feed: list})
	require.NoError(t, err)
	const browser = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	for text, want := range map[string]bool{
		browser + " evilthing/2": true, "StartsWith/1 " + browser: true, browser + " StartsWith": false,
		browser + " ends-with": true, browser + " ends-with x": false, browser + " word x": true, browser + " sword x": false,
		browser + " words": false, browser + " with.dot/1": true, browser + " withxdot": false, browser: false,
	} {
		require.Equal(t, want, c.Parse(text).Kind == useragent.Listed, text)
	}
	require.NoError(t, c.Reload(nil))
	require.Equal(t, useragent.Browser, c.Parse(browser+" evilthing/2").Kind)

	for name, text := range map[string]string{
		"a regular expression": "foo.*bar", "too short": "ab", "a class": "[wW]get", "a trailing backslash": `foo\`, "an escape": `foo\d`, "not ASCII": "bäd-bot",
	} {
		_, err := useragent.ParseFeed(strings.NewReader("# x\n" + text))
		require.ErrorContains(t, err, "line 2", name)
		require.Error(t, c.Reload([]string{text}), name)
	}
	_, err = useragent.ParseFeed(strings.NewReader(strings.Repeat("pattern\n", useragent.MaxPatterns+1)))
	require.ErrorIs(t, err, useragent.ErrFeed)
	_, err = useragent.ParseFeed(strings.NewReader(strings.Repeat("#"+strings.Repeat("x", 1000)+"\n", 1100)))
	require.ErrorIs(t, err, useragent.ErrFeed)
	require.ErrorIs(t, c.Reload(make([]string, useragent.MaxPatterns+1)), useragent.ErrFeed)
	require.Equal(t, useragent.Browser, c.Parse(browser).Kind, "a bad feed changes nothing")
}

func TestShape(t *testing.T) {
	a, b := fingerprinttest.Chrome().Header, fingerprinttest.Chrome().Header
	b.Set("User-Agent", "another")
	b.Set("Accept-Language", "no-NO,no;q=0.9")
	b.Set("X-Forwarded-For", "192.0.2.1")
	require.Equal(t, useragent.Shape(a), useragent.Shape(b), "what differs between people is not in it")
	require.Len(t, useragent.Shape(a), len("s1_")+12)
	b.Del("Sec-Fetch-User")
	require.NotEqual(t, useragent.Shape(a), useragent.Shape(b))
	require.NotEqual(t, useragent.Shape(a), useragent.Shape(fingerprinttest.Firefox().Header))
	require.NotEmpty(t, useragent.Shape(nil))
}

func TestSignal(t *testing.T) {
	s, err := useragent.NewSignal(newChecker(t))
	require.NoError(t, err)
	_, err = useragent.NewSignal(nil)
	require.Error(t, err)
	attempt := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelWeb, Header: fingerprinttest.Go().Header}
	require.NoError(t, risktest.Conform(s, attempt, &risk.Attempt{Header: fingerprinttest.Chrome().Header}))
	require.True(t, s.Applies(attempt))
	require.False(t, s.Applies(&risk.Attempt{Channel: risk.ChannelMobile, Header: attempt.Header}))
	require.False(t, s.Applies(&risk.Attempt{}))
}

func FuzzCheck(f *testing.F) {
	for _, c := range append(fingerprinttest.Browsers(), fingerprinttest.Programs()...) {
		f.Add(c.Header.Get("User-Agent"), c.Header.Get("Sec-Ch-Ua"), c.Header.Get("Sec-Ch-Ua-Platform"), c.Header.Get("Accept-Language"))
	}
	c := newChecker(f)
	f.Fuzz(func(t *testing.T, agent, brands, platform, language string) {
		h := http.Header{"User-Agent": {agent}, "Sec-Ch-Ua": {brands}, "Sec-Ch-Ua-Platform": {platform}, "Accept-Language": {language}}
		r := c.Check(h)
		for _, code := range r.Codes() {
			require.NotEqual(t, "none", code.String())
		}
		require.Equal(t, r, c.Check(h))
		require.GreaterOrEqual(t, r.Agent.Major, 0)
		require.Len(t, useragent.Shape(h), 15)
	})
}

func FuzzFeed(f *testing.F) {
	f.Add("# x\nEvilThing\n^a\\.b$\n\\bword\\b")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := useragent.ParseFeed(strings.NewReader(text))
		if err != nil {
			return
		}
		_, err = useragent.New(&useragent.Options{Feed: list})
		if err != nil {
			require.ErrorIs(t, err, useragent.ErrFeed)
		}
	})
}

func BenchmarkConsistency(b *testing.B) {
	c := newChecker(b)
	h := fingerprinttest.Chrome().Header
	b.ReportAllocs()
	for b.Loop() {
		if c.Check(h).Agent.Kind != useragent.Browser {
			b.Fatal("not a browser")
		}
	}
}

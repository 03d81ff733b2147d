package ja4_test

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func TestChrome(t *testing.T) {
	c := fingerprinttest.Chrome()
	require.Equal(t, c.JA4, ja4.Of(c.Hello))
	p, err := ja4.Parse(c.JA4)
	require.NoError(t, err)
	require.Equal(t, ja4.Parts{Transport: ja4.TCP, Version: "13", SNI: true, Ciphers: 15, Exts: 17, ALPN: "h2", B: "8daaf6152771", C: "cb7bf5808d99"}, p)
}

// TestParts changes one thing of Chrome's hello in each row and looks at the readable part and at what else changes.
func TestParts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *tls.ClientHelloInfo)
		prefix string
		b, c   bool // changes
	}{
		"order of extensions": {func(h *tls.ClientHelloInfo) { h.Extensions[1], h.Extensions[3] = h.Extensions[3], h.Extensions[1] }, "t13d1517h2", false, false},
		"order of ciphers":    {func(h *tls.ClientHelloInfo) { h.CipherSuites[1], h.CipherSuites[2] = 0x1302, 0x1301 }, "t13d1517h2", false, false},
		"order of signatures": {func(h *tls.ClientHelloInfo) { h.SignatureSchemes[0], h.SignatureSchemes[1] = 0x0905, 0x0904 }, "t13d1517h2", false, true},
		"other GREASE": {func(h *tls.ClientHelloInfo) {
			h.CipherSuites[0], h.Extensions[0], h.SupportedVersions[0] = 0xeaea, 0x0a0a, 0xfafa
		}, "t13d1517h2", false, false},
		"no GREASE but alike": {func(h *tls.ClientHelloInfo) { h.CipherSuites[0] = 0x1a2a }, "t13d1617h2", true, false},
		"GREASE signature":    {func(h *tls.ClientHelloInfo) { h.SignatureSchemes = append(h.SignatureSchemes, 0x4a4a) }, "t13d1517h2", false, false},
		"no server name":      {func(h *tls.ClientHelloInfo) { h.Extensions[13] = 0x2a2a }, "t13i1516h2", false, false},
		"TLS 1.2":             {func(h *tls.ClientHelloInfo) { h.SupportedVersions = []uint16{0x0303} }, "t12d1517h2", false, false},
		"unknown version":     {func(h *tls.ClientHelloInfo) { h.SupportedVersions = []uint16{0x7f1c} }, "t00d1517h2", false, false},
		"no version":          {func(h *tls.ClientHelloInfo) { h.SupportedVersions = nil }, "t00d1517h2", false, false},
		"HTTP/1.1":            {func(h *tls.ClientHelloInfo) { h.SupportedProtos = []string{"http/1.1"} }, "t13d1517h1", false, false},
		"no ALPN":             {func(h *tls.ClientHelloInfo) { h.SupportedProtos = nil }, "t13d151700", false, false},
		"no ciphers":          {func(h *tls.ClientHelloInfo) { h.CipherSuites = nil }, "t13d0017h2", true, false},
		"no extensions":       {func(h *tls.ClientHelloInfo) { h.Extensions = nil }, "t13i1500h2", false, true},
		"no signatures":       {func(h *tls.ClientHelloInfo) { h.SignatureSchemes = nil }, "t13d1517h2", false, true},
		"more than 99": {func(h *tls.ClientHelloInfo) {
			for i := range 200 {
				h.CipherSuites = append(h.CipherSuites, uint16(i))
			}
		}, "t13d9917h2", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			base := fingerprinttest.Chrome()
			c.change(base.Hello)
			got := ja4.Of(base.Hello)
			p, err := ja4.Parse(got)
			require.NoError(t, err)
			require.Equal(t, c.prefix, got[:10])
			require.Equal(t, c.b, p.B != base.JA4[11:23], "second part %s", got)
			require.Equal(t, c.c, p.C != base.JA4[24:], "third part %s", got)
			require.Equal(t, got, ja4.All(base.Hello, ja4.TCP).JA4)
		})
	}
}

func TestParse(t *testing.T) {
	const valid = "t13d1517h2_8daaf6152771_cb7bf5808d99"
	for name, text := range map[string]string{
		"empty": "", "short": valid[:35], "long": valid + "0", "transport": "x" + valid[1:], "version": "t99" + valid[3:], "sni": "t13x" + valid[4:],
		"count": "t13d1x17h2" + valid[10:], "alpn": "t13d1517h-" + valid[10:], "capitals": strings.ToUpper(valid), "first underscore": strings.Replace(valid, "_", "-", 1),
		"hex": strings.Replace(valid, "8d", "8g", 1), "spaces": " " + valid[1:],
	} {
		_, err := ja4.Parse(text)
		require.ErrorIs(t, err, ja4.ErrFormat, name)
	}
}

// TestClients: the hellos that users get for their tests have the fingerprints that are said to be theirs.
func TestClients(t *testing.T) {
	for _, c := range append(fingerprinttest.Browsers(), fingerprinttest.Programs()...) {
		require.Equal(t, c.JA4, ja4.Of(c.Hello), c.Name)
	}
}

func TestEdge(t *testing.T) {
	const value = "t13d1517h2_8daaf6152771_cb7bf5808d99"
	e, err := ja4.NewEdge(ja4.HeaderCloudFront, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::ffff:203.0.113.0/120")})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		peer   string
		values []string
		ok     bool
	}{
		"trusted": {"192.0.2.7:443", []string{value}, true}, "mapped": {"[::ffff:192.0.2.7]:443", []string{value}, true},
		"mapped prefix": {"203.0.113.9:1", []string{value}, true}, "stranger": {"198.51.100.1:443", []string{value}, false},
		"no port": {"192.0.2.7", []string{value}, false}, "twice": {"192.0.2.7:443", []string{value, value}, false},
		"none": {"192.0.2.7:443", nil, false}, "rubbish": {"192.0.2.7:443", []string{"x"}, false}, "socket": {"@", []string{value}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		for _, v := range c.values {
			r.Header.Add(ja4.HeaderCloudFront, v)
		}
		got, ok := e.FromRequest(r)
		require.Equal(t, c.ok, ok, name)
		if ok {
			require.Equal(t, value, got)
		}
	}
	for name, c := range map[string]struct {
		header  string
		trusted []netip.Prefix
	}{
		"no header": {"", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "bad header": {"a b", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		"nobody": {"X", nil}, "everybody": {"X", []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, "zero": {"X", []netip.Prefix{{}}},
		"all of IPv4": {"X", []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/96")}},
	} {
		_, err := ja4.NewEdge(c.header, c.trusted)
		require.Error(t, err, name)
	}
}

func TestTable(t *testing.T) {
	own, err := ja4.NewTable([]ja4.Entry{{B: "0123456789ab", Family: "ours"}, {ALPN: "h1", B: "0123456789ab", Family: "other"}})
	require.NoError(t, err)
	for text, want := range map[string]ja4.Family{
		"t13d1517h2_0123456789ab_cb7bf5808d99": "ours", "t13d1517h1_0123456789ab_cb7bf5808d99": "other",
		"t13d1517h2_8daaf6152771_cb7bf5808d99": ja4.Unknown,
	} {
		p, err := ja4.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, own.Family(p))
	}
	for name, list := range map[string][]ja4.Entry{
		"empty": {}, "no family": {{B: "0123456789ab"}}, "short": {{B: "0123", Family: "x"}}, "alpn": {{ALPN: "h22", B: "0123456789ab", Family: "x"}},
		"two families": {{B: "0123456789ab", Family: "x"}, {B: "0123456789ab", Family: "y"}},
	} {
		_, err := ja4.NewTable(list)
		require.Error(t, err, name)
	}
}

func TestSignal(t *testing.T) {
	s, err := ja4.NewSignal(nil)
	require.NoError(t, err)
	attempt := func(c fingerprinttest.Client) *risk.Attempt {
		a := &risk.Attempt{Event: risk.SignUp, Header: c.Header}
		risk.Attach(a, ja4.Hello{JA4: c.JA4})
		return a
	}
	with := func(c fingerprinttest.Client, ja4 string) fingerprinttest.Client { c.JA4 = ja4; return c }
	for name, c := range map[string]struct {
		client fingerprinttest.Client
		want   string
	}{
		"Chrome": {fingerprinttest.Chrome(), ""}, "Firefox": {fingerprinttest.Firefox(), ""}, "iPhone": {fingerprinttest.IPhone(), ""},
		"Go as Chrome": {fingerprinttest.Go(), "tool"}, "curl": {fingerprinttest.Curl(), ""},
		"Firefox as Chrome": {with(fingerprinttest.Chrome(), fingerprinttest.Firefox().JA4), "engine"},
		"Chrome as iPhone":  {with(fingerprinttest.IPhone(), fingerprinttest.Chrome().JA4), "engine"},
		"unknown":           {with(fingerprinttest.Chrome(), "t13d1211h2_0123456789ab_0123456789ab"), ""},
		"without HTTP/2":    {with(fingerprinttest.Chrome(), "t13d1211h1_0123456789ab_0123456789ab"), "no_h2"},
		"none":              {with(fingerprinttest.Chrome(), "x"), "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			var f risk.Finding
			require.NoError(t, s.Evaluate(t.Context(), attempt(c.client), &f))
			var got []string
			for o := range f.Observations() {
				got = append(got, o.Code)
			}
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, []string{c.want}, got)
		})
	}
	require.False(t, s.Applies(&risk.Attempt{}))
	require.NoError(t, risktest.Conform(s, attempt(fingerprinttest.Chrome()), attempt(fingerprinttest.Go())))
}

// FuzzHello lets crypto/tls read hellos.
func FuzzHello(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0})
	raw, err := hex.DecodeString("0100002d0303" + strings.Repeat("00", 32) + "00" + "0004130113020100" + "0000")
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) < 4 || len(message) > 4096 || message[0] != 1 {
			return
		}
		message[1], message[2], message[3] = 0, byte((len(message)-4)>>8), byte(len(message)-4)
		h := hello(t, message)
		if h == nil {
			return
		}
		value := ja4.Of(h)
		_, err := ja4.Parse(value)
		require.NoError(t, err, value)
		require.Equal(t, value, ja4.All(h, ja4.TCP).JA4)
	})
}

// FuzzInfo fills in what crypto/tls would.
func FuzzInfo(f *testing.F) {
	f.Add([]byte{0x13, 1, 0x13, 2}, []byte{0, 0, 0, 16}, []byte{4, 3}, "h2")
	f.Fuzz(func(t *testing.T, ciphers, extensions, schemes []byte, proto string) {
		list := func(b []byte) (out []uint16) {
			for ; len(b) > 1; b = b[2:] {
				out = append(out, binary.BigEndian.Uint16(b))
			}
			return out
		}
		h := &tls.ClientHelloInfo{CipherSuites: list(ciphers), Extensions: list(extensions), SupportedProtos: []string{proto}}
		for _, v := range list(schemes) {
			h.SignatureSchemes = append(h.SignatureSchemes, tls.SignatureScheme(v))
		}
		_, err := ja4.Parse(ja4.Of(h))
		require.NoError(t, err)
	})
}

func BenchmarkJA4(b *testing.B) {
	h := fingerprinttest.Chrome().Hello
	b.ReportAllocs()
	for b.Loop() {
		if len(ja4.Of(h)) != 36 {
			b.Fatal("not a JA4")
		}
	}
}

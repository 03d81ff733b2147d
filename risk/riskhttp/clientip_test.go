package riskhttp_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

func TestClientIPOfPeer(t *testing.T) {
	for _, c := range []struct{ remote, want string }{
		{"203.0.113.9:4711", "203.0.113.9"},
		{"203.0.113.9", "203.0.113.9"},
		{"[2001:db8::9]:4711", "2001:db8::9"},
		{"2001:db8::9", "2001:db8::9"},
		{"[::ffff:203.0.113.9]:80", "203.0.113.9"},
		{"[::ffff:cb00:7109]:80", "203.0.113.9"},
		{"[2001:db8::203.0.113.9]:80", "2001:db8::cb00:7109"},
		{"[fe80::1%eth0]:80", "fe80::1"},
		{"", ""},
		{"@", ""},
		{"/run/app.sock", ""},
		{"pipe", ""},
		{"localhost:80", ""},
		{"010.0.0.1:80", ""},
		{"0.0.0.0:80", ""},
		{"[::]:80", ""},
		{"224.0.0.1:80", ""},
		{"203.0.113.9:", ""},
		{"203.0.113.9:99999999", ""},
		{"[203.0.113.9]:80", ""},
		{"[2001:db8::9", ""},
		{"[2001:db8::9]x", ""},
	} {
		r := get("X-Forwarded-For", "198.51.100.1", "Forwarded", "for=198.51.100.1", "X-Real-IP", "198.51.100.1")
		r.RemoteAddr = c.remote
		addr, err := newGuard(t, &engine{}, nil).ClientIP(r)
		if c.want == "" {
			require.False(t, addr.IsValid(), c.remote)
			require.ErrorIs(t, err, riskhttp.ErrNoAddress, c.remote)
			continue
		}
		require.NoError(t, err, c.remote)
		require.Equal(t, c.want, addr.String(), c.remote)
	}
}

func TestClientIPForwardedFor(t *testing.T) {
	long := strings.Repeat("198.51.100.1, ", 400)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		stops bool
	}{
		{"no header", nil, "10.0.0.1", false},
		{"one hop", []string{"203.0.113.9"}, "203.0.113.9", false},
		{"spoofed left entry", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9", false},
		{"spoofed trusted left entry", []string{"10.0.0.7, 203.0.113.9"}, "203.0.113.9", false},
		{"two proxies", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9", false},
		{"several lines", []string{"198.51.100.1", "203.0.113.9", "10.0.0.2"}, "203.0.113.9", false},
		{"several lines, spoofed empty first", []string{"", "203.0.113.9"}, "203.0.113.9", false},
		{"lines and lists", []string{"198.51.100.1,203.0.113.9", "10.0.0.3 ,\t10.0.0.2"}, "203.0.113.9", false},
		{"all trusted", []string{"10.0.0.4, 10.0.0.3", "10.0.0.2"}, "10.0.0.4", false},
		{"proxy that forgets to append", []string{"198.51.100.1"}, "198.51.100.1", false}, // nobody can tell
		{"mapped client", []string{"::ffff:203.0.113.9"}, "203.0.113.9", false},
		{"mapped proxy", []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9", false},
		{"IPv6 proxy", []string{"203.0.113.9, 2001:db8:f::1"}, "203.0.113.9", false},
		{"port", []string{"203.0.113.9:4711"}, "203.0.113.9", false},
		{"brackets", []string{"[2001:db8::9]"}, "2001:db8::9", false},
		{"brackets and port", []string{"[2001:db8::9]:443"}, "2001:db8::9", false},
		{"zone", []string{"fe80::1%eth0"}, "fe80::1", false},
		{"not IPv4", []string{"2001:db8::1.2.3.4"}, "2001:db8::102:304", false},
		{"junk is left of the client", []string{"unknown, <script>, 203.0.113.9"}, "203.0.113.9", false},
		{"long junk is left of the client", []string{long + "203.0.113.9"}, "203.0.113.9", false},

		{"unknown", []string{"203.0.113.9, unknown"}, "10.0.0.1", true},
		{"obfuscated", []string{"203.0.113.9, _gazonk"}, "10.0.0.1", true},
		{"leading zeros", []string{"203.0.113.009"}, "10.0.0.1", true},
		{"octal", []string{"0313.0.113.9"}, "10.0.0.1", true},
		{"hex", []string{"0xcb007109"}, "10.0.0.1", true},
		{"short", []string{"127.1"}, "10.0.0.1", true},
		{"name", []string{"localhost"}, "10.0.0.1", true},
		{"unspecified", []string{"203.0.113.9, 0.0.0.0"}, "10.0.0.1", true},
		{"multicast", []string{"ff02::1"}, "10.0.0.1", true},
		{"prefix", []string{"203.0.113.0/24"}, "10.0.0.1", true},
		{"two in one", []string{"203.0.113.9 198.51.100.1"}, "10.0.0.1", true},
		{"quoted", []string{`"203.0.113.9"`}, "10.0.0.1", true},
		{"NUL", []string{"203.0.113.9\x00"}, "10.0.0.1", true},
		{"open bracket", []string{"[2001:db8::9"}, "10.0.0.1", true},
		{"bracketed IPv4", []string{"[203.0.113.9]"}, "10.0.0.1", true},
		{"empty hop", []string{"203.0.113.9, "}, "10.0.0.1", true},
		{"empty hop between", []string{"203.0.113.9,,10.0.0.2"}, "10.0.0.2", true},
		{"empty line", []string{""}, "10.0.0.1", true},
		{"empty line last", []string{"203.0.113.9", ""}, "10.0.0.1", true},
		{"stops at the last trusted hop", []string{"203.0.113.9, unknown, 10.0.0.3, 10.0.0.2"}, "10.0.0.3", true},
		{"too many hops", []string{"203.0.113.9" + strings.Repeat(",10.0.0.2", 32)}, "10.0.0.2", true},
		{"most hops", []string{"203.0.113.9" + strings.Repeat(",10.0.0.2", 31)}, "203.0.113.9", false},
		{"too many lines", slicesRepeat("10.0.0.2", 33), "10.0.0.2", true},
		{"too many bytes", []string{"203.0.113.9" + strings.Repeat(" ", 4096) + ",10.0.0.2"}, "10.0.0.2", true},
		{"cut in an address", []string{"203.0.113.9" + strings.Repeat(" ", 4096-len("3.0.113.9")-len(",10.0.0.2")) + ",10.0.0.2"}, "10.0.0.2", true},
		{"too many bytes in lines", []string{"203.0.113.9", strings.Repeat(" ", 4096-8) + "10.0.0.2"}, "10.0.0.2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuard(t, &engine{}, &riskhttp.Options{TrustedProxies: proxies("10.0.0.0/8", "2001:db8:f::/48")})
			r := get("Forwarded", "for=198.51.100.2", "X-Real-IP", "198.51.100.3")
			for _, line := range c.lines {
				r.Header.Add("X-Forwarded-For", line)
			}
			r.RemoteAddr = "10.0.0.1:5000"
			addr, err := g.ClientIP(r)
			require.Equal(t, c.want, addr.String())
			if c.stops {
				require.ErrorIs(t, err, riskhttp.ErrForwarded)
			} else {
				require.NoError(t, err)
			}

			r.RemoteAddr = "192.0.2.66:5000" // not a proxy: the header is the visitor's
			addr, err = g.ClientIP(r)
			require.NoError(t, err)
			require.Equal(t, "192.0.2.66", addr.String())
		})
	}
}

func TestClientIPForwarded(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		stops bool
	}{
		{"plain", []string{"for=203.0.113.9"}, "203.0.113.9", false},
		{"parameters", []string{"by=10.0.0.1;For=203.0.113.9;proto=https;host=example.com"}, "203.0.113.9", false},
		{"quoted IPv6", []string{`for="[2001:db8::9]:4711"`}, "2001:db8::9", false},
		{"obfuscated port", []string{`for="203.0.113.9:_p0rt"`}, "203.0.113.9", false},
		{"unquoted port", []string{"for=203.0.113.9:80"}, "203.0.113.9", false},
		{"escaped", []string{`for="203.0.113.\9"`}, "203.0.113.9", false},
		{"comma in a quoted string", []string{`for=203.0.113.9;host="a,b"`}, "203.0.113.9", false},
		{"escaped quote and comma", []string{`for=203.0.113.9;host="a\",b"`}, "203.0.113.9", false},
		{"spoofed left", []string{"for=198.51.100.1, for=203.0.113.9, for=10.0.0.2"}, "203.0.113.9", false},
		{"lines", []string{"for=198.51.100.1", "for=203.0.113.9;proto=http", "for=10.0.0.2"}, "203.0.113.9", false},
		{"visitor's open quote", []string{`for="198.51.100.1, for=203.0.113.9`}, "203.0.113.9", false},
		{"visitor's open quote before a quoted hop", []string{`for="x, for="[2001:db8::9]:1"`}, "2001:db8::9", false},
		{"visitor's backslash", []string{`for=x\, for="203.0.113.9:80"`}, "203.0.113.9", false},
		{"all trusted", []string{"for=10.0.0.3, for=10.0.0.2"}, "10.0.0.3", false},

		{"unknown", []string{"for=203.0.113.9, for=unknown"}, "10.0.0.1", true},
		{"obfuscated", []string{"for=203.0.113.9, for=_gazonk"}, "10.0.0.1", true},
		{"no for", []string{"for=203.0.113.9, proto=https"}, "10.0.0.1", true},
		{"twice for", []string{"for=203.0.113.9;for=198.51.100.1"}, "10.0.0.1", true},
		{"empty", []string{""}, "10.0.0.1", true},
		{"empty hop", []string{"for=203.0.113.9,"}, "10.0.0.1", true},
		{"empty pair", []string{"for=203.0.113.9;"}, "10.0.0.1", true},
		{"no value", []string{"for="}, "10.0.0.1", true},
		{"no name", []string{"=203.0.113.9"}, "10.0.0.1", true},
		{"open quote", []string{`for="203.0.113.9`}, "10.0.0.1", true},
		{"only quote", []string{`"`}, "10.0.0.1", true},
		{"escape at the end", []string{`for="203.0.113.9\"`}, "10.0.0.1", true},
		{"text after a quote", []string{`for="203.0.113.9"x`}, "10.0.0.1", true},
		{"space around =", []string{"for = 203.0.113.9"}, "10.0.0.1", true},
		{"bare address", []string{"203.0.113.9"}, "10.0.0.1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuard(t, &engine{}, &riskhttp.Options{TrustedProxies: proxies("10.0.0.0/8"), Forwarding: riskhttp.Forwarded})
			r := get("X-Forwarded-For", "198.51.100.2", "X-Real-IP", "198.51.100.3")
			for _, line := range c.lines {
				r.Header.Add("Forwarded", line)
			}
			r.RemoteAddr = "10.0.0.1:5000"
			addr, err := g.ClientIP(r)
			require.Equal(t, c.want, addr.String())
			require.Equal(t, c.stops, err != nil, "%v", err)
		})
	}
}

func TestClientIPRealIP(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		stops bool
	}{
		{"one", []string{"203.0.113.9"}, "203.0.113.9", false},
		{"trusted", []string{"10.0.0.9"}, "10.0.0.9", false},
		{"none", nil, "10.0.0.1", false},
		{"two lines", []string{"198.51.100.1", "203.0.113.9"}, "10.0.0.1", true},
		{"list", []string{"198.51.100.1, 203.0.113.9"}, "10.0.0.1", true},
		{"junk", []string{"unknown"}, "10.0.0.1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuard(t, &engine{}, &riskhttp.Options{TrustedProxies: proxies("10.0.0.1"), Forwarding: riskhttp.XRealIP})
			r := get("X-Forwarded-For", "198.51.100.2", "Forwarded", "for=198.51.100.3")
			for _, line := range c.lines {
				r.Header.Add("X-Real-IP", line)
			}
			r.RemoteAddr = "10.0.0.1:5000"
			addr, err := g.ClientIP(r)
			require.Equal(t, c.want, addr.String())
			require.Equal(t, c.stops, err != nil, "%v", err)
		})
	}
}

func TestClientIPUnixSocket(t *testing.T) {
	g := newGuard(t, &engine{}, &riskhttp.Options{TrustUnix: true})
	for _, c := range []struct {
		remote, xff, want string
		err               error
	}{
		{"@", "203.0.113.9", "203.0.113.9", nil},
		{"/run/app.sock", "198.51.100.1, 203.0.113.9", "203.0.113.9", nil},
		{"@", "", "invalid IP", riskhttp.ErrNoAddress},
		{"@", "203.0.113.9, unknown", "invalid IP", riskhttp.ErrForwarded},
		{"", "203.0.113.9", "invalid IP", riskhttp.ErrNoAddress},
		{"broken", "203.0.113.9", "invalid IP", riskhttp.ErrNoAddress},
	} {
		r := get()
		if r.RemoteAddr = c.remote; c.xff != "" {
			r.Header.Set("X-Forwarded-For", c.xff)
		}
		addr, err := g.ClientIP(r)
		require.Equal(t, c.want, addr.String(), c)
		require.ErrorIs(t, err, c.err, c)
	}
}

func TestFromProxy(t *testing.T) {
	g := newGuard(t, &engine{}, &riskhttp.Options{TrustedProxies: proxies("::ffff:10.0.0.0/104"), TrustUnix: true})
	for remote, want := range map[string]bool{
		"10.1.2.3:1": true, "[::ffff:10.1.2.3]:1": true, "11.0.0.1:1": false, "@": true, "": false, "[::a00:1]:1": false,
	} {
		r := get()
		r.RemoteAddr = remote
		require.Equal(t, want, g.FromProxy(r), remote)
	}
}

func TestParseProxies(t *testing.T) {
	got, err := riskhttp.ParseProxies("192.0.2.7", " 10.0.0.0/8 ", "2001:db8::/32", "::1")
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{
		netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::1/128"),
	}, got)
	for _, bad := range []string{"", "localhost", "10.0.0.0/33", "10.0.0", "010.0.0.1", "fe80::1%eth0", "10.0.0.1:80"} {
		_, err := riskhttp.ParseProxies(bad)
		require.Error(t, err, bad)
	}
}

// A broken header is told to the host, and what the visitor sent is not in the text.
func TestForwardedReported(t *testing.T) {
	var got []error
	g := newGuard(t, &engine{}, &riskhttp.Options{
		TrustedProxies: proxies("10.0.0.0/8"),
		OnError:        func(_ *http.Request, err error) { got = append(got, err) },
	})
	r := get("X-Forwarded-For", "canary-hop")
	r.RemoteAddr = "10.0.0.1:1"
	a := g.Attempt(r, risk.SignUp)
	require.Equal(t, "10.0.0.1", a.IP.String())
	require.Len(t, got, 1)
	require.ErrorIs(t, got[0], riskhttp.ErrForwarded)
	require.NotContains(t, got[0].Error(), "canary")
}

func slicesRepeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// FuzzForwarded: whatever a visitor puts in front, the hop the proxy appends is the answer, on the same line or on its
// own; and whatever stands in the header, the address is a clean one or none.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"", "203.0.113.9", "10.0.0.2", "unknown, 10.0.0.2", `for="[2001:db8::9]:4711";proto=https`, `for="x`, `for=x\`, `"`, `\"`,
		"for=10.0.0.2, for=10.0.0.3", `for="10.0.0.2";by="a,b"`, "[::ffff:10.0.0.2%1]:_x", ",,,", `for="\\"`, "fe80::1%a,b",
		strings.Repeat("10.0.0.2,", 500), strings.Repeat(`for="10.0.0.2",`, 300), strings.Repeat(`\"`, 2000), "0.0.0.0", "::",
	} {
		f.Add(s, "10.0.0.2")
		f.Add(s, s)
	}
	guards := map[riskhttp.Forwarding]*riskhttp.Guard{}
	trusted := proxies("10.0.0.0/8", "2001:db8:f::/48")
	for _, by := range []riskhttp.Forwarding{riskhttp.XForwardedFor, riskhttp.Forwarded, riskhttp.XRealIP} {
		guards[by] = newGuard(f, &engine{}, &riskhttp.Options{TrustedProxies: trusted, Forwarding: by})
	}
	names := map[riskhttp.Forwarding]string{
		riskhttp.XForwardedFor: "X-Forwarded-For", riskhttp.Forwarded: "Forwarded", riskhttp.XRealIP: "X-Real-Ip",
	}
	appended := map[riskhttp.Forwarding]string{
		riskhttp.XForwardedFor: "203.0.113.77", riskhttp.Forwarded: `for="203.0.113.77:4711";host="a,\"b"`,
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for by, g := range guards {
			ask := func(lines ...string) netip.Addr {
				addr, _ := g.ClientIP(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{names[by]: lines}})
				return addr
			}
			addr := ask(first, second)
			if !addr.IsValid() || addr.Zone() != "" || addr.Is4In6() || addr.IsUnspecified() || addr.IsMulticast() {
				t.Fatalf("%v of %q %q", addr, first, second)
			}
			hop, ok := appended[by]
			if !ok {
				continue
			}
			for _, lines := range [][]string{{first, second, hop}, {first, second + "," + hop}, {first + ", " + hop}} {
				if got := ask(lines...).String(); got != "203.0.113.77" {
					t.Fatalf("%q gave %s", lines, got)
				}
			}
		}
	})
}

package risktest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

var canaryFields = []string{risktest.FieldIP, risktest.FieldIPv6, risktest.FieldAccount, risktest.FieldSession,
	risktest.FieldEmail, risktest.FieldPhone, risktest.FieldDevice, risktest.FieldFlow, risktest.FieldEvidence,
	"header.User-Agent", "header.X-Forwarded-For", "header.Cookie", "header.Authorization", "id.usdot", "id.sso"}

func hexSum(sum []byte) string { return hex.EncodeToString(sum) }

func TestCanaryFindsEveryForm(t *testing.T) {
	c := risktest.NewCanary()
	for _, form := range []struct {
		name   string
		encode func(v string) string
	}{
		{"plain", func(v string) string { return v }},
		{"lower", strings.ToLower},
		{"upper", strings.ToUpper},
		{"json", func(v string) string { b, _ := json.Marshal(v); return string(b) }},
		{"json in json", func(v string) string {
			b, _ := json.Marshal(map[string]any{"a": []string{"x" + v + "y"}})
			return string(b)
		}},
		{"json of bytes", func(v string) string { b, _ := json.Marshal([]byte("before" + v + "after")); return string(b) }},
		{"escaped runes", func(v string) string { return strconv.QuoteToASCII(v) }},
		{"go quoted", strconv.Quote},
		{"go bytes", func(v string) string { return fmt.Sprintf("%#v", []byte(v)) }},
		{"bytes", func(v string) string { return fmt.Sprint([]byte("a" + v + "b")) }},
		{"html", html.EscapeString},
		{"query", url.QueryEscape},
		{"path", url.PathEscape},
		{"every byte percent", func(v string) string {
			var b strings.Builder
			for i := range len(v) {
				fmt.Fprintf(&b, "%%%02X", v[i])
			}
			return b.String()
		}},
		{"hex", func(v string) string { return fmt.Sprintf("%x", v) }},
		{"HEX", func(v string) string { return fmt.Sprintf("%X", v) }},
		{"hex spaced", func(v string) string { return fmt.Sprintf("% x", v) }},
		{"hex upper of upper", func(v string) string { return fmt.Sprintf("%X", strings.ToUpper(v)) }},
		{"base64", func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) }},
		{"base64 within 1", func(v string) string { return base64.StdEncoding.EncodeToString([]byte("x" + v + "yz")) }},
		{"base64 within 2", func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte("xy" + v + "z")) }},
		{"base64 within 3", func(v string) string { return base64.URLEncoding.EncodeToString([]byte("xyz" + v)) }},
		{"md5", func(v string) string { s := md5.Sum([]byte(v)); return hexSum(s[:]) }},
		{"sha1", func(v string) string { s := sha1.Sum([]byte(v)); return hexSum(s[:]) }},
		{"sha256", func(v string) string { s := sha256.Sum256([]byte(v)); return hexSum(s[:]) }},
		{"sha256 upper", func(v string) string { s := sha256.Sum256([]byte(v)); return strings.ToUpper(hexSum(s[:])) }},
		{"sha256 of lower", func(v string) string { s := sha256.Sum256([]byte(strings.ToLower(v))); return hexSum(s[:]) }},
		{"sha256 base64", func(v string) string { s := sha256.Sum256([]byte(v)); return base64.StdEncoding.EncodeToString(s[:]) }},
		{"sha256 base64url", func(v string) string {
			s := sha256.Sum256([]byte(v))
			return base64.RawURLEncoding.EncodeToString(s[:])
		}},
		{"sha256 shortened", func(v string) string { s := sha256.Sum256([]byte(v)); return hexSum(s[:8]) }},
		{"sha256 bytes", func(v string) string { s := sha256.Sum256([]byte(v)); return string(s[:]) }},
		{"sha256 numbers", func(v string) string { return fmt.Sprint(sha256.Sum256([]byte(v))) }},
	} {
		for _, field := range canaryFields {
			text := form.encode(c.Value(field))
			leaks := c.Search("nothing here", "around:"+text+":around", "")
			require.NotEmpty(t, leaks, "%s of %s", form.name, field)
			require.Equal(t, 1, leaks[0].Text)
			fields := make([]string, len(leaks))
			for i, l := range leaks {
				fields[i] = l.Field
			}
			require.Contains(t, fields, field, "%s of %s", form.name, field)
			for _, l := range leaks {
				require.NotContains(t, l.String(), c.Value(field), "a leak does not repeat the value")
			}
		}
	}
}

func TestCanaryFindsOtherSpellings(t *testing.T) {
	c := risktest.NewCanary()
	v4, v6 := netip.MustParseAddr(c.Value(risktest.FieldIP)), netip.MustParseAddr(c.Value(risktest.FieldIPv6))
	b4, b6 := v4.As4(), v6.As16()
	for _, row := range []struct{ field, text string }{
		{risktest.FieldIP, "::ffff:198.51.100.213"},
		{risktest.FieldIP, "3325256917"},
		{risktest.FieldIP, fmt.Sprintf("%x", b4)},
		{risktest.FieldIP, fmt.Sprint(b4)},
		{risktest.FieldIP, fmt.Sprintf("%x", sha256.Sum256(b4[:]))},
		{risktest.FieldIP, fmt.Sprintf("%#v", []byte{198, 51, 100, 213})},
		{risktest.FieldIPv6, v6.StringExpanded()},
		{risktest.FieldIPv6, strings.ToUpper(v6.String())},
		{risktest.FieldIPv6, fmt.Sprintf("%x", b6)},
		{risktest.FieldIPv6, string(b6[:])},
		{risktest.FieldEmail, "zoe.canary"},
		{risktest.FieldEmail, "zoecanary@mail.leak-canary.example"},
		{risktest.FieldEmail, fmt.Sprintf("%x", md5.Sum([]byte("zoe.canary@mail.leak-canary.example")))},
		{risktest.FieldPhone, "12025550147"},
		{risktest.FieldPhone, "tel:2025550147"},
		{risktest.FieldPhone, fmt.Sprintf("%x", sha1.Sum([]byte("2025550147")))},
	} {
		leaks := c.Search(row.text)
		require.NotEmpty(t, leaks, row.text)
		require.Equal(t, row.field, leaks[0].Field, row.text)
	}
}

func TestCanaryFindsNothingElse(t *testing.T) {
	c := risktest.NewCanary()
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte(c.Value(risktest.FieldEmail)))
	other := fmt.Sprintf("%x", sha256.Sum256([]byte("somebody.else@example.com")))
	noise := make([]byte, 1<<17)
	for i := range noise {
		noise[i] = byte(i * i >> 7)
	}
	require.Empty(t, c.Search("", "a", "plain text", "198.51.100.21", "198.51.100.0/24", "mail.leak-canary.example", "signup web public tenant",
		hexSum(mac.Sum(nil)), other, string(noise), hex.EncodeToString(noise), base64.StdEncoding.EncodeToString(noise)))
}

func TestCanaryWatchesMore(t *testing.T) {
	c := risktest.NewCanary()
	c.Watch("short", "abc")
	c.Watch("own", "my-own-secret")
	c.Watch("own", "my-own-secret")
	c.Watch("text with @", "not an address @ all")
	require.Equal(t, []risktest.Leak{{Field: "own", Form: "plain", Text: 0, At: 4}}, c.Search("abc MY-OWN-SECRET abc"))
	require.Equal(t, "own leaks as plain in text 0 at byte 4", c.Search("abc MY-OWN-SECRET abc")[0].String())
	require.Empty(t, c.Value("no such field"))
}

func TestCanaryPlantsEveryPersonalField(t *testing.T) {
	c := risktest.NewCanary()
	public := map[string]bool{"ID": true, "Event": true, "Time": true, "Tenant": true, "Channel": true, "Tier": true, "Client": true, "Cannot": true}
	a := c.Attempt()
	v := reflect.ValueOf(*a)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || public[f.Name] {
			continue
		}
		require.False(t, v.Field(i).IsZero(), "field %s is personal, or new: plant it, or list it as public", f.Name)
	}
	p, ok := risk.Evidence[risktest.Planted](a)
	require.True(t, ok)
	require.Equal(t, c.Value(risktest.FieldEvidence), p.Token)
	require.True(t, c.AttemptIPv6().IP.Is6())
}

func TestSinkFindsAcrossWrites(t *testing.T) {
	c := risktest.NewCanary()
	text := "x=1 mail=" + c.Value(risktest.FieldEmail) + " end"
	for cut := range len(text) {
		s := c.Sink()
		for _, part := range []string{text[:cut], text[cut:]} {
			n, err := s.Write([]byte(part))
			require.NoError(t, err)
			require.Equal(t, len(part), n)
		}
		require.NotEmpty(t, s.Leaks(), "cut at %d", cut)
		require.EqualValues(t, len(text), s.Bytes())
	}
	s := c.Sink()
	log := slog.New(slog.NewTextHandler(s, nil))
	for range 100 {
		log.Info("nothing", "attempt", c.Attempt())
	}
	require.Empty(t, s.Leaks())
	require.Positive(t, s.Bytes())
	log.Info("oops", "agent", c.Attempt().Header["User-Agent"])
	require.NotEmpty(t, s.Leaks())
	require.True(t, bytes.Contains([]byte(fmt.Sprint(s.Leaks())), []byte("header.User-Agent")))
}

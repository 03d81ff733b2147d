package riskhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

func browserRequest() *http.Request {
	r := get(
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language", "nb-NO,nb;q=0.9,en;q=0.8",
		"Accept-Encoding", "gzip, deflate, br, zstd", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate",
		"Sec-Ch-Ua-Platform", `"Linux"`, "Origin", "https://example.com", "Content-Type", "application/json",
		"Cookie", "__Host-vestibule=ABCDEFGHIJKLMNOPQRSTUVWXYZ", "X-Forwarded-For", "198.51.100.1, 203.0.113.9, 10.0.0.2",
		"Vestibule-Flow", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	)
	r.RemoteAddr = "10.0.0.1:4711"
	return r
}

func BenchmarkAttempt(b *testing.B) {
	g := newGuard(b, &engine{}, &riskhttp.Options{TrustedProxies: proxies("10.0.0.0/8", "2001:db8::/32")})
	r := browserRequest()
	b.ReportAllocs()
	for b.Loop() {
		g.Attempt(r, risk.SignUp)
	}
}

func BenchmarkClientIP(b *testing.B) {
	g := newGuard(b, &engine{}, &riskhttp.Options{TrustedProxies: proxies("10.0.0.0/8", "2001:db8::/32")})
	r := browserRequest()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.ClientIP(r)
	}
}

func BenchmarkAnswerBlock(b *testing.B) {
	g := newGuard(b, &engine{}, nil)
	r := browserRequest()
	r.Header.Del("Accept")
	s := &risk.Assessment{ID: "a1", Action: risk.Block}
	b.ReportAllocs()
	for b.Loop() {
		g.Answer(httptest.NewRecorder(), r, s)
	}
}

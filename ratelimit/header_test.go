package ratelimit_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

func TestHeader(t *testing.T) {
	hour := ratelimit.Limit{Name: "ip-hour", Dim: ratelimit.IPv4, Count: 30, Per: time.Hour, On: ratelimit.Deny}
	failures := hard("failures", ratelimit.IPv4, 9)
	failures.Kind = ratelimit.Failures
	custom := hard("org", ratelimit.Custom("org"), 7)
	custom.Class = ratelimit.Source
	p := limits(hard("ip", ratelimit.IPv4, 2), hour, hard("phone", ratelimit.Phone, 8), hard("email", ratelimit.Email, 8), hard("global", ratelimit.Global, 99), failures, custom)
	l, c := newLimiter(t, p, &ratelimit.Options{Jitter: func() float64 { return 0 }})
	s := alice
	s.Custom = []ratelimit.Value{{Name: "org", Value: "x"}}
	d := decide(t, l, s)
	h := http.Header{}
	d.Header(h)
	require.Equal(t, http.Header{
		"Ratelimit-Policy": {`"ip";q=2;w=60, "ip-hour";q=30;w=3600, "org";q=7;w=60`},
		"Ratelimit":        {`"ip";r=1;t=30, "ip-hour";r=29;t=120, "org";r=6;t=9`},
	}, h)
	require.Equal(t, `"ip";r=1;t=30, "ip-hour";r=29;t=120, "org";r=6;t=9`, h.Get("RateLimit"))
	decide(t, l, s)
	c.add(time.Millisecond)
	d = decide(t, l, s)
	require.Equal(t, ratelimit.Deny, d.Level)
	h = http.Header{}
	d.Header(h)
	require.Equal(t, `"ip";r=0;t=30, "ip-hour";r=28;t=240, "org";r=5;t=18`, h.Get("RateLimit"))
	require.Equal(t, "30", h.Get("Retry-After"), "29.999 s rounded up")
	h = http.Header{}
	d.LegacyHeader(h, "X-Ratelimit-")
	require.Equal(t, "2", h.Get("X-RateLimit-Limit"))
	require.Equal(t, "0", h.Get("X-RateLimit-Remaining"))
	require.Equal(t, "60", h.Get("X-RateLimit-Reset"))
	require.Equal(t, "30", h.Get("Retry-After"))
}

func TestHeaderWithoutSourceLimits(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("phone", ratelimit.Phone, 1)), &ratelimit.Options{Jitter: func() float64 { return 0 }})
	decide(t, l, alice)
	d := decide(t, l, alice)
	h := http.Header{}
	d.Header(h)
	d.LegacyHeader(h, "Ratelimit-")
	require.Equal(t, http.Header{"Retry-After": {"60"}}, h)
}

func TestHeaderNumbersStayIntegersOfTheField(t *testing.T) {
	lim := hard("ip", ratelimit.IPv4, 1_000_000)
	lim.Per, lim.Burst = time.Second, 1<<51
	l, _ := newLimiter(t, limits(lim), nil)
	d := peek(t, l, alice)
	h := http.Header{}
	d.Header(h)
	require.Equal(t, `"ip";r=999999999999999;t=0`, h.Get("RateLimit"))
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		jitter float64
		want   int64
	}{{0, 1000}, {0.5, 1015}, {0.999, 1030}, {-1, 1000}, {2, 1030}, {math.Inf(1), 1030}} {
		lim := hard("ip", ratelimit.IPv4, 1)
		lim.Per = 1000 * time.Second
		l, _ := newLimiter(t, limits(lim), &ratelimit.Options{Jitter: func() float64 { return tt.jitter }})
		d := decide(t, l, alice)
		require.Zero(t, d.RetrySeconds(), "allowed")
		d = decide(t, l, alice)
		require.Equal(t, 1000*time.Second, d.RetryAfter)
		require.Equal(t, tt.want, d.RetrySeconds())
	}
	l, _ := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 1)), nil)
	decide(t, l, alice)
	d := decide(t, l, alice)
	for range 100 {
		n := d.RetrySeconds()
		require.GreaterOrEqual(t, n, int64(60))
		require.LessOrEqual(t, n, int64(62))
	}
	soft := hard("ip", ratelimit.IPv4, 1)
	soft.On = ratelimit.Challenge
	l, _ = newLimiter(t, limits(soft), nil)
	decide(t, l, alice)
	d = decide(t, l, alice)
	require.Equal(t, ratelimit.Challenge, d.Level)
	require.Zero(t, d.RetrySeconds(), "a challenge is answered, not waited for")
	require.Zero(t, (&ratelimit.Decision{}).RetrySeconds())
	require.EqualValues(t, 1, (&ratelimit.Decision{Level: ratelimit.Deny}).RetrySeconds(), "never 0 when turned away")
}

func TestLevelNames(t *testing.T) {
	for l, name := range map[ratelimit.Level]string{ratelimit.Allow: "allow", ratelimit.Slow: "slow", ratelimit.Challenge: "challenge", ratelimit.Deny: "deny", ratelimit.Ban: "ban", 0: "level(0)"} {
		require.Equal(t, name, l.String())
	}
	for c, name := range map[ratelimit.Class]string{ratelimit.Source: "source", ratelimit.Target: "target", ratelimit.Shared: "shared", 0: "none"} {
		require.Equal(t, name, c.String())
	}
}

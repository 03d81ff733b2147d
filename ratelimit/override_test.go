package ratelimit_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

func TestOverrides(t *testing.T) {
	p := limits(hard("ip", ratelimit.IPv4, 1), hard("net", ratelimit.IPv4Prefix24, 2), hard("net64", ratelimit.IPv6Prefix64, 1),
		hard("email", ratelimit.Email, 1), hard("business", ratelimit.Business, 1), hard("global", ratelimit.Global, 1000))
	l, c := newLimiter(t, p, nil)
	require.NoError(t, l.SetOverrides([]ratelimit.Override{
		{Limit: "ip", Key: "192.0.2.7", Count: 3, Per: time.Minute},
		{Limit: "net", Key: "192.0.2.0/24", Unlimited: true},
		{Limit: "net64", Key: "2001:db8::/64", Count: 5, Per: time.Minute},
		{Limit: "email", Key: "alice@example.com", Unlimited: true},
		{Limit: "email", Tenant: "shop", Key: "alice@example.com", Count: 2, Per: time.Minute},
		{Limit: "business", Key: "usdot:1234567", Unlimited: true},
		{Limit: "global", Key: "", Count: 2000, Per: time.Minute},
	}))
	s := alice
	s.IDs = []ratelimit.Value{{Name: "usdot", Value: "1234567"}}
	d := peek(t, l, s)
	var names []string
	for st := range d.Limits() {
		names = append(names, st.Name)
	}
	require.Equal(t, []string{"ip", "global"}, names, "lifted limits are neither judged nor charged")
	require.EqualValues(t, 3, state(t, d, "ip").Limit)
	require.EqualValues(t, 2000, state(t, d, "global").Limit)
	s.Tenant = "shop"
	d = peek(t, l, s)
	require.EqualValues(t, 2, state(t, d, "email").Limit)
	require.EqualValues(t, 1, state(t, d, "ip").Limit, "of another tenant")
	d = peek(t, l, ratelimit.Subject{IP: addr("2001:db8::9")})
	require.EqualValues(t, 5, state(t, d, "net64").Limit)

	for range 3 {
		d = decide(t, l, alice)
		require.True(t, d.Allowed())
	}
	require.NoError(t, l.SetOverrides(nil), "back to the policy, at once")
	d = decide(t, l, alice)
	require.Equal(t, []string{"ip"}, d.Violated())
	require.Equal(t, time.Minute, d.RetryAfter, "one full bucket of the lowered limit, no more")
	c.add(time.Minute)
	d = decide(t, l, alice)
	require.True(t, d.Allowed())
}

func TestRaisedLimitHelpsAtOnce(t *testing.T) {
	lim := hard("ip", ratelimit.IPv4, 1)
	lim.Per = 24 * time.Hour
	l, c := newLimiter(t, limits(lim), nil)
	decide(t, l, alice)
	require.NoError(t, l.SetOverrides([]ratelimit.Override{{Limit: "ip", Key: "192.0.2.7", Count: 60, Per: time.Minute}}))
	d := decide(t, l, alice)
	require.Equal(t, ratelimit.Deny, d.Level)
	require.Equal(t, time.Second, d.RetryAfter)
	c.add(time.Second)
	d = decide(t, l, alice)
	require.True(t, d.Allowed(), "the old day does not go on refusing")
}

func TestOverridesRefused(t *testing.T) {
	p := limits(hard("ip", ratelimit.IPv4, 1), hard("net", ratelimit.IPv4Prefix24, 1), hard("email", ratelimit.Email, 1), hard("business", ratelimit.Business, 1))
	l, _ := newLimiter(t, p, nil)
	good := ratelimit.Override{Limit: "ip", Key: "192.0.2.7", Count: 3, Per: time.Minute}
	require.NoError(t, l.SetOverrides([]ratelimit.Override{good}))
	for _, tt := range []struct {
		name   string
		change func(o *ratelimit.Override)
		want   string
	}{
		{"unknown limit", func(o *ratelimit.Override) { o.Limit = "x" }, "no limit"},
		{"mapped address", func(o *ratelimit.Override) { o.Key = "::ffff:192.0.2.7" }, "canonical"},
		{"not an address", func(o *ratelimit.Override) { o.Key = "example" }, "not an address"},
		{"prefix for an address", func(o *ratelimit.Override) { o.Key = "192.0.2.7/32" }, "not an address"},
		{"prefix not masked", func(o *ratelimit.Override) { o.Limit, o.Key = "net", "192.0.2.7/24" }, "canonical"},
		{"other length", func(o *ratelimit.Override) { o.Limit, o.Key = "net", "192.0.2.0/23" }, "not a prefix"},
		{"e-mail case", func(o *ratelimit.Override) { o.Limit, o.Key = "email", "A@b" }, "canonical"},
		{"identifier without type", func(o *ratelimit.Override) { o.Limit, o.Key = "business", "123" }, "type and value"},
		{"count 0", func(o *ratelimit.Override) { o.Count = 0 }, "Count"},
		{"unlimited with numbers", func(o *ratelimit.Override) { o.Unlimited = true }, "Unlimited"},
		{"long tenant", func(o *ratelimit.Override) { o.Tenant = string(make([]byte, 256)) }, "Tenant"},
	} {
		o := good
		tt.change(&o)
		require.ErrorContains(t, l.SetOverrides([]ratelimit.Override{o}), tt.want, tt.name)
	}
	require.ErrorContains(t, l.SetOverrides([]ratelimit.Override{good, good}), "twice")
	require.ErrorContains(t, l.SetOverrides(make([]ratelimit.Override, 100_001)), "at most")
	d := peek(t, l, alice)
	require.EqualValues(t, 3, state(t, d, "ip").Limit, "a set that fails changes nothing")
}

func TestOverridesSwapWhileDeciding(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 1_000_000)), nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if d, err := l.Decide(ctx, alice); err != nil || !d.Allowed() {
					t.Error(d.Level, err)
				}
			}
		})
	}
	for i := range 100 {
		require.NoError(t, l.SetOverrides([]ratelimit.Override{{Limit: "ip", Key: "192.0.2.7", Count: int64(100_000 + i), Per: time.Minute}}))
	}
	wg.Wait()
}

package ratelimit_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

func TestNewRefusesBadPolicies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *ratelimit.Policy)
		want   string
	}{
		{"no limits", func(p *ratelimit.Policy) { p.Limits = nil }, "no limits"},
		{"no name", func(p *ratelimit.Policy) { p.Limits[0].Name = "" }, "Name must be"},
		{"name with quote", func(p *ratelimit.Policy) { p.Limits[0].Name = `a"b` }, "Name must be"},
		{"name with newline", func(p *ratelimit.Policy) { p.Limits[0].Name = "a\nb" }, "Name must be"},
		{"same name", func(p *ratelimit.Policy) { p.Limits[1].Name = p.Limits[0].Name }, "two limits"},
		{"unknown dimension", func(p *ratelimit.Policy) { p.Limits[0].Dim = "ipv5" }, "unknown dimension"},
		{"custom without name", func(p *ratelimit.Policy) { p.Limits[0].Dim = ratelimit.Custom("") }, "unknown dimension"},
		{"count 0", func(p *ratelimit.Policy) { p.Limits[0].Count = 0 }, "Count is 0"},
		{"count negative", func(p *ratelimit.Policy) { p.Limits[0].Count = -1 }, "Count is -1"},
		{"per 0", func(p *ratelimit.Policy) { p.Limits[0].Per = 0 }, "Per is 0s"},
		{"per negative", func(p *ratelimit.Policy) { p.Limits[0].Per = -time.Second }, "Per is -1s"},
		{"per above a year", func(p *ratelimit.Policy) { p.Limits[0].Per = 367 * 24 * time.Hour }, "Per is"},
		{"burst negative", func(p *ratelimit.Policy) { p.Limits[0].Burst = -1 }, "Burst is -1"},
		{"burst overflows", func(p *ratelimit.Policy) { p.Limits[0].Burst = math.MaxInt64 }, "71 years"},
		{"count overflows", func(p *ratelimit.Policy) { p.Limits[0].Count = math.MaxInt64 }, "71 years"},
		{"no action", func(p *ratelimit.Policy) { p.Limits[0].On = 0 }, "On must be"},
		{"action ban", func(p *ratelimit.Policy) { p.Limits[0].On = ratelimit.Ban }, "On must be"},
		{"unknown kind", func(p *ratelimit.Policy) { p.Limits[0].Kind = 7 }, "unknown Kind"},
		{"failures of attempts", func(p *ratelimit.Policy) { p.Limits[0].Failed = []ratelimit.Failure{"x"} }, "kind Failures"},
		{"negative weight", func(p *ratelimit.Policy) { p.Limits[0].Weight = -1 }, "Weight is -1"},
		{"weight NaN", func(p *ratelimit.Policy) { p.Limits[0].Weight = math.NaN() }, "Weight is NaN"},
		{"weight infinite", func(p *ratelimit.Policy) { p.Limits[0].Weight = math.Inf(1) }, "Weight is +Inf"},
		{"shared weighs", func(p *ratelimit.Policy) { p.Limits[0].Dim, p.Limits[0].Weight = ratelimit.Global, 1 }, "class Shared"},
		{"target charges denied", func(p *ratelimit.Policy) { p.Limits[0].Dim, p.Limits[0].ChargeDenied = ratelimit.Phone, true }, "class Source only"},
		{"unknown class", func(p *ratelimit.Policy) { p.Limits[0].Class = 9 }, "unknown Class"},
		{"target offender", func(p *ratelimit.Policy) { p.Penalty.Sources[0].Dim = ratelimit.Phone }, "strangers could have it banned"},
		{"source twice", func(p *ratelimit.Policy) { p.Penalty.Sources[1].Dim = p.Penalty.Sources[0].Dim }, "listed twice"},
		{"share 0", func(p *ratelimit.Policy) { p.Penalty.Sources[0].Share = 0 }, "Share is 0"},
		{"share above 1", func(p *ratelimit.Policy) { p.Penalty.Sources[0].Share = 1.5 }, "Share is 1.5"},
		{"most deny", func(p *ratelimit.Policy) { p.Penalty.Sources[0].Most = ratelimit.Deny }, "Most must be"},
		{"no half-life", func(p *ratelimit.Policy) { p.Penalty.HalfLife = 0 }, "HalfLife"},
		{"ladder upside down", func(p *ratelimit.Policy) { p.Penalty.BanAt = 4 }, "does not hold"},
		{"ladder NaN", func(p *ratelimit.Policy) { p.Penalty.SlowAt = math.NaN() }, "does not hold"},
		{"max ban below ban", func(p *ratelimit.Policy) { p.Penalty.MaxBan = time.Minute }, "MaxBan"},
		{"no sources", func(p *ratelimit.Policy) { p.Penalty.Sources = nil }, "Sources is empty"},
		{"failure weight", func(p *ratelimit.Policy) { p.Penalty.Failures = map[ratelimit.Failure]float64{"x": -1} }, `failure "x"`},
		{"repeat", func(p *ratelimit.Policy) { p.Penalty.Repeat = -1 }, "Repeat"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := ratelimit.DefaultPolicy()
			p.Penalty = p.Penalty.Clone()
			_, err := ratelimit.New(p, newMemory(t, nil), nil)
			require.NoError(t, err)
			tt.change(&p)
			_, err = ratelimit.New(p, newMemory(t, nil), nil)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := ratelimit.New(ratelimit.DefaultPolicy(), nil, nil)
	require.ErrorContains(t, err, "no store")
	_, err = ratelimit.New(ratelimit.DefaultPolicy(), newMemory(t, nil), &ratelimit.Options{Timeout: -1})
	require.ErrorContains(t, err, "Timeout")
}

func TestPeriodsAtTheirEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		count   int64
		per     time.Duration
		burst   int64
		regain  time.Duration // of one unit, rounded up
		refused bool
	}{
		{"a nanosecond", 1, 1, 1, time.Microsecond, false},
		{"a microsecond for three", 3, time.Microsecond, 1, time.Microsecond, false},
		{"a year", 1, 366 * 24 * time.Hour, 1, 366 * 24 * time.Hour, false},
		{"thirds", 3, time.Second, 1, 333334 * time.Microsecond, false},
		{"longest span", 1, 366 * 24 * time.Hour, 71, 366 * 24 * time.Hour, false},
		{"above it", 1, 366 * 24 * time.Hour, 72, 0, true},
		{"largest burst", 1_000_000, time.Second, 1 << 51, time.Microsecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lim := hard("x", ratelimit.Phone, tt.count)
			lim.Per, lim.Burst = tt.per, tt.burst
			c := newClock()
			l, err := ratelimit.New(limits(lim), newMemory(t, &ratelimit.MemoryOptions{Now: c.now}), nil)
			if tt.refused {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			d := decide(t, l, ratelimit.Subject{Phone: "+47", Cost: tt.burst})
			require.True(t, d.Allowed())
			require.Zero(t, state(t, d, "x").Remaining)
			require.Equal(t, tt.regain, state(t, d, "x").RetryAfter)
			c.add(tt.regain - time.Microsecond)
			d = peek(t, l, ratelimit.Subject{Phone: "+47"})
			require.Equal(t, ratelimit.Deny, d.Level)
			require.Equal(t, time.Microsecond, d.RetryAfter)
			c.add(time.Microsecond)
			d = decide(t, l, ratelimit.Subject{Phone: "+47"})
			require.True(t, d.Allowed())
		})
	}
}

func TestCost(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("a", ratelimit.Phone, 5), hard("b", ratelimit.Email, 3)), nil)
	for _, cost := range []int64{-1, math.MinInt64, 4, 6, math.MaxInt64} {
		s := alice
		s.Cost = cost
		d, err := l.Decide(ctx, s)
		require.ErrorIs(t, err, ratelimit.ErrCost)
		require.Equal(t, ratelimit.Decision{}, d)
		require.False(t, d.Allowed(), "the zero decision allows nothing")
	}
	s := alice
	s.Cost = 3
	d := decide(t, l, s)
	require.True(t, d.Allowed())
	require.EqualValues(t, 2, state(t, d, "a").Remaining)
	require.EqualValues(t, 0, state(t, d, "b").Remaining)
}

func TestDeniedLeavesOthersUntouched(t *testing.T) {
	l, _ := newLimiter(t, limits(
		hard("ip", ratelimit.IPv4, 5), hard("net", ratelimit.IPv4Prefix24, 50), hard("phone", ratelimit.Phone, 10),
		hard("email", ratelimit.Email, 10), hard("global", ratelimit.Global, 100)), nil)
	for range 5 {
		d := decide(t, l, alice)
		require.True(t, d.Allowed())
	}
	for range 20 {
		d := decide(t, l, alice)
		require.Equal(t, ratelimit.Deny, d.Level)
		require.Equal(t, []string{"ip"}, d.Violated())
		require.Equal(t, 12*time.Second, d.RetryAfter)
	}
	d := peek(t, l, alice)
	for name, left := range map[string]int64{"ip": 0, "net": 45, "phone": 5, "email": 5, "global": 95} {
		require.Equal(t, left, state(t, d, name).Remaining, name)
	}
}

func TestSeveralWindows(t *testing.T) {
	perDay := ratelimit.Limit{Name: "day", Dim: ratelimit.Phone, Count: 3, Per: 24 * time.Hour, On: ratelimit.Deny}
	l, c := newLimiter(t, limits(hard("minute", ratelimit.Phone, 1), perDay), nil)
	for range 3 {
		d := decide(t, l, alice)
		require.True(t, d.Allowed())
		d = decide(t, l, alice)
		require.Contains(t, d.Violated(), "minute")
		c.add(time.Minute)
	}
	d := decide(t, l, alice)
	require.Equal(t, []string{"day"}, d.Violated())
	require.Equal(t, 8*time.Hour-3*time.Minute, d.RetryAfter)
}

func TestEventsAndClients(t *testing.T) {
	signup, partner, rest := hard("signup", ratelimit.IPv4, 1), hard("partner", ratelimit.IPv4, 3), hard("any", ratelimit.IPv4, 10)
	signup.Events, signup.Clients = []string{"signup"}, []string{"user", "public"}
	partner.Clients = []string{"partner"}
	l, _ := newLimiter(t, limits(signup, partner, rest), nil)
	for _, tt := range []struct {
		event, client string
		want          []string
	}{
		{"signup", "user", []string{"signup", "any"}},
		{"signup", "partner", []string{"partner", "any"}},
		{"login", "partner", []string{"partner", "any"}},
		{"login", "user", []string{"any"}},
		{"", "", []string{"any"}},
		{"SIGNUP", "user", []string{"any"}},
	} {
		s := alice
		s.Event, s.Client = tt.event, tt.client
		var names []string
		d := peek(t, l, s)
		for st := range d.Limits() {
			names = append(names, st.Name)
		}
		require.Equal(t, tt.want, names, "%s %s", tt.event, tt.client)
	}
}

func TestEveryDimensionCounts(t *testing.T) {
	s := ratelimit.Subject{
		Event: "signup", Client: "user", Phone: "+47", Email: "a@b", Account: "acc", Session: "sess", SSO: "iss sub",
		Device: []string{"d"}, IDs: []ratelimit.Value{{Name: "usdot", Value: "1"}}, Custom: []ratelimit.Value{{Name: "org", Value: "x"}},
	}
	v4, v6 := s, s
	v4.IP, v6.IP = addr("192.0.2.1"), addr("2001:db8::1")
	for _, tt := range []struct {
		dim ratelimit.Dimension
		s   ratelimit.Subject
	}{
		{ratelimit.IP, v4}, {ratelimit.IP, v6}, {ratelimit.IPv4, v4}, {ratelimit.IPv4Prefix24, v4},
		{ratelimit.IPv6Prefix64, v6}, {ratelimit.IPv6Prefix56, v6}, {ratelimit.IPv6Prefix48, v6},
		{ratelimit.Phone, s}, {ratelimit.Device, s}, {ratelimit.Email, s}, {ratelimit.Account, s}, {ratelimit.Session, s},
		{ratelimit.SSO, s}, {ratelimit.Business, s}, {ratelimit.ID("usdot"), s}, {ratelimit.Custom("org"), s},
		{ratelimit.Endpoint, s}, {ratelimit.Client, s}, {ratelimit.Global, s},
	} {
		require.NotZero(t, tt.dim.Class(), tt.dim)
		require.True(t, same(t, tt.dim, tt.s, tt.s, nil), tt.dim)
		other := tt.s
		other.Tenant = "other"
		require.False(t, same(t, tt.dim, tt.s, other, nil), "tenants are apart: %s", tt.dim)
		if empty := (ratelimit.Subject{}); tt.dim != ratelimit.Global && !tt.s.IP.IsValid() {
			require.False(t, same(t, tt.dim, empty, empty, nil), "nothing to count: %s", tt.dim)
		}
	}
}

func TestRefund(t *testing.T) {
	l, c := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 3), hard("phone", ratelimit.Phone, 3)), nil)
	first := decide(t, l, alice)
	second := decide(t, l, alice)
	require.NoError(t, second.Refund(ctx))
	d := peek(t, l, alice)
	require.EqualValues(t, 2, state(t, d, "ip").Remaining)
	require.NoError(t, second.Refund(ctx), "twice")
	d = peek(t, l, alice)
	require.EqualValues(t, 2, state(t, d, "phone").Remaining)
	c.add(time.Hour)
	require.NoError(t, first.Refund(ctx), "after expiry")
	d = peek(t, l, alice)
	require.EqualValues(t, 3, state(t, d, "ip").Remaining)
	var zero ratelimit.Decision
	require.NoError(t, zero.Refund(ctx))
	for range 3 {
		decide(t, l, alice)
	}
	denied := decide(t, l, alice)
	require.NoError(t, denied.Refund(ctx), "nothing was charged")
	d = peek(t, l, alice)
	require.Zero(t, state(t, d, "ip").Remaining)
}

func TestReceiptRefunds(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 3), hard("phone", ratelimit.Phone, 3)), nil)
	d := decide(t, l, alice)
	receipt := d.Receipt()
	require.NotEmpty(t, receipt)
	require.LessOrEqual(t, len(receipt), ratelimit.MaxReceipt)
	require.NotContains(t, receipt, "alice")
	require.NoError(t, l.RefundReceipt(ctx, "", receipt))
	d = peek(t, l, alice)
	require.EqualValues(t, 3, state(t, d, "ip").Remaining)
	require.Empty(t, d.Receipt(), "a peek charges nothing")

	flip := func(i int) string {
		b := []byte(receipt)
		b[i] ^= 1
		return string(b)
	}
	for name, bad := range map[string]string{
		"empty": "", "version": "AgAA", "cut": receipt[:len(receipt)-2], "longer": receipt + "AA", "newline": receipt + "\n",
		"padding": receipt + "=", "not base64": "***", "first byte": flip(0), "huge": string(make([]byte, 5000)), "long number": "AYAAAA",
	} {
		require.ErrorIs(t, l.RefundReceipt(ctx, "", bad), ratelimit.ErrReceipt, name)
	}
}

func TestManyLimitsFitAReceipt(t *testing.T) {
	p := limits()
	for i := range ratelimit.MaxBuckets {
		lim := hard(string(rune('a'+i%26))+string(rune('a'+i/26)), ratelimit.Phone, 1)
		lim.Per, lim.Burst = 366*24*time.Hour, 71
		p.Limits = append(p.Limits, lim)
	}
	l, _ := newLimiter(t, p, nil)
	d := decide(t, l, ratelimit.Subject{Phone: "+47", Cost: 71})
	require.LessOrEqual(t, len(d.Receipt()), ratelimit.MaxReceipt)
	n := 0
	for st := range d.Limits() {
		require.Zero(t, st.Remaining)
		n++
	}
	require.Equal(t, ratelimit.MaxBuckets, n)
	require.NoError(t, d.Refund(ctx))
	d = peek(t, l, ratelimit.Subject{Phone: "+47"})
	for st := range d.Limits() {
		require.EqualValues(t, 71, st.Remaining)
	}
	p.Limits = append(p.Limits, hard("more", ratelimit.Email, 1))
	_, err := ratelimit.New(p, newMemory(t, nil), nil)
	require.ErrorContains(t, err, "at most 64")
}

func TestFailures(t *testing.T) {
	otp := ratelimit.Limit{Name: "otp", Dim: ratelimit.Phone, Count: 2, Per: time.Hour, On: ratelimit.Deny, Kind: ratelimit.Failures, Failed: []ratelimit.Failure{ratelimit.OTPFailed}}
	all := ratelimit.Limit{Name: "all", Dim: ratelimit.IPv4, Count: 4, Per: time.Hour, On: ratelimit.Challenge, Kind: ratelimit.Failures}
	p := limits(otp, all)
	p.Penalty = ratelimit.DefaultPenalty()
	l, _ := newLimiter(t, p, nil)
	for range 10 {
		s := alice
		s.Cost = 100
		d := decide(t, l, s)
		require.True(t, d.Allowed(), "attempts do not charge them, whatever they cost")
	}
	require.NoError(t, l.Report(ctx, alice, ratelimit.Refused))
	d := peek(t, l, alice)
	require.EqualValues(t, 2, state(t, d, "otp").Remaining)
	require.EqualValues(t, 3, state(t, d, "all").Remaining)
	require.Zero(t, d.Score)
	require.NoError(t, l.Report(ctx, alice, ratelimit.OTPFailed))
	require.NoError(t, l.Report(ctx, alice, ratelimit.OTPFailed))
	d = decide(t, l, alice)
	require.Equal(t, ratelimit.Deny, d.Level)
	require.Equal(t, []string{"otp"}, d.Violated())
	require.Equal(t, 30*time.Minute, d.RetryAfter)
	require.Equal(t, 2.0, d.Score)
	require.NoError(t, l.Report(ctx, alice, ratelimit.CaptchaFailed, ratelimit.AttestFailed))
	d = peek(t, l, alice)
	require.Equal(t, 7.0, d.Score)
	require.Equal(t, ratelimit.Challenge, d.Standing)
	require.NoError(t, l.Report(ctx, alice), "no failure, no report")
	require.NoError(t, l.Reset(ctx, alice, "otp"))
	s := alice
	s.Challenged = true
	d = decide(t, l, s)
	require.True(t, d.Allowed())
}

func TestResetAndUnban(t *testing.T) {
	p := limits(hard("ip", ratelimit.IPv4, 1), hard("phone", ratelimit.Phone, 1), hard("global", ratelimit.Global, 5))
	p.Penalty = ratelimit.DefaultPenalty()
	l, c := newLimiter(t, p, nil)
	decide(t, l, alice)
	require.ErrorContains(t, l.Reset(ctx, alice, "nonsense"), "no limit")
	require.NoError(t, l.Reset(ctx, alice, "phone"))
	d := peek(t, l, alice)
	require.EqualValues(t, 1, state(t, d, "phone").Remaining)
	require.EqualValues(t, 0, state(t, d, "ip").Remaining)
	require.NoError(t, l.Reset(ctx, alice))
	d = peek(t, l, alice)
	require.EqualValues(t, 1, state(t, d, "ip").Remaining)
	require.EqualValues(t, 4, state(t, d, "global").Remaining, "everybody's is reset by name only")

	for range 5 {
		require.NoError(t, l.Report(ctx, alice, ratelimit.CaptchaFailed))
	}
	d = decide(t, l, alice)
	require.Equal(t, ratelimit.Ban, d.Level)
	require.Equal(t, 5*time.Minute, d.RetryAfter)
	c.add(time.Minute)
	require.NoError(t, l.Unban(ctx, alice))
	d = decide(t, l, alice)
	require.True(t, d.Allowed())
	require.Zero(t, d.Score)
}

func TestDefaultLimits(t *testing.T) {
	l, _ := newLimiter(t, ratelimit.DefaultPolicy(), nil)
	want := map[string]struct {
		count int64
		per   time.Duration
		on    ratelimit.Level
	}{
		"ip": {5, time.Minute, ratelimit.Challenge}, "ip-hour": {30, time.Hour, ratelimit.Deny},
		"net64": {5, time.Minute, ratelimit.Challenge}, "net64-hour": {30, time.Hour, ratelimit.Deny},
		"net24": {60, time.Hour, ratelimit.Challenge}, "net56": {60, time.Hour, ratelimit.Challenge}, "net48": {200, time.Hour, ratelimit.Challenge},
		"device": {3, 24 * time.Hour, ratelimit.Challenge},
		"phone":  {1, time.Minute, ratelimit.Deny}, "phone-day": {5, 24 * time.Hour, ratelimit.Deny},
		"email": {3, time.Hour, ratelimit.Challenge}, "sso": {5, 24 * time.Hour, ratelimit.Challenge}, "business": {5, 24 * time.Hour, ratelimit.Challenge},
	}
	for _, lim := range ratelimit.SignUpLimits() {
		w := want[lim.Name]
		require.Equal(t, w.count, lim.Count, lim.Name)
		require.Equal(t, w.per, lim.Per, lim.Name)
		require.Equal(t, w.on, lim.On, lim.Name)
		require.Equal(t, lim.Name == "phone", lim.Weight == 0, lim.Name)
		delete(want, lim.Name)
	}
	require.Empty(t, want)
	// A flood from one address climbs to a ban.
	var levels []ratelimit.Level
	for i := range 20 {
		s := ratelimit.Subject{Event: "signup", IP: addr("198.51.100.9"), Phone: "+479" + string(rune('0'+i%10)) + string(rune('0'+i/10))}
		d := decide(t, l, s)
		levels = append(levels, d.Level)
	}
	require.Equal(t, ratelimit.Allow, levels[4])
	require.Equal(t, ratelimit.Challenge, levels[5])
	require.Equal(t, ratelimit.Ban, levels[19])
	neighbour := decide(t, l, ratelimit.Subject{Event: "signup", IP: addr("198.51.100.10")})
	require.True(t, neighbour.Allowed(), "whose /24 is not banned")
}

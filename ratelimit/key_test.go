package ratelimit_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestAddresses(t *testing.T) {
	nat64 := &ratelimit.Options{NAT64: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")}}
	tunnels := &ratelimit.Options{Tunnels: true}
	for _, tt := range []struct {
		name string
		dim  ratelimit.Dimension
		a, b string
		same bool
		opts *ratelimit.Options
	}{
		{"mapped, dotted", ratelimit.IPv4, "1.2.3.4", "::ffff:1.2.3.4", true, nil},
		{"mapped, hex", ratelimit.IPv4, "1.2.3.4", "::ffff:102:304", true, nil},
		{"mapped by prefix", ratelimit.IPv4Prefix24, "1.2.3.4", "::ffff:1.2.3.99", true, nil},
		{"two mapped are no /64", ratelimit.IPv6Prefix64, "::ffff:1.2.3.4", "::ffff:5.6.7.8", false, nil},
		{"whole, both families", ratelimit.IP, "1.2.3.4", "::ffff:102:304", true, nil},
		{"dotted tail is no IPv4", ratelimit.IPv4, "2001:db8::1.2.3.4", "2001:db8::1.2.3.4", false, nil},
		{"dotted tail in its /64", ratelimit.IPv6Prefix64, "2001:db8::1.2.3.4", "2001:db8::9", true, nil},
		{"zone", ratelimit.IP, "fe80::1%eth0", "fe80::1", true, nil},
		{"zones", ratelimit.IPv6Prefix64, "fe80::1%eth0", "fe80::2%eth1", true, nil},
		{"/24 below", ratelimit.IPv4Prefix24, "192.0.2.0", "192.0.1.255", false, nil},
		{"/24 ends", ratelimit.IPv4Prefix24, "192.0.2.0", "192.0.2.255", true, nil},
		{"/24 above", ratelimit.IPv4Prefix24, "192.0.2.255", "192.0.3.0", false, nil},
		{"/64 ends", ratelimit.IPv6Prefix64, "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", true, nil},
		{"/64 above", ratelimit.IPv6Prefix64, "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::", false, nil},
		{"/56 ends", ratelimit.IPv6Prefix56, "2001:db8::", "2001:db8:0:ff:ffff:ffff:ffff:ffff", true, nil},
		{"/56 above", ratelimit.IPv6Prefix56, "2001:db8:0:ff::", "2001:db8:0:100::", false, nil},
		{"/48 ends", ratelimit.IPv6Prefix48, "2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", true, nil},
		{"/48 above", ratelimit.IPv6Prefix48, "2001:db8:0:ffff::", "2001:db8:1::", false, nil},
		{"whole IPv6", ratelimit.IP, "2001:db8::1", "2001:db8::2", false, nil},
		{"NAT64 off", ratelimit.IPv4, "1.2.3.4", "64:ff9b::102:304", false, nil},
		{"NAT64", ratelimit.IPv4, "1.2.3.4", "64:ff9b::102:304", true, nat64},
		{"NAT64, other prefix", ratelimit.IPv4, "1.2.3.4", "64:ff9c::102:304", false, nat64},
		{"6to4 off", ratelimit.IPv4, "1.2.3.4", "2002:102:304::1", false, nil},
		{"6to4", ratelimit.IPv4, "1.2.3.4", "2002:102:304::1", true, tunnels},
		{"Teredo", ratelimit.IPv4, "1.2.3.4", "2001:0:5ef5:79fd:0:59d:fefd:fcfb", true, tunnels},
		{"not Teredo", ratelimit.IPv4, "1.2.3.4", "2001:1::fefd:fcfb", false, tunnels},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.same, same(t, tt.dim, ratelimit.Subject{IP: addr(tt.a)}, ratelimit.Subject{IP: addr(tt.b)}, tt.opts))
		})
	}
}

func TestMissingAddress(t *testing.T) {
	p := ratelimit.DefaultPolicy()
	l, _ := newLimiter(t, p, nil)
	for _, ip := range []netip.Addr{{}, addr("0.0.0.0"), addr("::"), addr("::ffff:0.0.0.0"), addr("::%eth0")} {
		s := alice
		s.IP = ip
		_, err := l.Decide(ctx, s)
		require.ErrorIs(t, err, ratelimit.ErrNoAddress)
		_, err = l.Peek(ctx, s)
		require.ErrorIs(t, err, ratelimit.ErrNoAddress)
	}
	s := alice
	s.IP, s.Event = netip.Addr{}, "login"
	d := decide(t, l, s)
	require.True(t, d.Allowed(), "no limit on addresses applies")
	s.Event = "signup"
	l, _ = newLimiter(t, p, &ratelimit.Options{SkipMissingIP: true})
	d = decide(t, l, s)
	require.True(t, d.Allowed())
	require.EqualValues(t, 4, state(t, d, "phone-day").Remaining)
	for _, bad := range []string{"1.2.3.0/24", "64:ff9b::/64", "64:ff9b::1/96"} {
		_, err := ratelimit.New(p, newMemory(t, nil), &ratelimit.Options{NAT64: []netip.Prefix{netip.MustParsePrefix(bad)}})
		require.ErrorContains(t, err, "NAT64", bad)
	}
}

func TestKeys(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	email := func(s string) ratelimit.Subject { return ratelimit.Subject{Email: s} }
	phone := func(s string) ratelimit.Subject { return ratelimit.Subject{Phone: s} }
	account := func(s string) ratelimit.Subject { return ratelimit.Subject{Account: s} }
	ids := func(v ...ratelimit.Value) ratelimit.Subject { return ratelimit.Subject{IDs: v} }
	device := func(v ...string) ratelimit.Subject { return ratelimit.Subject{Device: v} }
	for _, tt := range []struct {
		name string
		dim  ratelimit.Dimension
		a, b ratelimit.Subject
		same bool
	}{
		{"e-mail case", ratelimit.Email, email("Alice@Example.COM"), email("alice@example.com"), true},
		{"e-mail spaces", ratelimit.Email, email(" \talice@example.com\u00a0\n"), email("alice@example.com"), true},
		{"e-mail trailing dot", ratelimit.Email, email("alice@example.com."), email("alice@example.com"), true},
		{"e-mail, non-ASCII case", ratelimit.Email, email("ÅSE@exämple.no"), email("åse@exÄmple.no"), true},
		{"e-mail look-alike", ratelimit.Email, email("alice@example.com"), email("аlice@example.com"), false},
		{"e-mail plus", ratelimit.Email, email("alice+1@example.com"), email("alice@example.com"), false},
		{"e-mail NUL", ratelimit.Email, email("a\x00@b"), email("a@b"), false},
		{"e-mail newline inside", ratelimit.Email, email("a\n@b"), email("a@b"), false},
		{"e-mail, not UTF-8", ratelimit.Email, email("\xff\xfe@b"), email("\xfe\xff@b"), false},
		{"e-mail, not UTF-8, same", ratelimit.Email, email("\xff@b"), email("\xff@B"), true},
		{"e-mail of spaces is none", ratelimit.Email, email("  "), email("  "), false},
		{"e-mail with braces", ratelimit.Email, email("{a}@b"), email("a@b"), false},
		{"phone separators", ratelimit.Phone, phone("+47 (900) 00-001"), phone("+4790000001"), true},
		{"phone 00", ratelimit.Phone, phone("004790000001"), phone("+4790000001"), true},
		{"phone differs", ratelimit.Phone, phone("+4790000001"), phone("+4790000002"), false},
		{"phone words", ratelimit.Phone, phone("+47 call me"), phone("+47"), false},
		{"account NUL", ratelimit.Account, account("a\x00b"), account("a"), false},
		{"account case", ratelimit.Account, account("A"), account("a"), false},
		{"account 1 MiB", ratelimit.Account, account(long), account(long), true},
		{"account beyond the bound", ratelimit.Account, account(long), account(long + "y"), true},
		{"e-mail 1 MiB", ratelimit.Email, email(long + "@a"), email(long + "@b"), true},
		{"empty", ratelimit.Account, account(""), account(""), false},
		{"separators", ratelimit.Business, ids(ratelimit.Value{Name: "a:b", Value: "c"}), ids(ratelimit.Value{Name: "a", Value: "b:c"}), false},
		{"lengths", ratelimit.Business, ids(ratelimit.Value{Name: "ab", Value: "c"}), ids(ratelimit.Value{Name: "a", Value: "bc"}), false},
		{"id case and spaces", ratelimit.Business, ids(ratelimit.Value{Name: "mc", Value: " MC-12 "}), ids(ratelimit.Value{Name: "mc", Value: "mc-12"}), true},
		{"any id in common", ratelimit.Business, ids(ratelimit.Value{Name: "mc", Value: "1"}, ratelimit.Value{Name: "usdot", Value: "2"}), ids(ratelimit.Value{Name: "usdot", Value: "2"}), true},
		{"one type only", ratelimit.ID("mc"), ids(ratelimit.Value{Name: "usdot", Value: "2"}), ids(ratelimit.Value{Name: "usdot", Value: "2"}), false},
		{"id of spaces is none", ratelimit.Business, ids(ratelimit.Value{Name: "mc", Value: " "}), ids(ratelimit.Value{Name: "mc", Value: " "}), false},
		{"devices of two salts", ratelimit.Device, device("new", "old"), device("old"), true},
		{"device twice", ratelimit.Device, device("a", "a"), device("b"), false},
		{"device of no name", ratelimit.Device, device("", "a"), device(""), false},
		{"custom name", ratelimit.Custom("org"), ratelimit.Subject{Custom: []ratelimit.Value{{Name: "org", Value: "1"}}}, ratelimit.Subject{Custom: []ratelimit.Value{{Name: "gro", Value: "1"}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.same, same(t, tt.dim, tt.a, tt.b, nil))
		})
	}
}

func TestTenantsAndValuesDoNotRunTogether(t *testing.T) {
	a := ratelimit.Subject{Tenant: "a", Account: "bc"}
	b := ratelimit.Subject{Tenant: "ab", Account: "c"}
	require.False(t, same(t, ratelimit.Account, a, b, nil))
	require.False(t, same(t, ratelimit.Global, ratelimit.Subject{Tenant: "a"}, ratelimit.Subject{Tenant: "b"}, nil))
	require.True(t, same(t, ratelimit.Global, ratelimit.Subject{Tenant: "a"}, ratelimit.Subject{Tenant: "a"}, nil))
}

func TestSubjectBounds(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("x", ratelimit.Business, 1), hard("d", ratelimit.Device, 5)), nil)
	many := make([]ratelimit.Value, 17)
	for _, s := range []ratelimit.Subject{
		{Tenant: strings.Repeat("t", 256)}, {Device: make([]string, 5)}, {IDs: many}, {Custom: many},
	} {
		_, err := l.Decide(ctx, s)
		require.ErrorIs(t, err, ratelimit.ErrSubject)
	}
	d := decide(t, l, ratelimit.Subject{Tenant: strings.Repeat("t", 255), IDs: many[:16]})
	require.True(t, d.Allowed())
	p := limits()
	for i := range 10 {
		p.Limits = append(p.Limits, hard(fmt.Sprint("b", i), ratelimit.Business, 1))
	}
	l, _ = newLimiter(t, p, nil)
	for i := range many {
		many[i] = ratelimit.Value{Name: fmt.Sprint(i), Value: "1"}
	}
	_, err := l.Decide(ctx, ratelimit.Subject{IDs: many[:16]})
	require.ErrorIs(t, err, ratelimit.ErrSubject, "160 buckets")
}

func TestStoreSeesTagsOnly(t *testing.T) {
	store := ratelimittest.NewScripted()
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	require.NoError(t, err)
	s := alice
	s.Tenant = "shop"
	decide(t, l, s)
	seen := fmt.Sprintf("%v", store.Calls())
	for _, private := range []string{"alice", "4790000001", "192.0.2.7", "device-a"} {
		require.NotContains(t, seen, private)
	}
	require.Equal(t, "shop", store.Calls()[0].Batch.Tenant)
}

func TestSubjectPrintsNothingPrivate(t *testing.T) {
	s := alice
	s.IDs = []ratelimit.Value{{Name: "usdot", Value: "1234567"}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "subject", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "subject", s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&log, verb, s)
		fmt.Fprintf(&log, verb, s.IDs)
	}
	for _, private := range []string{"alice", "4790000001", "192.0.2.7", "device-a", "1234567", "c000020"} {
		require.NotContains(t, log.String(), private)
	}
	require.Contains(t, log.String(), "signup")
}

func TestTagger(t *testing.T) {
	_, err := ratelimit.NewTagger(make([]byte, 31))
	require.ErrorContains(t, err, "31 bytes")
	one, err := ratelimit.NewTagger([]byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	again, err := ratelimit.NewTagger([]byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	other, err := ratelimit.NewTagger([]byte(strings.Repeat("l", 32)))
	require.NoError(t, err)
	require.Equal(t, one.Tag([]byte("a")), again.Tag([]byte("a")))
	require.NotEqual(t, one.Tag([]byte("a")), one.Tag([]byte("b")))
	require.NotEqual(t, one.Tag([]byte("a")), other.Tag([]byte("a")))
	require.NotContains(t, fmt.Sprintf("%v %+v", one, one), "kkkk")
	k := one.Tag([]byte("a"))
	require.Equal(t, k, ratelimit.KeyOf(k.Bytes()))
	require.Len(t, k.String(), 22)
}

func TestCanonical(t *testing.T) {
	for _, tt := range []struct {
		dim      ratelimit.Dimension
		in, want string
	}{
		{ratelimit.IPv4, "::ffff:192.0.2.1", "192.0.2.1"},
		{ratelimit.IP, "2001:DB8:0::1", "2001:db8::1"},
		{ratelimit.IP, "fe80::1%eth0", "fe80::1"},
		{ratelimit.IPv4Prefix24, "192.0.2.9/24", "192.0.2.0/24"},
		{ratelimit.IPv6Prefix64, "2001:db8::9/64", "2001:db8::/64"},
		{ratelimit.IPv6Prefix56, "2001:db8:0:ff::/56", "2001:db8::/56"},
		{ratelimit.IPv6Prefix48, "2001:db8::/48", "2001:db8::/48"},
		{ratelimit.Email, " A@B.C. ", "a@b.c"},
		{ratelimit.Phone, "00 47 1", "+471"},
		{ratelimit.Business, "usdot: 1A ", "usdot:1a"},
		{ratelimit.ID("mc"), " X ", "x"},
		{ratelimit.Account, " A ", " A "},
		{ratelimit.Global, "", ""},
	} {
		got, err := ratelimit.Canonical(tt.dim, tt.in)
		require.NoError(t, err)
		require.Equal(t, tt.want, got)
	}
	for _, tt := range []struct {
		dim ratelimit.Dimension
		in  string
	}{
		{"nonsense", "a"}, {ratelimit.IPv4, "2001:db8::1"}, {ratelimit.IP, "010.0.0.1"}, {ratelimit.IP, "[::1]"}, {ratelimit.IP, "1.2.3.4:80"},
		{ratelimit.IP, "unknown"}, {ratelimit.IP, "_gazonk"}, {ratelimit.IP, ""}, {ratelimit.IPv4Prefix24, "192.0.2.0/25"}, {ratelimit.IPv4Prefix24, "::ffff:192.0.2.0/24"},
		{ratelimit.IPv6Prefix64, "2001:db8::/48"}, {ratelimit.IPv4Prefix24, "192.0.2.0"}, {ratelimit.Email, "  "}, {ratelimit.Account, ""},
		{ratelimit.Global, "x"}, {ratelimit.Business, "987654"}, {ratelimit.Business, ":1"}, {ratelimit.Business, "mc: "},
	} {
		_, err := ratelimit.Canonical(tt.dim, tt.in)
		require.Error(t, err, "%s %q", tt.dim, tt.in)
		if len(tt.in) > 3 {
			require.NotContains(t, err.Error(), tt.in)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"", "Alice@Example.COM.", "+47 900", "0047", "1.2.3.4", "::ffff:1.2.3.4", "2001:db8::/64", "\xff\x00", "İ@ẞ", "a . . ", "usdot:1", strings.Repeat("Ⱥ", 600)} {
		f.Add(s)
	}
	dims := []ratelimit.Dimension{ratelimit.IP, ratelimit.IPv4, ratelimit.IPv4Prefix24, ratelimit.IPv6Prefix64, ratelimit.Email, ratelimit.Phone, ratelimit.Business, ratelimit.ID("mc"), ratelimit.Account}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range dims {
			c, err := ratelimit.Canonical(d, s)
			if err != nil {
				continue
			}
			require.NotEmpty(t, c)
			again, err := ratelimit.Canonical(d, c)
			require.NoError(t, err, d)
			require.Equal(t, c, again, d)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	l, _ := newLimiter(f, ratelimit.DefaultPolicy(), nil)
	d := decide(f, l, alice)
	f.Add(d.Receipt())
	for _, s := range []string{"", "AQAA", "AQAB", "AgAA", "AYAAAA", "****", strings.Repeat("A", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		store := ratelimittest.NewScripted()
		l, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
		require.NoError(t, err)
		if err := l.RefundReceipt(ctx, "", s); err != nil {
			require.ErrorIs(t, err, ratelimit.ErrReceipt)
			require.Empty(t, store.Calls())
			return
		}
		for _, c := range store.Calls() {
			require.NoError(t, c.Batch.CheckAdjust())
		}
	})
}

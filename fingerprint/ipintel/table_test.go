package ipintel_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

func TestNormal(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7":                 "192.0.2.7",
		"::ffff:192.0.2.7":          "192.0.2.7",
		"::ffff:192.0.2.7%eth0":     "192.0.2.7",
		"64:ff9b::192.0.2.7":        "192.0.2.7",
		"64:ff9b::192.0.2.7%x":      "192.0.2.7",
		"64:ff9b:1::192.0.2.7":      "64:ff9b:1::c000:207", // RFC 8215: where the address lies is the network's own affair
		"fe80::1%eth0":              "fe80::1",
		"2001:db8::1":               "2001:db8::1",
		"::192.0.2.7":               "::c000:207",
		"2002:c000:207::1":          "2002:c000:207::1",
		"64:ff9b::ffff:192.0.2.7":   "64:ff9b::ffff:c000:207",
		"ffff:ffff::ffff:192.0.2.7": "ffff:ffff::ffff:c000:207",
	} {
		require.Equal(t, want, ipintel.Normal(ip(in)).String(), in)
	}
	require.Equal(t, netip.Addr{}, ipintel.Normal(netip.Addr{}))
}

func TestRangeOf(t *testing.T) {
	for in, want := range map[string]ipintel.Range{
		"8.8.8.8": ipintel.RangePublic, "2a00::1": ipintel.RangePublic, "100.63.255.255": ipintel.RangePublic,
		"100.64.0.0": ipintel.RangeCarrier, "100.127.255.255": ipintel.RangeCarrier, "::ffff:100.64.0.1": ipintel.RangeCarrier,
		"100.128.0.0": ipintel.RangePublic,
		"10.1.2.3":    ipintel.RangePrivate, "172.31.0.1": ipintel.RangePrivate, "192.168.0.1": ipintel.RangePrivate,
		"127.0.0.1": ipintel.RangePrivate, "::1": ipintel.RangePrivate, "fd00::1": ipintel.RangePrivate, "fe80::1%eth0": ipintel.RangePrivate,
		"64:ff9b::10.0.0.1": ipintel.RangePrivate,
		"0.0.0.0":           ipintel.RangeReserved, "::": ipintel.RangeReserved, "224.0.0.1": ipintel.RangeReserved, "ff02::1": ipintel.RangeReserved,
		"255.255.255.255": ipintel.RangeReserved, "203.0.113.9": ipintel.RangeReserved, "2001:db8::1": ipintel.RangeReserved,
	} {
		require.Equal(t, want, ipintel.RangeOf(ip(in)), in)
	}
	require.Equal(t, ipintel.RangeNone, ipintel.RangeOf(netip.Addr{}))
	require.Equal(t, "carrier", ipintel.RangeCarrier.String())
}

func TestFair(t *testing.T) {
	for _, row := range []struct{ in, want ipintel.Kind }{
		{ipintel.VPN | ipintel.Hosting, ipintel.VPN | ipintel.Hosting},
		{ipintel.Relay | ipintel.VPN | ipintel.Hosting | ipintel.Proxy | ipintel.Anonymous, ipintel.Relay},
		{ipintel.Carrier | ipintel.Threat | ipintel.Residential, ipintel.Carrier},
		{ipintel.Carrier | ipintel.Tor, ipintel.Carrier | ipintel.Tor},
		{ipintel.Relay | ipintel.Listed, ipintel.Relay | ipintel.Listed},
		{0, 0},
	} {
		require.Equal(t, row.want, row.in.Fair(), row.in.String())
	}
	require.Equal(t, "tor|listed", (ipintel.Tor | ipintel.Listed).String())
	for k := ipintel.Tor; k <= ipintel.Corporate; k <<= 1 {
		got, ok := ipintel.ParseKind(k.String())
		require.True(t, ok)
		require.Equal(t, k, got)
	}
	_, ok := ipintel.ParseKind("tor|vpn")
	require.False(t, ok)
}

func TestTableInherits(t *testing.T) {
	p := netip.MustParsePrefix
	table, err := ipintel.NewTable(
		[]netip.Prefix{p("10.0.0.0/8"), p("2001:db8::/32")},
		[]netip.Prefix{p("10.1.0.0/16"), p("10.1.2.3/32"), p("::ffff:192.0.2.0/120")},
		[]netip.Prefix{p("10.1.2.99/24"), p("10.1.0.0/16"), p("2001:db8:1::/48"), p("11.0.0.0/8")},
	)
	require.NoError(t, err)
	for in, want := range map[string]uint64{
		"10.9.9.9": 1, "10.1.9.9": 1 | 2 | 4, "10.1.2.9": 1 | 2 | 4, "10.1.2.3": 1 | 2 | 4, "11.0.0.0": 4, "9.255.255.255": 0,
		"::ffff:10.1.9.9": 7, "64:ff9b::10.1.9.9": 7, "192.0.2.255": 2, "192.0.3.0": 0,
		"2001:db8::1": 1, "2001:db8:1::1": 5, "2001:db8:1::1%z": 5, "2001:db9::": 0,
	} {
		require.Equal(t, want, table.Lookup(ip(in)), in)
	}
	require.Equal(t, 8, table.Len())
	require.Zero(t, table.Lookup(netip.Addr{}))

	_, err = ipintel.NewTable([]netip.Prefix{{}})
	require.ErrorContains(t, err, "list 0")
	_, err = ipintel.NewTable(make([][]netip.Prefix, 65)...)
	require.ErrorContains(t, err, "at most 64")
}

// A table of random nested prefixes says the same as asking each list by itself.
func TestTableAgreesWithLists(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	in := make([][]netip.Prefix, 5)
	for range 400 {
		i := r.IntN(len(in))
		if r.IntN(2) == 0 {
			in[i] = append(in[i], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4)), byte(r.IntN(256))}), 8+r.IntN(25)))
		} else {
			in[i] = append(in[i], netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(r.IntN(3)), byte(r.IntN(3))}), 16+r.IntN(113)))
		}
	}
	table, err := ipintel.NewTable(in...)
	require.NoError(t, err)
	for range 20_000 {
		a := netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4)), byte(r.IntN(256))})
		if r.IntN(3) == 0 {
			a = netip.AddrFrom16([16]byte{0x20, 1, byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(2))})
		}
		var want uint64
		for i, list := range in {
			for _, p := range list {
				if p.Contains(a) {
					want |= 1 << i
				}
			}
		}
		require.Equal(t, want, table.Lookup(a), a)
	}
}

func TestTableDoesNotAllocate(t *testing.T) {
	table, err := ipintel.NewTable(prefixes(1000))
	require.NoError(t, err)
	a := ip("::ffff:1.2.3.4")
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Lookup(a) }))
}

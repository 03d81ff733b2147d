package ipintel_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

func TestTravel(t *testing.T) {
	oslo, bergen := ipintel.Place{Lat: 59.9139, Lon: 10.7522}, ipintel.Place{Lat: 60.3913, Lon: 5.3221}
	require.InDelta(t, 305, ipintel.Distance(oslo, bergen), 2)
	require.InDelta(t, 20015, ipintel.Distance(ipintel.Place{Lat: 90}, ipintel.Place{Lat: -90}), 1)
	require.InDelta(t, 222.4, ipintel.Distance(ipintel.Place{Lon: 179}, ipintel.Place{Lon: -179}), 0.1)
	require.Zero(t, ipintel.Distance(oslo, oslo))

	trip := ipintel.Travel(oslo, bergen, time.Hour) // 100 km each where nothing is said
	require.InDelta(t, trip.Distance-200, trip.Apart, 1e-9)
	require.InDelta(t, trip.Apart, trip.Speed, 1e-9)
	require.False(t, trip.Impossible(0))
	require.True(t, trip.Impossible(50))

	oslo.Radius, bergen.Radius = 5, 500
	require.Zero(t, ipintel.Travel(oslo, bergen, 0).Speed, "they may be the same place")
	bergen.Radius = 5
	minute := ipintel.Travel(oslo, bergen, time.Minute)
	for _, d := range []time.Duration{0, time.Second, -time.Second, math.MinInt64, 59 * time.Second} {
		got := ipintel.Travel(oslo, bergen, d)
		require.Equal(t, minute, got, d)
		require.True(t, got.Impossible(1000))
	}
	require.False(t, ipintel.Travel(oslo, ipintel.Place{Lat: math.NaN()}, time.Hour).Impossible(1000))
}

func TestComparable(t *testing.T) {
	info := func(country string, as uint32, kinds ipintel.Kind) ipintel.Info {
		var i ipintel.Info
		i.Country, i.AS.Number, i.Kinds, i.HasPlace = country, as, kinds, true
		return i
	}
	a, b := info("NO", 1, 0), info("SE", 2, 0)
	require.True(t, ipintel.Comparable(a, b, time.Hour))
	require.True(t, ipintel.Comparable(a, b, time.Second), "two countries in a second")
	require.True(t, ipintel.Comparable(info("NO", 0, 0), info("NO", 0, 0), time.Minute))
	require.False(t, ipintel.Comparable(a, info("NO", 2, 0), time.Second))
	require.False(t, ipintel.Comparable(a, info("NO", 2, 0), -time.Second))
	require.False(t, ipintel.Comparable(a, info("", 2, 0), time.Second))
	require.False(t, ipintel.Comparable(a, info("SE", 1, 0), time.Hour), "the same system")
	for _, k := range []ipintel.Kind{ipintel.Tor, ipintel.VPN, ipintel.Hosting, ipintel.Proxy, ipintel.Residential, ipintel.Relay, ipintel.Carrier, ipintel.Corporate} {
		require.False(t, ipintel.Comparable(a, info("SE", 2, k), time.Hour), k)
		require.False(t, ipintel.Comparable(info("SE", 2, k), a, time.Hour), k)
	}
	b.HasPlace = false
	require.False(t, ipintel.Comparable(a, b, time.Hour))
	raw := info("SE", 2, 0)
	raw.Raw = ipintel.VPN
	require.False(t, ipintel.Comparable(a, raw, time.Hour))
}

func TestZones(t *testing.T) {
	winter, summer := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)
	if _, err := time.LoadLocation("Europe/Oslo"); err != nil {
		t.Skip("this machine has no time zone database")
	}
	for _, row := range []struct {
		a, b string
		at   time.Time
		gap  time.Duration
	}{
		{"Europe/Oslo", "Europe/Berlin", winter, 0},
		{"Europe/Oslo", "UTC", winter, time.Hour},
		{"Europe/Oslo", "UTC", summer, 2 * time.Hour},
		{"America/Phoenix", "America/Los_Angeles", summer, 0},
		{"America/Phoenix", "America/Los_Angeles", winter, time.Hour},
		{"Asia/Kolkata", "Asia/Kathmandu", winter, 15 * time.Minute},
	} {
		for range 2 {
			gap, ok := ipintel.ZoneGap(row.a, row.b, row.at)
			require.True(t, ok)
			require.Equal(t, row.gap, gap, row.a+row.b)
			row.a, row.b = row.b, row.a
		}
	}
	for _, bad := range []string{"", "Local", "local", "../etc/passwd", "/etc/localtime", "Europe/Oslo\x00", "Nowhere/City", "a b", string(make([]byte, 100))} {
		_, ok := ipintel.ZoneGap(bad, "UTC", winter)
		require.False(t, ok, bad)
		_, ok = ipintel.ZoneGap("UTC", bad, winter)
		require.False(t, ok, bad)
	}
	gap, ok := ipintel.OffsetGap(-420, "Europe/Oslo", winter)
	require.True(t, ok)
	require.Equal(t, 8*time.Hour, gap)
	for _, minutes := range []int{-1441, 1441} {
		_, ok = ipintel.OffsetGap(minutes, "UTC", winter)
		require.False(t, ok)
	}
}

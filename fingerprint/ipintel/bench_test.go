package ipintel_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gaissmai/bart"
	"github.com/maxmind/mmdbwriter"
	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

// routes is how many prefixes the Internet's routing table has.
const routes = 732_000

// ratio runs both in turn, in short rounds, and returns the median of the ratios of their times.
func ratio(b *testing.B, each int, mine, floor func(i int)) {
	const rounds = 41
	ratios := make([]float64, 0, rounds)
	spent := func(f func(int), from int) float64 {
		begun := time.Now()
		for i := from; i < from+each; i++ {
			f(i)
		}
		return float64(time.Since(begun))
	}
	for round := range rounds {
		from := round * each
		var m, f float64
		if round%2 == 0 { // whoever goes second finds the caches warm
			m, f = spent(mine, from), spent(floor, from)
		} else {
			f = spent(floor, from)
			m = spent(mine, from)
		}
		ratios = append(ratios, m/f)
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[rounds/2], "x/floor")
}

// BenchmarkPrefix looks addresses up in a table of as many prefixes as the routing table has, half of them listed. The
// floor is bart.Table alone, with the same prefixes and addresses.
func BenchmarkPrefix(b *testing.B) {
	all := prefixes(routes)
	table, err := ipintel.NewTable(all)
	require.NoError(b, err)
	var alone bart.Table[uint64]
	for _, p := range all {
		alone.Insert(p, 1)
	}
	in := visitors(all, 1<<16)
	var sum uint64
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		sum += table.Lookup(in[i&0xffff])
	}
	b.StopTimer()
	ratio(b, 20_000,
		func(i int) { sum += table.Lookup(in[i&0xffff]) },
		func(i int) { v, _ := alone.Lookup(in[i&0xffff]); sum += v })
	if sum == 0 {
		b.Fatal("nothing is listed")
	}
}

// bare has the fields of a Record that a city database fills, for maxminddb's own decoder.
type bare struct {
	Country struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Registered struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"registered_country"`
	Location struct {
		Latitude  float64 `maxminddb:"latitude"`
		Longitude float64 `maxminddb:"longitude"`
		Radius    uint16  `maxminddb:"accuracy_radius"`
		TimeZone  string  `maxminddb:"time_zone"`
	} `maxminddb:"location"`
}

// cities is a database of n networks in the schema of GeoLite2 City.
func cities(b *testing.B, of []netip.Prefix) []byte {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, DisableIPv4Aliasing: true})
	require.NoError(b, err)
	name := func(s string) object {
		return object{"de": str(s), "en": str(s), "es": str(s), "fr": str(s), "ja": str(s), "pt-BR": str(s), "ru": str(s), "zh-CN": str(s)}
	}
	for i, p := range of {
		code := string([]byte{'A' + byte(i%26), 'A' + byte(i/26%26)})
		record := object{
			"city": object{"geoname_id": whole(i % 5000), "names": name("City")}, "continent": object{"code": str("EU"), "names": name("Europe")},
			"country":  object{"geoname_id": whole(i % 676), "iso_code": str(code), "names": name("Country " + code)},
			"location": object{"accuracy_radius": whole(20), "latitude": num(i % 90), "longitude": num(i % 180), "time_zone": str("Europe/Oslo")},
			"postal":   object{"code": str("0150")}, "registered_country": object{"iso_code": str(code), "names": name("Country " + code)},
		}
		_, n, err := net.ParseCIDR(p.String())
		require.NoError(b, err)
		require.NoError(b, tree.Insert(n, record))
	}
	return write(b, tree)
}

// BenchmarkGeo looks addresses up in a city database, all of them found. The floor is maxminddb decoding the same fields
// into a plain struct.
func BenchmarkGeo(b *testing.B) {
	of := prefixes(20_000)
	data := cities(b, of)
	db, err := ipintel.OpenDatabase(context.Background(), ipintel.Origin{File: file(b, "city.mmdb", data)}, nil)
	require.NoError(b, err)
	reader, err := maxminddb.OpenBytes(data)
	require.NoError(b, err)
	in := make([]netip.Addr, 1<<12)
	for i := range in {
		in[i] = of[(i*4)%len(of)].Addr()
	}
	found := 0
	mine := func(i int) {
		if r, ok, err := db.Lookup(in[i&0xfff]); ok && err == nil && r.Country != "" && r.HasPlace {
			found++
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for i := 0; b.Loop(); i++ {
		mine(i)
		n++
	}
	b.StopTimer()
	if found != n {
		b.Fatal(fmt.Sprint(found, " of ", n, " found"))
	}
	ratio(b, 2000, mine, func(i int) {
		var r bare
		if err := reader.Lookup(in[i&0xfff]).Decode(&r); err == nil && r.Country.ISOCode != "" {
			found++
		}
	})
}

// BenchmarkIntel is a whole look-up: city database and lists.
func BenchmarkIntel(b *testing.B) {
	of := prefixes(20_000)
	db, err := ipintel.OpenDatabase(context.Background(), ipintel.Origin{File: file(b, "city.mmdb", cities(b, of))}, nil)
	require.NoError(b, err)
	i, err := ipintel.New(&ipintel.Options{Databases: []*ipintel.Database{db}, Lists: lists(b, map[ipintel.Kind]string{ipintel.Hosting: "20.0.0.0/8\n"})})
	require.NoError(b, err)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if info, err := i.Lookup(of[n%len(of)].Addr()); err != nil || info.Range == ipintel.RangePublic && info.Country == "" {
			b.Fatal(info, err)
		}
	}
}

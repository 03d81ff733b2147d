package ipintel_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

// Records of the schemas in use, and what is read from them.
func TestSchemas(t *testing.T) {
	place := func(lat, lon, radius float64) ipintel.Place { return ipintel.Place{Lat: lat, Lon: lon, Radius: radius} }
	for _, row := range []struct {
		name   string
		record object
		want   ipintel.Record
	}{
		{"MaxMind City", object{
			"city":    object{"names": object{"en": str("Oslo")}},
			"country": object{"iso_code": str("NO"), "names": object{"en": str("Norway")}}, "registered_country": object{"iso_code": str("SE")},
			"location":     object{"latitude": num(59.9), "longitude": num(10.7), "accuracy_radius": mmdbtype.Uint16(20), "time_zone": str("Europe/Oslo")},
			"subdivisions": mmdbtype.Slice{object{"iso_code": str("03")}},
		}, ipintel.Record{Country: "NO", Registered: "SE", HasPlace: true, Place: place(59.9, 10.7, 20), TimeZone: "Europe/Oslo"}},
		{"MaxMind ASN", object{"autonomous_system_number": whole(64500), "autonomous_system_organization": str("Example")},
			ipintel.Record{AS: ipintel.AS{Number: 64500, Name: "Example"}}},
		{"MaxMind connection type", object{"connection_type": str("Cellular")}, ipintel.Record{Connection: "cellular", Kinds: ipintel.Carrier}},
		{"MaxMind Anonymous Plus", object{
			"anonymizer_confidence": mmdbtype.Uint16(99), "is_anonymous": yes(true), "is_anonymous_vpn": yes(true), "is_tor_exit_node": yes(false),
			"network_last_seen": str("2026-11-01"), "provider_name": str("X"),
		}, ipintel.Record{Kinds: ipintel.Anonymous | ipintel.VPN}},
		{"MaxMind Enterprise", object{"country": object{"iso_code": str("DE")}, "traits": object{
			"autonomous_system_number": whole(64501), "connection_type": str("Corporate"), "user_type": str("business"), "is_anonymous": yes(false),
		}}, ipintel.Record{Country: "DE", AS: ipintel.AS{Number: 64501}, Connection: "corporate", Kinds: ipintel.Corporate}},
		{"IPinfo Lite", object{
			"country": str("Norway"), "country_code": str("NO"), "continent": str("Europe"), "continent_code": str("EU"),
			"asn": str("AS64500"), "as_name": str("Example"), "as_domain": str("example.com"),
		}, ipintel.Record{Country: "NO", AS: ipintel.AS{Number: 64500, Name: "Example"}}},
		{"IPinfo location", object{"city": str("Oslo"), "country": str("NO"), "lat": str("59.9"), "lng": str("10.7"), "timezone": str("Europe/Oslo")},
			ipintel.Record{Country: "NO", HasPlace: true, Place: place(59.9, 10.7, 0), TimeZone: "Europe/Oslo"}},
		{"IPinfo privacy", object{"hosting": str(""), "proxy": str("true"), "relay": str("true"), "tor": str(""), "vpn": str("false"), "service": str("X")},
			ipintel.Record{Kinds: ipintel.Proxy | ipintel.Relay}},
		{"IPinfo residential proxy", object{"service": str("X"), "last_seen": str("2026-11-01"), "percent_days_seen": whole(12)},
			ipintel.Record{Kinds: ipintel.Residential}},
		{"IPinfo carrier", object{"mobile": object{"mcc": str("242"), "mnc": str("01")}}, ipintel.Record{Kinds: ipintel.Carrier}},
		{"IPinfo Plus", object{
			"geo": object{"country": str("Norway"), "country_code": str("NO"), "latitude": num(59.9), "longitude": num(10.7)},
			"as":  object{"asn": str("AS64500"), "name": str("Example"), "type": str("hosting")}, "mobile": object{},
			"anonymous": object{"is_vpn": yes(true), "is_relay": yes(false), "name": str("X")}, "is_hosting": yes(true),
		}, ipintel.Record{Country: "NO", HasPlace: true, Place: place(59.9, 10.7, 0), AS: ipintel.AS{Number: 64500, Name: "Example"},
			Connection: "hosting", Kinds: ipintel.Hosting | ipintel.VPN}},
		{"ip-location-db", object{"country_code": str("no")}, ipintel.Record{Country: "NO"}},
		{"numbers and texts for flags", object{"is_vpn": whole(1), "is_tor": str("1"), "is_proxy": whole(0)}, ipintel.Record{Kinds: ipintel.VPN | ipintel.Tor}},
		{"other kinds than expected", object{
			"country": whole(7), "registered_country": str("x"), "location": mmdbtype.Slice{num(1)}, "asn": mmdbtype.Slice{}, "is_vpn": object{"x": str("y")},
			"connection_type": num(1), "autonomous_system_organization": whole(1), "traits": str("x"), "as": whole(3), "mobile": str("no"),
			"country_code": str("NO"),
		}, ipintel.Record{Country: "NO"}},
		{"absurd values", object{
			"country": object{"iso_code": str("N0")}, "location": object{"latitude": num(91), "longitude": num(-181)},
			"asn": mmdbtype.Uint64(1 << 40), "lat": str("NaN"), "lng": str("x"), "as_name": str(string(bytes.Repeat([]byte("ab"), 500))),
		}, ipintel.Record{AS: ipintel.AS{Name: string(bytes.Repeat([]byte("ab"), 128))}}},
		{"half a place", object{"location": object{"latitude": num(1), "accuracy_radius": whole(4)}}, ipintel.Record{}},
		{"empty", object{}, ipintel.Record{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := open(t, "Test", map[string]object{"8.8.8.0/24": row.record, "2a00::/32": row.record}, nil)
			for _, a := range []string{"8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2a00::1", "2a00::1%eth0"} {
				got, ok, err := db.Lookup(ip(a))
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, row.want, got, a)
			}
			_, ok, err := db.Lookup(ip("9.9.9.9"))
			require.NoError(t, err)
			require.False(t, ok)
		})
	}
	db := open(t, "Test", map[string]object{"8.8.8.0/24": {}}, &ipintel.DatabaseOptions{Kind: ipintel.Residential})
	got, ok, err := db.Lookup(ip("8.8.8.8"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, ipintel.Residential, got.Kinds)
	_, ok, err = db.Lookup(netip.Addr{})
	require.NoError(t, err)
	require.False(t, ok)
}

func TestIPv4Database(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "T", IPVersion: 4, IncludeReservedNetworks: true})
	require.NoError(t, err)
	require.NoError(t, tree.InsertRange(ip("8.8.8.0").AsSlice(), ip("8.8.8.255").AsSlice(), object{"country_code": str("US")}))
	db, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: file(t, "x", write(t, tree))}, nil)
	require.NoError(t, err)
	for a, want := range map[string]bool{"8.8.8.8": true, "::ffff:8.8.8.8": true, "2a00::1": false} {
		_, ok, err := db.Lookup(ip(a))
		require.NoError(t, err)
		require.Equal(t, want, ok, a)
	}
}

// some is a database that is large enough to be broken in many ways.
func some(t testing.TB, country string, n int) []byte {
	records := map[string]object{}
	for _, p := range prefixes(n) {
		records[p.String()] = object{"country": object{"iso_code": str(country)}, "asn": whole(p.Bits())}
	}
	return mmdb(t, "Test-Country", records)
}

func TestBrokenDatabases(t *testing.T) {
	good := some(t, "NO", 50)
	marker := bytes.LastIndex(good, []byte("\xab\xcd\xefMaxMind.com"))
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, b := range map[string][]byte{
		"empty":                {},
		"text":                 []byte("not a database"),
		"HTML":                 []byte("<html>404</html>"),
		"cut off":              good[:len(good)/2],
		"cut at the beginning": good[len(good)/4:],
		"without its end":      good[:marker],
		"marker only":          good[marker : marker+14],
		"metadata only":        good[marker:],
		"zeros in the tree":    change(func(b []byte) []byte { clear(b[:100]); return b }),
		"ones in the tree":     change(func(b []byte) []byte { copy(b[30:], bytes.Repeat([]byte{0xff}, 60)); return b }),
		"no separator":         change(func(b []byte) []byte { i := bytes.Index(b, make([]byte, 16)); b[i+3] = 9; return b }),
		"node count":           change(func(b []byte) []byte { i := bytes.Index(b, []byte("node_count")); b[i+11] ^= 0x7f; return b }),
		"record size":          change(func(b []byte) []byte { i := bytes.Index(b, []byte("record_size")); b[i+12] = 99; return b }),
		"a gzip of it":         append([]byte{0x1f, 0x8b, 8, 0}, good[:40]...),
		"data replaced by noise": change(func(b []byte) []byte {
			i := bytes.Index(b, []byte("country"))
			copy(b[i-1:], bytes.Repeat([]byte{0xe0, 0xff, 0x3f}, 10))
			return b
		}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: file(t, "x.mmdb", b)}, nil)
			require.ErrorIs(t, err, ipintel.ErrDatabase)
		})
	}
	_, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: file(t, "x.mmdb", good)}, &ipintel.DatabaseOptions{MaxBytes: 100})
	require.ErrorIs(t, err, ipintel.ErrTooLarge)
	_, err = ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: filepath.Join(t.TempDir(), "none")}, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, o := range []ipintel.Origin{{}, {File: "x", URL: "https://example.com/x"}, {URL: "ftp://example.com"}, {URL: "http://example.com/x"}, {URL: "https://example.com/x?%zz"}, {File: "x", Timeout: -1}} {
		_, err := ipintel.OpenDatabase(t.Context(), o, nil)
		require.Error(t, err)
	}
	for _, o := range []ipintel.DatabaseOptions{{MaxBytes: -1}, {Every: -1}, {Kind: 1 << 15}} {
		_, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: "x"}, &o)
		require.Error(t, err)
	}
}

// replace puts a new file in the place of another, as an updater should.
func replace(t testing.TB, path string, b []byte, at time.Time) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", b, 0o600))
	require.NoError(t, os.Chtimes(path+".new", at, at))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestReload(t *testing.T) {
	path := file(t, "x.mmdb", some(t, "NO", 50))
	now := time.Unix(1_800_000_000, 0)
	db, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: path}, &ipintel.DatabaseOptions{Now: func() time.Time { return now }})
	require.NoError(t, err)
	where := prefixes(1)[0].Addr()
	country := func() string {
		r, ok, err := db.Lookup(where)
		require.NoError(t, err)
		require.True(t, ok)
		return r.Country
	}
	require.Equal(t, "NO", country())
	first := db.Status()
	require.Equal(t, "Test-Country", first.Type)
	require.Equal(t, now, first.Loaded)
	require.Equal(t, time.Duration(10_000_000)*time.Second, first.Age)

	now = now.Add(time.Hour)
	require.NoError(t, db.Reload(t.Context()))
	require.Equal(t, first.Loaded, db.Status().Loaded, "the same file is not read again")
	require.Equal(t, now, db.Status().Checked)

	for i, bad := range [][]byte{some(t, "SE", 50)[:3000], some(t, "SE", 5), mmdb(t, "Other", map[string]object{"8.8.8.0/24": {}}), {}} {
		replace(t, path, bad, now.Add(time.Duration(i)*time.Second))
		require.ErrorIs(t, db.Reload(t.Context()), ipintel.ErrDatabase)
		require.ErrorIs(t, db.Status().Err, ipintel.ErrDatabase)
		require.Equal(t, "NO", country(), "the last good one stays")
	}
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, db.Reload(t.Context()), os.ErrNotExist)
	require.Equal(t, "NO", country())

	replace(t, path, some(t, "SE", 50), now.Add(time.Minute))
	require.NoError(t, db.Reload(t.Context()))
	require.NoError(t, db.Status().Err)
	require.Equal(t, "SE", country())
}

func TestDatabaseFromURL(t *testing.T) {
	p := &publisher{body: string(some(t, "NO", 50))}
	server := httptest.NewServer(p)
	defer server.Close()
	db, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{URL: server.URL + "/x.mmdb?token=hush"}, nil)
	require.NoError(t, err)
	require.Equal(t, "token=hush", p.query)
	loaded := db.Status().Loaded
	require.NoError(t, db.Reload(t.Context()))
	require.Equal(t, 1, p.answered, "an unchanged database is not downloaded again")
	require.Equal(t, loaded, db.Status().Loaded)
	p.set("<html>", 0)
	require.ErrorIs(t, db.Reload(t.Context()), ipintel.ErrDatabase)
	p.set("", 500)
	err = db.Reload(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hush")
	r, ok, err := db.Lookup(prefixes(1)[0].Addr())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "NO", r.Country)
	_, err = ipintel.OpenDatabase(t.Context(), ipintel.Origin{URL: server.URL}, nil)
	require.Error(t, err)
}

// Readers see one whole database or the other while they are swapped under them.
func TestSwapUnderReaders(t *testing.T) {
	path := file(t, "x.mmdb", some(t, "NO", 50))
	text := file(t, "list", []byte("8.8.8.8\n9.9.9.0/24\n"))
	db, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: path}, nil)
	require.NoError(t, err)
	all, err := ipintel.NewLists([]ipintel.Source{{Name: "own", Kind: ipintel.Listed, Origin: ipintel.Origin{File: text}}}, nil)
	require.NoError(t, err)
	require.NoError(t, all.Refresh(t.Context()))
	both, err := ipintel.New(&ipintel.Options{Databases: []*ipintel.Database{db}, Lists: all})
	require.NoError(t, err)
	where := prefixes(50)
	next := [][]byte{some(t, "SE", 50), some(t, "NO", 50)}
	var done atomic.Bool
	var readers sync.WaitGroup
	for r := range 64 {
		readers.Go(func() {
			for i := r; !done.Load(); i++ {
				info, err := both.Lookup(where[i%len(where)].Addr())
				if err != nil || info.Country != "NO" && info.Country != "SE" {
					t.Error(info.Country, err)
					return
				}
				if info, _ := both.Lookup(ip("8.8.8.8")); !info.Kinds.Has(ipintel.Listed) {
					t.Error("not listed")
					return
				}
			}
		})
	}
	at := time.Now()
	for i := range 20 {
		at = at.Add(time.Second)
		replace(t, path, next[i%2], at)
		replace(t, text, []byte("8.8.8.8\n9.9.9.0/24\n9.9.8.0/24\n"), at)
		require.NoError(t, db.Reload(context.Background()))
		require.NoError(t, all.Force(context.Background()))
	}
	done.Store(true)
	readers.Wait()
}

func FuzzDatabase(f *testing.F) {
	f.Add(some(f, "NO", 3))
	f.Add(mmdb(f, "T", map[string]object{
		"8.8.8.0/24": {"country": object{"iso_code": str("NO")}, "location": object{"latitude": num(1), "longitude": num(2)}, "traits": object{"asn": str("AS1")}},
	}))
	f.Add([]byte("\xab\xcd\xefMaxMind.com"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "x.mmdb")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		db, err := ipintel.OpenDatabase(context.Background(), ipintel.Origin{File: path}, nil)
		if err != nil {
			require.ErrorIs(t, err, ipintel.ErrDatabase)
			return
		}
		for _, a := range []string{"8.8.8.8", "1.2.3.4", "2a00::1", "::"} {
			r, ok, err := db.Lookup(ip(a))
			if err != nil || !ok {
				require.Zero(t, r)
			}
		}
	})
}

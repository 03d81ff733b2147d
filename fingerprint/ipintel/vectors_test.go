package ipintel_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

// vectors is the directory of the area, or skips.
func vectors(t *testing.T, sub string) string {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no directory of vectors")
	}
	dir = filepath.Join(dir, "fingerprint", sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no vectors at fingerprint/" + sub)
	}
	return dir
}

// decode reads a JSON file, or skips when there is none.
func decode(t *testing.T, into any, path ...string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if os.IsNotExist(err) {
		t.Skip("no " + filepath.Base(path[len(path)-1]))
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

func at(m map[string]any, path ...string) any {
	for i, name := range path {
		if i == len(path)-1 {
			return m[name]
		}
		m, _ = m[name].(map[string]any)
	}
	return nil
}

func textAt(m map[string]any, path ...string) string { s, _ := at(m, path...).(string); return s }

// want is the source record as this package reads it.
func want(m map[string]any) ipintel.Record {
	r := ipintel.Record{
		Country: textAt(m, "country", "iso_code"), Registered: textAt(m, "registered_country", "iso_code"),
		TimeZone: textAt(m, "location", "time_zone"),
		AS:       ipintel.AS{Name: textAt(m, "autonomous_system_organization")},
	}
	if n, ok := m["autonomous_system_number"].(float64); ok {
		r.AS.Number = uint32(n)
	}
	lat, hasLat := at(m, "location", "latitude").(float64)
	lon, hasLon := at(m, "location", "longitude").(float64)
	if hasLat && hasLon {
		r.HasPlace, r.Place.Lat, r.Place.Lon = true, lat, lon
		r.Place.Radius, _ = at(m, "location", "accuracy_radius").(float64)
	}
	for name, kind := range map[string]ipintel.Kind{
		"is_anonymous": ipintel.Anonymous, "is_anonymous_vpn": ipintel.VPN, "is_hosting_provider": ipintel.Hosting,
		"is_public_proxy": ipintel.Proxy, "is_residential_proxy": ipintel.Residential, "is_tor_exit_node": ipintel.Tor,
	} {
		if on, _ := m[name].(bool); on {
			r.Kinds |= kind
		}
	}
	return r
}

func TestVectorsMMDB(t *testing.T) {
	dir := vectors(t, "mmdb")
	var files []struct {
		File, Source string
		Open, Verify *string
		Optional     any
	}
	decode(t, &files, dir, "expected.json")
	for _, f := range files {
		t.Run(f.File, func(t *testing.T) {
			db, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: filepath.Join(dir, f.File)}, nil)
			good := f.Open != nil && *f.Open == "ok" && f.Verify != nil && *f.Verify == "ok"
			if !good {
				require.ErrorIs(t, err, ipintel.ErrDatabase)
				return
			}
			require.NoError(t, err)
			require.NotZero(t, db.Status().Nodes)
			if f.Source == "" {
				return
			}
			var networks []map[string]map[string]any
			decode(t, &networks, dir, f.Source)
			inner := map[netip.Prefix]bool{}
			for _, n := range networks {
				for text := range n {
					inner[network(t, text)] = true
				}
			}
			for _, n := range networks {
				for text, record := range n {
					p := network(t, text)
					got, ok, err := db.Lookup(p.Addr())
					require.NoError(t, err, text)
					require.True(t, ok, text)
					if p.Addr().Is4() {
						mapped, ok, err := db.Lookup(netip.AddrFrom16(p.Addr().As16()))
						require.NoError(t, err, text)
						require.True(t, ok, text)
						require.Equal(t, got, mapped, text)
					}
					if narrower(inner, p) {
						continue // a later network of the source covers its beginning
					}
					require.Equal(t, want(record), got, text)
				}
			}
		})
	}
}

// network reads a key of a source file: "::1.2.0.0/112" is 1.2.0.0/16.
func network(t *testing.T, s string) netip.Prefix {
	t.Helper()
	p, err := netip.ParsePrefix(s)
	require.NoError(t, err)
	if b := p.Addr().As16(); p.Addr().Is6() && [12]byte(b[:12]) == [12]byte{} && p.Bits() >= 96 {
		p = netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), p.Bits()-96)
	}
	return p.Masked()
}

func narrower(all map[netip.Prefix]bool, p netip.Prefix) bool {
	for bits := p.Bits() + 1; bits <= p.Addr().BitLen(); bits++ {
		if all[netip.PrefixFrom(p.Addr(), bits)] {
			return true
		}
	}
	return false
}

func TestVectorsLists(t *testing.T) {
	dir := vectors(t, "iplists")
	var probes map[string][]struct {
		IP       string
		Listed   bool
		Optional any
	}
	decode(t, &probes, dir, "probes.json")
	for name, list := range probes {
		t.Run(name, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, name+"*.txt"))
			require.NoError(t, err)
			var sources []ipintel.Source
			for i, f := range files {
				sources = append(sources, ipintel.Source{
					Name: fmt.Sprintf("list%d", i), Kind: ipintel.VPN, Origin: ipintel.Origin{File: f},
				})
			}
			lists, err := ipintel.NewLists(sources, nil)
			require.NoError(t, err)
			require.NoError(t, lists.Refresh(t.Context()))
			for _, p := range list {
				ip, err := netip.ParseAddr(p.IP)
				require.NoError(t, err)
				require.Equal(t, p.Listed, lists.Lookup(ip, 0).Kinds != 0, p.IP)
			}
		})
	}
}

func TestVectorsSystems(t *testing.T) {
	dir := vectors(t, "iplists")
	var probes []struct {
		First, Last netip.Addr
		ASN         uint32
		Name        string
	}
	decode(t, &probes, dir, "asn_probes.json")
	files, err := filepath.Glob(filepath.Join(dir, "asn_sample_*.csv"))
	require.NoError(t, err)
	var readers []io.Reader
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		defer func() { _ = f.Close() }()
		readers = append(readers, f)
	}
	table, err := ipintel.ReadASTable(io.MultiReader(readers...), nil)
	require.NoError(t, err)
	for _, p := range probes {
		for _, ip := range []netip.Addr{p.First, p.Last} {
			as, ok := table.Lookup(ip)
			require.True(t, ok, ip)
			require.Equal(t, p.ASN, as.Number, ip)
			if p.Name != "" {
				require.Equal(t, p.Name, as.Name, ip)
			}
		}
	}
}

func TestVectorsBadSystems(t *testing.T) {
	file := filepath.Join(vectors(t, "iplists"), "bad_asn.csv")
	lists, err := ipintel.NewLists([]ipintel.Source{{
		Name: "bad-asn", Kind: ipintel.Hosting, Origin: ipintel.Origin{File: file}, Format: ipintel.FormatASN,
	}}, nil)
	require.NoError(t, err)
	require.NoError(t, lists.Refresh(t.Context()))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	require.NoError(t, err)
	for _, row := range rows {
		n, err := strconv.ParseUint(strings.TrimPrefix(row[0], "AS"), 10, 32)
		if err != nil {
			continue // the heading
		}
		require.Equal(t, ipintel.Hosting, lists.Lookup(netip.IPv6Loopback(), uint32(n)).Kinds, row[0])
	}
}

func TestVectorsTravel(t *testing.T) {
	var rows []struct {
		From, To   string
		FromLatLon [2]float64 `json:"from_latlon"`
		ToLatLon   [2]float64 `json:"to_latlon"`
		Minutes    float64
		Accuracy   float64 `json:"accuracy_km_each"`
		Distance   float64 `json:"distance_km"`
		Impossible bool    `json:"impossible_at_1000_kmh"`
	}
	decode(t, &rows, vectors(t, ""), "travel.json")
	for _, r := range rows {
		t.Run(fmt.Sprintf("travel.json/%s-%s-%v", r.From, r.To, r.Minutes), func(t *testing.T) {
			trip := ipintel.Travel(
				ipintel.Place{Lat: r.FromLatLon[0], Lon: r.FromLatLon[1], Radius: r.Accuracy},
				ipintel.Place{Lat: r.ToLatLon[0], Lon: r.ToLatLon[1], Radius: r.Accuracy},
				time.Duration(r.Minutes*float64(time.Minute)))
			require.InDelta(t, r.Distance, trip.Distance, 1)
			require.Equal(t, r.Impossible, trip.Impossible(1000))
		})
	}
}

// The answers of live look-ups kept there are read as the clients read them.
func TestVectorsCrowdSec(t *testing.T) {
	dir := vectors(t, "threat")
	files, err := filepath.Glob(filepath.Join(dir, "crowdsec_smoke_*.json"))
	require.NoError(t, err)
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			var answer struct {
				IP     netip.Addr
				Scores struct{ Overall struct{ Total float64 } }
			}
			decode(t, &answer, name)
			body, err := os.ReadFile(name)
			require.NoError(t, err)
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
			p, err := ipintel.NewCrowdSec("key", &ipintel.ProviderOptions{BaseURL: base})
			require.NoError(t, err)
			r, err := p.Check(t.Context(), answer.IP)
			require.NoError(t, err)
			require.True(t, r.Known)
			require.InDelta(t, answer.Scores.Overall.Total/5, r.Risk, 1e-9)
		})
	}
}

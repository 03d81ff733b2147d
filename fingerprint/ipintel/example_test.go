package ipintel_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
	"github.com/vestibule-go/vestibule/risk"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	write := func(name, text string) ipintel.Origin {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			panic(err)
		}
		return ipintel.Origin{File: path}
	}
	lists, err := ipintel.NewLists([]ipintel.Source{
		{Name: "tor", Kind: ipintel.Tor, Origin: write("tor.txt", "20.0.0.7\n"), MaxAge: 48 * time.Hour},
		{Name: "vpn", Kind: ipintel.VPN, Origin: write("vpn.txt", "20.0.0.0/24\n20.0.1.0/24\n")},
		{Name: "relay", Kind: ipintel.Relay, Origin: write("relay.csv", "20.0.1.0/25,GB,GB-EN,London,\n")},
	}, nil)
	if err != nil {
		panic(err)
	}
	if err := lists.Refresh(context.Background()); err != nil {
		panic(err)
	}
	intel, err := ipintel.New(&ipintel.Options{Lists: lists})
	if err != nil {
		panic(err)
	}
	signal, err := ipintel.NewSignal(intel, nil)
	if err != nil {
		panic(err)
	}
	engine, err := risk.NewEngine(risk.DefaultPolicy([]risk.Signal{signal}), []risk.Signal{signal}, nil)
	if err != nil {
		panic(err)
	}
	for _, a := range []string{"20.0.0.7", "::ffff:20.0.0.8", "20.0.1.9", "20.9.9.9"} {
		ip := netip.MustParseAddr(a)
		info, err := intel.Lookup(ip)
		if err != nil {
			panic(err)
		}
		s := engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp, IP: ip})
		fmt.Printf("%s: %q, lists %v, score %d\n", info.Addr, info.Class(), info.Hits.Names(), s.Score)
	}
	for _, s := range lists.Status() {
		fmt.Println(s.Name, s.Kind, s.Entries, s.Stale)
	}
	// Output:
	// 20.0.0.7: "tor", lists [tor vpn], score 40
	// 20.0.0.8: "vpn", lists [vpn], score 24
	// 20.0.1.9: "relay", lists [vpn relay], score 12
	// 20.9.9.9: "", lists [], score 12
	// tor tor 1 false
	// vpn vpn 2 false
	// relay relay 1 false
}

func ExampleParse() {
	feed, err := ipintel.Parse(strings.NewReader("# FireHOL style\n20.0.0.9/24\n20.0.1.0-20.0.1.127 ; range\n20.0.2.1\n"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(feed.Prefixes)
	_, err = ipintel.Parse(strings.NewReader("20.0.0.9\n0.0.0.0/0\n"), nil)
	fmt.Println(err)
	// Output:
	// [20.0.0.0/24 20.0.1.0/25 20.0.2.1/32]
	// ipintel: feed refused at line 2: a prefix shorter than /8 (IPv4) or /16 (IPv6) would list a part of the Internet
}

func ExampleTravel() {
	london := ipintel.Place{Lat: 51.5142, Lon: -0.0931, Radius: 50}
	stockholm := ipintel.Place{Lat: 59.3241, Lon: 18.0517, Radius: 50}
	trip := ipintel.Travel(london, stockholm, time.Hour)
	fmt.Printf("%.0f km apart, %.0f km/h, impossible: %v\n", trip.Apart, trip.Speed, trip.Impossible(0))
	// Output: 1329 km apart, 1329 km/h, impossible: true
}

func ExampleNewLiveSignal() {
	provider, err := ipintel.NewCrowdSec("an API key", nil)
	if err != nil {
		panic(err)
	}
	signal, err := ipintel.NewLiveSignal(provider, &ipintel.LiveOptions{Cost: risk.Costly})
	if err != nil {
		panic(err)
	}
	fmt.Println(signal.Describe().Name)
	// Output: crowdsec
}

func ExampleReadASTable() {
	table, err := ipintel.ReadASTable(strings.NewReader("20.0.0.0,20.0.3.255,64500,\"Example, Inc.\"\n"), nil)
	if err != nil {
		panic(err)
	}
	as, ok := table.Lookup(netip.MustParseAddr("20.0.2.1"))
	fmt.Println(as.Number, as.Name, ok)
	// Output: 64500 Example, Inc. true
}

func ExampleNewTable() {
	p := netip.MustParsePrefix
	table, err := ipintel.NewTable(
		[]netip.Prefix{p("20.0.0.0/8")},  // list 0
		[]netip.Prefix{p("20.1.0.0/16")}, // list 1
	)
	if err != nil {
		panic(err)
	}
	for _, a := range []string{"20.0.0.1", "20.1.0.1", "64:ff9b::20.1.0.1", "21.0.0.1"} {
		fmt.Printf("%b ", table.Lookup(netip.MustParseAddr(a)))
	}
	fmt.Println()
	// Output: 1 11 11 0
}

func ExampleNormal() {
	for _, a := range []string{"::ffff:192.0.2.7", "64:ff9b::192.0.2.7", "fe80::1%eth0"} {
		ip := netip.MustParseAddr(a)
		fmt.Println(ipintel.Normal(ip), ipintel.RangeOf(ip))
	}
	// Output:
	// 192.0.2.7 reserved
	// 192.0.2.7 reserved
	// fe80::1 private
}

func ExampleOpenDatabase() {
	// A stand-in for GeoLite2-City.mmdb or any other file in MaxMind DB format.
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Example-City"})
	if err != nil {
		panic(err)
	}
	first, last := netip.MustParseAddr("20.0.0.0"), netip.MustParseAddr("20.0.255.255")
	err = tree.InsertRange(first.AsSlice(), last.AsSlice(), mmdbtype.Map{
		"country": mmdbtype.Map{"iso_code": mmdbtype.String("NO")}, "asn": mmdbtype.String("AS64500"), "is_vpn": mmdbtype.Bool(true),
	})
	if err != nil {
		panic(err)
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("example-%d.mmdb", os.Getpid()))
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.Remove(path) }()
	if _, err := tree.WriteTo(file); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}

	db, err := ipintel.OpenDatabase(context.Background(), ipintel.Origin{File: path}, nil)
	if err != nil {
		panic(err)
	}
	r, ok, err := db.Lookup(netip.MustParseAddr("::ffff:20.0.0.7"))
	fmt.Println(r.Country, r.AS.Number, r.Kinds, ok, err, db.Status().Type)
	// Output: NO 64500 vpn true <nil> Example-City
}

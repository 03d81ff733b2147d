package ipintel_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

func parse(t testing.TB, text string, f ipintel.Format) (prefixes []string, systems []uint32, bad int) {
	t.Helper()
	feed, err := ipintel.Parse(strings.NewReader(text), &ipintel.ParseOptions{Format: f})
	require.NoError(t, err)
	for _, p := range feed.Prefixes {
		prefixes = append(prefixes, p.String())
	}
	return prefixes, feed.Systems, feed.Malformed
}

func TestParseFormats(t *testing.T) {
	for _, row := range []struct {
		name, text string
		format     ipintel.Format
		prefixes   []string
		systems    []uint32
		bad        int
	}{
		{"Tor bulk exit list", "1.2.3.4\n5.6.7.8\n", "", []string{"1.2.3.4/32", "5.6.7.8/32"}, nil, 0},
		{"Tor exit-addresses", "ExitNode ABCD\nPublished 2026-11-20 10:00:00\nLastStatus 2026-11-20 11:00:00\nExitAddress 1.2.3.4 2026-11-20 11:05:00\n",
			"", []string{"1.2.3.4/32"}, nil, 0},
		{"Spamhaus DROP text", "; Spamhaus DROP List\n; Expires: soon\n1.10.16.0/20 ; SBL256894\n", "", []string{"1.10.16.0/20"}, nil, 0},
		{"Spamhaus DROP JSON lines", `{"cidr":"1.10.16.0/20","sblid":"SBL256894","rir":"apnic"}` + "\n" + `{"type":"metadata","timestamp":1,"size":2,"records":1}` + "\n",
			"", []string{"1.10.16.0/20"}, nil, 0},
		{"Spamhaus ASN-DROP", `{"asn":64500,"rir":"x","domain":"example.com","cc":"XX","asname":"X"}` + "\n" + `{"asn":"AS64501"}`, "", nil, []uint32{64500, 64501}, 0},
		{"FireHOL netset", "#\n# firehol_level1\n#\n0.0.0.0/8\n1.10.16.0/20\n224.0.0.0/3\n", "", []string{"0.0.0.0/8", "1.10.16.0/20"}, nil, 0},
		{"AbuseIPDB blacklist JSON", `{"meta":{"generatedAt":"x"},"data":[{"ipAddress":"1.2.3.4","abuseConfidenceScore":100},{"ipAddress":"2a00::1"}]}`,
			"", []string{"1.2.3.4/32", "2a00::1/128"}, nil, 0},
		{"CrowdSec decisions", `{"new":[{"value":"1.2.3.4","scope":"Ip","type":"ban"},{"value":"1.2.4.0/24","scope":"Range"},{"value":"XX","scope":"Country"}],"deleted":null}`,
			"", []string{"1.2.3.4/32", "1.2.4.0/24"}, nil, 0},
		{"AWS ranges", `{"syncToken":"1","prefixes":[{"ip_prefix":"3.4.12.4/32","region":"eu"}],"ipv6_prefixes":[{"ipv6_prefix":"2a05:d07a::/32"}]}`,
			"", []string{"3.4.12.4/32", "2a05:d07a::/32"}, nil, 0},
		{"Google ranges", `{"prefixes":[{"ipv4Prefix":"34.1.208.0/20"},{"ipv6Prefix":"2600:1900::/28"}]}`, "", []string{"34.1.208.0/20", "2600:1900::/28"}, nil, 0},
		{"array of texts", `["1.2.3.4","5.6.7.0/24"]`, "", []string{"1.2.3.4/32", "5.6.7.0/24"}, nil, 0},
		{"Apple relay CSV", "172.224.226.0/27,GB,GB-EN,London,\n2a02:26f7::/64,US,,,\n", "", []string{"172.224.226.0/27", "2a02:26f7::/64"}, nil, 0},
		{"own list", "\ufeff# ours\r\n 1.2.3.4 # office\r\n\r\n1.2.3.77/24\r\n1.2.3.4\r\n::ffff:9.9.9.9\r\nfe80::1%eth0\r\n64:ff9b::8.8.4.4\r\n",
			"", []string{"1.2.3.0/24", "1.2.3.4/32", "8.8.4.4/32", "9.9.9.9/32", "fe80::1/128"}, nil, 0},
		{"ranges", "1.0.0.1-1.0.0.6\n1.0.1.0 - 1.0.1.255\n1.0.2.0,1.0.2.3,64500,\"A, B\"\n2a00::-2a00::3\n",
			"", []string{"1.0.0.1/32", "1.0.0.2/31", "1.0.0.4/31", "1.0.0.6/32", "1.0.1.0/24", "1.0.2.0/30", "2a00::/126"}, nil, 0},
		{"columns", "1.2.3.4\t80\tx\n5.6.7.8 443\n", "", []string{"1.2.3.4/32", "5.6.7.8/32"}, nil, 0},
		{"ASN CSV", "ASN,Entity\n64500,\"X, Y\"\nAS64501,Z\n64500,again\n", ipintel.FormatASN, nil, []uint32{64500, 64501}, 1},
		{"a few bad lines", "ip\n1.2.3.4\n1.2.3\n1.2.3.4/33\n1.2.3.9-1.2.3.1\n1.2.3.4-2a00::\n", "", []string{"1.2.3.4/32"}, nil, 5},
		{"CSV with a heading", "network,country\n1.2.3.0/24,XX\n", "", []string{"1.2.3.0/24"}, nil, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			prefixes, systems, bad := parse(t, row.text, row.format)
			require.Equal(t, row.prefixes, prefixes)
			require.Equal(t, row.systems, systems)
			require.Equal(t, row.bad, bad)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	var slash8 strings.Builder
	for i := 1; i < 100; i++ {
		fmt.Fprintf(&slash8, "%d.0.0.0/8\n", i)
	}
	for _, row := range []struct {
		name, text string
		opts       ipintel.ParseOptions
		want       error
	}{
		{"nothing", "", ipintel.ParseOptions{}, ipintel.ErrEmpty},
		{"comments only", "# gone\n; gone\n", ipintel.ParseOptions{}, ipintel.ErrEmpty},
		{"HTML", "<!DOCTYPE html><html><body>1.2.3.4</body></html>", ipintel.ParseOptions{}, ipintel.ErrHTML},
		{"HTML after a byte order mark", "\ufeff \r\n<html>", ipintel.ParseOptions{}, ipintel.ErrHTML},
		{"prose", strings.Repeat("please try again later\n", 20), ipintel.ParseOptions{}, ipintel.ErrMalformed},
		{"everything", "1.2.3.4\n0.0.0.0/0\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"everything as a range", "0.0.0.0-255.255.255.255\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"all of IPv6", "::/0\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"half", "128.0.0.0/1\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"a /7", "8.0.0.0/7\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"an IPv6 /15", "2a00::/15\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"everything in mapped form", "::ffff:0.0.0.0/96\n", ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"everything in JSON", `{"cidr":"0.0.0.0/0"}`, ipintel.ParseOptions{}, ipintel.ErrTooBroad},
		{"a hundred /8", slash8.String(), ipintel.ParseOptions{}, ipintel.ErrCoverage},
		{"bytes", strings.Repeat("1.2.3.4\n", 100), ipintel.ParseOptions{MaxBytes: 100}, ipintel.ErrTooLarge},
		{"JSON bytes", `{"data":["` + strings.Repeat("1", 200) + `"]}`, ipintel.ParseOptions{MaxBytes: 100}, ipintel.ErrTooLarge},
		{"entries", "1.2.3.4\n1.2.3.5\n1.2.3.6\n", ipintel.ParseOptions{MaxEntries: 2}, ipintel.ErrTooLarge},
		{"a range of many", "2a00::1-2a00:1::\n", ipintel.ParseOptions{MaxEntries: 50}, ipintel.ErrTooLarge},
		{"a line without end", strings.Repeat("1", 100<<10), ipintel.ParseOptions{}, ipintel.ErrTooLarge},
		{"JSON cut off", `{"data":[{"ipAddress":"1.2.3.4"},{"ipAd`, ipintel.ParseOptions{}, ipintel.ErrMalformed},
		{"JSON lines cut off", `{"cidr":"1.2.3.0/24"}` + "\n" + `{"cidr":"1.2.`, ipintel.ParseOptions{}, ipintel.ErrMalformed},
		{"no JSON", `{not json}`, ipintel.ParseOptions{}, ipintel.ErrMalformed},
		{"JSON of something else", `{"error":"quota"}`, ipintel.ParseOptions{}, ipintel.ErrEmpty},
		{"JSON texts", `["a","b","c","d","e","f","1.2.3.4"]`, ipintel.ParseOptions{}, ipintel.ErrMalformed},
		{"own list of rubbish", "x\n", ipintel.ParseOptions{AllowEmpty: true}, ipintel.ErrEmpty},
		{"ASNs are no addresses", strings.Repeat("1.2.3.4\n", 6), ipintel.ParseOptions{Format: ipintel.FormatASN}, ipintel.ErrMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := ipintel.Parse(strings.NewReader(row.text), &row.opts)
			require.ErrorIs(t, err, row.want)
			_, ok := errors.AsType[*ipintel.FeedError](err)
			require.True(t, ok, "%T", err)
			require.Less(t, len(err.Error()), 200, "it repeats nothing of the feed")
		})
	}
	feed, err := ipintel.Parse(strings.NewReader("# none today\n"), &ipintel.ParseOptions{AllowEmpty: true})
	require.NoError(t, err)
	require.Zero(t, feed.Len())
	broken := errors.New("broken pipe")
	_, err = ipintel.Parse(io.MultiReader(strings.NewReader("1.2.3.4\n"), iotest.ErrReader(broken)), nil)
	require.ErrorIs(t, err, broken)
	_, err = ipintel.Parse(io.MultiReader(strings.NewReader(`{"cidr":`), iotest.ErrReader(broken)), nil)
	require.ErrorIs(t, err, broken)
	for _, o := range []ipintel.ParseOptions{{Format: "xml"}, {MaxBytes: -1}, {MaxEntries: -1}} {
		_, err := ipintel.Parse(strings.NewReader("1.2.3.4"), &o)
		require.Error(t, err)
	}
}

func TestReadASTable(t *testing.T) {
	table, err := ipintel.ReadASTable(strings.NewReader(
		"1.0.0.0,1.0.0.255,64500,\"Example, Inc. #1\"\n1.0.1.0,1.0.3.255,64501,B\n2a00::,2a00:ffff:ffff:ffff:ffff:ffff:ffff:ffff,64502,C\n"), nil)
	require.NoError(t, err)
	for a, want := range map[string]ipintel.AS{
		"1.0.0.7": {64500, "Example, Inc. #1"}, "::ffff:1.0.2.0": {64501, "B"}, "2a00:1::": {64502, "C"},
	} {
		got, ok := table.Lookup(ip(a))
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := table.Lookup(ip("1.0.4.0"))
	require.False(t, ok)
	_, ok = table.Lookup(netip.Addr{})
	require.False(t, ok)
	for name, text := range map[string]string{
		"nothing": "", "HTML": "<html>", "not ranges": strings.Repeat("a,b,c\n", 10), "no numbers": strings.Repeat("1.0.0.0,1.0.0.1,x,y\n", 10),
		"backwards": strings.Repeat("1.0.0.9,1.0.0.1,1,y\n", 10),
	} {
		_, err := ipintel.ReadASTable(strings.NewReader(text), nil)
		require.Error(t, err, name)
	}
	_, err = ipintel.ReadASTable(strings.NewReader("2a00::1,2a00::ffff,1,x\n"), &ipintel.ParseOptions{MaxEntries: 3})
	require.ErrorIs(t, err, ipintel.ErrTooLarge)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"1.2.3.4\n# x\n10.0.0.0/8 ; y\n1.0.0.0-1.0.1.5\n", `{"cidr":"1.2.3.0/24"}` + "\n" + `{"type":"metadata"}`, `{"data":[{"ipAddress":"1.2.3.4"}]}`,
		"\ufeffASN,Entity\n64500,\"X\"\n", "<html>", "ExitAddress 1.2.3.4 x\n", "::/0", `[[[["1.2.3.4"]]]]`, "1.0.0.0,1.0.0.9,5,\"x\n",
	} {
		for i := range 4 {
			f.Add([]byte(s), i)
		}
	}
	formats := []ipintel.Format{ipintel.FormatAuto, ipintel.FormatText, ipintel.FormatJSON, ipintel.FormatASN}
	f.Fuzz(func(t *testing.T, b []byte, i int) {
		o := ipintel.ParseOptions{Format: formats[uint(i)%4], MaxEntries: 1000, MaxBytes: 1 << 16}
		feed, err := ipintel.Parse(strings.NewReader(string(b)), &o)
		if err == nil {
			require.LessOrEqual(t, feed.Len(), 1000)
			table, err := ipintel.NewTable(feed.Prefixes)
			require.NoError(t, err)
			for _, p := range feed.Prefixes {
				require.Equal(t, p.Masked(), p)
				require.GreaterOrEqual(t, p.Bits(), 8)
				require.NotZero(t, table.Lookup(p.Addr()), p)
			}
		}
		if table, err := ipintel.ReadASTable(strings.NewReader(string(b)), &o); err == nil {
			require.Positive(t, table.Len())
		}
	})
}

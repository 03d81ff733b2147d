package ipintel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

type (
	object = mmdbtype.Map
	str    = mmdbtype.String
	num    = mmdbtype.Float64
	whole  = mmdbtype.Uint32
	yes    = mmdbtype.Bool
)

// mmdb builds a database of records by network.
func mmdb(t testing.TB, kind string, records map[string]object) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: 1_790_000_000, IncludeReservedNetworks: true})
	require.NoError(t, err)
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		require.NoError(t, err)
		require.NoError(t, tree.Insert(n, record))
	}
	return write(t, tree)
}

func write(t testing.TB, tree *mmdbwriter.Tree) []byte {
	var b bytes.Buffer
	_, err := tree.WriteTo(&b)
	require.NoError(t, err)
	return b.Bytes()
}

// file writes bytes to a new file.
func file(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

// open opens a database of records.
func open(t testing.TB, kind string, records map[string]object, opts *ipintel.DatabaseOptions) *ipintel.Database {
	t.Helper()
	db, err := ipintel.OpenDatabase(context.Background(), ipintel.Origin{File: file(t, "x.mmdb", mmdb(t, kind, records))}, opts)
	require.NoError(t, err)
	return db
}

// lists loads texts as lists of the kinds.
func lists(t testing.TB, sources map[ipintel.Kind]string) *ipintel.Lists {
	t.Helper()
	var in []ipintel.Source
	for kind, text := range sources {
		in = append(in, ipintel.Source{Name: "list." + names(kind), Kind: kind, Origin: ipintel.Origin{File: file(t, "list", []byte(text))}})
	}
	l, err := ipintel.NewLists(in, nil)
	require.NoError(t, err)
	require.NoError(t, l.Refresh(context.Background()))
	return l
}

func names(k ipintel.Kind) string {
	b := []byte(k.String())
	for i, c := range b {
		if c == '|' {
			b[i] = '-'
		}
	}
	return string(b)
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// prefixes are n different prefixes like those of the Internet's routing table: a third IPv6, most IPv4 ones /16 to /24,
// from a fixed seed.
func prefixes(n int) []netip.Prefix {
	r := rand.New(rand.NewPCG(20261121, 7))
	seen := make(map[netip.Prefix]bool, n)
	out := make([]netip.Prefix, 0, n)
	for len(out) < n {
		var p netip.Prefix
		if r.IntN(3) > 0 {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], r.Uint32())
			if b[0] = 1 + b[0]%223; b[0] == 127 {
				continue
			}
			p = netip.PrefixFrom(netip.AddrFrom4(b), 24-int(r.ExpFloat64()*2)%16)
		} else {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], r.Uint64())
			b[0] = 0x20 | b[0]&0x0f
			p = netip.PrefixFrom(netip.AddrFrom16(b), 48-int(r.ExpFloat64()*4)%28)
		}
		if p = p.Masked(); !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// visitors are addresses of which about half are in one of the prefixes.
func visitors(of []netip.Prefix, n int) []netip.Addr {
	r := rand.New(rand.NewPCG(3, 4))
	out := make([]netip.Addr, n)
	for i := range out {
		p := of[r.IntN(len(of))]
		b := p.Addr().AsSlice()
		if i%2 == 0 { // elsewhere
			b[1] ^= byte(r.IntN(256))
			b[2] ^= byte(r.IntN(256))
		}
		b[len(b)-1] ^= byte(r.IntN(256))
		out[i], _ = netip.AddrFromSlice(b)
	}
	return out
}

package identity_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity"
)

var addresses = []string{
	"ann.smith@gmail.com", "Bob.Jones+news@GoogleMail.com", "carol-x@yahoo.co.uk", "dave@mail.example.com", "alias@erin.fastmail.com",
	"frank+test@outlook.com", "grace@company.example", "heidi@foo.mailinator.com",
}

// BenchmarkEmailCanonical parses an address and makes its canonical form.
func BenchmarkEmailCanonical(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := identity.CanonicalEmail(addresses[i%len(addresses)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEmailCanonicalIDN is the slow way: a domain in Unicode.
func BenchmarkEmailCanonicalIDN(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.CanonicalEmail("ann@bücher.example"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDisposable looks domains up in the embedded list, one in eight being below a listed one.
func BenchmarkDisposable(b *testing.B) {
	d := identity.Disposable()
	domains := make([]string, len(addresses))
	for i, a := range addresses {
		e, err := identity.ParseEmail(a)
		require.NoError(b, err)
		domains[i] = e.Domain()
	}
	found := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if d.Has(domains[i%len(domains)]) {
			found++
		}
	}
	packed, err := d.MarshalBinary()
	require.NoError(b, err)
	b.ReportMetric(float64(len(packed)), "B/list")
	if found == 0 {
		b.Fatal("nothing is listed")
	}
}

// BenchmarkLists asks lists in memory about an attempt with everything, of which nothing is listed.
func BenchmarkLists(b *testing.B) {
	c := &clock{now: time.Now()}
	l := newLists(b, c, ring(b))
	for _, v := range []string{"20.0.0.7", "20.0.1.0/24"} {
		_, err := l.Put(b.Context(), identity.Entry{Effect: identity.Deny, Kind: identity.EntryIP, Value: "20.0.0.7", By: v, Expires: c.now.Add(time.Hour)})
		require.NoError(b, err)
	}
	s := identity.Subject{IP: netip.MustParseAddr("20.9.9.9"), Email: "ann@mail.example.com", Phone: "+4790000001", Devices: []string{"a", "b"}}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := l.Match(b.Context(), s); err != nil || len(got) > 0 {
			b.Fatal(got, err)
		}
	}
}

// BenchmarkVAT checks a VAT number.
func BenchmarkVAT(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.ParseVAT("DE 136 695 976"); err != nil {
			b.Fatal(err)
		}
	}
}

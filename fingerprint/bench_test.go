package fingerprint_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// BenchmarkSightings is one visit with a device, a network, an e-mail address and a telephone number.
func BenchmarkSightings(b *testing.B) {
	store, err := fingerprint.NewMemory(nil)
	require.NoError(b, err)
	s, err := fingerprint.NewSightings(store, nil)
	require.NoError(b, err)
	visits := make([]fingerprint.Visit, 1024)
	for i := range visits {
		visits[i] = fingerprint.Visit{
			Tenant: "t", Attempt: fmt.Sprint("a", i), IP: netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}),
			Device: fmt.Sprint("d", i%512), Phone: fmt.Sprint("+1555", i), Email: fmt.Sprint("m", i, "@example.com"),
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.See(b.Context(), visits[i&1023]); err != nil {
			b.Fatal(err)
		}
	}
}

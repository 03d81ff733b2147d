package keyed_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

var sink any

// BenchmarkSum is the raw tag of an e-mail address: one HMAC over re-used state.
func BenchmarkSum(b *testing.B) {
	ring := newRing(b, "a")
	b.ReportAllocs()
	var s keyed.Sum
	for b.Loop() {
		s = ring.Sum("ratelimit.email", "acme", "someone@example.com", day(100))
	}
	sink = s
}

func BenchmarkSumParallel(b *testing.B) {
	ring := newRing(b, "a")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = ring.Sum("ratelimit.email", "acme", "someone@example.com", day(100))
		}
	})
}

func BenchmarkAppendTag(b *testing.B) {
	ring := newRing(b, "a")
	buf := make([]byte, 0, keyed.MaxTagLen)
	b.ReportAllocs()
	for b.Loop() {
		buf = ring.AppendTag(buf[:0], "ratelimit.email", "acme", "someone@example.com", day(100))
	}
	sink = buf
}

// BenchmarkAppendSums lists four: two keys in two epochs.
func BenchmarkAppendSums(b *testing.B) {
	ring := newRing(b, "b", "a")
	buf := make([]keyed.Sum, 0, ring.Lookups())
	b.ReportAllocs()
	for b.Loop() {
		buf = ring.AppendSums(buf[:0], "ratelimit.email", "acme", "someone@example.com", day(100))
	}
	sink = buf
}

// BenchmarkPlainHMAC is what a tag would cost without kept state and without any derivation.
func BenchmarkPlainHMAC(b *testing.B) {
	key, value := secret("a"), []byte("someone@example.com")
	b.ReportAllocs()
	for b.Loop() {
		m := hmac.New(sha256.New, key)
		m.Write(value)
		sink = m.Sum(nil)
	}
}

// BenchmarkColdTenant derives the sub-key each time: more tenants than the cache holds.
func BenchmarkColdTenant(b *testing.B) {
	ring := newRing(b, "a")
	tenants := make([]string, 1<<14)
	for i := range tenants {
		tenants[i] = fmt.Sprint("tenant", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_ = ring.Sum("ratelimit.email", tenants[i%len(tenants)], "someone@example.com", day(100))
		i++
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	ring := newRing(t, "b", "a")
	tag := make([]byte, 0, keyed.MaxTagLen)
	sums := make([]keyed.Sum, 0, ring.Lookups())
	value := []byte("someone@example.com")
	for name, f := range map[string]func(){
		"Sum":             func() { _ = ring.Sum("p", "t", "someone@example.com", day(1)) },
		"SumBytes":        func() { _ = ring.SumBytes("p", "t", value, day(1)) },
		"Sum256":          func() { _ = ring.Sum256("p", "t", "someone@example.com", day(1)) },
		"AppendTag":       func() { tag = ring.AppendTag(tag[:0], "p", "t", "someone@example.com", day(1)) },
		"AppendSums":      func() { sums = ring.AppendSums(sums[:0], "p", "t", "someone@example.com", day(1)) },
		"AppendSumsBytes": func() { sums = ring.AppendSumsBytes(sums[:0], "p", "t", value, day(1)) },
	} {
		f() // derive and fill the pool
		require.Zero(t, testing.AllocsPerRun(200, f), name)
	}
}

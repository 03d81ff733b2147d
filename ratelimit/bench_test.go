package ratelimit_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// fiveDimensions limits IPv4 address, /24, device, phone and e-mail, generously enough for every attempt to be charged.
func fiveDimensions() ratelimit.Policy {
	p := ratelimit.Policy{Penalty: ratelimit.DefaultPenalty()}
	for _, d := range []ratelimit.Dimension{ratelimit.IPv4, ratelimit.IPv4Prefix24, ratelimit.Device, ratelimit.Phone, ratelimit.Email} {
		p.Limits = append(p.Limits, ratelimit.Limit{Name: string(d), Dim: d, Count: 1000, Per: time.Hour, Burst: 1_000_000, On: ratelimit.Deny, Weight: 1})
	}
	return p
}

// people are n distinct visitors, each in a /24 of their own. Their texts lie side by side, as the bytes of a request
// do, so that the benchmark measures the limiter and not its own cache misses.
type people struct {
	n            int
	phone, email string
	device       []string
}

func newPeople(n int) *people {
	p := &people{n: n, device: make([]string, n)}
	var phone, email, device strings.Builder
	for i := range n {
		fmt.Fprintf(&phone, "+4790%06d", i)
		fmt.Fprintf(&email, "user%06d@example.com", i)
		fmt.Fprintf(&device, "device-tag-%022d", i)
	}
	p.phone, p.email = phone.String(), email.String()
	for i := range n {
		p.device[i] = device.String()[i*33 : (i+1)*33]
	}
	return p
}

func (p *people) subject(i int) ratelimit.Subject {
	i %= p.n
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], 0x0b000001+uint32(i)<<8)
	return ratelimit.Subject{
		Tenant: "shop", Event: "signup", Client: "public",
		IP: netip.AddrFrom4(ip), Phone: p.phone[i*11 : (i+1)*11], Email: p.email[i*22 : (i+1)*22],
		Device: p.device[i : i+1], DeviceVerified: true,
	}
}

// BenchmarkDecideFive decides five dimensions with three offence scores (address, /24, device) for 100,000 sign-ups.
// All buckets and scores are in the store: nobody is new and nobody is spotless.
func BenchmarkDecideFive(b *testing.B) {
	store, err := ratelimit.NewMemory(&ratelimit.MemoryOptions{Sources: 1_000_000})
	require.NoError(b, err)
	l, err := ratelimit.New(fiveDimensions(), store, nil)
	require.NoError(b, err)
	visitors := newPeople(100_000)
	ctx := context.Background()
	for i := range visitors.n {
		d, err := l.Decide(ctx, visitors.subject(i))
		require.NoError(b, err)
		require.True(b, d.Charged)
		require.NoError(b, l.Report(ctx, visitors.subject(i), ratelimit.CaptchaFailed))
	}
	buckets, scores := store.Len()
	require.Equal(b, []int{5 * visitors.n, 3 * visitors.n}, []int{buckets, scores})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d, err := l.Decide(ctx, visitors.subject(i))
		if err != nil || !d.Charged {
			b.Fatal(d.Level, err)
		}
	}
}

// BenchmarkDecideFiveParallel is the same from all processors at once.
func BenchmarkDecideFiveParallel(b *testing.B) {
	store, err := ratelimit.NewMemory(nil)
	require.NoError(b, err)
	l, err := ratelimit.New(fiveDimensions(), store, nil)
	require.NoError(b, err)
	visitors := newPeople(100_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := l.Decide(context.Background(), visitors.subject(i)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkBytesPerKey fills a store bound to one million buckets and reports the heap it takes for each.
func BenchmarkBytesPerKey(b *testing.B) {
	const bound = 1_000_000
	var perKey float64
	for b.Loop() {
		before := heap()
		store, err := ratelimit.NewMemory(&ratelimit.MemoryOptions{Buckets: bound})
		require.NoError(b, err)
		fill(b, store, bound+bound/8)
		buckets, _ := store.Len()
		perKey = float64(heap()-before) / float64(buckets)
		if buckets < bound*99/100 {
			b.Fatalf("only %d buckets are kept", buckets)
		}
		runtime.KeepAlive(store)
	}
	b.ReportMetric(perKey, "B/key")
}

// fill charges n fresh keys and gives one in eight an offence too.
func fill(tb testing.TB, store *ratelimit.Memory, n int) {
	var text [9]byte
	batch := ratelimit.Batch{Ladder: ladder(), Buckets: make([]ratelimit.Bucket, 1), Sources: make([]ratelimit.Offender, 1)}
	for i := range n {
		binary.BigEndian.PutUint64(text[1:], uint64(i))
		batch.Buckets[0] = ratelimit.Bucket{Key: store.Tag(text[:]), Interval: 3_600_000_000, Burst: 24, Cost: 1}
		batch.Offence, batch.Sources = 0, batch.Sources[:0]
		if i%8 == 0 {
			batch.Offence = 1000
			batch.Sources = append(batch.Sources, ratelimit.Offender{Key: store.Tag(text[:]), Share: 1000, Most: ratelimit.Ban})
		}
		if err := store.Adjust(context.Background(), &batch); err != nil {
			tb.Fatal(err)
		}
	}
}

func ladder() *ratelimit.Ladder {
	return &ratelimit.Ladder{
		HalfLife: 1_800_000_000, SlowAt: 3000, ChallengeAt: 5000, BanAt: 10_000, Max: 80_000,
		Slow: 10_000_000, Ban: 300_000_000, MaxBan: 86_400_000_000, Repeat: 500,
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

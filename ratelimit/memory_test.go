package ratelimit_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
)

func TestMemoryConforms(t *testing.T) {
	ratelimittest.Run(t, func(t *testing.T) ratelimit.Store { return newMemory(t, nil) })
}

func TestMemoryOfOneShardConforms(t *testing.T) {
	ratelimittest.Run(t, func(t *testing.T) ratelimit.Store {
		return newMemory(t, &ratelimit.MemoryOptions{Buckets: 500, Sources: 200})
	})
}

func newMemory(tb testing.TB, opts *ratelimit.MemoryOptions) *ratelimit.Memory {
	tb.Helper()
	m, err := ratelimit.NewMemory(opts)
	require.NoError(tb, err)
	return m
}

func TestMemoryOptions(t *testing.T) {
	for _, o := range []ratelimit.MemoryOptions{{Buckets: -1}, {Buckets: 1<<30 + 1}, {Sources: -1}, {Buckets: 1, Sources: 1 << 31}} {
		_, err := ratelimit.NewMemory(&o)
		require.ErrorContains(t, err, "must be 1 to")
	}
	for _, n := range []int{1, 2, 63, 64, 65, 5000} {
		m := newMemory(t, &ratelimit.MemoryOptions{Buckets: n, Sources: n})
		fill(t, m, 16*n)
		buckets, sources := m.Len()
		require.LessOrEqual(t, buckets, n)
		require.LessOrEqual(t, sources, n)
		require.Greater(t, buckets, n*9/10-1)
	}
}

func TestMemoryReclaimsWhatIsFullAgain(t *testing.T) {
	c := newClock()
	m := newMemory(t, &ratelimit.MemoryOptions{Buckets: 1000, Now: c.now})
	l, err := ratelimit.New(limits(hard("account", ratelimit.Account, 60)), m, nil)
	require.NoError(t, err)
	for i := range 20_000 {
		d := decide(t, l, ratelimit.Subject{Account: fmt.Sprint(i)})
		require.True(t, d.Allowed())
		c.add(10 * time.Millisecond) // about 100 are in use at any time
	}
	require.Zero(t, m.Evicted(), "only full buckets went")
	buckets, _ := m.Len()
	require.Less(t, buckets, 400, "and the table did not grow for them")
}

// TestMemoryKeepsWhatIsUsedUp floods a bounded store with fresh keys of the slowest kind: their TAT is days ahead, that
// of the keys to be kept an hour.
func TestMemoryKeepsWhatIsUsedUp(t *testing.T) {
	flood(t, 2000, 60_000)
}

func TestSoakMemoryKeepsWhatIsUsedUp(t *testing.T) {
	if os.Getenv("VESTIBULE_SOAK") != "1" {
		t.Skip("set VESTIBULE_SOAK=1 for the flood of ten million keys")
	}
	flood(t, 100_000, 10_000_000)
}

func flood(t *testing.T, bound, n int) {
	c := newClock()
	m := newMemory(t, &ratelimit.MemoryOptions{Buckets: bound, Now: c.now})
	keep := make([]ratelimit.Bucket, 20)
	for i := range keep {
		keep[i] = ratelimit.Bucket{Key: m.Tag(fmt.Append(nil, "keep", i)), Interval: 60_000_000, Burst: 60, Cost: 60}
		b := ratelimit.Batch{Buckets: keep[i : i+1]}
		require.NoError(t, m.Decide(ctx, &b))
		require.True(t, b.Charged)
		keep[i].Cost = 2
	}
	banned := ratelimit.Offender{Key: m.Tag([]byte("banned")), Share: 1000, Most: ratelimit.Ban}
	ban := ratelimit.Batch{Ladder: ladder(), Offence: 20_000, Sources: []ratelimit.Offender{banned}}
	require.NoError(t, m.Adjust(ctx, &ban))
	ban.Offence = -20_000 // the score may fade, the ban stays
	require.NoError(t, m.Adjust(ctx, &ban))

	before := heap()
	var text [9]byte
	fresh := ratelimit.Batch{Ladder: ladder(), Offence: 1000, Buckets: make([]ratelimit.Bucket, 1), Sources: make([]ratelimit.Offender, 1)}
	took := make([]time.Duration, 0, n/100)
	for i := range n {
		binary.BigEndian.PutUint64(text[1:], uint64(i))
		fresh.Buckets[0] = ratelimit.Bucket{Key: m.Tag(text[:]), Interval: 24 * 3600_000_000, Burst: 5, Cost: 1}
		fresh.Sources[0] = ratelimit.Offender{Key: m.Tag(text[:]), Share: 1000, Most: ratelimit.Ban}
		if err := m.Adjust(ctx, &fresh); err != nil {
			require.NoError(t, err)
		}
		if i%100 == 0 {
			b := ratelimit.Batch{DryRun: true, Buckets: keep[i/100%len(keep):][:1]}
			begin := time.Now()
			if err := m.Decide(ctx, &b); err != nil || b.Level != ratelimit.Deny {
				t.Fatalf("after %d fresh keys: %v %v", i, b.Level, err)
			}
			took = append(took, time.Since(begin))
		}
	}
	grown := float64(int64(heap())-int64(before)) - float64(8*cap(took))
	buckets, sources := m.Len()
	require.LessOrEqual(t, buckets, bound)
	require.LessOrEqual(t, sources, max(bound/8, 1))
	require.LessOrEqual(t, grown, float64(bound)*64+65536, "bytes of heap for %d keys", bound)
	for i := range keep {
		b := ratelimit.Batch{Buckets: keep[i : i+1]}
		require.NoError(t, m.Decide(ctx, &b))
		require.Equal(t, ratelimit.Deny, b.Level, "key %d is as used up as before", i)
	}
	b := ratelimit.Batch{DryRun: true, Ladder: ladder(), Sources: []ratelimit.Offender{banned}}
	require.NoError(t, m.Decide(ctx, &b))
	require.Equal(t, ratelimit.Ban, b.Level)
	require.InDelta(t, float64(n-buckets+n-sources), float64(m.Evicted()), float64(len(keep)+1), "evictions are counted")
	slices.Sort(took)
	tail := slices.Clone(took)
	t.Logf("%d fresh keys: a kept key is judged in %v (p50), %v (p99), %v (worst); %.1f MB grown", n, tail[len(tail)/2], tail[len(tail)*99/100], tail[len(tail)-1], grown/1e6)
	runtime.KeepAlive(m)
}

func TestMemoryUnderRace(t *testing.T) {
	m := newMemory(t, &ratelimit.MemoryOptions{Buckets: 500, Sources: 100})
	l, err := ratelimit.New(fiveDimensions(), m, nil)
	require.NoError(t, err)
	visitors := newPeople(1000)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				s := visitors.subject(i*7 + w*131)
				d, err := l.Decide(ctx, s)
				if err != nil {
					t.Error(err)
				}
				switch i % 5 {
				case 0:
					err = d.Refund(ctx)
				case 1:
					err = l.Report(ctx, s, ratelimit.CaptchaFailed)
				case 2:
					err = l.Reset(ctx, s)
				case 3:
					err = l.Unban(ctx, s)
				}
				if err != nil {
					t.Error(err)
				}
				m.Len()
			}
		})
	}
	wg.Wait()
	buckets, sources := m.Len()
	require.LessOrEqual(t, buckets, 500)
	require.LessOrEqual(t, sources, 100)
}

// TestMemoryClock: by default limits go by the monotonic clock, and a store that is given a clock goes by that one.
func TestMemoryClock(t *testing.T) {
	c := newClock()
	l, err := ratelimit.New(limits(hard("x", ratelimit.Account, 1)), newMemory(t, &ratelimit.MemoryOptions{Now: c.now}), nil)
	require.NoError(t, err)
	s := ratelimit.Subject{Account: "a"}
	decide(t, l, s)
	c.add(-time.Hour)
	d := decide(t, l, s)
	require.Equal(t, time.Minute, d.RetryAfter, "a clock that goes back costs one full bucket at most")
	c.add(time.Minute)
	d = decide(t, l, s)
	require.True(t, d.Allowed())
}

// TestMemoryKeysSpread: keys of a hash-flooder who knows everything but the seed are as good as random.
func TestMemoryKeysSpread(t *testing.T) {
	a, b := newMemory(t, nil), newMemory(t, nil)
	require.NotEqual(t, a.Tag([]byte("x")), b.Tag([]byte("x")), "each store has its own seed")
	const n, cells = 100_000, 64
	var counts [cells]int
	for i := range n {
		counts[a.Tag(fmt.Append(nil, "10.0.", i>>8, ".", i&255)).Hi%cells]++
	}
	for _, got := range counts {
		require.InDelta(t, n/cells, got, 8*math.Sqrt(n/cells))
	}
}

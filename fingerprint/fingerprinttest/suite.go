package fingerprinttest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// Start is the time the suite's clock begins at.
var Start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestStore is the conformance suite of fingerprint.Store. fresh returns an empty store with the given cap, which goes by
// the time in each batch.
func TestStore(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	for name, test := range map[string]func(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store){
		"windows": testWindows, "distinct": testDistinct, "cap": testCap, "dates": testDates, "look": testLook,
		"forget": testForget, "concurrent": testConcurrent, "refused": testRefused, "model": testModel,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh) })
	}
}

func key(n uint64) (k fingerprint.Key) {
	binary.BigEndian.PutUint64(k[:], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(k[8:], n*0xd1b54a32d192ed03+1)
	return k
}

// see shows one subject with one member of one dimension.
func see(t *testing.T, s fingerprint.Store, at time.Time, subject, member uint64) fingerprint.Subject {
	t.Helper()
	b := fingerprint.Batch{At: at.UnixMilli(), Tenant: "t", Subjects: []fingerprint.Subject{{
		Key: key(subject), Keep: 30 * 24 * time.Hour, Dated: true, N: 1,
		Sets: [fingerprint.MaxSets]fingerprint.Set{{Dim: fingerprint.DimIPs, Member: member}},
	}}}
	require.NoError(t, s.See(t.Context(), &b))
	require.Equal(t, at.UnixMilli(), b.Now)
	return b.Subjects[0]
}

func testWindows(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	for w, window := range fingerprint.Windows {
		t.Run(window.String(), func(t *testing.T) {
			s := fresh(t, 60)
			see(t, s, Start, 1, 1)
			last := see(t, s, Start.Add(window-time.Millisecond), 1, 2)
			require.EqualValues(t, 2, last.Sets[0].Counts[w], "a millisecond before the window's end")
			last = see(t, s, Start.Add(window), 1, 2)
			require.EqualValues(t, 1, last.Sets[0].Counts[w], "at the window's end the first one is gone")
		})
	}
}

func testDistinct(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 60)
	for i := range 5 {
		for j := range 3 {
			got := see(t, s, Start.Add(time.Duration(i)*time.Minute), 1, uint64(100+i))
			require.Equal(t, [3]int32{int32(i + 1), int32(i + 1), int32(i + 1)}, got.Sets[0].Counts, "round %d", j)
			require.False(t, got.Sets[0].Full)
		}
	}
	require.Equal(t, [3]int32{1, 1, 1}, see(t, s, Start, 2, 100).Sets[0].Counts, "another subject")
	// A member that comes again counts at its latest time.
	require.Equal(t, [3]int32{1, 5, 5}, see(t, s, Start.Add(2*time.Hour), 1, 100).Sets[0].Counts)
	require.Equal(t, [3]int32{1, 1, 5}, see(t, s, Start.Add(26*time.Hour-time.Minute), 1, 100).Sets[0].Counts)
	// A clock that goes back moves no member back.
	require.Equal(t, [3]int32{2, 2, 5}, see(t, s, Start.Add(26*time.Hour-2*time.Minute), 1, 101).Sets[0].Counts)
}

func testCap(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	const most = 20
	s := fresh(t, most)
	for i := range 50 {
		got := see(t, s, Start.Add(time.Duration(i)*time.Second), 1, uint64(1000+i))
		want := int32(min(i+1, most))
		require.Equal(t, [3]int32{want, want, want}, got.Sets[0].Counts)
		require.Equal(t, i+1 >= most, got.Sets[0].Full)
	}
	// The oldest have gone: the newest count as known, the first as new.
	got := see(t, s, Start.Add(time.Minute), 1, 1049)
	require.EqualValues(t, most, got.Sets[0].Counts[0])
	got = see(t, s, Start.Add(2*time.Hour), 1, 5000)
	require.Equal(t, [3]int32{1, most, most}, got.Sets[0].Counts)
}

func testDates(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 60)
	got := see(t, s, Start, 1, 1)
	require.Zero(t, got.First)
	require.Zero(t, got.Last)
	got = see(t, s, Start.Add(time.Hour), 1, 1)
	require.Equal(t, Start.UnixMilli(), got.First)
	require.Equal(t, Start.UnixMilli(), got.Last)
	got = see(t, s, Start.Add(29*24*time.Hour), 1, 1)
	require.Equal(t, Start.UnixMilli(), got.First)
	require.Equal(t, Start.Add(time.Hour).UnixMilli(), got.Last)
	got = see(t, s, Start.Add((29+30)*24*time.Hour), 1, 1)
	require.Zero(t, got.First, "kept for 30 days after it was last seen")
	require.Equal(t, [3]int32{1, 1, 1}, got.Sets[0].Counts)
}

func testLook(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 60)
	require.Zero(t, see(t, s, Start, 1, 0).Sets[0].Counts)
	see(t, s, Start, 1, 7)
	require.Equal(t, [3]int32{1, 1, 1}, see(t, s, Start, 1, 0).Sets[0].Counts)
	require.Equal(t, [3]int32{0, 1, 1}, see(t, s, Start.Add(time.Hour), 1, 0).Sets[0].Counts)
	require.Equal(t, [3]int32{2, 2, 2}, see(t, s, Start.Add(time.Minute), 1, 8).Sets[0].Counts)
}

func testForget(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 60)
	see(t, s, Start, 1, 1)
	see(t, s, Start, 2, 1)
	require.NoError(t, s.Forget(t.Context(), "t", []fingerprint.Key{key(1), key(99)}))
	require.NoError(t, s.Forget(t.Context(), "t", nil))
	got := see(t, s, Start, 1, 2)
	require.Zero(t, got.First)
	require.Equal(t, [3]int32{1, 1, 1}, got.Sets[0].Counts)
	require.NotZero(t, see(t, s, Start, 2, 1).First)
}

func testConcurrent(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 120)
	var wg sync.WaitGroup
	failed := make(chan error, 16)
	for g := range 16 {
		wg.Go(func() {
			for i := range 6 {
				b := fingerprint.Batch{At: Start.UnixMilli(), Subjects: []fingerprint.Subject{
					{Key: key(1), Keep: fingerprint.Windows[2], N: 2, Sets: [fingerprint.MaxSets]fingerprint.Set{
						{Dim: fingerprint.DimAttempts, Member: uint64(1 + g*6 + i)}, {Dim: fingerprint.DimAccounts, Member: uint64(1 + i)},
					}},
					{Key: key(uint64(10 + g)), Keep: fingerprint.Windows[2], N: 1, Sets: [fingerprint.MaxSets]fingerprint.Set{{Member: 1}}},
				}}
				if err := s.See(t.Context(), &b); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	require.NoError(t, <-failed)
	b := fingerprint.Batch{At: Start.UnixMilli(), Subjects: []fingerprint.Subject{{Key: key(1), Keep: fingerprint.Windows[2], N: 2,
		Sets: [fingerprint.MaxSets]fingerprint.Set{{Dim: fingerprint.DimAttempts}, {Dim: fingerprint.DimAccounts}}}}}
	require.NoError(t, s.See(t.Context(), &b))
	require.EqualValues(t, 96, b.Subjects[0].Sets[0].Counts[0])
	require.EqualValues(t, 6, b.Subjects[0].Sets[1].Counts[0])
}

func testRefused(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 60)
	valid := func() *fingerprint.Batch {
		return &fingerprint.Batch{At: Start.UnixMilli(), Subjects: []fingerprint.Subject{
			{Key: key(1), Keep: fingerprint.Windows[2], N: 1, Sets: [fingerprint.MaxSets]fingerprint.Set{{Member: 1}}},
			{Key: key(2), Keep: fingerprint.Windows[2]},
		}}
	}
	require.NoError(t, s.See(t.Context(), valid()))
	require.NoError(t, s.See(t.Context(), &fingerprint.Batch{At: Start.UnixMilli()}), "empty")
	for name, spoil := range map[string]func(b *fingerprint.Batch){
		"negative time":     func(b *fingerprint.Batch) { b.At = -1 },
		"same key twice":    func(b *fingerprint.Batch) { b.Subjects[1].Key = b.Subjects[0].Key },
		"too many sets":     func(b *fingerprint.Batch) { b.Subjects[0].N = fingerprint.MaxSets + 1 },
		"unknown dimension": func(b *fingerprint.Batch) { b.Subjects[0].Sets[0].Dim = fingerprint.Dims },
		"kept too short":    func(b *fingerprint.Batch) { b.Subjects[0].Keep = time.Hour },
		"dimension twice":   func(b *fingerprint.Batch) { b.Subjects[0].N = 2 },
		"too many":          func(b *fingerprint.Batch) { b.Subjects = make([]fingerprint.Subject, fingerprint.MaxSubjects+1) },
	} {
		b := valid()
		spoil(b)
		require.ErrorIs(t, s.See(t.Context(), b), fingerprint.ErrBatch, name)
	}
}

// testModel compares a store with the plainest implementation on random visits.
func testModel(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			const most = 12
			s, r := fresh(t, most), rand.New(rand.NewPCG(seed, 1))
			model := map[[2]uint64]map[uint64]int64{}
			now := Start.UnixMilli()
			for step := range 400 {
				now += r.Int64N(4 * 3600_000)
				b := fingerprint.Batch{At: now}
				for _, subject := range r.Perm(4)[:1+r.IntN(3)] {
					sub := fingerprint.Subject{Key: key(uint64(subject)), Keep: fingerprint.Windows[2], N: 2}
					sub.Sets[0] = fingerprint.Set{Dim: fingerprint.DimIPs, Member: r.Uint64N(20)}
					sub.Sets[1] = fingerprint.Set{Dim: fingerprint.DimAccounts, Member: r.Uint64N(20)}
					b.Subjects = append(b.Subjects, sub)
				}
				asked := append([]fingerprint.Subject(nil), b.Subjects...)
				require.NoError(t, s.See(t.Context(), &b))
				for i, sub := range asked {
					for j := range sub.N {
						id := [2]uint64{binary.BigEndian.Uint64(sub.Key[:]), uint64(sub.Sets[j].Dim)}
						if model[id] == nil {
							model[id] = map[uint64]int64{}
						}
						want, full := observe(model[id], sub.Sets[j].Member, now, most)
						got := b.Subjects[i].Sets[j]
						require.Equal(t, want, got.Counts, "step %d subject %d set %d", step, i, j)
						require.Equal(t, full, got.Full)
					}
				}
			}
		})
	}
}

func observe(set map[uint64]int64, member uint64, now int64, most int) (counts [3]int32, full bool) {
	for m, at := range set {
		if at <= now-fingerprint.Windows[2].Milliseconds() {
			delete(set, m)
		}
	}
	if member != 0 {
		set[member] = now
	}
	for len(set) > most {
		oldest, found := uint64(0), false
		for m, at := range set {
			if !found || at < set[oldest] {
				oldest, found = m, true
			}
		}
		delete(set, oldest)
	}
	for _, at := range set {
		for w, window := range fingerprint.Windows {
			if at > now-window.Milliseconds() {
				counts[w]++
			}
		}
	}
	return counts, len(set) >= most
}

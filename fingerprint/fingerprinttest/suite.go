package fingerprinttest

import (
	"encoding/binary"
	"slices"
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
		"forget": testForget, "concurrent": testConcurrent, "refused": testRefused, "model": testModel, "undo": testUndo,
		"undo concurrently": testUndoConcurrent, "many visits": testManyVisits, "kin": testKin,
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
	require.Equal(t, at.UnixMilli(), b.Subjects[0].At)
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

	// A subject without sets is only looked at: it is not seen by that.
	at := func(d time.Duration) fingerprint.Subject {
		b := fingerprint.Batch{At: Start.Add(d).UnixMilli(), Tenant: "t", Subjects: []fingerprint.Subject{{Key: key(3), Keep: fingerprint.Windows[2], Dated: true}}}
		require.NoError(t, s.See(t.Context(), &b))
		return b.Subjects[0]
	}
	require.Zero(t, at(0).First)
	require.Zero(t, at(time.Minute).First)
	see(t, s, Start.Add(2*time.Minute), 3, 1)
	for range 2 {
		got := at(time.Hour)
		require.Equal(t, Start.Add(2*time.Minute).UnixMilli(), got.First)
		require.Equal(t, Start.Add(2*time.Minute).UnixMilli(), got.Last)
	}
}

// testKin: one thing under several keys is first seen when the earliest was, and last when the latest was.
func testKin(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	const day = 24 * time.Hour
	s := fresh(t, 60)
	// show writes kin, looks at other kin and at a stranger, and returns when the kin was seen.
	show := func(at time.Duration, written, looked []uint64) (first, last time.Duration) {
		b := fingerprint.Batch{At: Start.Add(at).UnixMilli(), Tenant: "t"}
		for _, n := range written {
			b.Subjects = append(b.Subjects, fingerprint.Subject{Key: key(n), Keep: fingerprint.Windows[2], Dated: true, Kin: true, N: 1})
		}
		b.Subjects = append(b.Subjects, fingerprint.Subject{Key: key(99), Keep: 30 * day, Dated: true})
		for _, n := range looked {
			b.Subjects = append(b.Subjects, fingerprint.Subject{Key: key(n), Keep: fingerprint.Windows[2], Dated: true, Kin: true})
		}
		require.NoError(t, s.See(t.Context(), &b))
		require.Equal(t, Start.UnixMilli(), b.Subjects[len(written)].First, "the stranger")
		var seen []int64
		for _, sub := range b.Subjects {
			if sub.Kin && sub.First != 0 {
				seen = append(seen, sub.First, sub.Last)
			}
		}
		if len(seen) == 0 {
			return -1, -1
		}
		return time.UnixMilli(slices.Min(seen)).Sub(Start), time.UnixMilli(slices.Max(seen)).Sub(Start)
	}
	see(t, s, Start, 99, 1)
	type keys = []uint64
	for i, row := range []struct {
		at              time.Duration
		written, looked keys
		first, last     time.Duration
	}{
		{0, keys{1}, keys{2}, -1, -1},
		{time.Minute, keys{1}, keys{2}, 0, 0},
		{time.Hour, keys{3}, keys{1, 2}, 0, time.Minute},
		{2 * time.Hour, keys{3}, keys{1}, 0, time.Hour},
		{3 * time.Hour, keys{3, 1}, nil, 0, 2 * time.Hour},
		{4 * time.Hour, keys{4, 3}, keys{5, 1}, 0, 3 * time.Hour},
		{4 * time.Hour, keys{4}, keys{5, 3, 1}, 0, 4 * time.Hour},
		// What is gone is not known, whoever asks.
		{4*time.Hour + 7*day, keys{6}, keys{3, 4}, -1, -1},
		{4*time.Hour + 7*day + time.Minute, keys{6}, keys{3, 4}, 4*time.Hour + 7*day, 4*time.Hour + 7*day},
	} {
		first, last := show(row.at, row.written, row.looked)
		require.Equal(t, row.first, first, "row %d", i)
		require.Equal(t, row.last, last, "row %d", i)
	}
}

// testManyVisits shows the same members again and again, and then far more than the cap of all dimensions.
func testManyVisits(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	const most = 20
	s := fresh(t, most)
	visit := func(i int, members [fingerprint.MaxSets]uint64) fingerprint.Subject {
		b := fingerprint.Batch{At: Start.Add(time.Duration(i) * time.Second).UnixMilli(), Subjects: []fingerprint.Subject{{
			Key: key(1), Keep: 30 * 24 * time.Hour, Dated: true, N: fingerprint.MaxSets,
		}}}
		for j := range members {
			b.Subjects[0].Sets[j] = fingerprint.Set{Dim: fingerprint.Dim(j), Member: members[j]}
		}
		require.NoError(t, s.See(t.Context(), &b))
		return b.Subjects[0]
	}
	for i := range 300 {
		got := visit(i, [fingerprint.MaxSets]uint64{uint64(1 + i%3), uint64(1 + i%5), 9, 0})
		for j, want := range []int{min(i+1, 3), min(i+1, 5), 1, 0} {
			require.Equal(t, [3]int32{int32(want), int32(want), int32(want)}, got.Sets[j].Counts, "visit %d, dimension %d", i, j)
			require.False(t, got.Sets[j].Full)
		}
	}
	for i := range 300 { // one dimension at a time
		var members [fingerprint.MaxSets]uint64
		members[i%4] = uint64(1000 + i)
		got := visit(300+i, members)
		require.Equal(t, Start.UnixMilli(), got.First)
		require.Equal(t, Start.Add(time.Duration(299+i)*time.Second).UnixMilli(), got.Last)
		require.True(t, got.Sets[i%4].New)
		require.LessOrEqual(t, got.Sets[i%4].Counts[0], int32(most))
	}
	got := visit(600, [fingerprint.MaxSets]uint64{})
	for j := range got.Sets {
		require.Equal(t, [3]int32{most, most, most}, got.Sets[j].Counts)
		require.True(t, got.Sets[j].Full)
	}
	require.True(t, visit(601, [fingerprint.MaxSets]uint64{1}).Sets[0].New, "it had to make room")
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
		"far dimension":     func(b *fingerprint.Batch) { b.Subjects[0].Sets[0].Dim = 204 },
		"kept too short":    func(b *fingerprint.Batch) { b.Subjects[0].Keep = time.Hour },
		"dimension twice":   func(b *fingerprint.Batch) { b.Subjects[0].N = 2 },
		"too many":          func(b *fingerprint.Batch) { b.Subjects = make([]fingerprint.Subject, fingerprint.MaxSubjects+1) },
	} {
		b := valid()
		spoil(b)
		require.ErrorIs(t, s.See(t.Context(), b), fingerprint.ErrBatch, name)
	}
}

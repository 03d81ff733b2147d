package fingerprinttest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// undo takes back what see has written.
func undo(t *testing.T, s fingerprint.Store, at time.Time, subject, member uint64) {
	t.Helper()
	require.NoError(t, s.Undo(t.Context(), &fingerprint.Batch{Tenant: "t", Subjects: []fingerprint.Subject{{
		Key: key(subject), Keep: fingerprint.Windows[2], At: at.UnixMilli(), N: 1,
		Sets: [fingerprint.MaxSets]fingerprint.Set{{Dim: fingerprint.DimIPs, Member: member}},
	}}}))
}

func testUndo(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 60)
	first := see(t, s, Start, 1, 1)
	require.True(t, first.Sets[0].New)
	require.False(t, see(t, s, Start, 1, 0).Sets[0].New, "no member")
	require.True(t, see(t, s, Start.Add(time.Second), 1, 2).Sets[0].New)
	undo(t, s, Start.Add(time.Second), 1, 2)
	got := see(t, s, Start.Add(2*time.Second), 1, 0)
	require.Equal(t, [3]int32{1, 1, 1}, got.Sets[0].Counts)
	require.Equal(t, Start.UnixMilli(), got.First, "that it was seen stays known")
	undo(t, s, Start.Add(time.Second), 1, 2)
	undo(t, s, Start.Add(time.Second), 99, 2)
	require.Equal(t, [3]int32{1, 1, 1}, see(t, s, Start.Add(3*time.Second), 1, 0).Sets[0].Counts, "once more, and an unknown subject: nothing")
	require.True(t, see(t, s, Start.Add(4*time.Second), 1, 2).Sets[0].New, "it is new again")

	// What was seen since stays; so do members of other dimensions and subjects.
	require.False(t, see(t, s, Start.Add(time.Minute), 1, 2).Sets[0].New)
	undo(t, s, Start.Add(4*time.Second), 1, 2)
	require.Equal(t, [3]int32{2, 2, 2}, see(t, s, Start.Add(time.Minute), 1, 0).Sets[0].Counts)
	b := fingerprint.Batch{At: Start.Add(time.Hour / 2).UnixMilli(), Tenant: "t", Subjects: []fingerprint.Subject{{
		Key: key(2), Keep: fingerprint.Windows[2], N: 3, Sets: [fingerprint.MaxSets]fingerprint.Set{
			{Dim: fingerprint.DimDevices, Member: 7}, {Dim: fingerprint.DimIPs, Member: 7}, {Dim: fingerprint.DimAttempts, Member: 7},
		},
	}}}
	require.NoError(t, s.See(t.Context(), &b))
	undo(t, s, Start.Add(time.Hour/2), 2, 7)
	for j := range b.Subjects[0].Sets {
		b.Subjects[0].Sets[j].Member = 0
	}
	require.NoError(t, s.See(t.Context(), &b))
	for j, want := range []int32{1, 0, 1} {
		require.Equal(t, [3]int32{want, want, want}, b.Subjects[0].Sets[j].Counts)
	}
	// A whole week is taken back like an hour.
	undo(t, s, Start, 1, 1)
	require.Equal(t, [3]int32{0, 0, 1}, see(t, s, Start.Add(7*24*time.Hour-time.Second), 1, 0).Sets[0].Counts)
	for name, spoil := range map[string]func(b *fingerprint.Batch){
		"no time":           func(b *fingerprint.Batch) { b.Subjects[0].At = 0 },
		"same key twice":    func(b *fingerprint.Batch) { b.Subjects = append(b.Subjects, b.Subjects[0]) },
		"unknown dimension": func(b *fingerprint.Batch) { b.Subjects[0].Sets[0].Dim = fingerprint.Dims },
	} {
		bad := fingerprint.Batch{Subjects: []fingerprint.Subject{{Key: key(1), Keep: fingerprint.Windows[2], At: 1, N: 1}}}
		spoil(&bad)
		require.ErrorIs(t, s.Undo(t.Context(), &bad), fingerprint.ErrBatch, name)
	}
}

// testUndoConcurrent takes half of all visits back while others write.
func testUndoConcurrent(t *testing.T, fresh func(t *testing.T, most int) fingerprint.Store) {
	s := fresh(t, 120)
	var wg sync.WaitGroup
	failed := make(chan error, 64)
	for g := range 16 {
		wg.Go(func() {
			for i := range 6 {
				n := g*6 + i
				b := fingerprint.Batch{At: Start.Add(time.Duration(n) * time.Second).UnixMilli(), Subjects: []fingerprint.Subject{{
					Key: key(1), Keep: fingerprint.Windows[2], N: 1, Sets: [fingerprint.MaxSets]fingerprint.Set{{Member: uint64(n + 1)}},
				}}}
				err := s.See(t.Context(), &b)
				if err == nil && n%2 == 0 {
					err = s.Undo(t.Context(), &b)
				}
				if err != nil {
					failed <- err
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	require.NoError(t, <-failed)
	b := fingerprint.Batch{At: Start.Add(2 * time.Minute).UnixMilli(), Subjects: []fingerprint.Subject{{Key: key(1), Keep: fingerprint.Windows[2], N: 1}}}
	require.NoError(t, s.See(t.Context(), &b))
	require.Equal(t, [3]int32{48, 48, 48}, b.Subjects[0].Sets[0].Counts)
}

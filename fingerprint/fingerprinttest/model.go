package fingerprinttest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

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

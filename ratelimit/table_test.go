package ratelimit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTableAgainstMap runs random operations on small, crowded tables, whose ends are wrapped around all the time.
func TestTableAgainstMap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		table := table[int]{bound: 1 + r.IntN(40)}
		want := map[uint64]int{}
		ids := make([]uint64, 60)
		for i := range ids {
			ids[i] = r.Uint64() | 1
			if r.IntN(2) == 0 {
				ids[i] |= 0xf << 60 // many at the end
			}
		}
		for step := range 400 {
			id := ids[r.IntN(len(ids))]
			switch at := table.find(id); {
			case at >= 0 && r.IntN(2) == 0:
				table.remove(at)
				delete(want, id)
			case at >= 0:
				table.slots[at].v, want[id] = step, step
			case table.full() && table.atBound():
				table.sample(r.IntN(len(table.slots)), 1, func(i int, _ *int) bool {
					delete(want, table.slots[i].id)
					at = i
					return true
				})
				table.remove(at)
			default:
				if table.full() {
					table.grow(func(v *int) bool { return *v%7 == 0 })
					for id, v := range want {
						if v%7 == 0 {
							delete(want, id)
						}
					}
				}
				table.insert(id, step)
				want[id] = step
			}
			require.Equal(t, len(want), table.n)
			require.LessOrEqual(t, table.n, table.bound)
		}
		for _, id := range ids {
			at := table.find(id)
			v, ok := want[id]
			require.Equal(t, ok, at >= 0)
			if ok {
				require.Equal(t, v, table.slots[at].v)
			}
		}
	}
}

func TestSpanSurvivesPacking(t *testing.T) {
	for _, span := range []int64{1, 2, 3, 15, 16, 17, 31, 32, 1000, 60_000_000, 86_400_000_000, maxSpan} {
		for _, tat := range []int64{1, 1 << 40, 1<<53 - 1} {
			v := pack(tat, span)
			require.EqualValues(t, tat, v>>spanBits)
			require.InEpsilon(t, float64(span), unpackSpan(v), 1./16)
		}
	}
}

func TestHalved(t *testing.T) {
	require.Equal(t, 1., halved(0))
	require.Equal(t, .5, halved(1))
	require.Equal(t, 1./1024, halved(10))
	require.Zero(t, halved(64))
	require.Zero(t, halved(1e300))
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		x := r.Float64() * 20
		require.InEpsilon(t, math.Exp2(-x), halved(x), 1e-9)
	}
}

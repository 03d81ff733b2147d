package fingerprint

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTable compares a shard's table with a map on random subjects, many of whose keys want the same slot.
func TestTable(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		var shard memoryShard
		model := map[Key]*seen{}
		key := func() (k Key) {
			binary.LittleEndian.PutUint64(k[:], r.Uint64N(8)) // their hashes are few
			binary.LittleEndian.PutUint64(k[8:], r.Uint64N(40))
			return k
		}
		for range 3000 {
			k := key()
			found := shard.index.find(shard.list, &k)
			require.Same(t, model[k], found)
			switch {
			case found != nil && r.IntN(2) == 0:
				shard.remove(found)
				delete(model, k)
			case found == nil && r.IntN(3) > 0:
				s := &seen{key: k, at: len(shard.list)}
				shard.list = append(shard.list, s)
				shard.index.put(shard.list, s)
				model[k] = s
			}
			require.Len(t, shard.list, len(model))
		}
		for k, want := range model {
			require.Same(t, want, shard.index.find(shard.list, &k))
		}
	}
}

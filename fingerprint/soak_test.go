package fingerprint_test

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// TestSoakFlood lets ten million different devices visit a store of 200,000.
func TestSoakFlood(t *testing.T) {
	if os.Getenv("VESTIBULE_SOAK") != "1" {
		t.Skip("VESTIBULE_SOAK=1 runs it")
	}
	const devices, callers = 10_000_000, 8
	store, err := fingerprint.NewMemory(nil)
	require.NoError(t, err)
	s := newSightings(t, store, nil)
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	var wg sync.WaitGroup
	failed := make(chan error, callers)
	for c := range callers {
		wg.Go(func() {
			for i := c; i < devices; i += callers {
				_, err := s.See(t.Context(), fingerprint.Visit{
					Attempt: fmt.Sprint(i), Device: fmt.Sprint("d", i), IP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
				})
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	require.NoError(t, <-failed)
	require.LessOrEqual(t, store.Len(), 200_000+64)
	used := int64(memory()) - int64(before)
	t.Logf("%d subjects in %d MiB, %d evicted", store.Len(), used>>20, store.Evicted())
	require.Less(t, used, int64(64<<20))
}

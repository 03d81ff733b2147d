package fingerprinttest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// TestRotation lets 64 goroutines write to a store across the end of a salt epoch, with clocks that differ by a minute,
// and looks at every count for three weeks: none is lost, none doubled. The store is empty and goes by the time in each
// batch.
func TestRotation(t *testing.T, store fingerprint.Store) {
	const (
		writers = 64
		epoch   = 30 * 24 * time.Hour
		week    = 7 * 24 * time.Hour
	)
	boundary := time.Unix(0, 0).Add(epoch * 700).UTC()
	ring, err := keyed.New([]keyed.Key{{ID: "k", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: epoch})
	require.NoError(t, err)
	s, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Ring: ring, Timeout: time.Minute})
	require.NoError(t, err)

	var wg sync.WaitGroup
	begin := make(chan struct{})
	failed := make(chan error, 2*writers)
	for g := range writers {
		wg.Go(func() {
			<-begin
			// Each shows its attempt before and after the end of the epoch, by a clock of its own.
			for half := range 2 {
				at := boundary.Add(time.Duration(g-writers/2)*time.Second + time.Duration(half)*time.Minute)
				_, err := s.See(context.Background(), fingerprint.Visit{
					Tenant: "t", Attempt: fmt.Sprint(g), Device: "d", IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(g)}), Email: fmt.Sprint(g % 8), At: at,
				})
				if err != nil {
					failed <- err
				}
			}
		})
	}
	close(begin)
	wg.Wait()
	close(failed)
	require.NoError(t, <-failed)

	look := func(after time.Duration) fingerprint.Seen {
		got, err := s.See(t.Context(), fingerprint.Visit{Tenant: "t", Device: "d", At: boundary.Add(after)})
		require.NoError(t, err)
		return got.Device
	}
	for _, after := range []time.Duration{2 * time.Minute, time.Hour - 2*time.Minute, 23 * time.Hour, 100 * time.Hour, 167 * time.Hour} {
		got := look(after)
		require.Equal(t, fingerprint.Count{N: writers}, got.Attempts[2], "%v after the end of the epoch", after)
		require.Equal(t, fingerprint.Count{N: writers}, got.IPs[2], "%v after the end of the epoch", after)
		require.Equal(t, fingerprint.Count{N: 8}, got.Accounts[2], "%v after the end of the epoch", after)
	}
	for _, after := range []time.Duration{week + time.Hour, 2 * week, 20 * 24 * time.Hour} {
		got := look(after)
		require.Zero(t, got.Attempts[2].N, "%v after the end of the epoch", after)
		require.True(t, got.Before, "%v: that it was seen is remembered", after)
		require.Equal(t, boundary.Add(-writers/2*time.Second).Unix(), got.First.Unix())
	}
}

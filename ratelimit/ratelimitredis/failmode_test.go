package ratelimitredis_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// TestFailModes: a test for each.
func TestFailModes(t *testing.T) {
	for _, tt := range []struct {
		mode    ratelimitredis.FailMode
		level   ratelimit.Level
		charged bool
		adjusts bool
	}{
		{ratelimitredis.Local, ratelimit.Allow, true, true},
		{ratelimitredis.Open, ratelimit.Allow, false, false},
		{ratelimitredis.Closed, ratelimit.Deny, false, false},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			server, client := single(t)
			o := faultOptions()
			o.Fail = tt.mode
			store := newStore(t, client, o)
			c := bucket(store, "a", 3)
			well(t, store, c)
			server.Kill(t)
			for range 5 {
				b := &ratelimit.Batch{Ladder: ladder(), Buckets: []ratelimit.Bucket{c}, Sources: []ratelimit.Offender{source(store, "a")}}
				require.NoError(t, store.Decide(t.Context(), b), "an outage is no error")
				degraded(t, b)
				require.NotZero(t, b.Now)
				if tt.mode == ratelimitredis.Local {
					continue
				}
				require.Equal(t, tt.level, b.Level)
				require.False(t, b.Charged)
				require.Zero(t, b.Buckets[0].Debt)
			}
			if tt.mode == ratelimitredis.Local {
				b := decide(t, store, bucket(store, "fresh", 1))
				require.True(t, b.Charged)
				require.Equal(t, ratelimit.Deny, decide(t, store, bucket(store, "fresh", 1)).Level)
				require.Equal(t, ratelimit.Deny, decide(t, store, c).Level)
			}
			if tt.mode == ratelimitredis.Closed {
				require.Positive(t, decide(t, store, c).Wait)
			}
			report := &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}
			err := store.Adjust(t.Context(), report)
			if tt.adjusts {
				require.NoError(t, err)
				require.Error(t, report.Degraded)
			} else {
				var why *ratelimitredis.OutageError
				require.ErrorAs(t, err, &why)
			}
			var why *ratelimitredis.OutageError
			require.ErrorAs(t, store.Forget(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}), &why, "nobody is told that it was forgotten")
			server.Restart(t)
			back(t, store)
			require.NoError(t, store.Adjust(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}))
			require.NoError(t, store.Forget(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}))
		})
	}
}

// TestLocalTakesItsPart: several processes share what an outage leaves.
func TestLocalTakesItsPart(t *testing.T) {
	server, client := single(t)
	o := faultOptions()
	o.Instances = 4
	store := newStore(t, client, o)
	well(t, store, bucket(store, "warm", 8))
	server.Kill(t)
	for _, tt := range []struct{ burst, part int }{{8, 2}, {10, 3}, {1, 1}} {
		admitted := 0
		for range tt.burst + 1 {
			if decide(t, store, bucket(store, fmt.Sprint(tt.burst), int64(tt.burst))).Charged {
				admitted++
			}
		}
		require.Equal(t, tt.part, admitted, "burst %d", tt.burst)
	}
	big := bucket(store, "big", 8)
	big.Cost = 8
	require.True(t, decide(t, store, big).Charged, "a cost above its part takes all of it")
	require.False(t, decide(t, store, big).Charged)
}

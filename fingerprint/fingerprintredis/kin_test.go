package fingerprintredis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprintredis"
)

// TestKin: a device whose key changes again and again stays known from when it was first seen, when its former keys are
// gone too, by Redis's time as by one that is given; and no key loses its expiry by that.
func TestKin(t *testing.T) {
	for name, start := range map[string]int64{"Redis's time": 0, "given": time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).UnixMilli()} {
		t.Run(name, func(t *testing.T) {
			client := servers.Single(t).Client(t, nil)
			s := newStore(t, client, fingerprintredis.Options{})
			at := start
			// show writes one key of the device beside its network's, looks at another, and returns the first one's answer.
			show := func(written, looked byte) fingerprint.Subject {
				if start != 0 {
					at += time.Minute.Milliseconds()
				}
				b := fingerprint.Batch{Tenant: "t", At: at, Subjects: []fingerprint.Subject{
					{Key: fingerprint.Key{written}, Keep: 30 * 24 * time.Hour, Dated: true, Kin: true, N: 1},
					{Key: fingerprint.Key{100}, Keep: fingerprint.Windows[2], Dated: true, N: 1},
					{Key: fingerprint.Key{looked}, Keep: 30 * 24 * time.Hour, Dated: true, Kin: true},
				}}
				require.NoError(t, s.See(t.Context(), &b))
				require.NotZero(t, b.Subjects[0].At)
				return b.Subjects[0]
			}
			first := show(1, 7).At
			keys, err := client.Keys(t.Context(), "*").Result()
			require.NoError(t, err)
			name := func(key byte) string {
				k := fingerprint.Key{key}
				return keys[0][:len(keys[0])-len(k)] + string(k[:])
			}
			for former := byte(1); former < 6; former++ {
				require.Zero(t, show(former+1, former).First, "the key is new")
				require.EqualValues(t, 1, client.Del(t.Context(), name(former)).Val())
				require.Equal(t, first, show(former+1, former).First, "and known from when the former one was")
			}
			keys, err = client.Keys(t.Context(), "*").Result()
			require.NoError(t, err)
			require.ElementsMatch(t, []string{name(6), name(100)}, keys)
			for _, k := range keys {
				require.Positive(t, client.PTTL(t.Context(), k).Val())
			}

			// Rubbish under a former key is not taken over, and neither is a key of another type.
			require.NoError(t, client.Set(t.Context(), name(6), "rubbish that is longer than a header", 0).Err())
			first = show(8, 6).At
			require.Equal(t, first, show(8, 6).First)
			require.NoError(t, client.LPush(t.Context(), name(6), "a list").Err())
			first = show(9, 6).At
			require.Equal(t, first, show(9, 6).First)

			// What was first seen long ago is taken over to the day.
			if start != 0 {
				first = show(10, 6).At
				at += (17 * 24 * time.Hour).Milliseconds()
				require.Zero(t, show(11, 10).First)
				require.Equal(t, first-first%(24*time.Hour).Milliseconds(), show(11, 10).First)
			}
		})
	}
}

package fingerprintredis

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// valueOf writes a value as seeScript does: when it was first seen, and visits of one member each.
func valueOf(first int64, dim fingerprint.Dim, visits ...[2]uint64) string {
	b := appendStamp([]byte{version}, first)
	for _, v := range visits {
		b = append(b, 1<<dim)
		b = appendStamp(b, int64(v[0]))
		b = appendStamp(b, int64(v[1]))
	}
	return string(b)
}

func TestTally(t *testing.T) {
	const now = 1_800_000_000_000
	value := valueOf(now-2*week, fingerprint.DimIPs, [2]uint64{1, now - week}, [2]uint64{2, now - week + 1}, [2]uint64{3, now - day + 1},
		[2]uint64{4, now - hour}, [2]uint64{5, now - hour + 1}, [2]uint64{3, now - 1}, [2]uint64{2, now - 2*day})
	sub := fingerprint.Subject{Dated: true, N: 2}
	sub.Sets[0] = fingerprint.Set{Dim: fingerprint.DimIPs, Member: 4}
	sub.Sets[1] = fingerprint.Set{Dim: fingerprint.DimPhones, Member: 4 | 1<<60}
	var c tally
	require.True(t, c.count(&sub, value, now, 100))
	require.Equal(t, [3]int32{3, 3, 4}, sub.Sets[0].Counts, "3, 4 and 5 in the last hour, and 2")
	require.False(t, sub.Sets[0].New)
	require.Equal(t, [3]int32{1, 1, 1}, sub.Sets[1].Counts, "of another dimension")
	require.True(t, sub.Sets[1].New)
	require.EqualValues(t, now-2*week, sub.First)
	require.EqualValues(t, now-1, sub.Last)

	for name, bad := range map[string]string{
		"version": "\x02" + value[1:], "cut": value[:len(value)-1], "cut in a member": value[:12], "longer": value + "\x01",
		"unknown dimension": value + strings.Repeat("\x20\x00\x00\x00\x00\x00\x00\x00", 2), "huge": value + strings.Repeat("\x00", mostValue),
	} {
		require.False(t, c.count(&sub, bad, now, 100), name)
	}
	require.True(t, c.count(&sub, "", now, 100))
	require.Zero(t, sub.First)
}

func FuzzValue(f *testing.F) {
	const now = 1_800_000_000_000
	f.Add(valueOf(now, fingerprint.DimIPs, [2]uint64{1, now}, [2]uint64{2, now}))
	f.Add("")
	f.Add("\x01" + strings.Repeat("\x00", 13))
	f.Add("\x01" + strings.Repeat("\x1f", 7000))
	f.Fuzz(func(t *testing.T, value string) {
		sub := fingerprint.Subject{Dated: true, N: 2}
		sub.Sets[0] = fingerprint.Set{Dim: fingerprint.DimIPs, Member: 7}
		sub.Sets[1] = fingerprint.Set{Dim: fingerprint.DimAttempts}
		var c tally
		if !c.count(&sub, value, now, 10) {
			return
		}
		for _, set := range sub.Sets[:2] {
			require.LessOrEqual(t, set.Counts[0], set.Counts[1])
			require.LessOrEqual(t, set.Counts[1], set.Counts[2])
			require.LessOrEqual(t, set.Counts[2], int32(10))
		}
		require.GreaterOrEqual(t, sub.Sets[0].Counts[0], int32(1), "this visit's own")
		again := sub
		require.True(t, c.count(&again, value, now, 10))
		require.Equal(t, sub, again, "counting leaves nothing behind")
		if value != "" {
			require.Equal(t, byte(version), value[0])
			require.LessOrEqual(t, sub.First, int64(binary.BigEndian.Uint64([]byte("\x00\x00"+value[1:7]))))
		}
	})
}

package keyed_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

func TestParseTag(t *testing.T) {
	ring := newRing(t, "key-1")
	tag := ring.Tag(seen, "acme", "v", day(3000))
	got, err := keyed.ParseTag(tag)
	require.NoError(t, err)
	require.Equal(t, keyed.ParsedTag{Key: "key-1", Epochs: true, Epoch: 100, Sum: ring.Sum(seen, "acme", "v", day(3000))}, got)

	none := newRingWith(t, &keyed.Options{Epoch: keyed.NoEpochs}, "key-1")
	got, err = keyed.ParseTag(none.Tag(seen, "acme", "v", day(3000)))
	require.NoError(t, err)
	require.Equal(t, keyed.ParsedTag{Key: "key-1", Sum: none.Sum(seen, "acme", "v", day(3000))}, got)

	sum := strings.Repeat("A", 22)
	rows := map[string]string{
		"empty":                "",
		"sum alone":            sum,
		"no id":                "." + sum,
		"no id but epoch":      ".1." + sum,
		"empty epoch":          "a.." + sum,
		"epoch with zeros":     "a.01." + sum,
		"epoch upper case":     "a.A." + sum,
		"epoch signed":         "a.+1." + sum,
		"epoch with _":         "a.1_0." + sum,
		"epoch too great":      "a.3w5e11264sgsg." + sum,
		"epoch no number":      "a.!." + sum,
		"four fields":          "a.1.1." + sum,
		"bad id":               "a:b.1." + sum,
		"long id":              strings.Repeat("a", keyed.MaxIDLen+1) + "." + sum,
		"short sum":            "a.1." + sum[1:],
		"long sum":             "a.1." + sum + "A",
		"padded sum":           "a.1." + sum[2:] + "==",
		"standard alphabet":    "a.1." + sum[1:] + "+",
		"loose trailing bits":  "a.1." + sum[1:] + "B",
		"line feed in the sum": "a.1." + sum[2:] + "\nA",
		"no dot before sum":    "a-" + sum,
		"space":                " a.1." + sum,
		"long":                 strings.Repeat("a", 1000),
	}
	for name, text := range rows {
		got, err := keyed.ParseTag(text)
		require.ErrorIs(t, err, keyed.ErrTag, name)
		require.Zero(t, got, name)
	}
	_, err = keyed.ParseTag("a.3w5e11264sgsf." + sum)
	require.NoError(t, err, "the greatest epoch")
}

func FuzzParseTag(f *testing.F) {
	ring := newRing(f, "b", "a")
	for _, tag := range ring.Tags(seen, "acme", "v", day(3000)) {
		f.Add(tag)
	}
	f.Add(newRingWith(f, &keyed.Options{Epoch: keyed.NoEpochs}, "a").Tag(seen, "", "v", day(1)))
	f.Add("a.3w5e11264sgsf.AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		tag, err := keyed.ParseTag(text)
		if err != nil {
			require.Zero(t, tag)
			require.False(t, ring.Current(text, day(3000)))
			require.False(t, ring.Matches(text, seen, "acme", "v", day(3000)))
			return
		}
		parts := strings.Split(text, ".")
		require.Equal(t, tag.Key, parts[0])
		require.Equal(t, tag.Sum.String(), parts[len(parts)-1])
		require.Equal(t, tag.Epochs, len(parts) == 3)
		if ring.Matches(text, seen, "acme", "other value", day(3000)) {
			require.Contains(t, ring.Tags(seen, "acme", "other value", day(3000)), text)
		}
	})
}

package phone_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func TestNewKeys(t *testing.T) {
	_, err := phone.NewKeys(bytes.Repeat([]byte{1}, 31))
	require.ErrorContains(t, err, "at least 32")
	var names []string
	for _, secret := range [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)} {
		k, err := phone.NewKeys(secret)
		require.NoError(t, err)
		names = append(names, k.Pepper.Tag("use", "tenant", "value", start), k.Index.Tag("use", "tenant", "value", start))
	}
	require.Equal(t, names[:2], names[2:4], "one secret, one pair of rings")
	require.NotEqual(t, names[0], names[1], "the two differ")
	require.NotContains(t, names[4:], names[0])
	require.NotContains(t, names[4:], names[1])
}

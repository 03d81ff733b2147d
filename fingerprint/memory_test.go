package fingerprint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
)

func TestMemory(t *testing.T) {
	fingerprinttest.TestStore(t, func(t *testing.T, most int) fingerprint.Store {
		m, err := fingerprint.NewMemory(&fingerprint.MemoryOptions{Cap: most})
		require.NoError(t, err)
		return m
	})
}

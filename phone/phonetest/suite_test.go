package phonetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
)

func TestMemoryConforms(t *testing.T) {
	phonetest.StoreConform(t, func(t *testing.T, now func() time.Time) phonetest.Store {
		m, err := phone.NewMemory(&phone.MemoryOptions{Now: now})
		require.NoError(t, err)
		return m
	})
}

package passkey_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

func TestMemory(t *testing.T) {
	attesttest.RunCredentials(t, func(t *testing.T) attesttest.CredentialHarness {
		now := time.Now()
		m, err := passkey.NewMemory(&passkey.MemoryOptions{Now: func() time.Time { return now }})
		require.NoError(t, err)
		return attesttest.CredentialHarness{Store: m, Advance: func(d time.Duration) { now = now.Add(d) }}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	now := time.Now()
	m, err := passkey.NewMemory(&passkey.MemoryOptions{Max: 10, Now: func() time.Time { return now }})
	require.NoError(t, err)
	ctx := context.Background()
	for range 10 {
		require.NoError(t, m.Create(ctx, attesttest.NewCredential("t1", "")))
	}
	require.ErrorIs(t, m.Create(ctx, attesttest.NewCredential("t1", "ann")), passkey.ErrFull, "nothing live is forgotten")
	now = now.Add(passkey.PendingKeep)
	require.NoError(t, m.Create(ctx, attesttest.NewCredential("t1", "ann")), "what is over makes room")
	require.Equal(t, 1, m.Len())
	for _, o := range []*passkey.MemoryOptions{{Max: -1}, {Keep: -1}} {
		_, err := passkey.NewMemory(o)
		require.Error(t, err)
	}
}

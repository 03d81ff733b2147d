package identity_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity"
	"github.com/vestibule-go/vestibule/risk/identity/identitytest"
)

// The suite needs no import of this package, and checks what it is meant for.
var _ identitytest.Store = identity.ListStore(nil)

func TestReuseFunc(t *testing.T) {
	var got []string
	f := identity.ReuseFunc(func(_ context.Context, tenant, kind, id, owner string) (int, error) {
		got = append(got, tenant, kind, id, owner)
		return 3, nil
	})
	n, err := f.Uses(t.Context(), "t", "usdot", "1", "me")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []string{"t", "usdot", "1", "me"}, got)
}

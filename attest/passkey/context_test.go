package passkey_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// Whoever stops waiting for the metadata is not kept waiting, not even behind another refresh, and what is in use stays.
func TestRefreshHonoursContext(t *testing.T) {
	asked := make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	fido := attesttest.NewFIDO(nil)
	m, err := passkey.NewMDS(&passkey.MDSOptions{URL: server.URL, Roots: fido.Roots(), Timeout: time.Minute})
	require.NoError(t, err)
	model := fido.NewModel("Certified key", "FIDO_CERTIFIED_L1")
	require.NoError(t, m.Load(fido.BLOB(7, time.Now().Add(30*24*time.Hour), []*attesttest.FIDOModel{model}, nil)))

	first, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Refresh(first) }()
	<-asked
	behind, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() { waits <- m.Refresh(behind) }()
	cancel()
	require.ErrorIs(t, <-waits, context.Canceled)
	stop()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Empty(t, asked, "one fetch")
	require.Equal(t, 7, m.Status().Number)
	require.ErrorIs(t, m.Status().LastError, context.Canceled)
}

// A store that hangs is given the ceremony's context.
func TestCeremoniesHonourContext(t *testing.T) {
	r := newRig(t)
	a := r.key()
	requirePassed(t, r.register(a, nil))
	creation, request := r.create(a, scope, nil), r.get(a, scope, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range map[string]func() error{
		"begin registration":  func() error { _, err := r.v.BeginRegistration(ctx, scope, passkey.User{}); return err },
		"begin login":         func() error { _, err := r.v.BeginLogin(ctx, scope); return err },
		"finish registration": func() error { _, err := r.v.FinishRegistration(ctx, scope, creation); return err },
		"finish login":        func() error { _, err := r.v.FinishLogin(ctx, scope, request); return err },
		"bind":                func() error { _, err := r.v.Bind(ctx, "t1", []byte("id"), "ann"); return err },
	} {
		require.ErrorIs(t, call(), context.Canceled, name)
	}
	requirePassed(t, r.finish(scope, creation))
}

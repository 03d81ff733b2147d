package appattest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
)

// Whoever stops waiting for Apple is not kept waiting, and the receipt that was kept stays.
func TestRefreshHonoursContext(t *testing.T) {
	w := newWorld()
	d, keys := newDevices(t, w)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	asked := make(chan struct{}, 8)
	r := refresher(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = req.Body.Read(make([]byte, 1<<16))
		asked <- struct{}{}
		<-req.Context().Done()
	}), appattest.RefreshOptions{Timeout: time.Minute})
	v, err := d.Verify(t.Context(), request(k, "", ""))
	require.NoError(t, err)
	before, err := keys.Get(t.Context(), "t", v.Key)
	require.NoError(t, err)
	for name, call := range map[string]func(ctx context.Context) error{
		"refresher": func(ctx context.Context) error { _, err := r.Refresh(ctx, []byte("receipt")); return err },
		"devices":   func(ctx context.Context) error { _, err := d.Refresh(ctx, r, "t", k.ID); return err },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- call(ctx) }()
			<-asked
			cancel()
			err := <-done
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, attest.ErrUnavailable)
			require.Error(t, call(ctx))
			require.Empty(t, asked, "nothing was sent")
		})
	}
	after, err := keys.Get(t.Context(), "t", v.Key)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

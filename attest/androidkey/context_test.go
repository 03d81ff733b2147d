package androidkey_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

// Whoever stops waiting for Google's list is not kept waiting, and has no verdict.
func TestListHonoursContext(t *testing.T) {
	asked := make(chan struct{}, 8)
	open := make(chan struct{})
	hang := func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-open:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	l, _, _ := newList(t, hang, androidkey.ListOptions{Timeout: time.Minute})
	t.Cleanup(func() { close(open) })
	v := newVerifier(t, l, nil)
	k := device(attesttest.AndroidOptions{}).Attest(challenge, nil)
	for _, row := range []struct {
		name string
		call func(ctx context.Context) error
		asks bool // for itself: a lookup leaves the fetch to run on for the others
	}{
		{"lookup", func(ctx context.Context) error { _, _, err := l.Lookup(ctx, []string{"a"}); return err }, true},
		{"attestation", func(ctx context.Context) error { _, err := v.Attestation(ctx, k.Chain, challenge); return err }, false},
		{"verify", func(ctx context.Context) error {
			_, err := v.Verify(ctx, attest.Request{Response: attest.Response{Challenge: string(challenge), Chain: k.Chain}})
			return err
		}, false},
		{"refresh", func(ctx context.Context) error { return l.Refresh(ctx) }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- row.call(ctx) }()
			if row.asks {
				<-asked
			}
			cancel()
			err := <-done
			require.ErrorIs(t, err, context.Canceled)
			_, refused := attest.Refused(attest.AndroidKey, err)
			require.False(t, refused)
		})
	}
}

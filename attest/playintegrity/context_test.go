package playintegrity_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
)

// Whoever stops waiting for Google is not kept waiting, and has no verdict.
func TestEndpointHonoursContext(t *testing.T) {
	asked := make(chan struct{}, 8)
	e := endpoint(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1<<16))
		asked <- struct{}{}
		<-r.Context().Done()
	}), playintegrity.EndpointOptions{Timeout: time.Minute})
	v := newVerifier(t, e, nil)
	yes := true
	for name, call := range map[string]func(ctx context.Context) error{
		"decode":   func(ctx context.Context) error { _, err := e.Decode(ctx, "token"); return err },
		"classic":  func(ctx context.Context) error { _, err := v.Classic(ctx, "token 1", nonce); return err },
		"standard": func(ctx context.Context) error { _, err := v.Standard(ctx, "token 2", hash); return err },
		"verify": func(ctx context.Context) error {
			_, err := v.Verify(ctx, attest.Request{Response: attest.Response{Challenge: "c", Data: []byte("token 3")}})
			return err
		},
		"recall": func(ctx context.Context) error { return e.WriteRecall(ctx, "token", &yes, nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- call(ctx) }()
			<-asked
			cancel()
			err := <-done
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, attest.ErrUnavailable)
			_, refused := attest.Refused(attest.PlayIntegrity, err)
			require.False(t, refused)
		})
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err := e.Decode(canceled, "token")
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, asked, "nothing was sent")
}

// A token source that hangs is given the caller's context.
func TestTokenSourceHonoursContext(t *testing.T) {
	e, err := playintegrity.NewEndpoint(pkg, func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}, nil)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = e.Decode(short, "token")
	require.ErrorIs(t, err, attest.ErrUnavailable)
}

package ratelimittest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
)

var visitor = ratelimit.Subject{Event: "signup", IP: netip.MustParseAddr("192.0.2.7"), Phone: "+4790000001"}

// handler is a user's handler under test.
func handler(l *ratelimit.Limiter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := l.Decide(r.Context(), visitor)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		case d.Level == ratelimit.Challenge:
			w.WriteHeader(http.StatusForbidden)
		case !d.Allowed():
			d.Header(w.Header())
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
}

func TestScriptedDrivesAHandler(t *testing.T) {
	store := ratelimittest.NewScripted(
		ratelimittest.Answer{},
		ratelimittest.Answer{Level: ratelimit.Challenge, Exceeded: true},
		ratelimittest.Answer{Level: ratelimit.Deny, Wait: 90 * time.Second, Exceeded: true},
		ratelimittest.Answer{Level: ratelimit.Ban, Wait: time.Hour, Score: 12, Standing: ratelimit.Ban},
		ratelimittest.Answer{Err: errors.New("down")},
	)
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), store, &ratelimit.Options{Jitter: func() float64 { return 0 }})
	require.NoError(t, err)
	for _, want := range []struct {
		status int
		retry  string
	}{{200, ""}, {403, ""}, {429, "90"}, {429, "3600"}, {503, ""}, {503, ""}} {
		w := httptest.NewRecorder()
		handler(l).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
		require.Equal(t, want.status, w.Code)
		require.Equal(t, want.retry, w.Header().Get("Retry-After"))
	}
	require.Len(t, store.Calls(), 6)
	require.Equal(t, "decide", store.Calls()[0].Op)
}

func TestScriptedRecords(t *testing.T) {
	store := ratelimittest.NewScripted()
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	require.NoError(t, err)
	ctx := context.Background()
	d, err := l.Decide(ctx, visitor)
	require.NoError(t, err)
	require.True(t, d.Charged)
	require.NoError(t, d.Refund(ctx))
	require.NoError(t, l.Unban(ctx, visitor))
	var ops []string
	for _, c := range store.Calls() {
		ops = append(ops, c.Op)
	}
	require.Equal(t, []string{"decide", "adjust", "forget"}, ops)
	decided, refunded := store.Calls()[0].Batch, store.Calls()[1].Batch
	require.Len(t, refunded.Buckets, len(decided.Buckets))
	for i, c := range refunded.Buckets {
		require.Equal(t, decided.Buckets[i].Key, c.Key)
		require.EqualValues(t, -1, c.Cost)
	}
	require.False(t, ratelimittest.NewRemote().InProcess())
	require.True(t, store.InProcess())
}

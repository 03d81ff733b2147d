package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/risk"
)

func watchedEngine() *risk.Engine {
	store, err := ratelimit.NewMemory(nil)
	if err != nil {
		panic(err)
	}
	limiter, err := ratelimit.New(ratelimit.Policy{Limits: []ratelimit.Limit{
		{Name: "ip", Dim: ratelimit.IPv4, Count: 2, Per: time.Hour, On: ratelimit.Deny},
		{Name: "phone", Dim: ratelimit.Phone, Count: 9, Per: time.Hour, On: ratelimit.Deny},
	}}, store, nil)
	if err != nil {
		panic(err)
	}
	signal, err := ratelimit.NewSignal(limiter, nil)
	if err != nil {
		panic(err)
	}
	signals := []risk.Signal{signal}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	if err != nil {
		panic(err)
	}
	return engine
}

func ExampleWatch() {
	engine := watchedEngine()
	w := httptest.NewRecorder()
	ctx, limits := ratelimit.Watch(context.Background())
	s := engine.Assess(ctx, &risk.Attempt{Event: risk.SignUp, IP: addr("192.0.2.7"), Phone: "+4790000001"})
	limits.Header(w.Header())
	fmt.Println(s.Allowed(), w.Header().Get("RateLimit"), w.Header().Get("RateLimit-Policy"))
	// Output: true "ip";r=1;t=1800 "ip";q=2;w=3600
}

func TestWatchAnnouncesEachDecision(t *testing.T) {
	engine := watchedEngine()
	for _, left := range []string{"1", "0", "0"} {
		ctx, limits := ratelimit.Watch(t.Context())
		h := http.Header{}
		limits.Header(h)
		require.Empty(t, h, "nothing is decided yet")
		s := engine.Assess(ctx, &risk.Attempt{Event: risk.SignUp, IP: addr("192.0.2.7")})
		limits.LegacyHeader(h, "X-Ratelimit-")
		require.Equal(t, left, h.Get("X-RateLimit-Remaining"))
		require.Equal(t, s.Action == risk.Wait, h.Get("Retry-After") != "")
	}
}

func TestWatchedDecisionsDoNotMix(t *testing.T) {
	engine := watchedEngine()
	_, other := ratelimit.Watch(t.Context())
	engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, IP: addr("192.0.2.7")})
	h := http.Header{}
	other.Header(h)
	require.Empty(t, h)
}

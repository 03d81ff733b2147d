package ratelimitredis_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// BenchmarkDecideWhileDown decides five limits and three scores by the local store, after the breaker has opened. The
// figure to hold is p99-us: at most 1000.
func BenchmarkDecideWhileDown(b *testing.B) {
	for _, how := range []string{"dead", "silent"} {
		b.Run(how, func(b *testing.B) {
			server := redistest.Start(b, nil)
			store := newStore(b, server.Client(b, nil), &ratelimitredis.Options{Timeout: faultTimeout})
			if how == "dead" {
				server.Kill(b)
			} else {
				server.Pause(b)
			}
			batch := &ratelimit.Batch{Ladder: ladder()}
			for i := range 5 {
				batch.Buckets = append(batch.Buckets, bucket(store, fmt.Sprint(i), 1_000_000_000))
			}
			for i := range 3 {
				batch.Sources = append(batch.Sources, source(store, fmt.Sprint(i)))
			}
			ask := func() *ratelimitredis.OutageError {
				if err := store.Decide(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				why, ok := batch.Degraded.(*ratelimitredis.OutageError)
				if !ok {
					b.Fatal("Redis decided")
				}
				return why
			}
			for !ask().Skipped {
			}
			var took []time.Duration
			last := time.Now()
			for b.Loop() {
				ask()
				now := time.Now()
				took = append(took, now.Sub(last))
				last = now
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-us")
		})
	}
}

// Package floor measures code against the least that it must do, for benchmarks: a ratio of two times taken in turn means
// the same on a slow machine, a fast one and one that others use as well.
//
//	b.ReportMetric(floor.Ratio(31, 64, ours, bare), "x/floor")
package floor

import (
	"slices"
	"time"
)

// Ratio calls ours(n) and floor(n) in turn, so many rounds, and returns the median of the rounds' ratios of time.
func Ratio(rounds, n int, ours, floor func(n int)) float64 {
	ratios := make([]float64, 0, rounds)
	for range rounds {
		t0 := time.Now()
		ours(n)
		t1 := time.Now()
		floor(n)
		ratios = append(ratios, float64(t1.Sub(t0))/float64(time.Since(t1)))
	}
	slices.Sort(ratios)
	return ratios[rounds/2]
}

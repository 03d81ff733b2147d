package bench_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How long each contender's turn is, and how many turns each gets.
const (
	rounds  = 11
	oneTurn = 150 * time.Millisecond // one goroutine
	allTurn = 300 * time.Millisecond // 64 goroutines
	workers = 64
	allowed = 100 // in the burst
)

// turn is what one contender did in one round.
type turn struct {
	p50, p99, ops, allocs  float64 // one goroutine; microseconds
	incr                   float64 // p50 of the INCRs between its calls
	p50All, p99All, opsAll float64 // 64 goroutines
}

// result is all that is known of a contender.
type result struct {
	contender
	turns    []turn
	reads    float64 // socket reads a decision
	bytes    float64 // Redis memory a key
	admitted int
	leaks    int
}

// one lets one goroutine work for a while. On Redis each call is followed by an INCR through the same client, so that both
// meet the same caches: a server that does nothing but INCR does it faster.
func one(tb testing.TB, c *contender, d time.Duration, start *int, t *turn) {
	var took, incr []time.Duration
	ctx := context.Background()
	run := func() {
		if ok, err := c.run(ctx, *start); !ok || err != nil {
			tb.Fatalf("%s: allowed %v, %v", c.name, ok, err)
		}
		*start++
	}
	var all time.Duration
	begun := time.Now()
	for last := begun; last.Sub(begun) < d; {
		run()
		now := time.Now()
		took = append(took, now.Sub(last))
		all += now.Sub(last)
		if last = now; c.incr != nil {
			if err := c.incr(ctx, *start); err != nil {
				tb.Fatal(err)
			}
			last = time.Now()
			incr = append(incr, last.Sub(now))
		}
	}
	const counted = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range counted {
		run()
	}
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	t.p50, t.p99 = quantile(took, 0.5), quantile(took, 0.99)
	t.ops = float64(len(took)) / all.Seconds()
	t.allocs = math.Floor(float64(after.Mallocs-before.Mallocs) / counted)
	if len(incr) > 0 {
		slices.Sort(incr)
		t.incr = quantile(incr, 0.5)
	}
}

// many lets 64 goroutines work for a while.
func many(tb testing.TB, c *contender, d time.Duration, start *int, t *turn) {
	var wg sync.WaitGroup
	took := make([][]time.Duration, workers)
	var failed atomic.Pointer[error]
	from := *start
	begun := time.Now()
	for w := range workers {
		wg.Go(func() {
			ctx := context.Background()
			for i, last := from+w*visitors/workers, time.Now(); last.Sub(begun) < d; i++ {
				if _, err := c.run(ctx, i); err != nil {
					failed.Store(&err)
					return
				}
				now := time.Now()
				took[w] = append(took[w], now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	all := time.Since(begun)
	if err := failed.Load(); err != nil {
		tb.Fatalf("%s: %v", c.name, *err)
	}
	list := slices.Concat(took...)
	slices.Sort(list)
	*start += len(list) / workers
	t.p50All, t.p99All = quantile(list, 0.5), quantile(list, 0.99)
	t.opsAll = float64(len(list)) / all.Seconds()
}

// quantile of a sorted list, in microseconds.
func quantile(list []time.Duration, q float64) float64 {
	return float64(list[min(int(float64(len(list))*q), len(list)-1)]) / 1e3
}

// measure gives every contender its turns, once it has seen every visitor: else the first rounds would write what the
// later ones find.
func measure(tb testing.TB, list []contender) []*result {
	results := make([]*result, len(list))
	starts := make([]int, len(list))
	var ignored turn
	for i := range list {
		results[i] = &result{contender: list[i]}
		for n := range visitors {
			if _, err := list[i].run(context.Background(), n); err != nil {
				tb.Fatalf("%s: %v", list[i].name, err)
			}
		}
		many(tb, &list[i], allTurn/3, &starts[i], &ignored)
	}
	for range rounds {
		for i, r := range results {
			var t turn
			one(tb, &r.contender, oneTurn, &starts[i], &t)
			many(tb, &r.contender, allTurn, &starts[i], &t)
			r.turns = append(r.turns, t)
		}
	}
	return results
}

// facts finds out what holds: how many a burst admits, and what a refusal costs the other dimensions.
func (r *result) facts(tb testing.TB) {
	if r.floor {
		return
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	var in atomic.Int64
	gate := make(chan struct{})
	for w := range workers {
		wg.Go(func() {
			<-gate
			for i := range 10 {
				id := strconv.Itoa(w) + "-" + strconv.Itoa(i)
				keys := [5]string{"b1" + id, "b2" + id, "b3" + id, "b4" + id, "burst"}
				if ok, err := r.five(ctx, keys, [5]int{10, 10, 10, 10, allowed}); ok && err == nil {
					in.Add(1)
				}
			}
		})
	}
	close(gate)
	wg.Wait()
	r.admitted = int(in.Load())

	keys := [5]string{"l1", "l2", "l3", "l4", "l5"}
	limits := [5]int{2, 2, 2, 2, 1}
	first, err := r.five(ctx, keys, limits)
	if !first || err != nil {
		tb.Fatalf("%s: first attempt: %v, %v", r.name, first, err)
	}
	if again, _ := r.five(ctx, keys, limits); again {
		tb.Fatalf("%s: the fifth dimension does not refuse", r.name)
	}
	for i := range 4 {
		// Has it room for the second of two?
		probe := [5]string{keys[i], "p1" + keys[i], "p2" + keys[i], "p3" + keys[i], "p4" + keys[i]}
		if ok, _ := r.five(ctx, probe, [5]int{2, 10, 10, 10, 10}); !ok {
			r.leaks++
		}
	}
}

// redisFacts counts socket reads and memory.
func (r *result) redisFacts(tb testing.TB) {
	ctx, server := context.Background(), r.server
	const n = 500
	run := func(from int) {
		for i := range n {
			if _, err := r.run(ctx, from+i); err != nil {
				tb.Fatal(err)
			}
		}
	}
	run(0)
	before := server.Reads(tb)
	run(0)
	r.reads = float64(server.Reads(tb)-before-1) / n
	if r.floor {
		return
	}
	server.Flush(tb)
	run(0) // clients' buffers and scripts
	server.Do(tb, "FLUSHALL")
	memory := func() (used, keys float64) {
		// Until it has stood still for half a second: clients' buffers shrink by and by.
		for still, last := 0, -1.0; still < 10; time.Sleep(50 * time.Millisecond) {
			used, _ = strconv.ParseFloat(server.Info(tb, "memory", "used_memory"), 64)
			if math.Abs(used-last) < 64<<10 {
				still++
			} else {
				still, last = 0, used
			}
		}
		db := server.Info(tb, "keyspace", "db0")
		if _, list, ok := strings.Cut(db, "keys="); ok {
			number, _, _ := strings.Cut(list, ",")
			keys, _ = strconv.ParseFloat(number, 64)
		}
		return used, keys
	}
	empty, _ := memory()
	for from := 0; from < visitors; from += n {
		run(from)
	}
	full, keys := memory()
	r.bytes = (full - empty) / keys
}

// median of a figure over the rounds.
func (r *result) median(f func(*turn) float64) float64 {
	var list []float64
	for i := range r.turns {
		list = append(list, f(&r.turns[i]))
	}
	return middle(list)
}

// ratio is the median of a figure's ratio to another contender's in the same round.
func (r *result) ratio(to *result, f func(*turn) float64) float64 {
	var list []float64
	for i := range r.turns {
		list = append(list, f(&r.turns[i])/f(&to.turns[i]))
	}
	return middle(list)
}

func middle(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func p50(t *turn) float64    { return t.p50 }
func p99(t *turn) float64    { return t.p99 }
func ops(t *turn) float64    { return t.ops }
func allocs(t *turn) float64 { return t.allocs }
func p50All(t *turn) float64 { return t.p50All }
func p99All(t *turn) float64 { return t.p99All }
func opsAll(t *turn) float64 { return t.opsAll }

// timesIncr is a call's time beside an INCR's.
func timesIncr(t *turn) float64 { return t.p50 / t.incr }

func named(list []*result, name string) *result {
	for _, r := range list {
		if r.name == name {
			return r
		}
	}
	panic("no contender " + name)
}

// BenchmarkPeersRedis prints the table of limiters on Redis. It takes its own time whatever -benchtime says.
func BenchmarkPeersRedis(b *testing.B) {
	for b.Loop() {
		list := measure(b, redisContenders(b))
		for _, r := range list {
			r.redisFacts(b)
			r.facts(b)
		}
		eval, us := named(list, floorEval), named(list, oursRedis)
		var t strings.Builder
		fmt.Fprintf(&t, "\n%s, Redis %s, %s, %d CPUs, %d rounds\n\n", time.Now().UTC().Format(time.DateOnly),
			us.server.Info(b, "server", "redis_version"), runtime.Version(), runtime.NumCPU(), rounds)
		t.WriteString("| on Redis | p50 us | x INCR | p99 us | allocs | ops/s @64 | x EVALSHA | p50 us @64 | p99 us @64 | reads | B/key | admitted of 100 | leaks |\n")
		t.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
		for _, r := range list {
			fmt.Fprintf(&t, "| %s | %.0f | %.2f | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %.1f |", r.name, r.median(p50), r.median(timesIncr),
				r.median(p99), r.median(allocs), r.median(opsAll), r.ratio(eval, opsAll), r.median(p50All), r.median(p99All), r.reads)
			if r.floor {
				t.WriteString(" | | |\n")
			} else {
				fmt.Fprintf(&t, " %.0f | %d | %d of 4 |\n", r.bytes, r.admitted, r.leaks)
			}
		}
		t.WriteString("\n")
		figure := func(what string, v, bound float64, atMost bool) {
			met := v >= bound
			sign := "at least"
			if atMost {
				met, sign = v <= bound, "at most"
			}
			fmt.Fprintf(&t, "- %s: %.2f (%s %.2f): %s\n", what, v, sign, bound, map[bool]string{true: "met", false: "MISSED"}[met])
		}
		figure("p50 at one goroutine, x INCR", us.median(timesIncr), 2, true)
		figure("ops/s at 64 goroutines, x EVALSHA with five keys", us.ratio(eval, opsAll), 0.40, false)
		figure("socket reads a decision", us.reads, 1, true)
		figure("admitted of 100, at least", float64(us.admitted), 100, false)
		figure("admitted of 100, at most", float64(us.admitted), 100, true)
		figure("dimensions that leak", float64(us.leaks), 0, true)
		figure("bytes a key", us.bytes, 115, true)
		if best := fastest(list); best != nil {
			figure("ops/s at 64 goroutines, x the fastest peer that holds its limits ("+best.name+")", us.ratio(best, opsAll), 1.5, false)
		}
		if best := quickest(list); best != nil {
			figure("p50 at one goroutine, x the fastest peer that holds its limits ("+best.name+")", us.ratio(best, p50), 0.7, true)
		}
		rr := named(list, "redis_rate v10.0.1, 5 calls")
		figure("ops/s at 64 goroutines, x redis_rate", us.ratio(rr, opsAll), 2.5, false)
		fmt.Println(t.String())
		b.ReportMetric(us.median(timesIncr), "x/floor")
		b.ReportMetric(us.ratio(eval, opsAll), "ops/floor")
	}
}

// peers are the contenders that are no floors, not ours, and hold their limits.
func peers(list []*result) (holding []*result) {
	for _, r := range list {
		if !r.floor && !strings.HasPrefix(r.name, "vestibule") && r.admitted == allowed {
			holding = append(holding, r)
		}
	}
	return holding
}

func fastest(list []*result) (best *result) {
	for _, r := range peers(list) {
		if best == nil || r.median(opsAll) > best.median(opsAll) {
			best = r
		}
	}
	return best
}

func quickest(list []*result) (best *result) {
	for _, r := range peers(list) {
		if best == nil || r.median(p50) < best.median(p50) {
			best = r
		}
	}
	return best
}

// BenchmarkPeersMemory prints the table of limiters in memory.
func BenchmarkPeersMemory(b *testing.B) {
	for b.Loop() {
		list := measure(b, memoryContenders(b))
		for _, r := range list {
			r.facts(b)
		}
		us := list[0]
		var t strings.Builder
		fmt.Fprintf(&t, "\n%s, %s, %d CPUs, %d rounds, %d visitors\n\n", time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), rounds, visitors)
		t.WriteString("| in memory, five dimensions | p50 us | p99 us | ops/s | allocs | ops/s @64 | vestibule is faster, one / 64 | admitted of 100 | leaks |\n")
		t.WriteString("|---|---|---|---|---|---|---|---|---|\n")
		for _, r := range list {
			fmt.Fprintf(&t, "| %s | %.2f | %.2f | %.0f | %.0f | %.0f | %.2f / %.2f | %d | %d of 4 |\n", r.name, r.median(p50), r.median(p99), r.median(ops),
				r.median(allocs), r.median(opsAll), us.ratio(r, ops), us.ratio(r, opsAll), r.admitted, r.leaks)
		}
		fmt.Println(t.String())
		slowest := math.Inf(1)
		for _, r := range list[1:] {
			slowest = min(slowest, us.ratio(r, ops))
		}
		b.ReportMetric(slowest, "x/peer")
	}
}

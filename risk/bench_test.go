package risk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchSignals are twelve signals with four codes and two facts each, in six groups.
func benchSignals(cost Cost, n int) []Signal {
	var out []Signal
	for i := range n {
		name := fmt.Sprintf("s%02d", i)
		out = append(out, SignalFunc{
			Description: Description{
				Name: name, Cost: cost, OnError: FailOpen,
				Codes: []Code{
					{Name: "weak", Points: 4, Group: fmt.Sprintf("g%d", i/2)},
					{Name: "bad", Points: 10 + i%3, Group: fmt.Sprintf("g%d", i/2)},
					{Name: "worse", Points: 16, Group: fmt.Sprintf("g%d", i/2)},
					{Name: "good", Points: -3, Group: fmt.Sprintf("g%d", i/2)},
				},
				Facts: []FactType{{Name: "count", Kind: Number}, {Name: "country", Kind: Text}},
			},
			Func: func(_ context.Context, _ *Attempt, f *Finding) error {
				f.Observe("weak")
				return nil
			},
		})
	}
	return out
}

// benchPolicy has twenty rules: six that give points, ten floors and four ceilings.
func benchPolicy() PolicySpec {
	spec := PolicySpec{Name: "bench", Segments: []Segment{{Name: "all", Levels: []Level{
		{Name: "allow", Range: &[2]int{0, 30}, Action: Allow},
		{Name: "delay", Range: &[2]int{31, 60}, Action: Delay, For: Duration(time.Hour)},
		{Name: "review", Range: &[2]int{61, 90}, Action: Review},
		{Name: "block", Range: &[2]int{91, 100}, Action: Block},
	}}}, Groups: map[string]Group{}}
	for i := range 6 {
		spec.Groups[fmt.Sprintf("g%d", i)] = Group{Lo: -6, Hi: 30}
	}
	for i := range 6 {
		spec.Rules = append(spec.Rules, Rule{Name: fmt.Sprintf("p%d", i), Points: 3 + i, Group: fmt.Sprintf("g%d", i),
			When: fmt.Sprintf("s%02d.bad && !s%02d.good && s%02d.count > 3", i, i+1, i)})
	}
	for i := range 10 {
		spec.Rules = append(spec.Rules, Rule{Name: fmt.Sprintf("f%d", i), Floor: []string{"delay", "review", "block"}[i%3],
			When: fmt.Sprintf("s%02d.worse && (s%02d.count >= 7 || oneof(s%02d.country, \"XA\", \"XB\")) && s%02d.bad", i, i, i, i+2)})
	}
	for i := range 4 {
		spec.Rules = append(spec.Rules, Rule{Name: fmt.Sprintf("c%d", i), Ceiling: "delay",
			When: fmt.Sprintf("s%02d.good && s%02d.country == \"NO\" && score < 80", i, i+1)})
	}
	return spec
}

// benchInput is what twelve signals say, in the form the policy takes and in the form the function takes.
type benchInput struct {
	codes [12]int // 0..3: weak, bad, worse, good
	count [12]float64
	land  [12]string
}

func benchInputs(n int) []benchInput {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]benchInput, n)
	for i := range out {
		for s := range 12 {
			out[i].codes[s] = r.IntN(4)
			out[i].count[s] = float64(r.IntN(10))
			out[i].land[s] = []string{"NO", "SE", "XA", "XB", "DE"}[r.IntN(5)]
		}
	}
	return out
}

// byHand is benchPolicy written as a Go function: the floor the policy is measured against.
func byHand(in *benchInput) (score, level int) {
	points := [4]int32{4, 10, 16, -3}
	raw := int32(12)
	is := func(s, code int) bool { return in.codes[s] == code }
	for g := range 6 {
		var bad [3]int32
		n, good, most := 0, int32(0), int32(0)
		add := func(v int32) {
			if v < 0 {
				if -v > most {
					good, most = good/2-v, -v
				} else {
					good += -v / 2
				}
				return
			}
			bad[n] = v
			n++
			for k := n - 1; k > 0 && bad[k] > bad[k-1]; k-- {
				bad[k], bad[k-1] = bad[k-1], bad[k]
			}
		}
		for s := 2 * g; s < 2*g+2; s++ {
			v := points[in.codes[s]]
			if in.codes[s] == 1 {
				v += int32(s % 3)
			}
			add(v)
		}
		if is(g, 1) && !is(g+1, 3) && in.count[g] > 3 {
			add(int32(3 + g))
		}
		raw += min(30, bad[0]+bad[1]/2+bad[2]/4-min(good, 6))
	}
	score = int(min(max(raw, 0), 100))
	floor, ceiling := 0, 3
	for i := range 10 {
		if is(i, 2) && (in.count[i] >= 7 || in.land[i] == "XA" || in.land[i] == "XB") && is(i+2, 1) {
			floor = max(floor, 1+i%3)
		}
	}
	for i := range 4 {
		if is(i, 3) && in.land[i+1] == "NO" && score < 80 {
			ceiling = min(ceiling, 1)
		}
	}
	level = 0
	switch {
	case score > 90:
		level = 3
	case score > 60:
		level = 2
	case score > 30:
		level = 1
	}
	return score, max(floor, min(ceiling, level))
}

// scenes resolves the names of the inputs once: what is left for the policy is judging.
func scenes(c *compiled, inputs []benchInput) []scene {
	out := make([]scene, len(inputs))
	for i := range inputs {
		b := newBench(c)
		for s := range 12 {
			e := &c.catalog.signals[s+1]
			b.observe(c, e.codes[inputs[i].codes[s]], 1)
			b.facts[e.facts[0]] = NumberValue(inputs[i].count[s])
			b.facts[e.facts[1]] = TextValue(inputs[i].land[s])
		}
		out[i] = b.scene
	}
	return out
}

var sink int

func BenchmarkPolicy(b *testing.B) {
	c := compiledBench(b)
	inputs := benchInputs(256)
	scenes, bench := scenes(c, inputs), newBench(c)
	ours := func(n int) {
		for i := range n {
			bench.said, bench.facts = scenes[i&255].said, scenes[i&255].facts
			sink += c.judge(bench, scope{}, true).level
		}
	}
	floor := func(n int) {
		for i := range n {
			_, level := byHand(&inputs[i&255])
			sink += level
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	ours(b.N)
	b.StopTimer()
	b.ReportMetric(medianRatio(ours, floor), "x/floor")
}

// medianRatio times two functions in turn and returns the median of the ratios.
func medianRatio(ours, floor func(n int)) float64 {
	const rounds, n = 21, 20_000
	var ratios []float64
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

func compiledBench(t testing.TB) *compiled {
	catalog, err := newCatalog(benchSignals(Local, 12))
	require.NoError(t, err)
	p, err := NewPolicy(benchPolicy())
	require.NoError(t, err)
	c, err := compilePolicy(p, catalog)
	require.NoError(t, err)
	return c
}

// TestBenchPolicyAgrees keeps the floor of BenchmarkPolicy honest: the function computes what the policy says, but for
// the rounding of decayed points.
func TestBenchPolicyAgrees(t *testing.T) {
	c := compiledBench(t)
	inputs := benchInputs(256)
	near, bench := 0, newBench(c)
	for i, s := range scenes(c, inputs) {
		bench.said, bench.facts = s.said, s.facts
		j := c.judge(bench, scope{}, true)
		score, level := byHand(&inputs[i])
		require.InDelta(t, j.score, score, 9)
		if j.level == level {
			near++
		}
	}
	require.Greater(t, near, 230)
}

func BenchmarkAssessLocal12(b *testing.B) {
	e := benchEngine(b, Local, 12)
	a := &Attempt{Event: SignUp}
	b.ReportAllocs()
	for b.Loop() {
		sink += e.Assess(b.Context(), a).Score
	}
}

func BenchmarkAssessRemote4(b *testing.B) {
	e := benchEngine(b, Remote, 4)
	a := &Attempt{Event: SignUp}
	b.ReportAllocs()
	for b.Loop() {
		sink += e.Assess(b.Context(), a).Score
	}
}

func benchEngine(b *testing.B, cost Cost, n int) *Engine {
	signals := benchSignals(cost, n)
	e, err := NewEngine(DefaultPolicy(signals), signals, nil)
	require.NoError(b, err)
	require.Equal(b, n, len(e.Assess(b.Context(), &Attempt{Event: SignUp}).Timings))
	return e
}

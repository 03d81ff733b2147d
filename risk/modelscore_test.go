package risk_test

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/vestibule-go/vestibule/risk"
)

// modelPoints is one contribution, before decay.
type modelPoints struct {
	group string
	name  string // breaks ties
	x     int
	line  modelLine
}

// modelLine is a line of the reasons.
type modelLine struct {
	signal, code, rule, group string
	points                    int
}

// modelDecayed rounds x * d^k to a whole number, half to even. Powers are in 1/65536, each from the one before.
func modelDecayed(x int, decay float64, k int) int {
	d, p := int(math.Round(decay*65536)), 65536
	for range k {
		p = (p*d + 32768) / 65536
	}
	return int(math.RoundToEven(float64(x*p) / 65536)) // exact: few bits
}

func (w *modelWorld) bounds(group string) (lo, hi int, decay float64) {
	g, ok := w.spec.Groups[group]
	if !ok {
		return -6, 30, 0.5
	}
	decay = 0.5
	if g.Decay != nil {
		decay = *g.Decay
	}
	return g.Lo, g.Hi, decay
}

// sum adds up contributions. lines may be nil.
func (w *modelWorld) sum(base int, all []modelPoints, lines *[]modelLine) int {
	slices.SortFunc(all, func(a, b modelPoints) int {
		side := 0
		if (a.x > 0) != (b.x > 0) {
			side = 1
			if a.x > 0 {
				side = -1
			}
		}
		return cmp.Or(strings.Compare(a.group, b.group), side, cmp.Compare(b.x*b.x, a.x*a.x), strings.Compare(a.name, b.name))
	})
	raw := base
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].group == all[0].group {
			n++
		}
		raw += w.sumGroup(all[:n], lines)
		all = all[n:]
	}
	return raw
}

func (w *modelWorld) sumGroup(all []modelPoints, lines *[]modelLine) int {
	lo, hi, decay := w.bounds(all[0].group)
	var bad, good, nBad, nGood int
	for i := range all {
		v := &all[i]
		got := 0
		switch {
		case v.x > 0:
			got = modelDecayed(v.x, decay, nBad)
			bad += got
			nBad++
		case v.x < 0:
			got = -modelDecayed(-v.x, decay, nGood)
			good -= got
			nGood++
		}
		if lines != nil {
			l := v.line
			l.points = got
			*lines = append(*lines, l)
		}
	}
	total := min(hi, bad-min(good, -lo))
	if cut := total - (bad - good); cut != 0 && lines != nil {
		*lines = append(*lines, modelLine{code: "cap", group: all[0].group, points: cut})
	}
	return total
}

// modelJudged is what a policy makes of a scene.
type modelJudged struct {
	raw, score, level int
	byRules           modelSet
	lines             []modelLine
	shadows           []string
}

// judge scores the scene. A leaf of a lowering rule that names a deaf signal is false, plain or negated,
// but for a code the signal has said earlier in the flow.
func (w *modelWorld) judge(seg *modelSegment, scene *modelScene, deaf []bool, explain bool) modelJudged {
	var out modelJudged
	holds := func(r *modelRule) bool {
		lowering := !r.raises()
		return r.expr.eval(func(e *modelExpr) modelTruth {
			said := e.op == "code" && scene.degrees[e.idx] > 0 // earlier in the flow: it stays said
			if lowering && e.sig >= 0 && deaf[e.sig] && !said {
				return modelUnknown
			}
			return scene.test(e)
		}) == modelTrue
	}
	var all []modelPoints
	floor, ceiling := 0, len(seg.levels)-1
	for i := range w.codes {
		if c := &w.codes[i]; scene.degrees[i] > 0 {
			x := int(math.RoundToEven(float64(c.points) * scene.degrees[i]))
			all = append(all, modelPoints{c.group, c.full, x, modelLine{signal: w.descs[c.signal].Name, code: c.decl.Name, group: c.group}})
			if c.floor != 0 {
				floor = max(floor, seg.floorLevel(c.floor))
			}
		}
	}
	for i := range w.rules {
		r := &w.rules[i]
		if r.enforced() && r.Points != 0 && holds(r) {
			group := r.Group
			if group == "" {
				group = "rule " + r.Name
			}
			all = append(all, modelPoints{group, r.Name, r.Points, modelLine{rule: r.Name, group: group}})
		}
	}
	var lines *[]modelLine
	if explain {
		out.lines = []modelLine{{code: "base", points: seg.base}}
		lines = &out.lines
	}
	out.raw = w.sum(seg.base, all, lines)
	out.score = min(100, max(0, out.raw))
	if explain && out.score != out.raw {
		out.lines = append(out.lines, modelLine{code: "clamp", points: out.score - out.raw})
	}
	scene.score = out.score
	for i := range w.rules {
		r := &w.rules[i]
		if r.Mode == risk.Shadow && explain && holds(r) {
			out.shadows = append(out.shadows, r.Name)
		}
		if !r.enforced() || r.Points != 0 || !holds(r) {
			continue
		}
		if explain {
			out.lines = append(out.lines, modelLine{rule: r.Name})
		}
		switch {
		case r.Floor != "":
			floor = max(floor, seg.named(r.Floor))
		case r.Ceiling != "":
			ceiling = min(ceiling, seg.named(r.Ceiling))
		default:
			out.byRules |= modelSetOfPlain(r.Require)
		}
	}
	out.level = max(floor, min(ceiling, seg.scored(out.score)))
	return out
}

func (s *modelSegment) named(level string) int {
	return slices.IndexFunc(s.levels, func(l modelLevel) bool { return l.name == level })
}

func (s *modelSegment) scored(score int) int {
	return slices.IndexFunc(s.levels, func(l modelLevel) bool { return l.lo <= score && score <= l.hi })
}

// --- errors

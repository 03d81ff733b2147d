package risk_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// A second implementation of the stop decision, by intervals over the model's data, into which faults can be built:
// the check of early stop must find each of them.

// modelFault is a mistake in the stop decision.
type modelFault string

const (
	faultNone       modelFault = ""
	faultTail       modelFault = "remaining points at the tail rank"
	faultRulePoints modelFault = "points of rules forgotten"
	faultRuleFloors modelFault = "floors of rules forgotten"
	faultFloors     modelFault = "floors of open codes forgotten"
	faultCeilings   modelFault = "ceilings forgotten"
	faultRequire    modelFault = "proofs rules require forgotten"
	faultProofs     modelFault = "missing proofs open signals give forgotten"
	faultOverrides  modelFault = "overrides of points forgotten"
	faultWeights    modelFault = "weights forgotten"
	faultNegated    modelFault = "negated codes forgotten"
	faultGood       modelFault = "good codes forgotten"
	faultModes      modelFault = "fail modes forgotten"
	faultTogether   modelFault = "two errors that matter together forgotten"
	faultGate       modelFault = "what opens the step-up gate forgotten"
	faultCaps       modelFault = "caps of groups forgotten"
)

var modelFaults = []modelFault{faultTail, faultRulePoints, faultRuleFloors, faultFloors, faultCeilings, faultRequire, faultProofs,
	faultOverrides, faultWeights, faultNegated, faultGood, faultModes, faultTogether, faultGate, faultCaps}

// modelEnds is a scene with signals unanswered: those in upper might say the worst, those in lower the best, nothing
// that lowers risk is assumed of deaf ones.
type modelEnds struct {
	w                  *modelWorld
	seg                *modelSegment
	scene              *modelScene
	upper, lower, deaf []bool
	fault              modelFault
}

// holds decides a rule leaf by leaf: a raising one holds if it may, a lowering one only if it must; at the lower end
// the other way round.
func (m *modelEnds) holds(r *modelRule) bool {
	plain := (m.fault == faultRulePoints && r.Points != 0) || (m.fault == faultRuleFloors && r.Floor != "") ||
		(m.fault == faultCeilings && r.Ceiling != "") || (m.fault == faultRequire && len(r.Require) > 0)
	return m.eval(r.expr, false, r.raises(), plain)
}

func (m *modelEnds) eval(e *modelExpr, neg, raising, plain bool) bool {
	switch e.op {
	case "not":
		return m.eval(e.a, !neg, raising, plain)
	case "and", "or":
		a, b := m.eval(e.a, neg, raising, plain), m.eval(e.b, neg, raising, plain)
		if (e.op == "and") != neg {
			return a && b
		}
		return a || b
	}
	said := m.scene.test(e) == modelTrue
	if neg {
		said = m.scene.test(e) == modelFalse
	}
	if e.sig < 0 {
		return said
	}
	sticks := e.op == "code" && m.scene.degrees[e.idx] > 0 // what was said stays said
	if !raising && m.deaf[e.sig] {
		return sticks && !neg
	}
	if plain || (m.fault == faultNegated && neg && e.op == "code") {
		return said
	}
	may, must := m.upper[e.sig], m.lower[e.sig]
	if !raising {
		may, must = must, may
	}
	switch {
	case may:
		return !sticks || !neg
	case must:
		return sticks && !neg
	}
	return said
}

// points is what a code of an open signal may add.
func (m *modelEnds) points(c *modelCode) int {
	w := m.w
	points, weight := c.decl.Points, 1.0
	if v, ok := w.spec.Points[c.full]; ok && m.fault != faultOverrides {
		points = v
	}
	if v, ok := w.spec.Weights[w.descs[c.signal].Name]; ok && m.fault != faultWeights {
		weight = v
	}
	return int(math.RoundToEven(float64(points) * weight))
}

func (m *modelEnds) judge() modelJudged {
	var out modelJudged
	w, seg := m.w, m.seg
	var all []modelPoints
	tail, floor, ceiling := 0, 0, len(seg.levels)-1
	said := map[string]int{}
	for i := range w.codes {
		if m.scene.degrees[i] > 0 && w.codes[i].points > 0 {
			said[w.codes[i].group]++
		}
	}
	for i := range w.codes {
		c := &w.codes[i]
		x, there := 0, m.scene.degrees[i] > 0
		if there {
			x = int(math.RoundToEven(float64(c.points) * m.scene.degrees[i]))
		}
		switch p := m.points(c); {
		case m.upper[c.signal] && p > 0:
			if m.fault == faultTail && !there {
				_, _, decay := w.bounds(c.group)
				tail += modelDecayed(p, decay, said[c.group])
				break
			}
			x, there = p, true
		case m.lower[c.signal] && p < 0 && m.fault != faultGood:
			x, there = p, true
		}
		if there {
			all = append(all, modelPoints{group: c.group, name: c.full, x: x})
		}
		if c.floor != 0 && (m.scene.degrees[i] > 0 || (m.upper[c.signal] && m.fault != faultFloors)) {
			floor = max(floor, seg.floorLevel(c.floor))
		}
	}
	for i := range w.rules {
		if r := &w.rules[i]; r.enforced() && r.Points != 0 && m.holds(r) {
			group := r.Group
			if group == "" {
				group = "rule " + r.Name
			}
			all = append(all, modelPoints{group: group, name: r.Name, x: r.Points})
		}
	}
	if m.fault == faultCaps {
		out.raw = seg.base
		for i := range all {
			out.raw += w.sum(0, all[i:i+1], nil) // each by itself, never cut together
		}
	} else {
		out.raw = w.sum(seg.base, all, nil) + tail
	}
	out.score = min(100, max(0, out.raw))
	m.scene.score = out.score
	for i := range w.rules {
		r := &w.rules[i]
		if !r.enforced() || r.Points != 0 || !m.holds(r) {
			continue
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

// modelEnd says how open signals are taken.
type modelEnd int

const (
	endSaid modelEnd = iota
	endWorst
	endBest
)

// answerAt is level and required proofs with open signals at one end.
func (r *modelRun) answerAt(open, skipped []bool, end modelEnd, fault modelFault) modelAnswer {
	w, none := r.w, make([]bool, len(r.erring))
	deaf := slices.Clone(r.erring)
	for i := range deaf {
		deaf[i] = deaf[i] || skipped[i]
	}
	at := func(imagined []bool) modelJudged {
		m := &modelEnds{w, r.seg, r.scene, slices.Clone(imagined), none, deaf, fault}
		for i, o := range open {
			m.upper[i] = m.upper[i] || (o && end == endWorst)
		}
		if end == endBest {
			m.lower = open
		}
		return m.judge()
	}
	silent := at(none)
	out := modelAnswer{level: silent.level}
	required := silent.byRules | r.kept
	consider := func(imagined []bool, mode risk.FailMode) {
		j := at(imagined)
		required |= j.byRules
		out.level = max(out.level, min(j.level, r.seg.failLevel(mode)))
	}
	for _, mode := range modelModes {
		if fault == faultModes {
			break
		}
		imagined, some := make([]bool, len(r.erring)), false
		for i, e := range r.erring {
			if !e || w.modes[i] < mode {
				continue
			}
			some = true
			imagined[i] = true
			if fault == faultTogether {
				consider(imagined, mode)
				imagined[i] = false
			}
		}
		if some && fault != faultTogether {
			consider(imagined, mode)
		}
	}
	out.required = r.seg.levels[out.level].require | required
	return out
}

// modelShort is the part of an answer that early stop must not change.
type modelShort struct {
	level   string
	action  risk.Action
	require modelSet
}

// staged runs an attempt step by step, with early stop or without, and says who was skipped (of a full
// run: not asked).
func (w *modelWorld) staged(s *modelScript, early bool, fault modelFault) (modelShort, []string) {
	r := w.newRun(s)
	open, skipped := make([]bool, len(w.descs)), make([]bool, len(w.descs))
	for i := 1; i < len(open); i++ {
		open[i] = s.says[i].kind != "none"
	}
	ask := func(want func(d *risk.Description) bool) {
		for i := range open {
			if open[i] && want(&w.descs[i]) {
				open[i] = false
				r.ask(i)
			}
		}
	}
	none := make([]bool, len(open))
	// gate closes costly signals that need not be asked, with the others at their worst.
	gate := func(fault modelFault) {
		others := slices.Clone(open)
		for i := range others {
			others[i] = others[i] && w.descs[i].Cost != risk.Costly
		}
		end := endWorst
		if fault == faultGate {
			end = endSaid
		}
		a := r.answerAt(others, none, end, fault)
		for i := range open {
			if open[i] && w.descs[i].Cost == risk.Costly && a.level == 0 && modelSetOf(w.descs[i].Proofs)&a.required&^r.given == 0 {
				open[i] = false
			}
		}
	}
	stop := func() bool {
		if !early {
			return false
		}
		gate(fault)
		if !slices.Contains(open, true) {
			return true
		}
		hi, lo := r.answerAt(open, none, endWorst, fault), r.answerAt(open, none, endBest, fault)
		if hi.level != lo.level || hi.required != lo.required {
			return false
		}
		for i, o := range open {
			if o && fault != faultProofs && modelSetOf(w.descs[i].Proofs)&hi.required&^r.given != 0 {
				return false
			}
		}
		copy(skipped, open)
		clear(open)
		return true
	}
	ask(func(d *risk.Description) bool { return d.Cost == risk.Local || d.Counts })
	stopped := stop()
	for _, cost := range []risk.Cost{risk.Stored, risk.Remote} {
		if !stopped {
			ask(func(d *risk.Description) bool { return d.Cost == cost })
			stopped = stop()
		}
	}
	if !stopped {
		gate(faultNone)
		if !early {
			for i := range open {
				skipped[i] = i > 0 && !open[i] && w.descs[i].Cost == risk.Costly
			}
		}
		ask(func(d *risk.Description) bool { return true })
	}
	deaf := skipped
	if !early {
		deaf = none // gated signals have answered with nothing
	}
	a := r.answerAt(none, deaf, endSaid, faultNone)
	l := &r.seg.levels[a.level]
	action, require := l.answer(a.required, r.given, r.can())
	var names []string
	for i, v := range skipped {
		if v {
			names = append(names, w.descs[i].Name)
		}
	}
	slices.Sort(names)
	return modelShort{l.name, action, require}, names
}

// modelStopCase is an attempt and the answer of its full run.
type modelStopCase struct {
	w    *modelWorld
	s    *modelScript
	name string
	full modelShort
}

// modelStopCases are attempts on which the stop decision without a fault is right.
func modelStopCases(t *testing.T, b modelBudget) (out []modelStopCase) {
	b.each(modelShape{errors: 0.5, staged: true}, func(r *rand.Rand, w *modelWorld, name string) {
		for range b.attempts {
			s := w.script(r)
			full, _ := w.staged(s, false, faultNone)
			early, skipped := w.staged(s, true, faultNone)
			if full != early {
				t.Fatalf("%s: full run %+v, early stop %+v skipped %v\n%s%s", name, full, early, skipped, w, s.print(w))
			}
			out = append(out, modelStopCase{w, s, name, full})
		}
	})
	return out
}

// Every fault in the stop decision must show as a case in which early stop and full run differ: the check of
// TestPropertyEarlyStop sees it.
func TestPropertyEarlyStopFaults(t *testing.T) {
	cases := modelStopCases(t, modelBudget{5, 110, 24})
	for _, fault := range modelFaults {
		t.Run(string(fault), func(t *testing.T) {
			i := slices.IndexFunc(cases, func(c modelStopCase) bool {
				early, _ := c.w.staged(c.s, true, fault)
				return early != c.full
			})
			require.GreaterOrEqual(t, i, 0, "no counterexample among %d cases: the check does not see this fault", len(cases))
			t.Logf("found by case %d: %s", i, cases[i].name)
		})
	}
}

// checkStopModel holds the model's stop decision against the engine's: same answers, and the same signals skipped.
func checkStopModel(t *testing.T, shape modelShape, b modelBudget) {
	b.each(shape, func(r *rand.Rand, w *modelWorld, name string) {
		full, early := modelEngine(t, w, 1, nil), modelEngine(t, w, 0, nil)
		for range b.attempts {
			s := w.script(r)
			x, y := full.Assess(context.Background(), s.attempt("")), early.Assess(context.Background(), s.attempt(""))
			wantX, _ := w.staged(s, false, faultNone)
			wantY, skipped := w.staged(s, true, faultNone)
			if got := modelShortOf(x); !got.same(wantX) {
				t.Fatalf("%s: full run %+v, model %+v\n%s%s", name, got, wantX, w, s.print(w))
			}
			if got := modelShortOf(y); !got.same(wantY) || !slices.Equal(y.Skipped, skipped) {
				t.Fatalf("%s: early stop %+v skipped %v, model %+v skipped %v\n%s%s", name, got, y.Skipped, wantY, skipped, w, s.print(w))
			}
		}
	})
}

// same compares but for Wait, which the stop model leaves out.
func (a modelShort) same(b modelShort) bool {
	if a.action == risk.Wait {
		a.action = risk.Allow
	}
	return a == b
}

func TestPropertyStopModel(t *testing.T) {
	for _, name := range []string{"healthy", "errors", "staged"} {
		t.Run(name, func(t *testing.T) { checkStopModel(t, modelStopShapes[name], modelBudget{6, 40, 6}) })
	}
}

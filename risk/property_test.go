package risk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// modelEngine is an engine of the world's signals and policy, with full runs or early stop.
func modelEngine(t testing.TB, w *modelWorld, share float64, signals []risk.Signal) *risk.Engine {
	spec := w.policy.Spec()
	spec.Sampling = &share
	p, err := risk.NewPolicy(spec)
	require.NoError(t, err)
	if signals == nil {
		signals = w.list()
	}
	e, err := risk.NewEngine(p, signals, &risk.Options{Now: func() time.Time { return modelNow }, Budget: time.Hour})
	require.NoError(t, err)
	return e
}

// modelSeed names a case in failures.
func modelSeed(seed uint64, n int) string { return fmt.Sprintf("seed %d case %d", seed, n) }

func modelLines(s *risk.Assessment) []modelLine {
	var out []modelLine
	for _, v := range s.Reasons {
		out = append(out, modelLine{v.Signal, v.Code, v.Rule, v.Group, v.Points})
	}
	return out
}

func modelSorted(lines []modelLine) []modelLine {
	out := slices.Clone(lines)
	slices.SortFunc(out, func(a, b modelLine) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// modelDifference says how an assessment differs from the model's result; "" means not at all.
func modelDifference(w *modelWorld, seg *modelSegment, s *risk.Assessment, m *modelResult, flows bool) string {
	var errs []string
	for _, e := range s.Errors {
		errs = append(errs, e.Signal)
	}
	sum := 0
	for _, v := range s.Reasons {
		sum += v.Points
	}
	level := slices.IndexFunc(seg.levels, func(l modelLevel) bool { return l.name == s.Level })
	want := slices.IndexFunc(seg.levels, func(l modelLevel) bool { return l.name == m.level })
	if m.unsure {
		return ""
	}
	switch {
	case s.Raw != m.judged.raw || s.Score != m.judged.score:
		return fmt.Sprintf("score %d (%d), want %d (%d)", s.Score, s.Raw, m.judged.score, m.judged.raw)
	case sum != s.Score:
		return fmt.Sprintf("reasons add up to %d, score %d", sum, s.Score)
	case !slices.Equal(modelSorted(modelLines(s)), modelSorted(m.judged.lines)):
		return fmt.Sprintf("reasons\n%v, want\n%v", modelSorted(modelLines(s)), modelSorted(m.judged.lines))
	case !slices.Equal(errs, m.errors) || s.Degraded != (len(errs) > 0):
		return fmt.Sprintf("errors %v degraded %v, want %v", errs, s.Degraded, m.errors)
	case len(s.Skipped) > 0:
		return "skipped in a full run"
	case !slices.Equal(s.ShadowRules, m.judged.shadows):
		return fmt.Sprintf("shadow rules %v, want %v", s.ShadowRules, m.judged.shadows)
	}
	if !m.brute || (len(errs) > 0 && !w.shape.exact) {
		if m.brute && level < want { // an error beats what it hides
			return fmt.Sprintf("level %s, want at least %s", s.Level, m.level)
		}
		return ""
	}
	switch {
	case s.Level != m.level:
		return fmt.Sprintf("level %s, want %s", s.Level, m.level)
	case s.Action != m.action:
		return fmt.Sprintf("action %s, want %s", s.Action, m.action)
	case modelSetOfPlain(s.Require) != m.require || len(s.Require) != len(m.require.list()):
		return fmt.Sprintf("require %v, want %v", s.Require, m.require.list())
	case !s.Until.Equal(m.until):
		return fmt.Sprintf("until %v, want %v", s.Until, m.until)
	case !slices.Equal(s.Unused, m.unused):
		return fmt.Sprintf("unused %v, want %v", s.Unused, m.unused)
	}
	return ""
}

// checkModel compares full runs with the model: n worlds, some attempts each, continued as flows where shape says so.
func checkModel(t *testing.T, shape modelShape, seed uint64, n int) {
	brute, flows := 0, 0
	for i := range n {
		r := modelRand(seed, i)
		w := newModelWorld(r, shape)
		e := modelEngine(t, w, 1, nil)
		for k := range 4 {
			var flow *modelFlow
			name, note := "", ""
			if !shape.flows && modelChance(r, 0.1) {
				name, note = "garbage", "unknown"
			}
			story := ""
			for step := range 4 {
				s := w.script(r)
				if step > 0 {
					s.event = risk.SignUp
				}
				if shape.flows {
					s.event = risk.SignUp // flows are bound to their event
				}
				story += fmt.Sprintf("step %d\n%s", step, s.print(w))
				m := w.full(s, flow, note)
				got := e.Assess(context.Background(), s.attempt(name))
				if d := modelDifference(w, w.segmentOf(s), got, &m, shape.flows); d != "" {
					t.Fatalf("%s attempt %d step %d: %s\n%s%s%+v\n%v", modelSeed(seed, i), k, step, d, w, story, got, got.Reasons)
				}
				if m.brute && !m.unsure && len(m.errors) > 0 {
					brute++
				}
				exact := m.brute && !m.unsure && (len(m.errors) == 0 || shape.exact)
				if !shape.flows || !exact || m.flow == nil {
					break
				}
				if got.Flow != "" {
					name = got.Flow
				}
				flow, note = m.flow, ""
				flows++
			}
		}
	}
	if n >= 100 {
		require.True(t, shape.errors == 0 || brute > n/10, "the cases must bite: %d with errors", brute)
		require.True(t, !shape.flows || flows > n/10, "the cases must bite: %d continued", flows)
	}
}

var modelShapes = map[string]modelShape{
	"healthy":     {},
	"errors":      {errors: 1, small: true, exact: true},
	"correlated":  {errors: 1, small: true},
	"flows":       {flows: true},
	"flow errors": {flows: true, errors: 0.5, small: true, exact: true},
}

func TestModelEqualsEngine(t *testing.T) {
	for name, shape := range modelShapes {
		t.Run(name, func(t *testing.T) { checkModel(t, shape, 1, 300) })
	}
}

// modelShortOf is the part of an assessment that early stop must not change.
func modelShortOf(s *risk.Assessment) modelShort {
	return modelShort{s.Level, s.Action, modelSetOfPlain(s.Require)}
}

var modelStopShapes = map[string]modelShape{
	"healthy": {},
	"errors":  {errors: 1},
	"flows":   {flows: true, errors: 0.3},
}

// checkEarlyStop compares early stop with full runs of the same engine's rules. Flows are continued on both sides.
func checkEarlyStop(t *testing.T, shape modelShape, seed uint64, n int) {
	skipped := 0
	for i := range n {
		r := modelRand(seed, i)
		w := newModelWorld(r, shape)
		full, early := modelEngine(t, w, 1, nil), modelEngine(t, w, 0, nil)
		for k := range 4 {
			var nameF, nameE string
			story := ""
			s := w.script(r)
			for step := range 3 {
				story += fmt.Sprintf("step %d\n%s", step, s.print(w))
				a, b := full.Assess(context.Background(), s.attempt(nameF)), early.Assess(context.Background(), s.attempt(nameE))
				if modelShortOf(a) != modelShortOf(b) || !a.Until.Equal(b.Until) {
					t.Fatalf("%s attempt %d step %d: full run %+v, early stop %+v skipped %v\n%s%s", modelSeed(seed, i), k, step,
						modelShortOf(a), modelShortOf(b), b.Skipped, w, story)
				}
				skipped += len(b.Skipped)
				if !shape.flows || a.Flow == "" {
					break
				}
				nameF, nameE = a.Flow, b.Flow
				// The visitor brings more proofs; nothing else changes.
				s = s.clone()
				for j := range s.says {
					if d := &w.descs[j]; s.says[j].kind == "says" && modelChance(r, 0.7) {
						s.says[j].proofs = d.Proofs
					}
				}
			}
		}
	}
	if n >= 100 {
		require.Greater(t, skipped, n/2, "the cases must bite")
	}
}

func TestPropertyEarlyStop(t *testing.T) {
	for name, shape := range modelStopShapes {
		t.Run(name, func(t *testing.T) { checkEarlyStop(t, shape, 3, 300) })
	}
}

// checkStopModel runs the model's stop decision with a fault, and returns how many cases it took to find it out.
func checkStopModel(shape modelShape, seed uint64, n int, fault modelFault) (found int, what string) {
	for i := range n {
		r := modelRand(seed, i)
		w := newModelWorld(r, shape)
		for k := range 8 {
			s := w.script(r)
			a, _ := w.staged(s, false, faultNone)
			b, skipped := w.staged(s, true, fault)
			if a != b && fault != faultNone {
				if c, _ := w.staged(s, true, faultNone); a != c {
					continue // not this fault's doing
				}
			}
			if a != b {
				return i*8 + k, fmt.Sprintf("%s attempt %d: full run %+v, early stop %+v skipped %v\n%s%s", modelSeed(seed, i), k, a, b, skipped, w, s.print(w))
			}
		}
	}
	return -1, ""
}

func TestPropertyEarlyStopFaults(t *testing.T) {
	for _, fault := range modelFaults {
		t.Run(string(fault), func(t *testing.T) {
			found, _ := checkStopModel(modelShape{errors: 0.6}, 4, 4000, fault)
			require.GreaterOrEqual(t, found, 0, "no counterexample: the check does not see this fault")
			t.Logf("found after %d attempts", found)
		})
	}
}

// checkStaged holds the model's stop decision against the engine's: the same signals are skipped.
func checkStaged(t *testing.T, shape modelShape, seed uint64, n int) {
	for i := range n {
		r := modelRand(seed, i)
		w := newModelWorld(r, shape)
		full, early := modelEngine(t, w, 1, nil), modelEngine(t, w, 0, nil)
		for k := range 4 {
			s := w.script(r)
			a, b := full.Assess(context.Background(), s.attempt("")), early.Assess(context.Background(), s.attempt(""))
			wantA, _ := w.staged(s, false, faultNone)
			wantB, skipped := w.staged(s, true, faultNone)
			if got := modelShortOf(a); !sameShort(got, wantA, a) {
				t.Fatalf("%s attempt %d: full run %+v, model %+v\n%s%s", modelSeed(seed, i), k, got, wantA, w, s.print(w))
			}
			if got := modelShortOf(b); !sameShort(got, wantB, b) || !slices.Equal(b.Skipped, skipped) {
				t.Fatalf("%s attempt %d: early stop %+v skipped %v, model %+v skipped %v\n%s%s", modelSeed(seed, i), k, got, b.Skipped, wantB, skipped, w, s.print(w))
			}
		}
	}
}

// sameShort compares but for Wait, which the stop model leaves out.
func sameShort(got, want modelShort, s *risk.Assessment) bool {
	if got.action == risk.Wait {
		got.action = risk.Allow
	}
	return got == want
}

func TestPropertyStopModel(t *testing.T) {
	for name, shape := range modelStopShapes {
		t.Run(name, func(t *testing.T) { checkStaged(t, shape, 5, 300) })
	}
}

// modelAssess judges a new attempt, and says which signals were not asked.
type modelAssess func(s *modelScript) (modelShort, []string)

func engineAssess(t testing.TB, share float64) func(w *modelWorld) modelAssess {
	return func(w *modelWorld) modelAssess {
		e := modelEngine(t, w, share, nil)
		return func(s *modelScript) (modelShort, []string) {
			a := e.Assess(context.Background(), s.attempt(""))
			return modelShortOf(a), a.Unused
		}
	}
}

// checkMonotone adds bad evidence, and good evidence, to attempts whose missing proofs can all be had: the action must
// not fall, and not rise.
func checkMonotone(t *testing.T, shape modelShape, seed uint64, n int, make func(w *modelWorld) modelAssess) {
	for i := range n {
		r := modelRand(seed, i)
		w := newModelWorld(r, shape)
		assess := make(w)
		for k := range 4 {
			s := w.script(r)
			for j := range s.says {
				s.says[j].retry = time.Time{} // Wait is about time, not about evidence
				if len(w.descs[j].Proofs) > 0 && (s.says[j].kind == "errs" || s.says[j].kind == "lies") {
					s.says[j].kind = "says" // what it proves must stay obtainable
				}
			}
			for _, bad := range []bool{true, false} {
				more := s.clone()
				w.addEvidence(r, more, bad)
				before, after := w.sameHearing(assess, s.clone(), more)
				if (bad && after.action < before.action) || (!bad && after.action > before.action) {
					t.Fatalf("%s attempt %d: bad=%v %+v, with more evidence %+v\n%s%swith more\n%s", modelSeed(seed, i), k, bad, before, after, w, s.print(w), more.print(w))
				}
			}
		}
	}
}

// sameHearing judges two attempts, silencing in both the signals that only one of them gets asked: what a step-up
// signal says once it is asked is evidence of its own.
func (w *modelWorld) sameHearing(assess modelAssess, a, b *modelScript) (x, y modelShort) {
	for {
		x, unusedA := assess(a)
		y, unusedB := assess(b)
		if slices.Equal(unusedA, unusedB) {
			return x, y
		}
		for i := range w.descs {
			if slices.Contains(unusedA, w.descs[i].Name) || slices.Contains(unusedB, w.descs[i].Name) {
				a.says[i].kind, b.says[i].kind = "none", "none"
			}
		}
	}
}

// addEvidence makes healthy signals say more that is bad, or more that is good.
func (w *modelWorld) addEvidence(r *rand.Rand, s *modelScript, bad bool) {
	p := modelPick(r, 0.2, 0.5, 1)
	for c := range w.codes {
		g, b := w.codes[c].temper(w)
		say := &s.says[w.codes[c].signal]
		if say.kind == "says" && ((bad && b) || (!bad && g)) && modelChance(r, p) {
			say.codes = append(say.codes, modelCodeSaid{code: c, name: w.codes[c].decl.Name, degree: modelPick(r, 1, 1, 0.5)})
		}
	}
}

func TestPropertyMonotone(t *testing.T) {
	for name, errs := range map[string]float64{"healthy": 0, "errors": 0.6} {
		t.Run(name, func(t *testing.T) {
			checkMonotone(t, modelShape{calm: true, errors: errs}, 8, 300, engineAssess(t, 1))
		})
	}
}

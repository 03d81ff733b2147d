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

// Properties of random policies and findings: the engine answers what the model does, early stop what the full run
// does, and more evidence never helps the wrong side. Each has a short run here and a long one in soak_test.go.

// modelBudget says which cases to try, and how many.
type modelBudget struct {
	seed             uint64
	worlds, attempts int
}

// each calls f for every world with a source of randomness of its own, and a name for failures.
func (b modelBudget) each(shape modelShape, f func(r *rand.Rand, w *modelWorld, name string)) {
	for i := range b.worlds {
		r := rand.New(rand.NewPCG(b.seed, uint64(i)))
		f(r, newModelWorld(r, shape), fmt.Sprintf("seed %d world %d", b.seed, i))
	}
}

// modelEngine is an engine of the world's signals and policy that asks everybody in a share of assessments.
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
func modelDifference(w *modelWorld, seg *modelSegment, s *risk.Assessment, m *modelResult) string {
	if m.unsure {
		return ""
	}
	var errs []string
	for _, e := range s.Errors {
		errs = append(errs, e.Signal)
	}
	sum := 0
	for _, v := range s.Reasons {
		sum += v.Points
	}
	got, want := modelSorted(modelLines(s)), modelSorted(m.judged.lines)
	switch {
	case s.Raw != m.judged.raw || s.Score != m.judged.score:
		return fmt.Sprintf("score %d (%d), want %d (%d)", s.Score, s.Raw, m.judged.score, m.judged.raw)
	case sum != s.Score:
		return fmt.Sprintf("reasons add up to %d, score %d", sum, s.Score)
	case !slices.Equal(got, want):
		return fmt.Sprintf("reasons\n%v, want\n%v", got, want)
	case !slices.Equal(errs, m.errors) || s.Degraded != (len(errs) > 0):
		return fmt.Sprintf("errors %v degraded %v, want %v", errs, s.Degraded, m.errors)
	case len(s.Skipped) > 0:
		return "skipped in a full run"
	case !slices.Equal(s.ShadowRules, m.judged.shadows):
		return fmt.Sprintf("shadow rules %v, want %v", s.ShadowRules, m.judged.shadows)
	}
	if !m.brute {
		return ""
	}
	if len(errs) > 0 && !w.shape.exact {
		if seg.named(s.Level) < seg.named(m.level) {
			return fmt.Sprintf("level %s: the errors hide %s", s.Level, m.level)
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

// checkModel compares full runs with the model, continued as flows where the shape says so.
func checkModel(t *testing.T, shape modelShape, b modelBudget) {
	brute, flows := 0, 0
	b.each(shape, func(r *rand.Rand, w *modelWorld, name string) {
		e := modelEngine(t, w, 1, nil)
		for range b.attempts {
			var flow *modelFlow
			flowName, note, story := "", "", ""
			if modelChance(r, 0.1) {
				flowName, note = "garbage", "unknown"
			}
			for step := range 4 {
				s := w.script(r)
				if shape.flows {
					s.event = risk.SignUp // flows are bound to their event
				}
				story += fmt.Sprintf("step %d\n%s", step, s.print(w))
				m := w.full(s, flow, note)
				got := e.Assess(context.Background(), s.attempt(flowName))
				if d := modelDifference(w, w.segmentOf(s), got, &m); d != "" {
					t.Fatalf("%s step %d: %s\n%s%s", name, step, d, w, story)
				}
				sure := m.brute && !m.unsure
				if sure && len(m.errors) > 0 {
					brute++
				}
				if !shape.flows || !sure || (len(m.errors) > 0 && !shape.exact) || m.flow == nil {
					break
				}
				if got.Flow != "" {
					flowName = got.Flow
				}
				flow, note = m.flow, ""
				flows++
			}
		}
	})
	require.True(t, shape.errors == 0 || brute > b.worlds/10, "the cases must bite: %d with errors", brute)
	require.True(t, !shape.flows || flows > b.worlds/10, "the cases must bite: %d continued", flows)
}

// In "correlated" worlds one saying cannot fire all rules at once: there the engine's bound, leaf by leaf, may be
// stricter than everything the erring signals could have said, and must never be milder.
var modelShapes = map[string]modelShape{
	"healthy":     {},
	"errors":      {errors: 1, small: true, exact: true},
	"correlated":  {errors: 1, small: true},
	"flows":       {flows: true},
	"flow errors": {flows: true, errors: 0.5, small: true, exact: true},
}

func TestPropertyModel(t *testing.T) {
	for name, shape := range modelShapes {
		t.Run(name, func(t *testing.T) { checkModel(t, shape, modelBudget{1, 50, 8}) })
	}
}

// modelShortOf is the part of an assessment that early stop must not change.
func modelShortOf(s *risk.Assessment) modelShort {
	return modelShort{s.Level, s.Action, modelSetOfPlain(s.Require)}
}

var modelStopShapes = map[string]modelShape{
	"healthy": {},
	"errors":  {errors: 1},
	"staged":  {errors: 0.6, staged: true},
	"flows":   {errors: 0.3, flows: true},
}

// checkEarlyStop compares early stop with full runs. Flows are continued on both sides.
func checkEarlyStop(t *testing.T, shape modelShape, b modelBudget) {
	skipped := 0
	b.each(shape, func(r *rand.Rand, w *modelWorld, name string) {
		full, early := modelEngine(t, w, 1, nil), modelEngine(t, w, 0, nil)
		for range b.attempts {
			var flowFull, flowEarly, story string
			s := w.script(r)
			for step := range 3 {
				story += fmt.Sprintf("step %d\n%s", step, s.print(w))
				x, y := full.Assess(context.Background(), s.attempt(flowFull)), early.Assess(context.Background(), s.attempt(flowEarly))
				if modelShortOf(x) != modelShortOf(y) || !x.Until.Equal(y.Until) {
					t.Fatalf("%s step %d: full run %+v, early stop %+v skipped %v\n%s%s", name, step,
						modelShortOf(x), modelShortOf(y), y.Skipped, w, story)
				}
				skipped += len(y.Skipped)
				if !shape.flows || x.Flow == "" {
					break
				}
				flowFull, flowEarly = x.Flow, y.Flow
				// The visitor brings more proofs; nothing else changes.
				s = s.clone()
				for j := range s.says {
					if s.says[j].kind == "says" && modelChance(r, 0.7) {
						s.says[j].proofs = w.descs[j].Proofs
					}
				}
			}
		}
	})
	require.Greater(t, skipped, b.worlds/2, "the cases must bite")
}

func TestPropertyEarlyStop(t *testing.T) {
	for name, shape := range modelStopShapes {
		t.Run(name, func(t *testing.T) { checkEarlyStop(t, shape, modelBudget{3, 60, 6}) })
	}
}

// A rule names a signal in error and one that is still open: whether it requires its proof for certain hangs on the
// open one, and so does what the error may cost. Both ends of the open signal ask for the same, the middle for less.
func TestPropertyEarlyStopErrorAndRule(t *testing.T) {
	broken := risk.SignalFunc{Description: risk.Description{Name: "ip", Cost: risk.Local, OnError: risk.FailChallenge, Codes: []risk.Code{{Name: "tor", Points: 5}}},
		Func: func(context.Context, *risk.Attempt, *risk.Finding) error { return errModel }}
	open := risk.SignalFunc{Description: risk.Description{Name: "email", Cost: risk.Stored, OnError: risk.FailChallenge, Timeout: time.Hour,
		Codes: []risk.Code{{Name: "new", Points: 1}, {Name: "burner", Points: 60}}},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if a.Channel != "quiet" {
				f.Observe("new")
			}
			return nil
		}}
	prover := risk.SignalFunc{Description: risk.Description{Name: "phone", Cost: risk.Local, OnError: risk.FailReview, Proofs: []risk.Proof{risk.ProofHuman, risk.ProofPhone}},
		Func: func(_ context.Context, _ *risk.Attempt, f *risk.Finding) error {
			f.Prove(risk.ProofPhone)
			return nil
		}}
	signals := []risk.Signal{broken, open, prover}
	assess := func(share float64, channel string) *risk.Assessment {
		p, err := risk.NewPolicy(risk.PolicySpec{Name: "x", Sampling: &share,
			Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
				{Name: "allow", Range: &[2]int{0, 60}, Action: risk.Allow},
				{Name: "challenge", Range: &[2]int{61, 100}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofHuman, risk.ProofPhone}}}}},
			Groups: map[string]risk.Group{"email": {Hi: 100}},
			Rules:  []risk.Rule{{Name: "r", When: "email.new || ip.tor", Require: []risk.Proof{risk.ProofPhone}}}})
		require.NoError(t, err)
		e, err := risk.NewEngine(p, signals, &risk.Options{Budget: time.Hour})
		require.NoError(t, err)
		return e.Assess(t.Context(), &risk.Attempt{Channel: channel})
	}
	full, early := assess(1, ""), assess(0, "")
	require.Equal(t, modelShortOf(full), modelShortOf(early), "skipped %v", early.Skipped)
	// The same rule, and more bad evidence.
	require.GreaterOrEqual(t, full.Action, assess(1, "quiet").Action, "email.new is bad evidence")
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
func checkMonotone(t *testing.T, shape modelShape, b modelBudget, assessor func(w *modelWorld) modelAssess) {
	shape.calm = true
	b.each(shape, func(r *rand.Rand, w *modelWorld, name string) {
		assess := assessor(w)
		for range b.attempts {
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
					t.Fatalf("%s: bad=%v %+v, with more evidence %+v\n%s%swith more\n%s", name, bad, before, after, w, s.print(w), more.print(w))
				}
			}
		}
	})
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
			checkMonotone(t, modelShape{errors: errs}, modelBudget{8, 100, 5}, engineAssess(t, 1))
		})
	}
}

// Bad evidence that makes a rule require one more proof does not turn a review, or a block, into a challenge.
func TestPropertyProofsSoftenNothing(t *testing.T) {
	for _, action := range []risk.Action{risk.Review, risk.Block} {
		ip := risk.SignalFunc{Description: risk.Description{Name: "ip", Cost: risk.Local, OnError: risk.FailOpen,
			Codes: []risk.Code{{Name: "tor", Points: 5}}, Proofs: []risk.Proof{risk.ProofDevice, risk.ProofPhone}},
			Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
				f.Prove(risk.ProofDevice)
				if a.Channel == "tor" {
					f.Observe("tor")
				}
				return nil
			}}
		p, err := risk.NewPolicy(risk.PolicySpec{Name: "x",
			Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{{Name: "strict", Range: &[2]int{0, 100}, Action: action, Require: []risk.Proof{risk.ProofDevice}}}}},
			Rules:    []risk.Rule{{Name: "r", When: "ip.tor", Require: []risk.Proof{risk.ProofPhone}}}})
		require.NoError(t, err)
		e, err := risk.NewEngine(p, []risk.Signal{ip}, nil)
		require.NoError(t, err)
		require.Equal(t, action, e.Assess(t.Context(), &risk.Attempt{}).Action)
		require.Equal(t, action, e.Assess(t.Context(), &risk.Attempt{Channel: "tor"}).Action)
	}
}

package risk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// checkOrder registers the signals in other orders and lets them answer at other times: the assessment is the same,
// byte for byte.
func checkOrder(t *testing.T, b modelBudget) {
	b.each(modelShape{errors: 0.4}, func(r *rand.Rand, w *modelWorld, name string) {
		synctest.Test(t, func(t *testing.T) {
			shuffled := w.list()
			r.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
			for _, share := range []float64{0, 1} {
				one, other := modelEngine(t, w, share, nil), modelEngine(t, w, share, shuffled)
				for range b.attempts {
					s := w.script(r)
					var want []byte
					for k, e := range []*risk.Engine{one, other, one, other} {
						s := s.clone()
						s.slow = k > 0
						for j := range s.says {
							s.says[j].delay *= [...]time.Duration{1, 1, 7, 3}[k]
							r.Shuffle(len(s.says[j].codes), func(a, b int) { c := s.says[j].codes; c[a], c[b] = c[b], c[a] })
						}
						got, err := json.Marshal(e.Assess(context.Background(), s.attempt("")))
						require.NoError(t, err)
						if k == 0 {
							want = got
						}
						require.Equal(t, string(want), string(got), "%s engine %d\n%s%s", name, k, w, s.print(w))
					}
				}
			}
		})
	})
}

func TestPropertyOrderAndTiming(t *testing.T) { checkOrder(t, modelBudget{9, 60, 3}) }

// checkDeny adds a code whose floor is block: whatever else is said, the level blocks once its own proofs are given.
func checkDeny(t *testing.T, b modelBudget) {
	denied := 0
	b.each(modelShape{errors: 0.3}, func(r *rand.Rand, w *modelWorld, name string) {
		var denies []int
		for c := range w.codes {
			if w.codes[c].floor == risk.Block && w.codes[c].signal > 0 {
				denies = append(denies, c)
			}
		}
		if len(denies) == 0 {
			return
		}
		e := modelEngine(t, w, modelPick(r, 0.0, 1), nil)
		for range b.attempts {
			s := w.script(r)
			c := modelPick(r, denies...)
			say := &s.says[w.codes[c].signal]
			if say.kind != "says" {
				continue
			}
			say.codes = append(say.codes, modelCodeSaid{code: c, name: w.codes[c].decl.Name, degree: 0.01})
			got := e.Assess(context.Background(), s.attempt(""))
			if slices.Contains(got.Unused, w.descs[w.codes[c].signal].Name) || slices.Contains(got.Skipped, w.descs[w.codes[c].signal].Name) {
				continue // a step-up signal nobody asked; or the answer was certain without it
			}
			seg := w.segmentOf(s)
			l := &seg.levels[seg.named(got.Level)]
			blocks, _ := l.answer(l.require, modelEverything, 0)
			last, _ := seg.levels[len(seg.levels)-1].answer(seg.levels[len(seg.levels)-1].require, modelEverything, 0)
			ok := seg.named(got.Level) >= seg.proven(risk.Block)
			if last == risk.Block { // the policy can block
				denied++
				var given modelSet
				for j := range s.says {
					if s.says[j].kind == "says" {
						given |= modelSetOf(s.says[j].proofs)
					}
				}
				own := got.Action == risk.Challenge && modelSetOfPlain(got.Require)&l.require != 0
				ok = ok && blocks == risk.Block && (got.Action == risk.Block || own)
			}
			if !ok {
				t.Fatalf("%s: deny %s outvoted: level %s action %s require %v\n%s%s", name, w.codes[c].full, got.Level, got.Action, got.Require, w, s.print(w))
			}
		}
	})
	require.Greater(t, denied, b.worlds/20, "the cases must bite")
}

func TestPropertyDenyIsNeverOutvoted(t *testing.T) { checkDeny(t, modelBudget{10, 300, 20}) }

// checkForcedError makes one healthy signal err: the level is at least what the truth or the signal's fail mode says,
// whichever is milder, and so is the action where every proof can be had.
func checkForcedError(t *testing.T, shape modelShape, b modelBudget, assessor func(w *modelWorld) modelAssess) {
	b.each(shape, func(r *rand.Rand, w *modelWorld, name string) {
		assess := assessor(w)
		for range b.attempts {
			s := w.script(r)
			for j := range s.says {
				if s.says[j].kind != "says" || w.modes[j] == risk.FailOpen || j == 0 {
					continue
				}
				s.says[j].retry = time.Time{}
				forced := s.clone()
				forced.says[j].kind = "errs"
				truth, got := w.sameHearing(assess, s.clone(), forced)
				if forced.says[j].kind == "none" {
					continue
				}
				seg := w.segmentOf(s)
				most := seg.failLevel(w.modes[j])
				level := seg.named(got.level)
				ok := level >= min(seg.named(truth.level), most)
				run := w.newRun(forced)
				for k := range forced.says {
					switch forced.says[k].kind {
					case "says":
						run.given |= modelSetOf(forced.says[k].proofs)
					case "errs", "lies":
						run.erring[k] = true
					}
				}
				if run.can() == w.allProofs() && len(s.says[j].proofs) == 0 { // an error never supplies a proof
					l := &seg.levels[most]
					mode, _ := l.answer(l.require, run.given, run.can())
					ok = ok && got.action >= min(truth.action, mode)
				}
				if !ok {
					t.Fatalf("%s: truth %+v, with %s in error %+v, its mode %s is level %s\n%s%s", name, truth, w.descs[j].Name, got,
						w.modes[j], seg.levels[most].name, w, s.print(w))
				}
			}
		}
	})
}

func TestPropertyForcedErrorNeverPays(t *testing.T) {
	for name, calm := range map[string]bool{"anything given": false, "everything obtainable": true} {
		t.Run(name, func(t *testing.T) {
			checkForcedError(t, modelShape{errors: 0.4, calm: calm}, modelBudget{11, 100, 5}, engineAssess(t, 1))
		})
	}
}

// checkChallenge looks at many assessments: a challenge requires something, nothing else does, and only it has a flow.
func checkChallenge(t *testing.T, b modelBudget) {
	b.each(modelShape{errors: 0.4}, func(r *rand.Rand, w *modelWorld, name string) {
		e := modelEngine(t, w, modelPick(r, 0.0, 1), nil)
		flow := ""
		for range b.attempts {
			s := w.script(r)
			got := e.Assess(context.Background(), s.attempt(flow))
			challenged := got.Action == risk.Challenge
			require.Equal(t, challenged, len(got.Require) > 0, "%s\n%s%s", name, w, s.print(w))
			if challenged {
				require.NotEmpty(t, got.Flow, name)
			}
			require.Contains(t, []risk.Action{risk.Allow, risk.Wait, risk.Challenge, risk.Delay, risk.Review, risk.Lock, risk.Block}, got.Action)
			require.Equal(t, got.Allowed(), got.Action == risk.Allow)
			flow = got.Flow
		}
	})
}

func TestPropertyChallengeRequiresSomething(t *testing.T) {
	checkChallenge(t, modelBudget{12, 100, 10})
}

// checkFinishers lets several finishers of a challenged attempt in, one after the other or at once: all but one are
// judged as new attempts that have proven nothing.
func checkFinishers(t *testing.T, b modelBudget) {
	finished := 0
	b.each(modelShape{plain: true, calm: true}, func(r *rand.Rand, w *modelWorld, name string) {
		if w.segs[len(w.segs)-1].alwaysAllows() {
			return
		}
		e := modelEngine(t, w, modelPick(r, 0.0, 1), nil)
		for i := range b.attempts {
			s := w.script(r)
			s.event = risk.SignUp
			for j := range s.says {
				s.says[j].retry, s.says[j].proofs = time.Time{}, nil
			}
			first := e.Assess(context.Background(), s.attempt(""))
			if first.Action != risk.Challenge {
				continue
			}
			s = s.clone()
			for j := range s.says {
				s.says[j].proofs = w.descs[j].Proofs
			}
			const most = 4
			answers := make([]*risk.Assessment, most)
			finish := func(k int) { answers[k] = e.Assess(context.Background(), s.attempt(first.Flow)) }
			var wg sync.WaitGroup
			for k := range answers {
				if i%2 == 0 {
					finish(k)
				} else {
					wg.Go(func() { finish(k) })
				}
			}
			wg.Wait()
			done, last := 0, 0
			for k, a := range answers {
				if a.Allowed() {
					done++
					last = k
				}
				if slices.ContainsFunc(a.Reasons, func(v risk.Reason) bool { return v.Signal == "flow" && v.Code == "spent" }) {
					require.False(t, a.Allowed(), "%s: %+v\n%s%s", name, a, w, s.print(w))
				} else if i%2 == 0 { // after one that has finished everybody finds the flow spent
					require.True(t, done == 0 || last == k, "%s: %+v\n%s%s", name, a, w, s.print(w))
				}
			}
			require.LessOrEqual(t, done, 1, "%s\n%s%s", name, w, s.print(w))
			if done == 1 {
				finished++
			}
		}
	})
	require.Greater(t, finished, b.worlds/50, "the cases must bite")
}

// alwaysAllows reports whether no level of the segment withholds anything from who proves nothing: then there is no
// level for a floor of challenge to mean.
func (s *modelSegment) alwaysAllows() bool {
	l := &s.levels[s.failLevel(risk.FailChallenge)]
	a, _ := l.answer(l.require, 0, modelEverything)
	return a == risk.Allow
}

func TestPropertySecondFinisherIsRefused(t *testing.T) {
	checkFinishers(t, modelBudget{13, 100, 8})
}

// What two policies with one hash say must be the same: a text that says that nothing is offered is not the text that
// offers everything.
func TestHashNamesOnePolicy(t *testing.T) {
	text := `{"name":"x","segments":[{"name":"all",%s"levels":[{"name":"low","range":[0,10],"action":"allow"},{"name":"ask","range":[11,100],"action":"challenge","require":["human"]}]}]}`
	signals := []risk.Signal{risk.SignalFunc{Description: risk.Description{Name: "captcha", Cost: risk.Local, OnError: risk.FailOpen, Proofs: []risk.Proof{risk.ProofHuman}},
		Func: func(context.Context, *risk.Attempt, *risk.Finding) error { return nil }}}
	actions := map[string]risk.Action{}
	for _, offers := range []string{"", `"offers":[],`, `"offers":["human"],`} {
		p, err := risk.ParsePolicy(fmt.Appendf(nil, text, offers))
		require.NoError(t, err)
		e, err := risk.NewEngine(p, signals, nil)
		require.NoError(t, err)
		got := e.Assess(t.Context(), &risk.Attempt{}).Action
		if was, known := actions[p.Hash()]; known {
			require.Equal(t, was, got, "offers %q has the hash of another policy", offers)
		}
		actions[p.Hash()] = got
	}
}

// A rule is switched off where a signal it needs is missing, whatever its effect: also if nobody gives what it requires.
func TestNeedsSwitchesRuleOff(t *testing.T) {
	signals := []risk.Signal{risk.SignalFunc{Description: risk.Description{Name: "ip", Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "tor", Points: 22}}},
		Func: func(context.Context, *risk.Attempt, *risk.Finding) error { return nil }}}
	for _, rule := range []risk.Rule{
		{Name: "r", When: "phone.voip", Points: 5},
		{Name: "r", When: "phone.voip", Floor: "review"},
		{Name: "r", When: "ip.tor", Require: []risk.Proof{risk.ProofPhone}},
	} {
		rule.Needs = []string{"phone"}
		p, err := risk.NewPolicy(risk.PolicySpec{Name: "x", Rules: []risk.Rule{rule}, Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
			{Name: "allow", Range: &[2]int{0, 50}, Action: risk.Allow}, {Name: "review", Range: &[2]int{51, 100}, Action: risk.Review}}}}})
		require.NoError(t, err)
		e, err := risk.NewEngine(p, signals, nil)
		require.NoError(t, err, "%+v", rule)
		require.Equal(t, []string{"r"}, e.RulesOff())
	}
}

// Good evidence a flow keeps is not forgotten where its signal is asked again for another proof and early stop, or an
// error, keeps it from answering.
func TestPropertyKeptEvidenceStays(t *testing.T) {
	vouch := func(fails bool) risk.Signal {
		return risk.SignalFunc{Description: risk.Description{Name: "account", Cost: risk.Remote, OnError: risk.FailOpen, Timeout: time.Hour,
			Codes: []risk.Code{{Name: "known", Points: -4}}, Proofs: []risk.Proof{risk.ProofHuman, "badge"}},
			Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
				if a.Continued() && fails {
					return errModel
				}
				f.Observe("known")
				f.Prove(risk.ProofHuman)
				return nil
			}}
	}
	badge := risk.SignalFunc{Description: risk.Description{Name: "attest", Cost: risk.Stored, OnError: risk.FailOpen, Timeout: time.Hour, Proofs: []risk.Proof{"badge"}},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if a.Continued() {
				f.Prove("badge")
			}
			return nil
		}}
	for _, fails := range []bool{false, true} {
		for _, share := range []float64{0, 1} {
			p, err := risk.NewPolicy(risk.PolicySpec{Name: "x", Sampling: &share,
				Segments: []risk.Segment{{Name: "all", Prior: 0.2, Levels: []risk.Level{
					{Name: "ask", Range: &[2]int{0, 20}, Action: risk.Challenge, Require: []risk.Proof{"badge"}},
					{Name: "lock", Range: &[2]int{21, 100}, Action: risk.Block}}}},
				Rules: []risk.Rule{{Name: "r", When: "account.known", Ceiling: "ask"}}})
			require.NoError(t, err)
			e, err := risk.NewEngine(p, []risk.Signal{vouch(fails), badge}, &risk.Options{Budget: time.Hour})
			require.NoError(t, err)
			first := e.Assess(t.Context(), &risk.Attempt{})
			require.Equal(t, risk.Challenge, first.Action)
			second := e.Assess(t.Context(), &risk.Attempt{Flow: first.Flow})
			require.Equal(t, risk.Allow, second.Action, "share %v fails %v: level %s skipped %v", share, fails, second.Level, second.Skipped)
		}
	}
}

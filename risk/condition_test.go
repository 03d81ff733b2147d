package risk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// conditionWorld has facts and 0-point codes only: conditions may name them in any way.
func conditionWorld() *modelWorld {
	w := &modelWorld{}
	w.describe(rand.New(rand.NewPCG(1, 1)))
	w.descs = append(w.descs[:1:1], risk.Description{Name: "ip", Cost: risk.Local, OnError: risk.FailOpen,
		Codes: []risk.Code{{Name: "c0"}, {Name: "c1"}, {Name: "c2"}, {Name: "c3"}},
		Facts: []risk.FactType{{Name: "n0", Kind: risk.Number}, {Name: "n1", Kind: risk.Number}, {Name: "t0", Kind: risk.Text}, {Name: "t1", Kind: risk.Text}}},
		risk.Description{Name: "form", Cost: risk.Local, OnError: risk.FailOpen,
			Codes: []risk.Code{{Name: "c0"}}, Facts: []risk.FactType{{Name: "n0", Kind: risk.Number}}})
	w.number()
	w.spec.Name = "conditions"
	w.spec.Segments = []risk.Segment{{Name: "all", Levels: []risk.Level{{Name: "l0", Range: &[2]int{0, 50}, Action: risk.Allow},
		{Name: "l1", Range: &[2]int{51, 100}, Action: risk.Review}}}}
	w.spec.Lists = map[string][]string{"nordic": {"NO", "SE"}, "channels": {"web", "kiosk"}}
	w.number()
	return w
}

// checkConditions holds compiled conditions against a naive evaluation of the tree as written, and what the loader
// calls unreachable against many scenes.
func checkConditions(t *testing.T, b modelBudget) {
	held, unreachable := 0, 0
	for i := range b.worlds {
		r := rand.New(rand.NewPCG(b.seed, uint64(i)))
		w := conditionWorld()
		g := &modelRuleMaker{w: w, r: r, facts: map[int]bool{}, codes: map[int]bool{}}
		var dead []*modelExpr
		for k := range 8 {
			raising := modelChance(r, 0.5)
			e := g.expr(5, raising, true)
			v := risk.Rule{Name: fmt.Sprintf("r%d", k), Mode: risk.Shadow, When: e.String(), Floor: "l1"}
			if !raising {
				v.Floor, v.Ceiling = "", "l0"
			}
			before := len(w.rules)
			if w.keepRules([]modelRule{{Rule: v, expr: e}}); len(w.rules) == before {
				dead = append(dead, e)
				unreachable++
			}
		}
		if w.policy == nil {
			continue
		}
		e := modelEngine(t, w, 1, nil)
		for range b.attempts {
			s := w.script(r)
			run := w.newRun(s)
			for j := 1; j < len(w.descs); j++ {
				if s.says[j].kind != "none" {
					run.ask(j)
				}
			}
			want := w.judge(run.seg, run.scene, run.erring, true).shadows
			got := e.Assess(context.Background(), s.attempt(""))
			require.Equal(t, want, got.ShadowRules, "seed %d world %d\n%s%s", b.seed, i, w, s.print(w))
			held += len(want)
			for _, d := range dead {
				require.NotEqual(t, modelTrue, d.eval(run.scene.test), "seed %d world %d: %s was refused", b.seed, i, d)
			}
		}
	}
	require.Greater(t, held, b.worlds)
	require.Greater(t, unreachable, b.worlds/50)
}

func TestPropertyConditions(t *testing.T) { checkConditions(t, modelBudget{14, 80, 8}) }

package risk_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// FuzzCondition gives the compiler any text. It must answer soon, say where a fault is, and understand a text and its
// double negation alike.
func FuzzCondition(f *testing.F) {
	for _, text := range []string{
		`ip.c0`, `!ip.c0 && ip.n0 > 3`, `score >= 31`, `31 <= score || known(ip.t0)`, `oneof(ip.t0, "NO", nordic)`, `event == "login"`,
		`!(ip.n0 != -1.5e3 || !(form.n0 == 0x10))`, `ip.t0 != "\u00e9"`, `((((ip.c1))))`, `ip.c0 ||`, `ip.n0 > 1e999`, `func() bool { return true }()`,
		`ip.n0 > 0x1p-1074`, `ip.n0 > 1e1000000000`, `oneof(channel, channels...)`, `ip["c0"]`, "`a` == event", `ip.c0 == true`, `"a" == "a"`,
		strings.Repeat("(", 500) + "ip.c0" + strings.Repeat(")", 500), strings.Repeat("!", 900) + "ip.c0", strings.Repeat("ip.c0&&", 140) + "ip.c0",
	} {
		f.Add(text)
	}
	w := conditionWorld()
	var scripts []*modelScript
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		scripts = append(scripts, w.script(r))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, effect := range []risk.Rule{{Floor: "l1"}, {Ceiling: "l0"}} {
			begun := time.Now()
			plain, err := conditionEngine(w, effect, text)
			require.Less(t, time.Since(begun), 5*time.Second)
			if err != nil {
				_, ok := errors.AsType[*risk.PolicyError](err)
				require.True(t, ok, "%v", err)
				continue
			}
			require.LessOrEqual(t, len(text), 1024)
			twice, err := conditionEngine(w, effect, "!(!("+text+"))")
			if err != nil {
				continue // the double negation is over the bounds; or the text holds a comment
			}
			for _, s := range scripts {
				x, y := plain.Assess(t.Context(), s.attempt("")), twice.Assess(t.Context(), s.attempt(""))
				require.Equal(t, x.ShadowRules, y.ShadowRules)
			}
		}
	})
}

// conditionEngine has one rule with the text as its condition.
func conditionEngine(w *modelWorld, rule risk.Rule, text string) (*risk.Engine, error) {
	rule.Name, rule.When, rule.Mode = "r", text, risk.Shadow
	spec := w.spec
	spec.Rules = []risk.Rule{rule}
	p, err := risk.NewPolicy(spec)
	if err != nil {
		return nil, err
	}
	return risk.NewEngine(p, w.list(), nil)
}

// FuzzParsePolicy gives the loader any text. What it accepts reads back from its canonical form as the same policy.
func FuzzParsePolicy(f *testing.F) {
	for i := range 12 {
		w := newModelWorld(rand.New(rand.NewPCG(15, uint64(i))), modelShape{})
		text, err := w.policy.MarshalJSON()
		require.NoError(f, err)
		f.Add(text)
	}
	levels := `"levels":[{"name":"low","range":[0,10],"action":"allow"},{"name":"ask","range":[11,100],"action":"challenge","require":["human"]}]`
	for _, text := range []string{
		``, `{}`, `[]`, `null`, `{"name":"x"}`, `{"name":"x","name":"y"}`, `{"name":"x","segments":[{"name":"a"}]}`,
		`{"name":"x","segments":[{"name":"a","offers":[],` + levels + `}]}`, `{"name":"x","segments":[{"name":"a","prior":-0.0,"event":[]}]}`,
		`{"name":"\ud800","segments":[{"name":"a"}],"lists":{"l":["\u2028"]},"sampling":1e-400}`, `{"name":"x","segments":[{"name":"a"}],"sampling":NaN}`,
		`{"name":"x","segments":[{"name":"a"}]}{}`, strings.Repeat("[", 20), `{"name":"x","segments":[{"name":"a"}],"groups":{"g":{}}}`,
		`{"name":"x","segments":[{"name":"a"}],"rules":[{"name":"r","when":"ip.c0","points":5}],"fail":{"ip":"closed"},"floors":{"ip.c0":"allow"}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := risk.ParsePolicy(data)
		if err != nil {
			_, ok := errors.AsType[*risk.PolicyError](err)
			require.True(t, ok, "%v", err)
			require.Nil(t, p)
			return
		}
		text, err := p.MarshalJSON()
		require.NoError(t, err)
		again, err := risk.ParsePolicy(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, p.Hash(), again.Hash())
		built, err := risk.NewPolicy(p.Spec())
		require.NoError(t, err)
		require.Equal(t, p.Hash(), built.Hash())
		for i, g := range p.Spec().Segments {
			require.Equal(t, g.Offers == nil, again.Spec().Segments[i].Offers == nil, "offering nothing is not offering everything")
		}
	})
}

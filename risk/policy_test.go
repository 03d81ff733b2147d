package risk_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

const goodPolicy = `{
  "name": "shop", "owner": "risk team", "review": "2027-01-31", "sampling": 0.05,
  "segments": [
    {"name": "partners", "client": ["partner"], "prior": 0.001},
    {"name": "all", "levels": [
      {"name": "allow", "range": [0, 30], "action": "allow"},
      {"name": "challenge", "range": [31, 60], "action": "challenge", "require": ["human"], "else": "block"},
      {"name": "review", "range": [61, 100], "action": "review", "require": ["human"]},
      {"name": "block", "action": "block"}
    ]}
  ],
  "points": {"ip.bad": 30}, "weights": {"ip": 0.5}, "fail": {"ip": "review"}, "floors": {"ip.bad": "review"},
  "groups": {"ip": {"hi": 40, "decay": 0.25}},
  "lists": {"nordic": ["NO", "SE"]},
  "rules": [
    {"name": "abroad", "when": "!oneof(ip.country, nordic) && ip.bad", "points": 5},
    {"name": "heavy", "when": "ip.count > 3 || score >= 80", "floor": "block"},
    {"name": "known", "when": "lists.allow", "ceiling": "allow", "needs": ["lists"]},
    {"name": "pay", "when": "event == \"payout_change\"", "require": ["human"], "mode": "shadow"}
  ]
}`

func policySignals() []risk.Signal {
	return []risk.Signal{
		says(risk.Description{Name: "ip", Codes: []risk.Code{{Name: "bad", Points: 20}, {Name: "good", Points: -4}, {Name: "note"}},
			Facts: []risk.FactType{{Name: "country", Kind: risk.Text}, {Name: "count", Kind: risk.Number}}}, func(*risk.Attempt, *risk.Finding) {}),
		prover("captcha", risk.ProofHuman, risk.Stored),
	}
}

func TestPolicyRoundTrip(t *testing.T) {
	// The level "review" of the segment "partners" is that of the default levels, which want a device.
	text := strings.Replace(goodPolicy, `"prior": 0.001}`, `"prior": 0.001, "levels": [
		{"name": "allow", "range": [0, 100], "action": "allow"}, {"name": "block", "action": "block"}]}`, 1)
	p := policy(t, text)
	again, err := p.MarshalJSON()
	require.NoError(t, err)
	back, err := risk.ParsePolicy(again)
	require.NoError(t, err)
	require.Equal(t, p.Hash(), back.Hash())
	rebuilt, err := risk.NewPolicy(p.Spec())
	require.NoError(t, err)
	require.Equal(t, p.Hash(), rebuilt.Hash())
	require.Len(t, p.Hash(), 64)
	e, err := risk.NewEngine(p, policySignals(), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"known"}, e.RulesOff())
	s := e.Assess(t.Context(), &risk.Attempt{Event: risk.PayoutChange})
	require.Equal(t, []string{"pay"}, s.ShadowRules)
	require.True(t, s.Allowed())
	require.Equal(t, risk.PolicyRef{Name: "shop", Hash: p.Hash(), Segment: "all"}, s.Policy)
}

func TestDefaultsShareTheHash(t *testing.T) {
	a := policy(t, `{"name":"p","segments":[{"name":"all"}]}`)
	b := policy(t, `{"segments":[{"prior":0.01,"name":"all"}],  "sampling":0.01, "name":"p"}`)
	require.Equal(t, a.Hash(), b.Hash())
	c := policy(t, `{"name":"p","segments":[{"name":"all","prior":0.02}]}`)
	require.NotEqual(t, a.Hash(), c.Hash())
}

func TestParsePolicyRefuses(t *testing.T) {
	levels := func(s string) string { return `{"name":"p","segments":[{"name":"all","levels":[` + s + `]}]}` }
	rule := func(s string) string { return `{"name":"p","segments":[{"name":"all"}],"rules":[` + s + `]}` }
	for _, row := range []struct{ name, text, want string }{
		{"empty", ``, "1:1: the text ends too early"},
		{"truncated", `{"name": "p",`, "the text ends too early"},
		{"not JSON", `{"name": p}`, "1:10: not JSON"},
		{"NaN", `{"name":"p","sampling":NaN}`, "not JSON"},
		{"trailing", `{"name":"p","segments":[{"name":"all"}]} 1`, "data after the policy"},
		{"an array", `[]`, "want an object, have an array"},
		{"duplicate", "{\"name\":\"p\",\n \"name\":\"q\"}", `2:2: duplicate member "name"`},
		{"unknown member", "{\"name\":\"p\",\n  \"nmae\":1}", "2:3 nmae: unknown member"},
		{"wrong type", `{"name":1}`, "1:9 name: want a string, have a number"},
		{"case of names", `{"Name":"p"}`, "unknown member"},
		{"deep", strings.Repeat("[", 50), "nested deeper"},
		{"huge", strings.Repeat(" ", 1<<20+1), "at most 1048576"},
		{"invalid UTF-8", "{\"name\":\"\xff\"}", "UTF-8"},
		{"no name", `{"segments":[{"name":"all"}]}`, "name: missing"},
		{"no segments", `{"name":"p"}`, "segments: 0 segments"},
		{"no catch-all", `{"name":"p","segments":[{"name":"a","channel":["web"]}]}`, "last segment must match everything"},
		{"unreachable segment", `{"name":"p","segments":[{"name":"a"},{"name":"b"}]}`, `segments[1]: unreachable: segment "a"`},
		{"prior", `{"name":"p","segments":[{"name":"a","prior":1}]}`, "segments[0].prior: want above 0 and below 1"},
		{"sampling", `{"name":"p","sampling":1.5,"segments":[{"name":"a"}]}`, "1:24 sampling: want 0 to 1"},
		{"review date", `{"name":"p","review":"soon","segments":[{"name":"a"}]}`, "want a date"},
		{"gap", levels(`{"name":"a","range":[0,30],"action":"allow"},{"name":"b","range":[32,100],"action":"block"}`), "range: gap: no level has score 31"},
		{"overlap", levels(`{"name":"a","range":[0,30],"action":"allow"},{"name":"b","range":[30,100],"action":"block"}`), "overlap: score 30"},
		{"short", levels(`{"name":"a","range":[0,30],"action":"allow"}`), "gap: no level has score 31"},
		{"backwards", levels(`{"name":"a","range":[30,0],"action":"allow"}`), "no range within"},
		{"fraction", levels(`{"name":"a","range":[0,30.5],"action":"allow"}`), "want a whole number"},
		{"wait level", levels(`{"name":"a","range":[0,100],"action":"wait"}`), "cannot be a level's action"},
		{"idle challenge", levels(`{"name":"a","range":[0,100],"action":"challenge"}`), "must require something"},
		{"delay without for", levels(`{"name":"a","range":[0,100],"action":"delay"}`), "need a duration"},
		{"for without delay", levels(`{"name":"a","range":[0,100],"action":"allow","for":"1h"}`), "only delay and lock last"},
		{"milder else", levels(`{"name":"a","range":[0,100],"action":"challenge","require":["human"],"then":"block","else":"review"}`), "refusing to prove would pay"},
		{"allow that blocks", levels(`{"name":"a","range":[0,100],"action":"allow","then":"block"}`), "an allow level cannot block"},
		{"falling", levels(`{"name":"a","range":[0,50],"action":"review"},{"name":"b","range":[51,100],"action":"allow"}`), "levels must be in order of strictness"},
		{"falling with proofs", levels(`{"name":"a","range":[0,50],"action":"challenge","require":["human"],"then":"review"},{"name":"b","range":[51,100],"action":"challenge","require":["phone"]}`), "with [human] given"},
		{"group", `{"name":"p","segments":[{"name":"a"}],"groups":{"g":{"lo":1}}}`, "groups.g.lo: want -100 to 0"},
		{"decay", `{"name":"p","segments":[{"name":"a"}],"groups":{"g":{"decay":2}}}`, "groups.g.decay: want 0 to 1"},
		{"weight", `{"name":"p","segments":[{"name":"a"}],"weights":{"ip":11}}`, "weights.ip: want 0 to 10"},
		{"points", `{"name":"p","segments":[{"name":"a"}],"points":{"ip.bad":101}}`, `points["ip.bad"]: 101 points`},
		{"two effects", rule(`{"name":"r","when":"ip.bad","points":1,"floor":"block"}`), "exactly one of"},
		{"no effect", rule(`{"name":"r","when":"ip.bad"}`), "exactly one of"},
		{"unknown level", rule(`{"name":"r","when":"ip.bad","floor":"nowhere"}`), "has no level"},
		{"idle floor", rule(`{"name":"r","when":"ip.bad","floor":"allow"}`), "changes nothing"},
		{"idle ceiling", rule(`{"name":"r","when":"ip.bad","ceiling":"block"}`), "changes nothing"},
		{"twice the name", rule(`{"name":"r","when":"ip.bad","points":1},{"name":"r","when":"ip.bad","points":1}`), "name of an earlier rule"},
		{"mode", rule(`{"name":"r","when":"ip.bad","points":1,"mode":"maybe"}`), "want enforce, shadow or off"},
		{"action", levels(`{"name":"a","range":[0,100],"action":"permit"}`), `unknown action "permit"`},
		{"list", `{"name":"p","segments":[{"name":"a"}],"lists":{"x-y":["a"]}}`, "Go identifier"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := risk.ParsePolicy([]byte(row.text))
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestPolicyMustFitTheSignals(t *testing.T) {
	compact := `{"name":"p","segments":[{"name":"all","levels":[{"name":"allow","range":[0,60],"action":"allow"},
{"name":"block","range":[61,100],"action":"block"}]}],` + "\n"
	when := func(cond, effect string) string {
		return compact + `"rules":[{"name":"r","when":"` + strings.ReplaceAll(cond, `"`, `\"`) + `",` + effect + `}]}`
	}
	for _, row := range []struct{ name, text, want string }{
		{"unknown code", compact + `"points":{"ip.nope":1}}`, `3:21 points["ip.nope"]: no registered signal declares this code`},
		{"turned around", compact + `"points":{"ip.bad":-1}}`, "keeps the sign"},
		{"zero stays", compact + `"points":{"ip.note":1}}`, "0 stays 0"},
		{"unknown signal", compact + `"weights":{"nope":1}}`, "no signal of this name"},
		{"unknown group", compact + `"groups":{"nope":{}}}`, "no code or rule is in this group"},
		{"floor on good", compact + `"floors":{"ip.good":"block"}}`, "good evidence cannot have a floor"},
		{"unprovable", `{"name":"p","segments":[{"name":"all"}]}`, `no registered signal can prove "phone"`},
		{"syntax", when(`ip.bad &&`, `"points":1`), "not a Go expression"},
		{"long", when(strings.Repeat("ip.bad || ", 200)+"ip.bad", `"points":1`), "at most 1024"},
		{"unknown name", when(`ip.nope`, `"points":1`), `declares no "ip.nope"`},
		{"unregistered", when(`lists.deny`, `"floor":"block"`), "list it in needs"},
		{"bare fact", when(`ip.country`, `"points":1`), "compare it"},
		{"compared code", when(`ip.bad == 1`, `"points":1`), "true or false by itself"},
		{"type", when(`ip.country > 3`, `"points":1`), "is a text"},
		{"type 2", when(`ip.count == "x"`, `"points":1`), "is a number"},
		{"text order", when(`ip.country < "x"`, `"points":1`), "== and != only"},
		{"two facts", when(`ip.count > ip.count`, `"points":1`), "comparison with a constant"},
		{"call", when(`len(ip.country) > 2`, `"points":1`), "want a fact"},
		{"function", when(`func() bool { return true }()`, `"points":1`), "only known and oneof"},
		{"arithmetic", when(`ip.count + 1`, `"points":1`), "operator + has no place"},
		{"list", when(`oneof(ip.country, nordic)`, `"points":1`), "no list"},
		{"good plainly", when(`ip.good`, `"points":1`), "only name it negated"},
		{"bad negated", when(`!ip.bad`, `"floor":"block"`), "only name it plainly"},
		{"bad plainly", when(`ip.bad`, `"ceiling":"allow"`), "only name it negated"},
		{"good negated", when(`!(ip.good || ip.bad)`, `"points":-1`), "only name it plainly"},
		{"score and points", when(`score > 3`, `"points":1`), "depend on itself"},
		{"score down", when(`score < 3`, `"floor":"block"`), "score above something"},
		{"score up", when(`!(score < 3)`, `"ceiling":"allow"`), "score below something"},
		{"never", when(`ip.note && !ip.note`, `"points":1`), "unreachable"},
		{"never 2", when(`ip.count > 3 && ip.count < 2`, `"points":1`), "unreachable"},
		{"never 3", when(`ip.country == "NO" && ip.country == "SE"`, `"points":1`), "unreachable"},
		{"never 4", when(`score > 100`, `"floor":"block"`), "unreachable"},
		{"unprovable rule", when(`ip.bad`, `"require":["voice"]`), `can prove "voice"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := risk.ParsePolicy([]byte(row.text))
			require.NoError(t, err)
			_, err = risk.NewEngine(p, policySignals(), nil)
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestReloadKeepsTheOldPolicyWhenTheNewOneDoesNotFit(t *testing.T) {
	signals := policySignals()
	e, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	was := e.Policy().Hash()
	require.Error(t, e.Reload(policy(t, `{"name":"p","segments":[{"name":"all"}]}`)))
	require.Equal(t, was, e.Policy().Hash())
	require.Error(t, e.Reload(nil))
}

func TestLint(t *testing.T) {
	signals := []risk.Signal{
		says(risk.Description{Name: "lists", Codes: []risk.Code{{Name: "deny", Floor: risk.Block}, {Name: "allow"}}}, func(*risk.Attempt, *risk.Finding) {}),
		says(risk.Description{Name: "attest", Codes: []risk.Code{{Name: "passed", Points: -12, Group: "attest"}}}, func(*risk.Attempt, *risk.Finding) {}),
		bad("ip", 10), prover("captcha", risk.ProofHuman, risk.Stored),
	}
	warnings, err := risk.Lint(risk.DefaultPolicy(signals), signals)
	require.NoError(t, err)
	text := ""
	for _, w := range warnings {
		text += w.String() + "\n"
	}
	require.Contains(t, text, "signals.lists: alone can block")
	require.Contains(t, text, "signals.lists: alone can allow")
	require.NotContains(t, text, "signals.ip")
	require.Contains(t, text, "cancels any finding")
}

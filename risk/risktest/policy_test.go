package risktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

const goodPolicy = `{
  "name": "p",
  "sampling": 0.5,
  "segments": [
    {"name": "all", "levels": [
      {"name": "allow", "range": [0, 30], "action": "allow"},
      {"name": "block", "range": [31, 100], "action": "block"}
    ]}
  ],
  "points": {"ip.tor": 25},
  "rules": [
    {"name": "tor", "when": "ip.tor && event == \"signup\"", "floor": "block"}
  ]
}`

func policySignals() []risk.Signal {
	return []risk.Signal{risktest.Fixed("ip", risktest.Saying{}, &risktest.Options{
		Codes: []risk.Code{{Name: "tor", Points: 22}}, Facts: []risk.FactType{{Name: "country", Kind: risk.Text}, {Name: "hops", Kind: risk.Number}}})}
}

// loadPolicy is what a host does with a file.
func loadPolicy(text []byte) error {
	p, err := risk.ParsePolicy(text)
	if err != nil {
		return err
	}
	_, err = risk.NewEngine(p, policySignals(), nil)
	return err
}

// policyErrors are the policy errors within a joined one.
func policyErrors(err error) []*risk.PolicyError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*risk.PolicyError
		for _, e := range joined.Unwrap() {
			out = append(out, policyErrors(e)...)
		}
		return out
	}
	if e, ok := errors.AsType[*risk.PolicyError](err); ok {
		return []*risk.PolicyError{e}
	}
	return nil
}

func TestBadPolicies(t *testing.T) {
	require.NoError(t, loadPolicy([]byte(goodPolicy)))
	replaced := func(old, new string) string {
		require.Contains(t, goodPolicy, old)
		return strings.Replace(goodPolicy, old, new, 1)
	}
	for _, row := range []struct {
		name, text string
		at         string // what stands where the error points; "": the start
		path, msg  string
	}{
		{"empty", "", "", "", "ends too early"},
		{"no JSON", "name: p", "", "", "not JSON"},
		{"array", "[]", "", "", "want an object, have an array"},
		{"two policies", goodPolicy + "\n\t[7]", "[7]", "", "data after the policy"},
		{"duplicate member", replaced(`"sampling": 0.5`, `"name": "q"`), `"name": "q"`, "", `duplicate member "name"`},
		{"duplicate code", replaced(`{"ip.tor": 25}`, `{"ip.tor": 25, "ip.tor": 1}`), `"ip.tor": 1}`, "", `duplicate member "ip.tor"`},
		{"unknown member", replaced(`"sampling": 0.5`, `"samplign": 0.5`), `"samplign"`, "samplign", "unknown member"},
		{"unknown member of a level", replaced(`"action": "block"}`, `"action": "block", "acts": 1}`), `"acts"`, "segments[0].levels[1].acts", "unknown member"},
		{"NaN", replaced(`0.5`, `NaN`), "NaN", "", "not JSON"},
		{"Infinity", replaced(`0.5`, `1e999`), "1e999", "sampling", "want a number"},
		{"a text for a number", replaced(`0.5`, `"0.5"`), `"0.5"`, "sampling", "want a number, have a string"},
		{"overlap", replaced("[31, 100]", "[30, 100]"), "[30, 100]", "segments[0].levels[1].range", "overlap: score 30"},
		{"gap", replaced("[31, 100]", "[32, 100]"), "[32, 100]", "segments[0].levels[1].range", "gap: no level has score 31"},
		{"open end", replaced("[31, 100]", "[31, 99]"), "[\n      {", "segments[0].levels", "gap: no level has score 100"},
		{"half a point", replaced("[31, 100]", "[30.5, 100]"), "30.5", "segments[0].levels[1].range[0]", "want a whole number"},
		{"unknown action", replaced(`"action": "block"`, `"action": "explode"`), `"explode"`, "segments[0].levels[1].action", "unknown action"},
		{"unknown signal", replaced("ip.tor &&", "ipx.tor &&"), `"ipx.tor`, "rules[0].when", `no signal "ipx" is registered`},
		{"unknown code", replaced("ip.tor &&", "ip.torr &&"), `"ip.torr`, "rules[0].when", `declares no "ip.torr"`},
		{"points of an unknown code", replaced(`{"ip.tor": 25}`, `{"ip.vpn": 25}`), "25}", `points["ip.vpn"]`, "no registered signal declares this code"},
		{"points of the other sign", replaced(`{"ip.tor": 25}`, `{"ip.tor": -25}`), "-25}", `points["ip.tor"]`, "keeps the sign"},
		{"wrong direction", replaced("ip.tor &&", "!ip.tor &&"), `"!ip.tor`, "rules[0].when", "may only name it plainly"},
		{"a function", replaced("ip.tor &&", "exec(ip.tor) &&"), `"exec`, "rules[0].when", "only known and oneof"},
		{"a number against a text", replaced("ip.tor &&", `ip.hops > \"a\" &&`), `"ip.hops`, "rules[0].when", "is a number"},
		{"a level nobody has", replaced(`"floor": "block"`, `"floor": "blok"`), `"blok"`, "rules[0].floor", `no level "blok"`},
		{"two effects", replaced(`"floor": "block"`, `"floor": "block", "points": 3`), `{"name": "tor"`, "rules[0]", "exactly one of"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := loadPolicy([]byte(row.text))
			require.Error(t, err)
			found := policyErrors(err)
			require.NotEmpty(t, found, "%T %v", err, err)
			require.Contains(t, found[0].Error(), row.msg)
			require.Equal(t, row.path, found[0].Path)
			before := row.text[:strings.Index(row.text, row.at)]
			line, column := 1+strings.Count(before, "\n"), len(before)-strings.LastIndex(before, "\n")
			require.Equal(t, [2]int{line, column}, [2]int{found[0].Line, found[0].Column}, "line and column of: %v", found[0])
			require.Contains(t, found[0].Error(), fmt.Sprintf("%d:%d", line, column))
		})
	}
}

// TestTruncatedPolicies: cut anywhere, a policy is refused with a place, and never a panic.
func TestTruncatedPolicies(t *testing.T) {
	for n := range len(goodPolicy) {
		err := loadPolicy([]byte(goodPolicy[:n]))
		require.Error(t, err, "cut at %d", n)
		found := policyErrors(err)
		require.NotEmpty(t, found, "cut at %d: %v", n, err)
		require.Positive(t, found[0].Line, "cut at %d: %v", n, err)
		require.Positive(t, found[0].Column, "cut at %d: %v", n, err)
	}
}

// TestHugePolicies: what is too large or too deep is refused soon.
func TestHugePolicies(t *testing.T) {
	within := func(limit time.Duration, name string, text []byte) {
		t.Helper()
		begun := time.Now()
		err := loadPolicy(text)
		took := time.Since(begun)
		require.Error(t, err, name)
		require.Less(t, len(err.Error()), 10_000, "%s: what an error repeats is bounded", name)
		require.Less(t, took, limit, name)
	}
	within(10*time.Second, "100 MB of spaces", bytes.Repeat([]byte(" "), 100<<20))
	within(10*time.Second, "100 MB of a name", append([]byte(`{"name": "`), bytes.Repeat([]byte("n"), 100<<20)...))
	within(10*time.Second, "a million brackets", bytes.Repeat([]byte("["), 1<<20-1))
	within(10*time.Second, "a million braces", bytes.Repeat([]byte(`{"a":`), 200_000))
	within(10*time.Second, "a name of 1 MB", append([]byte(`{"name": "`), append(bytes.Repeat([]byte("n"), 1<<20-100), `"}`...)...))
	within(10*time.Second, "nested deeper than any policy", []byte(`{"segments":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`}`))
	within(10*time.Second, "a condition of parentheses", []byte(strings.Replace(goodPolicy, "ip.tor &&", strings.Repeat("(", 490)+"ip.tor"+strings.Repeat(")", 490)+" && !!", 1)))
	within(10*time.Second, "a condition of 10 KB", []byte(strings.Replace(goodPolicy, "ip.tor &&", strings.Repeat("ip.tor && ", 1000), 1)))
}

// TestManyTokens: what a policy costs to refuse grows with its length, not with the square of it.
func TestManyTokens(t *testing.T) {
	members := func(n int) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range n {
			fmt.Fprintf(&b, `"m%d":0,`, i)
		}
		return b.String() + `"z":0}`
	}
	for name, text := range map[string]func(n int) string{
		"numbers":               func(n int) string { return `{"segments": [0` + strings.Repeat(",0", n) + `]}` },
		"numbers on many lines": func(n int) string { return "{\"segments\": [0" + strings.Repeat(",\n0", n) + `]}` },
		"unknown members":       members,
	} {
		// The least of several tries: others use the machine too. Looking through the text again for each token would
		// take 25 times as long.
		small, large := time.Hour, time.Hour
		took := func(text string) time.Duration {
			begun := time.Now()
			require.Error(t, loadPolicy([]byte(text)))
			return time.Since(begun)
		}
		few, many := text(8_000), text(40_000)
		for try := 0; try < 3 || try < 20 && large >= 12*small; try++ {
			small, large = min(small, took(few)), min(large, took(many))
		}
		require.Less(t, large, 12*small, "%s: 8,000 take %v, five times as many take %v", name, small, large)
	}
}

// TestBadReloadChangesNothing: whatever is wrong with the new policy or its shadows, the old one stays in force.
func TestBadReloadChangesNothing(t *testing.T) {
	good, err := risk.ParsePolicy([]byte(goodPolicy))
	require.NoError(t, err)
	e, err := risk.NewEngine(good, policySignals(), nil)
	require.NoError(t, err)
	strange, err := risk.ParsePolicy([]byte(strings.Replace(goodPolicy, "ip.tor &&", "ipx.tor &&", 1)))
	require.NoError(t, err)
	require.Error(t, e.Reload(nil))
	require.Error(t, e.Reload(strange))
	require.Error(t, e.Reload(risk.DefaultPolicy(nil), strange))
	require.Error(t, e.Reload(risk.DefaultPolicy(nil), nil))
	require.Equal(t, good.Hash(), e.Policy().Hash())
	s := e.Assess(t.Context(), signUp())
	require.Equal(t, good.Hash(), s.Policy.Hash)
	require.Empty(t, s.Shadow)

	require.NoError(t, e.Reload(risk.DefaultPolicy(policySignals()), good))
	require.NoError(t, e.Reload(good), "rolling back is loading the old one")
	require.Equal(t, good.Hash(), e.Assess(t.Context(), signUp()).Policy.Hash)
}

// TestBandsHaveNoHoles: every integer score lies in exactly one level, and no half ones exist.
func TestBandsHaveNoHoles(t *testing.T) {
	share := 1.0
	for score := range 101 {
		// The base of 12 and one code make the score; below it good evidence does.
		code := risk.Code{Name: "x", Points: max(-100, min(100, score-12)), Group: "g"}
		s := risktest.Fixed("s", risktest.Say("x"), &risktest.Options{Codes: []risk.Code{code}})
		p, err := risk.NewPolicy(risk.PolicySpec{Name: "p", Sampling: &share, Groups: map[string]risk.Group{"g": {Lo: -100, Hi: 100}},
			Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
				{Name: "a", Range: &[2]int{0, 30}, Action: risk.Allow}, {Name: "b", Range: &[2]int{31, 60}, Action: risk.Delay, For: risk.Duration(time.Hour)},
				{Name: "c", Range: &[2]int{61, 90}, Action: risk.Review}, {Name: "d", Range: &[2]int{91, 100}, Action: risk.Block}}}}})
		require.NoError(t, err)
		e, err := risk.NewEngine(p, []risk.Signal{s}, nil)
		require.NoError(t, err)
		got := e.Assess(t.Context(), signUp())
		require.Equal(t, score, got.Score)
		require.Equal(t, score, risktest.Sum(got))
		want := "d"
		switch {
		case score <= 30:
			want = "a"
		case score <= 60:
			want = "b"
		case score <= 90:
			want = "c"
		}
		require.Equal(t, want, got.Level, score)
	}
}

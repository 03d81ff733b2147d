package risk_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// A naive model of the engine's rules: what a full run answers, written from the rules' text and not from the code.
// What an erring signal could have said is found by trying everything it could have said.

// modelWorld is a set of signals and a policy, with everything numbered.
type modelWorld struct {
	shape modelShape
	descs []risk.Description // 0 is the engine's own signal flow
	codes []modelCode
	facts []modelFact
	spec  risk.PolicySpec
	rules []modelRule // in the policy's order
	segs  []modelSegment
	modes []risk.FailMode

	policy *risk.Policy
}

type modelCode struct {
	full   string
	signal int
	decl   risk.Code
	group  string
	points int // by policy, weighted
	floor  risk.Action
}

type modelFact struct {
	name, full string
	signal     int
	kind       risk.FactKind
}

type modelRule struct {
	risk.Rule
	expr *modelExpr
}

func (r *modelRule) raises() bool { return r.Points > 0 || r.Floor != "" || len(r.Require) > 0 }

func (r *modelRule) enforced() bool { return r.Mode == "" || r.Mode == risk.Enforce }

type modelLevel struct {
	name                    string
	lo, hi                  int // lo > hi: no score reaches it
	action, then, otherwise risk.Action
	require                 modelSet
	lasts                   time.Duration
}

type modelSegment struct {
	base   int
	levels []modelLevel
	offers modelSet
}

// temper: bad or good evidence, by declaration; a floor of the policy's makes it bad too.
func (c *modelCode) temper(w *modelWorld) (good, bad bool) {
	f := w.spec.Floors[c.full]
	return c.decl.Points < 0, c.decl.Points > 0 || c.decl.Floor != 0 || (f != 0 && f != risk.Allow)
}

// number fills the tables that follow from descriptions and overrides.
func (w *modelWorld) number() {
	w.codes, w.facts, w.modes = nil, nil, nil
	for i, d := range w.descs {
		weight, ok := w.spec.Weights[d.Name]
		if !ok {
			weight = 1
		}
		for _, c := range d.Codes {
			m := modelCode{full: d.Name + "." + c.Name, signal: i, decl: c, group: c.Group, floor: c.Floor}
			if m.group == "" {
				m.group = d.Name
			}
			points := c.Points
			if v, ok := w.spec.Points[m.full]; ok {
				points = v
			}
			m.points = int(math.RoundToEven(float64(points) * weight))
			if f, ok := w.spec.Floors[m.full]; ok {
				m.floor = f
			}
			if m.floor == risk.Allow {
				m.floor = 0
			}
			w.codes = append(w.codes, m)
		}
		for _, f := range d.Facts {
			w.facts = append(w.facts, modelFact{f.Name, d.Name + "." + f.Name, i, f.Kind})
		}
		mode := d.OnError
		if m, ok := w.spec.Fail[d.Name]; ok {
			mode = m
		}
		w.modes = append(w.modes, mode)
	}
	w.segs = nil
	for _, s := range w.spec.Segments {
		w.segs = append(w.segs, w.segment(s))
	}
}

func (w *modelWorld) segment(s risk.Segment) modelSegment {
	prior := s.Prior
	if prior == 0 {
		prior = 0.01
	}
	out := modelSegment{base: int(math.Round(31 + 8*math.Log2(19*prior/(1-prior)))), offers: w.allProofs()}
	if s.Offers != nil {
		out.offers = modelSetOf(s.Offers)
	}
	for _, l := range s.Levels {
		m := modelLevel{name: l.Name, lo: 1, hi: 0, action: l.Action, then: l.Then, otherwise: l.Else,
			require: modelSetOfPlain(l.Require), lasts: time.Duration(l.For)}
		if l.Range != nil {
			m.lo, m.hi = l.Range[0], l.Range[1]
		}
		if m.then == 0 {
			if m.then = m.action; m.action == risk.Challenge {
				m.then = risk.Allow
			}
		}
		if m.otherwise == 0 {
			m.otherwise = max(risk.Review, m.then)
		}
		out.levels = append(out.levels, m)
	}
	return out
}

// modelSetOfPlain is the set of proofs as listed: requiring a voice call does not require the phone proof too.
func modelSetOfPlain(proofs []risk.Proof) (s modelSet) {
	for _, p := range proofs {
		s |= 1 << slices.Index(modelProofs, p)
	}
	return s
}

// list returns the signals to register.
func (w *modelWorld) list() (out []risk.Signal) {
	for i := 1; i < len(w.descs); i++ {
		out = append(out, &modelSignal{w, i})
	}
	return out
}

func (w *modelWorld) allProofs() (s modelSet) {
	for _, d := range w.descs {
		s |= modelSetOf(d.Proofs)
	}
	return s
}

// String prints the world and is what a failing case shows.
func (w *modelWorld) String() string {
	var b strings.Builder
	for i, d := range w.descs {
		if i == 0 {
			continue
		}
		fmt.Fprintf(&b, "signal %s %s counts=%v onerror=%s proofs=%v\n", d.Name, d.Cost, d.Counts, w.modes[i], d.Proofs)
	}
	for _, c := range w.codes {
		if c.signal > 0 {
			fmt.Fprintf(&b, "code %s points %d (declared %d) group %s floor %v\n", c.full, c.points, c.decl.Points, c.group, c.floor)
		}
	}
	for _, f := range w.facts {
		fmt.Fprintf(&b, "fact %s kind %d\n", f.full, f.kind)
	}
	if w.policy != nil {
		text, _ := w.policy.MarshalJSON()
		fmt.Fprintf(&b, "policy %s\n", text)
	}
	return b.String()
}

// print shows what the signals say.
func (s *modelScript) print(w *modelWorld) string {
	var b strings.Builder
	fmt.Fprintf(&b, "event=%s channel=%s cannot=%v\n", s.event, s.chanel, s.cannot)
	for i := 1; i < len(s.says); i++ {
		v := &s.says[i]
		fmt.Fprintf(&b, "%s %s", w.descs[i].Name, v.kind)
		for _, c := range v.codes {
			fmt.Fprintf(&b, " %s@%v", c.name, c.degree)
		}
		for _, f := range v.facts {
			fmt.Fprintf(&b, " %s=%v", w.facts[f.fact].name, f.value)
		}
		fmt.Fprintf(&b, " proofs=%v retry=%v receipt=%q lie=%d\n", v.proofs, v.retry, v.receipt, v.lie)
	}
	return b.String()
}

// --- levels

// answer is what the level says: rules and flow may require more than the level does.
func (l *modelLevel) answer(required, given, can modelSet) (risk.Action, modelSet) {
	if l.action > risk.Challenge && l.require == 0 {
		return l.action, 0
	}
	if l.then > risk.Challenge && l.require&^given == 0 {
		return l.then, 0 // what rules and the flow ask for beside softens nothing
	}
	missing := required &^ given
	if missing == 0 {
		return l.then, 0
	}
	if missing&^can == 0 {
		return risk.Challenge, missing
	}
	return l.otherwise, 0
}

func (s *modelSegment) first(ok func(l *modelLevel) bool) int {
	for i := range s.levels {
		if ok(&s.levels[i]) {
			return i
		}
	}
	return len(s.levels) - 1
}

const modelEverything = ^modelSet(0)

// proven is the first level that with all proofs given acts at least so.
func (s *modelSegment) proven(least risk.Action) int {
	return s.first(func(l *modelLevel) bool {
		a, _ := l.answer(l.require, modelEverything, 0)
		return a >= least
	})
}

func (s *modelSegment) failLevel(m risk.FailMode) int {
	switch m {
	case risk.FailChallenge:
		return s.first(func(l *modelLevel) bool {
			a, _ := l.answer(l.require, 0, modelEverything)
			return a != risk.Allow
		})
	case risk.FailReview:
		return s.proven(risk.Review)
	}
	return len(s.levels) - 1
}

func (s *modelSegment) floorLevel(a risk.Action) int {
	if a == risk.Challenge {
		return s.failLevel(risk.FailChallenge)
	}
	return s.proven(a)
}

// modelScene is what is known when conditions are asked.
type modelScene struct {
	degrees  []float64 // by code; 0: not said
	facts    []risk.Value
	builtins [5]string
	score    int
}

func (w *modelWorld) newScene(s *modelScript) *modelScene {
	return &modelScene{degrees: make([]float64, len(w.codes)), facts: make([]risk.Value, len(w.facts)),
		builtins: [5]string{string(s.event), s.chanel}}
}

func (s *modelScene) clone() *modelScene {
	c := *s
	c.degrees, c.facts = slices.Clone(s.degrees), slices.Clone(s.facts)
	return &c
}

func (s *modelScene) test(e *modelExpr) modelTruth {
	switch e.op {
	case "code":
		return modelBool(s.degrees[e.idx] > 0)
	case "known":
		return modelBool(s.facts[e.idx].Kind() != 0)
	case "number":
		if s.facts[e.idx].Kind() == 0 {
			return modelUnknown
		}
		return modelBool(modelCompare(s.facts[e.idx].Number(), e.cmp, e.num))
	case "text":
		if s.facts[e.idx].Kind() == 0 {
			return modelUnknown
		}
		return modelBool(slices.Contains(e.set, s.facts[e.idx].Text()) != (e.cmp == "!="))
	case "builtin":
		return modelBool(slices.Contains(e.set, s.builtins[e.idx]) != (e.cmp == "!="))
	}
	return modelBool(modelCompare(float64(s.score), e.cmp, e.num))
}

// --- score

// modelAnswer is level and required proofs with errors taken into account.
type modelAnswer struct {
	level    int
	required modelSet
	brute    bool // all that erring signals could have said has been tried
}

var modelModes = []risk.FailMode{risk.FailChallenge, risk.FailReview, risk.FailClosed}

// answer applies the fail modes of erring signals to what was said.
func (w *modelWorld) answer(seg *modelSegment, scene *modelScene, erring []bool, kept modelSet) modelAnswer {
	silent := w.judge(seg, scene, erring, false)
	out := modelAnswer{level: silent.level, brute: true}
	required := silent.byRules | kept
	for _, mode := range modelModes {
		worst, some := 0, false
		var them []int
		for i, e := range erring {
			if e && w.modes[i] >= mode {
				them = append(them, i)
				some = true
			}
		}
		if !some {
			continue
		}
		all := w.sayings(scene, them, func(imagined *modelScene) {
			j := w.judge(seg, imagined, erring, false)
			worst = max(worst, j.level)
			required |= j.byRules // what a rule might have required is required
		})
		out.brute = out.brute && all
		out.level = max(out.level, min(worst, seg.failLevel(mode)))
	}
	out.required = seg.levels[out.level].require | required
	return out
}

// sayings calls try with everything the signals could have said on top of the scene. It gives up, reporting false,
// where that is too much.
func (w *modelWorld) sayings(scene *modelScene, signals []int, try func(s *modelScene)) bool {
	const most = 1 << 9
	var codes, facts []int
	values := map[int][]risk.Value{}
	cases := 1
	for i := range w.codes {
		c := &w.codes[i]
		if slices.Contains(signals, c.signal) && (c.points != 0 || c.floor != 0 || w.named(i, true)) {
			codes = append(codes, i)
			cases *= 2
		}
		if cases > most {
			return false
		}
	}
	for i := range w.facts {
		if slices.Contains(signals, w.facts[i].signal) && w.named(i, false) {
			facts = append(facts, i)
			values[i] = append(w.values(i), scene.facts[i]) // and silence
			cases *= len(values[i])
		}
		if cases > most {
			return false
		}
	}
	s := scene.clone()
	var rest func(c, f int)
	rest = func(c, f int) {
		switch {
		case c < len(codes):
			i := codes[c]
			rest(c+1, f)
			was := s.degrees[i]
			s.degrees[i] = 1
			rest(c+1, f)
			s.degrees[i] = was
		case f < len(facts):
			i := facts[f]
			for _, v := range values[i] {
				s.facts[i] = v
				rest(c, f+1)
			}
			s.facts[i] = scene.facts[i]
		default:
			try(s)
		}
	}
	rest(0, 0)
	return true
}

// named reports whether a rule names the code or fact.
func (w *modelWorld) named(i int, code bool) (yes bool) {
	for j := range w.rules {
		w.rules[j].expr.leaves(false, func(e *modelExpr, _ bool) {
			is := e.op == "code"
			if e.idx == i && is == code && (is || e.op == "known" || e.op == "number" || e.op == "text") {
				yes = true
			}
		})
	}
	return yes
}

// values are a fact's values on both sides of every constant.
func (w *modelWorld) values(fact int) (out []risk.Value) {
	if w.facts[fact].kind == risk.Text {
		for _, v := range []string{"NO", "SE", "US", "elsewhere"} {
			out = append(out, risk.TextValue(v))
		}
		return out
	}
	for j := range w.rules {
		w.rules[j].expr.leaves(false, func(e *modelExpr, _ bool) {
			if e.op == "number" && e.idx == fact {
				out = append(out, risk.NumberValue(e.num-1), risk.NumberValue(e.num), risk.NumberValue(e.num+1))
			}
		})
	}
	return append(out, risk.NumberValue(7))
}

package risk_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// Random worlds for the property tests: signals, a policy the loader accepts, and what the signals say.

// modelProofs are all proofs the random worlds know; the index is the bit in the model's sets.
var modelProofs = []risk.Proof{risk.ProofHuman, risk.ProofPhone, risk.ProofVoice, risk.ProofDevice, "badge"}

type modelSet uint

func modelSetOf(proofs []risk.Proof) (s modelSet) {
	for _, p := range proofs {
		s |= 1 << slices.Index(modelProofs, p)
		if p == risk.ProofVoice {
			s |= 1 << slices.Index(modelProofs, risk.ProofPhone)
		}
	}
	return s
}

func (s modelSet) list() (out []risk.Proof) {
	for i, p := range modelProofs {
		if s&(1<<i) != 0 {
			out = append(out, p)
		}
	}
	return out
}

// modelSay is one signal's answer to one attempt.
type modelSay struct {
	kind    string // says, none (does not apply), errs, lies (undeclared things: an error too)
	lie     int
	codes   []modelCodeSaid
	facts   []modelFactSaid
	proofs  []risk.Proof
	retry   time.Time
	receipt string
	delay   time.Duration // in tests of timing
}

type modelCodeSaid struct {
	name   string // as the signal says it
	code   int    // in the world
	degree float64
}

type modelFactSaid struct {
	fact  int
	value risk.Value
}

// modelScript is what all signals say of one attempt, by index in the world.
type modelScript struct {
	says   []modelSay
	event  risk.Event
	chanel string
	cannot []risk.Proof
	slow   bool // sleep for delay first
}

func (s *modelScript) clone() *modelScript {
	c := *s
	c.says = slices.Clone(s.says)
	for i := range c.says {
		c.says[i].codes = slices.Clone(c.says[i].codes)
		c.says[i].facts = slices.Clone(c.says[i].facts)
		c.says[i].proofs = slices.Clone(c.says[i].proofs)
	}
	return &c
}

func (s *modelScript) attempt(flow string) *risk.Attempt {
	a := &risk.Attempt{ID: "attempt", Event: s.event, Channel: s.chanel, Flow: flow, Cannot: s.cannot, Time: modelNow, Session: "session"}
	risk.Attach(a, s)
	return a
}

var modelNow = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// modelSignal says what the attempt's script tells it to.
type modelSignal struct {
	w *modelWorld
	i int
}

func (s *modelSignal) Describe() risk.Description { return s.w.descs[s.i] }

func (s *modelSignal) Applies(a *risk.Attempt) bool {
	script, ok := risk.Evidence[*modelScript](a)
	return ok && script.says[s.i].kind != "none"
}

var errModel = errors.New("scripted failure")

func (s *modelSignal) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	script, _ := risk.Evidence[*modelScript](a)
	say := &script.says[s.i]
	if script.slow && s.w.descs[s.i].Cost != risk.Local {
		time.Sleep(say.delay)
	}
	for _, c := range say.codes {
		f.ObserveAt(c.name, c.degree)
	}
	for _, v := range say.facts {
		name := s.w.facts[v.fact].name
		if v.value.Kind() == risk.Number {
			f.Number(name, v.value.Number())
		} else {
			f.Text(name, v.value.Text())
		}
	}
	f.Prove(say.proofs...)
	if !say.retry.IsZero() {
		f.Retry(say.retry)
	}
	f.Receipt(say.receipt)
	switch say.kind {
	case "errs":
		return errModel
	case "lies":
		switch say.lie {
		case 0:
			f.Observe("undeclared")
		case 1:
			f.Number("undeclared", 1)
		case 2:
			f.Prove("undeclared")
		case 3:
			panic("scripted panic")
		default:
			if len(s.w.descs[s.i].Codes) == 0 {
				return errModel
			}
			f.ObserveAt(s.w.descs[s.i].Codes[0].Name, []float64{0, -1, 1.5, math.NaN(), math.Inf(1)}[say.lie%5])
		}
	}
	return nil
}

// modelShape says what kind of worlds are made.
type modelShape struct {
	exact  bool    // each fact and each 0-point code is named in one way only: leaf by leaf is then exact
	calm   bool    // no limits on what can be given: every proof can be had
	errors float64 // share of attempts in which signals err
	small  bool    // few codes, for brute force
	flows  bool    // attempts are continued
	plain  bool    // the flow signal's own codes keep points and floors
	staged bool    // few signals are asked before the first stop test, and overrides abound
}

func modelPick[T any](r *rand.Rand, v ...T) T { return v[r.IntN(len(v))] }

func modelChance(r *rand.Rand, p float64) bool { return r.Float64() < p }

func modelSome[T any](r *rand.Rand, v []T, p float64) (out []T) {
	for _, x := range v {
		if modelChance(r, p) {
			out = append(out, x)
		}
	}
	return out
}

// newModelWorld makes signals and a policy that the loader accepts.
func newModelWorld(r *rand.Rand, shape modelShape) *modelWorld {
	for {
		w := &modelWorld{shape: shape}
		w.describe(r)
		w.number()
		w.segments(r)
		w.overrides(r)
		w.number()
		w.makeRules(r)
		if w.policy != nil {
			return w
		}
	}
}

func (w *modelWorld) describe(r *rand.Rand) {
	flow := risk.Description{Name: "flow", Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{
		{Name: "unknown", State: risk.Invalid, Points: 6}, {Name: "expired", State: risk.Invalid},
		{Name: "spent", State: risk.Invalid, Points: 8, Floor: risk.Challenge},
		{Name: "mismatch", State: risk.Invalid, Points: 14, Floor: risk.Challenge}, {Name: "changed", Points: 4}}}
	w.descs = []risk.Description{flow}
	names := []string{"ip", "form", "zeta", "phone", "attest", "email", "account"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	least := 1
	if w.shape.staged {
		least = 4
	}
	for i := range least + r.IntN(7-least) {
		d := risk.Description{Name: names[i], Timeout: time.Hour,
			Cost:    w.cost(r, risk.Stored, risk.Stored, risk.Remote, risk.Remote, risk.Costly, risk.Costly),
			OnError: modelPick(r, risk.FailOpen, risk.FailChallenge, risk.FailChallenge, risk.FailReview, risk.FailClosed)}
		if w.shape.staged {
			d.OnError = modelPick(r, risk.FailOpen, risk.FailChallenge, risk.FailReview, risk.FailClosed, risk.FailClosed)
		}
		d.Counts = d.Cost != risk.Costly && !w.shape.staged && modelChance(r, 0.2)
		codes := 5
		if w.shape.small {
			codes = 4
		}
		for j := range r.IntN(codes) {
			c := risk.Code{Name: fmt.Sprintf("c%d", j), Group: modelPick(r, "", "", "g1", "g1", "g2")}
			if w.shape.staged {
				c.Group = modelPick(r, "", "g1", "g1", "g1")
			}
			switch k := r.IntN(20); {
			case k < 9:
				c.Points = 1 + r.IntN(40)
			case k < 14:
				c.Points = -1 - r.IntN(25)
			}
			if c.Points >= 0 {
				if modelChance(r, w.floors()) {
					c.Floor = modelPick(r, risk.Challenge, risk.Challenge, risk.Delay, risk.Review, risk.Lock, risk.Block)
				}
				c.State = modelPick(r, risk.Observed, risk.Observed, risk.Absent, risk.Invalid)
			}
			d.Codes = append(d.Codes, c)
		}
		for j := range r.IntN(3) {
			d.Facts = append(d.Facts, risk.FactType{Name: fmt.Sprintf("f%d", j), Kind: modelPick(r, risk.Number, risk.Text)})
		}
		if modelChance(r, 0.6) {
			d.Proofs = modelSome(r, modelProofs, 0.4)
		}
		w.descs = append(w.descs, d)
	}
	if len(w.descs) > 1 && modelChance(r, 0.8) { // somebody who gives what levels like to ask for
		d := &w.descs[1+r.IntN(len(w.descs)-1)]
		if len(d.Proofs) == 0 {
			d.Proofs = []risk.Proof{risk.ProofHuman, risk.ProofPhone}
		}
	}
}

func (w *modelWorld) floors() float64 {
	if w.shape.staged {
		return 0.06
	}
	return 0.2
}

func (w *modelWorld) cost(r *rand.Rand, costs ...risk.Cost) risk.Cost {
	if w.shape.staged {
		costs = append(costs[1:], risk.Stored, risk.Remote)
	}
	return modelPick(r, costs...)
}

// randomLevels makes levels; the loader decides whether their order will do.
func (w *modelWorld) randomLevels(r *rand.Rand, given []risk.Proof) []risk.Level {
	n := 1 + r.IntN(5)
	if w.shape.staged {
		n = 2 + r.IntN(4)
	}
	cuts := make([]int, n)
	var out []risk.Level
	ranged := modelSome(r, cuts, 0.85)
	if len(ranged) == 0 {
		ranged = cuts[:1]
	}
	ends := []int{100}
	for len(ends) < len(ranged) {
		if v := r.IntN(100); !slices.Contains(ends, v) {
			ends = append(ends, v)
		}
	}
	slices.Sort(ends)
	which := r.Perm(n)[:len(ranged)]
	slices.Sort(which)
	next := 0
	order := []risk.Action{risk.Allow, risk.Allow, risk.Delay, risk.Review, risk.Lock, risk.Block}
	at := 0
	for i := range n {
		l := risk.Level{Name: fmt.Sprintf("l%d", i)}
		if at < len(which) && which[at] == i {
			l.Range = &[2]int{next, ends[at]}
			next = ends[at] + 1
			at++
		}
		lo := min(i, len(order)-1)
		if i == 0 {
			l.Action = risk.Allow
			if modelChance(r, 0.25) {
				l.Action = modelPick(r, risk.Allow, risk.Challenge, risk.Review)
			}
		} else {
			l.Action = modelPick(r, append([]risk.Action{risk.Challenge, risk.Challenge}, order[lo:]...)...)
		}
		if len(given) > 0 && (l.Action == risk.Challenge || modelChance(r, 0.3)) {
			l.Require = modelSome(r, given, 0.5)
		}
		if modelChance(r, 0.3) {
			l.Then = modelPick(r, order...)
		}
		if modelChance(r, 0.3) {
			l.Else = modelPick(r, order...)
		}
		for _, a := range []risk.Action{l.Action, l.Then, l.Else} {
			if a == risk.Delay || a == risk.Lock {
				l.For = risk.Duration(time.Hour)
			}
		}
		out = append(out, l)
	}
	return out
}

func (w *modelWorld) segments(r *rand.Rand) {
	var given []risk.Proof
	for _, d := range w.descs {
		given = append(given, modelSetOf(d.Proofs).list()...)
	}
	slices.Sort(given)
	given = slices.Compact(given)
	w.spec.Name = "random"
	w.spec.Segments = nil
	for i := range 1 + r.IntN(2) {
		s := risk.Segment{Name: fmt.Sprintf("s%d", i), Prior: modelPick(r, 0, 0.01, 0.01, 0.05, 0.2, 0.001)}
		for {
			s.Levels = w.randomLevels(r, given)
			if _, err := risk.NewPolicy(risk.PolicySpec{Name: "x", Segments: []risk.Segment{{Name: "x", Levels: s.Levels}}}); err == nil {
				break
			}
		}
		if !w.shape.calm && modelChance(r, 0.25) && len(given) > 0 {
			s.Offers = modelSome(r, given, 0.7)
			if len(s.Offers) == 0 {
				s.Offers = nil
			}
		}
		if modelChance(r, 0.2) {
			s.Always = modelSome(r, given, 0.5)
		}
		w.spec.Segments = append(w.spec.Segments, s)
	}
	if len(w.spec.Segments) == 2 {
		w.spec.Segments[0].Event = []risk.Event{risk.Login}
	}
}

func (w *modelWorld) overrides(r *rand.Rand) {
	s := &w.spec
	s.Points, s.Floors, s.Weights = map[string]int{}, map[string]risk.Action{}, map[string]float64{}
	s.Groups, s.Fail = map[string]risk.Group{}, map[string]risk.FailMode{}
	s.Lists = map[string][]string{"nordic": {"NO", "SE"}, "channels": {"web", "kiosk"}}
	often := 0.25
	if w.shape.staged {
		often = 0.5
	}
	groups := map[string]bool{}
	for i, c := range w.codes {
		groups[c.group] = true
		if w.shape.plain && c.signal == 0 {
			continue
		}
		if c.decl.Points != 0 && modelChance(r, often) {
			v := r.IntN(45)
			if c.decl.Points < 0 {
				v = -v
			}
			s.Points[w.codes[i].full] = v
		}
		if c.decl.Points >= 0 && modelChance(r, 0.12) {
			s.Floors[c.full] = modelPick(r, risk.Allow, risk.Allow, risk.Challenge, risk.Review, risk.Block)
		}
	}
	for i, d := range w.descs {
		if w.shape.plain && i == 0 {
			continue
		}
		if modelChance(r, often) {
			s.Weights[d.Name] = modelPick(r, 0, 0.3, 0.5, 1, 1.5, 2.5)
		}
		if modelChance(r, 0.15) {
			s.Fail[d.Name] = modelPick(r, risk.FailOpen, risk.FailChallenge, risk.FailReview, risk.FailClosed)
		}
	}
	for _, g := range []string{"g1", "g2", w.descs[len(w.descs)-1].Name} {
		if groups[g] && modelChance(r, 0.5) {
			v := risk.Group{Lo: -r.IntN(30), Hi: r.IntN(60)}
			if w.shape.staged {
				v.Hi = 40 + r.IntN(60)
			}
			if modelChance(r, 0.7) {
				d := modelPick(r, 0, 0.25, 0.5, 0.75, 1, 0.3, 0.9)
				v.Decay = &d
			}
			s.Groups[g] = v
		}
	}
}

// makeRules adds rules the loader accepts.
func (w *modelWorld) makeRules(r *rand.Rand) {
	g := &modelRuleMaker{w: w, r: r, facts: map[int]bool{}, codes: map[int]bool{}}
	var rules []modelRule
	for i := range r.IntN(6) {
		v := risk.Rule{Name: fmt.Sprintf("r%d", i), Mode: modelPick(r, risk.Enforce, "", "", "", "", "", risk.Shadow, risk.Off)}
		switch k := r.IntN(10); {
		case k < 3:
			v.Points = modelPick(r, 1, 5, 10, 20, 30)
			v.Group = modelPick(r, "", "g1", "g2")
		case k < 4:
			v.Points = -modelPick(r, 1, 4, 8, 15)
			v.Group = modelPick(r, "", "g1", "g2")
		case k < 6:
			v.Floor = fmt.Sprintf("l%d", r.IntN(5))
		case k < 8:
			v.Ceiling = fmt.Sprintf("l%d", r.IntN(5))
		default:
			v.Require = modelSome(r, w.allProofs().list(), 0.4)
		}
		e := g.expr(3, v.Points > 0 || v.Floor != "" || len(v.Require) > 0, v.Points == 0)
		v.When = e.String()
		rules = append(rules, modelRule{Rule: v, expr: e})
	}
	if w.keepRules(rules); w.policy == nil {
		w.keepRules(nil)
	}
}

// keepRules adds those of the rules that the loader accepts, halving where it refuses some.
func (w *modelWorld) keepRules(rules []modelRule) {
	trial := w.spec
	trial.Rules = slices.Clone(w.spec.Rules)
	for i := range rules {
		trial.Rules = append(trial.Rules, rules[i].Rule)
	}
	p, err := risk.NewPolicy(trial)
	if err == nil {
		_, err = risk.NewEngine(p, w.list(), nil)
	}
	switch {
	case err == nil:
		w.spec.Rules, w.rules, w.policy = trial.Rules, append(w.rules, rules...), p
	case len(rules) > 1:
		w.keepRules(rules[:len(rules)/2])
		w.keepRules(rules[len(rules)/2:])
	}
}

// script makes what the signals say of one attempt.
func (w *modelWorld) script(r *rand.Rand) *modelScript {
	s := &modelScript{says: make([]modelSay, len(w.descs)), event: modelPick(r, risk.SignUp, risk.Login), chanel: modelPick(r, "web", "mobile")}
	loud := modelPick(r, 0.15, 0.4, 0.8)
	erring := 0.0
	if modelChance(r, w.shape.errors) {
		erring = modelPick(r, 0.3, 0.6)
	}
	for i := 1; i < len(w.descs); i++ {
		s.says[i] = w.say(r, i, loud)
		switch {
		case modelChance(r, 0.1):
			s.says[i].kind = "none"
		case modelChance(r, erring):
			s.says[i].kind = modelPick(r, "errs", "errs", "errs", "lies")
			s.says[i].lie = r.IntN(9)
		}
	}
	if !w.shape.calm && modelChance(r, 0.2) {
		s.cannot = modelSome(r, modelProofs, 0.4)
	}
	return s
}

func (w *modelWorld) say(r *rand.Rand, i int, loud float64) modelSay {
	say := modelSay{kind: "says", delay: time.Duration(r.IntN(1000)) * time.Millisecond}
	d := &w.descs[i]
	for c := range w.codes {
		if w.codes[c].signal != i || !modelChance(r, loud) {
			continue
		}
		n := 1
		if modelChance(r, 0.1) {
			n = 2 // the strongest counts
		}
		for range n {
			o := modelCodeSaid{code: c, degree: 1, name: w.codes[c].decl.Name}
			if modelChance(r, 0.3) {
				o.degree = float64(1+r.IntN(100)) / 100
			}
			if modelChance(r, 0.1) {
				o.name = w.codes[c].full
			}
			say.codes = append(say.codes, o)
		}
	}
	for f := range w.facts {
		if w.facts[f].signal == i && modelChance(r, 0.6) {
			v := risk.NumberValue(float64(r.IntN(6)))
			if w.facts[f].kind == risk.Text {
				v = risk.TextValue(modelPick(r, "NO", "SE", "US", "FR"))
			}
			say.facts = append(say.facts, modelFactSaid{f, v})
		}
	}
	if modelChance(r, 0.5) {
		say.proofs = modelSome(r, d.Proofs, 0.6)
	}
	if (d.Cost == risk.Local || d.Counts) && modelChance(r, 0.1) {
		say.retry = modelNow.Add(time.Duration(r.IntN(5)-2) * time.Hour)
	}
	if modelChance(r, 0.5) {
		say.receipt = "receipt"
	}
	return say
}

package risk_test

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/vestibule-go/vestibule/risk"
)

// Conditions: how they are written, what they mean, and random ones that fit a rule's direction.

// modelExpr is a condition as the model sees it: the tree as written, negations where they stand.
type modelExpr struct {
	op   string // and, or, not, code, known, number, text, builtin, score
	a, b *modelExpr
	name string
	cmp  string // number, score: any; text, builtin: ==, != or "in" for oneof
	num  float64
	set  []string
	list string // oneof with this list's name
	flip bool   // the constant stands first
	sig  int    // -1: none
	idx  int    // of the code, fact or built-in
}

// String writes the condition as policies do.
func (e *modelExpr) String() string {
	switch e.op {
	case "and":
		return "(" + e.a.String() + " && " + e.b.String() + ")"
	case "or":
		return "(" + e.a.String() + " || " + e.b.String() + ")"
	case "not":
		return "!(" + e.a.String() + ")"
	case "code":
		return e.name
	case "known":
		return "known(" + e.name + ")"
	case "number", "score":
		return e.compared(strconv.FormatFloat(e.num, 'f', -1, 64))
	}
	if e.cmp != "in" {
		return e.compared(strconv.Quote(e.set[0]))
	}
	if e.list != "" {
		return "oneof(" + e.name + ", " + e.list + ")"
	}
	var q []string
	for _, v := range e.set {
		q = append(q, strconv.Quote(v))
	}
	return "oneof(" + e.name + ", " + strings.Join(q, ", ") + ")"
}

func (e *modelExpr) compared(constant string) string {
	if !e.flip {
		return e.name + " " + e.cmp + " " + constant
	}
	turned := map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
	return constant + " " + turned[e.cmp] + " " + e.name
}

// leaves calls f for every leaf, with whether an odd number of negations stands above it.
func (e *modelExpr) leaves(neg bool, f func(leaf *modelExpr, neg bool)) {
	switch e.op {
	case "and", "or":
		e.a.leaves(neg, f)
		e.b.leaves(neg, f)
	case "not":
		e.a.leaves(!neg, f)
	default:
		f(e, neg)
	}
}

// modelTruth is Kleene's logic: a comparison with an unknown fact is neither true nor false.
type modelTruth int8

const (
	modelFalse modelTruth = iota
	modelUnknown
	modelTrue
)

func modelBool(v bool) modelTruth {
	if v {
		return modelTrue
	}
	return modelFalse
}

// eval evaluates the tree as written; leaf decides the tests.
func (e *modelExpr) eval(leaf func(e *modelExpr) modelTruth) modelTruth {
	switch e.op {
	case "and":
		return min(e.a.eval(leaf), e.b.eval(leaf))
	case "or":
		return max(e.a.eval(leaf), e.b.eval(leaf))
	case "not":
		return modelTrue - e.a.eval(leaf)
	}
	return leaf(e)
}

func modelCompare(a float64, cmp string, b float64) bool {
	switch cmp {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "==":
		return a == b
	}
	return a != b
}

// modelRuleMaker makes conditions that fit a rule's direction.
type modelRuleMaker struct {
	w     *modelWorld
	r     *rand.Rand
	facts map[int]bool // named already
	codes map[int]bool // 0-point codes named already, and in which way
}

func (g *modelRuleMaker) expr(depth int, raising, score bool) *modelExpr {
	return g.node(depth, false, raising, score)
}

func (g *modelRuleMaker) node(depth int, neg, raising, score bool) *modelExpr {
	r := g.r
	switch k := r.IntN(10); {
	case depth == 0 || k < 4:
		return g.leaf(neg, raising, score)
	case k < 6:
		return &modelExpr{op: "not", a: g.node(depth-1, !neg, raising, score)}
	case k < 8:
		return &modelExpr{op: "and", a: g.node(depth-1, neg, raising, score), b: g.node(depth-1, neg, raising, score)}
	default:
		return &modelExpr{op: "or", a: g.node(depth-1, neg, raising, score), b: g.node(depth-1, neg, raising, score)}
	}
}

// leaf makes one test. neg: an odd number of negations stands above it.
func (g *modelRuleMaker) leaf(neg, raising, score bool) *modelExpr {
	w, r := g.w, g.r
	for range 20 {
		switch k := r.IntN(20); {
		case k < 11 && len(w.codes) > 0:
			i := r.IntN(len(w.codes))
			if w.codes[i].signal == 0 && !modelChance(r, 0.2) {
				continue
			}
			if e, ok := g.code(i, neg, raising); ok {
				return e
			}
		case k < 15 && len(w.facts) > 0:
			i := r.IntN(len(w.facts))
			if w.shape.exact && g.facts[i] {
				continue
			}
			g.facts[i] = true
			return g.fact(i, neg)
		case k < 17 && score:
			e := &modelExpr{op: "score", name: "score", sig: -1, num: float64(5 + r.IntN(90)), flip: modelChance(r, 0.3)}
			e.cmp = modelPick(r, "<", "<=")
			if raising != neg {
				e.cmp = modelPick(r, ">", ">=")
			}
			return e
		case k >= 17:
			return g.builtin()
		}
	}
	return g.builtin()
}

// code names code i, negated where the direction wants it.
func (g *modelRuleMaker) code(i int, neg, raising bool) (*modelExpr, bool) {
	c := &g.w.codes[i]
	e := &modelExpr{op: "code", name: c.full, sig: c.signal, idx: i}
	wantNeg := modelChance(g.r, 0.5)
	switch good, bad := c.temper(g.w); {
	case bad:
		wantNeg = !raising
	case good:
		wantNeg = raising
	case g.w.shape.exact && raising: // one way only: then one saying can fire all rules at once
		if was, named := g.codes[i]; named {
			wantNeg = was
		}
		g.codes[i] = wantNeg
	}
	if wantNeg != neg {
		return &modelExpr{op: "not", a: e}, true
	}
	return e, true
}

func (g *modelRuleMaker) fact(i int, neg bool) *modelExpr {
	f, r := &g.w.facts[i], g.r
	e := &modelExpr{name: f.full, sig: f.signal, idx: i, flip: modelChance(r, 0.3)}
	if modelChance(r, 0.2) && !(g.w.shape.exact && g.w.shape.flows && neg) {
		e.op = "known"
		return e
	}
	if f.kind == risk.Number {
		e.op, e.num = "number", float64(r.IntN(5))
		e.cmp = modelPick(r, "<", "<=", ">", ">=", "==", "!=")
		return e
	}
	e.op = "text"
	switch r.IntN(4) {
	case 0:
		e.cmp, e.set, e.list = "in", []string{"NO", "SE"}, "nordic"
	case 1:
		e.cmp, e.set = "in", []string{"SE", "US"}
	default:
		e.cmp, e.set = modelPick(r, "==", "!="), []string{modelPick(r, "NO", "SE", "US")}
	}
	return e
}

func (g *modelRuleMaker) builtin() *modelExpr {
	if modelChance(g.r, 0.5) {
		return &modelExpr{op: "builtin", name: "event", sig: -1, cmp: modelPick(g.r, "==", "!="), set: []string{"login"}}
	}
	return &modelExpr{op: "builtin", name: "channel", sig: -1, idx: 1, cmp: "in", set: []string{"web", "kiosk"}, list: "channels"}
}

package risk

import (
	"fmt"
	"go/token"
	"math"
)

// A rule that raises risk may name bad codes plainly and good ones negated, one that lowers it the reverse: then more
// bad evidence never switches a raising rule off, nor a lowering one on.

// checkDirection refuses a condition that works against its rule's effect.
func (c *compiled) checkDirection(t *tree, r *Rule) error {
	if t.op == token.LAND || t.op == token.LOR {
		if err := c.checkDirection(t.a, r); err != nil {
			return err
		}
		return c.checkDirection(t.b, r)
	}
	raising := raises(r)
	switch l := &t.leaf; l.op {
	case leafCode:
		good, bad := c.temper(l.code)
		if (bad && l.neg == raising) || (good && l.neg != raising) {
			kind, want := "bad", "plainly"
			if good {
				kind = "good"
			}
			if !l.neg {
				want = "negated"
			}
			what := "raises"
			if !raising {
				what = "lowers"
			}
			return fmt.Errorf("%s is %s evidence: a rule that %s risk may only name it %s", l.name, kind, what, want)
		}
	case leafScore:
		if r.Points != 0 {
			return fmt.Errorf("a rule that names score cannot give points: the score would depend on itself")
		}
		up := l.cmp == token.GTR || l.cmp == token.GEQ
		down := l.cmp == token.LSS || l.cmp == token.LEQ
		if raising && !up {
			return fmt.Errorf("a rule that raises risk may only ask for a score above something")
		}
		if !raising && !down {
			return fmt.Errorf("a rule that lowers risk may only ask for a score below something")
		}
	}
	return nil
}

// temper says whether a code is good or bad evidence by its declaration, or neither: one with 0 points and no floor.
func (c *compiled) temper(code int) (good, bad bool) {
	e := &c.catalog.codes[code]
	floor := e.Floor
	if f, ok := c.policy.spec.Floors[e.full]; ok && f != Allow {
		floor = f
	}
	return e.Points < 0, e.Points > 0 || floor != 0
}

// impossible reports whether a condition can never be true. It looks at up to mostCases ways for it to be true and
// gives up on more.
func impossible(t *tree) bool {
	const mostCases = 256
	cases, ok := alternatives(t, mostCases)
	if !ok {
		return false
	}
	for _, c := range cases {
		if consistent(c) {
			return false
		}
	}
	return true
}

// alternatives lists the sets of leaves that make the condition true.
func alternatives(t *tree, most int) ([][]*leaf, bool) {
	switch t.op {
	case token.LAND, token.LOR:
		a, okA := alternatives(t.a, most)
		b, okB := alternatives(t.b, most)
		if !okA || !okB || len(a)+len(b) > most || len(a)*len(b) > most {
			return nil, false
		}
		if t.op == token.LOR {
			return append(a, b...), true
		}
		var both [][]*leaf
		for _, x := range a {
			for _, y := range b {
				both = append(both, append(x[:len(x):len(x)], y...))
			}
		}
		return both, true
	}
	return [][]*leaf{{&t.leaf}}, true
}

// consistent reports whether all leaves of a set can be true together.
func consistent(leaves []*leaf) bool {
	for i, a := range leaves {
		for _, b := range leaves[:i] {
			if a.op == b.op && a.op == leafCode && a.code == b.code && a.neg != b.neg {
				return false
			}
			if contradictKnown(a, b) || contradictKnown(b, a) {
				return false
			}
		}
		if !textPossible(a, leaves) || !rangePossible(a, leaves) {
			return false
		}
	}
	return true
}

// contradictKnown: a says the fact is not known, b wants it.
func contradictKnown(a, b *leaf) bool {
	if a.op != leafKnown || !a.neg || a.fact != b.fact {
		return false
	}
	return b.op == leafNumber || b.op == leafText || (b.op == leafKnown && !b.neg)
}

// textPossible looks for one text of a's set that all other leaves about the same name allow.
func textPossible(a *leaf, leaves []*leaf) bool {
	if (a.op != leafText && a.op != leafBuiltin) || a.neg {
		return true
	}
	for v := range a.set {
		ok := true
		for _, b := range leaves {
			if b.op != a.op || b.name != a.name {
				continue
			}
			if _, in := b.set[v]; in == b.neg {
				ok = false
				break
			}
		}
		if ok {
			return true
		}
	}
	return false
}

// rangePossible intersects all comparisons of the same number.
func rangePossible(a *leaf, leaves []*leaf) bool {
	if a.op != leafNumber && a.op != leafScore {
		return true
	}
	lo, hi := math.Inf(-1), math.Inf(1)
	if a.op == leafScore {
		lo, hi = 0, 100
	}
	openLo, openHi := false, false
	var not []float64
	for _, b := range leaves {
		if b.op != a.op || b.name != a.name {
			continue
		}
		switch b.cmp {
		case token.EQL:
			if b.number > lo || (b.number == lo && !openLo) {
				lo, openLo = b.number, false
			} else {
				return false
			}
			if b.number < hi || (b.number == hi && !openHi) {
				hi, openHi = b.number, false
			} else {
				return false
			}
		case token.NEQ:
			not = append(not, b.number)
		case token.GTR, token.GEQ:
			if b.number > lo || (b.number == lo && b.cmp == token.GTR) {
				lo, openLo = b.number, b.cmp == token.GTR
			}
		case token.LSS, token.LEQ:
			if b.number < hi || (b.number == hi && b.cmp == token.LSS) {
				hi, openHi = b.number, b.cmp == token.LSS
			}
		}
	}
	if lo > hi || (lo == hi && (openLo || openHi)) {
		return false
	}
	if lo == hi {
		for _, v := range not {
			if v == lo {
				return false
			}
		}
	}
	return true
}

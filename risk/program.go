package risk

import "go/token"

// program is a condition compiled to tests with jumps. Running one allocates nothing.
type program struct {
	steps []step
	start int16
}

// step is one leaf and where to go on from it, packed: conditions are the hot path.
type step struct {
	number  float64
	single  string              // the only member of set, compared without hashing
	set     map[string]struct{} // nil where single serves
	index   int32               // item, fact or built-in
	signal  int32
	yes, no int16
	op      leafOp
	cmp     cmpOp
	neg     bool
}

const (
	jumpTrue  = -1
	jumpFalse = -2
)

// cmpOp is a comparison, dense for a fast switch.
type cmpOp uint8

var cmpOps = map[token.Token]cmpOp{token.EQL: cmpEQ, token.NEQ: cmpNE, token.LSS: cmpLT, token.LEQ: cmpLE, token.GTR: cmpGT, token.GEQ: cmpGE}

const (
	cmpEQ cmpOp = iota
	cmpNE
	cmpLT
	cmpLE
	cmpGT
	cmpGE
)

func compare(a float64, op cmpOp, b float64) bool {
	switch op {
	case cmpEQ:
		return a == b
	case cmpNE:
		return a != b
	case cmpLT:
		return a < b
	case cmpLE:
		return a <= b
	case cmpGT:
		return a > b
	}
	return a >= b
}

// compile flattens a tree. item maps codes of the catalog to items of the scorecard.
func compile(t *tree, item []int) program {
	var p program
	p.start = p.add(t, item, jumpTrue, jumpFalse)
	return p
}

func (p *program) add(t *tree, item []int, yes, no int16) int16 {
	switch t.op {
	case token.LAND:
		return p.add(t.a, item, p.add(t.b, item, yes, no), no)
	case token.LOR:
		return p.add(t.a, item, yes, p.add(t.b, item, yes, no))
	}
	l := &t.leaf
	s := step{op: l.op, neg: l.neg, cmp: cmpOps[l.cmp], number: l.number, signal: int32(l.signal), set: l.set, yes: yes, no: no}
	switch l.op {
	case leafCode:
		s.index = int32(item[l.code])
	case leafBuiltin:
		s.index = int32(l.field)
	default:
		s.index = int32(l.fact)
	}
	if len(l.set) == 1 {
		for v := range l.set {
			s.single, s.set = v, nil
		}
	}
	p.steps = append(p.steps, s)
	return int16(len(p.steps) - 1)
}

// scene is what conditions look at.
type scene struct {
	said     bitset // items of the scorecard that were observed
	facts    []Value
	builtins [5]string
	score    int

	// Signals that have not answered. Those in upper might say the worst, those in lower the best; of those in
	// unheard nothing may be assumed that would lower risk.
	upper, lower, unheard bitset
}

// holds runs the program on what has been said, every signal having answered.
func (p *program) holds(s *scene) bool {
	pc := p.start
	for pc >= 0 {
		st := &p.steps[pc]
		if st.plain(s) {
			pc = st.yes
		} else {
			pc = st.no
		}
	}
	return pc == jumpTrue
}

// bound runs the program with signals unanswered. A raising rule is taken to hold if a signal in upper might make it,
// and not to hold if one in lower might keep it from holding; a lowering rule the other way round, and never on the
// word of a signal that is unheard.
func (p *program) bound(s *scene, raising bool) bool {
	pc := p.start
	for pc >= 0 {
		st := &p.steps[pc]
		if st.bound(s, raising) {
			pc = st.yes
		} else {
			pc = st.no
		}
	}
	return pc == jumpTrue
}

// plain is the leaf's truth by what has been said.
func (st *step) plain(s *scene) bool {
	switch st.op {
	case leafCode:
		return s.said.has(int(st.index)) != st.neg
	case leafNumber:
		v := &s.facts[st.index]
		return v.kind == Number && compare(v.num, st.cmp, st.number)
	case leafText:
		v := &s.facts[st.index]
		return v.kind == Text && st.in(v.text) != st.neg
	case leafBuiltin:
		return st.in(s.builtins[st.index]) != st.neg
	case leafScore:
		return compare(float64(s.score), st.cmp, st.number)
	}
	return (s.facts[st.index].kind != 0) != st.neg // leafKnown
}

func (st *step) in(text string) bool {
	if st.set == nil {
		return text == st.single
	}
	_, ok := st.set[text]
	return ok
}

func (st *step) bound(s *scene, raising bool) bool {
	if st.signal < 0 {
		return st.plain(s)
	}
	// What a signal has said already (in an earlier attempt of the flow) stays said.
	settled := st.op == leafCode && s.said.has(int(st.index))
	hopeful, doubtful := s.upper, s.lower
	if !raising {
		if s.unheard.has(int(st.signal)) {
			return settled && !st.neg
		}
		hopeful, doubtful = s.lower, s.upper
	}
	switch {
	case hopeful.has(int(st.signal)):
		return !settled || !st.neg
	case doubtful.has(int(st.signal)):
		return settled && !st.neg
	}
	return st.plain(s)
}

// guard is what the observed items must hold in one word for a condition to be true: all of need, none of veto.
type guard struct {
	word       int32
	need, veto uint64
}

// guardOf finds the codes every way for the condition to be true names, as far as they lie in one word.
func guardOf(t *tree, item []int) guard {
	g := guard{word: -1}
	g.add(t, item)
	g.word = max(g.word, 0)
	return g
}

func (g *guard) add(t *tree, item []int) {
	switch {
	case t.op == token.LAND:
		g.add(t.a, item)
		g.add(t.b, item)
	case t.op == token.LOR || t.leaf.op != leafCode:
	default:
		i := item[t.leaf.code]
		if g.word < 0 {
			g.word = int32(i >> 6)
		}
		switch bit := uint64(1) << (i & 63); {
		case int32(i>>6) != g.word:
		case t.leaf.neg:
			g.veto |= bit
		default:
			g.need |= bit
		}
	}
}

// admits reports whether the condition can be true with these items observed.
func (g *guard) admits(said bitset) bool {
	w := said[g.word]
	return w&g.need == g.need && w&g.veto == 0
}

// bitset is a set of small numbers. Its methods accept numbers beyond its length as absent.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool {
	w := uint(i) >> 6
	return w < uint(len(b)) && b[w]&(1<<(uint(i)&63)) != 0
}

func (b bitset) set(i int) { b[uint(i)>>6] |= 1 << (uint(i) & 63) }

func (b bitset) unset(i int) { b[uint(i)>>6] &^= 1 << (uint(i) & 63) }

func (b bitset) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

func (b bitset) add(other bitset) {
	for i := range other {
		b[i] |= other[i]
	}
}

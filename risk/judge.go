package risk

import "math/bits"

// bench is the working space of one judgement. It is pooled: nothing that outlives Assess points into it.
type bench struct {
	scene
	points  []int32   // of every item as observed
	kept    bitset    // items said only by what the flow keeps
	degrees []float64 // of every item observed
	partial bool      // some item was observed by degree
	changed []int     // items whose points differ from the scorecard's
	learned []int     // facts that were given

	observed  bitset // said, possible and fired items of the judgement at hand
	work      []int32
	breakdown breakdown
	fired     []int // rules without points that fired in the last explained judgement

	// Sets of signals.
	open, erring, skipped bitset
	up, low, deaf         bitset

	run      run
	findings []Finding  // of inline signals
	heard    []*Finding // of all signals
}

func newBench(c *compiled) *bench {
	n, s := len(c.card.items), len(c.catalog.signals)
	b := &bench{points: make([]int32, n), degrees: make([]float64, n), work: make([]int32, n), observed: newBitset(n)}
	copy(b.points, c.points)
	b.said, b.kept = newBitset(n), newBitset(n)
	b.facts = make([]Value, len(c.catalog.facts))
	for _, set := range []*bitset{&b.open, &b.erring, &b.skipped, &b.up, &b.low, &b.deaf} {
		*set = newBitset(s)
	}
	b.fired = make([]int, 0, len(c.rules))
	b.breakdown.contributions = make([]contribution, 0, n)
	b.findings, b.heard = make([]Finding, s), make([]*Finding, s)
	return b
}

// reset makes the bench ready for another attempt.
func (b *bench) reset(c *compiled) {
	for _, i := range b.changed {
		b.points[i] = c.points[i]
	}
	b.changed, b.partial = b.changed[:0], false
	clear(b.said)
	clear(b.kept)
	for _, i := range b.learned {
		b.facts[i] = Value{}
	}
	b.learned = b.learned[:0]
	clear(b.open)
	clear(b.erring)
	clear(b.skipped)
	b.builtins = [5]string{}
	b.upper, b.lower, b.unheard = nil, nil, nil
}

// observe notes a code at a degree. The strongest report counts.
func (b *bench) observe(c *compiled, code int, degree float64) {
	i := c.card.codeItem[code]
	if b.said.has(i) && degree <= b.degrees[i] {
		return
	}
	b.said.set(i)
	b.degrees[i] = degree
	if degree == 1 && !b.partial {
		return
	}
	b.points[i] = atDegree(c.points[i], degree)
	b.changed = append(b.changed, i)
	b.partial = true
}

// learn notes a fact; a newer one wins.
func (b *bench) learn(fact int, v Value) {
	b.facts[fact] = v
	b.learned = append(b.learned, fact)
}

// judgement is what a policy makes of a scene.
type judgement struct {
	raw, score int
	level      int
	byRules    proofSet // proofs that rules require
	required   proofSet // and those of level and flow
}

// scope is what a judgement is made for beside the scene.
type scope struct {
	segment int
	kept    proofSet // what the flow has required so far
	floor   int      // a level below which nothing goes: a flow store that could not tell
}

// judge scores the scene and finds the level. Signals in b.upper are taken to say the worst they can, those in b.lower
// the best, those in b.unheard lower nothing; all other silent ones have nothing to say.
func (c *compiled) judge(b *bench, sc scope, explain bool) judgement {
	certain := b.upper == nil && b.lower == nil && b.unheard == nil
	points := b.points
	copy(b.observed, b.said)
	if !certain {
		points = c.imagine(b)
	}
	if explain {
		b.fired = b.fired[:0]
	}
	for i := range c.pointed {
		if certain && !c.guards[i].admits(b.said) {
			continue
		}
		if c.fires(i, &b.scene, certain) {
			b.observed.set(c.rules[i].item)
		}
	}
	seg := &c.segments[sc.segment]
	var j judgement
	j.raw = c.card.sum(seg.base, b.observed, points, !b.partial, explain, &b.breakdown)
	j.score = min(max(j.raw, 0), 100)
	b.score = j.score
	floor, ceiling := max(c.floorOf(seg, b.observed), sc.floor), len(seg.levels)-1
	for i := c.pointed; i < len(c.rules); i++ {
		if certain && !c.guards[i].admits(b.said) || !c.fires(i, &b.scene, certain) {
			continue
		}
		if explain {
			b.fired = append(b.fired, i)
		}
		switch r := &c.rules[i]; r.effect {
		case effectFloor:
			floor = max(floor, r.levels[sc.segment])
		case effectCeiling:
			ceiling = min(ceiling, r.levels[sc.segment])
		case effectRequire:
			j.byRules |= r.proofs
		}
	}
	j.level = max(floor, min(ceiling, int(seg.byScore[j.score])))
	j.required = seg.levels[j.level].require | j.byRules | sc.kept
	return j
}

// fires reports whether rule i acts, which its guard, being asked first, has not ruled out.
func (c *compiled) fires(i int, s *scene, certain bool) bool {
	if certain {
		return c.rules[i].holds(s)
	}
	return c.rules[i].bound(s, c.rules[i].raising)
}

// imagine adds what open signals could still say to the observed items.
func (c *compiled) imagine(b *bench) []int32 {
	points := b.points
	if b.partial {
		points = b.work
		copy(points, b.points)
	}
	each(b.upper, func(s int) { c.addPossible(b, c.worst[s], points) })
	each(b.lower, func(s int) { c.addPossible(b, c.best[s], points) })
	return points
}

func (c *compiled) addPossible(b *bench, items bitset, points []int32) {
	b.observed.add(items)
	if b.partial {
		each(items, func(i int) { points[i] = c.points[i] })
	}
}

// each calls f for every member of a set.
func each(set bitset, f func(i int)) {
	for w, word := range set {
		for word != 0 {
			f(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
		}
	}
}

// floorOf is the highest level that codes' floors ask for.
func (c *compiled) floorOf(seg *segmentRule, observed bitset) int {
	floor := 0
	for w, word := range observed {
		word &= c.card.floors[w]
		for word != 0 {
			i := w<<6 + bits.TrailingZeros64(word)
			word &= word - 1
			floor = max(floor, int(seg.floors[c.card.items[i].floor]))
		}
	}
	return floor
}

// end says how open signals are taken.
type end uint8

const (
	asSaid  end = iota // open signals have nothing to say
	asWorst            // open signals say the worst they can
	asBest             // open signals say the best they can
)

// answer judges the scene with open signals at one end, and applies the fail modes of erring signals: the level is at
// least what it is with them silent, and goes up to what they might have caused, as far as each one's mode allows. What a
// rule might have required on their word is required.
func (c *compiled) answer(b *bench, sc scope, open bitset, e end) judgement {
	c.take(b, open, e, 0)
	silent := c.judge(b, sc, false)
	if b.erring.empty() {
		return silent
	}
	out := silent
	seg := &c.segments[sc.segment]
	for _, mode := range []FailMode{FailChallenge, FailReview, FailClosed} {
		if !c.take(b, open, e, mode) {
			continue
		}
		worst := c.judge(b, sc, false)
		out.level = max(out.level, min(worst.level, int(seg.failLevel[mode])))
		out.byRules |= worst.byRules
	}
	out.required = seg.levels[out.level].require | out.byRules | sc.kept
	return out
}

// take sets the scene for one judgement: open signals at one end, erring ones of the mode or stricter at their worst
// (mode 0: silent). It reports whether there are such erring signals.
func (c *compiled) take(b *bench, open bitset, e end, mode FailMode) bool {
	b.upper, b.lower, b.unheard = nil, nil, nil
	some := false
	clear(b.up)
	clear(b.low)
	if mode != 0 {
		each(b.erring, func(s int) {
			if c.modes[s] >= mode {
				b.up.set(s)
				some = true
			}
		})
	}
	switch e {
	case asWorst:
		b.up.add(open)
	case asBest:
		b.low.add(open)
	}
	copy(b.deaf, b.erring)
	b.deaf.add(b.skipped)
	if !b.up.empty() {
		b.upper = b.up
	}
	if !b.low.empty() {
		b.lower = b.low
	}
	if !b.deaf.empty() {
		b.unheard = b.deaf
	}
	return some
}

// settled reports whether nothing the open signals could say changes level or required proofs, and none of them can
// give a proof that is still missing. It takes costly signals out of open that would not be asked whatever the others say.
func (c *compiled) settled(b *bench, sc scope, given proofSet, unused func(s int)) bool {
	for _, s := range c.closeCostly(b, sc, given) {
		unused(s)
	}
	if b.open.empty() {
		return true
	}
	worst := c.answer(b, sc, b.open, asWorst)
	best := c.answer(b, sc, b.open, asBest)
	if worst.level != best.level || worst.required != best.required {
		return false
	}
	missing := worst.required &^ given
	gives := false
	each(b.open, func(s int) { gives = gives || c.catalog.signals[s].proofs&missing != 0 })
	return !gives
}

// closeCostly takes costly signals out of open that cannot be needed: at the worst end of everything else the level is
// the lowest one and no proof of theirs is required and missing.
func (c *compiled) closeCostly(b *bench, sc scope, given proofSet) (gated []int) {
	costly := c.catalog.steps[stepCostly]
	if len(costly) == 0 {
		return nil
	}
	others := append(bitset(nil), b.open...)
	some := false
	for _, s := range costly {
		some = some || others.has(s)
		others.unset(s)
	}
	if !some {
		return nil
	}
	worst := c.answer(b, sc, others, asWorst)
	if worst.level > 0 {
		return nil
	}
	for _, s := range costly {
		if b.open.has(s) && c.catalog.signals[s].proofs&worst.required&^given == 0 {
			b.open.unset(s)
			gated = append(gated, s)
		}
	}
	return gated
}

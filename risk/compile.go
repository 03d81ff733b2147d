package risk

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// compiled is a policy made ready for one catalog.
type compiled struct {
	policy   *Policy
	catalog  *catalog
	card     scorecard
	points   []int32  // of every item at full degree
	lines    []Reason // of every item, without points
	rules    []ruleProgram
	guards   []guard // of rules
	pointed  int     // how many of rules give points; they come first
	shadowed []ruleProgram
	segments []segmentRule
	modes    []FailMode // of every signal
	sampling float64
	off      []string // rules switched off because a signal they need is not registered

	// What each signal may add: items that raise risk (with floors), items that lower it.
	worst, best []bitset

	pool sync.Pool // of *bench
}

// effect is what a rule does.
type effect uint8

const (
	effectPoints effect = iota
	effectFloor
	effectCeiling
	effectRequire
)

// ruleProgram is a rule ready for judging.
type ruleProgram struct {
	program
	name    string
	effect  effect
	raising bool
	item    int   // effectPoints
	levels  []int // effectFloor, effectCeiling: the level in each segment
	proofs  proofSet
}

// compilePolicy checks p against the registered signals and makes it ready.
func compilePolicy(p *Policy, c *catalog) (*compiled, error) {
	if p == nil {
		return nil, fmt.Errorf("risk: no policy: use DefaultPolicy(signals)")
	}
	out := &compiled{policy: p, catalog: c, sampling: *p.spec.Sampling}
	probs := &problems{pos: p.pos}
	checkNames(probs, &p.spec, c)
	out.modes = make([]FailMode, len(c.signals))
	for i := range c.signals {
		e := &c.signals[i]
		out.modes[i] = e.mode
		if m, ok := p.spec.Fail[e.desc.Name]; ok {
			out.modes[i] = m
		}
	}
	for i := range p.spec.Segments {
		out.segments = append(out.segments, out.segment(probs, i))
	}
	trees := out.conditions(probs)
	if err := probs.err(); err != nil {
		return nil, err
	}
	out.scorecard(trees)
	out.programs(trees)
	out.reach()
	out.pool.New = func() any { return newBench(out) }
	return out, nil
}

// checkNames finds overrides of what does not exist, and overrides that would turn evidence around.
func checkNames(p *problems, s *PolicySpec, c *catalog) {
	for name, v := range s.Points {
		path := member("points", name)
		i, ok := c.codeIndex[name]
		if !ok {
			p.add(path, "no registered signal declares this code")
			continue
		}
		if was := c.codes[i].Points; was == 0 && v != 0 || was > 0 && v < 0 || was < 0 && v > 0 {
			p.add(path, "declared with %d points: an override keeps the sign, and 0 stays 0", was)
		}
	}
	for name, a := range s.Floors {
		path := member("floors", name)
		i, ok := c.codeIndex[name]
		switch {
		case !ok:
			p.add(path, "no registered signal declares this code")
		case a == Wait || !slices.Contains(actions, a):
			p.add(path, "want allow (no floor), challenge, delay, review, lock or block")
		case a != Allow && c.codes[i].Points < 0:
			p.add(path, "good evidence cannot have a floor")
		}
	}
	for name := range s.Weights {
		checkSignal(p, member("weights", name), name, c)
	}
	for name, m := range s.Fail {
		checkSignal(p, member("fail", name), name, c)
		if m < FailOpen || m > FailClosed {
			p.add(member("fail", name), "want open, challenge, review or closed")
		}
	}
	used := map[string]bool{}
	for i := range c.codes {
		used[c.codes[i].group] = true
	}
	for i := range s.Rules {
		used[s.Rules[i].Group] = true
	}
	for name := range s.Groups {
		if !used[name] {
			p.add(member("groups", name), "no code or rule is in this group")
		}
	}
}

func checkSignal(p *problems, path, name string, c *catalog) {
	if _, ok := c.signalIndex[name]; !ok {
		p.add(path, "no signal of this name is registered")
	}
}

// conditions parses the rules' conditions. The tree of a rule that is off is nil.
func (c *compiled) conditions(p *problems) []*tree {
	rules := c.policy.spec.Rules
	trees := make([]*tree, len(rules))
	for i := range rules {
		r, path := &rules[i], element("rules", i)
		if r.Mode == Off || c.lacks(r) {
			if _, err := parseSyntax(r.When); err != nil {
				p.add(member(path, "when"), "%v", err)
			}
			continue
		}
		c.proofs(p, member(path, "require"), r.Require)
		t, err := parseCondition(r.When, c.catalog, c.policy.spec.Lists)
		if err == nil {
			err = c.checkDirection(t, r)
		}
		if err == nil && impossible(t) {
			err = fmt.Errorf("unreachable: it can never be true")
		}
		if err != nil {
			p.add(member(path, "when"), "%v", err)
			continue
		}
		trees[i] = t
	}
	return trees
}

// lacks reports whether a signal the rule needs is not registered, and notes the rule as off.
func (c *compiled) lacks(r *Rule) bool {
	for _, name := range r.Needs {
		if _, ok := c.catalog.signalIndex[name]; !ok {
			if r.Mode != Off {
				c.off = append(c.off, r.Name)
			}
			return true
		}
	}
	return false
}

// ownGroup begins the names of groups that rules have for themselves.
const ownGroup = "rule "

// scorecard ranks codes and point rules.
func (c *compiled) scorecard(trees []*tree) {
	spec := &c.policy.spec
	groups := map[string]int32{}
	group := func(name string) int32 {
		if i, ok := groups[name]; ok {
			return i
		}
		g, ok := spec.Groups[name]
		decay := defaultDecay
		if !ok {
			g = Group{Lo: defaultLo, Hi: defaultHi}
		} else {
			decay = *g.Decay
		}
		groups[name] = int32(len(c.card.groups))
		c.card.groups = append(c.card.groups, groupRule{name: name, lo: int32(g.Lo), hi: int32(g.Hi), pow: decayPowers(decay, 1)})
		return groups[name]
	}
	for i := range c.catalog.codes {
		e := &c.catalog.codes[i]
		points := e.Points
		if v, ok := spec.Points[e.full]; ok {
			points = v
		}
		weight := 1.0
		if w, ok := spec.Weights[c.catalog.signals[e.signal].desc.Name]; ok {
			weight = w
		}
		floor := e.Floor
		if f, ok := spec.Floors[e.full]; ok {
			floor = f
		}
		if floor == Allow {
			floor = 0
		}
		c.card.items = append(c.card.items, item{points: int32(math.RoundToEven(float64(points) * weight)),
			group: group(e.group), floor: floor, signal: e.signal, code: i, rule: -1, name: e.full})
	}
	for i := range spec.Rules {
		r := &spec.Rules[i]
		if trees[i] == nil || r.Points == 0 || r.Mode != Enforce {
			continue
		}
		name := r.Group
		if name == "" {
			name = ownGroup + r.Name
		}
		c.card.items = append(c.card.items, item{points: int32(r.Points), group: group(name), signal: -1, code: -1, rule: i, name: r.Name})
	}
	rank(c.card.items)
	c.card.finish(spec, len(c.catalog.codes))
	c.points, c.lines = make([]int32, len(c.card.items)), make([]Reason, len(c.card.items))
	for i := range c.card.items {
		it := &c.card.items[i]
		c.points[i] = it.points
		c.lines[i] = Reason{Group: c.card.groups[it.group].name}
		if it.code < 0 {
			c.lines[i].Rule = it.name
			continue
		}
		e := &c.catalog.codes[it.code]
		c.lines[i].Signal, c.lines[i].Code = c.catalog.signals[e.signal].desc.Name, e.Name
		c.lines[i].State, c.lines[i].Public = e.State, e.Public
	}
}

// finish fills what follows from the ranking.
func (c *scorecard) finish(spec *PolicySpec, codes int) {
	c.codeItem = make([]int, codes)
	c.floors = newBitset(len(c.items))
	size := make([]int, len(c.groups))
	for i := range c.items {
		it := &c.items[i]
		if it.code >= 0 {
			c.codeItem[it.code] = i
		}
		if it.floor != 0 {
			c.floors.set(i)
		}
		size[it.group]++
		c.groupOf = append(c.groupOf, it.group)
	}
	for i := range c.groups {
		g := &c.groups[i]
		decay := defaultDecay
		if listed, ok := spec.Groups[g.name]; ok {
			decay = *listed.Decay
		}
		g.pow = decayPowers(decay, size[i]+1)
	}
}

// programs compiles the rules, those that give points first.
func (c *compiled) programs(trees []*tree) {
	spec := &c.policy.spec
	itemOf := map[int]int{}
	for i := range c.card.items {
		if r := c.card.items[i].rule; r >= 0 {
			itemOf[r] = i
		}
	}
	var others []ruleProgram
	var otherGuards []guard
	for i := range spec.Rules {
		r := &spec.Rules[i]
		if trees[i] == nil {
			continue
		}
		rp := ruleProgram{program: compile(trees[i], c.card.codeItem), name: r.Name, raising: raises(r)}
		switch {
		case r.Points != 0:
			rp.effect, rp.item = effectPoints, itemOf[i]
		case r.Floor != "":
			rp.effect, rp.levels = effectFloor, c.levelsOf(r.Floor)
		case r.Ceiling != "":
			rp.effect, rp.levels = effectCeiling, c.levelsOf(r.Ceiling)
		default:
			rp.effect, rp.proofs = effectRequire, c.catalog.bits(r.Require)
		}
		switch {
		case r.Mode == Shadow:
			c.shadowed = append(c.shadowed, rp)
		case rp.effect == effectPoints:
			c.rules = append(c.rules, rp)
			c.guards = append(c.guards, guardOf(trees[i], c.card.codeItem))
		default:
			others = append(others, rp)
			otherGuards = append(otherGuards, guardOf(trees[i], c.card.codeItem))
		}
	}
	c.pointed = len(c.rules)
	c.rules = append(c.rules, others...)
	c.guards = append(c.guards, otherGuards...)
}

// raises reports whether a rule can only make the answer stricter.
func raises(r *Rule) bool { return r.Points > 0 || r.Floor != "" || len(r.Require) > 0 }

// levelsOf finds a level by name in every segment.
func (c *compiled) levelsOf(name string) []int {
	out := make([]int, len(c.segments))
	for i := range c.segments {
		out[i] = slices.IndexFunc(c.segments[i].Levels, func(l Level) bool { return l.Name == name })
	}
	return out
}

// reach collects what each signal could still add.
func (c *compiled) reach() {
	n := len(c.catalog.signals)
	c.worst, c.best = make([]bitset, n), make([]bitset, n)
	for i := range n {
		c.worst[i], c.best[i] = newBitset(len(c.card.items)), newBitset(len(c.card.items))
	}
	for i := range c.card.items {
		it := &c.card.items[i]
		switch {
		case it.signal < 0:
		case it.points > 0 || it.floor != 0:
			c.worst[it.signal].set(i)
		case it.points < 0:
			c.best[it.signal].set(i)
		}
	}
}

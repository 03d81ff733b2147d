package risk

import (
	"fmt"
	"go/token"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// The bounds of a policy's parts.
const (
	mostSegments   = 64
	mostLevels     = 16
	mostProofs     = 10 // distinct ones in one segment's levels
	mostGroups     = 256
	mostRules      = 1000
	mostLists      = 256
	mostListed     = 10_000
	mostText       = 256
	mostName       = 64
	mostPoints     = 100
	mostWeight     = 10
	mostFor        = 10 * 365 * 24 * time.Hour
	mostConditions = 1024 // bytes of one condition
)

// checkSpec checks all that does not depend on the registered signals.
func checkSpec(s *PolicySpec, pos map[string]position) error {
	p := &problems{pos: pos}
	checkName(p, "name", s.Name)
	if len(s.Owner) > mostText {
		p.add("owner", "longer than %d bytes", mostText)
	}
	if s.Review != "" {
		if _, err := time.Parse(time.DateOnly, s.Review); err != nil {
			p.add("review", "want a date like 2027-01-31")
		}
	}
	if !between(*s.Sampling, 0, 1) {
		p.add("sampling", "want 0 to 1")
	}
	checkSegments(p, s.Segments)
	for code, v := range s.Points {
		checkPoints(p, member("points", code), v)
	}
	for signal, w := range s.Weights {
		if !between(w, 0, mostWeight) {
			p.add(member("weights", signal), "want 0 to %d", mostWeight)
		}
	}
	checkGroups(p, s.Groups)
	checkRules(p, s)
	checkLists(p, s.Lists)
	return p.err()
}

func between(v, lo, hi float64) bool { return v >= lo && v <= hi } // false for NaN

func checkName(p *problems, path, name string) {
	switch {
	case name == "":
		p.add(path, "missing")
	case len(name) > mostName:
		p.add(path, "longer than %d bytes", mostName)
	case !utf8.ValidString(name):
		p.add(path, "not valid UTF-8")
	}
}

func checkPoints(p *problems, path string, v int) {
	if v < -mostPoints || v > mostPoints {
		p.add(path, "%d points, want -%d to %d", v, mostPoints, mostPoints)
	}
}

func checkGroups(p *problems, groups map[string]Group) {
	if len(groups) > mostGroups {
		p.add("groups", "%d groups, at most %d", len(groups), mostGroups)
	}
	for name, g := range groups {
		path := member("groups", name)
		checkName(p, path, name)
		if g.Lo < -mostPoints || g.Lo > 0 {
			p.add(member(path, "lo"), "want -%d to 0", mostPoints)
		}
		if g.Hi < 0 || g.Hi > mostPoints {
			p.add(member(path, "hi"), "want 0 to %d", mostPoints)
		}
		if !between(*g.Decay, 0, 1) {
			p.add(member(path, "decay"), "want 0 to 1")
		}
	}
}

func checkLists(p *problems, lists map[string][]string) {
	if len(lists) > mostLists {
		p.add("lists", "%d lists, at most %d", len(lists), mostLists)
	}
	for name, l := range lists {
		path := member("lists", name)
		if !token.IsIdentifier(name) {
			p.add(path, "the name must be a Go identifier, so that conditions can name it")
		}
		if len(l) == 0 || len(l) > mostListed {
			p.add(path, "%d entries, want 1 to %d", len(l), mostListed)
		}
		for i, v := range l {
			if len(v) > mostText {
				p.add(element(path, i), "longer than %d bytes", mostText)
			}
		}
	}
}

func checkSegments(p *problems, segments []Segment) {
	if len(segments) == 0 || len(segments) > mostSegments {
		p.add("segments", "%d segments, want 1 to %d", len(segments), mostSegments)
		return
	}
	names := map[string]bool{}
	for i := range segments {
		s := &segments[i]
		path := element("segments", i)
		checkName(p, member(path, "name"), s.Name)
		if names[s.Name] {
			p.add(member(path, "name"), "%q is the name of an earlier segment", clip(s.Name))
		}
		names[s.Name] = true
		if !(s.Prior > 0 && s.Prior < 1) {
			p.add(member(path, "prior"), "want above 0 and below 1")
		}
		for _, earlier := range segments[:i] {
			if earlier.covers(s) {
				p.add(path, "unreachable: segment %q before it matches all that it does", clip(earlier.Name))
				break
			}
		}
		checkLevels(p, member(path, "levels"), s.Levels)
	}
	if last := &segments[len(segments)-1]; !last.covers(&Segment{}) {
		p.add(element("segments", len(segments)-1), "the last segment must match everything: leave event, channel, tier, tenant and client out")
	}
}

// covers reports whether s matches all that other does.
func (s *Segment) covers(other *Segment) bool {
	return within(other.Event, s.Event) && within(other.Channel, s.Channel) && within(other.Tier, s.Tier) &&
		within(other.Tenant, s.Tenant) && within(other.Client, s.Client)
}

// within reports whether all that list a matches is matched by list b; an empty list matches everything.
func within[T comparable](a, b []T) bool {
	if len(b) == 0 {
		return true
	}
	return len(a) > 0 && !slices.ContainsFunc(a, func(v T) bool { return !slices.Contains(b, v) })
}

func checkLevels(p *problems, path string, levels []Level) {
	if len(levels) > mostLevels {
		p.add(path, "%d levels, at most %d", len(levels), mostLevels)
		return
	}
	names := map[string]bool{}
	next := 0
	for i := range levels {
		l, at := &levels[i], element(path, i)
		checkName(p, member(at, "name"), l.Name)
		if names[l.Name] {
			p.add(member(at, "name"), "%q is the name of an earlier level", clip(l.Name))
		}
		names[l.Name] = true
		if l.Range != nil {
			lo, hi := l.Range[0], l.Range[1]
			switch {
			case lo > hi || lo < 0 || hi > 100:
				p.add(member(at, "range"), "%d to %d is no range within 0 to 100", lo, hi)
			case lo > next:
				p.add(member(at, "range"), "gap: no level has score %d", next)
			case lo < next:
				p.add(member(at, "range"), "overlap: score %d has a level already", lo)
			}
			next = hi + 1
		}
		checkLevelActions(p, at, l)
	}
	if next <= 100 {
		p.add(path, "gap: no level has score %d", max(next, 0))
	}
	if len(p.errs) == 0 {
		checkFalls(p, path, levels)
	}
}

func checkLevelActions(p *problems, at string, l *Level) {
	if l.Action == Wait || !slices.Contains(actions, l.Action) {
		p.add(member(at, "action"), "%s cannot be a level's action: want allow, challenge, delay, review, lock or block", l.Action)
	}
	if l.Action == Challenge && len(l.Require) == 0 {
		p.add(member(at, "require"), "a challenge must require something")
	}
	for _, f := range []struct {
		name string
		a    Action
	}{{"then", l.Then}, {"else", l.Else}} {
		if f.a == Wait || f.a == Challenge || !slices.Contains(actions, f.a) {
			p.add(member(at, f.name), "%s cannot follow: want allow, delay, review, lock or block", f.a)
		}
	}
	if l.Action == Allow && l.Then != Allow {
		p.add(member(at, "then"), "an allow level cannot %s: name what it does in action", l.Then)
	}
	if l.Else < l.Then {
		p.add(member(at, "else"), "%s is milder than then (%s): refusing to prove would pay", l.Else, l.Then)
	}
	timed := slices.ContainsFunc([]Action{l.Action, l.Then, l.Else}, func(a Action) bool { return a == Delay || a == Lock })
	switch {
	case timed && (l.For <= 0 || time.Duration(l.For) > mostFor):
		p.add(member(at, "for"), "delay and lock need a duration of at most ten years")
	case !timed && l.For != 0:
		p.add(member(at, "for"), "only delay and lock last")
	}
	seen := map[Proof]bool{}
	for i, q := range l.Require {
		checkName(p, element(member(at, "require"), i), string(q))
		if seen[q] {
			p.add(element(member(at, "require"), i), "%q is required already", clip(string(q)))
		}
		seen[q] = true
	}
}

// checkFalls refuses levels between which the action falls for some set of given proofs: more bad evidence would pay.
func checkFalls(p *problems, path string, levels []Level) {
	var proofs []Proof
	for i := range levels {
		for _, q := range levels[i].Require {
			if !slices.Contains(proofs, q) {
				proofs = append(proofs, q)
			}
		}
	}
	if len(proofs) > mostProofs {
		p.add(path, "%d different proofs, at most %d", len(proofs), mostProofs)
		return
	}
	for i := 1; i < len(levels); i++ {
		for given := range proofSet(1) << len(proofs) {
			below := obtainable(&levels[i-1], proofs, given)
			above := obtainable(&levels[i], proofs, given)
			if above < below {
				p.add(element(path, i), "with %s given it acts as %s, milder than level %q (%s): levels must be in order of strictness",
					describe(proofs, given), above, clip(levels[i-1].Name), below)
				break
			}
		}
	}
}

// obtainable is the level's action when the given proofs are there and every missing one can be had.
func obtainable(l *Level, proofs []Proof, given proofSet) Action {
	var required proofSet
	for _, q := range l.Require {
		required |= 1 << slices.Index(proofs, q)
	}
	c := levelRule{action: l.Action, require: required, then: l.Then, otherwise: l.Else}
	action, _ := c.act(required, given, ^proofSet(0))
	return action
}

func describe(proofs []Proof, given proofSet) string {
	var names []Proof
	for i, q := range proofs {
		if given&(1<<i) != 0 {
			names = append(names, q)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return fmt.Sprint(names)
}

func checkRules(p *problems, s *PolicySpec) {
	if len(s.Rules) > mostRules {
		p.add("rules", "%d rules, at most %d", len(s.Rules), mostRules)
		return
	}
	names := map[string]bool{}
	for i := range s.Rules {
		r, at := &s.Rules[i], element("rules", i)
		checkName(p, member(at, "name"), r.Name)
		if names[r.Name] {
			p.add(member(at, "name"), "%q is the name of an earlier rule", clip(r.Name))
		}
		names[r.Name] = true
		if r.Mode != Enforce && r.Mode != Shadow && r.Mode != Off {
			p.add(member(at, "mode"), "want enforce, shadow or off")
		}
		effects := 0
		for _, has := range []bool{r.Points != 0, r.Floor != "", r.Ceiling != "", len(r.Require) > 0} {
			if has {
				effects++
			}
		}
		if effects != 1 {
			p.add(at, "want exactly one of points, floor, ceiling and require")
		}
		if r.Group != "" && r.Points == 0 {
			p.add(member(at, "group"), "only points have a group")
		}
		checkPoints(p, member(at, "points"), r.Points)
		checkRuleLevels(p, at, s, r)
	}
}

// checkRuleLevels checks that a floor or ceiling names a level of every segment and changes something.
func checkRuleLevels(p *problems, at string, s *PolicySpec, r *Rule) {
	for _, f := range []struct{ field, level string }{{"floor", r.Floor}, {"ceiling", r.Ceiling}} {
		if f.level == "" {
			continue
		}
		path, idle := member(at, f.field), 0
		for j := range s.Segments {
			g := &s.Segments[j]
			k := slices.IndexFunc(g.Levels, func(l Level) bool { return l.Name == f.level })
			if k < 0 {
				p.add(path, "segment %q has no level %q", clip(g.Name), clip(f.level))
				return
			}
			if (f.field == "floor" && k == 0) || (f.field == "ceiling" && k == len(g.Levels)-1) {
				idle++
			}
		}
		if idle == len(s.Segments) {
			p.add(path, "a %s of level %q changes nothing", f.field, clip(f.level))
		}
	}
}

// isFinite reports whether v is a number one can compute with.
func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

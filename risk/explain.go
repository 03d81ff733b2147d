package risk

import (
	"slices"
	"strings"
)

// explain writes level, score and reasons of the assessment. The reasons add up to the score.
func (r *run) explain(v verdict) {
	out, c, b := r.out, r.c, r.b
	j := v.judgement
	if !r.explained {
		// The explained score is that of what has been said; errors may have raised the level above it.
		c.take(b, nil, asSaid, 0)
		j = c.judge(b, r.scope, true)
	}
	out.Score, out.Raw, out.Chance = j.score, j.raw, chance(j.raw)
	out.Level = r.rule(&v).name
	out.Reasons = c.reasons(b, r.scope.segment, j)
	for i := range c.shadowed {
		if rule := &c.shadowed[i]; rule.holdsFor(&b.scene) {
			out.ShadowRules = append(out.ShadowRules, rule.name)
		}
	}
	slices.Sort(out.Skipped)
	slices.Sort(out.Unused)
	slices.SortFunc(out.Errors, func(a, b SignalError) int { return strings.Compare(a.Signal, b.Signal) })
}

// holdsFor reports whether a rule in shadow mode would have acted.
func (r *ruleProgram) holdsFor(s *scene) bool { return r.bound(s, r.raising) }

// reasons lists base, contributions with the cuts of their groups, rules without points, and the clamp.
func (c *compiled) reasons(b *bench, segment int, j judgement) []Reason {
	d := &b.breakdown
	out := make([]Reason, 0, 2+len(d.contributions)+len(d.cuts)+len(b.fired))
	out = append(out, Reason{Code: "base", Points: c.segments[segment].base})
	cut := 0
	for i, v := range d.contributions {
		reason := &c.lines[v.item]
		group := c.card.groupOf[v.item]
		out = append(out, *reason)
		out[len(out)-1].Points = int(v.points)
		out[len(out)-1].Kept = b.kept.has(int(v.item))
		last := i+1 == len(d.contributions) || c.card.groupOf[d.contributions[i+1].item] != group
		if last && cut < len(d.cuts) && d.cuts[cut].group == group {
			out = append(out, Reason{Code: "cap", Group: reason.Group, Points: int(d.cuts[cut].points)})
			cut++
		}
	}
	for _, i := range b.fired {
		out = append(out, Reason{Rule: c.rules[i].name})
	}
	if j.score != j.raw {
		out = append(out, Reason{Code: "clamp", Points: j.score - j.raw})
	}
	return out
}

package risk

import (
	"fmt"
	"strings"
)

// Warning is something legal in a policy that its owner should know.
type Warning struct {
	Path string // "signals.ip", "groups"
	Msg  string
}

// String is path and message.
func (w Warning) String() string { return w.Path + ": " + w.Msg }

// Lint checks p against signals as [NewEngine] does, and warns where one signal alone can allow or block an attempt,
// where good evidence together cancels any finding, and of rules that are off because a signal they need is missing.
func Lint(p *Policy, signals []Signal) ([]Warning, error) {
	catalog, err := newCatalog(signals)
	if err != nil {
		return nil, err
	}
	c, err := compilePolicy(p, catalog)
	if err != nil {
		return nil, err
	}
	var out []Warning
	for s := range catalog.signals {
		if catalog.signals[s].signal != nil {
			out = append(out, c.lintSignal(s)...)
		}
	}
	out = append(out, c.lintGood()...)
	for _, name := range c.off {
		out = append(out, Warning{"rules", fmt.Sprintf("%q is off: a signal it needs is not registered", name)})
	}
	return out, nil
}

// lintSignal tries the signal's worst and best against nothing and against everything else.
func (c *compiled) lintSignal(s int) []Warning {
	var out []Warning
	name := c.catalog.signals[s].desc.Name
	b := newBench(c)
	one, others := newBitset(len(c.catalog.signals)), newBitset(len(c.catalog.signals))
	one.set(s)
	for i := range c.catalog.signals {
		if i != s && c.catalog.signals[i].signal != nil {
			others.set(i)
		}
	}
	blocks, allows := "", ""
	for i := range c.segments {
		seg := &c.segments[i]
		sc := scope{segment: i}
		b.upper, b.lower, b.unheard = one, nil, nil
		if blocks == "" && c.acts(seg, c.judge(b, sc, false)) >= Block {
			blocks = seg.Name
		}
		// Everything else at its worst, without and with this signal at its best.
		b.upper, b.lower = others, nil
		without := c.judge(b, sc, false)
		b.upper, b.lower = others, one
		with := c.judge(b, sc, false)
		if allows == "" && c.acts(seg, without) > Allow && c.acts(seg, with) == Allow {
			allows = seg.Name
		}
	}
	if blocks != "" {
		out = append(out, Warning{"signals." + name, fmt.Sprintf("alone can block (segment %q)", blocks)})
	}
	if allows != "" {
		out = append(out, Warning{"signals." + name, fmt.Sprintf("alone can allow, whatever the others say (segment %q)", allows)})
	}
	return out
}

// acts is the level's action while no proof is given and all can be had.
func (c *compiled) acts(seg *segmentRule, j judgement) Action {
	a, _ := seg.levels[j.level].act(j.required, 0, ^proofSet(0))
	return a
}

// lintGood compares what all good evidence together takes off with the strongest finding.
func (c *compiled) lintGood() []Warning {
	good := make([]int32, len(c.card.groups))
	var worst int32
	var name string
	for i := range c.card.items {
		it := &c.card.items[i]
		if it.points < 0 {
			good[it.group] += -it.points
		}
		if reach := min(it.points, c.card.groups[it.group].hi); it.floor == 0 && reach > worst {
			worst, name = reach, it.name
		}
	}
	var total int32
	var groups []string
	for i, g := range good {
		if g > 0 {
			total += min(g, -c.card.groups[i].lo)
			groups = append(groups, c.card.groups[i].name)
		}
	}
	if worst == 0 || total < worst {
		return nil
	}
	return []Warning{{"groups", fmt.Sprintf("good evidence of %s together (-%d) cancels any finding (the strongest is %s, %d)",
		strings.Join(groups, ", "), total, name, worst)}}
}

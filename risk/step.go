package risk

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The steps of an assessment.
const (
	stepLocal = iota
	stepCounting
	stepStored
	stepRemote
	stepCostly
)

func stepOf(d *Description) int {
	switch {
	case d.Counts:
		return stepCounting
	case d.Cost == Local:
		return stepLocal
	case d.Cost == Stored:
		return stepStored
	case d.Cost == Remote:
		return stepRemote
	}
	return stepCostly
}

// The default timeouts of one Evaluate.
const (
	timeoutStored = 50 * time.Millisecond
	timeoutRemote = 400 * time.Millisecond
	timeoutCostly = 600 * time.Millisecond
)

func timeoutOf(d *Description) time.Duration {
	switch {
	case d.Timeout > 0:
		return d.Timeout
	case d.Cost == Remote:
		return timeoutRemote
	case d.Cost == Costly:
		return timeoutCostly
	}
	return timeoutStored
}

// resolveNeeds checks that needed facts come from an earlier step.
func (c *catalog) resolveNeeds() error {
	for i := range c.signals {
		e := &c.signals[i]
		for _, need := range e.desc.Needs {
			f, ok := c.factIndex[need]
			if !ok {
				continue // the signal that would give it is not registered: the fact is absent
			}
			if from := &c.signals[c.facts[f].signal]; from.step >= e.step {
				return fmt.Errorf("risk: signal %s needs %s, which signal %s gives no earlier", e.desc.Name, need, from.desc.Name)
			}
			e.needs = append(e.needs, f)
		}
	}
	return nil
}

// order sorts the signals into steps. Within a step the order is by name, so that registration order never shows.
func (c *catalog) order() {
	for i := range c.signals {
		if e := &c.signals[i]; e.signal != nil {
			c.steps[e.step] = append(c.steps[e.step], i)
			if e.settler != nil {
				c.settlers = append(c.settlers, i)
			}
		}
	}
	byName := func(a, b int) int { return strings.Compare(c.signals[a].desc.Name, c.signals[b].desc.Name) }
	for s := range c.steps {
		slices.SortFunc(c.steps[s], byName)
	}
	slices.SortStableFunc(c.steps[stepCounting], func(a, b int) int {
		return inlineRank(&c.signals[a]) - inlineRank(&c.signals[b])
	})
	for _, i := range c.steps[stepCounting] {
		c.inline += 1 - inlineRank(&c.signals[i])
	}
	slices.SortFunc(c.settlers, byName)
}

func inlineRank(e *signalEntry) int {
	if e.desc.Cost == Local {
		return 0
	}
	return 1
}

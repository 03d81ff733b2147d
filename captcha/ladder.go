package captcha

import (
	"errors"
	"fmt"
	"slices"
)

// Rung is how much a visitor is asked for.
type Rung uint8

// The rungs, in order. The zero value means that a Member or a LadderStep names none.
const (
	RungNone        Rung = iota + 1 // nothing
	RungInvisible                   // a widget that shows nothing and scores behaviour
	RungWork                        // a proof of work, harder the higher the score
	RungInteractive                 // something to click or solve
)

// String names the rung.
func (r Rung) String() string {
	switch r {
	case RungNone:
		return "none"
	case RungInvisible:
		return "invisible"
	case RungWork:
		return "work"
	case RungInteractive:
		return "interactive"
	}
	return "any"
}

// LadderStep is one line of a Ladder.
type LadderStep struct {
	// From is the least score, 0 to 100, at which the step is taken.
	From int
	// Rung is what is asked there.
	Rung Rung
	// Second asks for a behavioural provider beside the first.
	Second bool
}

// DefaultLadder returns the default steps: nothing below 16, an invisible check up to 30, a proof of work up to 60, then
// something interactive with a behavioural provider beside it.
func DefaultLadder() []LadderStep {
	return []LadderStep{
		{From: 0, Rung: RungNone},
		{From: 16, Rung: RungInvisible},
		{From: 31, Rung: RungWork},
		{From: 61, Rung: RungInteractive, Second: true},
	}
}

// Ladder chooses what to ask from a score. It is immutable and safe for concurrent use.
type Ladder struct {
	steps []LadderStep
	slack int
}

// DefaultSlack is the usual hysteresis of a Ladder, in points of the score.
const DefaultSlack = 5

// NewLadder makes a ladder. Starts must rise from 0 and rungs must not fall. slack is by how many points a score must
// be below the start of a step before a visitor who is on it is asked for less.
func NewLadder(steps []LadderStep, slack int) (*Ladder, error) {
	if len(steps) == 0 || len(steps) > 32 {
		return nil, errors.New("captcha: a ladder has 1 to 32 steps; DefaultLadder gives some")
	}
	if slack < 0 || slack > 50 {
		return nil, fmt.Errorf("captcha: slack %d; it must be 0 to 50", slack)
	}
	for i, s := range steps {
		switch {
		case s.Rung < RungNone || s.Rung > RungInteractive:
			return nil, fmt.Errorf("captcha: step %d of the ladder names no rung", i)
		case i == 0 && s.From != 0:
			return nil, errors.New("captcha: the first step of the ladder must start at score 0")
		case i > 0 && (s.From <= steps[i-1].From || s.Rung < steps[i-1].Rung) || s.From > 100:
			return nil, fmt.Errorf("captcha: step %d of the ladder must start higher than the one before, within 100, and ask for no less", i)
		}
	}
	return &Ladder{slices.Clone(steps), slack}, nil
}

// Step returns the step with that number, cut to those there are.
func (l *Ladder) Step(n int) LadderStep { return l.steps[min(max(n, 0), len(l.steps)-1)] }

// Choose returns the number of the step for a score. last is the step this visitor was last on, 0 for a new one; each
// failure raises by one step. It is a pure function: more of either never gives an earlier step.
func (l *Ladder) Choose(last, score, failures int) int {
	most := len(l.steps) - 1
	failures = min(max(failures, 0), most)
	up := min(l.reached(score)+failures, most)
	stay := min(l.reached(score+l.slack)+failures, most)
	return max(up, min(min(max(last, 0), most), stay))
}

// reached is the last step whose start the score reaches.
func (l *Ladder) reached(score int) int {
	n := 0
	for n+1 < len(l.steps) && score >= l.steps[n+1].From {
		n++
	}
	return n
}

package risktest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// How long the answers of [Engine] last.
const (
	WaitFor = time.Minute // until the end of a wait
	Lasts   = time.Hour   // until the end of a delay or lock
)

// Given is evidence for a [Prover]: the proofs the attempt gives.
type Given []risk.Proof

// Prover is a signal that proves what [Given] evidence says, among the proofs it declares, and can be asked how to give
// them. It is safe for concurrent use.
type Prover struct{ *Signal }

var (
	_ risk.Signal = (*Prover)(nil)
	_ risk.Asker  = (*Prover)(nil)
)

// NewProver makes a Prover of the given proofs.
func NewProver(name string, proofs []risk.Proof, opts *Options) *Prover {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Proofs = append(slices.Clone(o.Proofs), proofs...)
	return &Prover{newSignal(name, risk.Remote, &o, func(_ context.Context, s *Signal, a *risk.Attempt, f *risk.Finding) error {
		given, _ := risk.Evidence[Given](a)
		for _, p := range given {
			if slices.Contains(s.desc.Proofs, p) {
				f.Prove(p)
			}
		}
		return nil
	})}
}

// Ask answers {"give": proof}.
func (p *Prover) Ask(_ context.Context, q risk.Question) (any, error) {
	return map[string]string{"give": string(q.Proof)}, nil
}

// Engine makes a real engine that always answers with action, for tests of handlers:
//
//   - Challenge requires the proofs named (none: human), with a flow that can be continued and tasks that say how. An
//     attempt that continues the flow with [Given] evidence of all of them is allowed; one that lists a proof in its
//     Cannot is for review, as it can not be asked.
//   - Wait ends [WaitFor] from now; Delay and Lock end [Lasts] from now.
//
// With other actions the proofs are what Open can offer. Engine panics when there cannot be such an engine: when action
// is none of package risk's, or a proof's name is empty or too long.
func Engine(action risk.Action, require ...risk.Proof) *risk.Engine {
	require = slices.Clone(require)
	slices.Sort(require)
	require = slices.Compact(require)
	level := risk.Level{Name: action.String(), Range: &[2]int{0, 100}, Action: action}
	var signals []risk.Signal
	switch action {
	case risk.Challenge:
		if len(require) == 0 {
			require = []risk.Proof{risk.ProofHuman}
		}
		level.Require = require
	case risk.Wait:
		level.Action = risk.Allow
		signals = append(signals, newSignal("waiting", risk.Local, nil, func(_ context.Context, _ *Signal, _ *risk.Attempt, f *risk.Finding) error {
			f.Retry(time.Now().Add(WaitFor))
			return nil
		}))
	case risk.Delay, risk.Lock:
		level.For = risk.Duration(Lasts)
	}
	if len(require) > 0 {
		signals = append(signals, NewProver("prover", require, nil))
	}
	p, err := risk.NewPolicy(risk.PolicySpec{Name: "always " + action.String(),
		Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{level}}}})
	if err != nil {
		panic(fmt.Sprintf("risktest: no engine can always answer %s: %v", action, err))
	}
	e, err := risk.NewEngine(p, signals, nil)
	if err != nil {
		panic(fmt.Sprintf("risktest: no engine can always answer %s: %v", action, err))
	}
	return e
}

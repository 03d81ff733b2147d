package risk

import (
	"context"
	"errors"
)

// Open begins a flow before the first attempt, so that a client can fetch what proofs need (a nonce for app
// attestation, a proof of work). It judges nothing: the answer is Challenge with what is offered (empty: all that can
// be proven) and a flow that [Engine.Assess] continues. What is offered is not required. When the flow cannot be kept,
// the answer is Review, degraded.
func (e *Engine) Open(ctx context.Context, a *Attempt, offer ...Proof) *Assessment {
	if a == nil {
		a = &Attempt{}
	}
	c := e.state.Load().live
	out := &outcome{}
	out.run = &out.record
	out.record.engine = e
	attempt := &out.record.attempt
	*attempt = *a
	attempt.state = nil
	attempt.detach()
	if attempt.ID == "" {
		attempt.ID = newID()
	}
	seg := &c.segments[c.segmentIndex(attempt)]
	out.ID, out.Event, out.Policy = attempt.ID, attempt.Event, seg.ref
	set := seg.offers
	if len(offer) > 0 {
		set &= c.catalog.bits(offer)
	}
	set &^= c.catalog.bits(attempt.Cannot)
	var err error
	if set == 0 {
		err = errors.New("risk: nothing that is offered can be proven here")
	} else {
		name := newFlowName(attempt.Tenant, e.now().Add(e.flowTTL))
		state := &flowState{Event: attempt.Event, Offered: c.catalog.list(set)}
		state.bind(name, attempt)
		if err = e.create(context.WithoutCancel(ctx), timeoutFlow, name, state); err == nil {
			out.Action, out.Require, out.Flow, out.record.flow = Challenge, c.catalog.list(set), name, name
			return &out.Assessment
		}
	}
	e.hooks.flowError(opCreate, err)
	out.Action, out.Degraded = Review, true
	return &out.Assessment
}

// Tasks says how the client can give each missing proof, one task for each signal that takes it. A signal that cannot
// tell is left out; the error names it, and what the other signals said is still returned.
func (e *Engine) Tasks(ctx context.Context, s *Assessment) ([]Task, error) {
	if s == nil || s.run == nil || s.run.engine != e {
		return nil, errors.New("risk: Tasks wants an assessment of this engine")
	}
	seg := e.segmentOf(&s.run.attempt)
	var tasks []Task
	var errs []error
	for _, p := range s.Require {
		bit := e.catalog.bit(p)
		if bit&seg.offers == 0 {
			continue
		}
		for i := range e.catalog.signals {
			entry := &e.catalog.signals[i]
			if entry.signal == nil || entry.proofs&bit == 0 {
				continue
			}
			task := Task{Proof: p, Signal: entry.desc.Name}
			if entry.asker != nil {
				data, err := bounded(&e.settle[i], ctx, e.budget, func(ctx context.Context) (any, error) {
					return entry.asker.Ask(ctx, Question{Attempt: s.run.attempt.clone(), Proof: p, Score: s.Score, Failures: s.run.failures, Flow: s.Flow})
				})
				if err != nil {
					errs = append(errs, SignalError{Signal: entry.desc.Name, Cause: CauseError, Err: err})
					continue
				}
				task.Data = data
			}
			tasks = append(tasks, task)
		}
	}
	return tasks, errors.Join(errs...)
}

func (e *Engine) segmentOf(a *Attempt) *segmentRule {
	c := e.state.Load().live
	return &c.segments[c.segmentIndex(a)]
}

// Pending lists the proofs the attempt's flow still misses: required ones, and those an Open has offered. A handler
// that sends an SMS asks it first, and sends nothing when the phone is not in the list. An empty list means that there
// is no such flow, or nothing to give. For a flow that only Open has seen, phone and voice are listed only where the
// counting signals, asked once for the flow, stand below a challenge.
func (e *Engine) Pending(ctx context.Context, a *Attempt) ([]Proof, error) {
	s, err := e.Resume(ctx, a)
	if err != nil || s == nil {
		return nil, err
	}
	return s.Require, nil
}

// Resume returns the open challenge of the attempt's flow as an assessment, so that its [Engine.Tasks] can be asked
// again: Challenge with what [Engine.Pending] lists. It judges nothing, and is nil where there is no such flow or
// nothing to give.
func (e *Engine) Resume(ctx context.Context, a *Attempt) (*Assessment, error) {
	if a == nil || a.Flow == "" {
		return nil, nil
	}
	c := e.state.Load().live
	b := c.pool.Get().(*bench)
	defer func() {
		b.end()
		c.pool.Put(b)
	}()
	r := b.begin(ctx, e, c, a)
	r.attempt.detach()
	r.loadFlow()
	switch {
	case r.out.Degraded:
		return nil, errors.New("risk: the flow store could not tell what is pending")
	case r.flow == nil:
		return nil, nil
	}
	state := r.flow.state
	missing := (r.scope.kept | c.catalog.bits(state.Offered)) &^ r.given
	missing &= r.obtainable(&c.segments[r.scope.segment])
	sent := c.catalog.bits([]Proof{ProofPhone, ProofVoice})
	if missing&sent != 0 && !state.Judged && !r.calm() {
		missing &^= sent
	}
	if missing == 0 {
		return nil, nil
	}
	out := &r.out.Assessment
	out.Action, out.Require, out.Flow, out.Score = Challenge, c.catalog.list(missing), r.flow.name, state.Score
	return out, nil
}

// calm asks the counting signals about a flow nobody has judged yet, keeps what they charged with the flow, and
// reports whether they stand below a challenge.
func (r *run) calm() bool {
	r.peek = true
	r.open()
	counting := r.c.catalog.steps[stepCounting]
	for _, s := range counting[:r.c.catalog.inline] {
		if r.b.open.has(s) {
			r.inline(s)
		}
	}
	r.askStep(counting[r.c.catalog.inline:])
	clear(r.b.open)
	v := verdict{judgement: r.c.answer(r.b, r.scope, nil, asSaid)}
	if ok, _ := r.storeFlow(&v); !ok {
		return false
	}
	seg := &r.c.segments[r.scope.segment]
	return v.level < int(seg.failLevel[FailChallenge]) && !r.retry.After(r.e.now())
}

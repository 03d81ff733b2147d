package risk

import (
	"context"
	"slices"
	"time"
)

// timeoutFlow bounds one call of the flow store, within the budget.
const timeoutFlow = 250 * time.Millisecond

// errors of the flow store go to hooks under these names.
const (
	opLoad   = "load"
	opCreate = "create"
	opUpdate = "update"
	opSpend  = "spend"
	opReopen = "reopen"
)

func (e *Engine) loadRecord(ctx context.Context, timeout time.Duration, key string) (FlowRecord, bool, error) {
	type loaded struct {
		rec FlowRecord
		ok  bool
	}
	l, err := bounded(&e.flowGate, ctx, timeout, func(ctx context.Context) (l loaded, err error) {
		l.rec, l.ok, err = e.flows.Load(ctx, key)
		return l, err
	})
	return l.rec, l.ok, err
}

// flowTime is how long the store may take now.
func (r *run) flowTime() time.Duration { return min(timeoutFlow, time.Until(r.deadline)) }

func (r *run) flowFailed(op string, err error) {
	r.out.Degraded = true
	r.e.hooks.flowError(op, err)
}

// loadFlow finds the flow the attempt names. Anything but a loaded, bound, unspent flow leaves a new attempt with a
// code of the signal flow.
func (r *run) loadFlow() {
	name := r.attempt.Flow
	if name == "" {
		return
	}
	tenant, expires, ok := parseFlowName(name)
	if !ok {
		r.hearFlow(flowUnknown)
		return
	}
	if !r.e.now().Before(expires) {
		r.hearFlow(flowExpired)
		return
	}
	rec, ok, err := r.e.loadRecord(r.base, r.flowTime(), flowKey(name))
	var state *flowState
	if err == nil && ok {
		state, err = decodeFlow(rec.State)
	}
	switch {
	case err != nil:
		r.flowFailed(opLoad, err)
		r.scope.floor = int(r.c.segments[r.scope.segment].failLevel[r.e.onFlowError])
	case !ok:
		r.hearFlow(flowUnknown)
	case tenant != tenantHash(r.attempt.Tenant) || !state.belongs(name, r.attempt):
		r.hearFlow(flowMismatch)
	case rec.Spent:
		r.void = true
		r.hearFlow(flowSpent)
	default:
		r.resume(&flow{name: name, key: flowKey(name), state: state, version: rec.Version})
	}
}

// hearFlow reports a code of the engine's own signal.
func (r *run) hearFlow(code int) {
	e := &r.c.catalog.signals[0]
	r.b.observe(r.c, e.codes[code], 1)
}

// resume takes over what the flow kept.
func (r *run) resume(f *flow) {
	r.flow, r.continued = f, true
	r.out.record.flow, r.out.record.failures = f.name, f.state.Failures
	if f.state.refresh(f.name, r.attempt) {
		r.hearFlow(flowChanged)
	}
	r.scope.kept = r.c.catalog.bits(f.state.Required)
	for i := range f.state.Findings {
		k := &f.state.Findings[i]
		s, ok := r.c.catalog.signalIndex[k.Signal]
		if !ok {
			continue // no longer registered
		}
		// What no longer fits the signal's declaration (a newer version of it) is not heard.
		_ = r.hear(&r.c.catalog.signals[s], k.finding())
	}
	copy(r.b.kept, r.b.said)
	r.b.kept.unset(r.c.card.codeItem[r.c.catalog.signals[0].codes[flowChanged]])
	if missing := r.scope.kept &^ r.given; missing.count() == 1 && missing&r.c.catalog.bits(r.attempt.Cannot) == 0 {
		r.asked = append(slices.Clip(slices.Clone(r.asked)), r.c.catalog.list(missing)...)
	}
}

// keepInto adds what this attempt said to a flow's state.
func (r *run) keepInto(s *flowState, name string, required proofSet) {
	s.bind(name, r.attempt)
	s.Judged = s.Judged || !r.peek
	for _, p := range r.c.catalog.list(required) {
		if !slices.Contains(s.Required, p) {
			s.Required = append(s.Required, p)
		}
	}
	for i, f := range r.findings {
		if f == nil {
			continue
		}
		e := &r.c.catalog.signals[i]
		if e.desc.Counts && f.receipt == "" {
			continue // not charged: it is asked again when the flow continues
		}
		k := keep(e.desc.Name, f)
		if r.void {
			k.Proofs = nil
		}
		if at := s.index(k.Signal); at >= 0 {
			s.Findings[at].merge(k)
		} else {
			s.Findings = append(s.Findings, k)
		}
	}
	s.Failures += r.failures()
	if !r.peek {
		s.Score = r.score
	}
}

// failures counts the signals that met invalid evidence in this attempt.
func (r *run) failures() (n int) {
	for i, f := range r.findings {
		if f == nil {
			continue
		}
		e := &r.c.catalog.signals[i]
		for o := range f.Observations() {
			if c, ok := r.c.catalog.codeOf(e, o.Code); ok && r.c.catalog.codes[c].State == Invalid {
				n++
				break
			}
		}
	}
	return n
}

// storeFlow creates the flow of a challenged attempt, or brings it up to date. lost: somebody else has spent it.
func (r *run) storeFlow(v *verdict) (ok, lost bool) {
	if r.flow == nil {
		return r.createFlow(v), false
	}
	const tries = 3
	f := r.flow
	for range tries {
		r.keepInto(f.state, f.name, r.demanded(v))
		state, err := f.state.encode()
		if err == nil {
			ok, err = bounded(&r.e.flowGate, r.base, r.flowTime(), func(ctx context.Context) (bool, error) {
				return r.e.flows.Update(ctx, f.key, f.version, state, false)
			})
		}
		if err != nil {
			r.flowFailed(opUpdate, err)
			return false, false
		}
		if ok {
			r.out.Flow, r.out.record.failures = f.name, f.state.Failures
			return true, false
		}
		// Somebody else has moved the flow on: take their state and add ours to it.
		rec, there, err := r.e.loadRecord(r.base, r.flowTime(), f.key)
		if err == nil && there && !rec.Spent {
			f.state, err = decodeFlow(rec.State)
			f.version = rec.Version
		}
		if err != nil {
			r.flowFailed(opLoad, err)
			return false, false
		}
		if !there || rec.Spent {
			return false, true
		}
	}
	r.flowFailed(opUpdate, errFlowBusy)
	return false, false
}

// demanded is what the flow will require from now on. A look at the counting signals alone demands nothing.
func (r *run) demanded(v *verdict) proofSet {
	if r.peek {
		return 0
	}
	return v.required
}

func (r *run) createFlow(v *verdict) bool {
	name := newFlowName(r.attempt.Tenant, r.e.now().Add(r.e.flowTTL))
	state := &flowState{Event: r.attempt.Event}
	r.keepInto(state, name, r.demanded(v))
	if err := r.e.create(r.base, r.flowTime(), name, state); err != nil {
		r.flowFailed(opCreate, err)
		return false
	}
	r.out.Flow, r.out.record.flow, r.out.record.failures = name, name, state.Failures
	return true
}

// create stores a new flow.
func (e *Engine) create(ctx context.Context, timeout time.Duration, name string, state *flowState) error {
	b, err := state.encode()
	if err != nil {
		return err
	}
	_, err = bounded(&e.flowGate, ctx, timeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, e.flows.Create(ctx, flowKey(name), b, e.flowTTL)
	})
	return err
}

// spendFlow spends the flow; of two finishers one wins. What it would hold is kept with the assessment, in case it is
// undone and the flow reopens.
func (r *run) spendFlow(v *verdict) (won bool, err error) {
	f := r.flow
	won, err = bounded(&r.e.flowGate, r.base, r.flowTime(), func(ctx context.Context) (bool, error) {
		return r.e.flows.Spend(ctx, f.key)
	})
	if err != nil {
		r.flowFailed(opSpend, err)
		return false, err
	}
	if won {
		r.keepInto(f.state, f.name, r.demanded(v))
		r.out.record.spent = f.state
	}
	return won, nil
}

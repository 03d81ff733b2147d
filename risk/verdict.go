package risk

import (
	"slices"
	"time"
)

// verdict is a judgement with what it means for this attempt.
type verdict struct {
	judgement
	action  Action
	missing proofSet
}

// decide judges what has been said.
func (r *run) decide() verdict {
	clear(r.b.open)
	var v verdict
	if r.explained = r.b.erring.empty(); r.explained {
		r.c.take(r.b, nil, asSaid, 0)
		v.judgement = r.c.judge(r.b, r.scope, true)
	} else {
		v.judgement = r.c.answer(r.b, r.scope, nil, asSaid)
	}
	r.score = v.score
	v.action, v.missing = r.rule(&v).act(v.required, r.provided(), r.obtainable(&r.c.segments[r.scope.segment]))
	return v
}

func (r *run) rule(v *verdict) *levelRule { return &r.c.segments[r.scope.segment].levels[v.level] }

// provided is what the attempt has proven. Proofs brought to a flow that somebody else has spent are spent with it.
func (r *run) provided() proofSet {
	if r.void {
		return 0
	}
	return r.given
}

// obtainable is what healthy signals could still prove and the client does not rule out.
func (r *run) obtainable(seg *segmentRule) proofSet {
	var can proofSet
	for s := range r.c.catalog.signals {
		if !r.b.erring.has(s) {
			can |= r.c.catalog.signals[s].proofs
		}
	}
	return can & seg.offers &^ r.c.catalog.bits(r.attempt.Cannot)
}

// close brings the flow up to date and fixes the action. It is false when somebody else has spent the flow.
func (r *run) close(v *verdict) bool {
	var now time.Time
	if !r.retry.IsZero() {
		now = r.e.now()
	}
	if v.action == Allow && r.retry.After(now) {
		v.action = Wait
	}
	switch {
	case v.action == Challenge || (v.action == Wait && r.flow != nil):
		switch ok, lost := r.storeFlow(v); {
		case lost:
			return false
		case !ok && v.action == Challenge:
			v.action, v.missing = r.rule(v).act(v.required, r.provided(), 0)
		}
	case r.flow != nil:
		switch won, err := r.spendFlow(v); {
		case err != nil:
			v.action = r.unspent(v)
		case !won:
			return false
		}
	}
	out := r.out
	out.Action = v.action
	if v.action == Challenge {
		out.Require = r.c.catalog.list(v.missing)
	}
	if v.action == Delay || v.action == Lock {
		out.Until = r.e.now().Add(time.Duration(r.rule(v).lasts))
	}
	if r.retry.After(now) && r.retry.After(out.Until) {
		out.Until = r.retry
	}
	return true
}

// unspent is what follows when the store could not say whether the flow was spent already: never Allow.
func (r *run) unspent(v *verdict) Action {
	seg := &r.c.segments[r.scope.segment]
	level := max(v.level, int(seg.failLevel[r.e.onFlowError]))
	action, _ := seg.levels[level].act(v.required|seg.levels[level].require, r.provided(), 0)
	if action == Allow {
		action = Review
	}
	return max(action, v.action)
}

// lose judges the attempt anew, as one whose flow is spent. What was said in this attempt counts; what the flow kept,
// and the proofs given, do not.
func (r *run) lose() {
	r.flow, r.continued, r.void = nil, false, true
	r.asked = r.c.segments[r.scope.segment].always
	r.scope.kept, r.given, r.retry = 0, 0, time.Time{}
	r.out.record.flow, r.out.record.failures = "", 0
	r.out.Skipped, r.out.Unused = nil, nil
	erring := slices.Clone(r.b.erring)
	builtins := r.b.builtins
	r.b.reset(r.c)
	copy(r.b.erring, erring)
	r.b.builtins = builtins
	r.hearFlow(flowSpent)
	for s, f := range r.findings {
		if f != nil {
			_ = r.hear(&r.c.catalog.signals[s], f) // it was heard without fault before
		}
	}
}

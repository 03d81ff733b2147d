package risk

// levelRule is a level ready for judging.
type levelRule struct {
	name      string
	action    Action
	require   proofSet
	then      Action
	otherwise Action
	lasts     Duration
}

// act is what the level says when required proofs are needed, given ones are there and can ones could be given. The
// second result is what is missing; it is empty unless the action is Challenge.
//
// A level that has what it requires itself and then acts above Challenge acts at once: proofs that rules or the flow
// want beside must not turn a review into a challenge.
func (l *levelRule) act(required, given, can proofSet) (Action, proofSet) {
	if l.require&^given == 0 {
		final := l.then
		if l.require == 0 && l.action > Challenge {
			final = l.action
		}
		if final > Challenge {
			return final, 0
		}
	}
	missing := required &^ given
	switch {
	case missing == 0:
		return l.then, 0
	case missing&^can == 0:
		return Challenge, missing
	default:
		return l.otherwise, 0
	}
}

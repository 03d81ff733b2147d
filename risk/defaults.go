package risk

import "slices"

// defaultGroups are the bounds of the groups the providers of this module use.
func defaultGroups() map[string]Group {
	return map[string]Group{
		"network":  {Lo: 0, Hi: 30},
		"velocity": {Lo: 0, Hi: 30},
		"device":   {Lo: -6, Hi: 40},
		"email":    {Lo: 0, Hi: 20},
		"human":    {Lo: -6, Hi: 50},
		"phone":    {Lo: -8, Hi: 30},
		"attest":   {Lo: -12, Hi: 30},
		"account":  {Lo: -20, Hi: 40},
		"flow":     {Lo: 0, Hi: 20},
	}
}

// DefaultPolicy makes the default policy for the given signals: a prior of 1 %, [DefaultLevels] without the proofs no
// signal gives (a challenge left with none becomes a review, and the review after it asks for none), the default groups, and the allow list as a ceiling.
// Codes keep the points their signals declare. Faults in the signals are reported by [NewEngine].
func DefaultPolicy(signals []Signal) *Policy {
	var described []Description
	described = append(described, flowDescription())
	for _, s := range signals {
		if d, err := describeSignal(s); err == nil {
			described = append(described, d)
		}
	}
	var proofs []Proof
	groups := map[string]Group{}
	allowList := false
	for _, d := range described {
		proofs = append(proofs, d.Proofs...)
		if slices.Contains(d.Proofs, ProofVoice) {
			proofs = append(proofs, ProofPhone)
		}
		for _, c := range d.Codes {
			name := c.Group
			if name == "" {
				name = d.Name
			}
			if g, ok := defaultGroups()[name]; ok {
				groups[name] = g
			}
			allowList = allowList || (d.Name == "lists" && (c.Name == "allow" || c.Name == "lists.allow"))
		}
	}
	levels := DefaultLevels()
	for i := range levels {
		l := &levels[i]
		l.Require = slices.DeleteFunc(l.Require, func(p Proof) bool { return !slices.Contains(proofs, p) })
		if l.Action == Challenge && len(l.Require) == 0 {
			l.Action = Review
		}
		if i > 0 && l.Action == Review && levels[i-1].Action == Review {
			l.Require = nil // to ask for a proof now would be milder than the level before
		}
	}
	spec := PolicySpec{
		Name:     "default",
		Segments: []Segment{{Name: "all", Levels: levels}},
		Groups:   groups,
	}
	if allowList {
		spec.Rules = append(spec.Rules, Rule{Name: "allow list", When: "lists.allow", Ceiling: "allow"})
	}
	p, err := NewPolicy(spec)
	if err != nil {
		panic("risk: the default policy is broken: " + err.Error()) // no input reaches this
	}
	return p
}

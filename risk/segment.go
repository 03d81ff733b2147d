package risk

import "slices"

// segmentRule is a segment ready for judging.
type segmentRule struct {
	Segment
	base      int
	levels    []levelRule
	byScore   [101]uint8
	floors    [Block + 1]uint8      // the level a code's floor of that action means
	failLevel [FailClosed + 1]uint8 // the level of each fail mode
	offers    proofSet
	always    []Proof
	ref       PolicyRef
}

// segment makes one segment ready.
func (c *compiled) segment(p *problems, i int) segmentRule {
	s := segmentRule{Segment: c.policy.spec.Segments[i]}
	s.base = basePoints(s.Prior)
	s.ref = PolicyRef{Name: c.policy.spec.Name, Hash: c.policy.hash, Segment: s.Name}
	path := element("segments", i)
	s.offers = ^proofSet(0)
	if s.Offers != nil {
		s.offers = c.catalog.withVoice(c.proofs(p, member(path, "offers"), s.Offers))
	}
	s.offers &= c.catalog.bits(c.catalog.proofs)
	c.proofs(p, member(path, "always"), s.Always)
	s.always = s.Always
	for j := range s.Levels {
		l := &s.Levels[j]
		require := c.catalog.bits(l.Require)
		c.proofs(p, member(element(member(path, "levels"), j), "require"), l.Require)
		s.levels = append(s.levels, levelRule{l.Name, l.Action, require, l.Then, l.Else, l.For})
		if l.Range != nil {
			for score := l.Range[0]; score <= l.Range[1]; score++ {
				s.byScore[score] = uint8(j)
			}
		}
	}
	s.bounds()
	return s
}

// proofs returns the set of named proofs and complains about those no signal gives.
func (c *compiled) proofs(p *problems, path string, names []Proof) (set proofSet) {
	for i, name := range names {
		bit := c.catalog.bit(name)
		if bit == 0 {
			p.add(element(path, i), "no registered signal can prove %q", clip(string(name)))
		}
		set |= bit
	}
	return set
}

// bounds finds the levels of fail modes and of code floors.
func (s *segmentRule) bounds() {
	last := uint8(len(s.levels) - 1)
	first := func(ok func(l *levelRule) bool) uint8 {
		for i := range s.levels {
			if ok(&s.levels[i]) {
				return uint8(i)
			}
		}
		return last
	}
	proven := func(least Action) func(l *levelRule) bool {
		return func(l *levelRule) bool {
			a, _ := l.act(l.require, ^proofSet(0), 0)
			return a >= least
		}
	}
	s.failLevel[FailChallenge] = first(func(l *levelRule) bool {
		a, _ := l.act(l.require, 0, ^proofSet(0))
		return a != Allow
	})
	s.failLevel[FailReview] = first(proven(Review))
	s.failLevel[FailClosed] = last
	for _, a := range actions {
		s.floors[a] = first(proven(a))
	}
	s.floors[Allow] = 0
	s.floors[Challenge] = s.failLevel[FailChallenge]
}

// matches reports whether the segment is the attempt's.
func (s *segmentRule) matches(a *Attempt) bool {
	return listed(a.Event, s.Event) && listed(a.Channel, s.Channel) && listed(a.Tier, s.Tier) &&
		listed(a.Tenant, s.Tenant) && listed(a.Client, s.Client)
}

func listed[T comparable](v T, list []T) bool { return len(list) == 0 || slices.Contains(list, v) }

// segmentIndex finds the attempt's segment; the last one matches everything.
func (c *compiled) segmentIndex(a *Attempt) int {
	for i := range c.segments {
		if c.segments[i].matches(a) {
			return i
		}
	}
	return len(c.segments) - 1
}

package risk

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// The scorecard. Items are what can contribute points: every code, and every rule that gives points. They are ranked
// once, so that walking the set of observed ones meets each group as a run, bad evidence before good and strongest
// first; only codes reported by degree can disturb that order.

// item is one possible contribution.
type item struct {
	points int32 // weighted, at full degree
	group  int32
	floor  Action
	signal int    // -1 for a rule
	code   int    // in the catalog; -1 for a rule
	rule   int    // -1 for a code
	name   string // signal.code, or the rule's name; breaks ties
}

// groupRule is a group ready for scoring.
type groupRule struct {
	name   string
	lo, hi int32
	pow    []uint32 // decay to the power of the rank, in 1/65536
}

// scorecard is a policy's points over one catalog.
type scorecard struct {
	items    []item
	groupOf  []int32 // of each item, apart from the rest of it: summing reads nothing else
	codeItem []int   // of each code in the catalog
	groups   []groupRule
	floors   bitset // items with a floor
}

// contribution is what an item adds after decay.
type contribution struct {
	item   int32
	points int32
}

// groupCut is what a group's bounds took away from (negative) or gave back to (positive) its sum.
type groupCut struct {
	group, points int32
}

// breakdown is the working space and the explanation of one scoring. It is re-used.
type breakdown struct {
	contributions []contribution
	cuts          []groupCut
	run           []contribution
}

// rank orders the items and numbers them.
func rank(items []item) {
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(side(a.points), side(b.points)),
			-cmp.Compare(abs(a.points), abs(b.points)), strings.Compare(a.name, b.name))
	})
}

// side puts bad evidence before good and what weighs nothing last.
func side(points int32) int {
	switch {
	case points > 0:
		return 0
	case points < 0:
		return 1
	}
	return 2
}

func abs(v int32) int32 {
	if v < 0 {
		return -v
	}
	return v
}

// decayPowers are decay^0, decay^1, ... as integers over 65536, each from the one before.
func decayPowers(decay float64, n int) []uint32 {
	d := uint64(math.Round(decay * (1 << 16)))
	pow := make([]uint32, n)
	p := uint64(1 << 16)
	for i := range pow {
		pow[i] = uint32(p)
		p = (p*d + 1<<15) >> 16
	}
	return pow
}

// decayed is x * pow / 65536 rounded to even; x >= 0.
func decayed(x int32, pow uint32) int32 {
	v := uint64(x) * uint64(pow)
	q, r := v>>16, v&(1<<16-1)
	if r > 1<<15 || (r == 1<<15 && q&1 == 1) {
		q++
	}
	return int32(q)
}

// basePoints is what the prior is worth: 31 + 8*log2(19*odds).
func basePoints(prior float64) int {
	return int(math.RoundToEven(31 + 8*math.Log2(19*prior/(1-prior))))
}

// chance is the probability a raw score means.
func chance(raw int) float64 {
	odds := math.Exp2((float64(raw)-31)/8) / 19
	return odds / (1 + odds)
}

// atDegree is the points of an item seen at a degree.
func atDegree(points int32, degree float64) int32 {
	if degree == 1 {
		return points
	}
	return int32(math.RoundToEven(float64(points) * degree))
}

// sum adds up the observed items. points holds their points; ordered says that all are at full degree, so that the
// ranking holds. With explain set, b lists every contribution and cut.
func (c *scorecard) sum(base int, observed bitset, points []int32, ordered, explain bool, b *breakdown) int {
	b.cuts = b.cuts[:0]
	if !ordered {
		b.contributions = b.contributions[:0]
		return c.sumByDegree(base, observed, points, b)
	}
	raw, group, rank := base, int32(-1), 0
	var bad, good int32
	var pow []uint32
	lines, n := b.contributions[:cap(b.contributions)], 0
	for w, word := range observed {
		for word != 0 {
			i := int32(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
			if g := c.groupOf[i]; g != group {
				if group >= 0 {
					raw += c.close(group, bad, good, b)
				}
				group, bad, good, rank, pow = g, 0, 0, 0, c.groups[g].pow
			}
			x := points[i]
			if x < 0 {
				if good == 0 {
					rank = 0
				}
				if rank > 0 {
					x = -decayed(-x, pow[rank])
				}
				good -= x
			} else {
				if rank > 0 {
					x = decayed(x, pow[rank])
				}
				bad += x
			}
			rank++
			if explain {
				lines[n] = contribution{i, x}
				n++
			}
		}
	}
	if group >= 0 {
		raw += c.close(group, bad, good, b)
	}
	b.contributions = lines[:n]
	return raw
}

// close applies a group's bounds.
func (c *scorecard) close(group, bad, good int32, b *breakdown) int {
	g := &c.groups[group]
	sum := min(g.hi, bad-min(good, -g.lo))
	if cut := sum - (bad - good); cut != 0 {
		b.cuts = append(b.cuts, groupCut{group, cut})
	}
	return int(sum)
}

// sumByDegree is sum where degrees may have changed the order within groups.
func (c *scorecard) sumByDegree(base int, observed bitset, points []int32, b *breakdown) int {
	raw, group := base, int32(-1)
	b.run = b.run[:0]
	for w, word := range observed {
		for word != 0 {
			i := int32(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
			if g := c.items[i].group; g != group {
				raw += c.closeRun(group, b)
				group = g
			}
			b.run = append(b.run, contribution{i, points[i]})
		}
	}
	return raw + c.closeRun(group, b)
}

// closeRun sorts the items of one group, decays them and applies its bounds.
func (c *scorecard) closeRun(group int32, b *breakdown) int {
	if len(b.run) == 0 {
		return 0
	}
	slices.SortFunc(b.run, func(x, y contribution) int {
		return cmp.Or(cmp.Compare(side(x.points), side(y.points)), -cmp.Compare(abs(x.points), abs(y.points)),
			strings.Compare(c.items[x.item].name, c.items[y.item].name))
	})
	var bad, good int32
	pow, rank := c.groups[group].pow, 0
	for _, v := range b.run {
		if v.points < 0 {
			if good == 0 {
				rank = 0
			}
			v.points = -decayed(-v.points, pow[rank])
			good -= v.points
		} else {
			v.points = decayed(v.points, pow[rank])
			bad += v.points
		}
		rank++
		b.contributions = append(b.contributions, v)
	}
	b.run = b.run[:0]
	return c.close(group, bad, good, b)
}

package risk

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// proofSet is a set of proofs, by their index in the catalog.
type proofSet uint64

func (s proofSet) has(i int) bool { return s&(1<<i) != 0 }

func (s proofSet) count() int { return bits.OnesCount64(uint64(s)) }

// numberProofs numbers all proofs that signals give: the well-known ones first, in the order people are asked for
// them, then by name.
func (c *catalog) numberProofs(described []describedSignal) error {
	for _, d := range described {
		for _, p := range d.desc.Proofs {
			if p == "" || len(p) > mostName {
				return fmt.Errorf("risk: signal %s: proof %q: want 1 to %d bytes", clip(d.desc.Name), clip(string(p)), mostName)
			}
			c.proofs = append(c.proofs, p)
			if p == ProofVoice {
				c.proofs = append(c.proofs, ProofPhone)
			}
		}
	}
	known := []Proof{ProofHuman, ProofPhone, ProofVoice, ProofEmail, ProofDevice, ProofPasskey}
	rank := func(p Proof) int {
		if i := slices.Index(known, p); i >= 0 {
			return i
		}
		return len(known)
	}
	slices.SortFunc(c.proofs, func(a, b Proof) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(string(a), string(b)))
	})
	c.proofs = slices.Compact(c.proofs)
	if len(c.proofs) > mostProofsInAll {
		return fmt.Errorf("risk: %d different proofs, at most %d", len(c.proofs), mostProofsInAll)
	}
	return nil
}

// bit returns the bit of a known proof, or 0.
func (c *catalog) bit(p Proof) proofSet {
	if i := slices.Index(c.proofs, p); i >= 0 {
		return 1 << i
	}
	return 0
}

func (c *catalog) bits(proofs []Proof) (set proofSet) {
	for _, p := range proofs {
		set |= c.bit(p)
	}
	return set
}

// withVoice adds the phone proof to a set with the voice proof.
func (c *catalog) withVoice(set proofSet) proofSet {
	if voice := c.bit(ProofVoice); voice != 0 && set&voice != 0 {
		set |= c.bit(ProofPhone)
	}
	return set
}

// list returns the proofs of a set, in the catalog's order.
func (c *catalog) list(set proofSet) []Proof {
	if set == 0 {
		return nil
	}
	out := make([]Proof, 0, set.count())
	for i, p := range c.proofs {
		if set.has(i) {
			out = append(out, p)
		}
	}
	return out
}

package risktest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vestibule-go/vestibule/risk"
)

const mostReceipt = 4 << 10

// check holds a finding against the signal's declaration, by the engine's rules.
func check(d risk.Description, f *risk.Finding) error {
	short := func(name string) string { return strings.TrimPrefix(name, d.Name+".") }
	for o := range f.Observations() {
		if !slices.ContainsFunc(d.Codes, func(c risk.Code) bool { return short(c.Name) == short(o.Code) }) {
			return fmt.Errorf("observes code %q, which is not declared", clip(o.Code))
		}
		if !(o.Degree > 0 && o.Degree <= 1) {
			return fmt.Errorf("observes code %s at degree %v, outside (0,1]", clip(o.Code), o.Degree)
		}
	}
	for v := range f.Facts() {
		i := slices.IndexFunc(d.Facts, func(t risk.FactType) bool { return short(t.Name) == short(v.Name) })
		switch {
		case i < 0:
			return fmt.Errorf("gives fact %q, which is not declared", clip(v.Name))
		case d.Facts[i].Kind != v.Value.Kind():
			return fmt.Errorf("gives fact %s as another kind than declared", clip(v.Name))
		case math.IsNaN(v.Value.Number()) || math.IsInf(v.Value.Number(), 0):
			return fmt.Errorf("gives fact %s as %v, not a finite number", clip(v.Name), v.Value.Number())
		}
	}
	for _, p := range f.Proofs() {
		phone := p == risk.ProofPhone && slices.Contains(d.Proofs, risk.ProofVoice)
		if !phone && !slices.Contains(d.Proofs, p) {
			return fmt.Errorf("proves %q, which is not declared", clip(string(p)))
		}
	}
	if !f.RetryAt().IsZero() && d.Cost != risk.Local && !d.Counts {
		return errors.New("calls Retry, which only Local and counting signals may")
	}
	if n := len(f.ReceiptText()); n > mostReceipt {
		return fmt.Errorf("leaves a receipt of %d bytes, at most %d", n, mostReceipt)
	}
	return nil
}

func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

package risktest

import (
	"context"
	"encoding/json"

	"github.com/vestibule-go/vestibule/risk"
)

// askClient asks the signal how a client can give a proof, and checks the answer.
func (c *conformer) askClient(asker risk.Asker, p probe, proof risk.Proof) {
	defer func() {
		if v := recover(); v != nil {
			c.fault("on %s: Ask panicked: %v", p.label, v)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), timeoutOf(c.desc)+Grace)
	defer cancel()
	a := risk.Rehearse(p.attempt, []risk.Proof{proof}, true, nil)
	before := fingerprint(a, c.seed)
	said, err := asker.Ask(ctx, risk.Question{Attempt: a, Proof: proof, Score: 40, Flow: c.canary.Value(FieldFlow)})
	if fingerprint(a, c.seed) != before {
		c.fault("on %s: Ask writes to the attempt", p.label)
	}
	if err != nil {
		for _, l := range c.canary.Search(err.Error()) {
			c.fault("on %s: the error of Ask holds the attempt's %s (%s)", p.label, l.Field, l.Form)
		}
		return
	}
	if _, err := json.Marshal(said); err != nil {
		c.fault("on %s: what Ask answers cannot be marshalled: %w", p.label, err)
	}
}

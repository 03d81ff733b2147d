package main

import (
	"github.com/vestibule-go/vestibule/risk"
)

// business is the kind of account that is worth more to a thief: a verified phone goes with each.
const business = "business"

// newPolicy is the default policy with what this site decides for itself: a phone is asked for later than a CAPTCHA, as
// it costs visitors more and us money, and for every business account.
func newPolicy(signals []risk.Signal) (*risk.Policy, error) {
	spec := risk.DefaultPolicy(signals).Spec()
	spec.Name = "signup"
	human, phone := risk.ProofHuman, risk.ProofPhone
	levels := []risk.Level{
		{Name: "allow", Range: &[2]int{0, 30}, Action: risk.Allow},
		{Name: "challenge", Range: &[2]int{31, 50}, Action: risk.Challenge, Require: []risk.Proof{human}},    // from 5 %
		{Name: "phone", Range: &[2]int{51, 60}, Action: risk.Challenge, Require: []risk.Proof{human, phone}}, // from 23 %
	}
	// review and block stay as they are.
	spec.Segments[0].Levels = append(levels, spec.Segments[0].Levels[2:]...)
	spec.Rules = append(spec.Rules, risk.Rule{
		Name: "a phone for business accounts", When: `tier == "` + business + `"`, Require: []risk.Proof{human, phone},
	})
	// Programs that say what they are cost little here: this example is there to be played with by curl and browsers
	// without a window. A real site leaves these points as they are.
	spec.Points = map[string]int{"ua.tool": 2, "ua.automation": 2}
	return risk.NewPolicy(spec)
}

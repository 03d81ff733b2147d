package playintegrity

import (
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/vestibule-go/vestibule/attest"
)

// Licensing says what is made of Google's word on whether the account has the app from Play. The zero value is
// RequireLicensed.
type Licensing uint8

// The ways.
const (
	RequireLicensed  Licensing = iota // only LICENSED passes
	RefuseUnlicensed                  // UNLICENSED is refused, not evaluated passes
	IgnoreLicensing                   // for apps that are also installed from elsewhere
)

// device judges labels. Unknown ones count as none.
func (v *Verifier) device(p *Payload) error {
	has := func(label string) bool { return slices.Contains(p.Device.Labels, label) }
	strong := has(MeetsStrong)
	switch {
	case v.opts.RequireStrong && strong && p.Device.SDK >= v.opts.StrongSDK:
		return nil
	case v.opts.RequireStrong && has(MeetsDevice):
		return attest.ErrPolicy
	case v.opts.RequireStrong:
	case strong || has(MeetsDevice) || v.opts.InsecureAllowBasic && has(MeetsBasic):
		return nil
	}
	if has(MeetsVirtual) {
		if v.opts.InsecureAllowVirtual {
			return nil
		}
		return attest.ErrEmulator
	}
	return attest.ErrTampered
}

func (v *Verifier) licensing(p *Payload) error {
	switch l := p.Account.Licensing; {
	case v.opts.Licensing == IgnoreLicensing || l == Licensed:
		return nil
	case v.opts.Licensing == RefuseUnlicensed && l != Unlicensed:
		return nil
	}
	return attest.ErrPolicy
}

// certificate: at least one of the digests is pinned. Constant time is no matter here: digests are public.
func (v *Verifier) certificate(p *Payload) error {
	for _, d := range p.App.CertDigests {
		if slices.ContainsFunc(v.digests, func(want []byte) bool { return subtle.ConstantTimeCompare(want, d) == 1 }) {
			return nil
		}
	}
	return attest.ErrAppIdentity
}

func (v *Verifier) recall(p *Payload) error {
	if p.Device.Recall == nil {
		return nil
	}
	for i, set := range p.Device.Recall.Bits {
		if set && v.opts.RefuseRecall[i] {
			return attest.ErrPolicy
		}
	}
	return nil
}

// risks are what Google's optional signals are worth, as a vendor's score from 0 to 1; the greatest counts. LOW_RISK and
// KNOWN apps are the ordinary case, and what was not evaluated says nothing.
var risks = map[string]float64{
	"protect:NO_DATA": 0.1, "protect:POSSIBLE_RISK": 0.25, "protect:MEDIUM_RISK": 0.5, "protect:HIGH_RISK": 1,
	"apps:UNKNOWN_CAPTURING": 0.5, "apps:UNKNOWN_OVERLAYS": 0.5, "apps:UNKNOWN_CONTROLLING": 1,
	"location:MEDIUM_RISK_DEVICE": 0.5, "location:MEDIUM_RISK_NETWORK": 0.25, "location:HIGH_RISK_DEVICE": 1, "location:HIGH_RISK_NETWORK": 0.5,
	"activity:LEVEL_3": 0.5, "activity:LEVEL_4": 1,
	"account:UNUSUAL": 0.5,
}

// Risk is what the optional signals of a payload come to, from 0 to 1, and their names: "play.protect.high_risk".
func (p *Payload) Risk() (risk float64, reasons []string) {
	add := func(kind string, words ...string) {
		for _, w := range words {
			if r, ok := risks[kind+":"+w]; ok {
				risk = max(risk, r)
				reason := "play." + kind + "." + strings.ToLower(w)
				if !slices.Contains(reasons, reason) {
					reasons = append(reasons, reason)
				}
			}
		}
	}
	add("protect", p.Environment.PlayProtect)
	add("apps", p.Environment.AppsDetected...)
	add("location", p.Environment.LocationSpoofing...)
	add("activity", p.Device.Activity)
	add("account", p.Account.Activity)
	if p.Device.Recall != nil {
		for i, set := range p.Device.Recall.Bits {
			if set {
				reasons = append(reasons, "play.recall."+[]string{"first", "second", "third"}[i])
			}
		}
	}
	return risk, reasons
}

package playintegrity

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Explain says what a decoded payload claims and which step of the policy refuses it. It takes the payload (Payload.Raw)
// and not the token, which can be decoded only once; nonce is that of a classic request, requestHash that of a standard
// one, the other is empty.
func (v *Verifier) Explain(payload, nonce []byte, requestHash string) *attest.Explanation {
	e := &attest.Explanation{Platform: attest.PlayIntegrity}
	_, err := v.judge(payload, func(r *RequestDetails) bool {
		if requestHash != "" {
			return r.Nonce == "" && r.RequestHash == requestHash
		}
		return r.RequestHash == "" && r.Nonce != "" && string(decodeNonce(r.Nonce)) == string(nonce)
	}, &trace{e})
	if step, ok := errors.AsType[*attest.StepError](err); ok {
		e.Refused, e.Why = step.Step, step.Err.Error()
	}
	return e
}

// trace notes the steps passed, and what was said, for Explain. A nil trace notes nothing.
type trace struct{ out *attest.Explanation }

func (t *trace) pass(step string) {
	if t != nil {
		t.out.Steps = append(t.out.Steps, step)
	}
}

func (t *trace) sayPayload(p *Payload) {
	if t == nil {
		return
	}
	say := t.out.Say
	say("request package", "%q", p.Request.Package)
	switch {
	case p.Request.Nonce != "" && p.Request.RequestHash != "":
		say("request", "nonce and request hash at once")
	case p.Request.Nonce != "":
		say("request", "classic, nonce of %d characters", len(p.Request.Nonce))
	case p.Request.RequestHash != "":
		say("request", "standard, hash of %d characters", len(p.Request.RequestHash))
	}
	if !p.Request.Time.IsZero() {
		say("time", "%s", p.Request.Time.UTC().Format(time.RFC3339))
	}
	say("app", "%s %q version %d", p.App.Verdict, p.App.Package, p.App.Version)
	for _, d := range p.App.CertDigests[:min(len(p.App.CertDigests), 8)] {
		say("signer", "%s", hex.EncodeToString(d))
	}
	say("device", "%s, sdk %d, activity %s", strings.Join(p.Device.Labels, " "), p.Device.SDK, p.Device.Activity)
	if r := p.Device.Recall; r != nil {
		say("recall", "%v, written %v", r.Bits, r.Months)
	}
	say("account", "licensing %s, activity %s", p.Account.Licensing, p.Account.Activity)
	say("environment", "protect %s, apps %s, location %s", p.Environment.PlayProtect,
		strings.Join(p.Environment.AppsDetected, " "), strings.Join(p.Environment.LocationSpoofing, " "))
	risk, reasons := p.Risk()
	say("risk", "%.2f %s", risk, strings.Join(reasons, " "))
	say("test response", "%t", p.Test)
}

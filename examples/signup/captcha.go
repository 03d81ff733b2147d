package main

import (
	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/risk"
)

// newCaptcha asks for a proof of work, which the script solves in the page, or for the CAPTCHA of the vendor the flags
// name: the proof of work then stands in while the vendor's service is down.
func newCaptcha(o *options) (*provider, error) {
	var guard captcha.ReplayGuard
	if o.Shared != nil {
		guard = o.Shared.guard
	} else {
		memory, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: o.Now, MaxMarks: 100_000})
		if err != nil {
			return nil, err
		}
		guard = memory
	}
	keys := captcha.Keys{Current: captcha.Key{Secret: o.Shared.key("captcha")}}
	pow, err := captcha.NewPoW(keys, guard, &captcha.PoWOptions{Now: o.Now, Steps: o.Difficulty})
	if err != nil {
		return nil, err
	}
	var verifier captcha.Provider = pow
	if o.Vendor != nil {
		members := []captcha.Member{{Provider: o.Vendor.provider, Weight: 1}, {Provider: pow}} // weight 0: when nobody else can
		verifier, err = captcha.NewOrchestrator(members, keys, guard, &captcha.OrchestratorOptions{Now: o.Now})
		if err != nil {
			return nil, err
		}
	}
	signal, err := captcha.NewSignal(verifier, nil)
	if err != nil {
		return nil, err
	}
	return &provider{
		signals: []risk.Signal{signal},
		attach:  func(f fields, a *risk.Attempt) { risk.Attach(a, captcha.Response{Token: f["captcha"]}) },
		script:  "/captcha.js",
		serve:   captcha.Script(),
	}, nil
}

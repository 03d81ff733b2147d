package main

import (
	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// newCaptcha asks for a proof of work, which the script solves in the page, or for the CAPTCHA of the vendor the flags
// name: the proof of work then stands in while the vendor's service is down. Instances share the
// key and the replay guard; without -redis each process makes its own.
func newCaptcha(s settings) (*provider, error) {
	var guard captcha.ReplayGuard
	secret := captcha.Secret(keyed.NewSecret())
	if s.shared != nil {
		guard, secret = s.shared.guard, captcha.Secret(s.shared.key("captcha"))
	} else {
		memory, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: s.now, MaxMarks: 100_000})
		if err != nil {
			return nil, err
		}
		guard = memory
	}
	keys := captcha.Keys{Current: captcha.Key{Secret: secret}}
	pow, err := captcha.NewPoW(keys, guard, &captcha.PoWOptions{Now: s.now, Steps: s.difficulty})
	if err != nil {
		return nil, err
	}
	var verifier captcha.Provider = pow
	if s.vendor != nil {
		members := []captcha.Member{{Provider: s.vendor.provider, Weight: 1}, {Provider: pow}} // weight 0: when nobody else can
		verifier, err = captcha.NewOrchestrator(members, keys, guard, &captcha.OrchestratorOptions{Now: s.now})
		if err != nil {
			return nil, err
		}
	}
	signal, err := captcha.NewSignal(verifier, nil)
	if err != nil {
		return nil, err
	}
	return &provider{
		signal: signal,
		attach: func(f fields, a *risk.Attempt) { risk.Attach(a, captcha.Response{Token: f["captcha"]}) },
		script: "/captcha.js",
		serve:  captcha.Script(),
	}, nil
}

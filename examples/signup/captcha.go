package main

import (
	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// newCaptcha asks for a proof of work, which the script solves in the page. The key is made anew by each process; a
// server of several instances shares one, and a replay guard.
func newCaptcha(s settings) (*provider, error) {
	guard, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: s.now, MaxMarks: 100_000})
	if err != nil {
		return nil, err
	}
	keys := captcha.Keys{Current: captcha.Key{Secret: captcha.Secret(keyed.NewSecret())}}
	pow, err := captcha.NewPoW(keys, guard, &captcha.PoWOptions{Now: s.now, Steps: s.difficulty})
	if err != nil {
		return nil, err
	}
	signal, err := captcha.NewSignal(pow, nil)
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

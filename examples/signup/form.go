package main

import (
	"html/template"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// newForm watches the form itself: a field people do not see, and the time between showing and sending. Clients of the
// bare API lack the stamp, which costs them a few points.
func newForm(s settings) (*provider, error) {
	var secret []byte // nil: this process's own
	if s.shared != nil {
		secret = s.shared.key("form")
	}
	signal, err := riskhttp.NewFormSignal(&riskhttp.FormOptions{
		Secret:    secret,
		Always:    func(a *risk.Attempt) bool { return a.Event == risk.SignUp },
		TrapClass: "away",
		Now:       s.now,
	})
	if err != nil {
		return nil, err
	}
	trap, stamp := signal.FieldNames()
	return &provider{
		signal: signal,
		attach: func(f fields, a *risk.Attempt) {
			risk.Attach(a, riskhttp.FormEvidence{Trapped: f[trap] != "", Stamp: f[stamp]})
		},
		inputs: func() template.HTML { return template.HTML(signal.Fields()) },
	}, nil
}

package main

import (
	"html/template"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// newForm watches the form itself: a field people do not see, and the time between showing and sending. Clients of the
// bare API lack the stamp, which costs them a few points.
func newForm(o *options) (*provider, error) {
	signal, err := riskhttp.NewFormSignal(&riskhttp.FormOptions{
		Secret:    o.Shared.key("form"),
		Always:    func(a *risk.Attempt) bool { return a.Event == risk.SignUp },
		TrapClass: "away",
		Now:       o.Now,
	})
	if err != nil {
		return nil, err
	}
	trap, stamp := signal.FieldNames()
	return &provider{
		signals: []risk.Signal{signal},
		attach: func(f fields, a *risk.Attempt) {
			risk.Attach(a, riskhttp.FormEvidence{Trapped: f[trap] != "", Stamp: f[stamp]})
		},
		inputs: func() template.HTML { return template.HTML(signal.Fields()) },
	}, nil
}

package main

import (
	"html/template"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/risk"
)

// provider is what one provider brings to the server. All but signal may be missing.
type provider struct {
	signal risk.Signal
	attach func(f fields, a *risk.Attempt) // adds the evidence that came with a sign-up
	inputs func() template.HTML            // inputs for the page's form
	script string                          // path of a script the page loads, served by handler
	serve  http.Handler
}

// settings are what providers are made with.
type settings struct {
	now        func() time.Time
	difficulty []captcha.Step // of the proof of work; nil: the default
}

// providers lists how each is made: one file and one line here for each.
var providers = []func(s settings) (*provider, error){
	newLimits,  // limits.go
	newCaptcha, // captcha.go
	newForm,    // form.go
}

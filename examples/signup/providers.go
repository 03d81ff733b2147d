package main

import (
	"html/template"
	"net/http"
	"time"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// provider is what one provider brings to the server. All but signal may be missing.
type provider struct {
	signal  risk.Signal
	collect func(r *http.Request, a *risk.Attempt) // reads a request's connection, headers and cookies
	attach  func(f fields, a *risk.Attempt)        // adds the evidence that came with a sign-up
	inputs  func() template.HTML                   // inputs for the page's form
	script  string                                 // path of a script the page loads, served by handler
	serve   http.Handler
	mount   func(mux *http.ServeMux, guard *riskhttp.Guard) // handlers of its own
}

// settings are what providers are made with.
type settings struct {
	now        func() time.Time
	tls        bool           // is the server reached over TLS?
	difficulty []captcha.Step // of the proof of work; nil: the default
	vendor     *vendor        // whose CAPTCHA comes before the proof of work; nil: nobody's
	intel      *ipintel.Intel // what is known about addresses; nil: nothing
	phone      *phoneCodes    // how codes are sent to phones; nil: not at all
	shared     *shared        // what instances keep together; nil: nothing
}

// providers lists how each is made: one file and one line here for each. One that makes nil has nothing to work with and
// is left out.
var providers = []func(s settings) (*provider, error){
	newLimits,   // limits.go
	newCaptcha,  // captcha.go
	newForm,     // form.go
	newAddress,  // address.go
	newEmail,    // email.go
	newHeaders,  // client.go
	newHello,    // client.go
	newVelocity, // device.go
	newDevice,   // device.go
	newPhone,    // phone.go
}

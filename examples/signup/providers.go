package main

import (
	"context"
	"html/template"
	"net/http"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// provider is what one provider brings to the server. All but signals may be missing.
type provider struct {
	signals []risk.Signal
	collect func(r *http.Request, a *risk.Attempt) // reads a request's connection, headers and cookies
	attach  func(f fields, a *risk.Attempt)        // adds the evidence that came with a sign-up
	inputs  func() template.HTML                   // inputs for the page's form
	script  string                                 // path of a script the page loads, served by serve
	serve   http.Handler
	mount   func(mux *http.ServeMux, guard *riskhttp.Guard)           // handlers of its own
	kept    func(ctx context.Context, f fields, account string) error // a new account is kept
}

// providers lists how each is made: one file and one line here for each. One that makes nil has nothing to work with and
// is left out.
var providers = []func(o *options) (*provider, error){
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
	newPasskey,  // passkey.go
}

package main

import (
	"html/template"
	"net/http"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// newVelocity counts what was seen together: devices, addresses, accounts, telephone numbers.
func newVelocity(o *options) (*provider, error) {
	var store fingerprint.Store
	if o.Shared != nil {
		store = o.Shared.sightings
	} else {
		memory, err := fingerprint.NewMemory(&fingerprint.MemoryOptions{Now: o.Now})
		if err != nil {
			return nil, err
		}
		store = memory
	}
	ring, err := keyed.New([]keyed.Key{{ID: "s", Secret: o.Shared.key("sightings")}}, &keyed.Options{Now: o.Now})
	if err != nil {
		return nil, err
	}
	sightings, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Ring: ring, Timeout: patience, Now: o.Now})
	if err != nil {
		return nil, err
	}
	signal, err := fingerprint.NewVelocity(sightings, nil)
	if err != nil {
		return nil, err
	}
	return &provider{signals: []risk.Signal{signal}}, nil
}

// newDevice keeps a device id in browsers whose visitor has agreed to it: the page asks everybody. Who says no, or
// nothing, loses nothing.
func newDevice(o *options) (*provider, error) {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: o.Shared.key("device")}}, &keyed.Options{Now: o.Now})
	if err != nil {
		return nil, err
	}
	devices, err := fingerprint.NewDevices(ring, fingerprint.AskEverybody, &fingerprint.DevicesOptions{
		Now: o.Now, InsecureCookies: !o.TLS,
	})
	if err != nil {
		return nil, err
	}
	signal, err := fingerprint.NewSignal(nil)
	if err != nil {
		return nil, err
	}
	return &provider{
		signals: []risk.Signal{signal},
		collect: devices.Collect,
		attach:  func(f fields, a *risk.Attempt) { devices.Report(a, []byte(f["device"])) },
		inputs: func() template.HTML {
			return `<input type="hidden" name="device" data-level="ask">
<div class="hint" data-device-consent hidden><p>` + fingerprint.ConsentSentence + `</p>
<button type="button" id="device-yes" value="yes">Yes</button> <button type="button" id="device-no" value="no">No</button></div>`
		},
		script: "/device.js",
		serve:  fingerprint.Script(),
		mount:  func(mux *http.ServeMux, _ *riskhttp.Guard) { mux.Handle("/device", devices.Handler()) },
	}, nil
}

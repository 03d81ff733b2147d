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
func newVelocity(s settings) (*provider, error) {
	store, err := fingerprint.NewMemory(&fingerprint.MemoryOptions{Now: s.now})
	if err != nil {
		return nil, err
	}
	sightings, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Now: s.now})
	if err != nil {
		return nil, err
	}
	signal, err := fingerprint.NewVelocity(sightings, nil)
	if err != nil {
		return nil, err
	}
	return &provider{signal: signal}, nil
}

// newDevice keeps a device id in browsers whose visitor has agreed to it: the page asks everybody. Who says no, or
// nothing, loses nothing. The key is made anew by each process; a real site keeps it.
func newDevice(s settings) (*provider, error) {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Now: s.now})
	if err != nil {
		return nil, err
	}
	devices, err := fingerprint.NewDevices(ring, fingerprint.AskEverybody, &fingerprint.DevicesOptions{
		Now: s.now, InsecureCookies: !s.tls,
	})
	if err != nil {
		return nil, err
	}
	signal, err := fingerprint.NewSignal(nil)
	if err != nil {
		return nil, err
	}
	return &provider{
		signal:  signal,
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

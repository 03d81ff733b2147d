package main

import (
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/risk"
)

// newLimits counts sign-ups by address, network, device, phone and e-mail, with the default limits: five a minute from
// one address, then a challenge; thirty an hour, then a wait; a ban for who ignores challenges. Other providers find the
// signal in the options, to tell it of failures.
func newLimits(o *options) (*provider, error) {
	var store ratelimit.Store
	if o.Shared != nil {
		store = o.Shared.limits
	} else {
		memory, err := ratelimit.NewMemory(&ratelimit.MemoryOptions{Buckets: 100_000, Now: o.Now})
		if err != nil {
			return nil, err
		}
		store = memory
	}
	limiter, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	if err != nil {
		return nil, err
	}
	signal, err := ratelimit.NewSignal(limiter, &ratelimit.SignalOptions{Now: o.Now})
	if err != nil {
		return nil, err
	}
	o.limits = signal
	return &provider{signals: []risk.Signal{signal}}, nil
}

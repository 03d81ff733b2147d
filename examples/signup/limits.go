package main

import (
	"github.com/vestibule-go/vestibule/ratelimit"
)

// newLimits counts sign-ups by address, network, device, phone and e-mail, with the default limits: five a minute from
// one address, then a challenge; thirty an hour, then a wait; a ban for who ignores challenges.
func newLimits(s settings) (*provider, error) {
	var store ratelimit.Store
	if s.shared != nil {
		store = s.shared.limits
	} else {
		memory, err := ratelimit.NewMemory(&ratelimit.MemoryOptions{Buckets: 100_000, Now: s.now})
		if err != nil {
			return nil, err
		}
		store = memory
	}
	limiter, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
	if err != nil {
		return nil, err
	}
	signal, err := ratelimit.NewSignal(limiter, &ratelimit.SignalOptions{Now: s.now})
	if err != nil {
		return nil, err
	}
	return &provider{signal: signal}, nil
}

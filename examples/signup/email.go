package main

import (
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/identity"
)

// newEmail knows disposable mailboxes, by the list that comes with the package.
func newEmail(*options) (*provider, error) {
	signal, err := identity.NewEmailSignal(nil)
	if err != nil {
		return nil, err
	}
	return &provider{signals: []risk.Signal{signal}}, nil
}

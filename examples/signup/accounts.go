package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// accounts keeps what was signed up for. An error means that it could not.
type accounts interface {
	// Create keeps a new account, or, when it is pending, one that a person has to look at first. ref is its name in
	// logs. An address that is taken changes nothing and is no error: the visitor is not told.
	Create(ctx context.Context, email risk.Private, pending bool) (ref string, err error)
}

// memoryAccounts keeps keyed tags of e-mail addresses. A real service keeps the address itself, to write to it.
type memoryAccounts struct {
	ring *keyed.Ring
	now  func() time.Time

	mu   sync.Mutex
	byID map[string]bool // guarded by mu: pending?
}

const mostAccounts = 100_000

func newMemoryAccounts(now func() time.Time) (*memoryAccounts, error) {
	ring, err := keyed.New([]keyed.Key{{ID: "e", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	if err != nil {
		return nil, err
	}
	return &memoryAccounts{ring: ring, now: now, byID: map[string]bool{}}, nil
}

func (m *memoryAccounts) Create(_ context.Context, email risk.Private, pending bool) (string, error) {
	ref := m.ring.Tag("signup.account", "", strings.ToLower(string(email)), m.now())
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.byID[ref]; taken {
		return ref, nil
	}
	if len(m.byID) >= mostAccounts {
		return "", errors.New("the accounts in memory are full")
	}
	m.byID[ref] = pending
	return ref, nil
}

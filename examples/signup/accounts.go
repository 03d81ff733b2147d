package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// account is what somebody signs up for.
type account struct {
	email    risk.Private
	business bool
	pending  bool // a person has to look at it first
}

// accounts keeps what was signed up for. An error means that it could not.
type accounts interface {
	// Create keeps a new account. ref is its name in logs. An address that is taken changes nothing and is no error:
	// fresh is false then, and the visitor is not told.
	Create(ctx context.Context, a account) (ref string, fresh bool, err error)
}

// newAccounts keeps keyed tags of e-mail addresses. A real service has a database, and the address itself, to write to.
func newAccounts(o *options) (accounts, error) {
	ring, err := keyed.New([]keyed.Key{{ID: "e", Secret: o.Shared.key("accounts")}}, &keyed.Options{Epoch: keyed.NoEpochs, Now: o.Now})
	if err != nil {
		return nil, err
	}
	if o.Shared != nil {
		return &redisAccounts{ring, o.Shared.client}, nil
	}
	return &memoryAccounts{ring: ring, all: map[string]account{}}, nil
}

func accountRef(ring *keyed.Ring, a account) string {
	return ring.Tag("signup.account", "", strings.ToLower(string(a.email)), time.Time{})
}

type memoryAccounts struct {
	ring *keyed.Ring

	mu  sync.Mutex
	all map[string]account // guarded by mu; without addresses
}

const mostAccounts = 100_000

func (m *memoryAccounts) Create(_ context.Context, a account) (string, bool, error) {
	ref := accountRef(m.ring, a)
	a.email = ""
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.all[ref]; taken {
		return ref, false, nil
	}
	if len(m.all) >= mostAccounts {
		return "", false, errors.New("the accounts in memory are full")
	}
	m.all[ref] = a
	return ref, true, nil
}

// redisAccounts are forgotten after a day: nobody comes back to an example.
type redisAccounts struct {
	ring   *keyed.Ring
	client *redis.Client
}

func (s *redisAccounts) Create(ctx context.Context, a account) (string, bool, error) {
	ref := accountRef(s.ring, a)
	kind := "personal"
	if a.business {
		kind = business
	}
	if a.pending {
		kind += " pending"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fresh, err := s.client.SetNX(ctx, "vestibule-signup-account:"+ref, kind, 24*time.Hour).Result()
	return ref, fresh, err
}

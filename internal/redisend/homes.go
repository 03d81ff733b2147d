package redisend

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// Homes remembers what the keys of tenants begin with, for the tenants seen last. It is safe for concurrent use.
type Homes struct {
	of    func(tenant string) string
	seed  maphash.Seed
	slots [64]atomic.Pointer[tenantHome]
}

type tenantHome struct{ tenant, home string }

// NewHomes returns homes that a function makes, always the same for a tenant.
func NewHomes(of func(tenant string) string) *Homes {
	return &Homes{of: of, seed: maphash.MakeSeed()}
}

// Of returns what the keys of a tenant begin with.
func (h *Homes) Of(tenant string) string {
	at := &h.slots[maphash.String(h.seed, tenant)%uint64(len(h.slots))]
	if t := at.Load(); t != nil && t.tenant == tenant {
		return t.home
	}
	t := &tenantHome{tenant: strings.Clone(tenant)}
	t.home = h.of(t.tenant)
	at.Store(t)
	return t.home
}

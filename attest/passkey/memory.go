package passkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// DefaultCredentials is the default bound of Memory: some 200 MB when full of passkeys without attestation.
const DefaultCredentials = 1 << 18

// MemoryOptions of a Memory. The zero value and nil mean the defaults.
type MemoryOptions struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Max bounds the number of credentials; default DefaultCredentials. When it is reached the store answers ErrFull until
	// credentials expire: limit the rate of registrations.
	Max int
	// Keep is how long a credential lives after its last use; default DefaultKeep.
	Keep time.Duration
}

const shards = 64

// Memory is a CredentialStore in memory for one process: sharded, bounded, expiring. What it holds ends with the process.
// Build it with NewMemory. It is safe for concurrent use.
type Memory struct {
	now      func() time.Time
	keep     time.Duration
	most     int64
	live     atomic.Int64
	seed     maphash.Seed
	byID     [shards]idShard
	accounts [shards]accountShard // locked after an idShard, never before
}

type idShard struct {
	mu  sync.Mutex
	all map[recordName]*record // guarded by mu
}

type accountShard struct {
	mu  sync.Mutex
	all map[attest.Hash][]attest.Hash // guarded by mu: credentials of an account, oldest first
}

type recordName struct {
	tenant string
	id     attest.Hash
}

type record struct {
	Credential
	expires time.Time
}

var (
	_ CredentialStore  = (*Memory)(nil)
	_ CredentialEditor = (*Memory)(nil)
)

// NewMemory makes a store.
func NewMemory(opts *MemoryOptions) (*Memory, error) {
	var o MemoryOptions
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Max == 0 {
		o.Max = DefaultCredentials
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Max < 0 || o.Keep < 0 {
		return nil, fmt.Errorf("passkey: Max is %d and Keep %v; both must be positive, or 0 for the default", o.Max, o.Keep)
	}
	m := &Memory{now: o.Now, keep: o.Keep, most: int64(o.Max), seed: maphash.MakeSeed()}
	for i := range shards {
		m.byID[i].all = make(map[recordName]*record)
		m.accounts[i].all = make(map[attest.Hash][]attest.Hash)
	}
	return m, nil
}

func (m *Memory) idShard(id attest.Hash) *idShard {
	return &m.byID[maphash.Bytes(m.seed, id[:])%shards]
}

func (m *Memory) accountShard(owner attest.Hash) *accountShard {
	return &m.accounts[maphash.Bytes(m.seed, owner[:])%shards]
}

func nameOf(tenant string, id []byte) recordName {
	return recordName{tenant, attest.KeyHash(attest.WebAuthn, id)}
}

func (m *Memory) lives(c *Credential) time.Duration {
	if c.Account == "" {
		return min(PendingKeep, m.keep)
	}
	return m.keep
}

// copyOf shares nothing with what is kept.
func copyOf(c Credential) Credential {
	c.ID, c.Handle, c.PublicKey = bytes.Clone(c.ID), bytes.Clone(c.Handle), bytes.Clone(c.PublicKey)
	c.Object, c.ClientDataHash = bytes.Clone(c.Object), bytes.Clone(c.ClientDataHash)
	c.Transports, c.Attestation.Reasons = slices.Clone(c.Transports), slices.Clone(c.Attestation.Reasons)
	return c
}

// Create implements CredentialStore.
func (m *Memory) Create(ctx context.Context, c Credential) error {
	if err := errors.Join(ctx.Err(), c.Check()); err != nil {
		return err
	}
	err := m.create(c)
	if !errors.Is(err, ErrFull) || m.live.Load() < m.most {
		return err
	}
	now := m.now()
	for i := range m.byID {
		s := &m.byID[i]
		s.mu.Lock()
		for name, r := range s.all {
			if !now.Before(r.expires) {
				m.drop(s, name, r)
			}
		}
		s.mu.Unlock()
	}
	return m.create(c)
}

func (m *Memory) create(c Credential) error {
	name := nameOf(c.Tenant, c.ID)
	s := m.idShard(name.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.find(s, name) != nil {
		return ErrCredentialExists
	}
	if m.live.Add(1) > m.most {
		m.live.Add(-1)
		return ErrFull
	}
	if !m.enlist(c.Tenant, c.Account, name.id) {
		m.live.Add(-1)
		return ErrFull
	}
	s.all[name] = &record{copyOf(c), m.now().Add(m.lives(&c))}
	return nil
}

// enlist notes a credential under its account; false: it has as many as it may.
func (m *Memory) enlist(tenant, account string, id attest.Hash) bool {
	if account == "" {
		return true
	}
	owner := attest.OwnerHash(tenant, account)
	s := m.accountShard(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all[owner]) >= MaxPerAccount {
		return false
	}
	s.all[owner] = append(s.all[owner], id)
	return true
}

// find returns a live record, and drops one that is over; s.mu is held.
func (m *Memory) find(s *idShard, name recordName) *record {
	r := s.all[name]
	if r != nil && !m.now().Before(r.expires) {
		m.drop(s, name, r)
		return nil
	}
	return r
}

// drop forgets a record; s.mu is held.
func (m *Memory) drop(s *idShard, name recordName, r *record) {
	delete(s.all, name)
	m.live.Add(-1)
	if r.Account == "" {
		return
	}
	owner := attest.OwnerHash(r.Tenant, r.Account)
	a := m.accountShard(owner)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all[owner] = slices.DeleteFunc(a.all[owner], func(id attest.Hash) bool { return id == name.id })
	if len(a.all[owner]) == 0 {
		delete(a.all, owner)
	}
}

// change runs f on a live record.
func (m *Memory) change(ctx context.Context, name recordName, f func(r *record) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := m.idShard(name.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := m.find(s, name)
	if r == nil {
		return ErrCredentialUnknown
	}
	return f(r)
}

// Get implements CredentialStore.
func (m *Memory) Get(ctx context.Context, tenant string, id []byte) (Credential, error) {
	var out Credential
	err := m.change(ctx, nameOf(tenant, id), func(r *record) error {
		out = copyOf(r.Credential)
		return nil
	})
	return out, err
}

// List implements CredentialStore.
func (m *Memory) List(ctx context.Context, tenant, account string) ([]Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if account == "" {
		return nil, errors.New("passkey: List wants an account")
	}
	owner := attest.OwnerHash(tenant, account)
	s := m.accountShard(owner)
	s.mu.Lock()
	ids := slices.Clone(s.all[owner])
	s.mu.Unlock()
	var out []Credential
	for _, id := range ids {
		err := m.change(ctx, recordName{tenant, id}, func(r *record) error {
			if r.Account == account {
				out = append(out, copyOf(r.Credential))
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrCredentialUnknown) {
			return nil, err
		}
	}
	return out, nil
}

// Use implements CredentialStore.
func (m *Memory) Use(ctx context.Context, tenant string, id []byte, u Use) (bool, error) {
	advanced := false
	err := m.change(ctx, nameOf(tenant, id), func(r *record) error {
		advanced = u.Counter > r.Counter || u.Counter == 0 && r.Counter == 0
		r.Counter, r.BackedUp, r.Used = max(r.Counter, u.Counter), u.BackedUp, u.At
		r.expires = m.now().Add(m.lives(&r.Credential))
		return nil
	})
	return advanced, err
}

// Bind implements CredentialEditor.
func (m *Memory) Bind(ctx context.Context, tenant string, id []byte, account string) (bool, error) {
	if account == "" {
		return false, errors.New("passkey: Bind wants an account")
	}
	name, bound := nameOf(tenant, id), false
	err := m.change(ctx, name, func(r *record) error {
		if r.Account == "" {
			if !m.enlist(tenant, account, name.id) {
				return ErrFull
			}
			r.Account = account
			r.expires = m.now().Add(m.keep)
		}
		bound = r.Account == account
		return nil
	})
	return bound, err
}

// Judge implements CredentialEditor.
func (m *Memory) Judge(ctx context.Context, tenant string, id []byte, a Attestation) error {
	a.Reasons = slices.Clone(a.Reasons)
	return m.change(ctx, nameOf(tenant, id), func(r *record) error {
		r.Attestation = a
		return nil
	})
}

// Delete implements CredentialEditor.
func (m *Memory) Delete(ctx context.Context, tenant string, id []byte) error {
	err := m.change(ctx, nameOf(tenant, id), func(r *record) error {
		name := nameOf(tenant, id)
		m.drop(m.idShard(name.id), name, r)
		return nil
	})
	if errors.Is(err, ErrCredentialUnknown) {
		return nil
	}
	return err
}

// Len is the number of credentials held, those not yet swept included.
func (m *Memory) Len() int { return int(m.live.Load()) }

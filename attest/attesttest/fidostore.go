package attesttest

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// CredentialHarness is a passkey.CredentialStore under test.
type CredentialHarness struct {
	Store passkey.CredentialStore
	// Advance moves the store's clock; nil: it cannot be moved, and expiry is not tested.
	Advance func(d time.Duration)
	// Keep is how long a credential lives after its last use; zero: passkey.DefaultKeep.
	Keep time.Duration
}

// NewCredential makes a credential of an account with a random id, as a store may be given one.
func NewCredential(tenant, account string) passkey.Credential {
	key := newKey(elliptic.P256())
	id, handle := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(id)
	_, _ = rand.Read(handle)
	return passkey.Credential{
		Tenant: tenant, ID: id, Account: account, Handle: handle, PublicKey: COSE(&key.PublicKey), Counter: 3,
		Attestation: passkey.Attestation{
			Format: "packed", Type: "basic", Trust: passkey.Certified, Level: passkey.L2, Strength: attest.SecureElement,
			Checked: attest.CheckedChain | attest.CheckedRoot | attest.CheckedStatus, AAGUID: passkey.AAGUID{1}, Authentic: true,
			Model: "A key", Reasons: []string{"status"}, Version: "mds:7",
		},
		Object: []byte{1, 2, 3}, ClientDataHash: make([]byte, 32), UserVerified: true, Synced: true, BackedUp: true,
		Transports: []string{"usb", "nfc"}, Created: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
}

// RunCredentials is the suite that every store of passkeys must pass. Each test gets a store of its own.
func RunCredentials(t *testing.T, open func(t *testing.T) CredentialHarness) {
	ctx := context.Background()
	t.Run("kept as it was given", func(t *testing.T) {
		s := open(t).Store
		c := NewCredential("t1", "ann")
		require.NoError(t, s.Create(ctx, c))
		got, err := s.Get(ctx, "t1", c.ID)
		require.NoError(t, err)
		require.Equal(t, c, got)
		got.PublicKey[0] ^= 1
		got.Transports[0] = "x"
		again, err := s.Get(ctx, "t1", c.ID)
		require.NoError(t, err)
		require.Equal(t, c, again, "what is handed out is a copy")
		_, err = s.Get(ctx, "t2", c.ID)
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown, "another tenant")
		_, err = s.Get(ctx, "t1", c.ID[1:])
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown)
	})
	t.Run("an id once a tenant", func(t *testing.T) {
		s := open(t).Store
		c := NewCredential("t1", "ann")
		require.NoError(t, s.Create(ctx, c))
		other := NewCredential("t1", "bob")
		other.ID = c.ID
		require.ErrorIs(t, s.Create(ctx, other), passkey.ErrCredentialExists)
		bobs, err := s.List(ctx, "t1", "bob")
		require.NoError(t, err)
		require.Empty(t, bobs)
		got, err := s.Get(ctx, "t1", c.ID)
		require.NoError(t, err)
		require.Equal(t, c, got)
		other.Tenant = "t2"
		require.NoError(t, s.Create(ctx, other))

		c = NewCredential("t1", "ann")
		var made atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if s.Create(ctx, c) == nil {
					made.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, made.Load(), "of concurrent calls exactly one creates it")
		all, err := s.List(ctx, "t1", "ann")
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
	t.Run("refuses what no store should keep", func(t *testing.T) {
		s := open(t).Store
		for name, change := range map[string]func(c *passkey.Credential){
			"no id":      func(c *passkey.Credential) { c.ID = nil },
			"long id":    func(c *passkey.Credential) { c.ID = make([]byte, passkey.MaxCredentialID+1) },
			"no key":     func(c *passkey.Credential) { c.PublicKey = nil },
			"no handle":  func(c *passkey.Credential) { c.Handle = nil },
			"large":      func(c *passkey.Credential) { c.Object = make([]byte, passkey.MaxRecord) },
			"long owner": func(c *passkey.Credential) { c.Handle = make([]byte, 65) },
		} {
			c := NewCredential("t1", "ann")
			change(&c)
			require.Error(t, s.Create(ctx, c), name)
		}
	})
	t.Run("list", func(t *testing.T) {
		s := open(t).Store
		var want []passkey.Credential
		for i := range passkey.MaxPerAccount {
			c := NewCredential("t1", "ann")
			c.Counter = uint32(i)
			require.NoError(t, s.Create(ctx, c))
			want = append(want, c)
		}
		require.NoError(t, s.Create(ctx, NewCredential("t2", "ann")))
		got, err := s.List(ctx, "t1", "ann")
		require.NoError(t, err)
		require.Equal(t, want, got, "oldest first")
		require.ErrorIs(t, s.Create(ctx, NewCredential("t1", "ann")), passkey.ErrFull)
		require.NoError(t, s.Create(ctx, NewCredential("t1", "bob")))
		_, err = s.List(ctx, "t1", "")
		require.Error(t, err)
	})
	t.Run("use", func(t *testing.T) {
		s := open(t).Store
		c := NewCredential("t1", "ann")
		require.NoError(t, s.Create(ctx, c))
		at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		for i, row := range []struct {
			counter  uint32
			advanced bool
			kept     uint32
		}{{4, true, 4}, {4, false, 4}, {2, false, 4}, {0, false, 4}, {9, true, 9}} {
			advanced, err := s.Use(ctx, "t1", c.ID, passkey.Use{Counter: row.counter, BackedUp: i%2 == 0, At: at})
			require.NoError(t, err)
			require.Equal(t, row.advanced, advanced, i)
			got, err := s.Get(ctx, "t1", c.ID)
			require.NoError(t, err)
			require.Equal(t, row.kept, got.Counter, "the highest seen")
			require.Equal(t, i%2 == 0, got.BackedUp)
			require.True(t, at.Equal(got.Used))
		}
		c = NewCredential("t1", "ann")
		c.Counter = 0
		require.NoError(t, s.Create(ctx, c))
		advanced, err := s.Use(ctx, "t1", c.ID, passkey.Use{At: at})
		require.NoError(t, err)
		require.True(t, advanced, "one that has no counter never stalls")
		_, err = s.Use(ctx, "t2", c.ID, passkey.Use{Counter: 1})
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown)

		var ok atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if advanced, err := s.Use(ctx, "t1", c.ID, passkey.Use{Counter: 7, At: at}); err == nil && advanced {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, ok.Load(), "one value advances it once")
	})
	t.Run("race to use", func(t *testing.T) {
		s := open(t).Store
		c := NewCredential("t1", "ann")
		c.Counter = 0
		require.NoError(t, s.Create(ctx, c))
		for i := range Rounds {
			var failed atomic.Pointer[error]
			won := race(func() bool {
				advanced, err := s.Use(ctx, "t1", c.ID, passkey.Use{Counter: uint32(i) + 1})
				if err != nil {
					failed.Store(&err)
				}
				return advanced
			})
			require.Nil(t, failed.Load())
			require.EqualValues(t, 1, won)
		}
	})
	t.Run("edit", func(t *testing.T) {
		h := open(t)
		e, ok := h.Store.(passkey.CredentialEditor)
		if !ok {
			t.Skip("the store is no CredentialEditor")
		}
		c := NewCredential("t1", "")
		require.NoError(t, h.Store.Create(ctx, c))
		var bound [8]bool
		var wg sync.WaitGroup
		for i := range bound {
			wg.Go(func() { bound[i], _ = e.Bind(ctx, "t1", c.ID, fmt.Sprint("account", i)) })
		}
		wg.Wait()
		owners := 0
		for i, b := range bound {
			all, err := h.Store.List(ctx, "t1", fmt.Sprint("account", i))
			require.NoError(t, err)
			require.Equal(t, b, len(all) == 1)
			if b {
				owners++
			}
		}
		require.Equal(t, 1, owners, "it has one owner")
		_, err := e.Bind(ctx, "t1", c.ID, "")
		require.Error(t, err)
		_, err = e.Bind(ctx, "t2", c.ID, "ann")
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown)

		a := passkey.Attestation{Format: "packed", Type: "basic", Trust: passkey.Revoked, Reasons: []string{"status"}, Version: "mds:8"}
		require.NoError(t, e.Judge(ctx, "t1", c.ID, a))
		got, err := h.Store.Get(ctx, "t1", c.ID)
		require.NoError(t, err)
		require.Equal(t, a, got.Attestation)
		require.ErrorIs(t, e.Judge(ctx, "t2", c.ID, a), passkey.ErrCredentialUnknown)

		require.NoError(t, e.Delete(ctx, "t2", c.ID))
		_, err = h.Store.Get(ctx, "t1", c.ID)
		require.NoError(t, err)
		require.NoError(t, e.Delete(ctx, "t1", c.ID))
		require.NoError(t, e.Delete(ctx, "t1", c.ID), "what is not there is no error")
		_, err = h.Store.Get(ctx, "t1", c.ID)
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown)
		all, err := h.Store.List(ctx, "t1", got.Account)
		require.NoError(t, err)
		require.Empty(t, all)
	})
	t.Run("expiry", func(t *testing.T) {
		h := open(t)
		if h.Advance == nil {
			t.Skip("the store's clock cannot be moved")
		}
		keep := h.Keep
		if keep == 0 {
			keep = passkey.DefaultKeep
		}
		pending, kept := NewCredential("t1", ""), NewCredential("t1", "ann")
		require.NoError(t, h.Store.Create(ctx, pending))
		require.NoError(t, h.Store.Create(ctx, kept))
		h.Advance(min(passkey.PendingKeep, keep))
		_, err := h.Store.Get(ctx, "t1", pending.ID)
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown, "nobody's ends soon")
		require.NoError(t, h.Store.Create(ctx, pending), "and its id is free")
		h.Advance(keep - passkey.PendingKeep - time.Minute)
		_, err = h.Store.Use(ctx, "t1", kept.ID, passkey.Use{Counter: 5})
		require.NoError(t, err)
		h.Advance(keep - time.Minute)
		_, err = h.Store.Get(ctx, "t1", kept.ID)
		require.NoError(t, err, "it lives from its last use")
		h.Advance(time.Minute)
		_, err = h.Store.Get(ctx, "t1", kept.ID)
		require.ErrorIs(t, err, passkey.ErrCredentialUnknown)
		all, err := h.Store.List(ctx, "t1", "ann")
		require.NoError(t, err)
		require.Empty(t, all)
	})
	t.Run("context", func(t *testing.T) {
		s := open(t).Store
		done, cancel := context.WithCancel(ctx)
		cancel()
		c := NewCredential("t1", "ann")
		require.Error(t, s.Create(done, c))
		_, err := s.Get(done, "t1", c.ID)
		require.ErrorIs(t, err, context.Canceled)
	})
}

package attesttest

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
)

// KeyStore is what the stores of this module can do with keys.
type KeyStore interface {
	attest.KeyStore
	attest.KeyEditor
}

// Keep is how long the stores that RunKeys asks for keep a key after its last use.
const Keep = time.Hour

// RunKeys tests that a store keeps the rules of attest.KeyStore and attest.KeyEditor. newStore is called once a sub-test,
// with the clock to judge expiry by; the store keeps keys for Keep.
func RunKeys(t *testing.T, newStore func(t *testing.T, now func() time.Time) KeyStore) {
	for name, f := range map[string]func(t *testing.T, s KeyStore, c *Clock){
		"create": keyCreate, "advance": keyAdvance, "bind": keyBind, "meta": keyMeta, "delete": keyDelete,
		"tenants": keyTenants, "expiry": keyExpiry, "refuses": keyRefuses, "race to create": keyRaceCreate,
		"race to advance": keyRaceAdvance, "race to bind": keyRaceBind,
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClock()
			f(t, newStore(t, c.Now), c)
		})
	}
}

func newStoredKey(c *Clock) attest.Key {
	return attest.Key{
		Tenant: "t:1", ID: randomHash(), Platform: attest.AppAttest, PublicKey: []byte("public\x00\xff"),
		Created: c.Now(), Meta: []byte(`{"a":1}`),
	}
}

func created(t *testing.T, s KeyStore, c *Clock) attest.Key {
	k := newStoredKey(c)
	require.NoError(t, s.Create(context.Background(), k))
	return k
}

func stored(t *testing.T, s KeyStore, k attest.Key) attest.Key {
	t.Helper()
	got, err := s.Get(context.Background(), k.Tenant, k.ID)
	require.NoError(t, err)
	return got
}

func requireKey(t *testing.T, want, got attest.Key) {
	t.Helper()
	require.True(t, want.Created.Equal(got.Created), "%v, %v", want.Created, got.Created)
	got.Created = want.Created
	require.Equal(t, want, got)
}

func keyCreate(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	k := newStoredKey(c)
	k.Owner, k.Counter = randomHash(), 7
	_, err := s.Get(ctx, k.Tenant, k.ID)
	require.ErrorIs(t, err, attest.ErrKeyUnknown)
	require.NoError(t, s.Create(ctx, k))
	requireKey(t, k, stored(t, s, k))
	again := k
	again.PublicKey = []byte("other")
	require.ErrorIs(t, s.Create(ctx, again), attest.ErrKeyExists)
	requireKey(t, k, stored(t, s, k))
	got := stored(t, s, k)
	got.PublicKey[0], got.Meta[0] = 'X', 'X' // the store keeps its own
	requireKey(t, k, stored(t, s, k))
}

func keyAdvance(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	k := created(t, s, c)
	for _, step := range []struct {
		to uint32
		ok bool
	}{{0, false}, {1, true}, {1, false}, {0, false}, {5, true}, {4, false}, {math.MaxUint32, true}, {math.MaxUint32, false}, {0, false}} {
		ok, err := s.Advance(ctx, k.Tenant, k.ID, step.to)
		require.NoError(t, err)
		require.Equal(t, step.ok, ok, "to %d", step.to)
	}
	require.Equal(t, uint32(math.MaxUint32), stored(t, s, k).Counter)
	_, err := s.Advance(ctx, k.Tenant, randomHash(), 1)
	require.ErrorIs(t, err, attest.ErrKeyUnknown)
}

func keyBind(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	k, owner := created(t, s, c), randomHash()
	for _, step := range []struct {
		owner attest.Hash
		ok    bool
	}{{owner, true}, {owner, true}, {randomHash(), false}} {
		ok, err := s.Bind(ctx, k.Tenant, k.ID, step.owner)
		require.NoError(t, err)
		require.Equal(t, step.ok, ok)
	}
	require.Equal(t, owner, stored(t, s, k).Owner)
	_, err := s.Bind(ctx, k.Tenant, randomHash(), owner)
	require.ErrorIs(t, err, attest.ErrKeyUnknown)
	_, err = s.Bind(ctx, k.Tenant, k.ID, attest.Hash{})
	require.Error(t, err)
}

func keyMeta(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	k := created(t, s, c)
	for _, meta := range [][]byte{[]byte("new"), make([]byte, attest.MaxMeta), nil} {
		require.NoError(t, s.SetMeta(ctx, k.Tenant, k.ID, meta))
		require.Equal(t, string(meta), string(stored(t, s, k).Meta))
	}
	require.Error(t, s.SetMeta(ctx, k.Tenant, k.ID, make([]byte, attest.MaxMeta+1)))
	require.ErrorIs(t, s.SetMeta(ctx, k.Tenant, randomHash(), nil), attest.ErrKeyUnknown)
}

func keyDelete(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	k := created(t, s, c)
	require.NoError(t, s.Delete(ctx, k.Tenant, k.ID))
	_, err := s.Get(ctx, k.Tenant, k.ID)
	require.ErrorIs(t, err, attest.ErrKeyUnknown)
	require.NoError(t, s.Delete(ctx, k.Tenant, k.ID))
	require.NoError(t, s.Create(ctx, k))
}

func keyTenants(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	a := created(t, s, c)
	b := a
	b.Tenant = "t"
	require.NoError(t, s.Create(ctx, b))
	ok, err := s.Advance(ctx, a.Tenant, a.ID, 9)
	require.NoError(t, err)
	require.True(t, ok)
	require.Zero(t, stored(t, s, b).Counter)
	require.NoError(t, s.Delete(ctx, b.Tenant, b.ID))
	require.Equal(t, uint32(9), stored(t, s, a).Counter)
}

func keyExpiry(t *testing.T, s KeyStore, c *Clock) {
	ctx := context.Background()
	idle, used := created(t, s, c), created(t, s, c)
	c.Advance(Keep - time.Second)
	ok, err := s.Advance(ctx, used.Tenant, used.ID, 1)
	require.NoError(t, err)
	require.True(t, ok)
	c.Advance(2 * time.Second)
	_, err = s.Get(ctx, idle.Tenant, idle.ID)
	require.ErrorIs(t, err, attest.ErrKeyUnknown)
	require.NoError(t, s.Create(ctx, idle))
	require.Equal(t, uint32(1), stored(t, s, used).Counter)
}

func keyRefuses(t *testing.T, s KeyStore, c *Clock) {
	for name, change := range map[string]func(k *attest.Key){
		"no id":             func(k *attest.Key) { k.ID = attest.Hash{} },
		"no platform":       func(k *attest.Key) { k.Platform = "" },
		"a huge public key": func(k *attest.Key) { k.PublicKey = make([]byte, attest.MaxPublicKey+1) },
		"huge meta":         func(k *attest.Key) { k.Meta = make([]byte, attest.MaxMeta+1) },
	} {
		k := newStoredKey(c)
		change(&k)
		require.Error(t, s.Create(context.Background(), k), name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Create(ctx, newStoredKey(c)), context.Canceled)
	_, err := s.Get(ctx, "t", randomHash())
	require.ErrorIs(t, err, context.Canceled)
}

// raceKeys runs f from two goroutines for each round and wants one to win.
func raceKeys(t *testing.T, s KeyStore, c *Clock, before func() attest.Key, f func(k attest.Key) (bool, error)) {
	for range Rounds {
		k := before()
		var failed atomic.Pointer[error]
		won := race(func() bool {
			ok, err := f(k)
			if err != nil {
				failed.Store(&err)
			}
			return ok
		})
		require.Nil(t, failed.Load())
		require.EqualValues(t, 1, won)
	}
}

func keyRaceCreate(t *testing.T, s KeyStore, c *Clock) {
	raceKeys(t, s, c, func() attest.Key { return newStoredKey(c) }, func(k attest.Key) (bool, error) {
		err := s.Create(context.Background(), k)
		if errors.Is(err, attest.ErrKeyExists) {
			return false, nil
		}
		return err == nil, err
	})
}

func keyRaceAdvance(t *testing.T, s KeyStore, c *Clock) {
	k := created(t, s, c)
	to := uint32(0)
	raceKeys(t, s, c, func() attest.Key { to++; return k }, func(k attest.Key) (bool, error) {
		return s.Advance(context.Background(), k.Tenant, k.ID, to)
	})
}

func keyRaceBind(t *testing.T, s KeyStore, c *Clock) {
	raceKeys(t, s, c, func() attest.Key { return created(t, s, c) }, func(k attest.Key) (bool, error) {
		return s.Bind(context.Background(), k.Tenant, k.ID, randomHash())
	})
}

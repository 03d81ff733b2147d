package passkey_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

func TestMemoryRecords(t *testing.T) {
	attesttest.RunRecords(t, func(_ *testing.T, now func() time.Time) passkey.Records { return attesttest.NewRecords(now) })
}

func newCredentials(t testing.TB, r passkey.Records, c *attesttest.Clock) *passkey.Credentials {
	s, err := passkey.NewCredentials(r, &passkey.CredentialsOptions{Now: c.Now})
	require.NoError(t, err)
	return s
}

func TestCredentials(t *testing.T) {
	attesttest.RunCredentials(t, func(t *testing.T) attesttest.CredentialHarness {
		c := attesttest.NewClock()
		return attesttest.CredentialHarness{Store: newCredentials(t, attesttest.NewRecords(c.Now), c), Advance: c.Advance}
	})
}

func TestNewCredentialsRefuses(t *testing.T) {
	_, err := passkey.NewCredentials(nil, nil)
	require.ErrorContains(t, err, "attestredis")
	_, err = passkey.NewCredentials(attesttest.NewRecords(nil), &passkey.CredentialsOptions{Keep: time.Second})
	require.ErrorContains(t, err, "Keep")
}

// outage fails from the call with this number on; before: the call is not made, else its answer is lost.
type outage struct {
	passkey.Records
	call, from int
	before     bool
}

func (o *outage) lost() bool { o.call++; return o.call >= o.from }

func (o *outage) Get(ctx context.Context, key attest.Hash) ([]byte, error) {
	lost := o.lost()
	if lost {
		return nil, errDown
	}
	return o.Records.Get(ctx, key)
}

func (o *outage) Swap(ctx context.Context, key, was attest.Hash, value []byte, ttl time.Duration) (bool, error) {
	lost := o.lost()
	if lost && o.before {
		return false, errDown
	}
	done, err := o.Records.Swap(ctx, key, was, value, ttl)
	if lost {
		return false, errDown
	}
	return done, err
}

// Whenever the records go away, and whether what they were asked last was done: no credential is lost or in two hands, and
// what is left over makes room.
func TestCredentialsOutage(t *testing.T) {
	ctx := context.Background()
	for _, before := range []bool{true, false} {
		for from := 1; from <= 9; from++ {
			clock := attesttest.NewClock()
			whole := attesttest.NewRecords(clock.Now)
			down := &outage{Records: whole, from: from, before: before}
			broken, good := newCredentials(t, down, clock), newCredentials(t, whole, clock)

			c := attesttest.NewCredential("t1", "ann")
			if err := broken.Create(ctx, c); err != nil {
				require.ErrorIs(t, err, errDown)
				if err = good.Create(ctx, c); err != nil {
					require.ErrorIs(t, err, passkey.ErrCredentialExists, "it was kept after all")
				}
			}
			all, err := good.List(ctx, "t1", "ann")
			require.NoError(t, err)
			require.Equal(t, []passkey.Credential{c}, all)

			open := attesttest.NewCredential("t1", "")
			require.NoError(t, good.Create(ctx, open))
			down.call = 0
			bound, err := broken.Bind(ctx, "t1", open.ID, "bob")
			require.Equal(t, err == nil, bound, "an error is no binding")
			if bound, err = good.Bind(ctx, "t1", open.ID, "eve"); err == nil && bound {
				all, err = good.List(ctx, "t1", "bob")
				require.NoError(t, err)
				require.Empty(t, all, "what was bound to one is not the other's")
			} else {
				all, err = good.List(ctx, "t1", "bob")
				require.NoError(t, err)
				require.Len(t, all, 1)
			}

			down.call = 0
			if advanced, err := broken.Use(ctx, "t1", c.ID, passkey.Use{Counter: 9}); err != nil {
				require.ErrorIs(t, err, errDown)
				require.False(t, advanced)
			}
			got, err := good.Get(ctx, "t1", c.ID)
			require.NoError(t, err)
			require.Contains(t, []uint32{3, 9}, got.Counter)

			down.call = 0
			if err := broken.Delete(ctx, "t1", c.ID); err != nil {
				require.ErrorIs(t, err, errDown)
				require.NoError(t, good.Delete(ctx, "t1", c.ID))
			}
			all, err = good.List(ctx, "t1", "ann")
			require.NoError(t, err)
			require.Empty(t, all)
		}
	}
}

// What outages leave in an account's list makes room after a minute.
func TestCredentialsSweep(t *testing.T) {
	ctx := context.Background()
	clock := attesttest.NewClock()
	whole := attesttest.NewRecords(clock.Now)
	good := newCredentials(t, whole, clock)
	for range passkey.MaxPerAccount {
		broken := newCredentials(t, &outage{Records: whole, from: 4, before: true}, clock) // the list is written, the credential not
		require.ErrorIs(t, broken.Create(ctx, attesttest.NewCredential("t1", "ann")), errDown)
	}
	c := attesttest.NewCredential("t1", "ann")
	require.ErrorIs(t, good.Create(ctx, c), passkey.ErrFull, "they may be about to come")
	clock.Advance(2 * time.Minute)
	require.NoError(t, good.Create(ctx, c))
	all, err := good.List(ctx, "t1", "ann")
	require.NoError(t, err)
	require.Equal(t, []passkey.Credential{c}, all)
}

// Judging a credential is no use of it: sweeps keep nothing alive.
func TestCredentialsJudgeRenewsNothing(t *testing.T) {
	ctx := context.Background()
	clock := attesttest.NewClock()
	s := newCredentials(t, attesttest.NewRecords(clock.Now), clock)
	c := attesttest.NewCredential("t1", "ann")
	require.NoError(t, s.Create(ctx, c))
	clock.Advance(passkey.DefaultKeep - time.Hour)
	require.NoError(t, s.Judge(ctx, "t1", c.ID, c.Attestation))
	clock.Advance(2 * time.Hour)
	_, err := s.Get(ctx, "t1", c.ID)
	require.ErrorIs(t, err, passkey.ErrCredentialUnknown)
}

// One that is used is listed for as long as it lives.
func TestCredentialsListOutlives(t *testing.T) {
	ctx := context.Background()
	clock := attesttest.NewClock()
	s := newCredentials(t, attesttest.NewRecords(clock.Now), clock)
	c := attesttest.NewCredential("t1", "ann")
	require.NoError(t, s.Create(ctx, c))
	for i := range 12 {
		clock.Advance(passkey.DefaultKeep - time.Hour)
		_, err := s.Use(ctx, "t1", c.ID, passkey.Use{Counter: uint32(i + 4)})
		require.NoError(t, err)
		all, err := s.List(ctx, "t1", "ann")
		require.NoError(t, err)
		require.Len(t, all, 1)
	}
}

// Records that somebody else has written are an error, and pardon nobody.
func TestCredentialsDamaged(t *testing.T) {
	ctx := context.Background()
	s, err := passkey.NewCredentials(rubbish{}, nil)
	require.NoError(t, err)
	c := attesttest.NewCredential("t1", "ann")
	require.Error(t, s.Create(ctx, c))
	_, err = s.Get(ctx, "t1", c.ID)
	require.Error(t, err)
	require.NotErrorIs(t, err, passkey.ErrCredentialUnknown)
	_, err = s.List(ctx, "t1", "ann")
	require.Error(t, err)
	_, err = s.Use(ctx, "t1", c.ID, passkey.Use{})
	require.Error(t, err)
}

type rubbish struct{}

func (rubbish) Get(context.Context, attest.Hash) ([]byte, error) { return []byte("rubbish"), nil }
func (rubbish) Swap(context.Context, attest.Hash, attest.Hash, []byte, time.Duration) (bool, error) {
	return false, nil
}

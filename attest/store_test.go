package attest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

var ctx = context.Background()

func TestMemoryChallenges(t *testing.T) {
	attesttest.RunChallenges(t, func(t *testing.T, now func() time.Time) attest.ChallengeStore {
		s, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Now: now})
		require.NoError(t, err)
		return s
	})
}

func TestMemoryKeys(t *testing.T) {
	attesttest.RunKeys(t, func(t *testing.T, now func() time.Time) attesttest.KeyStore {
		s, err := attest.NewMemoryKeys(&attest.MemoryOptions{Now: now, Keep: attesttest.Keep})
		require.NoError(t, err)
		return s
	})
}

func hashed(i int) attest.Hash { return attest.KeyHash("p", []byte{byte(i), byte(i >> 8)}) }

func TestMemoryIsBounded(t *testing.T) {
	c := attesttest.NewClock()
	challenges, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Now: c.Now, Max: 100})
	require.NoError(t, err)
	keys, err := attest.NewMemoryKeys(&attest.MemoryOptions{Now: c.Now, Max: 100, Keep: time.Hour})
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, challenges.Put(ctx, hashed(i), attest.Record{}, time.Hour))
		require.NoError(t, keys.Create(ctx, attest.Key{ID: hashed(i), Platform: "p"}))
	}
	require.ErrorIs(t, challenges.Put(ctx, hashed(100), attest.Record{}, time.Hour), attest.ErrFull)
	require.ErrorIs(t, keys.Create(ctx, attest.Key{ID: hashed(100), Platform: "p"}), attest.ErrFull)
	r, _, err := challenges.Redeem(ctx, hashed(0), attest.Hash{}, attest.Hash{})
	require.NoError(t, err)
	require.Equal(t, attest.Redeemed, r, "nothing live is forgotten")
	require.Equal(t, 100, challenges.Len())
	require.Equal(t, 100, keys.Len())
	c.Advance(time.Hour)
	for i := range 100 {
		require.NoError(t, challenges.Put(ctx, hashed(1000+i), attest.Record{}, time.Hour))
		require.NoError(t, keys.Create(ctx, attest.Key{ID: hashed(1000 + i), Platform: "p"}))
	}
	require.Equal(t, 100, challenges.Len())
	require.Equal(t, 100, keys.Len())
	_, err = attest.NewMemoryChallenges(&attest.MemoryOptions{Max: -1})
	require.ErrorContains(t, err, "Max")
	_, err = attest.NewMemoryKeys(&attest.MemoryOptions{Keep: -1})
	require.ErrorContains(t, err, "Keep")
}

func newChallenges(t testing.TB) (*attest.Challenges, *attesttest.Clock) {
	c := attesttest.NewClock()
	store, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Now: c.Now})
	require.NoError(t, err)
	challenges, err := attest.NewChallenges(store, &attest.ChallengeOptions{Now: c.Now})
	require.NoError(t, err)
	return challenges, c
}

func TestChallengeBindings(t *testing.T) {
	full := attest.Binding{Purpose: "app", Tenant: "t", Flow: "f", Session: "s", Subject: "ann"}
	open := full
	open.Subject = ""
	for _, row := range []struct {
		name   string
		issued attest.Binding
		change func(b *attest.Binding)
		want   attest.Redemption
	}{
		{"the same", full, func(*attest.Binding) {}, attest.Redeemed},
		{"another purpose", full, func(b *attest.Binding) { b.Purpose = "passkey" }, attest.Mismatch},
		{"another flow", full, func(b *attest.Binding) { b.Flow = "g" }, attest.Mismatch},
		{"no flow", full, func(b *attest.Binding) { b.Flow = "" }, attest.Mismatch},
		{"another session", full, func(b *attest.Binding) { b.Session = "z" }, attest.Mismatch},
		{"shifted fields", full, func(b *attest.Binding) { b.Flow, b.Session = "fs", "" }, attest.Mismatch},
		{"another subject", full, func(b *attest.Binding) { b.Subject = "eve" }, attest.Mismatch},
		{"no subject", full, func(b *attest.Binding) { b.Subject = "" }, attest.Mismatch},
		{"another tenant", full, func(b *attest.Binding) { b.Tenant = "u" }, attest.Unknown},
		{"a subject where none was known", open, func(b *attest.Binding) { b.Subject = "ann" }, attest.Redeemed},
	} {
		t.Run(row.name, func(t *testing.T) {
			challenges, clock := newChallenges(t)
			c, err := challenges.Issue(ctx, row.issued, []byte("data"))
			require.NoError(t, err)
			require.Len(t, c.Text, 43)
			require.Equal(t, clock.Now().Add(attest.DefaultTTL), c.Expires)
			b := row.issued
			row.change(&b)
			got, data, err := challenges.Redeem(ctx, c.Text, b)
			require.NoError(t, err)
			require.Equal(t, row.want, got)
			if got == attest.Redeemed {
				require.Equal(t, "data", string(data))
				got, _, err = challenges.Redeem(ctx, c.Text, b)
				require.NoError(t, err)
				require.Equal(t, attest.Spent, got)
				return
			}
			require.Empty(t, data)
			got, _, err = challenges.Redeem(ctx, c.Text, row.issued)
			require.NoError(t, err)
			require.Equal(t, attest.Redeemed, got, "a wrong try does not burn it")
		})
	}
	challenges, clock := newChallenges(t)
	c, err := challenges.Issue(ctx, full, nil)
	require.NoError(t, err)
	for _, text := range []string{"", "x", c.Text + "=", c.Text[:42], c.Text + "A", c.Text[:42] + "\n", c.Text[:42] + "_"} {
		got, _, err := challenges.Redeem(ctx, text, full)
		require.NoError(t, err)
		require.Equal(t, attest.Unknown, got, "%q", text)
	}
	clock.Advance(attest.DefaultTTL)
	got, _, err := challenges.Redeem(ctx, c.Text, full)
	require.NoError(t, err)
	require.Equal(t, attest.Unknown, got, "expired")
	_, err = challenges.Issue(ctx, full, make([]byte, attest.MaxData+1))
	require.ErrorContains(t, err, "at most")
	_, err = attest.NewChallenges(nil, nil)
	require.ErrorContains(t, err, "NewMemoryChallenges")
	_, err = attest.NewChallenges(mute{}, &attest.ChallengeOptions{TTL: time.Second})
	require.ErrorContains(t, err, "TTL")
	broken, err := attest.NewChallenges(mute{}, nil)
	require.NoError(t, err)
	_, _, err = broken.Redeem(ctx, c.Text, full)
	require.ErrorContains(t, err, "no answer")
}

// mute is a store that says nothing.
type mute struct{}

func (mute) Put(context.Context, attest.Hash, attest.Record, time.Duration) error { return nil }
func (mute) Redeem(context.Context, attest.Hash, attest.Hash, attest.Hash) (attest.Redemption, []byte, error) {
	return 0, nil, nil
}

func TestVerdictStrength(t *testing.T) {
	all := attest.CheckedChain | attest.CheckedRoot | attest.CheckedStatus
	for _, row := range []struct {
		v    attest.Verdict
		want attest.Strength
	}{
		{attest.Verdict{}, attest.None},
		{attest.Verdict{Claimed: attest.SecureElement, Checked: all}, attest.None},
		{attest.Verdict{Outcome: attest.Failed, Claimed: attest.SecureElement, Checked: all}, attest.None},
		{attest.Verdict{Outcome: attest.Passed, Claimed: attest.SecureElement, Checked: all}, attest.SecureElement},
		{attest.Verdict{Outcome: attest.Passed, Claimed: attest.TEE, Checked: all}, attest.TEE},
		{attest.Verdict{Outcome: attest.Passed, Claimed: attest.TEE, Checked: all &^ attest.CheckedStatus}, attest.Software},
		{attest.Verdict{Outcome: attest.Passed, Claimed: attest.TEE, Checked: all &^ attest.CheckedRoot}, attest.Software},
		{attest.Verdict{Outcome: attest.Passed, Claimed: attest.TEE, Checked: all &^ attest.CheckedChain}, attest.Software},
		{attest.Verdict{Outcome: attest.Passed, Claimed: attest.SecureElement}, attest.Software},
		{attest.Verdict{Outcome: attest.Passed, Claimed: 99, Checked: all}, attest.SecureElement},
		{attest.Verdict{Outcome: attest.Passed, Checked: all}, attest.None},
	} {
		require.Equal(t, row.want, row.v.Strength(), "%+v", row.v)
	}
}

package attestredis_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attestredis"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/risk"
)

func newShort(t testing.TB, c attestredis.Processor) *attestredis.Store {
	s, err := attestredis.New(c, &attestredis.Options{Timeout: 250 * time.Millisecond})
	require.NoError(t, err)
	return s
}

// calls are all that a store does, on something that is there, over a client.
func calls(t testing.TB, client attestredis.Processor) map[string]func(ctx context.Context) error {
	patient, s := newStore(t, client, nil), newShort(t, client)
	key, b := put(t, patient, "calls")
	k := attest.Key{Tenant: "t", ID: key, Platform: "p", PublicKey: []byte("p")}
	require.NoError(t, patient.Keys().Create(t.Context(), k))
	c := attesttest.NewCredential("t", "ann")
	require.NoError(t, newPasskeys(t, patient, nil).Create(t.Context(), c))
	passkeys := newPasskeys(t, s, nil)
	return map[string]func(ctx context.Context) error{
		"put": func(ctx context.Context) error {
			return s.Challenges().Put(ctx, attest.KeyHash("c", []byte("other")), attest.Record{}, time.Minute)
		},
		"redeem": func(ctx context.Context) error {
			r, data, err := s.Challenges().Redeem(ctx, key, b, attest.Hash{})
			if err != nil && (r != 0 || data != nil) {
				return errors.New("an answer beside an error")
			}
			return err
		},
		"create":  func(ctx context.Context) error { return s.Keys().Create(ctx, attest.Key{ID: key, Platform: "p"}) },
		"get":     func(ctx context.Context) error { _, err := s.Keys().Get(ctx, "t", key); return err },
		"bind":    func(ctx context.Context) error { _, err := s.Keys().Bind(ctx, "t", key, key); return err },
		"meta":    func(ctx context.Context) error { return s.Keys().SetMeta(ctx, "t", key, []byte("m")) },
		"delete":  func(ctx context.Context) error { return s.Keys().Delete(ctx, "t", b) },
		"passkey": func(ctx context.Context) error { _, err := passkeys.Get(ctx, "t", c.ID); return err },
		"list":    func(ctx context.Context) error { _, err := passkeys.List(ctx, "t", "ann"); return err },
		"judge":   func(ctx context.Context) error { return passkeys.Judge(ctx, "t", c.ID, c.Attestation) },
		"advance": func(ctx context.Context) error {
			advanced, err := s.Keys().Advance(ctx, "t", key, 7)
			if err != nil && advanced {
				return errors.New("advanced beside an error")
			}
			return err
		},
		"use": func(ctx context.Context) error {
			advanced, err := passkeys.Use(ctx, "t", c.ID, passkey.Use{Counter: 9})
			if err != nil && advanced {
				return errors.New("advanced beside an error")
			}
			return err
		},
	}
}

// Whatever Redis does, the answer is an error that says so, soon, and never a denial.
func TestOutage(t *testing.T) {
	for name, break_ := range map[string]func(t *testing.T, s *redistest.Server){
		"stands still": func(t *testing.T, s *redistest.Server) {
			s.Pause(t)
			t.Cleanup(func() { s.Resume(t) })
		},
		"gone":       func(t *testing.T, s *redistest.Server) { s.Kill(t) },
		"a replica":  func(t *testing.T, s *redistest.Server) { s.Do(t, "REPLICAOF", "127.0.0.1", "1") },
		"locked":     func(t *testing.T, s *redistest.Server) { s.Do(t, "CONFIG", "SET", "requirepass", "s3cret") },
		"rejects us": func(t *testing.T, s *redistest.Server) { s.Do(t, "ACL", "SETUSER", "default", "-evalsha", "-eval") },
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, nil)
			all := calls(t, server.Client(t, func(o *redis.Options) { o.PoolSize = 64 }))
			break_(t, server)
			if name == "locked" {
				server.Do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			}
			for what, f := range all {
				begun := time.Now()
				err := f(t.Context())
				if name == "a replica" && (what == "get" || what == "passkey" || what == "list") && err == nil {
					continue // it may read
				}
				require.ErrorIs(t, err, attest.ErrUnavailable, what)
				require.Less(t, time.Since(begun), 5*time.Second, what)
				_, refused := attest.Refused(attest.AppAttest, err)
				require.False(t, refused, what)
			}
		})
	}
	t.Run("nobody waits any more", func(t *testing.T) {
		all := calls(t, servers.Single(t).Client(t, nil))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for what, f := range all {
			require.ErrorIs(t, f(ctx), context.Canceled, what)
		}
	})
}

// A redemption whose answer is lost is an error, and the challenge is worth at most one try after it.
func TestLostAnswer(t *testing.T) {
	server := redistest.Start(t, nil)
	client := server.Client(t, nil)
	s := newStore(t, client, nil)
	key, b := put(t, s, "lost")
	server.Pause(t)
	_, _, err := newShort(t, client).Challenges().Redeem(t.Context(), key, b, attest.Hash{})
	require.ErrorIs(t, err, attest.ErrUnavailable)
	server.Resume(t)
	won := 0
	for range 3 {
		r, _, err := s.Challenges().Redeem(t.Context(), key, b, attest.Hash{})
		require.NoError(t, err)
		if r == attest.Redeemed {
			won++
		} else {
			require.Equal(t, attest.Spent, r)
		}
	}
	require.LessOrEqual(t, won, 1)
}

// A server that comes back empty has forgotten challenges: they are unknown then, and never fresh.
func TestRestartEmpty(t *testing.T) {
	server := redistest.Start(t, nil)
	s := newStore(t, server.Client(t, nil), nil)
	key, b := put(t, s, "empty")
	server.Kill(t)
	server.Restart(t)
	require.Eventually(t, func() bool {
		r, _, err := s.Challenges().Redeem(t.Context(), key, b, attest.Hash{})
		return err == nil && r == attest.Unknown
	}, 10*time.Second, 10*time.Millisecond)
}

// Through signal and engine an outage is degradation, and costs what the fail mode says.
func TestOutageIsNoDenial(t *testing.T) {
	server := redistest.Start(t, nil)
	s := newShort(t, server.Client(t, nil))
	challenges, err := attest.NewChallenges(s.Challenges(), nil)
	require.NoError(t, err)
	never := attest.VerifierFunc(func(context.Context, attest.Request) (attest.Verdict, error) {
		return attest.Verdict{}, errors.New("not to be asked")
	})
	signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{attest.AndroidKey: never},
		&attest.SignalOptions{OnError: risk.FailReview, Timeout: 5 * time.Second})
	require.NoError(t, err)
	policy, err := risk.NewPolicy(risk.PolicySpec{Name: "phones", Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
		{Name: "allow", Range: &[2]int{0, 60}, Action: risk.Allow},
		{Name: "review", Range: &[2]int{61, 100}, Action: risk.Review},
	}}}})
	require.NoError(t, err)
	engine, err := risk.NewEngine(policy, []risk.Signal{signal}, &risk.Options{Budget: 10 * time.Second})
	require.NoError(t, err)
	a := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelMobile, Session: "s-42"}
	c, err := challenges.Issue(t.Context(), attest.Binding{Purpose: "app", Session: "s-42"}, nil)
	require.NoError(t, err)
	risk.Attach(a, attest.Response{Platform: attest.AndroidKey, Challenge: c.Text, Chain: [][]byte{{1}}})
	server.Kill(t)
	got := engine.Assess(t.Context(), a)
	require.True(t, got.Degraded)
	require.Equal(t, risk.Review, got.Action)
	for _, r := range got.Reasons {
		require.NotEqual(t, "attest", r.Signal, "an outage says nothing of the device: %s", r.Code)
	}
}

// What a replica has confirmed stays done over a failover; what was not confirmed may be undone, and can be done once more.
func TestSentinelFailover(t *testing.T) {
	pair := redistest.StartSentinel(t)
	client := pair.Client(t, nil)
	s := newStore(t, client, nil)
	passkeys := newPasskeys(t, s, nil)

	const n = 60
	type one struct {
		key, binding    attest.Hash
		done, confirmed bool
	}
	all := make([]one, n)
	for i := range all {
		all[i].key, all[i].binding = put(t, s, string(rune('a'+i)))
	}
	device := attest.Key{Tenant: "t", ID: all[0].key, Platform: "p"}
	require.NoError(t, s.Keys().Create(t.Context(), device))
	advanced, err := s.Keys().Advance(t.Context(), "t", device.ID, 7)
	require.NoError(t, err)
	require.True(t, advanced)
	cred := attesttest.NewCredential("t", "ann")
	require.NoError(t, passkeys.Create(t.Context(), cred))
	advanced, err = passkeys.Use(t.Context(), "t", cred.ID, passkey.Use{Counter: 7})
	require.NoError(t, err)
	require.True(t, advanced)
	require.NoError(t, client.Wait(t.Context(), 1, 10*time.Second).Err())

	// Half way through a run of redemptions the primary dies.
	failed := false
	for i := range all {
		if i == n/2 {
			pair.Primary.Kill(t)
		}
		on := s
		if i >= n/2 {
			on = newShort(t, client)
		}
		r, _, err := on.Challenges().Redeem(t.Context(), all[i].key, all[i].binding, attest.Hash{})
		if err != nil {
			require.ErrorIs(t, err, attest.ErrUnavailable)
			failed = true
			break
		}
		require.Equal(t, attest.Redeemed, r)
		all[i].done = true
		replicas, err := client.Wait(t.Context(), 1, time.Second).Result()
		all[i].confirmed = err == nil && replicas == 1
	}
	require.True(t, failed, "while there is no primary the answer is an error")
	pair.WaitPromoted(t)
	require.Eventually(t, func() bool {
		_, err := s.Keys().Get(t.Context(), "t", device.ID)
		return err == nil
	}, 60*time.Second, 20*time.Millisecond)

	for i := range all {
		won := race(t, func() (bool, error) {
			r, _, err := s.Challenges().Redeem(t.Context(), all[i].key, all[i].binding, attest.Hash{})
			return r == attest.Redeemed, err
		})
		require.LessOrEqual(t, won, 1)
		if all[i].confirmed {
			require.Zero(t, won, "redeemed, confirmed, and redeemed again")
		}
	}
	for _, counter := range []uint32{7, 8} {
		won := race(t, func() (bool, error) { return s.Keys().Advance(t.Context(), "t", device.ID, counter) })
		require.Equal(t, int(counter-7), won)
		won = race(t, func() (bool, error) {
			return passkeys.Use(t.Context(), "t", cred.ID, passkey.Use{Counter: counter})
		})
		require.Equal(t, int(counter-7), won)
	}
}

// race counts how many of two that start together get true.
func race(t *testing.T, f func() (bool, error)) (won int) {
	t.Helper()
	var wins [2]bool
	var errs [2]error
	var wg sync.WaitGroup
	for i := range wins {
		wg.Go(func() { wins[i], errs[i] = f() })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	for _, w := range wins {
		if w {
			won++
		}
	}
	return won
}

package attesttest

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
)

// Clock is a time that tests move. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock makes a clock that stands at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Rounds is how many races [RunChallenges] and [RunKeys] run on a store.
const Rounds = 1000

func randomHash() (h attest.Hash) {
	_, _ = rand.Read(h[:])
	return h
}

// RunChallenges tests that a store keeps the rules of attest.ChallengeStore. newStore is called once a sub-test, with the
// clock to judge expiry by.
func RunChallenges(t *testing.T, newStore func(t *testing.T, now func() time.Time) attest.ChallengeStore) {
	for name, f := range map[string]func(t *testing.T, s attest.ChallengeStore, c *Clock){
		"once": challengeOnce, "binding": challengeBinding, "expiry": challengeExpiry, "data": challengeData,
		"put": challengePut, "race": challengeRace, "canceled": challengeCanceled,
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClock()
			f(t, newStore(t, c.Now), c)
		})
	}
}

func redeem(t *testing.T, s attest.ChallengeStore, key, binding, subject attest.Hash, want attest.Redemption) []byte {
	t.Helper()
	got, data, err := s.Redeem(context.Background(), key, binding, subject)
	require.NoError(t, err)
	require.Equal(t, want, got)
	return data
}

func challengeOnce(t *testing.T, s attest.ChallengeStore, _ *Clock) {
	key, b := randomHash(), randomHash()
	redeem(t, s, key, b, attest.Hash{}, attest.Unknown)
	require.NoError(t, s.Put(context.Background(), key, attest.Record{Binding: b}, time.Minute))
	redeem(t, s, key, b, attest.Hash{}, attest.Redeemed)
	redeem(t, s, key, b, attest.Hash{}, attest.Spent)
	redeem(t, s, key, randomHash(), attest.Hash{}, attest.Spent)
}

func challengeBinding(t *testing.T, s attest.ChallengeStore, _ *Clock) {
	ctx := context.Background()
	key, b, who := randomHash(), randomHash(), randomHash()
	require.NoError(t, s.Put(ctx, key, attest.Record{Binding: b, Subject: who}, time.Minute))
	redeem(t, s, key, randomHash(), who, attest.Mismatch)
	redeem(t, s, key, b, randomHash(), attest.Mismatch)
	redeem(t, s, key, b, attest.Hash{}, attest.Mismatch)
	redeem(t, s, key, b, who, attest.Redeemed) // what was tried before did not spend it
	open := randomHash()
	require.NoError(t, s.Put(ctx, open, attest.Record{Binding: b}, time.Minute))
	redeem(t, s, open, b, randomHash(), attest.Redeemed)
}

func challengeExpiry(t *testing.T, s attest.ChallengeStore, c *Clock) {
	ctx := context.Background()
	early, late, spent, b := randomHash(), randomHash(), randomHash(), randomHash()
	for _, k := range []attest.Hash{early, late, spent} {
		require.NoError(t, s.Put(ctx, k, attest.Record{Binding: b}, time.Minute))
	}
	redeem(t, s, spent, b, attest.Hash{}, attest.Redeemed)
	c.Advance(59 * time.Second)
	redeem(t, s, early, b, attest.Hash{}, attest.Redeemed)
	redeem(t, s, spent, b, attest.Hash{}, attest.Spent)
	c.Advance(time.Second)
	redeem(t, s, late, b, attest.Hash{}, attest.Unknown)
	redeem(t, s, spent, b, attest.Hash{}, attest.Unknown)
}

func challengeData(t *testing.T, s attest.ChallengeStore, _ *Clock) {
	ctx := context.Background()
	b := randomHash()
	for _, data := range [][]byte{nil, {0}, []byte("text \x00\xff\r\n"), make([]byte, attest.MaxData)} {
		key := randomHash()
		in := append([]byte(nil), data...)
		require.NoError(t, s.Put(ctx, key, attest.Record{Binding: b, Data: in}, time.Minute))
		if len(in) > 0 {
			in[0] ^= 1 // the store keeps its own
		}
		require.Empty(t, redeem(t, s, key, randomHash(), attest.Hash{}, attest.Mismatch))
		got := redeem(t, s, key, b, attest.Hash{}, attest.Redeemed)
		require.Equal(t, len(data), len(got))
		require.Equal(t, string(data), string(got))
		require.Empty(t, redeem(t, s, key, b, attest.Hash{}, attest.Spent))
	}
}

func challengePut(t *testing.T, s attest.ChallengeStore, _ *Clock) {
	ctx := context.Background()
	key, b := randomHash(), randomHash()
	require.Error(t, s.Put(ctx, key, attest.Record{Binding: b}, 0))
	require.Error(t, s.Put(ctx, key, attest.Record{Binding: b}, -time.Second))
	require.NoError(t, s.Put(ctx, key, attest.Record{Binding: b}, time.Minute))
	require.Error(t, s.Put(ctx, key, attest.Record{Binding: randomHash()}, time.Minute))
	redeem(t, s, key, b, attest.Hash{}, attest.Redeemed)
	require.Error(t, s.Put(ctx, key, attest.Record{Binding: b}, time.Minute), "a spent one is not made fresh")
	redeem(t, s, key, b, attest.Hash{}, attest.Spent)
}

// race runs f in two goroutines that start together and returns how often it was true.
func race(f func() bool) int64 {
	var won atomic.Int64
	var ready, done sync.WaitGroup
	ready.Add(2)
	for range 2 {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			if f() {
				won.Add(1)
			}
		})
	}
	done.Wait()
	return won.Load()
}

func challengeRace(t *testing.T, s attest.ChallengeStore, _ *Clock) {
	ctx := context.Background()
	for range Rounds {
		key, b := randomHash(), randomHash()
		require.NoError(t, s.Put(ctx, key, attest.Record{Binding: b}, time.Minute))
		var failed atomic.Pointer[error]
		won := race(func() bool {
			r, _, err := s.Redeem(ctx, key, b, attest.Hash{})
			if err != nil {
				failed.Store(&err)
			}
			return r == attest.Redeemed
		})
		require.Nil(t, failed.Load())
		require.EqualValues(t, 1, won)
	}
}

func challengeCanceled(t *testing.T, s attest.ChallengeStore, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	key, b := randomHash(), randomHash()
	require.ErrorIs(t, s.Put(ctx, key, attest.Record{Binding: b}, time.Minute), context.Canceled)
	_, _, err := s.Redeem(ctx, key, b, attest.Hash{})
	require.ErrorIs(t, err, context.Canceled)
}

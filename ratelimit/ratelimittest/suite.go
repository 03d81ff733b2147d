package ratelimittest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// Epoch is the time, in microseconds since 1970, at which the suite's simulated time starts: 2026-11-21.
const Epoch int64 = 1_795_219_200_000_000

const (
	second = int64(1_000_000)
	minute = 60 * second
)

// Run tests that a store keeps the rules of ratelimit.Batch. newStore is called once per sub-test and may return the
// same store each time: the suite uses fresh keys. All but the sub-tests of clock and bursts judge by a simulated time
// that moves both ways.
func Run(t *testing.T, newStore func(t *testing.T) ratelimit.Store) {
	tests := []struct {
		name string
		f    func(s *suite)
	}{
		{"tags", (*suite).tags},
		{"gcra", (*suite).gcra},
		{"model", (*suite).model},
		{"all or nothing", (*suite).allOrNothing},
		{"changed limits", (*suite).changedLimits},
		{"dry run", (*suite).dryRun},
		{"challenged", (*suite).challenged},
		{"hold", (*suite).hold},
		{"charge denied", (*suite).chargeDenied},
		{"refund", (*suite).refund},
		{"report", (*suite).report},
		{"forget", (*suite).forget},
		{"offences", (*suite).offences},
		{"offence weights", (*suite).offenceWeights},
		{"decay", (*suite).decay},
		{"slow", (*suite).slow},
		{"repeat", (*suite).repeat},
		{"ban", (*suite).ban},
		{"ban grows", (*suite).banGrows},
		{"most", (*suite).most},
		{"clock goes back", (*suite).clockBack},
		{"forgive", (*suite).forgive},
		{"invalid batches", (*suite).invalid},
		{"own clock", (*suite).ownClock},
		{"burst", (*suite).burst},
		{"crossed keys", (*suite).crossedKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &suite{T: t, store: newStore(t), now: Epoch}
			_, err := rand.Read(s.salt[:])
			require.NoError(t, err)
			tt.f(s)
		})
	}
}

// suite is one sub-test: a store, a simulated time and keys of its own.
type suite struct {
	*testing.T
	store ratelimit.Store
	now   int64
	salt  [16]byte
}

// key is the key of a name, fresh in each sub-test.
func (s *suite) key(name string) ratelimit.Key {
	return s.store.Tag(append(s.salt[:len(s.salt):len(s.salt)], name...))
}

// perMinute is a bucket of n units a minute, of which an attempt takes one.
func (s *suite) perMinute(name string, n int64) ratelimit.Bucket {
	return ratelimit.Bucket{Key: s.key(name), Interval: minute / n, Burst: n, Cost: 1}
}

func (s *suite) source(name string) ratelimit.Offender {
	return ratelimit.Offender{Key: s.key("source " + name), Share: 1000, Most: ratelimit.Ban}
}

func (s *suite) ladder() *ratelimit.Ladder {
	return &ratelimit.Ladder{
		HalfLife: 30 * minute, SlowAt: 3000, ChallengeAt: 5000, BanAt: 10_000, Max: 80_000,
		Slow: 10 * second, Ban: 5 * minute, MaxBan: 24 * 60 * minute, Repeat: 500,
	}
}

func (s *suite) decide(b *ratelimit.Batch) *ratelimit.Batch {
	s.Helper()
	b.At = s.now
	require.NoError(s, s.store.Decide(context.Background(), b))
	require.Equal(s, s.now, b.Now)
	return b
}

func (s *suite) adjust(b *ratelimit.Batch) {
	s.Helper()
	b.At = s.now
	require.NoError(s, s.store.Adjust(context.Background(), b))
}

// one decides a single bucket.
func (s *suite) one(c ratelimit.Bucket) *ratelimit.Batch {
	s.Helper()
	return s.decide(&ratelimit.Batch{Buckets: []ratelimit.Bucket{c}})
}

// debt looks at a bucket.
func (s *suite) debt(c ratelimit.Bucket) int64 {
	s.Helper()
	c.Cost = 0
	return s.decide(&ratelimit.Batch{DryRun: true, Buckets: []ratelimit.Bucket{c}}).Buckets[0].Debt
}

// offend adds points to a source.
func (s *suite) offend(o ratelimit.Offender, points int64) {
	s.Helper()
	s.adjust(&ratelimit.Batch{Offence: points, Ladder: s.ladder(), Sources: []ratelimit.Offender{o}})
}

// look judges a source with an empty batch and returns its answers.
func (s *suite) look(o ratelimit.Offender) (ratelimit.Offender, *ratelimit.Batch) {
	s.Helper()
	b := s.decide(&ratelimit.Batch{DryRun: true, Ladder: s.ladder(), Sources: []ratelimit.Offender{o}})
	return b.Sources[0], b
}

func (s *suite) tags() {
	texts := []string{"", "a", "b", "ab", "a\x00", "\x00a", "1.2.3.4", "1.2.3.40", fmt.Sprint(make([]byte, 4096))}
	seen := map[ratelimit.Key]string{}
	for _, text := range texts {
		k := s.store.Tag([]byte(text))
		require.Equal(s, k, s.store.Tag([]byte(text)))
		other, taken := seen[k]
		require.False(s, taken, "%q and %q have the same tag", text, other)
		seen[k] = text
	}
}

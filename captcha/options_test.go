package captcha_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

func TestNewPoWRefuses(t *testing.T) {
	c := newClock()
	g := newGuard(t, c)
	long := func(fill byte) captcha.Key { return captcha.Key{Secret: secret(fill)} }
	for _, row := range []struct {
		name string
		keys captcha.Keys
		g    captcha.ReplayGuard
		o    captcha.PoWOptions
		says string
	}{
		{"no guard", keys(), nil, captcha.PoWOptions{}, "NewMemoryGuard"},
		{"no key", captcha.Keys{}, g, captcha.PoWOptions{}, "current key has 0 bytes"},
		{"short key", captcha.Keys{Current: captcha.Key{Secret: secret('k')[:31]}}, g, captcha.PoWOptions{}, "31 bytes"},
		{"short key secret", captcha.Keys{Current: captcha.Key{Secret: secret('k'), KeySecret: secret('k')[:8]}}, g, captcha.PoWOptions{}, "8 bytes"},
		{"one secret for both", captcha.Keys{Current: captcha.Key{Secret: secret('k'), KeySecret: secret('k')}}, g, captcha.PoWOptions{}, "different"},
		{"no retirement", captcha.Keys{Current: long('k'), Previous: []captcha.RetiredKey{{Key: long('o')}}}, g, captcha.PoWOptions{}, "retirement"},
		{"short previous", captcha.Keys{Current: long('k'), Previous: []captcha.RetiredKey{{At: c.Now()}}}, g, captcha.PoWOptions{}, "previous key 0"},
		{"same previous", captcha.Keys{Current: long('k'), Previous: []captcha.RetiredKey{{Key: long('k'), At: c.Now()}}}, g, captcha.PoWOptions{}, "same as another"},
		{"too many previous", captcha.Keys{Current: long('k'), Previous: make([]captcha.RetiredKey, 9)}, g, captcha.PoWOptions{}, "at most 8"},
		{"TTL too short", keys(), g, captcha.PoWOptions{TTL: time.Second}, "TTL"},
		{"TTL too long", keys(), g, captcha.PoWOptions{TTL: 2 * time.Hour}, "TTL"},
		{"TTL of half seconds", keys(), g, captcha.PoWOptions{TTL: time.Minute + time.Second/2}, "whole seconds"},
		{"negative skew", keys(), g, captcha.PoWOptions{Skew: -time.Second}, "Skew"},
		{"min above max", keys(), g, captcha.PoWOptions{MinCost: 10, MaxCost: 9}, "MaxCost"},
		{"negative concurrency", keys(), g, captcha.PoWOptions{MaxDerivations: -1}, "MaxDerivations"},
		{"unknown algorithm", keys(), g, captcha.PoWOptions{Algorithm: "SCRYPT"}, "add its KDF"},
		{"plain hash issued", keys(), g, captcha.PoWOptions{Algorithm: captcha.PlainSHA256, InsecurePlainHash: true}, "cannot issue"},
		{"KDF without steps", keys(), g, captcha.PoWOptions{Algorithm: "COUNTING", KDFs: []captcha.KDF{&countingKDF{}}}, "Steps"},
		{"KDF twice", keys(), g, captcha.PoWOptions{KDFs: []captcha.KDF{&countingKDF{}, &countingKDF{}}}, "taken"},
		{"nil KDF", keys(), g, captcha.PoWOptions{KDFs: []captcha.KDF{nil}}, "nil"},
		{"no steps", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{}}, "0 difficulty steps"},
		{"steps start late", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{{From: 1, Work: captcha.Work{Cost: 5000}, Digits: 2}}}, "start at 0"},
		{"steps fall", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{{Work: captcha.Work{Cost: 5000}, Digits: 2}, {Work: captcha.Work{Cost: 5000}, Digits: 2}}}, "rise"},
		{"no digits", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{{Work: captcha.Work{Cost: 5000}}}}, "hex digits"},
		{"too many digits", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{{Work: captcha.Work{Cost: 5000}, Digits: 7}}}, "hex digits"},
		{"step below the least cost", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{{Work: captcha.Work{Cost: 999}, Digits: 2}}}, "cost 999"},
		{"step with memory", keys(), g, captcha.PoWOptions{Steps: []captcha.Step{{Work: captcha.Work{Cost: 5000, MemoryCost: 8}, Digits: 2}}}, "memory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := captcha.NewPoW(row.keys, row.g, &row.o)
			require.ErrorContains(t, err, row.says)
			require.Nil(t, p)
			require.NotContains(t, err.Error(), "kkkk")
		})
	}
}

func TestChooseStep(t *testing.T) {
	steps := captcha.DefaultSteps()
	for _, row := range []struct{ score, failures, want int }{
		{-5, 0, 0}, {0, 0, 0}, {30, 0, 0}, {31, 0, 1}, {45, 0, 1}, {46, 0, 2}, {60, 0, 2}, {61, 0, 3}, {75, 0, 3}, {76, 0, 4}, {100, 0, 4},
		{0, 1, 1}, {0, 4, 4}, {0, 5, 4}, {31, 2, 3}, {100, 9, 4}, {40, -3, 1}, {200, 1 << 30, 4},
	} {
		require.Equal(t, steps[row.want], captcha.ChooseStep(steps, row.score, row.failures), "%+v", row)
	}
	require.Zero(t, captcha.ChooseStep(nil, 50, 2))
	effort := func(s captcha.Step) int { return s.Work.Cost << (4 * s.Digits) }
	for score := range 101 {
		for failures := range 8 {
			here := effort(captcha.ChooseStep(steps, score, failures))
			require.LessOrEqual(t, here, effort(captcha.ChooseStep(steps, score+1, failures)))
			require.LessOrEqual(t, here, effort(captcha.ChooseStep(steps, score, failures+1)))
		}
	}
	c := newClock()
	p := newPoW(t, c, newGuard(t, c), func(o *captcha.PoWOptions) { o.Steps = nil })
	challenge, err := p.Issue(context.Background(), captcha.ChallengeRequest{Score: 55, Failures: 1})
	require.NoError(t, err)
	require.Equal(t, "000", challenge.Parameters.KeyPrefix)
	require.Equal(t, 5000, challenge.Parameters.Cost)
}

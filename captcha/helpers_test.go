package captcha_test

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// clock is a wall clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func secret(fill byte) captcha.Secret { return bytes.Repeat([]byte{fill}, captcha.MinSecret) }

func keys() captcha.Keys { return captcha.Keys{Current: captcha.Key{Secret: secret('k')}} }

func newGuard(t testing.TB, c *clock) *captcha.MemoryGuard {
	g, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: c.Now})
	require.NoError(t, err)
	return g
}

// newPoW makes a verifier of quick challenges; change adjusts its options.
func newPoW(t testing.TB, c *clock, g captcha.ReplayGuard, change ...func(o *captcha.PoWOptions)) *captcha.PoW {
	o := captcha.PoWOptions{Now: c.Now, Steps: captchatest.QuickSteps()}
	for _, f := range change {
		f(&o)
	}
	p, err := captcha.NewPoW(keys(), g, &o)
	require.NoError(t, err)
	return p
}

func deterministic(o *captcha.PoWOptions) { o.Deterministic = true }

// bound is a request for a challenge, expect what verifies it.
var (
	bound  = captcha.ChallengeRequest{Action: "signup", Tenant: "t1", Session: "s-42", Flow: "f-7"}
	expect = captcha.Expect{Action: "signup", Tenant: "t1", Session: "s-42", Flow: "f-7"}
)

func issue(t testing.TB, p *captcha.PoW, r captcha.ChallengeRequest) (*captcha.Challenge, captchatest.Solution) {
	c, err := p.Issue(context.Background(), r)
	require.NoError(t, err)
	s, err := captchatest.SolveFrom(c, 0)
	require.NoError(t, err)
	return c, s
}

func token(t testing.TB, p *captcha.PoW, r captcha.ChallengeRequest) string {
	c, s := issue(t, p, r)
	return captchatest.Token(c, s)
}

func verify(t testing.TB, p *captcha.PoW, token string, e captcha.Expect) captcha.Result {
	res, err := p.Verify(context.Background(), captcha.Request{Token: token, Expect: e})
	require.NoError(t, err)
	return res
}

func requireReason(t testing.TB, want captcha.Reason, res captcha.Result) {
	require.Equal(t, want, res.Reason)
	if want == captcha.ReasonOK {
		require.Equal(t, captcha.Passed, res.Outcome)
		return
	}
	require.Equal(t, captcha.Failed, res.Outcome)
	require.NotEqual(t, captcha.FaultNone, res.Fault)
}

// countingKDF is PBKDF2 under another name that counts its calls and, when told, waits in them or fails.
type countingKDF struct {
	calls   atomic.Int64
	entered chan struct{} // told of a call that waits
	block   chan struct{}
	err     error
}

func (k *countingKDF) Algorithm() string { return "COUNTING" }

func (k *countingKDF) Check(w captcha.Work) error {
	if w.Cost != 10 {
		return errors.New("cost must be 10")
	}
	return nil
}

func (k *countingKDF) Derive(w captcha.Work, password, salt []byte, keyLength int) ([]byte, error) {
	k.calls.Add(1)
	if k.block != nil {
		k.entered <- struct{}{}
		<-k.block
	}
	if k.err != nil {
		return nil, k.err
	}
	return pbkdf2.Key(sha256.New, string(password), salt, w.Cost, keyLength)
}

func counting(k *countingKDF) func(o *captcha.PoWOptions) {
	return func(o *captcha.PoWOptions) {
		o.KDFs, o.Algorithm = []captcha.KDF{k}, "COUNTING"
		o.Steps = []captcha.Step{{Work: captcha.Work{Cost: 10}, Digits: 1}}
	}
}

// brokenGuard fails in one of its two calls.
type brokenGuard struct {
	captcha.ReplayGuard
	spend, spent error
}

func (g brokenGuard) Spend(ctx context.Context, k captcha.ReplayKey, ttl time.Duration) (bool, error) {
	if g.spend != nil {
		return false, g.spend
	}
	return g.ReplayGuard.Spend(ctx, k, ttl)
}

func (g brokenGuard) Spent(ctx context.Context, k captcha.ReplayKey) (bool, error) {
	if g.spent != nil {
		return false, g.spent
	}
	return g.ReplayGuard.Spent(ctx, k)
}

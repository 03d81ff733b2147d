package captcha_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// Whatever can be refused without deriving a key is.
func TestRefusalsDeriveNothing(t *testing.T) {
	c := newClock()
	kdf := new(countingKDF)
	g := newGuard(t, c)
	p := newPoW(t, c, g, counting(kdf))
	challenge, err := p.Issue(context.Background(), bound)
	require.NoError(t, err)
	solution, err := captchatest.SolveFrom(challenge, 0, kdf)
	require.NoError(t, err)
	good := captchatest.Token(challenge, solution)
	needed := map[string]bool{"forged key": true, "wrong counter": true}
	for _, row := range captchatest.Wrong(challenge, solution) {
		kdf.calls.Store(0)
		requireReason(t, row.Reason, verify(t, p, row.Token, expect))
		if needed[row.Name] {
			require.EqualValues(t, 1, kdf.calls.Load(), row.Name)
		} else {
			require.Zero(t, kdf.calls.Load(), row.Name)
		}
	}
	kdf.calls.Store(0)
	for why, e := range map[captcha.Reason]captcha.Expect{
		captcha.ReasonAction: {}, captcha.ReasonSession: {Action: "signup", Tenant: "t1"},
		captcha.ReasonFlow: {Action: "signup", Tenant: "t1", Session: "s-42"},
	} {
		requireReason(t, why, verify(t, p, good, e))
	}
	require.Zero(t, kdf.calls.Load(), "binding")
	requireReason(t, captcha.ReasonOK, verify(t, p, good, expect))
	require.EqualValues(t, 1, kdf.calls.Load())
	requireReason(t, captcha.ReasonReplayed, verify(t, p, good, expect))
	require.EqualValues(t, 1, kdf.calls.Load(), "replayed")
	c.Advance(6 * time.Minute)
	requireReason(t, captcha.ReasonExpired, verify(t, p, good, expect))
	require.EqualValues(t, 1, kdf.calls.Load(), "expired")
}

// One challenge cannot buy more than a few derivations, and they are bounded at once.
func TestDerivationFlood(t *testing.T) {
	c := newClock()
	kdf := new(countingKDF)
	p := newPoW(t, c, newGuard(t, c), counting(kdf))
	challenge, err := p.Issue(context.Background(), bound)
	require.NoError(t, err)
	s, err := captchatest.SolveFrom(challenge, 0, kdf)
	require.NoError(t, err)
	kdf.calls.Store(0)
	seen := map[captcha.Reason]int{}
	for i := range uint32(1000) {
		wrong := s
		wrong.Counter += 1 + i
		seen[verify(t, p, captchatest.Token(challenge, wrong), expect).Reason]++
	}
	require.EqualValues(t, 4, kdf.calls.Load())
	require.Equal(t, map[captcha.Reason]int{captcha.ReasonSolution: 4, captcha.ReasonAttempts: 996}, seen)

	kdf.block, kdf.entered = make(chan struct{}), make(chan struct{}, 8)
	q := newPoW(t, c, newGuard(t, c), counting(kdf), func(o *captcha.PoWOptions) { o.MaxDerivations = 1 })
	kdf.calls.Store(0)
	var wg sync.WaitGroup
	first, second := make(chan error, 1), make(chan error, 1)
	solve := &countingKDF{}
	var tokens []string
	for range 2 {
		challenge, err := q.Issue(context.Background(), bound)
		require.NoError(t, err)
		tok, err := captchatest.Solve(challenge, solve)
		require.NoError(t, err)
		tokens = append(tokens, tok)
	}
	wg.Go(func() {
		_, err := q.Verify(context.Background(), captcha.Request{Token: tokens[0], Expect: expect})
		first <- err
	})
	<-kdf.entered // the only slot is taken
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		_, err := q.Verify(ctx, captcha.Request{Token: tokens[1], Expect: expect})
		second <- err
	})
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
	require.EqualValues(t, 1, kdf.calls.Load())
	close(kdf.block)
	require.NoError(t, <-first)
	wg.Wait()
}

func TestBusy(t *testing.T) {
	c := newClock()
	kdf := &countingKDF{block: make(chan struct{}), entered: make(chan struct{}, 8)}
	p := newPoW(t, c, newGuard(t, c), counting(kdf), deterministic, func(o *captcha.PoWOptions) { o.MaxDerivations = 1 })
	done := make(chan error, 1)
	go func() {
		_, err := p.Issue(context.Background(), bound)
		done <- err
	}()
	<-kdf.entered
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := p.Issue(ctx, bound)
	require.ErrorIs(t, err, captcha.ErrBusy)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	close(kdf.block)
	require.NoError(t, <-done)
}

func TestKDFErrorIsOurs(t *testing.T) {
	c := newClock()
	kdf := new(countingKDF)
	p := newPoW(t, c, newGuard(t, c), counting(kdf))
	challenge, err := p.Issue(context.Background(), bound)
	require.NoError(t, err)
	tok, err := captchatest.Solve(challenge, kdf)
	require.NoError(t, err)
	kdf.err = errors.New("out of memory")
	res, err := p.Verify(context.Background(), captcha.Request{Token: tok, Expect: expect})
	require.ErrorIs(t, err, kdf.err)
	require.Equal(t, captcha.Unverified, res.Outcome)
	kdf.err = nil
	requireReason(t, captcha.ReasonOK, verify(t, p, tok, expect))
}

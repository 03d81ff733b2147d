package captcha_test

import (
	"context"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestReplay(t *testing.T) {
	for name, change := range map[string]func(o *captcha.PoWOptions){"random": func(*captcha.PoWOptions) {}, "deterministic": deterministic} {
		for _, row := range []struct {
			name  string
			again func(t *testing.T, c *captcha.Challenge, s captchatest.Solution) string
			skip  bool
		}{
			{"same token", func(t *testing.T, c *captcha.Challenge, s captchatest.Solution) string {
				return captchatest.Token(c, s)
			}, false},
			{"white space and order", func(t *testing.T, c *captcha.Challenge, s captchatest.Solution) string {
				again, err := captchatest.Shuffled(captchatest.Token(c, s), rand.New(rand.NewPCG(1, 2)))
				require.NoError(t, err)
				require.NotEqual(t, captchatest.Token(c, s), again)
				return again
			}, false},
			{"another time", func(t *testing.T, c *captcha.Challenge, s captchatest.Solution) string {
				raw, err := base64.StdEncoding.DecodeString(captchatest.Token(c, s))
				require.NoError(t, err)
				changed := strings.Replace(string(raw), `"time":12.5`, `"time":7`, 1)
				require.NotEqual(t, string(raw), changed)
				return base64.StdEncoding.EncodeToString([]byte(changed))
			}, false},
			{"escaped text", func(t *testing.T, c *captcha.Challenge, s captchatest.Solution) string {
				raw, err := base64.StdEncoding.DecodeString(captchatest.Token(c, s))
				require.NoError(t, err)
				return base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"counter"`, `"\u0063ounter"`, 1)))
			}, false},
			{"another right solution", func(t *testing.T, c *captcha.Challenge, s captchatest.Solution) string {
				other, err := captchatest.SolveFrom(c, s.Counter+1)
				require.NoError(t, err)
				return captchatest.Token(c, other)
			}, name == "deterministic"}, // there is only one
		} {
			if row.skip {
				continue
			}
			t.Run(name+"/"+row.name, func(t *testing.T) {
				c := newClock()
				g := newGuard(t, c)
				one, two := newPoW(t, c, g, change), newPoW(t, c, g, change)
				challenge, solution := issue(t, one, bound)
				again := row.again(t, challenge, solution)
				requireReason(t, captcha.ReasonOK, verify(t, newPoW(t, c, newGuard(t, c), change), again, expect)) // right by itself
				requireReason(t, captcha.ReasonOK, verify(t, one, captchatest.Token(challenge, solution), expect))
				requireReason(t, captcha.ReasonReplayed, verify(t, one, again, expect))
				requireReason(t, captcha.ReasonReplayed, verify(t, two, again, expect))
				other := expect
				other.Session = "s-43"
				requireReason(t, captcha.ReasonSession, verify(t, two, again, other))
				c.Advance(5 * time.Minute)
				requireReason(t, captcha.ReasonReplayed, verify(t, two, again, expect))
				c.Advance(time.Second)
				requireReason(t, captcha.ReasonExpired, verify(t, two, again, expect))
			})
		}
	}
}

// Base64 in any other form, hex in any other case: refused, so that there is one form only.
func TestReencodedTokensAreRefused(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c))
	challenge, solution := issue(t, p, bound)
	raw, err := base64.StdEncoding.DecodeString(captchatest.Token(challenge, solution))
	require.NoError(t, err)
	raw = append(raw, strings.Repeat(" ", 3-len(raw)%3+1)...) // so that padding is needed
	for _, row := range []struct{ name, token string }{
		{"no padding", base64.RawStdEncoding.EncodeToString(raw)},
		{"hex", strings.ToUpper(captchatest.Token(challenge, solution))},
		{"space", captchatest.Token(challenge, solution) + " "},
		{"percent-encoded", strings.ReplaceAll(base64.StdEncoding.EncodeToString(raw), "=", "%3D")},
	} {
		t.Run(row.name, func(t *testing.T) {
			requireReason(t, captcha.ReasonMalformed, verify(t, p, row.token, expect))
		})
	}
}

func TestConcurrentPostsOverTwoInstances(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	for name, change := range map[string]func(o *captcha.PoWOptions){"random": counting(new(countingKDF)), "deterministic": func(o *captcha.PoWOptions) {
		counting(new(countingKDF))(o)
		deterministic(o)
	}} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			g := newGuard(t, c)
			instances := [2]*captcha.PoW{newPoW(t, c, g, change), newPoW(t, c, g, change)}
			for range rounds {
				challenge, err := instances[0].Issue(context.Background(), bound)
				require.NoError(t, err)
				tok, err := captchatest.Solve(challenge, new(countingKDF))
				require.NoError(t, err)
				var passed, failed atomic.Int32
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() {
						res, err := instances[i%2].Verify(context.Background(), captcha.Request{Token: tok, Expect: expect})
						switch {
						case err == nil && res.Outcome == captcha.Passed:
							passed.Add(1)
						case err == nil && res.Outcome == captcha.Failed:
							failed.Add(1)
						}
					})
				}
				wg.Wait()
				require.EqualValues(t, 1, passed.Load())
				require.EqualValues(t, 49, failed.Load())
			}
		})
	}
}

func TestGuardFailureFailsClosed(t *testing.T) {
	boom := errors.New("connection refused")
	for name, broken := range map[string]brokenGuard{"asking": {spent: boom}, "spending": {spend: boom}} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			g := newGuard(t, c)
			broken.ReplayGuard = g
			p := newPoW(t, c, broken)
			tok := token(t, p, bound)
			res, err := p.Verify(context.Background(), captcha.Request{Token: tok, Expect: expect})
			require.ErrorIs(t, err, boom)
			e, ok := errors.AsType[*captcha.Error](err)
			require.True(t, ok)
			require.Equal(t, captcha.FaultProvider, e.Fault)
			require.True(t, e.Retryable)
			require.Equal(t, captcha.Unverified, res.Outcome)
			requireReason(t, captcha.ReasonOK, verify(t, newPoW(t, c, g), tok, expect)) // the visitor's answer is not lost
		})
	}
	t.Run("full", func(t *testing.T) {
		c := newClock()
		g, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{Now: c.Now, MaxMarks: 1})
		require.NoError(t, err)
		p := newPoW(t, c, g)
		first, second := token(t, p, bound), token(t, p, bound)
		requireReason(t, captcha.ReasonOK, verify(t, p, first, expect))
		res, err := p.Verify(context.Background(), captcha.Request{Token: second, Expect: expect})
		require.ErrorIs(t, err, captcha.ErrGuardFull)
		require.Equal(t, captcha.Unverified, res.Outcome)
		requireReason(t, captcha.ReasonReplayed, verify(t, p, first, expect))
	})
}

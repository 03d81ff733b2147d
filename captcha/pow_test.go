package captcha_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestPoWIsAProvider(t *testing.T) {
	for name, change := range map[string]func(o *captcha.PoWOptions){
		"random": func(*captcha.PoWOptions) {}, "deterministic": deterministic,
		"sha384": func(o *captcha.PoWOptions) { o.Algorithm = captcha.PBKDF2SHA384 },
		"sha512": func(o *captcha.PoWOptions) { o.Algorithm = captcha.PBKDF2SHA512 },
	} {
		t.Run(name, func(t *testing.T) {
			captchatest.TestProvider(t, captchatest.Subject{
				New: func(t *testing.T) (captcha.Provider, func() captcha.Request) {
					c := newClock()
					p := newPoW(t, c, newGuard(t, c), change, func(o *captcha.PoWOptions) {
						o.MinCost, o.Steps = 10, []captcha.Step{{Work: captcha.Work{Cost: 10}, Digits: 1}}
					})
					r := bound
					r.Data = map[string]string{"colour": "<blue> & 'green'"}
					e := expect
					e.Data = r.Data
					return p, func() captcha.Request { return captcha.Request{Token: token(t, p, r), Expect: e} }
				},
				Rebind: map[string]func(e *captcha.Expect){
					"other action":  func(e *captcha.Expect) { e.Action = "login" },
					"action's case": func(e *captcha.Expect) { e.Action = "Signup" },
					"no action":     func(e *captcha.Expect) { e.Action, e.Tenant = "", "" },
					"other tenant":  func(e *captcha.Expect) { e.Tenant = "t2" },
					"other split":   func(e *captcha.Expect) { e.Action, e.Tenant = "signupt", "1" },
					"other session": func(e *captcha.Expect) { e.Session = "s-43" },
					"no session":    func(e *captcha.Expect) { e.Session = "" },
					"other flow":    func(e *captcha.Expect) { e.Flow = "f-8" },
					"no flow":       func(e *captcha.Expect) { e.Flow = "" },
					"flow for session": func(e *captcha.Expect) {
						e.Flow, e.Session = e.Session, e.Flow
					},
					"other data":  func(e *captcha.Expect) { e.Data = map[string]string{"colour": "red"} },
					"absent data": func(e *captcha.Expect) { e.Data = map[string]string{"size": ""} },
				},
			})
		})
	}
}

// A challenge bound to nothing is none for this session either.
func TestUnboundChallengeIsNotBound(t *testing.T) {
	c := newClock()
	for _, row := range []struct {
		name string
		e    captcha.Expect
		why  captcha.Reason
	}{
		{"nothing expected", captcha.Expect{}, captcha.ReasonOK},
		{"action", captcha.Expect{Action: "signup"}, captcha.ReasonAction},
		{"tenant", captcha.Expect{Tenant: "t1"}, captcha.ReasonAction},
		{"session", captcha.Expect{Session: "s"}, captcha.ReasonSession},
		{"flow", captcha.Expect{Flow: "f"}, captcha.ReasonFlow},
		{"data", captcha.Expect{Data: map[string]string{"a": "b"}}, captcha.ReasonData},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPoW(t, c, newGuard(t, c))
			requireReason(t, row.why, verify(t, p, token(t, p, captcha.ChallengeRequest{}), row.e))
		})
	}
}

func TestWrongAnswers(t *testing.T) {
	for name, change := range map[string]func(o *captcha.PoWOptions){"random": func(*captcha.PoWOptions) {}, "deterministic": deterministic} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			maker := newPoW(t, c, newGuard(t, c), change)
			challenge, solution := issue(t, maker, bound)
			for _, row := range captchatest.Wrong(challenge, solution) {
				t.Run(row.Name, func(t *testing.T) {
					p := newPoW(t, c, newGuard(t, c), change)
					require.NotEqual(t, captchatest.Token(challenge, solution), row.Token)
					res := verify(t, p, row.Token, expect)
					requireReason(t, row.Reason, res)
					require.Equal(t, captcha.FaultVisitor, res.Fault)
					requireReason(t, captcha.ReasonOK, verify(t, p, captchatest.Token(challenge, solution), expect))
				})
			}
			t.Run("solution of another challenge", func(t *testing.T) {
				_, foreign := issue(t, maker, bound)
				p := newPoW(t, c, newGuard(t, c), change)
				requireReason(t, captcha.ReasonSolution, verify(t, p, captchatest.Token(challenge, foreign), expect))
			})
		})
	}
}

func TestKeyRotation(t *testing.T) {
	c := newClock()
	g := newGuard(t, c)
	p := newPoW(t, c, g)
	old, early := captcha.Key{Secret: secret('k')}, token(t, p, bound)
	twice := token(t, p, bound)

	rotated := captcha.Keys{Current: captcha.Key{Secret: secret('n')}, Previous: []captcha.RetiredKey{{Key: old, At: c.Now()}}}
	require.NoError(t, p.SetKeys(rotated))
	requireReason(t, captcha.ReasonOK, verify(t, p, early, expect))
	requireReason(t, captcha.ReasonReplayed, verify(t, p, early, expect))
	requireReason(t, captcha.ReasonOK, verify(t, p, token(t, p, bound), expect))

	// Somebody who has the old key signs on.
	thief := newPoW(t, c, newGuard(t, c))
	c.Advance(3 * time.Minute)
	late := token(t, thief, bound)
	requireReason(t, captcha.ReasonSignature, verify(t, p, late, expect))
	c.Advance(2*time.Minute + time.Second)
	requireReason(t, captcha.ReasonExpired, verify(t, p, twice, expect))

	require.NoError(t, p.SetKeys(captcha.Keys{Current: rotated.Current}))
	requireReason(t, captcha.ReasonSignature, verify(t, p, twice, expect))
	require.Error(t, p.SetKeys(captcha.Keys{}))
	requireReason(t, captcha.ReasonOK, verify(t, p, token(t, p, bound), expect)) // a bad set changes nothing
}

func TestClock(t *testing.T) {
	t.Run("valid to the very second", func(t *testing.T) {
		c := newClock()
		p := newPoW(t, c, newGuard(t, c))
		tok, other := token(t, p, bound), token(t, p, bound)
		c.Advance(5 * time.Minute)
		requireReason(t, captcha.ReasonOK, verify(t, p, tok, expect))
		c.Advance(time.Nanosecond)
		requireReason(t, captcha.ReasonExpired, verify(t, p, other, expect))
	})
	for _, row := range []struct {
		name  string
		ahead time.Duration
		want  captcha.Reason
	}{
		{"issuer ahead within the skew", 2 * time.Minute, captcha.ReasonOK},
		{"issuer ahead beyond the skew", 2*time.Minute + time.Second, captcha.ReasonLifetime},
		{"issuer behind", -4 * time.Minute, captcha.ReasonOK},
		{"issuer behind by more than the life", -6 * time.Minute, captcha.ReasonExpired},
	} {
		t.Run(row.name, func(t *testing.T) {
			here, there := newClock(), newClock()
			there.Advance(row.ahead)
			tok := token(t, newPoW(t, there, newGuard(t, there)), bound)
			requireReason(t, row.want, verify(t, newPoW(t, here, newGuard(t, here)), tok, expect))
		})
	}
	t.Run("going back within the skew", func(t *testing.T) {
		wall, steady := newClock(), newClock()
		p := newPoW(t, wall, newGuard(t, steady))
		tok := token(t, p, bound)
		requireReason(t, captcha.ReasonOK, verify(t, p, tok, expect))
		wall.Advance(-2 * time.Minute)
		for range 7 * 60 { // a second at a time until long after the answer's life by the set-back clock
			requireReason(t, captcha.ReasonReplayed, verify(t, p, tok, expect))
			wall.Advance(time.Second)
			steady.Advance(time.Second)
		}
		wall.Advance(time.Second)
		requireReason(t, captcha.ReasonExpired, verify(t, p, tok, expect))
	})
	t.Run("going back further", func(t *testing.T) {
		c := newClock()
		p := newPoW(t, c, newGuard(t, newClock()))
		tok := token(t, p, bound)
		c.Advance(-2*time.Minute - time.Second)
		res, err := p.Verify(context.Background(), captcha.Request{Token: tok, Expect: expect})
		require.ErrorIs(t, err, captcha.ErrClock)
		require.Equal(t, captcha.Unverified, res.Outcome)
		_, err = p.Issue(context.Background(), bound)
		require.ErrorIs(t, err, captcha.ErrClock)
		c.Advance(time.Second)
		requireReason(t, captcha.ReasonOK, verify(t, p, tok, expect))
	})
}

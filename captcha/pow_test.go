package captcha_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

func TestChallengeForm(t *testing.T) {
	c := newClock()
	for _, row := range []struct {
		name   string
		change func(o *captcha.PoWOptions)
		prefix int
		signed bool
	}{{"random", func(*captcha.PoWOptions) {}, 2, false}, {"deterministic", deterministic, 32, true}} {
		t.Run(row.name, func(t *testing.T) {
			p := newPoW(t, c, newGuard(t, c), row.change, func(o *captcha.PoWOptions) { o.Steps = nil })
			task, err := p.Challenge(context.Background(), bound)
			require.NoError(t, err)
			require.Equal(t, "pow", task.Provider)
			q := task.Challenge.Parameters
			require.Equal(t, "PBKDF2/SHA-256", q.Algorithm)
			require.Equal(t, 5000, q.Cost)
			require.Equal(t, 32, q.KeyLength)
			require.Len(t, q.KeyPrefix, row.prefix)
			require.Regexp(t, `^[0-9a-f]{32}$`, q.Nonce)
			require.Regexp(t, `^[0-9a-f]{32}$`, q.Salt)
			require.Regexp(t, `^[0-9a-f]{64}$`, task.Challenge.Signature)
			require.Equal(t, c.Now().Add(5*time.Minute), task.Challenge.Expires())
			require.Equal(t, row.signed, q.KeySignature != "")
			require.Len(t, q.Data, 4)
			for _, name := range []string{"act", "ses", "flw"} {
				require.Regexp(t, `^[0-9a-f]{32}$`, q.Data[name])
			}
			body, err := json.Marshal(task)
			require.NoError(t, err)
			for _, raw := range []string{"signup", "s-42", "f-7", "t1"} {
				require.NotContains(t, string(body), raw)
			}
			other, err := p.Issue(context.Background(), bound)
			require.NoError(t, err)
			require.NotEqual(t, q.Data["ses"], other.Parameters.Data["ses"], "a tag is no name for the session")
		})
	}
}

func TestDeterministicCounterSpread(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c), counting(new(countingKDF)), deterministic)
	low := 0
	for range 200 {
		challenge, err := p.Issue(context.Background(), bound)
		require.NoError(t, err)
		s, err := captchatest.SolveFrom(challenge, 0, new(countingKDF))
		require.NoError(t, err)
		require.True(t, s.Counter >= 1 && s.Counter <= 32, "counter %d", s.Counter)
		if s.Counter <= 16 {
			low++
		}
	}
	require.True(t, low > 50 && low < 150, "%d of 200 in the lower half", low)
}

func TestIssueData(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c))
	for name, data := range map[string]map[string]string{
		"reserved": {"ses": "x"}, "upper case": {"Ab": "x"}, "digit": {"a1": "x"}, "empty name": {"": "x"},
		"long name": {strings.Repeat("a", 17): "x"}, "long value": {"a": strings.Repeat("x", 129)},
		"not ASCII": {"a": "é"}, "control": {"a": "\n"},
		"too many": {"a": "", "b": "", "c": "", "d": "", "e": "", "f": "", "g": "", "h": "", "i": ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Issue(context.Background(), captcha.ChallengeRequest{Data: data})
			require.ErrorIs(t, err, captcha.ErrData)
		})
	}
}

package captchatest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

// Guard says how the suite gets at a replay guard.
type Guard struct {
	// New makes an empty guard, seen by two instances that share it: for a guard in memory twice the same one, for one
	// on a server two clients.
	New func(t *testing.T) (a, b captcha.ReplayGuard)
	// Advance moves the guard's clock forward; for one on a server it may wait or shorten its keys' lives.
	Advance func(d time.Duration)
	// TTL is the lifetime the suite uses; default 1 minute.
	TTL time.Duration
}

// TestReplayGuard checks what verifiers rely on. It runs as subtests of t.
func TestReplayGuard(t *testing.T, g Guard) {
	ttl := g.TTL
	if ttl == 0 {
		ttl = time.Minute
	}
	ctx := context.Background()
	spend := func(t *testing.T, r captcha.ReplayGuard, k captcha.ReplayKey) bool {
		first, err := r.Spend(ctx, k, ttl)
		require.NoError(t, err)
		return first
	}
	spent := func(t *testing.T, r captcha.ReplayGuard, k captcha.ReplayKey) bool {
		yes, err := r.Spent(ctx, k)
		require.NoError(t, err)
		return yes
	}

	t.Run("first call wins on every instance", func(t *testing.T) {
		a, b := g.New(t)
		require.False(t, spent(t, a, key(1)))
		require.False(t, spent(t, b, key(1)), "asking marks nothing")
		require.True(t, spend(t, a, key(1)))
		require.False(t, spend(t, a, key(1)))
		require.False(t, spend(t, b, key(1)))
		require.True(t, spent(t, a, key(1)))
		require.True(t, spent(t, b, key(1)))
	})
	t.Run("keys are apart", func(t *testing.T) {
		a, b := g.New(t)
		base := key(7)
		require.True(t, spend(t, a, base))
		for i := range base {
			other := base
			other[i] ^= 1
			require.False(t, spent(t, b, other), "byte %d", i)
			require.True(t, spend(t, b, other), "byte %d", i)
		}
		require.True(t, spend(t, a, captcha.ReplayKey{}), "the zero key is a key")
	})
	t.Run("a mark lives its time and no longer", func(t *testing.T) {
		a, b := g.New(t)
		require.True(t, spend(t, a, key(1)))
		g.Advance(ttl / 2)
		require.True(t, spent(t, b, key(1)))
		require.False(t, spend(t, b, key(1)), "a lost race does not renew the mark either")
		g.Advance(ttl/2 + ttl/10)
		require.False(t, spent(t, a, key(1)))
		require.True(t, spend(t, b, key(1)))
		require.False(t, spend(t, a, key(1)))
	})
	t.Run("of concurrent calls exactly one wins", func(t *testing.T) {
		a, b := g.New(t)
		for round := range 20 {
			var wins, errs atomic.Int32
			var wg sync.WaitGroup
			for i := range 50 {
				r := a
				if i%2 == 1 {
					r = b
				}
				wg.Go(func() {
					first, err := r.Spend(ctx, key(uint64(round)), ttl)
					if err != nil {
						errs.Add(1)
					}
					if first {
						wins.Add(1)
					}
				})
			}
			wg.Wait()
			require.Zero(t, errs.Load())
			require.EqualValues(t, 1, wins.Load(), "round %d", round)
		}
	})
	t.Run("a lifetime must be positive", func(t *testing.T) {
		a, _ := g.New(t)
		for _, bad := range []time.Duration{0, -time.Second} {
			first, err := a.Spend(ctx, key(1), bad)
			require.Error(t, err)
			require.False(t, first)
		}
		require.False(t, spent(t, a, key(1)))
	})
	t.Run("a cancelled call is an error and no win", func(t *testing.T) {
		a, _ := g.New(t)
		done, cancel := context.WithCancel(ctx)
		cancel()
		first, err := a.Spend(done, key(1), ttl)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, first)
		_, err = a.Spent(done, key(1))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func key(n uint64) (k captcha.ReplayKey) {
	binary.BigEndian.PutUint64(k[8:], n+1)
	return k
}

// Subject says how the suite gets at a provider.
type Subject struct {
	// New makes a provider and a source of requests that it will accept once each, all with an expectation as full as
	// the provider can check.
	New func(t *testing.T) (p captcha.Provider, good func() captcha.Request)
	// Rebind lists changes to a good request's expectation that the provider must refuse, by name.
	Rebind map[string]func(e *captcha.Expect)
}

// TestProvider checks what Signal and handlers rely on. It runs as subtests of t.
func TestProvider(t *testing.T, s Subject) {
	ctx := context.Background()
	t.Run("name", func(t *testing.T) {
		p, _ := s.New(t)
		require.Regexp(t, `^[a-z][a-z0-9_]{0,31}$`, p.Name())
	})
	t.Run("a good answer passes once", func(t *testing.T) {
		p, good := s.New(t)
		in := good()
		res, err := p.Verify(ctx, in)
		require.NoError(t, err)
		require.Equal(t, captcha.Passed, res.Outcome)
		require.Equal(t, captcha.ReasonOK, res.Reason)
		require.Equal(t, captcha.FaultNone, res.Fault)
		require.Equal(t, p.Name(), res.Provider)
		require.NotZero(t, res.ReplayKey)
		if res.HasRisk {
			require.True(t, res.Risk >= 0 && res.Risk <= 1, "risk %v", res.Risk)
		}
		res, err = p.Verify(ctx, in)
		require.NoError(t, err)
		require.Equal(t, captcha.Failed, res.Outcome)
		require.Equal(t, captcha.FaultVisitor, res.Fault)
	})
	t.Run("two good answers are apart", func(t *testing.T) {
		p, good := s.New(t)
		a, b := good(), good()
		for _, in := range []captcha.Request{a, b} {
			res, err := p.Verify(ctx, in)
			require.NoError(t, err)
			require.Equal(t, captcha.Passed, res.Outcome)
		}
	})
	t.Run("of concurrent posts exactly one passes", func(t *testing.T) {
		p, good := s.New(t)
		in := good()
		var passed atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if res, err := p.Verify(ctx, in); err == nil && res.Outcome == captcha.Passed {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, passed.Load())
	})
	for name, token := range map[string]string{
		"empty": "", "oversize": strings.Repeat("A", 1<<20), "NUL": "abc\x00def", "CR LF": "abc\r\nX-Header: 1",
		"not UTF-8": "\xff\xfe\xfd", "one letter": "a",
	} {
		t.Run("rubbish is refused: "+name, func(t *testing.T) {
			p, good := s.New(t)
			in := good()
			in.Token, in.Fields = token, nil
			res, err := p.Verify(ctx, in)
			require.NoError(t, err, "a bad visitor is a result")
			require.Equal(t, captcha.Failed, res.Outcome)
			require.Equal(t, captcha.FaultVisitor, res.Fault)
		})
	}
	for name, change := range s.Rebind {
		t.Run("made for something else: "+name, func(t *testing.T) {
			p, good := s.New(t)
			in := good()
			change(&in.Expect)
			res, err := p.Verify(ctx, in)
			require.NoError(t, err)
			require.Equal(t, captcha.Failed, res.Outcome)
			require.Equal(t, captcha.FaultBinding, res.Fault)
		})
	}
	t.Run("a cancelled call proves nothing", func(t *testing.T) {
		p, good := s.New(t)
		done, cancel := context.WithCancel(ctx)
		cancel()
		in := good()
		res, err := p.Verify(done, in)
		require.ErrorIs(t, err, context.Canceled)
		if e, ok := errors.AsType[*captcha.Error](err); ok {
			require.Equal(t, captcha.FaultNone, e.Fault, "a visitor who hangs up is nobody's outage")
		}
		require.Equal(t, captcha.Unverified, res.Outcome)
		require.NotContains(t, fmt.Sprintf("%v %+v", err, res), in.Token)
	})
}

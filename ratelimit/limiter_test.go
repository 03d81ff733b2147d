package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimittest"
)

var errDown = errors.New("down")

func TestErrorsAreNoDecisions(t *testing.T) {
	var ops []string
	store := ratelimittest.NewRemote(ratelimittest.Answer{Err: errDown})
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), store, &ratelimit.Options{Hooks: &ratelimit.Hooks{
		StoreError: func(op string, err error) {
			require.ErrorIs(t, err, errDown)
			ops = append(ops, op)
		},
	}})
	require.NoError(t, err)
	d, err := l.Decide(ctx, alice)
	require.ErrorIs(t, err, errDown)
	require.False(t, d.Allowed())
	require.Equal(t, ratelimit.Decision{}, d)
	require.ErrorIs(t, l.Report(ctx, alice, ratelimit.CaptchaFailed), errDown)
	require.ErrorIs(t, l.Reset(ctx, alice), errDown)
	require.ErrorIs(t, l.Unban(ctx, alice), errDown)
	require.ErrorIs(t, l.Forgive(ctx, alice, 1), errDown)
	require.Error(t, l.Forgive(ctx, alice, -1))
	require.NoError(t, l.Forgive(ctx, alice, 0))
	require.Equal(t, []string{"decide", "adjust", "forget", "forget", "adjust"}, ops)
	for _, c := range store.Calls() {
		require.NotContains(t, fmt.Sprint(err), c.Batch.Tenant+"alice")
	}
}

func TestStoreThatAnswersNonsense(t *testing.T) {
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), ratelimittest.NewScripted(ratelimittest.Answer{Level: 77}), nil)
	require.NoError(t, err)
	d, err := l.Decide(ctx, alice)
	require.ErrorContains(t, err, "level(77)")
	require.False(t, d.Allowed())
}

func TestHangUpIsChargedAllTheSame(t *testing.T) {
	gone, cancel := context.WithCancel(ctx)
	cancel()
	l, _ := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 1)), nil)
	d, err := l.Decide(gone, alice)
	require.NoError(t, err)
	require.True(t, d.Charged)

	store := ratelimittest.NewRemote()
	l, err = ratelimit.New(limits(hard("ip", ratelimit.IPv4, 1)), store, nil)
	require.NoError(t, err)
	d, err = l.Decide(gone, alice)
	require.NoError(t, err)
	require.True(t, d.Charged)
	require.NoError(t, d.Refund(gone))
	require.Len(t, store.Calls(), 2)
}

// hanging is a store that answers nothing until its context ends.
type hanging struct{ *ratelimittest.Scripted }

func (hanging) Decide(ctx context.Context, _ *ratelimit.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestStoreHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := ratelimit.New(ratelimit.DefaultPolicy(), hanging{ratelimittest.NewRemote()}, &ratelimit.Options{Timeout: 70 * time.Millisecond})
		require.NoError(t, err)
		begin := time.Now()
		_, err = l.Decide(context.Background(), alice)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 70*time.Millisecond, time.Since(begin))
	})
}

func TestDegraded(t *testing.T) {
	l, err := ratelimit.New(ratelimit.DefaultPolicy(), ratelimittest.NewScripted(
		ratelimittest.Answer{Degraded: errDown}, ratelimittest.Answer{Level: ratelimit.Ban, Wait: time.Hour, Score: 12, Standing: ratelimit.Ban},
	), nil)
	require.NoError(t, err)
	d := decide(t, l, alice)
	require.True(t, d.Allowed())
	require.ErrorIs(t, d.Degraded, errDown)
	d = decide(t, l, alice)
	require.NoError(t, d.Degraded)
	require.Equal(t, ratelimit.Ban, d.Level)
	require.Equal(t, time.Hour, d.RetryAfter)
	require.Equal(t, 12.0, d.Score)
}

func TestHooksSeeDecisions(t *testing.T) {
	var seen []ratelimit.Level
	l, _ := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 1)), &ratelimit.Options{Hooks: &ratelimit.Hooks{
		Decided: func(d ratelimit.Decision, took time.Duration) {
			require.GreaterOrEqual(t, took, time.Duration(0))
			seen = append(seen, d.Level)
		},
	}})
	decide(t, l, alice)
	decide(t, l, alice)
	require.Equal(t, []ratelimit.Level{ratelimit.Allow, ratelimit.Deny}, seen)
}

func TestBurstOfGoroutines(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("global", ratelimit.Global, 100), hard("ip", ratelimit.IPv4, 1000)), nil)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			s := alice
			s.Phone = fmt.Sprint("+47", w)
			for range 20 {
				d, err := l.Decide(ctx, s)
				if err != nil {
					t.Error(err)
				}
				if d.Allowed() {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, admitted.Load())
	d := peek(t, l, alice)
	require.EqualValues(t, 900, state(t, d, "ip").Remaining)
}

func TestRefundOnceAmongGoroutines(t *testing.T) {
	l, _ := newLimiter(t, limits(hard("ip", ratelimit.IPv4, 50)), nil)
	for range 49 {
		decide(t, l, alice)
	}
	d := decide(t, l, alice)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := d.Refund(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	d = peek(t, l, alice)
	require.EqualValues(t, 1, state(t, d, "ip").Remaining)
}

func TestOffencesOfDevices(t *testing.T) {
	p := limits(hard("phone", ratelimit.Phone, 1000))
	p.Penalty = ratelimit.DefaultPenalty()
	l, c := newLimiter(t, p, nil)
	s := alice
	for range 5 {
		require.NoError(t, l.Report(ctx, s, ratelimit.CaptchaFailed))
	}
	s.IP = addr("198.51.100.1")
	d := decide(t, l, s)
	require.True(t, d.Allowed(), "a claimed device takes no offences")
	s.DeviceVerified = true
	for range 5 {
		require.NoError(t, l.Report(ctx, s, ratelimit.CaptchaFailed))
	}
	s.IP = addr("203.0.113.1")
	d = decide(t, l, s)
	require.Equal(t, ratelimit.Ban, d.Level, "a verified one does")
	c.add(5 * time.Minute)
	require.NoError(t, l.Report(ctx, s, ratelimit.CaptchaFailed))
	d = peek(t, l, s)
	require.Equal(t, 10*time.Minute, d.RetryAfter, "the second ban is twice as long")
	s.DeviceVerified = false
	require.NoError(t, l.Unban(ctx, s), "the device too")
	s.DeviceVerified = true
	d = decide(t, l, s)
	require.True(t, d.Allowed())
}

func TestOffencesOfIPv6(t *testing.T) {
	p := limits(hard("net64", ratelimit.IPv6Prefix64, 1000))
	p.Penalty = ratelimit.DefaultPenalty()
	l, _ := newLimiter(t, p, nil)
	report := func(ip string) {
		for range 5 {
			require.NoError(t, l.Report(ctx, ratelimit.Subject{IP: addr(ip)}, ratelimit.CaptchaFailed))
		}
	}
	level := func(ip string) ratelimit.Level { return peek(t, l, ratelimit.Subject{IP: addr(ip)}).Level }
	report("2001:db8:0:1::1")
	require.Equal(t, ratelimit.Ban, level("2001:db8:0:1:ffff::2"), "the /64 is banned")
	require.Equal(t, ratelimit.Allow, level("2001:db8:0:2::1"))
	report("2001:db8:0:2::1")
	require.Equal(t, ratelimit.Challenge, level("2001:db8:0:3::1"), "two banned /64 and the /48 is challenged")
	for _, ip := range []string{"2001:db8:0:3::1", "2001:db8:0:4::1", "2001:db8:0:5::1", "2001:db8:0:6::1"} {
		report(ip)
	}
	require.Equal(t, ratelimit.Challenge, level("2001:db8:0:7::1"), "and never banned")
	require.Equal(t, ratelimit.Allow, level("2001:db8:1::1"))
}

func TestForgive(t *testing.T) {
	p := limits(hard("ip", ratelimit.IPv4, 1))
	p.Penalty = ratelimit.DefaultPenalty()
	l, _ := newLimiter(t, p, nil)
	require.NoError(t, l.Report(ctx, alice, ratelimit.AttestFailed))
	require.NoError(t, l.Forgive(ctx, alice, 2))
	d := peek(t, l, alice)
	require.Equal(t, 1.0, d.Score)
}

func TestReportsAskForNoMoreThanTheyNeed(t *testing.T) {
	store := ratelimittest.NewScripted()
	failures := hard("failures", ratelimit.Account, 5)
	failures.Kind = ratelimit.Failures
	p := limits(failures, hard("ip", ratelimit.IPv4, 5))
	p.Penalty = ratelimit.DefaultPenalty()
	l, err := ratelimit.New(p, store, nil)
	require.NoError(t, err)
	s := alice
	require.NoError(t, l.Report(ctx, s, ratelimit.Refused))
	require.Empty(t, store.Calls(), "no account, no points")
	s.Account = "a"
	require.NoError(t, l.Report(ctx, s, ratelimit.Refused))
	require.NoError(t, l.Report(ctx, s, ratelimit.CaptchaFailed, ratelimit.OTPFailed))
	calls := store.Calls()
	require.Len(t, calls, 2)
	require.Len(t, calls[0].Batch.Buckets, 1)
	require.Empty(t, calls[0].Batch.Sources)
	require.EqualValues(t, 2, calls[1].Batch.Buckets[0].Cost, "two failures")
	require.Len(t, calls[1].Batch.Sources, 2, "the address and its /24")
	require.EqualValues(t, 3000, calls[1].Batch.Offence)
}

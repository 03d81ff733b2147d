package phone_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func TestFailuresSurviveResends(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	counted := 0
	for i := range 6 {
		r.Flow = fmt.Sprint("flow", i) // a new session each time
		c := b.start(t, r)
		if c.Outcome == phone.Locked {
			break
		}
		require.Equal(t, phone.Sent, c.Outcome)
		code := b.box.last(t).Code
		for range 7 {
			got := b.check(t, r, wrong(code))
			if got.Counted {
				counted++
			}
		}
		if counted >= 10 {
			require.Equal(t, phone.TooMany, b.check(t, r, string(code)).Verdict, "the right code after the lock")
		}
		b.clock.pass(5 * time.Minute)
	}
	require.Equal(t, 10, counted)
	require.Equal(t, phone.Locked, b.start(t, r).Outcome)
	b.clock.pass(70 * time.Minute)
	require.Equal(t, phone.Sent, b.start(t, r).Outcome, "the hour is over")
}

func TestDeviceFailures(t *testing.T) {
	b := newBench(t, nil)
	counted := 0
	for i := range 10 {
		r := asking(t, fmt.Sprintf("+47400000%02d", i*11))
		r.Flow = fmt.Sprint(i)
		c := b.start(t, r)
		if c.Outcome == phone.Locked {
			break
		}
		require.Equal(t, phone.Sent, c.Outcome, i)
		for range 5 {
			if b.check(t, r, wrong(b.box.last(t).Code)).Counted {
				counted++
			}
		}
	}
	require.Equal(t, 20, counted, "a device has 20 an hour over all numbers")
}

func TestCheckOddCodes(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	b.start(t, r)
	code := string(b.box.last(t).Code)
	for _, s := range []string{"", " ", "12", "abcdef", code + "x", strings.Repeat("1", 11), "١٢", strings.Repeat(" ", 100) + code, "\x00" + code} {
		require.Equal(t, phone.Result{}, b.check(t, r, s), "%q", s)
	}
	var wide strings.Builder
	for _, d := range code {
		wide.WriteRune('０' + d - '0')
	}
	require.Equal(t, phone.OK, b.check(t, r, wide.String()).Verdict, "full-width digits")
}

// All codes are equally likely, those with leading zeros too.
func TestCodesAreUniform(t *testing.T) {
	b := newBench(t, func(o *phone.Options) {
		o.Limits = phone.SendLimits{PhoneHour: -1, PhoneDay: -1, DeviceHour: -1, NetworkHour: -1, BlockHour: -1, PrefixHour: -1}
		o.Budgets = []phone.Budget{{Window: time.Hour, Max: 1 << 50}}
		o.Cooldowns = []time.Duration{0}
		o.SendsPerCode = 1
		o.SkipMonitor = true
	})
	var first [10]int
	const n = 5000
	r := asking(t, mobile)
	for range n {
		require.Equal(t, phone.Sent, b.start(t, r).Outcome)
		first[b.box.last(t).Code[0]-'0']++
	}
	for d, k := range first {
		require.InDelta(t, n/10, k, 130, "first digit %d", d) // six sigma
	}
}

// guesses lets n callers try codes at once and says how many were compared, and how many were right.
func guesses(t testing.TB, b *bench, r phone.StartRequest, n int, code func(i int) string) (compared, right int64) {
	var c, ok atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			got, err := b.Check(context.Background(), checking(r, code(i)))
			if err != nil {
				t.Error(err)
			}
			if got.Counted || got.Verdict == phone.OK {
				c.Add(1)
			}
			if got.Verdict == phone.OK {
				ok.Add(1)
			}
		})
	}
	close(gate)
	wg.Wait()
	return c.Load(), ok.Load()
}

func TestParallelGuesses(t *testing.T) {
	for round := range 100 {
		b := newBench(t, nil)
		r := asking(t, mobile)
		b.start(t, r)
		code := string(b.box.last(t).Code)
		compared, right := guesses(t, b, r, 400, func(i int) string {
			if i == round {
				return code
			}
			return fmt.Sprintf("%06d", (i*7919+round)%1_000_000)
		})
		require.LessOrEqual(t, compared, int64(5), "round %d", round)
		require.LessOrEqual(t, right, int64(1))
	}
}

func TestParallelRightAnswers(t *testing.T) {
	for range 100 {
		b := newBench(t, nil)
		r := asking(t, mobile)
		b.start(t, r)
		code := string(b.box.last(t).Code)
		_, right := guesses(t, b, r, 200, func(int) string { return code })
		require.Equal(t, int64(1), right)
	}
}

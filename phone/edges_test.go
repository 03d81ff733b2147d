package phone_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/risk"
)

// A code that begins with zeros keeps them, and is not the number without them.
func TestLeadingZeros(t *testing.T) {
	b := newBench(t, func(o *phone.Options) {
		rich(o)
		o.Limits.PhoneHour, o.Limits.PhoneDay, o.Limits.DeviceHour = -1, -1, -1
		o.Cooldowns, o.SendsPerCode, o.SkipMonitor = []time.Duration{0}, 1, true
	})
	r := asking(t, mobile)
	for range 2000 {
		require.Equal(t, phone.Sent, b.start(t, r).Outcome)
		code := string(b.box.last(t).Code)
		require.Len(t, code, 6)
		if strings.HasPrefix(code, "0") {
			require.Contains(t, b.box.last(t).Text, code)
			require.NotEqual(t, phone.OK, b.check(t, r, strings.TrimLeft(code, "0")).Verdict)
			require.NotEqual(t, phone.OK, b.check(t, r, "0"+code).Verdict)
			require.Equal(t, phone.OK, b.check(t, r, code).Verdict)
			return
		}
	}
	t.Fatal("no code of 2,000 began with a zero")
}

// Lines that cost or pay somebody are not called, whatever the policy sends messages to and whoever says what they are.
func TestNeverCalled(t *testing.T) {
	store, err := phone.NewMemory(nil)
	require.NoError(t, err)
	policy, err := phone.NewPolicy(nil, &phone.PolicyOptions{InsecureAllCountries: true, DenyTypes: []phone.LineType{}, DenyPrefixes: []string{"+4790"}})
	require.NoError(t, err)
	sent := &box{}
	senders := map[phone.Channel]phone.Sender{phone.SMS: sent, phone.Voice: sent}
	v, err := phone.NewVerifier(store, policy, senders, keysOf(t), nil)
	require.NoError(t, err)
	for _, n := range []string{"+449012345678", "+18002345678", "+881612345678", "+15005550006", "+445600123456", "+4790000000"} {
		for _, change := range []func(*phone.StartRequest){
			func(r *phone.StartRequest) { r.Channel = phone.Voice },
			func(r *phone.StartRequest) { r.HighValue = true },
			func(r *phone.StartRequest) { r.AttestFailed = true },
		} {
			r := asking(t, n)
			change(&r)
			c, err := v.Start(context.Background(), r)
			require.NoError(t, err)
			require.Equal(t, phone.Denied, c.Outcome, n)
		}
	}
	for line := phone.Unknown; line <= phone.Satellite; line++ {
		r := asking(t, mobile)
		r.Channel, r.Line, r.Flow = phone.Voice, line, line.String()
		c, err := v.Start(context.Background(), r)
		require.NoError(t, err)
		if line.Costly() || line == phone.NonFixedVoIP {
			require.Equal(t, phone.Denied, c.Outcome, line)
		}
	}
	for _, m := range sent.got {
		require.False(t, m.To.Line().Costly())
	}
}

// The default region reads national numbers only: it neither changes a number that has its own, nor is the number's.
func TestDefaultRegion(t *testing.T) {
	for _, region := range []string{"", "NO", "SE", "US", "AQ", "no", "ZZ", "\x00"} {
		n, err := phone.Parse("+47 400 00 000", region)
		require.NoError(t, err, region)
		require.Equal(t, "NO", n.Region())
	}
	for in, region := range map[string]string{"400 00 000": "US", "202 555 0123": "NO", "06 69812345": "NO"} {
		n, err := phone.Parse(in, region)
		if err == nil {
			require.Equal(t, region, n.Region(), in)
		}
	}
	_, err := phone.Parse("70 12 34 56 78", "NO")
	require.ErrorIs(t, err, phone.ErrInvalid)
}

// A score that moves from call to call by some hundredths does not move the judgement.
func TestScoreMoves(t *testing.T) {
	for _, score := range []float64{0.34, 0.41} {
		s, err := phone.NewSignal(nil, &phone.SignalOptions{Intelligence: fixed(phone.Intel{HasPumping: true, Pumping: score}, nil)})
		require.NoError(t, err)
		got, _, err := said(t, s, &risk.Attempt{Event: risk.SignUp, Phone: mobile}, false)
		require.NoError(t, err)
		require.Empty(t, got, score)
	}
}

// A caller who gives up does not wait for a look-up that others may use.
func TestCacheCallerGivesUp(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	cache, err := phone.NewCache(phone.IntelligenceFunc(func(ctx context.Context, _ phone.Number, _ phone.Query) (phone.Intel, error) {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return phone.Intel{Line: phone.Mobile}, ctx.Err()
	}), nil)
	require.NoError(t, err)
	for range 2 { // who began it, and who came later
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, err = cache.Lookup(ctx, number(t, mobile), phone.Query{Fields: phone.FieldLine})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
	}
}

// Purposes do not share codes, though they share the number's pauses and limits.
func TestPurposesShareLimits(t *testing.T) {
	b := newBench(t, nil)
	sent := 0
	for i := range 8 {
		r := asking(t, mobile)
		r.Purpose, r.Flow = fmt.Sprint("purpose", i), fmt.Sprint("flow", i)
		if b.start(t, r).Outcome == phone.Sent {
			sent++
		}
		b.clock.pass(5 * time.Minute)
	}
	require.Equal(t, 5, sent, "five an hour to one number, whatever for")
}

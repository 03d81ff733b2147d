package phone_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

// pump asks for codes for n numbers of a block of 10,000, each from its own address and device, one a pause; every k-th
// code is confirmed (0: none).
func (b *bench) pump(t testing.TB, prefix string, n int, pause time.Duration, k int) (sent int, outcomes map[phone.StartOutcome]int) {
	t.Helper()
	outcomes = map[phone.StartOutcome]int{}
	for i := range n {
		r := asking(t, fmt.Sprintf("%s%04d", prefix, i*37%10000))
		r.Flow, r.Device = fmt.Sprint("flow", prefix, i, b.clock.now().UnixNano()), fmt.Sprint("device", prefix, i)
		r.IP = netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		before := b.box.count()
		c := b.start(t, r)
		outcomes[c.Outcome]++
		if b.box.count() > before {
			sent++
			if k > 0 && sent%k == 0 {
				require.Equal(t, phone.OK, b.check(t, r, string(b.box.last(t).Code)).Verdict)
			}
		}
		b.clock.pass(pause)
	}
	return sent, outcomes
}

func rich(o *phone.Options) {
	o.Budgets = []phone.Budget{{Window: time.Hour, Max: 1_000_000 * phone.Unit}}
	o.Limits = phone.SendLimits{BlockHour: -1, PrefixHour: -1, NetworkHour: -1}
}

func TestThousandNumbersOfOneBlock(t *testing.T) {
	b := newBench(t, nil)
	sent, outcomes := b.pump(t, "+474000", 1000, 100*time.Millisecond, 0)
	t.Logf("1,000 numbers of one block from 1,000 addresses: %d messages, %v", sent, outcomes)
	require.LessOrEqual(t, sent, 20, "two units a block and hour")
	b = newBench(t, rich)
	sent, outcomes = b.pump(t, "+474000", 1000, 10*time.Second, 0)
	require.Positive(t, outcomes[phone.Pumping])
	require.Less(t, sent, 300, "also without budgets and limits")
}

func TestLowAndSlow(t *testing.T) {
	b := newBench(t, rich)
	sent, outcomes := b.pump(t, "+474000", 600, time.Minute, 0)
	t.Logf("one a minute for ten hours: %d messages, %v", sent, outcomes)
	require.Less(t, sent, 150)
	require.Positive(t, outcomes[phone.Pumping])
	honest, _ := b.pump(t, "+474001", 0, time.Minute, 1)
	require.Zero(t, honest)
	r := asking(t, "+4741234567")
	require.Equal(t, phone.Sent, b.start(t, r).Outcome, "another block of the country is open")
	r = asking(t, "+4740009999")
	r.Channel = phone.Voice
	require.Equal(t, phone.Pumping, b.start(t, r).Outcome, "a blocked prefix is not called instead")
}

func TestConversionPoisoning(t *testing.T) {
	b := newBench(t, rich)
	sent, outcomes := b.pump(t, "+474000", 600, time.Minute, 50)
	t.Logf("one in fifty confirmed: %d messages, %v", sent, outcomes)
	require.Less(t, sent, 400)
	require.Positive(t, outcomes[phone.Pumping])
}

func TestHonestRoutesStayOpen(t *testing.T) {
	b := newBench(t, rich)
	sent, _ := b.pump(t, "+474000", 400, 2*time.Minute, 2)
	require.Equal(t, 400, sent, "half is confirmed")
	// A country where one in ten is confirmed has been so for days: that is its baseline.
	b = newBench(t, rich)
	for day := range 4 {
		for block := range 4 {
			_, _ = b.pump(t, fmt.Sprintf("+4670%03d", 100+day*4+block), 40, 5*time.Minute, 10)
		}
		b.clock.pass(12 * time.Hour)
	}
	sent, outcomes := b.pump(t, "+4670999", 60, 5*time.Minute, 10)
	require.Zero(t, outcomes[phone.Pumping], "%v", outcomes)
	require.Equal(t, 60, sent)
}

func TestBlockExpiresByItsProbes(t *testing.T) {
	b := newBench(t, rich)
	_, outcomes := b.pump(t, "+474000", 200, time.Minute, 0)
	require.Positive(t, outcomes[phone.Pumping])
	// Honest people now: the probes are confirmed, and end the block.
	sent, _ := b.pump(t, "+474000", 60, 11*time.Minute, 1)
	require.Greater(t, sent, 30)
	_, outcomes = b.pump(t, "+474000", 20, time.Minute, 1)
	require.Zero(t, outcomes[phone.Pumping], "open again")
}

func TestSequences(t *testing.T) {
	b := newBench(t, rich)
	var outcomes []phone.StartOutcome
	for _, i := range []int{0, 1, 3, 2, 4, 500, 5} {
		r := asking(t, fmt.Sprintf("+474000%04d", 1000+i))
		r.Flow, r.Device = fmt.Sprint(i), fmt.Sprint(i)
		outcomes = append(outcomes, b.start(t, r).Outcome)
	}
	require.Equal(t, []phone.StartOutcome{phone.Sent, phone.Sent, phone.Sent, phone.Pumping, phone.Pumping, phone.Sent, phone.Pumping}, outcomes)
	b.clock.pass(11 * time.Minute)
	r := asking(t, "+4740001006")
	require.Equal(t, phone.Sent, b.start(t, r).Outcome, "over")
}

func TestRotatingCountries(t *testing.T) {
	b := newBench(t, func(o *phone.Options) { o.Limits.DeviceHour = -1; o.Limits.NetworkHour = -1 })
	for i := range 400 {
		prefix := []string{"+474%d%06d", "+46701%d%05d", "+49151%d%07d"}[i%3]
		n, err := phone.Parse(fmt.Sprintf(prefix, i/3%10, i*997%100000), "")
		if err != nil {
			continue
		}
		_, err = b.Start(context.Background(), phone.StartRequest{Number: n, Tenant: "t", Purpose: "signup", Flow: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, b.box.count(), 200, "twenty units an hour in all")
}

func TestDeliveries(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	b.start(t, r)
	ref := "ref-" + b.box.last(t).ID
	for i, want := range []bool{true, false} {
		first, err := b.Delivered(context.Background(), phone.Delivery{Tenant: "t", Ref: ref, Failed: true})
		require.NoError(t, err)
		require.Equal(t, want, first, i)
	}
	for _, d := range []phone.Delivery{{Tenant: "t"}, {Tenant: "t", Ref: "made-up"}, {Tenant: "u", Ref: ref}} {
		first, err := b.Delivered(context.Background(), d)
		require.NoError(t, err)
		require.False(t, first)
	}
}

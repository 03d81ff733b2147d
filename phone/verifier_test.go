package phone_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func TestVerify(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	c := b.start(t, r)
	require.Equal(t, phone.Sent, c.Outcome)
	require.Equal(t, 30*time.Second, c.RetryAfter)
	m := b.box.last(t)
	require.Len(t, string(m.Code), 6)
	require.Contains(t, m.Text, string(m.Code))
	bound, ok := phone.ParseOriginBound(m.Text)
	require.True(t, ok)
	require.Equal(t, phone.OriginBound{Host: "example.com", Code: m.Code}, bound)
	g, err := b.Verified(context.Background(), "t", "f1", r.Number)
	require.NoError(t, err)
	require.Zero(t, g)

	got := b.check(t, r, wrong(m.Code))
	require.Equal(t, phone.Result{Counted: true, Left: 4, Channel: phone.SMS}, got)
	typed := string(m.Code[:3]) + " " + string(m.Code[3:])
	require.Equal(t, phone.OK, b.check(t, r, typed).Verdict)
	require.Equal(t, phone.NotOK, b.check(t, r, typed).Verdict, "used")
	g, err = b.Verified(context.Background(), "t", "f1", r.Number)
	require.NoError(t, err)
	require.Equal(t, phone.SMS, g.Channel)
	require.Equal(t, 1, g.Wrong)
	for _, other := range []struct{ tenant, flow, n string }{{"u", "f1", mobile}, {"t", "f2", mobile}, {"t", "", mobile}, {"t", "f1", "+4740000001"}} {
		g, err := b.Verified(context.Background(), other.tenant, other.flow, number(t, other.n))
		require.NoError(t, err)
		require.Zero(t, g, other)
	}
	b.clock.pass(15 * time.Minute)
	g, err = b.Verified(context.Background(), "t", "f1", r.Number)
	require.NoError(t, err)
	require.Zero(t, g, "over")
}

func TestBinding(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*phone.StartRequest)
	}{
		{"another number", func(r *phone.StartRequest) { r.Number = number(t, "+4740000001") }},
		{"another flow", func(r *phone.StartRequest) { r.Flow = "f2" }},
		{"another purpose", func(r *phone.StartRequest) { r.Purpose = "login" }},
		{"another tenant", func(r *phone.StartRequest) { r.Tenant = "u" }},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, nil)
			r := asking(t, mobile)
			b.start(t, r)
			code := string(b.box.last(t).Code)
			other := r
			row.change(&other)
			require.Equal(t, phone.Result{}, b.check(t, other, code))
			require.Equal(t, phone.OK, b.check(t, r, code).Verdict, "and nothing was used up")
		})
	}
}

func TestExpiry(t *testing.T) {
	for _, row := range []struct {
		after time.Duration
		want  phone.Verdict
	}{{5*time.Minute - time.Millisecond, phone.OK}, {5 * time.Minute, phone.NotOK}, {5*time.Minute + time.Millisecond, phone.NotOK}} {
		b := newBench(t, nil)
		r := asking(t, mobile)
		b.start(t, r)
		b.clock.pass(row.after)
		require.Equal(t, row.want, b.check(t, r, string(b.box.last(t).Code)).Verdict, row.after)
	}
}

// A code that is asked for again is the same one while it lives, and the tries are not refilled.
func TestResend(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	b.start(t, r)
	first := b.box.last(t).Code
	require.Equal(t, 4, b.check(t, r, wrong(first)).Left)
	c := b.start(t, r)
	require.Equal(t, phone.Cooled, c.Outcome)
	require.Equal(t, 30*time.Second, c.RetryAfter)
	require.Equal(t, 1, b.box.count())
	b.clock.pass(30 * time.Second)
	c = b.start(t, r)
	require.Equal(t, phone.Resent, c.Outcome)
	require.Equal(t, time.Minute, c.RetryAfter)
	require.Equal(t, first, b.box.last(t).Code)
	require.NotEqual(t, b.box.got[0].ID, b.box.got[1].ID)
	require.Equal(t, 3, b.check(t, r, wrong(first)).Left, "tries are not refilled")
	b.clock.pass(time.Minute)
	require.Equal(t, phone.Resent, b.start(t, r).Outcome)
	b.clock.pass(2 * time.Minute)
	require.Equal(t, phone.Sent, b.start(t, r).Outcome, "three messages a code")
	require.NotEqual(t, first, b.box.last(t).Code)
	require.Equal(t, phone.NotOK, b.check(t, r, string(first)).Verdict, "the old one is dead")
	require.Equal(t, phone.OK, b.check(t, r, string(b.box.last(t).Code)).Verdict)
}

func TestFreshCodeNearTheEnd(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	b.start(t, r)
	b.clock.pass(4*time.Minute + time.Second)
	require.Equal(t, phone.Sent, b.start(t, r).Outcome)
	require.NotEqual(t, b.box.got[0].Code, b.box.got[1].Code)
}

func TestIdempotentStart(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	r.Request = "abc"
	require.Equal(t, phone.Sent, b.start(t, r).Outcome)
	c := b.start(t, r)
	require.Equal(t, phone.Repeat, c.Outcome)
	require.Equal(t, 30*time.Second, c.RetryAfter)
	b.clock.pass(time.Minute)
	require.Equal(t, phone.Repeat, b.start(t, r).Outcome)
	require.Equal(t, 1, b.box.count())
	r.Request = "def"
	require.Equal(t, phone.Resent, b.start(t, r).Outcome)
}

func TestBudgetIsExactUnderParallelSends(t *testing.T) {
	b := newBench(t, func(o *phone.Options) {
		o.Budgets = []phone.Budget{{Window: time.Hour, Max: 37 * phone.DearMessage}}
		o.Limits = phone.SendLimits{BlockHour: -1, PrefixHour: -1, NetworkHour: -1, DeviceHour: -1}
		o.SkipSequences = true
	})
	var wg sync.WaitGroup
	var limited atomic.Int64
	for i := range 200 {
		wg.Go(func() {
			r := asking(t, fmt.Sprintf("+474%07d", 1000*i))
			c, err := b.Start(context.Background(), r)
			if err != nil {
				t.Error(err)
			}
			if c.Outcome == phone.Limited && c.Reason == "budget" {
				limited.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 37, b.box.count(), "the budget is never exceeded, and spent to the last")
	require.Equal(t, int64(163), limited.Load())
}

func TestBudgetWindow(t *testing.T) {
	b := newBench(t, func(o *phone.Options) {
		o.Budgets = []phone.Budget{{Window: time.Hour, Max: 2 * phone.DearMessage}}
		o.Limits = phone.SendLimits{PhoneHour: 100, PhoneDay: 100}
		o.SkipMonitor = true
	})
	r := asking(t, mobile)
	var sent []time.Time
	for range 60 * 5 {
		n := b.box.count()
		b.start(t, r)
		if b.box.count() > n {
			sent = append(sent, b.clock.now())
		}
		b.clock.pass(time.Minute)
	}
	require.GreaterOrEqual(t, len(sent), 8, "what is spent comes back")
	for i := 2; i < len(sent); i++ {
		require.Greater(t, sent[i].Sub(sent[i-2]), time.Hour, "no hour has more than two, whatever its edges")
	}
}

func TestRefunds(t *testing.T) {
	refuse := func(phone.Message) (phone.Receipt, error) {
		return phone.Receipt{}, &phone.SendError{Refused: true, Reason: phone.SendUnreachable, Status: 400}
	}
	unsure := func(phone.Message) (phone.Receipt, error) {
		return phone.Receipt{}, &phone.SendError{Reason: phone.SendUnknown}
	}
	for _, row := range []struct {
		name string
		fail func(phone.Message) (phone.Receipt, error)
		want phone.StartOutcome
		left int // messages the budget still has of two
	}{
		{"accepted", nil, phone.Sent, 1},
		{"surely refused", refuse, phone.Failed, 2},
		{"no answer", unsure, phone.Unsure, 1},
		{"an error of some kind", func(phone.Message) (phone.Receipt, error) { return phone.Receipt{}, errors.New("+4740000000 123456") }, phone.Unsure, 1},
		{"panic", func(phone.Message) (phone.Receipt, error) { panic("+4740000000") }, phone.Unsure, 1},
		{"dearer than thought", func(phone.Message) (phone.Receipt, error) {
			return phone.Receipt{Ref: "x", HasPrice: true, Price: 2 * phone.DearMessage}, nil
		}, phone.Sent, 0},
		{"free", func(phone.Message) (phone.Receipt, error) { return phone.Receipt{Ref: "x", HasPrice: true}, nil }, phone.Sent, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, func(o *phone.Options) {
				o.Budgets = []phone.Budget{{Window: time.Hour, Max: 2 * phone.DearMessage}}
			})
			b.box.fail = row.fail
			c := b.start(t, asking(t, mobile))
			require.Equal(t, row.want, c.Outcome)
			if c.Err != nil {
				require.NotContains(t, c.Err.Error(), "4740000000")
				require.NotContains(t, c.Err.Error(), "123456")
			}
			require.Equal(t, phone.Cooled, b.start(t, asking(t, mobile)).Outcome, "the cool-down counts all the same")
			b.box.fail = nil
			left := 0
			for i := range 3 {
				if b.start(t, asking(t, fmt.Sprintf("+47410000%02d", 20*i))).Outcome == phone.Sent {
					left++
				}
			}
			require.Equal(t, row.left, left)
		})
	}
}

func TestDenied(t *testing.T) {
	voip, err := phone.Parse("+445600123456", "")
	require.NoError(t, err)
	require.Equal(t, phone.NonFixedVoIP, voip.Line())
	for _, row := range []struct {
		name, n string
		change  func(*phone.StartRequest)
		want    phone.StartOutcome
		reason  string
	}{
		{"another country", "+33612345678", nil, phone.Denied, "country"},
		{"no such channel", mobile, func(r *phone.StartRequest) { r.Channel = phone.WhatsApp }, phone.Denied, "channel"},
		{"high value", mobile, func(r *phone.StartRequest) { r.HighValue = true }, phone.Sent, ""},
		{"voice to VoIP", "+445600123456", func(r *phone.StartRequest) { r.AttestFailed = true }, phone.Denied, "voice"},
		{"voice to what a look-up calls premium", mobile, func(r *phone.StartRequest) { r.HighValue, r.Line = true, phone.Premium }, phone.Denied, "type"},
		{"voice to what a look-up calls VoIP", mobile, func(r *phone.StartRequest) { r.Channel, r.Line = phone.Voice, phone.NonFixedVoIP }, phone.Denied, "voice"},
		{"toll-free", "+18002345678", nil, phone.Denied, "type"},
		{"satellite", "+881612345678", nil, phone.Denied, "country"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, nil)
			r := asking(t, row.n)
			if row.change != nil {
				row.change(&r)
			}
			c := b.start(t, r)
			require.Equal(t, row.want, c.Outcome)
			require.Equal(t, row.reason, c.Reason)
			if row.want == phone.Denied {
				require.Zero(t, b.box.count())
				require.Equal(t, 30*time.Second, c.RetryAfter, "looks like any other answer")
			} else {
				require.Equal(t, phone.Voice, b.box.last(t).Channel)
			}
		})
	}
}

func TestPepperRotation(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	b.start(t, r)
	code := b.box.last(t).Code
	rotated := func(ids ...string) *bench {
		policy, err := phone.NewPolicy([]string{"NO"}, nil)
		require.NoError(t, err)
		v, err := phone.NewVerifier(b.store, policy, map[phone.Channel]phone.Sender{phone.SMS: b.box},
			phone.Keys{Pepper: ring(t, ids...), Index: b.keys.Index}, &phone.Options{Origin: "example.com"})
		require.NoError(t, err)
		return &bench{Verifier: v, clock: b.clock, box: b.box, store: b.store}
	}
	b.clock.pass(30 * time.Second)
	after := rotated("p2", "p1")
	require.Equal(t, phone.Resent, after.start(t, r).Outcome)
	require.Equal(t, code, b.box.last(t).Code, "the living code is sent again")
	require.Equal(t, phone.NotOK, rotated("p2").check(t, r, string(code)).Verdict, "without the old pepper it is nothing")
	require.Equal(t, phone.OK, after.check(t, r, string(code)).Verdict)
	b.clock.pass(time.Minute)
	_, err := rotated("p9").Start(context.Background(), r)
	require.NoError(t, err)
}

func TestHostileBrand(t *testing.T) {
	for _, brand := range []string{"Evil\n@evil.com #111111", "@evil.com #1", "x\r\n@evil.com #111111\n", strings.Repeat("Æ", 500), "日本語", "a{code}b", "visit https://evil.com/x"} {
		b := newBench(t, nil)
		r := asking(t, mobile)
		r.Brand, r.Locale = brand, "en\n@evil.com #1"
		require.Equal(t, phone.Sent, b.start(t, r).Outcome)
		m := b.box.last(t)
		bound, ok := phone.ParseOriginBound(m.Text)
		require.True(t, ok)
		require.Equal(t, phone.OriginBound{Host: "example.com", Code: m.Code}, bound)
		require.LessOrEqual(t, phone.Septets(m.Text), phone.MaxText)
		require.Positive(t, phone.Septets(m.Text), "%q", m.Text)
		require.Equal(t, 1, strings.Count(m.Text, "@"))
		require.Equal(t, 1, strings.Count(m.Text, "#"))
		require.NotContains(t, m.Text, "://")
		require.NotContains(t, m.Text, "evil.com")
	}
}

func TestTestNumbers(t *testing.T) {
	b := newBench(t, func(o *phone.Options) {
		o.InsecureTestNumbers = map[string]string{"+15005550006": "000000"}
		o.InsecureTestUntil = start.Add(time.Hour)
	})
	r := asking(t, "+15005550006")
	require.Equal(t, phone.Sent, b.start(t, r).Outcome)
	require.Zero(t, b.box.count(), "nothing is sent")
	require.Equal(t, 4, b.check(t, r, "000001").Left)
	require.Equal(t, phone.OK, b.check(t, r, "000000").Verdict)
	b.clock.pass(time.Hour)
	c := b.start(t, r)
	require.Equal(t, phone.Denied, c.Outcome)
	require.Equal(t, phone.NotOK, b.check(t, r, "000000").Verdict)
	_, err := phone.NewVerifier(b.store, &phone.Policy{}, map[phone.Channel]phone.Sender{phone.SMS: b.box}, b.keys,
		&phone.Options{InsecureTestNumbers: map[string]string{"+15005550006": "000000"}})
	require.Error(t, err, "no end")
}

func TestBackground(t *testing.T) {
	b := newBench(t, func(o *phone.Options) { o.Background, o.MaxSending = true, 1 })
	hold := make(chan struct{})
	b.box.fail = func(phone.Message) (phone.Receipt, error) {
		<-hold
		return phone.Receipt{}, &phone.SendError{Refused: true}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c, err := b.Start(ctx, asking(t, mobile))
	require.NoError(t, err)
	require.Equal(t, phone.Sent, c.Outcome)
	cancel()
	require.Equal(t, phone.Limited, b.start(t, asking(t, "+4740000500")).Outcome, "no more than MaxSending")
	close(hold)
	b.Wait()
	require.Equal(t, 1, b.box.count())
}

func TestHungUpVisitorIsCharged(t *testing.T) {
	b := newBench(t, nil)
	r := asking(t, mobile)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c, err := b.Start(ctx, r)
	require.NoError(t, err)
	require.Equal(t, phone.Sent, c.Outcome)
	for range 6 {
		_, err = b.Check(ctx, checking(r, wrong(b.box.last(t).Code)))
		require.NoError(t, err)
	}
	require.Equal(t, phone.NotOK, b.check(t, r, string(b.box.last(t).Code)).Verdict)
}

// broken is a store that cannot tell.
type broken struct{ phone.Store }

var errDown = errors.New("down")

func (broken) Issue(context.Context, *phone.Issue) error { return errDown }
func (broken) Check(context.Context, *phone.Check) error { return errDown }
func (broken) Granted(context.Context, string, phone.Key) (phone.Grant, error) {
	return phone.Grant{}, errDown
}

func TestStoreDownFailsClosed(t *testing.T) {
	policy, err := phone.NewPolicy([]string{"NO"}, nil)
	require.NoError(t, err)
	sent := &box{}
	v, err := phone.NewVerifier(broken{}, policy, map[phone.Channel]phone.Sender{phone.SMS: sent}, keysOf(t), &phone.Options{SkipMonitor: true})
	require.NoError(t, err)
	r := asking(t, mobile)
	_, err = v.Start(context.Background(), r)
	require.ErrorIs(t, err, errDown)
	require.Zero(t, sent.count(), "nothing is sent")
	got, err := v.Check(context.Background(), checking(r, "123456"))
	require.ErrorIs(t, err, errDown)
	require.Equal(t, phone.NotOK, got.Verdict)
	_, err = v.Verified(context.Background(), "t", "f1", r.Number)
	require.ErrorIs(t, err, errDown)
}

func TestNetworkLimit(t *testing.T) {
	b := newBench(t, func(o *phone.Options) { o.Limits.NetworkHour = 2; o.Limits.DeviceHour = -1 })
	for i := range 3 {
		r := asking(t, fmt.Sprintf("+474100%04d", 1000+i*1000))
		r.IP = netip.MustParseAddr(fmt.Sprintf("::ffff:192.0.2.%d", i+1))
		want := phone.Sent
		if i == 2 {
			want = phone.Limited
		}
		require.Equal(t, want, b.start(t, r).Outcome)
	}
}

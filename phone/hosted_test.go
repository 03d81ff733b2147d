package phone_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
	"github.com/vestibule-go/vestibule/phone/vonage"
)

// Hosted services stand behind the same Start and Check, with the same vocabulary.
func TestHosted(t *testing.T) {
	for _, name := range []string{"twilio", "vonage"} {
		t.Run(name, func(t *testing.T) {
			var inbox *phonetest.Inbox
			var hosted phone.Hosted
			var fail func(phonetest.Fault)
			if name == "twilio" {
				f := phonetest.NewTwilio(nil)
				t.Cleanup(f.Close)
				v, err := twilio.NewVerify(f.Credentials(), f.Service(), &twilio.VerifyOptions{HTTP: f.HTTP()})
				require.NoError(t, err)
				inbox, hosted, fail = f.Inbox, v, f.Fail
			} else {
				f := phonetest.NewVonage(nil)
				t.Cleanup(f.Close)
				app, err := vonage.NewApplication(phonetest.VonageApplication, f.PrivateKey(), nil)
				require.NoError(t, err)
				v, err := vonage.NewVerify(app, "Example", &vonage.VerifyOptions{HTTP: vonage.HTTPOptions{BaseURL: f.URL()}})
				require.NoError(t, err)
				inbox, hosted, fail = f.Inbox, v, f.Fail
			}
			b := newBench(t, func(o *phone.Options) { o.Hosted = map[phone.Channel]phone.Hosted{phone.SMS: hosted} })
			r := asking(t, mobile)
			require.Equal(t, phone.Sent, b.start(t, r).Outcome)
			code, ok := inbox.Code(r.Number)
			require.True(t, ok)
			require.Equal(t, phone.Result{Counted: true, Left: 4, Channel: phone.SMS}, b.check(t, r, wrong(code)))
			fail(phonetest.FaultStatus(503))
			_, err := b.Check(context.Background(), checking(r, string(code)))
			require.Error(t, err, "nobody passes while the service cannot tell")
			fail("")
			require.Equal(t, phone.OK, b.check(t, r, string(code)).Verdict)
			require.Equal(t, phone.NotOK, b.check(t, r, string(code)).Verdict)
			g, err := b.Verified(context.Background(), "t", "f1", r.Number)
			require.NoError(t, err)
			require.Equal(t, phone.SMS, g.Channel)
			fail(phonetest.FaultStatus(400))
			require.Equal(t, phone.Failed, b.start(t, asking(t, "+4741000000")).Outcome)
		})
	}
}

// yes is a service that finds every code right, as often as it is asked.
type yes struct{ asked atomic.Int64 }

func (y *yes) Start(context.Context, phone.Message) (phone.Receipt, error) {
	return phone.Receipt{Ref: "VE1"}, nil
}

func (y *yes) Check(context.Context, string, phone.Number, phone.Code) (phone.HostedVerdict, error) {
	y.asked.Add(1)
	return phone.HostedApproved, nil
}

func TestHostedPassesOnce(t *testing.T) {
	for range 20 {
		y := &yes{}
		b := newBench(t, func(o *phone.Options) { o.Hosted = map[phone.Channel]phone.Hosted{phone.SMS: y} })
		r := asking(t, mobile)
		b.start(t, r)
		var right atomic.Int64
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				got, err := b.Check(context.Background(), checking(r, fmt.Sprintf("%06d", i)))
				if err != nil {
					t.Error(err)
				}
				if got.Verdict == phone.OK {
					right.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), right.Load())
		require.LessOrEqual(t, y.asked.Load(), int64(5))
	}
}

func TestVoiceLookup(t *testing.T) {
	for _, row := range []struct {
		intel phone.Intelligence
		want  phone.StartOutcome
	}{
		{fixed(phone.Intel{Line: phone.Mobile}, nil), phone.Sent},
		{fixed(phone.Intel{}, nil), phone.Sent},
		{fixed(phone.Intel{Line: phone.NonFixedVoIP}, nil), phone.Denied},
		{fixed(phone.Intel{Line: phone.Premium}, nil), phone.Denied},
		{fixed(phone.Intel{}, errors.New("down")), phone.Denied},
	} {
		b := newBench(t, func(o *phone.Options) { o.Intelligence = row.intel })
		r := asking(t, mobile)
		r.HighValue = true
		require.Equal(t, row.want, b.start(t, r).Outcome)
	}
}

func TestRefusedOptions(t *testing.T) {
	store, err := phone.NewMemory(nil)
	require.NoError(t, err)
	policy, err := phone.NewPolicy([]string{"NO"}, nil)
	require.NoError(t, err)
	senders := map[phone.Channel]phone.Sender{phone.SMS: &box{}}
	keys := keysOf(t)
	for name, o := range map[string]phone.Options{
		"digits": {Digits: 5}, "ttl": {TTL: time.Hour}, "tries": {Tries: 11}, "cooldowns": {Cooldowns: []time.Duration{}}, "long cooldown": {Cooldowns: []time.Duration{2 * time.Hour}},
		"budget": {Budgets: []phone.Budget{}}, "budget max": {Budgets: []phone.Budget{{Window: time.Hour}}}, "brand": {Brand: "@@"}, "origin": {Origin: "https://example.com"},
		"hash": {AppHash: "x"}, "texts": {Texts: phone.Texts{"nb": "{code}"}}, "ucs2": {Texts: phone.Texts{"en": "{code} ✓"}}, "long text": {Texts: phone.Texts{"en": "{code}" + fmt.Sprintf("%0160d", 0)}},
		"no code": {Texts: phone.Texts{"en": "hello"}}, "forged": {Texts: phone.Texts{"en": "{code}\n@evil.com #1"}}, "failures": {Failures: phone.FailureLimits{PhoneHour: -1}},
		"monitor": {Monitor: &phone.Monitor{Throttle: 2}}, "both": {Hosted: map[phone.Channel]phone.Hosted{phone.SMS: &yes{}}},
	} {
		_, err := phone.NewVerifier(store, policy, senders, keys, &o)
		require.Error(t, err, name)
	}
	for _, k := range []phone.Keys{{}, {Pepper: keys.Pepper, Index: keys.Pepper}, {Pepper: keys.Pepper}} {
		_, err := phone.NewVerifier(store, policy, senders, k, nil)
		require.Error(t, err)
	}
	_, err = phone.NewVerifier(store, policy, nil, keys, nil)
	require.Error(t, err)
	for _, c := range [][]string{nil, {"no"}, {"NOR"}} {
		_, err := phone.NewPolicy(c, nil)
		require.Error(t, err)
	}
	_, err = phone.NewPolicy([]string{"NO"}, &phone.PolicyOptions{VoiceCountries: []string{"SE"}})
	require.Error(t, err)
	_, err = phone.NewPolicy(nil, &phone.PolicyOptions{InsecureAllCountries: true})
	require.NoError(t, err)
}

func TestMemoryIsBounded(t *testing.T) {
	c := newClock()
	m, err := phone.NewMemory(&phone.MemoryOptions{Now: c.now, MaxEntries: 10})
	require.NoError(t, err)
	issue := func(i byte) error {
		return m.Issue(context.Background(), &phone.Issue{Record: phone.Key{i}, Phone: phone.Key{i}, Channel: phone.SMS, TTL: time.Minute, Tries: 1, Sends: 1, Cooldowns: []time.Duration{0}})
	}
	for i := range 10 {
		require.NoError(t, issue(byte(i+1)))
	}
	require.ErrorIs(t, issue(99), phone.ErrFull, "nothing live is forgotten")
	c.pass(2 * time.Hour)
	require.NoError(t, issue(99))
}

package phone_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func said(t testing.TB, s risk.Signal, a *risk.Attempt, asked bool) (map[string]float64, []risk.Proof, error) {
	t.Helper()
	var proofs []risk.Proof
	if asked {
		proofs = []risk.Proof{risk.ProofPhone}
	}
	seen := risk.Rehearse(a, proofs, a.Flow != "", nil)
	if ap, ok := s.(risk.Applier); ok && !ap.Applies(seen) {
		return nil, nil, nil
	}
	var f risk.Finding
	err := s.Evaluate(context.Background(), seen, &f)
	codes := map[string]float64{}
	for o := range f.Observations() {
		codes[o.Code] = o.Degree
	}
	return codes, f.Proofs(), err
}

func fixed(i phone.Intel, err error) phone.Intelligence {
	return phone.IntelligenceFunc(func(context.Context, phone.Number, phone.Query) (phone.Intel, error) { return i, err })
}

func TestSignalCodes(t *testing.T) {
	list, err := phone.ReadList(strings.NewReader("4740000100,2026-02-20\n4740000101,2020-01-01\n4740000107\n"))
	require.NoError(t, err)
	policy, err := phone.NewPolicy([]string{"NO", "GB", "US"}, nil)
	require.NoError(t, err)
	for _, row := range []struct {
		name, n string
		intel   *phone.Intel
		want    map[string]float64
	}{
		{"a mobile", mobile + "", nil, map[string]float64{"dense": 0.5 + 0.5/14}},
		{"no number", "hello", nil, map[string]float64{"invalid": 1}},
		{"elsewhere", "+33612345678", nil, map[string]float64{"denied": 1}},
		{"listed", "+4740000100", nil, map[string]float64{"disposable": 1, "dense": 0.5}},
		{"listed long ago", "+4740000101", nil, map[string]float64{"disposable": 0.5, "dense": 0.5}},
		{"landline", "+4722345678", nil, map[string]float64{"landline": 1}},
		{"VoIP range", "+445600123456", nil, map[string]float64{"voip": 1}},
		{"premium", "+449012345678", nil, map[string]float64{"premium": 1, "denied": 1}},
		{"looked up as VoIP", "+4741000000", &phone.Intel{Line: phone.NonFixedVoIP}, map[string]float64{"voip": 1}},
		{"fixed VoIP", "+4741000000", &phone.Intel{Line: phone.FixedVoIP}, map[string]float64{"landline": 1}},
		{"nothing known", "+4741000000", &phone.Intel{}, map[string]float64{}},
		{"swapped", "+4741000000", &phone.Intel{SIMSwap: phone.Yes, DeviceSwap: phone.Yes, Recycled: phone.Yes, Forwarding: phone.Yes},
			map[string]float64{"simswap": 1, "deviceswap": 1, "recycled": 1, "forwarding": 1}},
		{"not swapped", "+4741000000", &phone.Intel{SIMSwap: phone.No}, map[string]float64{}},
		{"a low risk of pumping", "+4741000000", &phone.Intel{HasPumping: true, Pumping: 0.41}, map[string]float64{}},
		{"friction", "+4741000000", &phone.Intel{HasPumping: true, Pumping: 0.6}, map[string]float64{"pumping": 0.5}},
		{"block", "+4741000000", &phone.Intel{HasPumping: true, Pumping: 0.95}, map[string]float64{"pumping": 1}},
		{"blocked there", "+4741000000", &phone.Intel{Blocked: phone.Yes}, map[string]float64{"pumping": 1}},
		{"listed by a source", "+4741000000", &phone.Intel{Disposable: phone.Yes}, map[string]float64{"disposable": 1}},
		{"not in use", "+4741000000", &phone.Intel{Valid: phone.No}, map[string]float64{"invalid": 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := &phone.SignalOptions{List: list, Policy: policy}
			if row.intel != nil {
				o.Intelligence = fixed(*row.intel, nil)
			}
			s, err := phone.NewSignal(nil, o)
			require.NoError(t, err)
			got, proofs, err := said(t, s, &risk.Attempt{Event: risk.SignUp, Time: start, Phone: risk.Private(row.n)}, false)
			require.NoError(t, err)
			require.Empty(t, proofs)
			require.Equal(t, len(row.want), len(got), "%v", got)
			for code, degree := range row.want {
				require.InDelta(t, degree, got[code], 0.02, code)
			}
		})
	}
}

// When the service is down, what that may cost is the fail mode's to say, and it is explicit.
func TestSignalLookupDown(t *testing.T) {
	down := fixed(phone.Intel{}, errors.New("down"))
	a := &risk.Attempt{Event: risk.SignUp, Phone: mobile}
	s, err := phone.NewSignal(nil, &phone.SignalOptions{Intelligence: down})
	require.NoError(t, err)
	require.Equal(t, risk.FailReview, s.Describe().OnError)
	require.Equal(t, risk.Costly, s.Describe().Cost)
	_, _, err = said(t, s, a, false)
	require.Error(t, err)
	s, err = phone.NewSignal(nil, &phone.SignalOptions{Intelligence: down, SkipLookupErrors: true, OnError: risk.FailOpen})
	require.NoError(t, err)
	got, _, err := said(t, s, a, false)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestSignalTellsTheOperator(t *testing.T) {
	b := newBench(t, nil)
	var told []string
	s, err := phone.NewSignal(b.Verifier, &phone.SignalOptions{OnStart: func(a *risk.Attempt, c phone.Challenge) {
		told = append(told, fmt.Sprint(a.Flow, " ", c.Outcome, " ", c.Reason))
		require.NotContains(t, fmt.Sprintf("%+v", c), "40000000")
	}})
	require.NoError(t, err)
	retries := map[time.Duration]bool{}
	for _, n := range []string{mobile, "+33612345678", "hello"} {
		_, retry, err := s.StartCode(context.Background(), &risk.Attempt{Event: risk.SignUp, Flow: "f" + n[1:3], Phone: risk.Private(n)}, false, "")
		require.NoError(t, err)
		retries[retry] = n != "hello"
	}
	require.Equal(t, []string{"f47 sent ", "f33 denied country"}, told)
	require.Len(t, retries, 2, "one for both numbers, none for what is no number")
}

func TestSignalProves(t *testing.T) {
	b := newBench(t, nil)
	s, err := phone.NewSignal(b.Verifier, nil)
	require.NoError(t, err)
	require.Equal(t, risk.Local, s.Describe().Cost)
	a := &risk.Attempt{Event: risk.SignUp, Tenant: "t", Flow: "f1", Phone: mobile, Device: []string{"d1"}}
	got, proofs, err := said(t, s, a, true)
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"absent": 1}, got)
	require.Empty(t, proofs)
	for i, voice := range []bool{false, true} {
		a.Flow = fmt.Sprint("flow", i)
		readable, retry, err := s.StartCode(context.Background(), a, voice, "")
		require.NoError(t, err)
		require.True(t, readable)
		require.Positive(t, retry)
		code := b.box.last(t).Code
		for range 3 {
			right, failed, locked, err := s.CheckCode(context.Background(), a, wrong(code))
			require.NoError(t, err)
			require.Equal(t, [3]bool{false, true, false}, [3]bool{right, failed, locked})
		}
		got, _, _ = said(t, s, a, true)
		require.Equal(t, map[string]float64{"guesses": 1}, got)
		right, failed, _, err := s.CheckCode(context.Background(), a, string(code))
		require.NoError(t, err)
		require.True(t, right && !failed)
		got, proofs, err = said(t, s, a, true)
		require.NoError(t, err)
		want, proof := "verified", risk.ProofPhone
		if voice {
			want, proof = "voice", risk.ProofVoice
		}
		require.Equal(t, map[string]float64{want: 1}, got)
		require.Contains(t, proofs, proof)
		other := *a
		other.Flow = "another"
		_, proofs, err = said(t, s, &other, false)
		require.NoError(t, err)
		require.Empty(t, proofs, "proven in its own flow only")
		other = *a
		other.Phone = "+4740000001"
		_, proofs, _ = said(t, s, &other, false)
		require.Empty(t, proofs, "and for its number")
		b.clock.pass(2 * time.Minute)
	}
	readable, _, err := s.StartCode(context.Background(), &risk.Attempt{Phone: "hello", Flow: "f"}, false, "")
	require.NoError(t, err)
	require.False(t, readable)
	task, err := s.Ask(context.Background(), risk.Question{Proof: risk.ProofVoice, Attempt: a})
	require.NoError(t, err)
	require.Equal(t, phone.Task{Channel: "voice", Digits: 6}, task)
	_, err = s.Ask(context.Background(), risk.Question{Proof: risk.ProofHuman})
	require.Error(t, err)
}

func TestSignalsConform(t *testing.T) {
	b := newBench(t, nil)
	s, err := phone.NewSignal(b.Verifier, nil)
	require.NoError(t, err)
	a := &risk.Attempt{Event: risk.SignUp, Tenant: "t", Phone: mobile, Device: []string{"d1"}}
	require.NoError(t, risktest.Conform(s, a))
	c, err := phone.NewCountSignal(b.store, b.keys, nil)
	require.NoError(t, err)
	require.NoError(t, risktest.Conform(c, a))
}

func TestCountSignal(t *testing.T) {
	b := newBench(t, nil)
	s, err := phone.NewCountSignal(b.store, b.keys, nil)
	require.NoError(t, err)
	count := func(n string, device ...string) map[string]float64 {
		got, _, err := said(t, s, &risk.Attempt{Event: risk.SignUp, Tenant: "t", Phone: risk.Private(n), Device: device}, false)
		require.NoError(t, err)
		return got
	}
	for i, want := range []map[string]float64{{}, {}, {"shared": 0.5}, {"shared": 4.0 / 6}, {"shared": 5.0 / 6}, {"shared": 1}, {"shared": 1}} {
		require.Equal(t, want, count(fmt.Sprintf("+474%07d", i*12345), "d"), i)
	}
	for i := range 3 {
		require.Empty(t, count(fmt.Sprintf("+4745555%03d", 100+i)))
	}
	require.Equal(t, map[string]float64{"sequence": 1}, count("+4745555104"))
	require.Empty(t, count("+4745555104x"), "not a number: the other signal says so")
	var last map[string]float64
	for i := range 41 {
		last = count(fmt.Sprintf("+474777%04d", i*211))
	}
	require.Equal(t, 1.0, last["prefix"])
	down, err := phone.NewCountSignal(b.store, b.keys, &phone.CountOptions{Devices: counterFunc(func() (int, error) { return 0, errDown })})
	require.NoError(t, err)
	_, _, err = said(t, down, &risk.Attempt{Phone: mobile, Device: []string{"d"}}, false)
	require.ErrorIs(t, err, errDown)
}

type counterFunc func() (int, error)

func (f counterFunc) PhonesOfDevice(context.Context, string, []string, phone.Key) (int, error) {
	return f()
}

func TestCache(t *testing.T) {
	c := newClock()
	var calls atomic.Int64
	gate := make(chan struct{})
	next := phone.IntelligenceFunc(func(_ context.Context, _ phone.Number, q phone.Query) (phone.Intel, error) {
		<-gate
		calls.Add(1)
		var out phone.Intel
		out.Take(phone.Intel{Line: phone.Mobile, SIMSwap: phone.No, Pumping: 0.34, HasPumping: true}, q.Fields)
		return out, nil
	})
	cache, err := phone.NewCache(next, &phone.CacheOptions{Now: c.now})
	require.NoError(t, err)
	n := number(t, mobile)
	q := phone.Query{Fields: phone.FieldLine | phone.FieldSIMSwap}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			got, err := cache.Lookup(context.Background(), n, q)
			if err != nil || got.Line != phone.Mobile {
				t.Error(got, err)
			}
		})
	}
	close(gate)
	wg.Wait()
	require.Equal(t, int64(1), calls.Load(), "one look-up for a hundred")
	ask := func(want int64, fields phone.Fields) {
		t.Helper()
		_, err := cache.Lookup(context.Background(), n, phone.Query{Fields: fields})
		require.NoError(t, err)
		require.Equal(t, want, calls.Load())
	}
	c.pass(2*time.Minute - time.Second)
	ask(1, q.Fields)
	c.pass(time.Second)
	ask(1, phone.FieldLine)
	ask(2, q.Fields)
	ask(3, phone.FieldCarrier)
	ask(4, phone.FieldCarrier) // what is not known is not kept
	c.pass(24 * time.Hour)
	ask(5, phone.FieldLine)

	own := phone.NewOverrides(cache, map[phone.Number]phone.Intel{n: {Line: phone.NonFixedVoIP}})
	got, err := own.Lookup(context.Background(), n, q)
	require.NoError(t, err)
	require.Equal(t, phone.NonFixedVoIP, got.Line, "the override wins")
	require.Equal(t, phone.No, got.SIMSwap)
	own.Set(n, phone.Intel{})
	got, _ = own.Lookup(context.Background(), n, q)
	require.Equal(t, phone.Mobile, got.Line)

	bad, err := phone.NewCache(phone.IntelligenceFunc(func(context.Context, phone.Number, phone.Query) (phone.Intel, error) { panic("x") }), nil)
	require.NoError(t, err)
	for range 2 {
		_, err = bad.Lookup(context.Background(), n, q)
		require.Error(t, err)
	}
}

func TestChain(t *testing.T) {
	n := number(t, mobile)
	q := phone.Query{Fields: phone.FieldLine | phone.FieldSIMSwap}
	got, err := phone.Chain(fixed(phone.Intel{}, errDown), fixed(phone.Intel{Line: phone.Mobile, SIMSwap: phone.No}, nil)).Lookup(context.Background(), n, q)
	require.NoError(t, err)
	require.Equal(t, phone.Intel{Line: phone.Mobile, SIMSwap: phone.No}, got)
	got, err = phone.Chain(fixed(phone.Intel{Line: phone.Landline}, nil), fixed(phone.Intel{Line: phone.Mobile}, errDown)).Lookup(context.Background(), n, q)
	require.ErrorIs(t, err, errDown)
	require.Equal(t, phone.Intel{Line: phone.Landline}, got, "the first that knows")
}

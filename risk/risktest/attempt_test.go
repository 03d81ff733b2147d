package risktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

type token struct{ Text string }

func TestAttemptPresets(t *testing.T) {
	base := signUp()
	base.Email = "a@example.com"
	risk.Attach(base, 7)
	a := risktest.Attempt(base, &risktest.AttemptOptions{Asked: []risk.Proof{risk.ProofPhone}, Continued: true,
		Numbers: map[string]float64{"ip.distance": 3}, Texts: map[string]string{"ip.country": "NO"}, Evidence: []any{token{"t"}}})
	require.True(t, a.Asked(risk.ProofPhone))
	require.False(t, a.Asked(risk.ProofHuman))
	require.True(t, a.Continued())
	v, ok := a.Fact("ip.country")
	require.True(t, ok)
	require.Equal(t, "NO", v.Text())
	v, _ = a.Fact("ip.distance")
	require.Equal(t, 3.0, v.Number())
	_, ok = a.Fact("ip.asn")
	require.False(t, ok)
	got, ok := risk.Evidence[token](a)
	require.True(t, ok)
	require.Equal(t, token{"t"}, got)
	kept, _ := risk.Evidence[int](a)
	require.Equal(t, 7, kept)
	require.Equal(t, base.Email, a.Email)

	_, ok = risk.Evidence[token](base)
	require.False(t, ok, "the original stays as it was")
	require.False(t, base.Continued())
	require.Equal(t, risk.SignUp, risktest.Attempt(nil, nil).Event)
}

// picky applies to attempts with a phone number only.
type picky struct{ risk.Signal }

func (p picky) Applies(a *risk.Attempt) bool { return a.Phone != "" }

// wrapper hides its signal's abilities but for Unwrap.
type wrapper struct{ risk.Signal }

func (w wrapper) Unwrap() risk.Signal { return w.Signal }

type panickyApplier struct{ risk.Signal }

func (panickyApplier) Applies(*risk.Attempt) bool { panic("no") }

func TestEvaluate(t *testing.T) {
	boom := errors.New("boom")
	short := &risktest.Options{Timeout: 10 * time.Millisecond}
	for _, row := range []struct {
		name   string
		signal func() risk.Signal
		cause  risk.Cause
		is     error
	}{
		{"fixed", func() risk.Signal { return risktest.Fixed("s", risktest.Say("odd"), nil) }, "", nil},
		{"error", func() risk.Signal { return risktest.Failing("s", boom, nil) }, risk.CauseError, boom},
		{"panic", func() risk.Signal { return risktest.Panicking("s", "boom", nil) }, risk.CausePanic, nil},
		{"goexit", func() risk.Signal { return risktest.Goexiting("s", nil) }, risk.CausePanic, nil},
		{"local goexit", func() risk.Signal { return risktest.Goexiting("s", &risktest.Options{Cost: risk.Local}) }, risk.CausePanic, nil},
		{"hanging", func() risk.Signal { return risktest.Hanging("s", short) }, risk.CauseTimeout, context.DeadlineExceeded},
		{"applies panics", func() risk.Signal { return panickyApplier{risktest.Fixed("s", risktest.Say("odd"), nil)} }, risk.CausePanic, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			said, err := risktest.Evaluate(row.signal(), signUp())
			if row.cause == "" {
				require.NoError(t, err)
				require.Equal(t, map[string]float64{"odd": 1}, said.Codes)
				return
			}
			require.Equal(t, row.cause, causeOf(t, err))
			require.Nil(t, said)
			if row.is != nil {
				require.ErrorIs(t, err, row.is)
			}
		})
	}
}

func TestEvaluateAbandonsTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := risktest.Deaf("s", &risktest.Options{Cost: risk.Costly})
		begun := time.Now()
		_, err := risktest.Evaluate(s, signUp())
		require.Equal(t, risk.CauseTimeout, causeOf(t, err))
		require.Equal(t, 600*time.Millisecond, time.Since(begun))
		s.Release()
	})
}

func TestEvaluateAppliesThroughWrappers(t *testing.T) {
	inner := risktest.Fixed("s", risktest.Say("odd"), nil)
	for _, s := range []risk.Signal{picky{inner}, wrapper{picky{inner}}, wrapper{wrapper{picky{inner}}}} {
		said, err := risktest.Evaluate(s, signUp())
		require.NoError(t, err)
		require.False(t, said.Applies)
		require.Empty(t, said.Codes)

		said, err = risktest.Evaluate(s, &risk.Attempt{Phone: "+4712345678"})
		require.NoError(t, err)
		require.True(t, said.Applies)
		require.Contains(t, said.Codes, "odd")
	}
}

package captcha_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

func TestOrchestratorAssignsByWeight(t *testing.T) {
	c := newCast(t, "alpha beta gamma idle", func(_ *captcha.OrchestratorOptions, m []captcha.Member) {
		m[0].Weight, m[1].Weight, m[2].Weight, m[3].Weight = 60, 30, 10, 0
	})
	const n = 20_000
	got := map[string]int{}
	for i := range n {
		got[c.task(fmt.Sprint(i)).Provider]++
	}
	require.Zero(t, got["idle"], "weight 0 is for when nobody else is there")
	for name, share := range map[string]float64{"alpha": 0.6, "beta": 0.3, "gamma": 0.1} {
		sigma := math.Sqrt(n * share * (1 - share))
		require.InDelta(t, n*share, got[name], 5*sigma, name)
	}
}

func TestOrchestratorIsSticky(t *testing.T) {
	c := newCast(t, "alpha beta gamma")
	other := newCast(t, "gamma alpha beta") // another instance, another order
	changed := 0
	for i := range 300 {
		s := fmt.Sprint(i)
		first := c.task(s).Provider
		for range 5 {
			require.Equal(t, first, c.task(s).Provider, "asking again changes nothing")
		}
		require.Equal(t, first, other.task(s).Provider, "all instances agree")
		c.clock.Advance(2 * time.Hour)
		if c.task(s).Provider != first {
			changed++
		}
		c.clock.Advance(-2 * time.Hour)
	}
	require.InDelta(t, 200, changed, 60, "an epoch shuffles")
}

func TestNewOrchestratorRefuses(t *testing.T) {
	clk := newClock()
	good := func() []captcha.Member { return []captcha.Member{{Provider: newScripted("alpha"), Weight: 1}} }
	for name, f := range map[string]func(m *[]captcha.Member, k *captcha.Keys, g *captcha.ReplayGuard, o *captcha.OrchestratorOptions){
		"no members": func(m *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			*m = nil
		},
		"nil": func(m *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			(*m)[0].Provider = nil
		},
		"name": func(m *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			(*m)[0].Provider = newScripted("a.b")
		},
		"twice": func(m *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			*m = append(*m, (*m)[0])
		},
		"weight": func(m *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			(*m)[0].Weight = -1
		},
		"rung": func(m *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			(*m)[0].Rung = captcha.RungNone
		},
		"short key": func(_ *[]captcha.Member, k *captcha.Keys, _ *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			k.Current.Secret = captcha.Secret("x")
		},
		"no guard": func(_ *[]captcha.Member, _ *captcha.Keys, g *captcha.ReplayGuard, _ *captcha.OrchestratorOptions) {
			*g = nil
		},
		"TTL": func(_ *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, o *captcha.OrchestratorOptions) {
			o.TTL = time.Millisecond
		},
		"epoch": func(_ *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, o *captcha.OrchestratorOptions) {
			o.Epoch = time.Second
		},
		"policy": func(_ *[]captcha.Member, _ *captcha.Keys, _ *captcha.ReplayGuard, o *captcha.OrchestratorOptions) {
			o.Unverified = 9
		},
	} {
		m, k, g, o := good(), keys(), captcha.ReplayGuard(newGuard(t, clk)), captcha.OrchestratorOptions{}
		f(&m, &k, &g, &o)
		_, err := captcha.NewOrchestrator(m, k, g, &o)
		require.Error(t, err, name)
	}
	for _, steps := range [][]captcha.LadderStep{
		nil, {{From: 1, Rung: captcha.RungWork}}, {{Rung: 0}}, {{Rung: 9}}, {{Rung: captcha.RungWork}, {From: 50, Rung: captcha.RungInvisible}},
		{{Rung: captcha.RungWork}, {From: 101, Rung: captcha.RungWork}}, {{Rung: captcha.RungWork}, {From: 0, Rung: captcha.RungWork}},
	} {
		_, err := captcha.NewLadder(steps, 0)
		require.Error(t, err)
	}
	_, err := captcha.NewLadder(captcha.DefaultLadder(), -1)
	require.Error(t, err)
}

package captcha_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// After our time-out the same token is neither sent again nor called a replay.
func TestOrchestratorUnsettledToken(t *testing.T) {
	c := newCast(t, "alpha beta")
	s := c.sessionOf("alpha")
	in := answerOf(s, captcha.Join(c.task(s).Ticket, "tok"))
	c.members["alpha"].set(outage(true))
	_, err := c.Verify(t.Context(), in)
	require.Error(t, err)
	require.Equal(t, "beta", c.task(s).Provider, "this visitor's next task is another provider's")
	c.members["alpha"].set(fake) // a provider that has counted the token
	calls := c.members["alpha"].calls.Load()
	res, err := c.Verify(t.Context(), in)
	require.Error(t, err)
	require.Equal(t, captcha.ReasonUnsettled, res.Reason)
	require.Equal(t, captcha.FaultProvider, res.Fault)
	require.Equal(t, calls, c.members["alpha"].calls.Load())

	c = newCast(t, "alpha")
	in = answerOf("s", captcha.Join(c.task("s").Ticket, "tok"))
	c.members["alpha"].set(outage(false))
	_, err = c.Verify(t.Context(), in)
	require.Error(t, err)
	c.members["alpha"].set(pass)
	res, err = c.Verify(t.Context(), in)
	require.NoError(t, err, "what never left may be sent")
	require.Equal(t, captcha.Passed, res.Outcome)
}

func TestOrchestratorUnverifiedPolicies(t *testing.T) {
	for policy, code := range map[captcha.UnverifiedPolicy]string{
		captcha.UnverifiedError: "", captcha.UnverifiedRefuse: captcha.CodeUnverified, captcha.UnverifiedFallback: captcha.CodeFallback,
	} {
		c := newCast(t, "alpha beta", func(o *captcha.OrchestratorOptions, _ []captcha.Member) { o.Unverified = policy })
		s := c.sessionOf("alpha")
		c.members["alpha"].set(outage(true))
		in := answerOf(s, captcha.Join(c.task(s).Ticket, "tok"))
		res, err := c.Verify(t.Context(), in)
		require.Equal(t, policy == captcha.UnverifiedError, err != nil)
		require.Equal(t, captcha.Unverified, res.Outcome)
		require.Equal(t, "beta", c.task(s).Provider)

		a := attempt("")
		a.Session, a.Flow = "s2", "f-7"
		signal := newSignal(t, c.Orchestrator, nil)
		for _, m := range c.members {
			m.set(outage(true))
		}
		a = attempt(captcha.Join(c.task("s-42").Ticket, "tok2"))
		codes, proofs, _, err := judge(t, signal, a, true, true)
		require.Empty(t, proofs)
		if code == "" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []string{code}, codes)
	}
}

func TestOrchestratorSecond(t *testing.T) {
	ladder, err := captcha.NewLadder([]captcha.LadderStep{{Rung: captcha.RungInteractive, Second: true}}, 0)
	require.NoError(t, err)
	for _, row := range []struct {
		name   string
		second func(captcha.Request) (captcha.Result, error)
		send   bool
		codes  []string
		proves bool
	}{
		{"good", scoredRisk(0.1), true, []string{captcha.CodePassed}, true},
		{"medium", scoredRisk(0.5), true, []string{captcha.CodePassed, captcha.CodeMediumRisk}, true},
		{"bot", scoredRisk(0.95), true, []string{captcha.CodePassed, captcha.CodeHighRisk}, false},
		{"refused", fake, true, []string{captcha.CodePassed, captcha.CodeSecondFailed}, true},
		{"left out", pass, false, []string{captcha.CodePassed, captcha.CodeSecondFailed}, true},
		{"outage", outage(true), true, []string{captcha.CodePassed}, true},
		{"panic", func(captcha.Request) (captcha.Result, error) { panic("boom") }, true, []string{captcha.CodePassed}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCast(t, "click quiet", func(o *captcha.OrchestratorOptions, m []captcha.Member) {
				o.Ladder = ladder
				m[1].Rung, m[1].Second = captcha.RungInvisible, true
			})
			c.members["quiet"].set(row.second)
			task := c.task("s-42")
			require.Equal(t, "click", task.Provider)
			require.Equal(t, "quiet", task.Second.Provider)
			tokens := []string{"one", "two"}
			if !row.send {
				tokens = tokens[:1]
			}
			codes, proofs, facts, err := judge(t, newSignal(t, c.Orchestrator, nil), attempt(captcha.Join(task.Ticket, tokens...)), true, true)
			require.NoError(t, err)
			require.ElementsMatch(t, row.codes, codes)
			require.Equal(t, row.proves, len(proofs) > 0)
			require.Equal(t, "click", facts[captcha.FactProvider].Text())
		})
	}
}

func TestOrchestratorConcurrentPosts(t *testing.T) {
	clk := newClock()
	guard := newGuard(t, clk)
	alpha := newScripted("alpha") // passes every time it is asked
	make := func() *captcha.Orchestrator {
		o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: alpha, Weight: 1}}, keys(), guard, &captcha.OrchestratorOptions{Now: clk.Now})
		require.NoError(t, err)
		return o
	}
	a, b := make(), make()
	for range 20 {
		task, err := a.Challenge(t.Context(), visitor("s"))
		require.NoError(t, err)
		in := answerOf("s", captcha.Join(task.Ticket, fmt.Sprint("c", serial.Add(1))))
		var passed atomic.Int32
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				o := a
				if i%2 == 1 {
					o = b
				}
				if res, err := o.Verify(context.Background(), in); err == nil && res.Outcome == captcha.Passed {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, passed.Load())
	}
}

// A guard that fails leaves single use to the remote provider.
func TestOrchestratorGuardDown(t *testing.T) {
	clk := newClock()
	s := vendors["turnstile"].stage(t)
	down := errors.New("guard down")
	o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: s.provider, Weight: 1}}, keys(), brokenGuard{newGuard(t, clk), down, down},
		&captcha.OrchestratorOptions{Now: s.clock.Now})
	require.NoError(t, err)
	task, err := o.Challenge(t.Context(), visitor("s"))
	require.NoError(t, err)
	in := answerOf("s", captcha.Join(task.Ticket, s.fake.Mint(captchatest.Grant{Action: "signup", CData: task.CData})))
	res, err := o.Verify(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, captcha.Passed, res.Outcome)
	res, err = o.Verify(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, captcha.ReasonSpent, res.Reason)
	res, err = o.Verify(t.Context(), answerOf("s", captcha.Join(task.Ticket, s.fake.Mint(captchatest.Grant{Action: "signup", CData: "another ticket's"}))))
	require.NoError(t, err)
	require.Equal(t, captcha.ReasonCData, res.Reason, "the widget's cdata is the ticket's nonce")
}

package captcha_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

// A flood of made-up tokens, visitors who hang up and requests we build wrongly leave the circuit alone.
func TestOrchestratorHealthIsDeafToVisitors(t *testing.T) {
	for name, verdict := range map[string]func(captcha.Request) (captcha.Result, error){
		"made up": fake, "hang up": fails(captcha.ReasonCanceled, captcha.FaultNone, true), "bad request": fails(captcha.ReasonRequest, captcha.FaultCaller, true),
		"binding": func(captcha.Request) (captcha.Result, error) {
			return captcha.Result{Outcome: captcha.Failed, Reason: captcha.ReasonHostname, Fault: captcha.FaultBinding}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCast(t, "alpha beta")
			s := c.sessionOf("alpha")
			before := map[string]string{}
			for i := range 200 {
				before[fmt.Sprint(i)] = c.task(fmt.Sprint(i)).Provider
			}
			c.members["alpha"].set(verdict)
			task := c.task(s)
			for range 1000 {
				res, _ := c.answer(s, task)
				require.NotEqual(t, captcha.Passed, res.Outcome)
			}
			require.Empty(t, c.changes)
			require.Equal(t, captcha.Closed, c.Health()[0].Circuit)
			for s, p := range before {
				require.Equal(t, p, c.task(s).Provider)
			}
		})
	}
}

func TestOrchestratorBreakerAndFailover(t *testing.T) {
	c := newCast(t, "alpha beta")
	s := c.sessionOf("alpha")
	task := c.task(s)
	c.members["alpha"].set(outage(true))
	for range 5 {
		res, err := c.answer(s, task)
		require.Error(t, err)
		require.Equal(t, captcha.Unverified, res.Outcome)
	}
	require.Equal(t, []captcha.Change{{Provider: "alpha", Circuit: captcha.Open, Reason: captcha.ReasonTimeout}}, c.changes)
	for i := range 200 {
		require.Equal(t, "beta", c.task(fmt.Sprint(i)).Provider)
	}
	calls := c.members["alpha"].calls.Load()
	res, err := c.answer(s, task)
	require.Error(t, err)
	require.Equal(t, captcha.ReasonOpen, res.Reason)
	require.Equal(t, calls, c.members["alpha"].calls.Load(), "an open circuit is not asked")

	// Half-open: one probe. It fails: open for twice as long.
	c.clock.Advance(16 * time.Second)
	require.Equal(t, captcha.HalfOpen, c.Health()[0].Circuit)
	_, _ = c.answer(s, task)
	require.Equal(t, calls+1, c.members["alpha"].calls.Load())
	require.Equal(t, captcha.Open, c.Health()[0].Circuit)
	c.clock.Advance(16 * time.Second)
	require.Equal(t, captcha.Open, c.Health()[0].Circuit)
	c.clock.Advance(15 * time.Second)
	c.members["alpha"].set(fake)
	_, err = c.answer(s, task)
	require.NoError(t, err, "a refusal is an answer: the provider is back")
	require.Equal(t, captcha.Closed, c.Health()[0].Circuit)
	require.Equal(t, captcha.Closed, c.changes[len(c.changes)-1].Circuit)
	c.clock.Advance(2 * time.Minute)
	require.Equal(t, "alpha", c.task(s).Provider, "and has its visitors again")
}

func TestOrchestratorRefusedCredentialsOpenAtOnce(t *testing.T) {
	c := newCast(t, "alpha beta")
	s := c.sessionOf("alpha")
	task := c.task(s)
	c.members["alpha"].set(fails(captcha.ReasonCredentials, captcha.FaultCaller, true))
	_, err := c.answer(s, task)
	e, ok := errors.AsType[*captcha.Error](err)
	require.True(t, ok)
	require.Equal(t, captcha.FaultCaller, e.Fault)
	require.Equal(t, []captcha.Change{{Provider: "alpha", Circuit: captcha.Open, Reason: captcha.ReasonCredentials}}, c.changes)
}

// Of many questions to a half-open circuit one is let through, and a probe whose visitor hangs up lets the next one.
func TestOrchestratorProbe(t *testing.T) {
	c := newCast(t, "alpha")
	task := c.task("s")
	c.members["alpha"].set(fails(captcha.ReasonCredentials, captcha.FaultCaller, true))
	_, _ = c.answer("s", task)
	c.clock.Advance(16 * time.Second)
	calls := c.members["alpha"].calls.Load()
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	c.members["alpha"].set(func(captcha.Request) (captcha.Result, error) {
		entered <- struct{}{}
		<-release
		return fails(captcha.ReasonCanceled, captcha.FaultNone, true)(captcha.Request{})
	})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = c.answer("s", task) })
	<-entered
	for range 20 {
		res, _ := c.answer("s", task)
		require.Equal(t, captcha.ReasonOpen, res.Reason)
	}
	close(release)
	wg.Wait()
	require.Equal(t, calls+1, c.members["alpha"].calls.Load())
	c.members["alpha"].set(pass)
	res, err := c.answer("s", task)
	require.NoError(t, err)
	require.Equal(t, captcha.Passed, res.Outcome)
}

func TestOrchestratorAnomaly(t *testing.T) {
	c := newCast(t, "alpha")
	task := c.task("s-42")
	for range 300 {
		_, err := c.answer("s-42", task)
		require.NoError(t, err)
	}
	require.InDelta(t, 1, c.Health()[0].Usual, 0.01)
	c.members["alpha"].set(fake)
	var res captcha.Result
	n := 0
	for ; n < 200 && !res.Anomaly; n++ {
		res, _ = c.answer("s-42", task)
	}
	require.True(t, res.Anomaly)
	require.Greater(t, n, 10, "some refusals are no collapse")
	require.True(t, c.Health()[0].Anomaly)
	require.Equal(t, captcha.Closed, c.Health()[0].Circuit, "it opens nothing")
	codes, _, _, err := judge(t, newSignal(t, c.Orchestrator, nil), attempt(captcha.Join(task.Ticket, "x")), true, true)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{captcha.CodeInvalid, captcha.CodeAnomaly}, codes)
	c.members["alpha"].set(pass)
	for range 100 {
		res, _ = c.answer("s-42", task)
	}
	require.False(t, res.Anomaly, "it ends by itself")
}

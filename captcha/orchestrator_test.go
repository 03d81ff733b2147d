package captcha_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// scripted is a remote member whose verdicts a test sets.
type scripted struct {
	name    string
	calls   atomic.Int64
	verdict atomic.Pointer[func(in captcha.Request) (captcha.Result, error)]
	noTask  atomic.Bool
}

func newScripted(name string) *scripted {
	s := &scripted{name: name}
	s.set(pass)
	return s
}

func (s *scripted) set(f func(in captcha.Request) (captcha.Result, error)) { s.verdict.Store(&f) }

func (s *scripted) Name() string { return s.name }

func (s *scripted) Verify(_ context.Context, in captcha.Request) (captcha.Result, error) {
	s.calls.Add(1)
	return (*s.verdict.Load())(in)
}

func (s *scripted) Challenge(_ context.Context, r captcha.ChallengeRequest) (captcha.Task, error) {
	if s.noTask.Load() {
		return captcha.Task{}, errors.New("no task")
	}
	return captcha.Task{Provider: s.name, SiteKey: "k", Action: r.Action}, nil
}

func pass(captcha.Request) (captcha.Result, error) {
	return captcha.Result{Outcome: captcha.Passed, Reason: captcha.ReasonOK}, nil
}

func fake(captcha.Request) (captcha.Result, error) {
	return captcha.Result{Outcome: captcha.Failed, Reason: captcha.ReasonToken, Fault: captcha.FaultVisitor}, nil
}

func fails(why captcha.Reason, fault captcha.Fault, sent bool) func(captcha.Request) (captcha.Result, error) {
	return func(captcha.Request) (captcha.Result, error) {
		return captcha.Result{Reason: why, Fault: fault}, &captcha.Error{Fault: fault, Reason: why, Sent: sent, Retryable: fault == captcha.FaultProvider}
	}
}

func outage(sent bool) func(captcha.Request) (captcha.Result, error) {
	return fails(captcha.ReasonTimeout, captcha.FaultProvider, sent)
}

// cast is an orchestrator over scripted members of weight 1.
type cast struct {
	*captcha.Orchestrator
	t       testing.TB
	clock   *clock
	members map[string]*scripted
	changes []captcha.Change
	mu      sync.Mutex
}

func newCast(t testing.TB, names string, change ...func(o *captcha.OrchestratorOptions, m []captcha.Member)) *cast {
	c := &cast{t: t, clock: newClock(), members: map[string]*scripted{}}
	var members []captcha.Member
	for _, n := range strings.Fields(names) {
		c.members[n] = newScripted(n)
		members = append(members, captcha.Member{Provider: c.members[n], Weight: 1})
	}
	o := captcha.OrchestratorOptions{Now: c.clock.Now, OnChange: func(ch captcha.Change) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes = append(c.changes, ch)
	}}
	for _, f := range change {
		f(&o, members)
	}
	var err error
	c.Orchestrator, err = captcha.NewOrchestrator(members, keys(), newGuard(t, c.clock), &o)
	require.NoError(t, err)
	return c
}

func visitor(session string) captcha.ChallengeRequest {
	return captcha.ChallengeRequest{Action: "signup", Tenant: "t1", Session: session, Flow: "f-7"}
}

func (c *cast) task(session string) captcha.Task {
	task, err := c.Challenge(context.Background(), visitor(session))
	require.NoError(c.t, err)
	return task
}

func answerOf(session, token string) captcha.Request {
	return captcha.Request{Token: token, Expect: captcha.Expect{Action: "signup", Tenant: "t1", Session: session, Flow: "f-7"}}
}

var serial atomic.Int64

// answer posts a new token with a task's ticket.
func (c *cast) answer(session string, task captcha.Task) (captcha.Result, error) {
	return c.Verify(context.Background(), answerOf(session, captcha.Join(task.Ticket, fmt.Sprint("token", serial.Add(1)))))
}

// sessionOf finds a session that is assigned to a member.
func (c *cast) sessionOf(name string) string {
	for i := range 10_000 {
		if s := fmt.Sprint("find", i); c.task(s).Provider == name {
			return s
		}
	}
	c.t.Fatal("nobody is assigned to " + name)
	return ""
}

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

// A token counts with the ticket it was handed out with, for the visitor it was handed to.
func TestOrchestratorTicket(t *testing.T) {
	c := newCast(t, "alpha beta")
	s := c.sessionOf("alpha")
	task := c.task(s)
	good := captcha.Join(task.Ticket, "tok")
	flip := func(i int) string {
		b := []byte(good)
		b[i] ^= 1
		return string(b)
	}
	for _, row := range []struct {
		name   string
		change func(in *captcha.Request)
		want   captcha.Reason
	}{
		{"another session", func(in *captcha.Request) { in.Expect.Session = "other" }, captcha.ReasonTicket},
		{"no session", func(in *captcha.Request) { in.Expect.Session = "" }, captcha.ReasonTicket},
		{"another flow", func(in *captcha.Request) { in.Expect.Flow = "f-8" }, captcha.ReasonTicket},
		{"another action", func(in *captcha.Request) { in.Expect.Action = "login" }, captcha.ReasonTicket},
		{"another tenant", func(in *captcha.Request) { in.Expect.Tenant = "t2" }, captcha.ReasonTicket},
		{"another provider", func(in *captcha.Request) { in.Token = strings.Replace(good, "alpha", "beta", 1) }, captcha.ReasonTicket},
		{"another nonce", func(in *captcha.Request) { in.Token = flip(strings.LastIndexByte(task.Ticket, '.') - 3) }, captcha.ReasonTicket},
		{"changed signature", func(in *captcha.Request) { in.Token = flip(len(task.Ticket) - 2) }, captcha.ReasonTicket},
		{"changed version", func(in *captcha.Request) { in.Token = flip(0) }, captcha.ReasonMalformed},
		{"no ticket", func(in *captcha.Request) { in.Token = "tok" }, captcha.ReasonMalformed},
		{"ticket only", func(in *captcha.Request) { in.Token = task.Ticket }, captcha.ReasonMissing},
		{"empty token", func(in *captcha.Request) { in.Token = task.Ticket + " " }, captcha.ReasonMissing},
		{"one token too many", func(in *captcha.Request) { in.Token = good + " tok2" }, captcha.ReasonMalformed},
		{"nothing", func(in *captcha.Request) { in.Token = "" }, captcha.ReasonMissing},
		{"oversize", func(in *captcha.Request) { in.Token += strings.Repeat("a", 1<<20) }, captcha.ReasonMalformed},
		{"long ticket", func(in *captcha.Request) { in.Token = strings.Repeat("1.", 200) + " tok" }, captcha.ReasonMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := answerOf(s, good)
			row.change(&in)
			res, err := c.Verify(t.Context(), in)
			require.NoError(t, err)
			requireReason(t, row.want, res)
		})
	}
	require.Zero(t, c.members["alpha"].calls.Load()+c.members["beta"].calls.Load(), "no provider is asked")
	in := answerOf(s, "tok")
	in.Fields = map[string]string{captcha.FieldTicket: task.Ticket}
	res, err := c.Verify(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, captcha.Passed, res.Outcome, "a vendor's own field beside the ticket")
	require.Equal(t, "alpha", res.Provider)
	res, err = c.Verify(t.Context(), answerOf(s, good))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonReplayed, res)
	require.EqualValues(t, 1, c.members["alpha"].calls.Load(), "a used token is not sent")
	c.clock.Advance(11 * time.Minute)
	res, err = c.Verify(t.Context(), answerOf(s, captcha.Join(task.Ticket, "new")))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonExpired, res)
}

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

func TestOrchestratorLadder(t *testing.T) {
	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), captcha.DefaultSlack)
	require.NoError(t, err)
	c := newCast(t, "quiet work click", func(o *captcha.OrchestratorOptions, m []captcha.Member) {
		o.Ladder = ladder
		m[0].Rung, m[0].Second = captcha.RungInvisible, true
		m[1].Rung = captcha.RungWork
		m[2].Rung = captcha.RungInteractive
	})
	ask := func(session string, score, failures int) captcha.Task {
		r := visitor(session)
		r.Score, r.Failures = score, failures
		task, err := c.Challenge(t.Context(), r)
		require.NoError(t, err)
		return task
	}
	for i, row := range []struct {
		session         string
		score, failures int
		want            string
		second          bool
	}{
		{"a", 20, 0, "quiet", false},
		{"a", 45, 0, "work", false},
		{"a", 29, 0, "work", false}, // within the slack
		{"a", 20, 0, "quiet", false},
		{"b", 70, 0, "click", true},
		{"c", 20, 1, "work", false},
		{"c", 20, 2, "click", true},
		{"c", 20, 50, "click", true},
	} {
		task := ask(row.session, row.score, row.failures)
		require.Equal(t, row.want, task.Provider, "row %d", i)
		require.Equal(t, row.second, task.Second != nil, "row %d", i)
	}
	// The step's member is down: a stricter one stands in, never an easier one while there is one.
	c.members["work"].noTask.Store(true)
	require.Equal(t, "click", ask("d", 45, 0).Provider)
	c.members["click"].noTask.Store(true)
	require.Equal(t, "quiet", ask("e", 45, 0).Provider)
	c.members["quiet"].noTask.Store(true)
	_, err = c.Challenge(t.Context(), visitor("f"))
	require.Error(t, err)
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

func scoredRisk(r float64) func(captcha.Request) (captcha.Result, error) {
	return func(captcha.Request) (captcha.Result, error) {
		return captcha.Result{Outcome: captcha.Passed, Reason: captcha.ReasonOK, HasRisk: true, Risk: r}, nil
	}
}

// The proof of work of another task does not pass with this ticket, so that nobody answers a hard one with an easy one.
func TestOrchestratorBindsWork(t *testing.T) {
	clk := newClock()
	guard := newGuard(t, clk)
	pow := newPoW(t, clk, guard)
	o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: pow, Weight: 1}}, keys(), guard, &captcha.OrchestratorOptions{Now: clk.Now})
	require.NoError(t, err)
	require.True(t, o.Offline())
	one, err := o.Challenge(t.Context(), visitor("s"))
	require.NoError(t, err)
	two, err := o.Challenge(t.Context(), visitor("s"))
	require.NoError(t, err)
	solve := func(task captcha.Task) string {
		tok, err := captchatest.Solve(task.Challenge)
		require.NoError(t, err)
		return tok
	}
	res, err := o.Verify(t.Context(), answerOf("s", captcha.Join(one.Ticket, solve(two))))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonTicket, res)
	res, err = o.Verify(t.Context(), answerOf("s", captcha.Join(one.Ticket, solve(one))))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonOK, res)
	require.Equal(t, "pow", res.Provider)
}

func TestOrchestratorCountsFailuresWithoutEngine(t *testing.T) {
	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), 0)
	require.NoError(t, err)
	var failures *captcha.MemoryFailures
	c := newCast(t, "quiet work click", func(o *captcha.OrchestratorOptions, m []captcha.Member) {
		failures, err = captcha.NewMemoryFailures(&captcha.MemoryFailuresOptions{Now: o.Now})
		require.NoError(t, err)
		o.Ladder, o.Failures = ladder, failures
		m[0].Rung, m[1].Rung = captcha.RungInvisible, captcha.RungWork
	})
	for _, m := range c.members {
		m.set(fake)
	}
	var got []string
	for range 4 {
		task := c.task("s")
		got = append(got, task.Provider)
		_, err := c.answer("s", task)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"quiet", "quiet", "work", "click"}, got)
	c.clock.Advance(3 * time.Hour)
	require.Equal(t, "quiet", c.task("s").Provider, "forgotten in time")
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

// More risk, more failures and a higher last step never give an earlier step; within the slack nothing moves.
func TestLadderIsMonotonic(t *testing.T) {
	l, err := captcha.NewLadder(captcha.DefaultLadder(), 5)
	require.NoError(t, err)
	for last := range 4 {
		for score := range 101 {
			for failures := range 5 {
				n := l.Choose(last, score, failures)
				require.GreaterOrEqual(t, l.Choose(last, score+1, failures), n)
				require.GreaterOrEqual(t, l.Choose(last, score, failures+1), n)
				require.GreaterOrEqual(t, l.Choose(last+1, score, failures), n)
				require.Equal(t, n, l.Choose(n, score, failures), "choosing again changes nothing")
			}
		}
	}
	require.Equal(t, 2, l.Choose(2, 26, 0))
	require.Equal(t, 1, l.Choose(2, 25, 0))
	require.Equal(t, 0, l.Choose(-5, -5, -5))
	require.Equal(t, 3, l.Choose(99, 999, 999))
}

package captcha_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
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

func scoredRisk(r float64) func(captcha.Request) (captcha.Result, error) {
	return func(captcha.Request) (captcha.Result, error) {
		return captcha.Result{Outcome: captcha.Passed, Reason: captcha.ReasonOK, HasRisk: true, Risk: r}, nil
	}
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

package riskhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// engine is an engine with fixed answers that remembers what it was asked.
type engine struct {
	answer  *risk.Assessment
	tasks   []risk.Task
	pending []risk.Proof
	err     error // of Tasks, Pending and Settle

	mu       sync.Mutex
	attempts []*risk.Attempt
	offers   []risk.Proof
	asked    []*risk.Assessment // by Tasks
	settled  []risk.Outcome
	settleBy context.Context
	gone     error // settleBy.Err() when Settle was called
}

func (e *engine) saw(a *risk.Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempts = append(e.attempts, a)
}

func (e *engine) Assess(_ context.Context, a *risk.Attempt) *risk.Assessment {
	e.saw(a)
	return e.answer
}

func (e *engine) Open(_ context.Context, a *risk.Attempt, offer ...risk.Proof) *risk.Assessment {
	e.saw(a)
	e.offers = offer
	return e.answer
}

func (e *engine) Tasks(_ context.Context, s *risk.Assessment) ([]risk.Task, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, s)
	return e.tasks, e.err
}

func (e *engine) Pending(_ context.Context, a *risk.Attempt) ([]risk.Proof, error) {
	e.saw(a)
	return e.pending, e.err
}

func (e *engine) Settle(ctx context.Context, _ *risk.Assessment, o risk.Outcome) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settled = append(e.settled, o)
	e.settleBy, e.gone = ctx, ctx.Err()
	return e.err
}

// last is the attempt seen last.
func (e *engine) last(t testing.TB) *risk.Attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	require.NotEmpty(t, e.attempts)
	return e.attempts[len(e.attempts)-1]
}

// newGuard makes a guard with a fixed clock and no jitter, unless opts say otherwise.
func newGuard(t testing.TB, e *engine, opts *riskhttp.Options) *riskhttp.Guard {
	t.Helper()
	var o riskhttp.Options
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	if o.Jitter == nil {
		o.Jitter = func() float64 { return 0 }
	}
	g, err := riskhttp.New(e, &o)
	require.NoError(t, err)
	return g
}

// get makes a request with header pairs.
func get(pairs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/signup", nil)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

func proxies(list ...string) []netip.Prefix {
	p, err := riskhttp.ParseProxies(list...)
	if err != nil {
		panic(err)
	}
	return p
}

func challenge() *risk.Assessment {
	return &risk.Assessment{
		ID: "a1", Event: risk.SignUp, Flow: "FLOW", Action: risk.Challenge,
		Require: []risk.Proof{risk.ProofHuman, risk.ProofPhone},
		Score:   44, Raw: 44, Chance: 0.14, Level: "challenge-level",
		Policy: risk.PolicyRef{Name: "policy-name", Hash: "hash", Segment: "segment-name"},
		Reasons: []risk.Reason{
			{Code: "base", Points: 12},
			{Signal: "ip", Code: "hosting", Points: 12, Public: "Your network is often used by robots."},
			{Signal: "ip", Code: "vpn", Points: 12, Public: "Your network is often used by robots."},
			{Signal: "velocity", Code: "ip", Rule: "rule-name", Points: 8},
		},
	}
}

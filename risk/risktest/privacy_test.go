package risktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// textError is an error that is nothing but its text, so that printing its fields prints it.
type textError string

func (e textError) Error() string { return string(e) }

// everything is all that is personal in an attempt, in one text.
func everything(a *risk.Attempt) string {
	var b strings.Builder
	fmt.Fprint(&b, a.IP, " ", a.Account, " ", string(a.Session), " ", string(a.Email), " ", string(a.Phone), " ", a.Device, " ", a.Flow)
	for name, vv := range a.Header {
		fmt.Fprint(&b, " ", name, "=", vv)
	}
	for name, v := range a.IDs {
		fmt.Fprint(&b, " ", name, "=", string(v))
	}
	p, _ := risk.Evidence[risktest.Planted](a)
	return b.String() + " " + p.Token
}

// blabbing are signals that put all they know into errors, panics, names and nothing a signal may.
func blabbing() []risk.Signal {
	blab := func(name string, cost risk.Cost, f func(ctx context.Context, a *risk.Attempt, f *risk.Finding) error) risk.Signal {
		return risk.SignalFunc{Func: f, Description: risk.Description{Name: name, Cost: cost, OnError: risk.FailChallenge,
			Timeout: 5 * time.Millisecond, Codes: []risk.Code{{Name: "seen", Points: 4}}, Facts: []risk.FactType{{Name: "n", Kind: risk.Number}}}}
	}
	var out []risk.Signal
	for suffix, cost := range map[string]risk.Cost{"local": risk.Local, "stored": risk.Stored, "remote": risk.Remote} {
		out = append(out,
			blab("text_"+suffix, cost, func(_ context.Context, a *risk.Attempt, _ *risk.Finding) error { return textError(everything(a)) }),
			blab("wrapped_"+suffix, cost, func(_ context.Context, a *risk.Attempt, _ *risk.Finding) error {
				return fmt.Errorf("asking about %s: %w", everything(a), context.DeadlineExceeded)
			}),
			blab("panic_"+suffix, cost, func(_ context.Context, a *risk.Attempt, _ *risk.Finding) error { panic(everything(a)) }),
			blab("panicerr_"+suffix, cost, func(_ context.Context, a *risk.Attempt, _ *risk.Finding) error { panic(textError(everything(a))) }),
			blab("code_"+suffix, cost, func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
				f.Observe(string(a.Email))
				return nil
			}),
			blab("fact_"+suffix, cost, func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
				f.Text(string(a.Phone), a.IP.String())
				return nil
			}),
			blab("proof_"+suffix, cost, func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
				f.Prove(risk.Proof(a.Session))
				return nil
			}),
		)
	}
	return append(out,
		blab("hang", risk.Stored, func(ctx context.Context, a *risk.Attempt, _ *risk.Finding) error {
			<-ctx.Done()
			return textError(everything(a))
		}),
		babbler{risktest.Fixed("babbler", risktest.Saying{Receipt: "receipt of its own"},
			&risktest.Options{Cost: risk.Stored, Proofs: []risk.Proof{risk.ProofHuman}})},
		risktest.NewProver("prover", []risk.Proof{risk.ProofHuman, risk.ProofPhone, risk.ProofDevice}, nil))
}

// babbler fails in its abilities with all it knows.
type babbler struct{ risk.Signal }

func (babbler) Ask(_ context.Context, q risk.Question) (any, error) {
	return nil, textError(everything(q.Attempt))
}
func (babbler) Settle(_ context.Context, s risk.Settlement) error { panic(everything(s.Attempt)) }
func (babbler) Label(_ context.Context, l risk.Label) error       { return textError(l.Account) }

// spy writes all that a flow store is told, and all it answers, to a sink.
type spy struct {
	risk.FlowStore
	sink *risktest.Sink
	err  error
}

func (s *spy) Create(ctx context.Context, key string, state []byte, ttl time.Duration) error {
	_, _ = fmt.Fprintf(s.sink, "create %s %s\n", key, state)
	if s.err != nil {
		return s.err
	}
	return s.FlowStore.Create(ctx, key, state, ttl)
}

func (s *spy) Load(ctx context.Context, key string) (risk.FlowRecord, bool, error) {
	_, _ = fmt.Fprintf(s.sink, "load %s\n", key)
	return s.FlowStore.Load(ctx, key)
}

func (s *spy) Update(ctx context.Context, key string, version uint64, state []byte, spent bool) (bool, error) {
	_, _ = fmt.Fprintf(s.sink, "update %s %d %s\n", key, version, state)
	return s.FlowStore.Update(ctx, key, version, state, spent)
}

func (s *spy) Spend(ctx context.Context, key string) (bool, error) {
	_, _ = fmt.Fprintf(s.sink, "spend %s\n", key)
	return s.FlowStore.Spend(ctx, key)
}

// outlets is all that somebody may print, log or send on.
type outlets struct {
	t      *testing.T
	canary *risktest.Canary
	sink   *risktest.Sink // for others to write to
	leaks  []string
}

func newOutlets(t *testing.T, c *risktest.Canary) *outlets {
	return &outlets{t: t, canary: c, sink: c.Sink()}
}

func (o *outlets) text(how, text string) {
	if leaks := o.canary.Search(text); len(leaks) > 0 && len(o.leaks) < 10 {
		o.leaks = append(o.leaks, fmt.Sprintf("%s: %d leaks: %v", how, len(leaks), leaks[0]))
	}
}

// print puts v, and something that holds v, into every outlet.
func (o *outlets) print(what string, v any) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d"} {
		o.text(what+" "+verb, fmt.Sprintf(verb, v))
		o.text("[]"+what+" "+verb, fmt.Sprintf(verb, []any{v}))
	}
	var b strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		b.Reset()
		slog.New(h).Info(what, "v", v, slog.Group("g", slog.Any("list", []any{v})))
		o.text(fmt.Sprintf("%s %T", what, h), b.String())
	}
	text, err := json.Marshal(map[string]any{what: v})
	require.NoError(o.t, err)
	o.text(what+" json", string(text))
}

func (o *outlets) clean() {
	o.t.Helper()
	require.Empty(o.t, o.leaks)
	require.Empty(o.t, o.sink.Leaks())
}

// told collects what an engine says in its hooks.
type told struct {
	mu   sync.Mutex
	errs []error // guarded by mu
}

func (h *told) hooks() *risk.Hooks {
	note := func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.errs = append(h.errs, err)
	}
	return &risk.Hooks{
		SignalError: func(e risk.SignalError) { note(e) },
		FlowError:   func(_ string, err error) { note(err) },
		SettleError: func(_ string, err error) { note(err) },
		SinkError:   note,
	}
}

func (h *told) all() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]error(nil), h.errs...)
}

func TestEngineLeaksNothing(t *testing.T) {
	for name, attempt := range map[string]func(c *risktest.Canary) *risk.Attempt{
		"IPv4": (*risktest.Canary).Attempt, "IPv6": (*risktest.Canary).AttemptIPv6,
	} {
		t.Run(name, func(t *testing.T) {
			c := risktest.NewCanary()
			out, heard, kept := newOutlets(t, c), &told{}, &risktest.Recorder{}
			store := &spy{FlowStore: risk.NewMemoryFlows(nil), sink: out.sink}
			signals := blabbing()
			e := newEngine(t, &risk.Options{Flows: store, Sinks: []risk.Sink{kept}, Hooks: heard.hooks(), Budget: 10 * time.Second,
				Shadow: []*risk.Policy{risk.DefaultPolicy(signals)}}, signals...)

			first := e.Assess(t.Context(), attempt(c))
			require.Equal(t, risk.Challenge, first.Action, "%v", first.Reasons)
			require.NotEmpty(t, first.Errors)
			next := attempt(c)
			next.Flow = first.Flow
			second := e.Assess(t.Context(), next)
			next.Account += "-other"
			third := e.Assess(t.Context(), next)
			opened := e.Open(t.Context(), attempt(c))
			for _, s := range []*risk.Assessment{first, second, third, opened} {
				out.print("assessment", s)
				out.print("assessment value", *s)
				for _, se := range s.Errors {
					out.print("signal error", se)
					out.print("signal error", &se)
				}
				_, err := e.Tasks(t.Context(), s)
				if len(s.Require) > 0 {
					require.Error(t, err)
					out.print("tasks error", err.Error())
				}
				err = e.Settle(t.Context(), s, risk.Refused)
				if s != opened {
					require.Error(t, err)
				}
				out.print("settle error", fmt.Sprint(err))
			}
			err := e.Label(t.Context(), risk.Label{Account: c.Value(risktest.FieldAccount), Verdict: risk.Fraud})
			require.Error(t, err)
			out.print("label error", err.Error())
			_, err = e.Pending(t.Context(), next)
			out.print("pending error", fmt.Sprint(err))

			out.print("attempt", attempt(c))
			out.print("attempt value", *attempt(c))
			for _, d := range kept.Decisions() {
				out.print("decision", d)
				out.print("decision value", *d)
				require.NotContains(t, fmt.Sprintf("%+v", d), "receipt of its own", "receipts are never logged")
			}
			require.Positive(t, out.sink.Bytes(), "the store was used")
			signalErrors := 0
			for _, err := range heard.all() {
				if _, ok := errors.AsType[risk.SignalError](err); ok {
					signalErrors++
					out.text("hook", err.Error())
				}
			}
			require.Positive(t, signalErrors)
			out.clean()
		})
	}
}

func TestPanicTextHoldsNothing(t *testing.T) {
	c := risktest.NewCanary()
	out, heard := newOutlets(t, c), &told{}
	signals := []risk.Signal{}
	for i, v := range []any{everything(c.Attempt()), textError(everything(c.Attempt())), c.Attempt(), []byte(c.Value(risktest.FieldEmail))} {
		for _, cost := range []risk.Cost{risk.Local, risk.Remote} {
			signals = append(signals, risktest.Panicking(fmt.Sprintf("p%d_%s", i, cost), v, &risktest.Options{Cost: cost}))
		}
	}
	e := newEngine(t, &risk.Options{Hooks: heard.hooks()}, signals...)
	s := e.Assess(t.Context(), c.Attempt())
	for _, err := range append(heard.all(), s.Errors[0].Err) {
		// The engine makes these itself: even what is wrapped in them holds nothing.
		out.text("panic", fmt.Sprintf("%v %+v %#v", err, errors.Unwrap(err), errors.Unwrap(err)))
	}
	require.NotEmpty(t, heard.all())
	out.clean()
}

// The flow's name is a secret between client and server.
func TestAssessmentPrintsNoFlow(t *testing.T) {
	c := risktest.NewCanary()
	s := risktest.Engine(risk.Challenge).Assess(t.Context(), c.Attempt())
	require.NotEmpty(t, s.Flow)
	c.Watch("flow in force", s.Flow)
	out := newOutlets(t, c)
	out.print("assessment", s)
	out.print("assessment value", *s)
	out.clean()
}

func TestFindingPrintsNoReceipt(t *testing.T) {
	c := risktest.NewCanary()
	c.Watch("receipt", "receipt-canary-11a7")
	f := &risk.Finding{}
	f.Receipt("receipt-canary-11a7")
	out := newOutlets(t, c)
	out.print("finding", f)
	out.print("finding value", *f)
	out.print("signal finding", risk.SignalFinding{Signal: "s", Finding: f})
	out.clean()
}

func TestFlowStoreFailuresLeakNothing(t *testing.T) {
	c := risktest.NewCanary()
	out, heard := newOutlets(t, c), &told{}
	store := &spy{FlowStore: risk.NewMemoryFlows(nil), sink: out.sink, err: errors.New("store is down")}
	prover := risktest.NewProver("prover", []risk.Proof{risk.ProofHuman}, nil)
	bad := risktest.Fixed("bad", risktest.Say("seen"), &risktest.Options{Codes: []risk.Code{{Name: "seen", Points: 25}}})
	e := newEngine(t, &risk.Options{Flows: store, Hooks: heard.hooks()}, prover, bad)
	s := e.Assess(t.Context(), c.Attempt())
	require.Equal(t, risk.Review, s.Action)
	require.True(t, s.Degraded)
	out.print("assessment", s)
	require.NotEmpty(t, heard.all())
	for _, err := range heard.all() {
		out.print("flow error", err.Error())
	}
	out.clean()
}

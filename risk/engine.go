package risk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Options of an engine. The zero value and nil mean the defaults.
type Options struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Budget bounds one Assess beside its Local signals; default 1 s.
	Budget time.Duration
	// Flows keeps challenged attempts; default a new [MemoryFlows].
	Flows FlowStore
	// OnFlowError says what an attempt gets at least when the flow store cannot tell; default FailReview.
	OnFlowError FailMode
	// FlowTTL is how long a challenged attempt may be continued; default 15 minutes.
	FlowTTL time.Duration
	// Sinks record decisions, each beside the others.
	Sinks []Sink
	// Hooks observe what goes wrong; nil: nobody is told.
	Hooks *Hooks
	// Shadow policies are judged on the same findings and never touch the answer.
	Shadow []*Policy
}

// Sink records decisions. Record is called before Assess returns, which waits for it within the engine's budget; it may
// run as long again. Its error goes to Hooks.SinkError and changes nothing. It must be safe for concurrent use.
type Sink interface {
	Record(ctx context.Context, d *Decision) error
}

// SinkFunc makes a sink of a function.
type SinkFunc func(ctx context.Context, d *Decision) error

// Record calls the function.
func (f SinkFunc) Record(ctx context.Context, d *Decision) error { return f(ctx, d) }

// Hooks observe an engine. Each may be nil. They are called on the engine's goroutines, several at once, and must not
// block; their panics are swallowed.
type Hooks struct {
	Assessed    func(s *Assessment)
	SignalError func(e SignalError)
	Late        func(signal string, took time.Duration) // a call that missed its deadline has returned
	SinkError   func(err error)
	FlowError   func(op string, err error) // op: load, create, update, spend, reopen
	SettleError func(signal string, err error)
}

// Engine judges attempts. It is safe for concurrent use; make one with NewEngine.
type Engine struct {
	catalog     *catalog
	now         func() time.Time
	ownClock    bool // now is time.Now
	budget      time.Duration
	flows       FlowStore
	flowTTL     time.Duration
	onFlowError FailMode
	sinks       []Sink
	hooks       hooks
	keeps       bool // something may look at the attempt after its Local signals

	state    atomic.Pointer[policies]
	overdue  []atomic.Int32 // by signal: calls that missed their deadline and still run
	flowGate gate
	sinkGate []gate // by sink
	settle   []gate // by signal
}

// policies are what Reload swaps: an assessment uses the one it met first.
type policies struct {
	live    *compiled
	shadows []*compiled
}

// NewEngine makes an engine of a policy and the signals it judges by. It refuses signals that are badly declared and
// policies that do not fit them, naming each fault.
func NewEngine(p *Policy, signals []Signal, opts *Options) (*Engine, error) {
	if opts == nil {
		opts = &Options{}
	}
	c, err := newCatalog(signals)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		catalog: c, now: opts.Now, budget: opts.Budget, flows: opts.Flows, flowTTL: opts.FlowTTL,
		onFlowError: opts.OnFlowError, sinks: opts.Sinks,
		overdue: make([]atomic.Int32, len(c.signals)), settle: make([]gate, len(c.signals)), sinkGate: make([]gate, len(opts.Sinks)),
	}
	if opts.Hooks != nil {
		e.hooks = hooks(*opts.Hooks)
	}
	if err := e.defaults(); err != nil {
		return nil, err
	}
	e.keeps = len(e.sinks) > 0 || len(c.settlers) > 0 || len(c.steps[stepLocal])+c.inline < len(c.signals)-1
	for i := range c.signals {
		e.keeps = e.keeps || c.signals[i].asker != nil
	}
	if err := e.Reload(p, opts.Shadow...); err != nil {
		return nil, err
	}
	return e, nil
}

// The defaults of Options.
const (
	defaultBudget  = time.Second
	defaultFlowTTL = 15 * time.Minute
)

func (e *Engine) defaults() error {
	if e.now == nil {
		e.now, e.ownClock = time.Now, true
	}
	if e.flows == nil {
		e.flows = NewMemoryFlows(&MemoryFlowsOptions{Now: e.now})
	}
	_, e.flowGate.inline = e.flows.(*MemoryFlows)
	if e.budget == 0 {
		e.budget = defaultBudget
	}
	if e.flowTTL == 0 {
		e.flowTTL = defaultFlowTTL
	}
	if e.onFlowError == 0 {
		e.onFlowError = FailReview
	}
	switch {
	case e.budget < 0:
		return errors.New("risk: Options.Budget is negative")
	case e.flowTTL < time.Second:
		return errors.New("risk: Options.FlowTTL is below a second")
	case e.onFlowError > FailClosed:
		return errors.New("risk: Options.OnFlowError: want FailOpen, FailChallenge, FailReview or FailClosed")
	}
	for i, s := range e.sinks {
		if s == nil {
			return fmt.Errorf("risk: Options.Sinks[%d] is nil", i)
		}
	}
	return nil
}

// Reload puts another policy, and other shadows, in force for assessments that begin from now on. A policy that does
// not fit the signals is refused and changes nothing.
func (e *Engine) Reload(p *Policy, shadow ...*Policy) error {
	live, err := compilePolicy(p, e.catalog)
	if err != nil {
		return err
	}
	next := &policies{live: live}
	for i, s := range shadow {
		c, err := compilePolicy(s, e.catalog)
		if err != nil {
			return fmt.Errorf("shadow policy %d: %w", i, err)
		}
		next.shadows = append(next.shadows, c)
	}
	e.state.Store(next)
	return nil
}

// Policy returns the policy in force.
func (e *Engine) Policy() *Policy { return e.state.Load().live.policy }

// RulesOff names the rules of the policy in force that are switched off because a signal they need is not registered.
func (e *Engine) RulesOff() []string { return append([]string(nil), e.state.Load().live.off...) }

// Descriptions returns what the registered signals declare, by name: the catalogue of codes, facts, proofs and
// collected data.
func (e *Engine) Descriptions() []Description {
	out := make([]Description, 0, len(e.catalog.signals))
	for i := range e.catalog.signals {
		out = append(out, e.catalog.signals[i].desc)
	}
	return out
}

// hooks calls Hooks that are set, and survives what they do.
type hooks Hooks

func hush() { _ = recover() }

func (h *hooks) assessed(s *Assessment) {
	if h.Assessed != nil {
		defer hush()
		h.Assessed(s)
	}
}

func (h *hooks) signalError(e SignalError) {
	if h.SignalError != nil {
		defer hush()
		h.SignalError(e)
	}
}

func (h *hooks) late(signal string, took time.Duration) {
	if h.Late != nil {
		defer hush()
		h.Late(signal, took)
	}
}

func (h *hooks) sinkError(err error) {
	if h.SinkError != nil {
		defer hush()
		h.SinkError(err)
	}
}

func (h *hooks) flowError(op string, err error) {
	if h.FlowError != nil {
		defer hush()
		h.FlowError(op, err)
	}
}

func (h *hooks) settleError(signal string, err error) {
	if h.SettleError != nil {
		defer hush()
		h.SettleError(signal, err)
	}
}

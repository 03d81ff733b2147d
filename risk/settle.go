package risk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrSettled says that an assessment has been settled before, or was not made by this engine.
var ErrSettled = errors.New("risk: assessment is settled already, or not one of this engine")

var errFlowBusy = errors.New("risk: flow changed too often")

// settleJudged tells settlers that the assessment is made, before Assess returns and within the budget.
func (r *run) settleJudged() {
	if len(r.c.catalog.settlers) == 0 {
		return
	}
	r.collectReceipts()
	if r.continued {
		r.attempt.state = &attemptState{asked: r.asked, continued: true}
	}
	for _, err := range r.e.settleAll(r.base, &r.out.Assessment, Judged, time.Until(r.deadline)) {
		r.e.hooks.settleError(err.Signal, err.Err)
	}
}

// collectReceipts gathers what signals want back when the attempt is settled: of this attempt, else of its flow.
func (r *run) collectReceipts() {
	for _, s := range r.c.catalog.settlers {
		text := ""
		if r.flow != nil {
			if i := r.flow.state.index(r.c.catalog.signals[s].desc.Name); i >= 0 {
				text = r.flow.state.Findings[i].Receipt
			}
		}
		if f := r.findings[s]; f != nil && f.receipt != "" {
			text = f.receipt
		}
		if text != "" {
			r.out.receipts = append(r.out.receipts, receipt{s, text})
		}
	}
}

// settleAll calls every settler: Local ones on this goroutine, the others together, waiting for them as long as wait. A
// charge is made even when there is no time left to wait for it.
func (e *Engine) settleAll(ctx context.Context, s *Assessment, o Outcome, wait time.Duration) []SignalError {
	var errs []SignalError
	var mu sync.Mutex // guards errs
	var wg sync.WaitGroup
	note := func(i int, err error) {
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, SignalError{Signal: e.catalog.signals[i].desc.Name, Cause: CauseError, Err: err})
		}
	}
	for _, i := range e.catalog.settlers {
		if e.catalog.signals[i].desc.Cost == Local {
			note(i, e.settleOne(ctx, i, e.settlement(i, s, o)))
			continue
		}
		sealed := e.settlement(i, s, o)
		wg.Go(func() {
			_, err := patient(&e.settle[i], ctx, wait, e.budget, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, e.settleOne(ctx, i, sealed)
			})
			note(i, err)
		})
	}
	wg.Wait()
	return errs
}

// settlement is what a settler is told. The attempt is shared by the settlers and read-only.
func (e *Engine) settlement(i int, s *Assessment, o Outcome) Settlement {
	out := Settlement{Attempt: &s.run.attempt, Assessment: s, Outcome: o}
	if at := slices.IndexFunc(s.run.receipts, func(r receipt) bool { return r.signal == i }); at >= 0 {
		out.Receipt = s.run.receipts[at].text
	}
	return out
}

func (e *Engine) settleOne(ctx context.Context, i int, s Settlement) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return e.catalog.signals[i].settler.Settle(ctx, s)
}

// Settle tells the signals what became of an attempt: Completed, Refused (a wrong password) or Undone (our own insert
// failed: charges are refunded, and a flow that this assessment spent reopens, once). It works once for an assessment;
// a second call returns ErrSettled. The cancellation of ctx is ignored. Errors of several signals are joined.
func (e *Engine) Settle(ctx context.Context, s *Assessment, o Outcome) error {
	if o < Completed || o > Undone {
		return fmt.Errorf("risk: cannot settle as %s: want Completed, Refused or Undone", o)
	}
	if s == nil || s.run == nil || s.run.engine != e || !s.run.settled.CompareAndSwap(false, true) {
		return ErrSettled
	}
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, err := range e.settleAll(ctx, s, o, e.budget) {
		e.hooks.settleError(err.Signal, err.Err)
		errs = append(errs, err)
	}
	if o == Undone && s.run.spent != nil {
		if err := e.reopen(ctx, s.run.flow, s.run.spent); err != nil {
			e.hooks.flowError(opReopen, err)
			errs = append(errs, fmt.Errorf("risk: reopening flow: %w", err))
		}
	}
	return errors.Join(errs...)
}

// reopen makes a spent flow good once more, with all that was given when it was spent. What the counting signals had
// charged has been refunded: they are asked again when the flow continues.
func (e *Engine) reopen(ctx context.Context, name string, state *flowState) error {
	if state.Reopened {
		return nil
	}
	key := flowKey(name)
	rec, ok, err := e.loadRecord(ctx, timeoutFlow, key)
	if err != nil || !ok || !rec.Spent {
		return err
	}
	state.Reopened = true
	state.Findings = slices.DeleteFunc(state.Findings, func(k keptFinding) bool {
		s, ok := e.catalog.signalIndex[k.Signal]
		return ok && e.catalog.signals[s].desc.Counts
	})
	b, err := state.encode()
	if err != nil {
		return err
	}
	_, err = bounded(&e.flowGate, ctx, timeoutFlow, func(ctx context.Context) (bool, error) {
		return e.flows.Update(ctx, key, rec.Version, b, false)
	})
	return err
}

// Label tells the signals that learn from them about a confirmed truth. Errors of several signals are joined.
func (e *Engine) Label(ctx context.Context, l Label) error {
	if l.Verdict != Good && l.Verdict != Fraud {
		return errors.New("risk: a label needs a verdict: Good or Fraud")
	}
	if l.Assessment == "" && l.Account == "" {
		return errors.New("risk: a label needs an assessment or an account")
	}
	if l.At.IsZero() {
		l.At = e.now()
	}
	var errs []error
	for i := range e.catalog.signals {
		entry := &e.catalog.signals[i]
		if entry.labeler == nil {
			continue
		}
		_, err := bounded(&e.settle[i], ctx, e.budget, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, entry.labeler.Label(ctx, l)
		})
		if err != nil {
			errs = append(errs, SignalError{Signal: entry.desc.Name, Cause: CauseError, Err: err})
		}
	}
	return errors.Join(errs...)
}

// recordDecision hands the decision to the sinks and waits for them within the budget. Decisions made when all of it is
// used up are handed on too: they are those one wants to read.
func (r *run) recordDecision() {
	if len(r.e.sinks) == 0 {
		return
	}
	d := &Decision{Attempt: r.attempt, Assessment: &r.out.Assessment, Findings: r.tell()}
	var wg sync.WaitGroup
	for i, s := range r.e.sinks {
		wg.Go(func() {
			_, err := patient(&r.e.sinkGate[i], r.base, time.Until(r.deadline), r.e.budget, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, s.Record(ctx, d)
			})
			if err != nil {
				r.e.hooks.sinkError(err)
			}
		})
	}
	wg.Wait()
}

// tell copies the findings for sinks, which may outlive the assessment.
func (r *run) tell() []SignalFinding {
	var out []SignalFinding
	if r.flow != nil {
		for i := range r.flow.state.Findings {
			k := &r.flow.state.Findings[i]
			if s, ok := r.c.catalog.signalIndex[k.Signal]; ok && r.findings[s] == nil {
				out = append(out, SignalFinding{Signal: k.Signal, Finding: k.finding(), Kept: true})
			}
		}
	}
	for s, f := range r.findings {
		if f != nil {
			c := *f
			out = append(out, SignalFinding{Signal: r.c.catalog.signals[s].desc.Name, Finding: &c})
		}
	}
	return out
}

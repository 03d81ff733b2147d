package risk

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// outcome is an assessment with what the engine keeps of it, in one allocation.
type outcome struct {
	Assessment
	record
}

// record is what Tasks and Settle need of an assessment.
type record struct {
	engine   *Engine
	attempt  Attempt
	receipts []receipt
	flow     string     // the flow's name; "" where there is none
	spent    *flowState // what the flow holds, where this assessment spent it
	failures int        // invalid evidence seen in the flow so far
	settled  atomic.Bool
}

type receipt struct {
	signal int
	text   string
}

// run is one assessment in progress.
type run struct {
	e        *Engine
	c        *compiled
	b        *bench
	out      *outcome
	attempt  *Attempt // the engine's own copy
	base     context.Context
	start    time.Time     // by the real clock
	deadline time.Time     // of the budget
	asking   time.Time     // until when signals may be asked: what follows them needs time too
	clock    time.Duration // since start, at the end of the last inline call
	scope    scope

	flow      *flow
	continued bool
	peek      bool // only the counting signals are asked, for Pending
	void      bool // proofs given here were given to a flow that somebody else has spent
	asked     []Proof
	given     proofSet
	retry     time.Time
	score     int
	explained bool       // the last judgement listed its contributions
	findings  []*Finding // by signal, of this attempt

	scratch      Attempt // what inline signals are handed
	scratchState attemptState
}

// Assess judges the attempt. It never returns nil, never panics and never writes to a. It takes at most the engine's
// budget beside the time of Local signals. The cancellation of ctx is ignored, so that a visitor who hangs up changes
// nothing; its deadline and values are kept.
func (e *Engine) Assess(ctx context.Context, a *Attempt) (s *Assessment) {
	defer func() {
		if p := recover(); p != nil {
			e.hooks.signalError(SignalError{Cause: CausePanic, Err: panicked(p)})
			s = &Assessment{ID: newID(), Action: Review, Degraded: true, Errors: []SignalError{{Cause: CausePanic}}}
		}
	}()
	if a == nil {
		a = &Attempt{}
	}
	st := e.state.Load()
	b := st.live.pool.Get().(*bench)
	r := b.begin(ctx, e, st.live, a)
	r.judgeAll()
	r.settleJudged()
	r.judgeShadows(st.shadows)
	r.recordDecision()
	out := r.out
	b.end()
	st.live.pool.Put(b)
	e.hooks.assessed(&out.Assessment)
	return &out.Assessment
}

// begin prepares the bench for one attempt.
func (b *bench) begin(ctx context.Context, e *Engine, c *compiled, a *Attempt) *run {
	b.reset(c)
	out := &outcome{}
	out.run = &out.record
	r := &b.run
	r.e, r.c, r.b, r.out = e, c, b, out
	r.base = context.WithoutCancel(ctx)
	r.start = time.Now()
	r.deadline = r.start.Add(e.budget)
	if d, ok := ctx.Deadline(); ok && d.Before(r.deadline) {
		r.deadline = d
	}
	r.asking = r.deadline.Add(-min(r.deadline.Sub(r.start)/8, mostClosing))
	out.record.engine = e
	r.attempt = &out.record.attempt
	*r.attempt = *a
	r.attempt.state = nil
	if e.keeps {
		r.attempt.detach()
	}
	if r.attempt.ID == "" {
		r.attempt.ID = newID()
	}
	switch {
	case !r.attempt.Time.IsZero():
	case e.ownClock:
		r.attempt.Time = r.start
	default:
		r.attempt.Time = e.now()
	}
	r.findings = b.heard
	r.scope = scope{segment: c.segmentIndex(r.attempt)}
	seg := &c.segments[r.scope.segment]
	r.asked = seg.always
	b.builtins = [5]string{string(r.attempt.Event), r.attempt.Channel, r.attempt.Tier, r.attempt.Tenant, r.attempt.Client}
	out.ID, out.Event, out.Policy = r.attempt.ID, r.attempt.Event, seg.ref
	out.Timings = make([]Timing, 0, len(c.catalog.signals)-1)
	return r
}

// mostClosing is the most of the budget that is kept for flows, settlers and sinks.
const mostClosing = 100 * time.Millisecond

// end drops what the bench must not keep alive.
func (b *bench) end() {
	for s := range b.findings {
		if b.findings[s].used() {
			b.findings[s] = Finding{}
		}
	}
	clear(b.heard)
	b.run = run{}
}

// newID names an attempt. It is unique, not a secret.
func newID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], rand.Uint64())
	var text [26]byte
	idEncoding.Encode(text[:], b[:])
	return string(text[:])
}

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// judgeAll asks, decides and closes, once more where somebody else has spent the flow in between.
func (r *run) judgeAll() {
	r.loadFlow()
	for {
		r.ask()
		j := r.decide()
		if r.close(&j) {
			r.explain(j)
			return
		}
		r.lose()
	}
}

// ask puts the attempt to the signals, cheap ones first, until nothing left could change the answer.
func (r *run) ask() {
	steps := &r.c.catalog.steps
	r.open()
	r.clock = time.Since(r.start)
	for _, s := range steps[stepLocal] {
		if r.b.open.has(s) {
			r.inline(s)
		}
	}
	counting := steps[stepCounting]
	for _, s := range counting[:r.c.catalog.inline] {
		if r.b.open.has(s) {
			r.inline(s)
		}
	}
	r.askStep(counting[r.c.catalog.inline:])
	if r.b.open.empty() {
		return
	}
	full := r.sampled()
	for _, step := range [][]int{steps[stepStored], steps[stepRemote]} {
		if !full && r.stop() {
			return
		}
		r.askStep(step)
	}
	if r.b.open.empty() || (!full && r.stop()) {
		return
	}
	r.gate()
	r.askStep(steps[stepCostly])
}

// open finds the signals to ask: registered ones that apply and whose finding the flow does not keep.
func (r *run) open() {
	catalog := r.c.catalog
	for s := range catalog.signals {
		e := &catalog.signals[s]
		if e.signal == nil || r.findings[s] != nil || r.b.erring.has(s) || r.keptEnough(e) {
			continue
		}
		if e.applier == nil {
			r.b.open.set(s)
			continue
		}
		switch ok, err := r.applies(e); {
		case err != nil:
			r.fail(s, err, CausePanic)
		case ok:
			r.b.open.set(s)
		default:
			r.unused(s)
		}
	}
}

// keptEnough reports whether the flow keeps the signal's finding and it can give no other proof that is required and
// missing.
func (r *run) keptEnough(e *signalEntry) bool {
	if r.flow == nil || r.flow.state.index(e.desc.Name) < 0 {
		return false
	}
	return e.proofs&r.scope.kept&^r.given == 0
}

func (r *run) applies(e *signalEntry) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return e.applier.Applies(r.lend(e)), nil
}

func (r *run) unused(s int) {
	name := r.c.catalog.signals[s].desc.Name
	if !slices.Contains(r.out.Unused, name) {
		r.out.Unused = append(r.out.Unused, name)
	}
}

// askStep asks the open signals of one step.
func (r *run) askStep(step []int) {
	var space [16]int
	ask := space[:0]
	for _, s := range step {
		if r.b.open.has(s) {
			ask = append(ask, s)
		}
	}
	if len(ask) > 0 {
		r.together(ask)
	}
}

// stop reports whether asking may end, and notes who is skipped.
func (r *run) stop() bool {
	if !r.c.settled(r.b, r.scope, r.provided(), r.unused) {
		return false
	}
	copy(r.b.skipped, r.b.open)
	each(r.b.open, func(s int) { r.out.Skipped = append(r.out.Skipped, r.c.catalog.signals[s].desc.Name) })
	clear(r.b.open)
	return true
}

// gate leaves open only those costly signals that the attempt needs, judged by everything else.
func (r *run) gate() {
	for _, s := range r.c.closeCostly(r.b, r.scope, r.provided()) {
		r.unused(s)
	}
}

// sampled reports whether this attempt is one of the share for which every signal is asked.
func (r *run) sampled() bool {
	switch share := r.c.sampling; {
	case share <= 0:
		return false
	case share >= 1:
		return true
	default:
		h := fnv.New64a()
		_, _ = h.Write([]byte(r.attempt.ID))
		return float64(h.Sum64()>>11)/(1<<53) < share
	}
}

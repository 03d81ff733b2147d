package risktest

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// The bounds [Conform] holds signals to.
const (
	// Grace is how long after the end of its context Evaluate may take to return.
	Grace = time.Second
	// LocalMedian is what a Local signal's Evaluate, and any signal's Applies, takes at most for an ordinary attempt, as
	// the best of three medians of 31 calls.
	LocalMedian = 2 * time.Millisecond
	// LocalHuge is what Evaluate of a Local signal takes at most for an attempt of megabytes, as the best of three calls.
	LocalHuge = 250 * time.Millisecond
)

// Conform checks a signal against the contract of [risk.Signal], and returns all faults found, joined, or nil:
//
//   - NewEngine accepts its description, which is the same each time;
//   - what it says stays within that description, it returns, does not panic, does not write to the attempt, and keeps
//     to its timeout and context, for the given attempts and for hostile ones: no evidence, evidence of other types,
//     empty and huge fields, invalid UTF-8, control characters, odd addresses and times, all proofs asked for or none,
//     needed facts there or not;
//   - what a visitor sends never makes it return an error when it can judge the given attempts (none: an empty one);
//   - a Local signal does not block, and Applies is cheap;
//   - errors, text facts and receipts hold no personal data of the attempt in clear or as a plain hash (device tags
//     are keyed, and may);
//   - it leaves no goroutines behind, and works for several callers at once (run it with -race);
//   - what it asks clients for can be marshalled as JSON.
//
// Give attempts, with evidence, that lead the signal through all it does; hostile ones are made of the first. The signal
// must be wired to fakes: it is asked several hundred times, and counts or spends what it counts or spends. Conform
// measures real time and cannot be used inside a testing/synctest bubble.
func Conform(s risk.Signal, attempts ...*risk.Attempt) error {
	c := &conformer{signal: s, seed: maphash.MakeSeed(), canary: NewCanary()}
	if !c.describe() {
		return c.err()
	}
	c.id = fmt.Sprintf("%s-%p-%d", c.desc.Name, c, time.Now().UnixNano())
	for i, a := range attempts {
		if a == nil {
			return fmt.Errorf("risktest: attempt %d is nil", i)
		}
		c.given = append(c.given, probe{label: fmt.Sprintf("given attempt %d", i), attempt: a})
		c.canary.watchAttempt(a)
	}
	if len(c.given) == 0 {
		c.given = []probe{{label: "an empty attempt", attempt: &risk.Attempt{Event: risk.SignUp}}}
	}
	for _, stage := range []func(){c.ordinary, c.hostile, c.planted, c.contexts, c.prompt, c.asks, c.concurrent, c.leaks} {
		if stage(); c.stuck {
			break
		}
	}
	return c.err()
}

type conformer struct {
	signal risk.Signal
	desc   risk.Description
	id     string
	seed   maphash.Seed
	canary *Canary
	given  []probe
	errs   []error
	stuck  bool // a call has not returned: further ones would hang too
	writes bool // it writes to attempts: several callers at once would only race
	fails  bool // it cannot judge an ordinary attempt: its errors say nothing about hostile ones
}

const mostFaults = 20

func (c *conformer) fault(format string, args ...any) {
	err := fmt.Errorf("risktest: signal %s: %w", clip(c.desc.Name), fmt.Errorf(format, args...))
	for _, e := range c.errs {
		if e.Error() == err.Error() {
			return
		}
	}
	if len(c.errs) < mostFaults {
		c.errs = append(c.errs, err)
	}
}

func (c *conformer) err() error { return errors.Join(c.errs...) }

// describe checks the description.
func (c *conformer) describe() (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.fault("Describe panicked: %v", p)
			ok = false
		}
	}()
	if c.signal == nil {
		c.fault("it is nil")
		return false
	}
	c.desc = c.signal.Describe()
	for range 3 {
		if !reflect.DeepEqual(c.signal.Describe(), c.desc) {
			c.fault("Describe does not always answer the same")
			return false
		}
	}
	signals := []risk.Signal{c.signal}
	if _, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil); err != nil {
		c.fault("an engine refuses it: %w", err)
		return false
	}
	for _, d := range c.desc.Collects {
		if d.What == "" || d.Why == "" || d.Form == "" || d.Keep < 0 {
			c.fault("Collects: a line without What, Why or Form, or with a negative Keep")
		}
	}
	return true
}

// told are the ways an attempt can be handed to the signal. The first plain ones hold nothing odd beside the attempt.
func (c *conformer) told(a *risk.Attempt) []*risk.Attempt {
	out := []*risk.Attempt{risk.Rehearse(a, nil, false, nil), risk.Rehearse(a, c.desc.Proofs, true, nil)}
	if len(c.desc.Needs) == 0 {
		return out
	}
	numbers, texts := map[string]risk.Value{}, map[string]risk.Value{}
	for _, need := range c.desc.Needs {
		numbers[need], texts[need] = risk.NumberValue(-1e300), risk.TextValue("\xff")
	}
	return append(out, risk.Rehearse(a, c.desc.Proofs, true, numbers), risk.Rehearse(a, nil, false, texts))
}

// plain is how many of the ways in told hold nothing odd.
const plain = 2

// context is what the engine gives the signal.
func (c *conformer) context() (context.Context, context.CancelFunc) {
	if c.desc.Cost == risk.Local {
		return context.WithoutCancel(context.Background()), func() {}
	}
	return context.WithTimeout(context.Background(), timeoutOf(c.desc))
}

// call asks once and checks all that must hold of any call.
func (c *conformer) call(label string, a *risk.Attempt) (out answer, asked bool) {
	return c.callIn(c.context, label, a)
}

// callIn is call in a context made when all else is ready.
func (c *conformer) callIn(make func() (context.Context, context.CancelFunc), label string, a *risk.Attempt) (out answer, asked bool) {
	own := *a
	before := fingerprint(&own, c.seed)
	defer func() {
		if !out.hung && fingerprint(&own, c.seed) != before {
			c.fault("on %s: it writes to the attempt", label)
			c.writes = true
		}
	}()
	switch ok, err := applies(c.signal, &own); {
	case err != nil:
		c.fault("on %s: %w", label, err)
		return answer{}, false
	case !ok:
		return answer{}, false
	}
	ctx, cancel := make()
	defer cancel()
	patience := timeoutOf(c.desc) + Grace
	if c.desc.Cost == risk.Local {
		patience = max(patience, 10*time.Second)
	}
	if d, ok := ctx.Deadline(); ok {
		patience = max(0, time.Until(d)) + Grace
	} else if ctx.Err() != nil {
		patience = Grace
	}
	out = ask(ctx, c.signal, &own, patience)
	switch {
	case out.hung:
		c.fault("on %s: Evaluate has not returned %v after its context's end: it must honour its context", label, Grace)
		c.stuck = true
	case out.cause == risk.CausePanic:
		c.fault("on %s: %w", label, out.err)
	case out.err == nil:
		if err := check(c.desc, out.finding); err != nil {
			c.fault("on %s: it %w", label, err)
		}
	}
	if !out.hung {
		c.private(label, out)
	}
	return out, true
}

// mostText is how long an error may be.
const mostText = 16 << 10

// private looks for personal data in what leaves the signal.
func (c *conformer) private(label string, out answer) {
	search := func(what, text string) {
		if len(text) > mostText {
			c.fault("on %s: %s is %d bytes long: it repeats what the visitor sent", label, what, len(text))
			return
		}
		for _, l := range c.canary.Search(text) {
			if l.Field == FieldDevice {
				continue // a keyed tag already
			}
			c.fault("on %s: %s holds the attempt's %s (%s)", label, what, l.Field, l.Form)
		}
	}
	if out.err != nil && out.cause != risk.CausePanic {
		search("the error", fmt.Sprintf("%v %+v", out.err, out.err))
		return
	}
	for f := range out.finding.Facts() {
		search("fact "+clip(f.Name), f.Value.Text())
	}
	search("the receipt", out.finding.ReceiptText())
}

func (c *conformer) ordinary() {
	for _, p := range c.given {
		for i, a := range c.told(p.attempt) {
			out, asked := c.call(p.label, a)
			if c.stuck {
				return
			}
			c.fails = c.fails || (asked && i < plain && out.err != nil)
		}
	}
}

func (c *conformer) hostile() {
	probes := hostile(c.given[0].attempt)
	if len(c.given) > 1 {
		for _, p := range c.given[1:] {
			probes = append(probes, hostileEvidence(p.attempt)...)
		}
	}
	probes = append(probes, probe{label: "an empty attempt", attempt: &risk.Attempt{}})
	for _, p := range probes {
		ways := c.told(p.attempt)
		if p.huge {
			ways = ways[:plain]
		}
		for i, a := range ways {
			out, asked := c.call(p.label, a)
			if c.stuck {
				return
			}
			// On a busy machine a call can run out of time by chance: it has three.
			for range 2 {
				if asked && i < plain && !c.fails && out.cause == risk.CauseTimeout && !c.stuck {
					out, asked = c.call(p.label, a)
				}
			}
			if asked && p.visitor && i < plain && !c.fails && out.err != nil && out.cause != risk.CausePanic {
				c.fault("on %s: it returns an error (%T) for what a visitor sent: that is a code with State Absent or Invalid", p.label, out.err)
			}
			if c.desc.Cost == risk.Local && p.huge {
				c.huge(p.label, a, out.took)
			}
		}
	}
}

// huge checks how long a Local signal takes for megabytes: the quickest of three calls.
func (c *conformer) huge(label string, a *risk.Attempt, took time.Duration) {
	ctx, cancel := c.context()
	defer cancel()
	for range 2 {
		if took <= LocalHuge {
			return
		}
		took = min(took, ask(ctx, c.signal, a, 0).took)
	}
	if took > LocalHuge {
		c.fault("on %s: a Local signal takes %v, at most %v", label, took, LocalHuge)
	}
}

// planted tries attempts full of values that must not come out, in good times and bad.
func (c *conformer) planted() {
	for _, p := range c.given {
		v4 := risk.Rehearse(p.attempt, nil, false, nil)
		c.canary.Plant(v4)
		for _, t := range evidenceTypes(p.attempt) {
			risk.Attach(v4, filled(t, c.canary.Value(FieldEvidence)))
		}
		v6 := risk.Rehearse(v4, nil, false, nil)
		v6.IP = c.canary.AttemptIPv6().IP
		for _, a := range append(c.told(v4), c.told(v6)...) {
			c.call("an attempt with canaries", a)
			if !c.stuck && c.desc.Cost != risk.Local {
				c.callIn(cancelled, "an attempt with canaries and a cancelled context", a)
			}
			if c.stuck {
				return
			}
		}
	}
}

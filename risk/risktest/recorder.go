package risktest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/vestibule-go/vestibule/risk"
)

// Recorder is a [risk.Sink] that keeps the latest decisions. The zero value is ready for use. It is safe for concurrent
// use.
type Recorder struct {
	// Most bounds how many decisions are kept; default 10,000. Set it before use.
	Most int

	mu        sync.Mutex
	decisions []*risk.Decision // guarded by mu
	total     int              // guarded by mu
}

var _ risk.Sink = (*Recorder)(nil)

// Record keeps a copy of the decision. It returns no error.
func (r *Recorder) Record(_ context.Context, d *risk.Decision) error {
	c := copyDecision(d)
	most := r.Most
	if most <= 0 {
		most = 10_000
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	if len(r.decisions) >= most {
		r.decisions = slices.Delete(r.decisions, 0, len(r.decisions)-most+1)
	}
	r.decisions = append(r.decisions, c)
	return nil
}

// Decisions returns the decisions kept, oldest first. They are shared with the recorder: read them only.
func (r *Recorder) Decisions() []*risk.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.decisions)
}

// Last returns the latest decision, or nil.
func (r *Recorder) Last() *risk.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.decisions) == 0 {
		return nil
	}
	return r.decisions[len(r.decisions)-1]
}

// Total is how many decisions were recorded, those no longer kept included.
func (r *Recorder) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Reset forgets all decisions.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decisions, r.total = nil, 0
}

// Find returns the kept decision about the attempt of the given id, the latest if there are several, or nil.
func (r *Recorder) Find(id string) *risk.Decision {
	for _, d := range slices.Backward(r.Decisions()) {
		if d.Assessment != nil && d.Assessment.ID == id {
			return d
		}
	}
	return nil
}

// copyDecision copies what somebody else may change later. A copied assessment still works with Tasks and Settle.
func copyDecision(d *risk.Decision) *risk.Decision {
	c := &risk.Decision{}
	if d.Attempt != nil {
		c.Attempt = risk.Rehearse(d.Attempt, nil, false, nil)
	}
	if d.Assessment != nil {
		s := *d.Assessment
		s.Require, s.Reasons, s.Skipped, s.Unused = slices.Clone(s.Require), slices.Clone(s.Reasons), slices.Clone(s.Skipped), slices.Clone(s.Unused)
		s.Errors, s.Shadow, s.ShadowRules, s.Timings = slices.Clone(s.Errors), slices.Clone(s.Shadow), slices.Clone(s.ShadowRules), slices.Clone(s.Timings)
		c.Assessment = &s
	}
	for _, f := range d.Findings {
		if f.Finding != nil {
			said := *f.Finding
			f.Finding = &said
		}
		c.Findings = append(c.Findings, f)
	}
	return c
}

// Codes returns the codes observed in a decision by full name ("ip.tor"), sorted, each once.
func Codes(d *risk.Decision) []string {
	var out []string
	for _, f := range d.Findings {
		for o := range f.Observations() {
			out = append(out, fullName(f.Signal, o.Code))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Degree returns how strongly a code, by full name, was observed in a decision, or false when it was not.
func Degree(d *risk.Decision, code string) (degree float64, ok bool) {
	for _, f := range d.Findings {
		for o := range f.Observations() {
			if fullName(f.Signal, o.Code) == code {
				degree, ok = max(degree, o.Degree), true
			}
		}
	}
	return degree, ok
}

// Fact returns a fact of a decision by full name ("ip.country"), or false when nobody gave it.
func Fact(d *risk.Decision, name string) (v risk.Value, ok bool) {
	for _, f := range d.Findings {
		for fact := range f.Facts() {
			if fullName(f.Signal, fact.Name) == name {
				v, ok = fact.Value, true
			}
		}
	}
	return v, ok
}

// Points returns what a code ("ip.tor"), a rule (its name) or a line of the engine's own ("base", "clamp") adds to an
// assessment's score, and whether there is a reason of that name.
func Points(s *risk.Assessment, name string) (points int, ok bool) {
	for _, r := range s.Reasons {
		full := r.Code
		switch {
		case r.Rule != "":
			full = r.Rule
		case r.Signal != "":
			full = r.Signal + "." + r.Code
		}
		if full == name {
			points, ok = points+r.Points, true
		}
	}
	return points, ok
}

// Sum adds up the points of an assessment's reasons. It is the score.
func Sum(s *risk.Assessment) int {
	sum := 0
	for _, r := range s.Reasons {
		sum += r.Points
	}
	return sum
}

// Cause returns why a signal could not tell, or "" when it could or was not asked.
func Cause(s *risk.Assessment, signal string) risk.Cause {
	for _, e := range s.Errors {
		if e.Signal == signal {
			return e.Cause
		}
	}
	return ""
}

func fullName(signal, name string) string { return signal + "." + strings.TrimPrefix(name, signal+".") }

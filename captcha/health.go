package captcha

import (
	"math/bits"
	"sync"
	"time"
)

// Circuit is the state of a member's circuit breaker.
type Circuit uint8

// The states.
const (
	Closed   Circuit = iota // asked as usual
	HalfOpen                // one question is let through to see whether the provider is back
	Open                    // not asked, and not assigned
)

// String names the state.
func (c Circuit) String() string {
	switch c {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half-open"
	}
	return "open"
}

// Health is what an Orchestrator has seen of a member lately, on this instance.
type Health struct {
	Provider string
	Circuit  Circuit
	// Reason is why the circuit opened last.
	Reason Reason
	// Latency is the moving average of answers.
	Latency time.Duration
	// ValidShare is the share of answers that passed lately, Usual the share in the long run; both are 0 until there are
	// enough.
	ValidShare, Usual float64
	// Anomaly: the share has collapsed.
	Anomaly bool
}

const (
	faultWindow   = 20 // questions that are looked back on
	faultLeast    = 5  // faults that open the circuit, when they are half of the window
	windowAge     = time.Minute
	firstOpen     = 15 * time.Second
	longestOpen   = 5 * time.Minute
	shareLeast    = 200 // verdicts before a share is usual
	shareLong     = 1000
	shareShort    = 32
	shareCollapse = 0.5 // of the usual share
	shareFloor    = 0.2 // a usual share below says nothing
)

// health judges one member. Only provider faults and refused credentials move the circuit: whatever visitors send, and
// visitors who hang up, change nothing. Safe for concurrent use.
type health struct {
	mu       sync.Mutex // guards all below
	circuit  Circuit
	reason   Reason
	until    time.Time // end of Open
	openFor  time.Duration
	probing  bool
	window   uint32    // faults among the last questions
	asked    int       // questions in the window
	since    time.Time // beginning of the window
	latency  time.Duration
	verdicts int
	usual    float64
	recent   float64
}

// allow reports whether the member may be asked; probe marks the one question of a half-open circuit.
func (h *health) allow(now time.Time) (ok, probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.state(now) {
	case Closed:
		return true, false
	case HalfOpen:
		if h.probing {
			return false, false
		}
		h.probing = true
		return true, true
	}
	return false, false
}

// state is the circuit's; mu is held.
func (h *health) state(now time.Time) Circuit {
	if h.circuit == Open && !now.Before(h.until) {
		h.circuit = HalfOpen
	}
	return h.circuit
}

// done notes what became of a question that allow let through. It returns the state and whether it has changed.
func (h *health) done(now time.Time, took time.Duration, probe bool, res *Result) (Circuit, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.circuit
	if probe {
		h.probing = false
	}
	switch {
	case res.Outcome == Passed || res.Outcome == Failed:
		h.latency += (took - h.latency) / 8
		h.count(now, false)
		if probe {
			h.circuit, h.openFor = Closed, 0
			h.clear()
		}
		if res.Outcome == Passed || res.Fault == FaultVisitor {
			h.verdict(res.Outcome == Passed)
		}
	case res.Reason == ReasonCredentials:
		h.open(now, res.Reason) // no visitor can cause it, and nothing will pass
	case res.Fault == FaultProvider && res.Reason != ReasonUnsettled:
		h.latency += (took - h.latency) / 8
		h.count(now, true)
		if probe || h.circuit == Closed && h.failing() {
			h.open(now, res.Reason)
		}
	}
	return h.circuit, h.circuit != before
}

// count keeps the window: one bit a question, the newest lowest.
func (h *health) count(now time.Time, fault bool) {
	if now.Sub(h.since) > windowAge {
		h.clear()
		h.since = now
	}
	h.window = h.window << 1 & (1<<faultWindow - 1)
	if fault {
		h.window |= 1
	}
	h.asked = min(h.asked+1, faultWindow)
}

// failing reports whether the window is reason to open the circuit.
func (h *health) failing() bool {
	faults := bits.OnesCount32(h.window)
	return faults >= faultLeast && 2*faults >= h.asked
}

func (h *health) clear() { h.window, h.asked = 0, 0 }

func (h *health) open(now time.Time, why Reason) {
	if h.circuit == Open {
		return
	}
	h.openFor = min(max(2*h.openFor, firstOpen), longestOpen)
	h.circuit, h.reason, h.until = Open, why, now.Add(h.openFor)
	h.clear()
}

// verdict keeps the shares.
func (h *health) verdict(passed bool) {
	v := 0.0
	if passed {
		v = 1
	}
	h.verdicts++
	h.usual += (v - h.usual) / float64(min(h.verdicts, shareLong))
	h.recent += (v - h.recent) / float64(min(h.verdicts, shareShort))
}

// anomaly reports whether the share of valid answers has collapsed; mu is held.
func (h *health) anomaly() bool {
	return h.verdicts >= shareLeast && h.usual >= shareFloor && h.recent < shareCollapse*h.usual
}

// anomalous is anomaly for callers without the lock.
func (h *health) anomalous() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.anomaly()
}

// weight is what a member's weight is multiplied with.
func (h *health) weight(now time.Time) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.state(now) {
	case Closed:
		return 1
	case HalfOpen:
		return 0.1
	}
	return 0
}

func (h *health) report(now time.Time) Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Health{Circuit: h.state(now), Reason: h.reason, Latency: h.latency, Anomaly: h.anomaly()}
	if h.verdicts >= shareLeast {
		r.ValidShare, r.Usual = h.recent, h.usual
	}
	return r
}

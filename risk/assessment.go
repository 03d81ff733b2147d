package risk

import (
	"fmt"
	"io"
	"time"
)

// Action is what an assessment says to do. Stricter actions are larger. The zero value is invalid.
type Action uint8

// The actions.
const (
	Allow     Action = 10
	Wait      Action = 15 // not now: try again at Until (HTTP 429)
	Challenge Action = 20 // give the proofs in Require
	Delay     Action = 30 // accepted, takes effect at Until
	Review    Action = 40 // a person decides
	Lock      Action = 50 // refused until Until
	Block     Action = 60
)

// Assessment is the answer about one attempt. It is the caller's to read; concurrent reads are safe. Its JSON form is
// the same for the same input and policy.
type Assessment struct {
	ID    string `json:"id"`
	Event Event  `json:"event"`
	// Flow is set when Action is Challenge: the client sends it back with the proofs. It is a secret between client
	// and server and not part of the JSON form.
	Flow   string `json:"-"`
	Action Action `json:"action"`
	// Require lists the proofs still missing. It is empty unless Action is Challenge, and never empty then.
	Require []Proof `json:"require,omitempty"`
	// Until is the end of a wait, delay, lock or ban.
	Until time.Time `json:"until,omitzero"`

	// Score is 0 to 100, Raw the points before clamping.
	Score int `json:"score"`
	Raw   int `json:"raw"`
	// Chance is what Raw means: the probability of abuse, 0 to 1.
	Chance float64 `json:"chance"`
	// Reasons add up to Score exactly.
	Reasons []Reason  `json:"reasons"`
	Level   string    `json:"level"`
	Policy  PolicyRef `json:"policy"`

	// Degraded: a signal or a store could not tell, and its fail mode was applied.
	Degraded bool `json:"degraded,omitempty"`
	// Skipped names signals not asked because nothing they could say would have changed the answer.
	Skipped []string `json:"skipped,omitempty"`
	// Unused names signals that had nothing to look at, or (costly ones) were not needed.
	Unused []string       `json:"unused,omitempty"`
	Errors []SignalError  `json:"errors,omitempty"`
	Shadow []ShadowResult `json:"shadow,omitempty"`
	// ShadowRules names rules in shadow mode whose condition held.
	ShadowRules []string `json:"shadow_rules,omitempty"`
	Timings     []Timing `json:"-"`

	run *record
}

// Allowed reports whether the attempt may go on now. It is false for nil and for the zero value.
func (s *Assessment) Allowed() bool { return s != nil && s.Action == Allow }

// PolicyRef names the policy and segment an assessment was made under.
type PolicyRef struct {
	Name    string `json:"name"`
	Hash    string `json:"hash"` // SHA-256 of the canonical policy, hex
	Segment string `json:"segment"`
}

// Reason is one line of the explanation. Lines with Code "base", "cap" and "clamp" and no Signal are the engine's: the
// prior, what a group's bounds took away, and what the ends of the scale took away.
type Reason struct {
	Signal string `json:"signal,omitempty"`
	Code   string `json:"code,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Group  string `json:"group,omitempty"`
	Points int    `json:"points"`
	Public string `json:"public,omitempty"` // what the visitor may be told
	State  State  `json:"state,omitempty"`
	Kept   bool   `json:"kept,omitempty"` // said in an earlier attempt of the flow, and not again in this one
}

// Cause says why a signal could not tell.
type Cause string

// The causes.
const (
	CauseError    Cause = "error"    // Evaluate returned an error
	CauseTimeout  Cause = "timeout"  // no answer in time
	CausePanic    Cause = "panic"    // it panicked, or ended its goroutine
	CauseOverdue  Cause = "overdue"  // too many of its earlier calls still hang
	CauseInvalid  Cause = "invalid"  // it said something it had not declared
	CauseNotReady Cause = "notready" // no time was left to ask it
)

// SignalError says which signal could not tell and why. Its text and JSON form hold no data of the visitor; Err, which
// may, is for errors.Is and hooks.
type SignalError struct {
	Signal string `json:"signal"`
	Cause  Cause  `json:"cause"`
	Err    error  `json:"-"`
}

// Error names signal and cause only.
func (e SignalError) Error() string {
	return fmt.Sprintf("risk: signal %s could not tell: %s", e.Signal, e.Cause)
}

// Format prints Error for every verb: what the signal gave as cause may hold data of the visitor.
func (e SignalError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// Unwrap returns the cause as the signal gave it.
func (e SignalError) Unwrap() error { return e.Err }

// ShadowResult is what a shadow policy says about the same findings.
type ShadowResult struct {
	Policy PolicyRef `json:"policy"`
	Action Action    `json:"action"`
	Score  int       `json:"score"`
	Level  string    `json:"level"`
	// Open: what the live policy left unasked could have changed this one's answer, between Low and High.
	Open bool   `json:"open,omitempty"`
	Low  Action `json:"low,omitempty"`
	High Action `json:"high,omitempty"`
	// Failed: the shadow policy could not be judged.
	Failed bool `json:"failed,omitempty"`
}

// Timing is how long one signal took, as far as the engine waited for it.
type Timing struct {
	Signal string
	Took   time.Duration
}

// Task is how a client can give a missing proof.
type Task struct {
	Proof  Proof  `json:"proof"`
	Signal string `json:"signal"`
	Data   any    `json:"data,omitempty"` // what the signal's Asker said; nil when it has none
}

// Decision is what a sink records. Attempt and Findings hold personal data in clear for the sink to tag: a sink must
// not write them as they are.
type Decision struct {
	Attempt    *Attempt
	Assessment *Assessment
	Findings   []SignalFinding
}

// SignalFinding is a finding with the name of the signal that said it.
type SignalFinding struct {
	Signal string
	*Finding
	Kept bool // said in an earlier attempt of the same flow
}

package risk

import (
	"context"
	"time"
)

// Signal judges one aspect of an attempt. The engine calls it; it must be safe for concurrent use. Abilities beyond
// judging are the interfaces [Applier], [Asker], [Settler] and [Labeler].
type Signal interface {
	// Describe says what the signal is and may observe. It is called once, by NewEngine; its answer is constant.
	Describe() Description
	// Evaluate writes what it observed to f. The attempt is the signal's own copy and read-only; f must not be kept.
	// An error means that our side could not tell (timeout, 5xx, network), never a denial: what a visitor's own
	// content can cause is a code with state Absent or Invalid.
	Evaluate(ctx context.Context, a *Attempt, f *Finding) error
}

// Cost orders signals: cheap ones are asked first. The zero value is refused.
type Cost uint8

// The costs. A Local signal answers from memory, does no I/O and never blocks: it runs on the caller's goroutine.
// Costly ones cost money or patience and are asked only of attempts that need them.
const (
	Local Cost = iota + 1
	Stored
	Remote
	Costly
)

// FailMode says what an error of a signal may cost the visitor: at most this. The zero value is refused.
type FailMode uint8

// The fail modes. FailOpen is for signals whose input the visitor does not control.
const (
	FailOpen      FailMode = iota + 1 // the error is ignored and the assessment marked degraded
	FailChallenge                     // at most a challenge
	FailReview                        // at most a review
	FailClosed                        // at most the policy's last level
)

// State says what kind of observation a code is.
type State uint8

// The states. Absent: it was asked for, or the channel always carries it, and it did not come. Invalid: malformed,
// oversize, replayed, refused: all that the attempt's own content can cause.
const (
	Observed State = iota
	Absent
	Invalid
)

// Code is one observation a signal can make, and what it is worth by default.
type Code struct {
	// Name is the code's name within its signal, a Go identifier: "tor". Rules call it "ip.tor". A declaration may
	// carry the signal's name and a dot in front.
	Name string
	// State says whether it is an observation, missing evidence or invalid evidence.
	State State
	// Points are whole points of log-odds: 8 double the odds of abuse, negative ones are good evidence. At most 100
	// either way. A code with 0 points is there for rules.
	Points int
	// Floor, when not zero, is the least action an attempt with this code gets, whatever its score.
	Floor Action
	// Group holds codes that say the same thing; they are kept from counting twice. Empty: the signal's name.
	Group string
	// Public is what a visitor may be told; empty: nothing. It must not help an attacker.
	Public string
}

// FactKind is the type of a fact.
type FactKind uint8

// The kinds. The zero value is refused.
const (
	Number FactKind = iota + 1
	Text
)

// FactType is a number or text that rules may use and later signals may need.
type FactType struct {
	// Name is the fact's name within its signal, a Go identifier: "country". Rules call it "ip.country". A
	// declaration may carry the signal's name and a dot in front.
	Name string
	Kind FactKind
}

// Datum is one line of the privacy catalogue: something a signal collects.
type Datum struct {
	What string        // "IP prefix"
	Why  string        // "limits by network"
	Keep time.Duration // how long it is kept; zero: not beyond the assessment
	Form string        // "keyed hash", "clear", "not stored"
}

// Description says what a signal is.
type Description struct {
	// Name is a Go identifier, unique in the engine: "captcha". "flow" is the engine's own.
	Name string
	Cost Cost
	// Counts is for signals whose asking counts or spends (limits, sightings). They are always asked, before any
	// early stop. Counts with Costly is refused.
	Counts bool
	Codes  []Code
	Facts  []FactType
	// Needs lists facts of earlier steps that Evaluate reads, by full name: "ip.country".
	Needs []string
	// Proofs lists what it can prove.
	Proofs []Proof
	// Collects is its part of the privacy catalogue.
	Collects []Datum
	// Timeout bounds one Evaluate. Zero: 50 ms for Stored, 400 ms for Remote, 600 ms for Costly. It is cut to what is
	// left of the engine's budget.
	Timeout time.Duration
	// OnError must be named.
	OnError FailMode
}

// Applier is the ability to say that there is nothing to look at. Applies is cheap and local; false means the signal
// has answered with nothing.
type Applier interface {
	Applies(a *Attempt) bool
}

// Asker is the ability to say what the client must do to give a proof. The answer is marshalled as JSON for the
// client. It never spends money: sending an SMS is the host's own handler's.
type Asker interface {
	Ask(ctx context.Context, q Question) (any, error)
}

// Question asks a signal how a client can give a proof.
type Question struct {
	Attempt  *Attempt
	Proof    Proof
	Score    int    // of the assessment that asks
	Failures int    // invalid pieces of evidence seen in this flow so far
	Flow     string // to bind the answer to
}

// Settler is the ability to charge, refund, penalise or annotate once an attempt's fate is known. It is called with
// Judged by the engine before Assess returns, and later with what the application settles. Errors mean that it could
// not be done.
type Settler interface {
	Settle(ctx context.Context, s Settlement) error
}

// Outcome is what became of an attempt.
type Outcome uint8

// The outcomes. Judged is the engine's own; the others are given to Engine.Settle.
const (
	Judged    Outcome = iota + 1 // the assessment is made
	Completed                    // the application did what was attempted
	Refused                      // the visitor failed after the assessment: a wrong password, a wrong code
	Undone                       // our side failed (an insert): refund, the flow reopens once
)

// Settlement tells a signal what became of an attempt.
type Settlement struct {
	Attempt    *Attempt
	Assessment *Assessment
	Outcome    Outcome
	Receipt    string // what this signal's finding left with Finding.Receipt
}

// Labeler is the ability to learn that an account turned out fraudulent or good.
type Labeler interface {
	Label(ctx context.Context, l Label) error
}

// Verdict is what an attempt or account turned out to be. The zero value is refused.
type Verdict uint8

// The verdicts.
const (
	Good Verdict = iota + 1
	Fraud
)

// Label is a confirmed truth about an attempt or an account.
type Label struct {
	Assessment, Account string // what it is about: either or both
	Verdict             Verdict
	By, Reason          string // who says so, and why
	At                  time.Time
}

// SignalFunc makes a signal of a description and a function, for small signals of an application's own.
type SignalFunc struct {
	Description Description
	Func        func(ctx context.Context, a *Attempt, f *Finding) error
}

// Describe returns the description.
func (s SignalFunc) Describe() Description { return s.Description }

// Evaluate calls the function.
func (s SignalFunc) Evaluate(ctx context.Context, a *Attempt, f *Finding) error {
	return s.Func(ctx, a, f)
}

var _ Signal = SignalFunc{}

// ability finds an ability of s, looking through wrappers that have Unwrap() Signal.
func ability[T any](s Signal) (T, bool) {
	for range 16 {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(interface{ Unwrap() Signal })
		if !ok {
			break
		}
		s = w.Unwrap()
	}
	var none T
	return none, false
}

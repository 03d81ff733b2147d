package risk

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"time"
)

// Value is a fact's value: a number or a text. The zero value is neither.
type Value struct {
	kind FactKind
	num  float64
	text string
}

// NumberValue and TextValue make values, for tests.
func NumberValue(v float64) Value { return Value{kind: Number, num: v} }

// TextValue makes a text value.
func TextValue(v string) Value { return Value{kind: Text, text: v} }

// Kind is Number, Text or zero.
func (v Value) Kind() FactKind { return v.kind }

// Number returns the number; 0 for a text.
func (v Value) Number() float64 { return v.num }

// Text returns the text; "" for a number.
func (v Value) Text() string { return v.text }

// Observation is a code somebody observed and how strongly, 0 < Degree <= 1.
type Observation struct {
	Code   string
	Degree float64
}

// Fact is a named value.
type Fact struct {
	Name  string
	Value Value
}

// Finding is what one signal has to say about one attempt. The zero value says nothing and is ready for use. A signal
// writes it through its methods, in one goroutine, and must not keep it. Names may carry the signal's name and a dot
// in front. Codes and facts the signal has not declared make the whole finding an error of that signal.
type Finding struct {
	nObs    int32
	nFact   int32
	obs     [3]Observation
	moreObs []Observation
	fact    [1]Fact
	more    []Fact
	proofs  []Proof
	retry   time.Time
	receipt string
}

// Observe reports a code at full points.
func (f *Finding) Observe(code string) { f.ObserveAt(code, 1) }

// ObserveAt reports a code at points * degree, 0 < degree <= 1. Any other degree makes the finding an error. The
// strongest report of a code counts.
func (f *Finding) ObserveAt(code string, degree float64) {
	o := Observation{code, degree}
	if int(f.nObs) < len(f.obs) {
		f.obs[f.nObs] = o
		f.nObs++
		return
	}
	f.moreObs = append(f.moreObs, o)
}

// Number reports a number. NaN and infinities make the finding an error.
func (f *Finding) Number(fact string, v float64) { f.addFact(Fact{fact, NumberValue(v)}) }

// Text reports a text. It is cut to 256 bytes. It must not hold personal data: it reaches logs.
func (f *Finding) Text(fact, v string) {
	const most = 256
	if len(v) > most {
		v = v[:most]
	}
	f.addFact(Fact{fact, TextValue(v)})
}

func (f *Finding) addFact(v Fact) {
	if int(f.nFact) < len(f.fact) {
		f.fact[f.nFact] = v
		f.nFact++
		return
	}
	f.more = append(f.more, v)
}

// Prove reports proofs the attempt has given. ProofVoice gives ProofPhone too.
func (f *Finding) Prove(p ...Proof) {
	f.proofs = append(f.proofs, p...)
	if slices.Contains(p, ProofVoice) {
		f.proofs = append(f.proofs, ProofPhone)
	}
}

// Retry says that the action is at least Wait until then: a slow-down, a cool-down, the end of a ban. The latest call
// counts. Only Local and counting signals may call it.
func (f *Finding) Retry(at time.Time) {
	if at.After(f.retry) {
		f.retry = at
	}
}

// Receipt leaves a text that is handed back to this signal's Settle, is kept by flows and never logged. A counting
// signal that has charged leaves one, and is then not asked again when its flow continues. At most 4 KiB.
func (f *Finding) Receipt(s string) { f.receipt = s }

// Format prints the codes for every verb: facts, receipt and proofs are not for logs.
func (f Finding) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "finding")
	for o := range f.Observations() {
		_, _ = io.WriteString(s, " "+clip(o.Code))
	}
}

// Observations yields the codes reported, in order.
func (f *Finding) Observations() iter.Seq[Observation] {
	return func(yield func(Observation) bool) {
		for i := range f.observed() {
			if !yield(*f.observation(i)) {
				return
			}
		}
	}
}

// observed is how many codes were reported, observation one of them.
func (f *Finding) observed() int { return int(f.nObs) + len(f.moreObs) }

func (f *Finding) observation(i int) *Observation {
	if i < len(f.obs) {
		return &f.obs[i]
	}
	return &f.moreObs[i-len(f.obs)]
}

// factCount is how many facts were reported, factAt one of them.
func (f *Finding) factCount() int { return int(f.nFact) + len(f.more) }

func (f *Finding) factAt(i int) *Fact {
	if i < len(f.fact) {
		return &f.fact[i]
	}
	return &f.more[i-len(f.fact)]
}

// onlyOne reports whether one code was reported and nothing else, as most findings are.
func (f *Finding) onlyOne() bool {
	return f.nObs == 1 && f.nFact == 0 && f.proofs == nil && f.receipt == "" && f.retry.IsZero()
}

// used reports whether anything has been written.
func (f *Finding) used() bool {
	return f.nObs > 0 || f.nFact > 0 || f.proofs != nil || !f.retry.IsZero() || f.receipt != ""
}

// Facts yields the facts reported, in order.
func (f *Finding) Facts() iter.Seq[Fact] {
	return func(yield func(Fact) bool) {
		for i := range f.factCount() {
			if !yield(*f.factAt(i)) {
				return
			}
		}
	}
}

// Proofs returns the proofs reported.
func (f *Finding) Proofs() []Proof { return slices.Clone(f.proofs) }

// RetryAt returns the time given to Retry, or zero.
func (f *Finding) RetryAt() time.Time { return f.retry }

// ReceiptText returns the receipt. It is secret between the signal and its Settle.
func (f *Finding) ReceiptText() string { return f.receipt }

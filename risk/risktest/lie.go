package risktest

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// Lie is a way for a signal to say something it must not.
type Lie uint8

// The lies.
const (
	DegreeZero         Lie = iota + 1 // a degree of 0
	DegreeNegativeZero                // a degree of -0
	DegreeNegative                    // a degree below 0
	DegreeOver                        // a degree above 1
	DegreeNaN                         // a degree that is no number
	DegreeInf                         // an infinite degree
	UndeclaredCode                    // a code it does not declare
	EmptyCode                         // a code without a name
	HugeCode                          // a code with a name of 1 MiB
	UndeclaredFact                    // a fact it does not declare
	WrongKind                         // a text where it declares a number
	NumberNaN                         // a fact that is no number
	NumberInf                         // an infinite fact
	UndeclaredProof                   // a proof it does not declare
	RemoteRetry                       // a Retry, though it is neither Local nor counting
	HugeReceipt                       // a receipt over 4 KiB
)

var lieNames = map[Lie]string{DegreeZero: "degree 0", DegreeNegativeZero: "degree -0", DegreeNegative: "degree below 0",
	DegreeOver: "degree above 1", DegreeNaN: "degree NaN", DegreeInf: "degree infinite", UndeclaredCode: "undeclared code",
	EmptyCode: "empty code", HugeCode: "huge code", UndeclaredFact: "undeclared fact", WrongKind: "fact of the wrong kind",
	NumberNaN: "fact NaN", NumberInf: "fact infinite", UndeclaredProof: "undeclared proof", RemoteRetry: "remote retry",
	HugeReceipt: "huge receipt"}

// String names the lie.
func (l Lie) String() string { return lieNames[l] }

// Lies returns all lies, for tables.
func Lies() []Lie {
	out := make([]Lie, 0, len(lieNames))
	for l := DegreeZero; l <= HugeReceipt; l++ {
		out = append(out, l)
	}
	return out
}

// Lying makes a signal that declares a bad code "bad" (40 points), a number "number", and what opts lists, observes
// "bad" and then lies. The engine must count nothing of what it says. RemoteRetry is a lie only of a signal that
// neither is Local nor counts.
func Lying(name string, lie Lie, opts *Options) *Signal {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Codes = append(o.Codes[:len(o.Codes):len(o.Codes)], risk.Code{Name: "bad", Points: 40})
	o.Facts = append(o.Facts[:len(o.Facts):len(o.Facts)], risk.FactType{Name: "number", Kind: risk.Number})
	return newSignal(name, risk.Remote, &o, func(_ context.Context, _ *Signal, _ *risk.Attempt, f *risk.Finding) error {
		f.Observe("bad")
		lie.tell(f)
		return nil
	})
}

func (l Lie) tell(f *risk.Finding) {
	switch l {
	case DegreeZero:
		f.ObserveAt("bad", 0)
	case DegreeNegativeZero:
		f.ObserveAt("bad", math.Copysign(0, -1))
	case DegreeNegative:
		f.ObserveAt("bad", -0.5)
	case DegreeOver:
		f.ObserveAt("bad", math.Nextafter(1, 2))
	case DegreeNaN:
		f.ObserveAt("bad", math.NaN())
	case DegreeInf:
		f.ObserveAt("bad", math.Inf(1))
	case UndeclaredCode:
		f.Observe("undeclared")
	case EmptyCode:
		f.Observe("")
	case HugeCode:
		f.Observe(strings.Repeat("c", 1<<20))
	case UndeclaredFact:
		f.Number("undeclared", 1)
	case WrongKind:
		f.Text("number", "one")
	case NumberNaN:
		f.Number("number", math.NaN())
	case NumberInf:
		f.Number("number", math.Inf(-1))
	case UndeclaredProof:
		f.Prove("undeclared")
	case RemoteRetry:
		f.Retry(time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC))
	case HugeReceipt:
		f.Receipt(strings.Repeat("r", 4<<10+1))
	}
}

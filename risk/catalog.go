package risk

import (
	"errors"
	"fmt"
	"go/token"
	"slices"
	"strings"
	"time"
)

// flowSignal is the engine's own signal, always at index 0 of a catalog.
const flowSignal = "flow"

// The codes of the flow signal, by index in its declaration.
const (
	flowUnknown = iota
	flowExpired
	flowSpent
	flowMismatch
	flowChanged
)

func flowDescription() Description {
	return Description{
		Name: flowSignal, Cost: Local, OnError: FailOpen,
		Codes: []Code{
			{Name: "unknown", State: Invalid, Points: 6},
			{Name: "expired", State: Invalid},
			{Name: "spent", State: Invalid, Points: 8, Floor: Challenge},
			{Name: "mismatch", State: Invalid, Points: 14, Floor: Challenge},
			{Name: "changed", Points: 4},
		},
	}
}

// The bounds of what signals declare.
const (
	mostSignals = 4096
	mostCodes   = 256 // of one signal
	mostReceipt = 4 << 10

	mostProofsInAll = 64 // bits of a proofSet
)

// catalog is what the registered signals declare, with everything numbered.
type catalog struct {
	signals     []signalEntry
	codes       []codeEntry
	facts       []factEntry
	proofs      []Proof // at most 64; the index is the bit in a proofSet
	signalIndex map[string]int
	codeIndex   map[string]int // by full name
	factIndex   map[string]int

	steps    [5][]int // signals in the order they are asked
	inline   int      // how many of the counting signals are Local; they come first
	settlers []int
}

// signalEntry is a registered signal. signal is nil for the engine's own.
type signalEntry struct {
	signal  Signal
	desc    Description
	step    int
	proofs  proofSet
	codes   []int // in the catalog, in declared order
	facts   []int
	needs   []int // facts
	timeout time.Duration
	mode    FailMode // declared; policies may override

	applier Applier
	asker   Asker
	settler Settler
	labeler Labeler
}

type codeEntry struct {
	Code
	full   string
	signal int
	group  string
}

type factEntry struct {
	name   string // within its signal
	full   string
	kind   FactKind
	signal int
}

// newCatalog describes, checks and numbers the signals.
func newCatalog(signals []Signal) (*catalog, error) {
	if len(signals) > mostSignals {
		return nil, fmt.Errorf("risk: %d signals, at most %d", len(signals), mostSignals)
	}
	c := &catalog{signalIndex: map[string]int{}, codeIndex: map[string]int{}, factIndex: map[string]int{}}
	var errs []error
	note := func(err error) {
		if err != nil && len(errs) < mostProblems {
			errs = append(errs, err)
		}
	}
	var described []describedSignal
	for i, s := range signals {
		d, err := describeSignal(s)
		switch {
		case err != nil:
			note(fmt.Errorf("risk: signal %d: %w", i, err))
		case d.Name == flowSignal:
			note(fmt.Errorf("risk: signal %d: the name %q is the engine's own", i, flowSignal))
		default:
			described = append(described, describedSignal{s, d})
		}
	}
	// By name, so that registration order never shows.
	slices.SortStableFunc(described, func(a, b describedSignal) int { return strings.Compare(a.desc.Name, b.desc.Name) })
	described = slices.Insert(described, 0, describedSignal{nil, flowDescription()})
	note(c.numberProofs(described))
	for _, d := range described {
		note(c.register(d.signal, d.desc))
	}
	if len(errs) == 0 {
		note(c.resolveNeeds())
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c.order()
	return c, nil
}

type describedSignal struct {
	signal Signal
	desc   Description
}

// describeSignal calls Describe and survives what goes wrong in it.
func describeSignal(s Signal) (d Description, err error) {
	if s == nil {
		return d, errors.New("it is nil")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its Describe panicked (%T)", p)
		}
	}()
	d = s.Describe()
	d.Codes, d.Facts, d.Proofs, d.Needs = slices.Clone(d.Codes), slices.Clone(d.Facts), slices.Clone(d.Proofs), slices.Clone(d.Needs)
	return d, nil
}

// register adds one signal and checks what it declares.
func (c *catalog) register(s Signal, d Description) error {
	if !isName(d.Name) {
		return fmt.Errorf("risk: signal name %q: want a Go identifier of at most %d bytes that is no keyword", clip(d.Name), mostName)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("risk: signal %s: %s", d.Name, fmt.Sprintf(format, args...))
	}
	if _, taken := c.signalIndex[d.Name]; taken {
		return fail("a signal of this name is registered already")
	}
	switch {
	case d.Cost < Local || d.Cost > Costly:
		return fail("Cost is not set: want Local, Stored, Remote or Costly")
	case d.OnError < FailOpen || d.OnError > FailClosed:
		return fail("OnError is not set: want FailOpen, FailChallenge, FailReview or FailClosed")
	case d.Counts && d.Cost == Costly:
		return fail("a counting signal cannot be Costly: it is always asked")
	case d.Timeout < 0:
		return fail("Timeout is negative")
	case len(d.Codes) > mostCodes || len(d.Facts) > mostCodes:
		return fail("more than %d codes or facts", mostCodes)
	}
	e := signalEntry{signal: s, desc: d, step: stepOf(&d), timeout: timeoutOf(&d), mode: d.OnError}
	i := len(c.signals)
	for _, code := range d.Codes {
		if err := c.declareCode(&e, i, code); err != nil {
			return fail("%v", err)
		}
	}
	for _, f := range d.Facts {
		if err := c.declareFact(&e, i, f); err != nil {
			return fail("%v", err)
		}
	}
	e.proofs = c.withVoice(c.bits(d.Proofs))
	if s != nil {
		if err := e.findAbilities(s); err != nil {
			return fail("%v", err)
		}
	}
	c.signalIndex[d.Name] = i
	c.signals = append(c.signals, e)
	return nil
}

// findAbilities looks for them once, through wrappers.
func (e *signalEntry) findAbilities(s Signal) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its Unwrap panicked (%T)", p)
		}
	}()
	e.applier, _ = ability[Applier](s)
	e.asker, _ = ability[Asker](s)
	e.settler, _ = ability[Settler](s)
	e.labeler, _ = ability[Labeler](s)
	return nil
}

func (c *catalog) declareCode(e *signalEntry, signal int, code Code) error {
	code.Name = strings.TrimPrefix(code.Name, e.desc.Name+".")
	if !isName(code.Name) {
		return fmt.Errorf("code %q: want a Go identifier of at most %d bytes that is no keyword", clip(code.Name), mostName)
	}
	full := e.desc.Name + "." + code.Name
	if c.taken(full) {
		return fmt.Errorf("%s is declared twice", full)
	}
	if code.Points < -mostPoints || code.Points > mostPoints {
		return fmt.Errorf("code %s: %d points, want -%d to %d", full, code.Points, mostPoints, mostPoints)
	}
	if code.State > Invalid {
		return fmt.Errorf("code %s: unknown state", full)
	}
	if code.State != Observed && code.Points < 0 {
		return fmt.Errorf("code %s: missing or invalid evidence cannot be good evidence", full)
	}
	if code.Floor != 0 && (code.Floor == Wait || code.Floor == Allow || !slices.Contains(actions, code.Floor)) {
		return fmt.Errorf("code %s: the floor must be challenge, delay, review, lock or block", full)
	}
	if code.Floor != 0 && code.Points < 0 {
		return fmt.Errorf("code %s: good evidence cannot have a floor", full)
	}
	group := code.Group
	if group == "" {
		group = e.desc.Name
	}
	if strings.HasPrefix(group, ownGroup) || len(group) > mostName {
		return fmt.Errorf("code %s: group %q: want at most %d bytes, not beginning with %q", full, clip(group), mostName, ownGroup)
	}
	c.codeIndex[full] = len(c.codes)
	e.codes = append(e.codes, len(c.codes))
	c.codes = append(c.codes, codeEntry{Code: code, full: full, signal: signal, group: group})
	return nil
}

func (c *catalog) declareFact(e *signalEntry, signal int, f FactType) error {
	f.Name = strings.TrimPrefix(f.Name, e.desc.Name+".")
	if !isName(f.Name) {
		return fmt.Errorf("fact %q: want a Go identifier of at most %d bytes that is no keyword", clip(f.Name), mostName)
	}
	full := e.desc.Name + "." + f.Name
	if c.taken(full) {
		return fmt.Errorf("%s is declared twice", full)
	}
	if f.Kind != Number && f.Kind != Text {
		return fmt.Errorf("fact %s: Kind is not set: want Number or Text", full)
	}
	c.factIndex[full] = len(c.facts)
	e.facts = append(e.facts, len(c.facts))
	c.facts = append(c.facts, factEntry{name: f.Name, full: full, kind: f.Kind, signal: signal})
	return nil
}

func (c *catalog) taken(full string) bool {
	_, code := c.codeIndex[full]
	_, fact := c.factIndex[full]
	return code || fact
}

func isName(s string) bool { return len(s) <= mostName && token.IsIdentifier(s) }

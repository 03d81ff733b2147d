package ratelimit

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Kind says what a limit counts.
type Kind uint8

// The kinds.
const (
	// Attempts are charged when they are allowed.
	Attempts Kind = iota
	// Failures are only looked at by Decide and charged by [Limiter.Report]: wrong codes, failed CAPTCHAs.
	Failures
)

// Limit allows Count units per Per, Burst of them at once, for each value of one dimension. Several windows on one
// dimension are several limits. The rate is kept by GCRA (the generic cell rate algorithm) in whole microseconds,
// rounded so that it never grants more than it says.
type Limit struct {
	// Name names the limit in headers, logs, receipts and overrides; unique in its policy; 1 to 64 of a-z A-Z 0-9
	// _ . - /. What is stored hangs on it: a renamed limit starts full.
	Name string
	// Dim is what is counted by.
	Dim Dimension
	// Count is how many units are regained per Per, at least 1; Per is more than 0 and at most 366 days. A unit is
	// regained every Per/Count, rounded up to a microsecond.
	Count int64
	Per   time.Duration
	// Burst is how many units may be spent at once, at least 1. Zero: Count.
	Burst int64
	// On is what exceeding it means: Deny (a hard limit) or Challenge (a soft one). It must be named. Challenge is
	// right for what bystanders share (prefixes, CGNAT) and for what others may exhaust for a victim (e-mail).
	On Level
	// Kind is Attempts or Failures.
	Kind Kind
	// Failed names the failures that charge a limit of kind Failures; empty: all.
	Failed []Failure
	// Weight is the offence, in points, of an attempt this limit refuses: 0 (none) to 1000. Limits that honest
	// visitors trip, such as a re-send cool-down, weigh 0, and limits of class Shared must.
	Weight float64
	// ChargeDenied lets attempts this limit refuses count too, up to twice its burst, so that hammering keeps the
	// source out. For class Source only.
	ChargeDenied bool
	// Events and Clients are the events (endpoints) and client classes the limit is for; empty: all.
	Events, Clients []string
	// Class overrides the dimension's class, for custom dimensions. Zero: Dim.Class().
	Class Class
}

const (
	maxPer  = 366 * 24 * time.Hour
	maxSpan = 1 << 51 // microseconds a bucket takes to fill; with maxAt every sum is exact in a double (2^53)
	maxAt   = 1 << 52 // microseconds since 1970: the year 2112
)

// rate is a limit's numbers in the store's units.
type rate struct {
	interval int64 // microseconds per unit
	burst    int64
	limited  bool // false: an override that lifts the limit
}

func (r *rate) span() int64 { return r.interval * r.burst }

// newRate checks and converts count per period with a burst.
func newRate(count int64, per time.Duration, burst int64) (rate, error) {
	if count < 1 {
		return rate{}, fmt.Errorf("Count is %d, must be at least 1", count)
	}
	if per <= 0 || per > maxPer {
		return rate{}, fmt.Errorf("Per is %v, must be more than 0 and at most %v", per, maxPer)
	}
	if burst < 0 {
		return rate{}, fmt.Errorf("Burst is %d, must be at least 1 (0 means Count)", burst)
	}
	if burst == 0 {
		burst = count
	}
	interval := ceilDiv(ceilDiv(int64(per), 1000), count)
	if burst > maxSpan/interval {
		return rate{}, fmt.Errorf("Burst %d at one unit per %d µs takes longer than 71 years to fill; lower Burst or Per", burst, interval)
	}
	return rate{interval: interval, burst: burst, limited: true}, nil
}

// ceilDiv returns a/b rounded up, for a >= 0 and b > 0, without overflow.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 {
		q++
	}
	return q
}

// limit is a checked Limit with its store salt.
type limit struct {
	Limit
	rate   rate
	salt   Key
	weight int64 // thousandths
}

// compile checks l.
func (l *Limit) compile() (*limit, error) {
	c := &limit{Limit: *l}
	c.Events, c.Clients, c.Failed = slices.Clone(l.Events), slices.Clone(l.Clients), slices.Clone(l.Failed)
	if !validName(l.Name) {
		return nil, fmt.Errorf("limit %q: Name must be 1 to 64 of a-z A-Z 0-9 _ . - /", clip(l.Name))
	}
	class := l.Dim.Class()
	if class == 0 {
		return nil, fmt.Errorf("limit %q: unknown dimension %q", l.Name, clip(string(l.Dim)))
	}
	if c.Class == 0 {
		c.Class = class
	}
	var err error
	if c.rate, err = newRate(l.Count, l.Per, l.Burst); err != nil {
		return nil, fmt.Errorf("limit %q: %w", l.Name, err)
	}
	switch {
	case c.Class > Shared:
		return nil, fmt.Errorf("limit %q: unknown Class %d", l.Name, c.Class)
	case l.On != Deny && l.On != Challenge:
		return nil, fmt.Errorf("limit %q: On must be Deny (hard) or Challenge (soft)", l.Name)
	case l.Kind > Failures:
		return nil, fmt.Errorf("limit %q: unknown Kind %d", l.Name, l.Kind)
	case len(l.Failed) > 0 && l.Kind != Failures:
		return nil, fmt.Errorf("limit %q: Failed is for limits of kind Failures", l.Name)
	case l.ChargeDenied && c.Class != Source:
		return nil, fmt.Errorf("limit %q: ChargeDenied is for class Source only: others could be locked out by strangers", l.Name)
	case l.ChargeDenied && l.Kind == Failures:
		return nil, fmt.Errorf("limit %q: ChargeDenied is for limits of kind Attempts", l.Name)
	case l.Weight != 0 && c.Class == Shared:
		return nil, fmt.Errorf("limit %q: Weight must be 0 for class Shared: its denials are nobody's offence", l.Name)
	}
	if c.weight, err = thousandths(l.Weight); err != nil {
		return nil, fmt.Errorf("limit %q: Weight %w", l.Name, err)
	}
	return c, nil
}

// applies reports whether the limit is for the event and client class.
func (l *limit) applies(event, client string) bool {
	return (len(l.Events) == 0 || slices.Contains(l.Events, event)) &&
		(len(l.Clients) == 0 || slices.Contains(l.Clients, client))
}

// charged reports whether failure f charges the limit.
func (l *limit) charged(f Failure) bool {
	return l.Kind == Failures && (len(l.Failed) == 0 || slices.Contains(l.Failed, f))
}

// thousandths converts points to whole thousandths.
func thousandths(points float64) (int64, error) {
	if !(points >= 0 && points <= 1000) {
		return 0, fmt.Errorf("is %v, must be 0 to 1000", points)
	}
	return int64(math.Round(points * 1000)), nil
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

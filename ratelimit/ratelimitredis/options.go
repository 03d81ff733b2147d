package ratelimitredis

import (
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// FailMode says how decisions are made while Redis cannot be asked. Each such decision has Degraded set to an
// [*OutageError].
type FailMode int

// The fail modes.
const (
	// Local decides by a store in this process, which has been charged along with Redis all the time: an outage does not
	// begin with full buckets, and whom Redis has banned stays banned. The default.
	Local FailMode = iota
	// Open allows everything and charges nothing. Reports and refunds fail.
	Open
	// Closed denies everything. Reports and refunds fail.
	Closed
)

// Options of a store. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins all keys: 1 to 32 of A-Z a-z 0-9 _ . - ; default "vl". Stores with different prefixes on one Redis
	// share nothing.
	Prefix string
	// Timeout bounds each call, waiting for a connection included: 1 ms to 10 s, default 50 ms. An earlier deadline of
	// the call's context counts, its cancellation does not: a visitor who hangs up is charged.
	Timeout time.Duration
	// Fail is what happens when Redis cannot be asked; default Local.
	Fail FailMode
	// Instances is how many processes share the Redis, for Local: each then allows its part of every limit. 1 to
	// 100,000; default 1, with which an outage multiplies all limits by the number of processes.
	Instances int
	// Memory bounds the store of Local; nil: the defaults of ratelimit.NewMemory.
	Memory *ratelimit.MemoryOptions
	// Failures in a row open the breaker: from then on nobody waits for Redis, and every ProbeInterval one probe, on a
	// goroutine of its own, finds out whether it is back. 1 to 1000, default 5; ProbeInterval is 10 ms to 1 minute,
	// default 500 ms.
	Failures      int
	ProbeInterval time.Duration
	// MaxPending bounds how many calls may be waiting at once, for clients that do not keep context deadlines (see New):
	// 1 to 100,000, default 1024. Beyond it Redis counts as failing.
	MaxPending int
	// PerKeySlots gives each key a hash slot of its own, for flows above what one Redis core decides (about 30,000
	// sign-ups a second). A decision then is one pipeline of single-key scripts that reserve, and, when one refuses, a
	// second that gives back: it never admits too many, but may refuse an attempt while another one, refused in the end,
	// holds what it needs. It needs a redis.UniversalClient.
	PerKeySlots bool
	// Hooks observe outages; nil: nobody does.
	Hooks *Hooks
	// Now is the clock of the breaker and of Local's store; default time.Now.
	Now func() time.Time
	// InsecureNow replaces Redis's clock by the caller's, for tests. In production the clocks of several machines
	// differ, and so would their limits.
	InsecureNow func() time.Time
}

// Hooks observe a store. Each may be nil; they must not block.
type Hooks struct {
	// Down is called when the breaker opens, with the last error, and Up when a probe has found Redis well again, with
	// how long it was open.
	Down func(cause error)
	Up   func(after time.Duration)
	// Failed is called for each call that Redis did not answer as it should, also while the breaker is closed.
	Failed func(cause error)
}

// simulatedTTL is added to what is stored at a simulated time, which may stand still, in milliseconds.
const simulatedTTL = int64(time.Hour / time.Millisecond)

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Prefix == "" {
		c.Prefix = "vl"
	}
	if len(c.Prefix) > 32 {
		return c, errors.New("ratelimitredis: Prefix is longer than 32 bytes")
	}
	for _, r := range c.Prefix {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-') {
			return c, fmt.Errorf("ratelimitredis: Prefix has %q; use letters, digits, _ . and -", r)
		}
	}
	for _, f := range []struct {
		name             string
		v                *time.Duration
		normal, min, max time.Duration
	}{
		{"Timeout", &c.Timeout, 50 * time.Millisecond, time.Millisecond, 10 * time.Second},
		{"ProbeInterval", &c.ProbeInterval, 500 * time.Millisecond, 10 * time.Millisecond, time.Minute},
	} {
		if *f.v == 0 {
			*f.v = f.normal
		}
		if *f.v < f.min || *f.v > f.max {
			return c, fmt.Errorf("ratelimitredis: %s is %v, must be %v to %v (0 means %v)", f.name, *f.v, f.min, f.max, f.normal)
		}
	}
	for _, f := range []struct {
		name        string
		v           *int
		normal, max int
	}{
		{"Instances", &c.Instances, 1, 100_000},
		{"Failures", &c.Failures, 5, 1000},
		{"MaxPending", &c.MaxPending, 1024, 100_000},
	} {
		if *f.v == 0 {
			*f.v = f.normal
		}
		if *f.v < 1 || *f.v > f.max {
			return c, fmt.Errorf("ratelimitredis: %s is %d, must be 1 to %d (0 means %d)", f.name, *f.v, f.max, f.normal)
		}
	}
	if c.Fail < Local || c.Fail > Closed {
		return c, fmt.Errorf("ratelimitredis: Fail is %d; use Local, Open or Closed", c.Fail)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Hooks == nil {
		c.Hooks = &Hooks{}
	}
	return c, nil
}

// String returns the mode's name.
func (m FailMode) String() string {
	switch m {
	case Local:
		return "local"
	case Open:
		return "open"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("failmode(%d)", int(m))
}

// OutageError is why a decision was made without Redis.
type OutageError struct {
	// Cause is what Redis, or the way to it, failed at: for this call, or, when Skipped, for the one that opened the
	// breaker or the last probe.
	Cause error
	// Skipped: the breaker was open and Redis was not asked. Otherwise it was, and a call whose answer never came may
	// have been carried out.
	Skipped bool
}

// Error names the cause.
func (e *OutageError) Error() string {
	if e.Skipped {
		return "ratelimitredis: Redis is not asked: " + e.Cause.Error()
	}
	return "ratelimitredis: " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *OutageError) Unwrap() error { return e.Cause }

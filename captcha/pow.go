package captcha

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// MaxToken is the most bytes of an answer that are looked at.
const MaxToken = 8 << 10

// PoWOptions of a PoW. The zero value and nil mean the defaults.
type PoWOptions struct {
	// Now is the wall clock; default time.Now. Instances that share keys need clocks that differ by less than Skew.
	Now func() time.Time
	// Algorithm of issued challenges; default PBKDF2SHA256. Plain hashes are not issued: native code computes them
	// thousands of times faster than a browser.
	Algorithm string
	// Steps is the difficulty table; default DefaultSteps, which fits PBKDF2 only.
	Steps []Step
	// Deterministic publishes half of a key the server derived for a counter of its own choice, uniform from 1 to
	// twice the step's mean. The wait is bounded, which is better on phones, and verifying takes no derivation; issuing
	// takes one instead, so limit who may ask for challenges.
	Deterministic bool
	// TTL is how long a challenge may be answered, in whole seconds; default 5 minutes, 10 seconds to 1 hour.
	TTL time.Duration
	// Skew is how far clocks of instances may differ and a clock may go back; default 2 minutes, at most 1 hour. It
	// never lengthens a challenge's life; it keeps replay marks longer.
	Skew time.Duration
	// MinCost and MaxCost bound the iterations of PBKDF2 that are accepted; default 1000 and 200,000.
	MinCost, MaxCost int
	// MaxDerivations bounds the derivations that run at once; default GOMAXPROCS. Others wait for a slot until their
	// context ends.
	MaxDerivations int
	// KDFs are further algorithms, accepted and, if named by Algorithm, issued.
	KDFs []KDF
	// InsecurePlainHash accepts SHA-256, SHA-384 and SHA-512 challenges of another ALTCHA server that shares the key.
	// They hardly cost an attacker anything: leave it off unless you are moving away from such a server.
	InsecurePlainHash bool
}

// PoW issues and verifies proofs of work as ALTCHA v2 (https://altcha.org/docs/v2/proof-of-work-captcha): any ALTCHA v2
// widget, and the script served by [Script], can solve its challenges. Build it with NewPoW. It is safe for
// concurrent use.
type PoW struct {
	now           func() time.Time
	algorithm     string
	steps         []Step
	deterministic bool
	ttl, skew     time.Duration
	kdfs          map[string]KDF
	guard         ReplayGuard
	slots         chan struct{}
	signers       atomic.Pointer[[]*signer]
	latest        atomic.Int64 // the latest second the clock has shown
	attempts      *attempts
}

var (
	_ Provider   = (*PoW)(nil)
	_ Challenger = (*PoW)(nil)
	_ Offline    = (*PoW)(nil)
)

// NewPoW makes a PoW. The guard must be named, because no default is right for everybody: NewMemoryGuard for one
// instance, a shared one for several.
func NewPoW(keys Keys, guard ReplayGuard, opts *PoWOptions) (*PoW, error) {
	var o PoWOptions
	if opts != nil {
		o = *opts
	}
	if guard == nil {
		return nil, errors.New("captcha: no replay guard; give NewMemoryGuard's for one instance, a shared one for several")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Algorithm == "" {
		o.Algorithm = PBKDF2SHA256
	}
	if err := defaultDuration(&o.TTL, "TTL", 5*time.Minute, 10*time.Second, time.Hour); err != nil {
		return nil, err
	}
	if err := defaultDuration(&o.Skew, "Skew", 2*time.Minute, time.Second, time.Hour); err != nil {
		return nil, err
	}
	if err := defaultInt(&o.MinCost, "MinCost", defaultMinCost, 1, math.MaxInt32); err != nil {
		return nil, err
	}
	if err := defaultInt(&o.MaxCost, "MaxCost", max(defaultMaxCost, o.MinCost), o.MinCost, math.MaxInt32); err != nil {
		return nil, err
	}
	if err := defaultInt(&o.MaxDerivations, "MaxDerivations", runtime.GOMAXPROCS(0), 1, 4096); err != nil {
		return nil, err
	}
	p := &PoW{
		now: o.Now, algorithm: o.Algorithm, steps: slices.Clone(o.Steps), deterministic: o.Deterministic,
		ttl: o.TTL, skew: o.Skew, guard: guard,
		kdfs:     builtinKDFs(o.MinCost, o.MaxCost, o.InsecurePlainHash),
		slots:    make(chan struct{}, o.MaxDerivations),
		attempts: newAttempts(),
	}
	for _, k := range o.KDFs {
		if k == nil {
			return nil, errors.New("captcha: a KDF is nil")
		}
		name := k.Algorithm()
		if _, dup := p.kdfs[name]; dup || name == "" || isPlain(name) {
			return nil, fmt.Errorf("captcha: a KDF calls itself %q, which is empty or taken", name)
		}
		p.kdfs[name] = k
	}
	kdf, ok := p.kdfs[o.Algorithm]
	if !ok || isPlain(o.Algorithm) {
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(p.kdfs)), isPlain)
		return nil, fmt.Errorf("captcha: cannot issue algorithm %q; choose one of %q, or add its KDF", o.Algorithm, names)
	}
	if p.steps == nil {
		if _, ok := kdf.(*pbkdf2KDF); !ok {
			return nil, fmt.Errorf("captcha: algorithm %q needs Steps of its own; the default table fits PBKDF2 only", o.Algorithm)
		}
		p.steps = DefaultSteps()
	}
	if err := checkSteps(p.steps, kdf); err != nil {
		return nil, err
	}
	if err := p.SetKeys(keys); err != nil {
		return nil, err
	}
	return p, nil
}

// SetKeys replaces the keys, atomically. On an error the old ones stay.
func (p *PoW) SetKeys(keys Keys) error {
	s, err := newSigners(keys, p.ttl+p.skew)
	if err != nil {
		return err
	}
	p.signers.Store(&s)
	return nil
}

// Name is "pow".
func (p *PoW) Name() string { return "pow" }

// Offline is true.
func (p *PoW) Offline() bool { return true }

// Format prints the algorithm only, for every verb.
func (p *PoW) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// String names the algorithm only.
func (p *PoW) String() string {
	if p == nil {
		return "captcha.PoW(nil)"
	}
	return "captcha.PoW(" + p.algorithm + ")"
}

// LogValue logs the algorithm only.
func (p *PoW) LogValue() slog.Value { return slog.StringValue(p.String()) }

// clock reads the time. A clock that has gone back by more than the skew could make answers fresh whose marks are gone,
// and is an error.
func (p *PoW) clock() (time.Time, error) {
	now := p.now()
	sec := now.Unix()
	for {
		latest := p.latest.Load()
		if sec < latest-int64(p.skew/time.Second) {
			return now, p.fail(FaultCaller, ErrClock)
		}
		if sec <= latest || p.latest.CompareAndSwap(latest, sec) {
			return now, nil
		}
	}
}

// fail makes an error; a cancelled context is nobody's fault.
func (p *PoW) fail(f Fault, err error) *Error {
	if errors.Is(err, context.Canceled) {
		f = FaultNone
	}
	return &Error{Provider: p.Name(), Fault: f, Retryable: f == FaultProvider, Err: err}
}

func defaultDuration(d *time.Duration, name string, def, least, most time.Duration) error {
	if *d == 0 {
		*d = def
	}
	if *d < least || *d > most || *d%time.Second != 0 {
		return fmt.Errorf("captcha: %s is %v; it must be whole seconds from %v to %v, or 0 for %v", name, *d, least, most, def)
	}
	return nil
}

func defaultInt(n *int, name string, def, least, most int) error {
	if *n == 0 {
		*n = def
	}
	if *n < least || *n > most {
		return fmt.Errorf("captcha: %s is %d; it must be %d to %d, or 0 for %d", name, *n, least, most, def)
	}
	return nil
}

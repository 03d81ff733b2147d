package ratelimitredis

import (
	"sync"
	"sync/atomic"
	"time"
)

// breaker keeps callers from waiting for a Redis that does not answer. Its methods may be called concurrently.
type breaker struct {
	failures atomic.Int64 // in a row
	opened   atomic.Bool

	mu      sync.Mutex // guards all below
	cause   *OutageError
	since   time.Time
	next    time.Time // of the next probe
	probing bool
}

// state returns nil when Redis may be asked, else why not, and whether the caller shall start a probe.
func (k *breaker) state(now time.Time, every time.Duration) (why *OutageError, probe bool) {
	if !k.opened.Load() {
		return nil, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.opened.Load() {
		return nil, false
	}
	if !k.probing && !now.Before(k.next) {
		k.probing, probe = true, true
		k.next = now.Add(every)
	}
	return k.cause, probe
}

// good notes an answer. One that comes after the breaker has opened changes nothing: that is for the probe to say.
func (k *breaker) good() {
	if k.failures.Load() != 0 {
		k.failures.Store(0)
	}
}

// bad notes a failure and reports whether it opened the breaker.
func (k *breaker) bad(err error, most int64, now time.Time, every time.Duration) bool {
	if k.failures.Add(1) < most || k.opened.Load() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opened.Load() {
		return false
	}
	k.cause = &OutageError{Cause: err, Skipped: true}
	k.since, k.next, k.probing = now, now.Add(every), false
	k.opened.Store(true)
	return true
}

// probed notes the outcome of a probe, and returns for how long the breaker was open when it closed it.
func (k *breaker) probed(err error, now time.Time, every time.Duration) (after time.Duration, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.probing = false
	if err != nil {
		k.cause = &OutageError{Cause: err, Skipped: true}
		k.next = now.Add(every)
		return 0, false
	}
	k.failures.Store(0)
	k.opened.Store(false)
	return now.Sub(k.since), true
}

package riskhttp

import (
	"errors"
	"fmt"
)

// ErrForwarded says that the walk over a trusted proxy's forwarding header ended early: a hop is no address, or there
// are too many. It points at the configuration of a proxy, for what a visitor sends stands left of what the proxies
// add. Test with errors.Is.
var ErrForwarded = errors.New("riskhttp: the forwarding header of a trusted proxy cannot be read")

// ErrNoAddress says that the connection has no IP address, and no trusted proxy named one. Test with errors.Is.
var ErrNoAddress = errors.New("riskhttp: the request has no client address")

// errAllowed: Answer was called for an attempt that may go on.
var errAllowed = errors.New("riskhttp: Answer was called for an allowed attempt: check Allowed first")

// errNotResumed: the flow misses proofs, and the engine cannot say how to give them.
var errNotResumed = errors.New("riskhttp: the engine could not state a flow's challenge again")

// PanicError says that a collector panicked. Its text names the collector only; Value may hold personal data.
type PanicError struct {
	Collector int // index in Options.Collectors
	Value     any // what it panicked with
}

// Error names the collector and the type of the panic's value.
func (e *PanicError) Error() string {
	return fmt.Sprintf("riskhttp: collector %d panicked with a %T", e.Collector, e.Value)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// BodyError says that [JSON] or [Form] could not read a body. Its text holds nothing of the body; Err may.
type BodyError struct{ Err error }

// Error names no content.
func (e *BodyError) Error() string {
	return "riskhttp: the request's body cannot be read as what it should be"
}

// Unwrap returns the decoder's error.
func (e *BodyError) Unwrap() error { return e.Err }

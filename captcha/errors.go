package captcha

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrBusy means that every slot for key derivations stayed taken until the context's deadline.
var ErrBusy = errors.New("captcha: all derivation slots are busy")

// ErrClock means that the clock went back further than the skew allowed, so that spent answers could be fresh again.
var ErrClock = errors.New("captcha: the clock went back further than PoWOptions.Skew; set it right or build a new verifier")

// Error means that an answer could not be verified, or a challenge not made; it never means a refusal. It holds no token and no secret. Read its
// fields with errors.AsType.
type Error struct {
	// Provider is the name of the provider.
	Provider string
	// Fault is FaultCaller or FaultProvider, or FaultNone when the context was cancelled: a visitor who hangs up is
	// nobody's outage.
	Fault Fault
	// Reason says more.
	Reason Reason
	// Sent: the provider may have seen the token, so that sending it again could burn it.
	Sent bool
	// Status is the HTTP status that was answered; 0: none.
	Status int
	// Retryable: another provider may be asked. It never means that the same token may be sent again.
	Retryable bool
	// RetryAfter is how long the provider wants to be left alone; 0: unknown.
	RetryAfter time.Duration
	// Err is the cause.
	Err error
}

// Error names provider, fault, status and cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "captcha: %s could not tell (fault: %s", e.Provider, e.Fault)
	if e.Status != 0 {
		fmt.Fprintf(&b, ", HTTP status %d", e.Status)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, ", %s", e.Reason)
	}
	b.WriteByte(')')
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(strings.TrimPrefix(e.Err.Error(), "captcha: "))
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

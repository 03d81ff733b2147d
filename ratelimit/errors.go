package ratelimit

import "errors"

// Errors of a limiter. None of them is a refusal: refusals are decisions.
var (
	// ErrNoAddress: a limit on addresses applies and the subject has none, or the unspecified one. Counting those
	// together would let one visitor shut out the rest.
	ErrNoAddress = errors.New("ratelimit: the subject has no address, which its limits count by")
	// ErrCost: the subject's cost is negative or above the burst of a limit, which could never allow it.
	ErrCost = errors.New("ratelimit: the cost is negative or above a limit's burst")
	// ErrSubject: the subject has more values, or a longer tenant, than the bounds documented at Subject.
	ErrSubject = errors.New("ratelimit: the subject is too large")
	// ErrReceipt: a receipt is not one of this version, or was changed.
	ErrReceipt = errors.New("ratelimit: invalid receipt")
)

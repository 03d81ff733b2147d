package phone

import (
	"context"
	"fmt"
)

// Hosted is a service that makes, sends and checks codes itself. [Verifier] puts its own limits, budgets and conversion
// monitor in front, counts tries itself, and lets each right code pass once, whatever the service says. It is not asked
// about codes that were never sent: that these are found wrong sooner shows what was not sent.
type Hosted interface {
	// Start asks the service to send a code. Receipt.Ref names the verification. Errors are as of [Sender].
	Start(ctx context.Context, m Message) (Receipt, error)
	// Check asks whether a code is right. An error means that the service could not tell.
	Check(ctx context.Context, ref string, n Number, code Code) (HostedVerdict, error)
}

// HostedVerdict is what a hosted service says about a code.
type HostedVerdict uint8

// The verdicts.
const (
	HostedWrong    HostedVerdict = iota + 1
	HostedApproved               // this code is right
	HostedGone                   // expired, used up or not known
	HostedTooMany                // the service compares no more
)

// checkHosted takes a try and counts a failure first, asks the service, and takes the failure back if the code was right:
// whoever cuts the connection in between has failed.
func (v *Verifier) checkHosted(ctx context.Context, r CheckRequest, c *Check, code Code) (Result, error) {
	ctx = context.WithoutCancel(ctx)
	reserve := *c
	reserve.Mode, reserve.MACs = Reserve, nil
	bounded, cancel := v.bounded(ctx)
	err := v.store.Check(bounded, &reserve)
	cancel()
	if err != nil {
		return Result{}, fmt.Errorf("phone: reserving a check: %w", err)
	}
	if reserve.Outcome != Reserved {
		return reserve.result()
	}
	h := v.o.Hosted[reserve.Channel]
	if h == nil || reserve.Sent == "" {
		// Sent by a sender of our own, or not known to have been sent.
		return Result{Counted: true, Left: reserve.Left, Channel: reserve.Channel}, nil
	}
	asking, stop := context.WithTimeout(ctx, v.o.SendTimeout)
	verdict, err := h.Check(asking, reserve.Sent, r.Number, code)
	stop()
	if err != nil {
		return Result{}, fmt.Errorf("phone: the service could not check a code: %w", err)
	}
	if verdict == HostedApproved {
		c.Mode, c.MACs, c.At, c.Ref = Confirm, nil, reserve.Now, reserve.Sent
		bounded, cancel := v.bounded(ctx)
		defer cancel()
		if err := v.store.Check(bounded, c); err != nil {
			return Result{}, fmt.Errorf("phone: consuming a code: %w", err)
		}
		c.Left = reserve.Left
		return c.result()
	}
	// Too many for the service is no more than wrong: a lock of its own would tell the visitor that a code was sent.
	return Result{Counted: true, Left: reserve.Left, Channel: reserve.Channel}, nil
}

package phone

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// sendJob is one message that is paid for.
type sendJob struct {
	v     *Verifier
	r     StartRequest
	ch    Channel
	code  Code
	is    *Issue
	fresh bool // a new code
}

// run sends and settles. It survives a sender that panics.
func (j *sendJob) run(ctx context.Context, out *Challenge) {
	receipt, err := j.send(ctx)
	report := SendReport{Region: j.r.Number.Region(), Channel: j.ch, Ref: receipt.Ref, Err: err}
	switch {
	case err == nil:
		j.settle(ctx, receipt, false)
	case Refused(err):
		out.Outcome, out.Err = Failed, err
		j.settle(ctx, receipt, true)
	default: // a message may be on its way: nothing is given back
		out.Outcome, out.Err = Unsure, err
	}
	if j.v.o.OnSend != nil {
		j.v.o.OnSend(report)
	}
}

func (j *sendJob) send(ctx context.Context) (receipt Receipt, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &SendError{Reason: SendUnknown, Err: fmt.Errorf("the sender panicked with %T", p)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, j.v.o.SendTimeout)
	defer cancel()
	brand := Brand(j.r.Brand)
	if brand == "" {
		brand = j.v.o.Brand
	}
	locale := j.r.Locale
	if locale == "" || len(locale) > 35 {
		locale = "en"
	}
	// The number of the message is part of its name: a repeated attempt has the same, the next message another.
	id := Key(j.is.LiveSeed).String() + "-" + strconv.Itoa(j.is.Sent)
	m := Message{ID: id, To: j.r.Number, Channel: j.ch, Brand: brand, Locale: locale, TTL: j.v.o.TTL}
	if h := j.v.o.Hosted[j.ch]; h != nil {
		return h.Start(ctx, m)
	}
	m.Code = j.code
	m.Text = j.v.write.write(locale, brand, j.code)
	receipt, err = j.v.senders[j.ch].Send(ctx, m)
	if err != nil {
		if _, ok := errors.AsType[*SendError](err); !ok {
			err = &SendError{Reason: SendUnknown, Err: errors.New("the sender failed")} // its text may hold anything
		}
	}
	return receipt, err
}

// settle corrects what was reserved. Errors are let go: too much is charged then, never too little.
func (j *sendJob) settle(ctx context.Context, receipt Receipt, refused bool) {
	st := &Settle{Tenant: j.r.Tenant, Record: j.is.Record, Flow: j.is.Flow, At: j.is.At}
	for _, q := range j.is.Quotas {
		if !q.Money {
			continue
		}
		delta := int64(0)
		if refused {
			delta = -q.Cost
		} else if receipt.HasPrice {
			delta = max(0, receipt.Price) - q.Cost
		}
		if delta != 0 {
			q.Cost = delta
			st.Adjust = append(st.Adjust, q)
		}
	}
	if refused {
		if j.fresh {
			st.Retract = j.is.Routes
		}
	} else if receipt.Ref != "" {
		if j.v.o.Hosted[j.ch] != nil {
			st.Ref = receipt.Ref
		}
		if j.v.routes != nil {
			st.Message = j.v.keys.index(useMessage, j.r.Tenant, receipt.Ref)
			st.Routes = j.is.Routes
		}
	}
	if len(st.Adjust) == 0 && len(st.Retract) == 0 && st.Ref == "" && st.Message == (Key{}) {
		return
	}
	ctx, cancel := j.v.bounded(ctx)
	defer cancel()
	_ = j.v.store.Settle(ctx, st)
}

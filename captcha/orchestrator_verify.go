package captcha

import (
	"context"
	"encoding/hex"
	"errors"
	"time"
)

// Verify implements Provider. in.Token is what [Join] makes, or in.Fields has the ticket under FieldTicket. The answer is
// given to the member the ticket names and to no other; Expect.CData is the ticket's. An answer that was sent and not answered is never sent again:
// it stays unverified, so that our time-out does not become the visitor's replay.
func (o *Orchestrator) Verify(ctx context.Context, in Request) (Result, error) {
	res := Result{Provider: o.Name()}
	if in.Token == "" && len(in.Fields) == 0 {
		return res.refused(ReasonMissing), nil
	}
	if len(in.Token) > o.MaxEvidence() {
		return res.refused(ReasonMalformed), nil
	}
	now := o.opts.Now()
	text, tokens, fields := split(&in)
	who := in.Expect.Session
	if who == "" {
		who = in.Visitor
	}
	t, why := openTicket(o.signers, text, &in.Expect, who, now)
	if t == nil {
		return res.refused(why), nil
	}
	i, ok := o.byName[t.first]
	if !ok { // no longer a member
		return res.refused(ReasonExpired), nil
	}
	if len(tokens) == 0 && len(fields) == 0 || len(tokens) > 0 && tokens[0] == "" {
		return res.refused(ReasonMissing), nil
	}
	if len(tokens) > 2 || len(tokens) == 2 && t.second == "" {
		return res.refused(ReasonMalformed), nil
	}
	in.Expect.CData = t.nonce
	first, other := in, in
	first.Token, first.Fields = "", fields
	if len(tokens) > 0 {
		first.Token = tokens[0]
	}
	var beside chan Result
	if j, known := o.byName[t.second]; t.second != "" && known {
		if len(tokens) < 2 || tokens[1] == "" {
			r := Result{Provider: t.second}.refused(ReasonMissing)
			res.Second = &r
		} else {
			other.Token, other.Fields = tokens[1], nil
			beside = make(chan Result, 1)
			go func() {
				r := Result{Provider: t.second, Reason: ReasonProvider, Fault: FaultProvider}
				defer func() {
					_ = recover() // a provider that panics here would end the process; its answer stays unverified
					beside <- r
				}()
				r, _ = o.ask(ctx, j, other, t, "")
			}()
		}
	}
	keep := res.Second
	res, err := o.ask(ctx, i, first, t, t.work)
	res.Second = keep
	if beside != nil {
		r := <-beside
		res.Second = &r
	}
	var seed [32]byte
	if res.Outcome != Passed {
		seed = o.seed(in.Expect.Tenant, who)
	}
	switch {
	case res.Outcome == Failed && o.opts.Failures != nil:
		_ = o.opts.Failures.Add(context.WithoutCancel(ctx), hex.EncodeToString(seed[:16]), res.Reason) // costs a step, not the verdict
	case res.Outcome == Unverified && res.Fault == FaultNone:
		return res, err
	case res.Outcome == Unverified:
		o.visitors.failed(seed, now, i, o.opts.TTL)
		if res.Policy = o.opts.Unverified; res.Policy != UnverifiedError {
			return res, nil
		}
		if err == nil {
			err = &Error{Provider: res.Provider, Fault: res.Fault, Reason: res.Reason, Retryable: res.Fault == FaultProvider}
		}
	}
	return res, err
}

// ask has one member verify one answer, with circuit and replay guard. A result without an error may be Unverified.
func (o *Orchestrator) ask(ctx context.Context, i int, in Request, t *ticket, work string) (Result, error) {
	m := o.members[i]
	out := Result{Provider: m.name}
	var spent, unsettled ReplayKey
	life := o.opts.TTL + time.Hour
	if m.remote {
		text := in.Token
		if len(in.Fields) > 0 {
			for _, name := range geetestParts {
				text += "\x00" + in.Fields[name]
			}
		}
		spent = TokenKey(m.name, text)
		unsettled = spent
		unsettled[len(unsettled)-1] ^= 1 // another key: hashes of tokens do not come so close
		// A guard that fails is no reason to refuse: the provider itself takes each token once.
		if used, err := o.guard.Spent(ctx, spent); err == nil && used {
			return out.refused(ReasonReplayed), nil
		}
		if before, err := o.guard.Spent(ctx, unsettled); err == nil && before {
			out.Reason, out.Fault = ReasonUnsettled, FaultProvider
			return out, nil
		}
	}
	start := o.opts.Now()
	ok, probe := m.health.allow(start)
	if !ok {
		out.Reason, out.Fault = ReasonOpen, FaultProvider
		return out, nil
	}
	finished := false
	if probe {
		defer func() {
			if !finished { // a panic must not keep the circuit half-open for ever
				m.health.done(o.opts.Now(), 0, true, &Result{Reason: ReasonProvider, Fault: FaultProvider})
			}
		}()
	}
	res, err := m.Provider.Verify(ctx, in)
	finished = true
	sent := false
	if err != nil {
		e, known := errors.AsType[*Error](err)
		switch {
		case known:
			res.Reason, res.Fault, sent = e.Reason, e.Fault, e.Sent
		case errors.Is(err, context.Canceled):
			res.Reason, res.Fault = ReasonCanceled, FaultNone
		default:
			res.Reason, res.Fault = ReasonProvider, FaultProvider
		}
		res.Outcome = Unverified
	} else if res.Outcome != Passed && res.Outcome != Failed {
		res.Outcome = Unverified
		if res.Fault != FaultCaller {
			res.Fault = FaultProvider
		}
	}
	if res.Provider == "" {
		res.Provider = m.name
	}
	now := o.opts.Now()
	if state, changed := m.health.done(now, now.Sub(start), probe, &res); changed && o.opts.OnChange != nil {
		o.opts.OnChange(Change{m.name, state, res.Reason})
	}
	switch {
	case res.Outcome == Unverified && m.remote && sent:
		_, _ = o.guard.Spend(context.WithoutCancel(ctx), unsettled, life) // what is forgotten is at worst judged a replay by the provider
	case res.Outcome == Passed && work != "" && hex.EncodeToString(res.ReplayKey[:workTag]) != work:
		return res.refused(ReasonTicket), nil
	case res.Outcome == Passed && m.remote:
		if first, err := o.guard.Spend(context.WithoutCancel(ctx), spent, life); err == nil && !first {
			return res.refused(ReasonReplayed), nil
		}
	}
	res.Anomaly = m.health.anomalous()
	return res, err
}

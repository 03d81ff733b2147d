package captcha

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"time"
)

// Challenge implements Challenger: it assigns a member, makes its task and signs a ticket for it. A member that cannot
// make a task is passed over. An error means that none could.
func (o *Orchestrator) Challenge(ctx context.Context, r ChallengeRequest) (Task, error) {
	now := o.opts.Now()
	who := r.Session
	if who == "" {
		who = r.Visitor
	}
	seed := o.seed(r.Tenant, who)
	last, avoid := o.visitors.last(seed, now)
	step, rung, second := 0, Rung(0), false
	if o.opts.Ladder != nil {
		if o.opts.Failures != nil {
			if n, err := o.opts.Failures.Count(ctx, hex.EncodeToString(seed[:16])); err == nil {
				r.Failures = max(r.Failures, n)
			}
		}
		step = o.opts.Ladder.Choose(last, r.Score, r.Failures)
		s := o.opts.Ladder.Step(step)
		rung, second = s.Rung, s.Second
		o.visitors.note(seed, now, step, o.opts.TTL+o.opts.Epoch)
	}
	epoch := now.UnixNano() / int64(o.opts.Epoch)
	t := ticket{expires: now.Add(o.opts.TTL).Unix(), step: step, nonce: newNonce()}
	tried := uint64(0)
	var task Task
	for {
		i := o.assign(seed, epoch, now, rung, avoid, tried)
		if i < 0 {
			return Task{}, &Error{Provider: o.Name(), Fault: FaultProvider, Reason: ReasonProvider, Err: errors.New("no provider can hand out a task")}
		}
		tried |= 1 << i
		m := o.members[i]
		var err error
		if task, err = m.task.Challenge(ctx, r); err == nil {
			t.first = m.name
			break
		}
		if ctx.Err() != nil {
			return Task{}, err
		}
	}
	task.CData = t.nonce
	if task.Challenge != nil {
		if nonce, err := hex.DecodeString(task.Challenge.Parameters.Nonce); err == nil {
			key := workKey(nonce)
			t.work = hex.EncodeToString(key[:workTag])
		}
	}
	if second {
		if i := o.assignSecond(seed, epoch, now, tried); i >= 0 {
			if more, err := o.members[i].task.Challenge(ctx, r); err == nil {
				more.CData, t.second = t.nonce, o.members[i].name
				task.Second = &more
			}
		}
	}
	task.Ticket = t.seal(o.signers[0], r.Action, r.Tenant, who, r.Flow)
	return task, nil
}

// assign picks the member of the highest rendezvous score: on the rung, else on the next stricter one, else on any; those
// without weight last. Members whose circuit is open, that have just failed this visitor, or that were tried are left
// out; when nobody else is there, those two exceptions fall. It returns -1 when all were tried.
func (o *Orchestrator) assign(seed [32]byte, epoch int64, now time.Time, rung Rung, avoid int, tried uint64) int {
	best, bestClass, bestScore := -1, math.MaxInt, 0.0
	for i, m := range o.members {
		if tried&(1<<i) != 0 {
			continue
		}
		health := m.health.weight(now)
		class := 0
		switch {
		case rung == 0:
		case m.Rung >= rung:
			class = int(m.Rung - rung)
		default:
			class = 4 + int(rung-m.Rung)
		}
		if m.Weight == 0 {
			class += 8
		}
		if i == avoid {
			class += 16
		}
		if health == 0 {
			class += 32
			health = 1
		}
		score := rendezvous(seed, epoch, m.hash, health*float64(max(m.Weight, 1)))
		if class < bestClass || class == bestClass && score > bestScore {
			best, bestClass, bestScore = i, class, score
		}
	}
	return best
}

// assignSecond picks a behavioural member beside another one, or -1.
func (o *Orchestrator) assignSecond(seed [32]byte, epoch int64, now time.Time, tried uint64) int {
	best, bestScore := -1, 0.0
	for i, m := range o.members {
		health := m.health.weight(now)
		if !m.Second || tried&(1<<i) != 0 || health == 0 {
			continue
		}
		if score := rendezvous(seed, epoch, m.hash+1, health*float64(max(m.Weight, 1))); score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// rendezvous is the score of weighted highest-random-weight hashing: -weight / ln(u). seed is secret, so that nobody can
// look for a session that gets a provider of choice.
func rendezvous(seed [32]byte, epoch int64, member uint64, weight float64) float64 {
	x := mix(binary.LittleEndian.Uint64(seed[16:]) ^ mix(binary.LittleEndian.Uint64(seed[24:])^uint64(epoch)) ^ member)
	u := (float64(x>>11) + 0.5) / (1 << 53)
	return -weight / math.Log(u)
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

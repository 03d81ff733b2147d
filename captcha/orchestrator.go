package captcha

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"regexp"
	"time"
)

// UnverifiedPolicy says what becomes of an answer that no provider could verify. It never counts as passed.
type UnverifiedPolicy uint8

// The policies.
const (
	// UnverifiedError reports an error, so that the fail mode of the signal decides; the default. The visitor's next
	// task comes from another provider.
	UnverifiedError UnverifiedPolicy = iota
	// UnverifiedRefuse treats the visitor as one without an answer, at the cost of CodeUnverified.
	UnverifiedRefuse
	// UnverifiedFallback costs the visitor nothing and proves nothing: the next task comes from the next provider, or is
	// a proof of work.
	UnverifiedFallback
)

// Member is a provider of an Orchestrator.
type Member struct {
	// Provider must also be a Challenger, with a name of its own.
	Provider Provider
	// Weight is its share of visitors, 0 to 1,000,000. With 0 it is assigned only when nobody else can be.
	Weight int
	// Rung is where on the ladder it stands; default RungWork for providers that are Offline, else RungInteractive.
	Rung Rung
	// Second lets it be the behavioural provider beside another one.
	Second bool
}

// Failures counts refused answers by visitor, for use without the engine: under it, rate limiting charges offences when
// an assessment is settled, and ChallengeRequest.Failures is filled. It must be safe for concurrent use. Errors are taken
// as a count of 0.
type Failures interface {
	// Add notes a refused answer of a visitor, named by a keyed tag.
	Add(ctx context.Context, visitor string, why Reason) error
	// Count is how many there were lately.
	Count(ctx context.Context, visitor string) (int, error)
}

// Change is a change of a member's circuit.
type Change struct {
	Provider string
	Circuit  Circuit
	Reason   Reason
}

// OrchestratorOptions of an Orchestrator. The zero value and nil mean the defaults.
type OrchestratorOptions struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// TTL is how long an assignment may be answered, in whole seconds; default 10 minutes, 10 seconds to 1 hour.
	TTL time.Duration
	// Epoch is how long a visitor keeps its provider; default 1 hour, 1 minute to 30 days.
	Epoch time.Duration
	// Unverified says what becomes of answers nobody could verify; default UnverifiedError.
	Unverified UnverifiedPolicy
	// Ladder chooses the rung from the score; default nil: members of all rungs are assigned by weight alone, unless
	// ChallengeRequest says otherwise.
	Ladder *Ladder
	// Failures counts refused answers without the engine; default nil.
	Failures Failures
	// OnChange is told when a circuit opens or closes, from the goroutine that noticed; it must not block. A circuit that
	// opens for ReasonCredentials wants a person at once.
	OnChange func(Change)
}

// Orchestrator asks each visitor for an answer of one provider that the visitor cannot choose. Assignments are weighted
// rendezvous by session and epoch, signed into a ticket; an answer counts only with the ticket it was handed out with.
// Providers that fail are left out until they are back. It is itself a [Provider] and a [Challenger], so that [NewSignal]
// takes it. Build it with NewOrchestrator. It is safe for concurrent use; health is each instance's own.
type Orchestrator struct {
	opts     OrchestratorOptions
	members  []*member
	byName   map[string]int
	signers  []*signer
	guard    ReplayGuard
	visitors *visitors
}

type member struct {
	Member
	name   string
	hash   uint64
	remote bool
	task   Challenger
	health health
}

var (
	_ Provider   = (*Orchestrator)(nil)
	_ Challenger = (*Orchestrator)(nil)
	_ Annotator  = (*Orchestrator)(nil)
)

var memberName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

const maxMembers = 64

// NewOrchestrator makes an orchestrator of at least one member. keys sign tickets; instances share them, and may share
// them with a PoW. The guard remembers used tokens; instances share it too.
func NewOrchestrator(members []Member, keys Keys, guard ReplayGuard, opts *OrchestratorOptions) (*Orchestrator, error) {
	o := &Orchestrator{guard: guard, byName: make(map[string]int, len(members)), visitors: new(visitors)}
	if opts != nil {
		o.opts = *opts
	}
	if guard == nil {
		return nil, errors.New("captcha: no replay guard; give NewMemoryGuard's for one instance, a shared one for several")
	}
	if o.opts.Now == nil {
		o.opts.Now = time.Now
	}
	if err := defaultDuration(&o.opts.TTL, "TTL", 10*time.Minute, 10*time.Second, time.Hour); err != nil {
		return nil, err
	}
	if err := defaultDuration(&o.opts.Epoch, "Epoch", time.Hour, time.Minute, 30*24*time.Hour); err != nil {
		return nil, err
	}
	if o.opts.Unverified > UnverifiedFallback {
		return nil, fmt.Errorf("captcha: Unverified %d is no policy", o.opts.Unverified)
	}
	if len(members) == 0 || len(members) > maxMembers {
		return nil, fmt.Errorf("captcha: %d members; give 1 to %d", len(members), maxMembers)
	}
	for i, m := range members {
		if m.Provider == nil {
			return nil, fmt.Errorf("captcha: member %d has no provider", i)
		}
		name := m.Provider.Name()
		task, ok := m.Provider.(Challenger)
		switch _, twice := o.byName[name]; {
		case !memberName.MatchString(name):
			return nil, fmt.Errorf("captcha: the name of member %d is not of lower-case letters, digits and underscores", i)
		case twice:
			return nil, fmt.Errorf("captcha: two members are called %s", name)
		case !ok:
			return nil, fmt.Errorf("captcha: member %s hands out no tasks", name)
		case m.Weight < 0 || m.Weight > 1_000_000:
			return nil, fmt.Errorf("captcha: the weight of %s must be 0 to 1000000", name)
		case m.Rung > RungInteractive || m.Rung == RungNone:
			return nil, fmt.Errorf("captcha: member %s stands on no rung it can serve", name)
		}
		offline, is := m.Provider.(Offline)
		local := is && offline.Offline()
		if m.Rung == 0 {
			m.Rung = RungInteractive
			if local {
				m.Rung = RungWork
			}
		}
		sum := sha256.Sum256([]byte(name))
		o.byName[name] = i
		o.members = append(o.members, &member{Member: m, name: name, hash: binary.LittleEndian.Uint64(sum[:]), remote: !local, task: task})
	}
	var err error
	o.signers, err = newSigners(keys, o.opts.TTL)
	return o, err
}

// Name is "orchestrator". Results carry the name of the member that verified.
func (o *Orchestrator) Name() string { return "orchestrator" }

// Offline reports whether all members are.
func (o *Orchestrator) Offline() bool {
	for _, m := range o.members {
		if m.remote {
			return false
		}
	}
	return true
}

// MaxEvidence is the most bytes of a response that are looked at: a ticket and two answers.
func (o *Orchestrator) MaxEvidence() int { return mostTicket + 2 + 2*(16<<10) }

// Format prints the name only, for every verb.
func (o *Orchestrator) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, o.String()) }

// String is the name only.
func (o *Orchestrator) String() string { return "captcha.Orchestrator" }

// LogValue logs the name only.
func (o *Orchestrator) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Health reports on all members, in the order they were given.
func (o *Orchestrator) Health() []Health {
	now := o.opts.Now()
	out := make([]Health, len(o.members))
	for i, m := range o.members {
		out[i] = m.health.report(now)
		out[i].Provider = m.name
	}
	return out
}

// seed is the secret name of a visitor.
func (o *Orchestrator) seed(tenant, visitor string) (b [32]byte) {
	o.signers[0].tagKey.append(b[:0], true, "visitor", tenant, visitor)
	return b
}

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

// Annotate implements Annotator: it hands the annotation to the member it names.
func (o *Orchestrator) Annotate(ctx context.Context, a Annotation) error {
	i, ok := o.byName[a.Provider]
	if !ok {
		return errors.New("captcha: the annotation is about a provider that is no member")
	}
	to, ok := o.members[i].Provider.(Annotator)
	if !ok {
		return nil
	}
	return to.Annotate(ctx, a)
}

// annotates reports whether some member learns from annotations.
func (o *Orchestrator) annotates(provider string) bool {
	i, ok := o.byName[provider]
	if !ok {
		return false
	}
	_, ok = o.members[i].Provider.(Annotator)
	return ok
}

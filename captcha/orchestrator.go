package captcha

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

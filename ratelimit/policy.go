package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

// Policy is a set of limits and what happens to those who keep running into them. It is read by [New] and may be
// changed or reused afterwards.
type Policy struct {
	// Limits are decided together, all or nothing. 1 to 64, with unique names.
	Limits []Limit
	// Penalty is how offences grow and fade; zero: no offences are kept.
	Penalty Penalty
}

// DefaultPolicy is [SignUpLimits] with [DefaultPenalty].
func DefaultPolicy() Policy { return Policy{Limits: SignUpLimits(), Penalty: DefaultPenalty()} }

// SignUpLimits are limits for the event "signup". Only what one visitor controls is hard; what bystanders share (/24,
// /56, /48), and what anybody can exhaust for a victim (e-mail), is soft. There is no global limit: it would let a
// botnet close the form for everybody.
func SignUpLimits() []Limit {
	const day = 24 * time.Hour
	limits := []Limit{
		{Name: "ip", Dim: IPv4, Count: 5, Per: time.Minute, On: Challenge, Weight: 1},
		{Name: "ip-hour", Dim: IPv4, Count: 30, Per: time.Hour, On: Deny, Weight: 1},
		{Name: "net24", Dim: IPv4Prefix24, Count: 60, Per: time.Hour, On: Challenge, Weight: 0.25},
		{Name: "net64", Dim: IPv6Prefix64, Count: 5, Per: time.Minute, On: Challenge, Weight: 1},
		{Name: "net64-hour", Dim: IPv6Prefix64, Count: 30, Per: time.Hour, On: Deny, Weight: 1},
		{Name: "net56", Dim: IPv6Prefix56, Count: 60, Per: time.Hour, On: Challenge, Weight: 0.25},
		{Name: "net48", Dim: IPv6Prefix48, Count: 200, Per: time.Hour, On: Challenge, Weight: 0.25},
		{Name: "device", Dim: Device, Count: 3, Per: day, On: Challenge, Weight: 1},
		{Name: "phone", Dim: Phone, Count: 1, Per: time.Minute, On: Deny},
		{Name: "phone-day", Dim: Phone, Count: 5, Per: day, On: Deny, Weight: 1},
		{Name: "email", Dim: Email, Count: 3, Per: time.Hour, On: Challenge, Weight: 1},
		{Name: "sso", Dim: SSO, Count: 5, Per: day, On: Challenge, Weight: 1},
		{Name: "business", Dim: Business, Count: 5, Per: day, On: Challenge, Weight: 1},
	}
	for i := range limits {
		limits[i].Events = []string{"signup"}
	}
	return limits
}

// policy is a checked Policy.
type policy struct {
	limits  []*limit
	byName  map[string]*limit
	penalty *penalty
	events  []string // those some limit names
	clients []string
	plans   []plan // [event][client], the last of each for all others
}

// plan is what applies to one event and client class, by dimension.
type plan struct {
	groups  []group
	address bool // some limit reads the address
}

type group struct {
	dim    Dimension
	kind   valueKind
	head   []byte // of the texts that are tagged
	limits []*limit
	source *sourceRule // nil: no offences are kept for it
}

func (p *Policy) compile() (*policy, error) {
	if len(p.Limits) == 0 {
		return nil, errors.New("ratelimit: the policy has no limits; DefaultPolicy() is a start")
	}
	if len(p.Limits) > MaxBuckets {
		return nil, fmt.Errorf("ratelimit: the policy has %d limits, at most %d are decided at once", len(p.Limits), MaxBuckets)
	}
	c := &policy{byName: map[string]*limit{}}
	for i := range p.Limits {
		l, err := p.Limits[i].compile()
		if err != nil {
			return nil, fmt.Errorf("ratelimit: %w", err)
		}
		if c.byName[l.Name] != nil {
			return nil, fmt.Errorf("ratelimit: two limits are named %q", l.Name)
		}
		c.byName[l.Name] = l
		c.limits = append(c.limits, l)
		c.events = addNew(c.events, l.Events)
		c.clients = addNew(c.clients, l.Clients)
	}
	var err error
	if c.penalty, err = p.Penalty.compile(); err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	const most = 4096
	if n := (len(c.events) + 1) * (len(c.clients) + 1); n > most {
		return nil, fmt.Errorf("ratelimit: the policy names %d combinations of event and client class, at most %d are allowed", n, most)
	}
	// Nobody's event and class: a name no limit can mention.
	const other = "\x00"
	for _, e := range append(c.events[:len(c.events):len(c.events)], other) {
		for _, cl := range append(c.clients[:len(c.clients):len(c.clients)], other) {
			c.plans = append(c.plans, c.newPlan(e, cl))
		}
	}
	return c, nil
}

func (c *policy) newPlan(event, client string) plan {
	var p plan
	at := map[Dimension]int{}
	add := func(d Dimension) *group {
		i, ok := at[d]
		if !ok {
			i = len(p.groups)
			at[d] = i
			p.groups = append(p.groups, group{dim: d, kind: d.kind(), head: head(d)})
			if o, ok := c.penalty.sources[d]; ok {
				p.groups[i].source = &o
			}
		}
		return &p.groups[i]
	}
	for _, l := range c.limits {
		if l.applies(event, client) {
			g := add(l.Dim)
			g.limits = append(g.limits, l)
			p.address = p.address || l.Dim.address()
		}
	}
	// A ban is a ban wherever the limiter is asked, limits or not.
	for _, d := range offenceOrder {
		if _, ok := c.penalty.sources[d]; ok {
			add(d)
		}
	}
	return p
}

var offenceOrder = [...]Dimension{IP, IPv4, IPv4Prefix24, IPv6Prefix64, IPv6Prefix56, IPv6Prefix48, Device, Session}

// plan finds what applies to an event and client class.
func (c *policy) plan(event, client string) *plan {
	e, k := len(c.events), len(c.clients)
	for i, s := range c.events {
		if s == event {
			e = i
			break
		}
	}
	for i, s := range c.clients {
		if s == client {
			k = i
			break
		}
	}
	return &c.plans[e*(len(c.clients)+1)+k]
}

func addNew(to, from []string) []string {
next:
	for _, s := range from {
		for _, t := range to {
			if s == t {
				continue next
			}
		}
		to = append(to, s)
	}
	return to
}

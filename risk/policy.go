package risk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Policy is a scorecard: what observations are worth, which score means which level, and what each level asks for. It
// is immutable and safe for concurrent use. Make one with [DefaultPolicy], [ParsePolicy] or [NewPolicy].
type Policy struct {
	spec      PolicySpec // normalised
	canonical []byte
	hash      string
	pos       map[string]position // of a parsed policy: where each path stands
}

// PolicySpec is the content of a policy. Field comments give the JSON form's meaning too.
type PolicySpec struct {
	// Name, Owner and Review (a date, 2006-01-02) say whose policy this is and when to look at it again.
	Name   string `json:"name"`
	Owner  string `json:"owner,omitempty"`
	Review string `json:"review,omitempty"`
	// Sampling is the share of assessments that ask every signal, so that logs stay fit for tuning, 0 to 1; nil: 0.01.
	Sampling *float64 `json:"sampling,omitempty"`
	// Segments are tried in order, the first match decides. The last one must match everything.
	Segments []Segment `json:"segments"`
	// Points override what codes are worth ("ip.tor": 25). A code keeps its sign; one declared with 0 stays 0.
	Points map[string]int `json:"points,omitempty"`
	// Floors override codes' floors; "allow" takes a floor away.
	Floors map[string]Action `json:"floors,omitempty"`
	// Weights multiply the points of a signal's codes, 0 to 10.
	Weights map[string]float64 `json:"weights,omitempty"`
	// Groups bound codes that say the same thing. A group that is not listed has lo -6, hi 30, decay 0.5.
	Groups map[string]Group `json:"groups,omitempty"`
	Rules  []Rule           `json:"rules,omitempty"`
	// Lists are texts that conditions name in oneof.
	Lists map[string][]string `json:"lists,omitempty"`
	// Fail overrides what signals' errors may cost.
	Fail map[string]FailMode `json:"fail,omitempty"`
}

// Segment chooses levels by what kind of attempt it is. Empty lists match everything.
type Segment struct {
	Name    string   `json:"name"`
	Event   []Event  `json:"event,omitempty"`
	Channel []string `json:"channel,omitempty"`
	Tier    []string `json:"tier,omitempty"`
	Tenant  []string `json:"tenant,omitempty"`
	Client  []string `json:"client,omitempty"`
	// Prior is the chance of abuse before anything is known, above 0 and below 1; 0 means 0.01.
	Prior float64 `json:"prior,omitempty"`
	// Levels in order of strictness; none means [DefaultLevels].
	Levels []Level `json:"levels,omitempty"`
	// Offers limits which proofs can be asked for; nil: all that registered signals give; empty:
	// none.
	Offers []Proof `json:"offers,omitzero"`
	// Always lists proofs the channel always carries: their absence is evidence even when nobody asked.
	Always []Proof `json:"always,omitempty"`
}

// Level says what a range of scores means.
type Level struct {
	Name string `json:"name"`
	// Range is the first and last score of the level, inclusive; nil: only rules and floors reach it.
	Range *[2]int `json:"range,omitempty"`
	// Action is what the level does. With Require empty and Action above Challenge it acts at once.
	Action Action `json:"action"`
	// Require lists the proofs the level asks for.
	Require []Proof `json:"require,omitempty"`
	// Then follows once they are given; zero: Allow for Challenge, else Action.
	Then Action `json:"then,omitempty"`
	// Else follows when they cannot be given; zero: Review, or Then where that is stricter.
	Else Action `json:"else,omitempty"`
	// For is how long Delay or Lock lasts.
	For Duration `json:"for,omitempty"`
}

// Group bounds codes that say the same thing: the sum of bad evidence, the strongest counting in full and each next
// one Decay times as much, less good evidence of at most -Lo, and at most Hi.
type Group struct {
	Lo    int      `json:"lo"`              // -100..0
	Hi    int      `json:"hi"`              // 0..100
	Decay *float64 `json:"decay,omitempty"` // 0..1; nil: 0.5
}

// RuleMode says whether a rule acts. The zero value means Enforce.
type RuleMode string

// The modes. A rule in shadow is evaluated and reported, and does nothing.
const (
	Enforce RuleMode = "enforce"
	Shadow  RuleMode = "shadow"
	Off     RuleMode = "off"
)

// Rule has a condition and exactly one effect: Points, Floor, Ceiling or Require.
type Rule struct {
	Name string   `json:"name"`
	When string   `json:"when"` // a Go boolean expression over codes, facts and the attempt's segment
	Mode RuleMode `json:"mode,omitempty"`
	// Points are added in Group (empty: one of the rule's own), unweighted.
	Points int    `json:"points,omitempty"`
	Group  string `json:"group,omitempty"`
	// Floor names the least level, Ceiling the strictest the score may lead to; a ceiling never goes below a floor.
	Floor   string `json:"floor,omitempty"`
	Ceiling string `json:"ceiling,omitempty"`
	// Require adds proofs.
	Require []Proof `json:"require,omitempty"`
	// Needs lists signals without which the rule is switched off instead of refused.
	Needs []string `json:"needs,omitempty"`
}

// Duration is a time.Duration that reads and writes as "24h0m0s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("risk: bad duration %q, want a form like \"24h\"", clip(string(text)))
	}
	*d = Duration(v)
	return nil
}

// DefaultLevels are allow 0-30; challenge 31-60 for human and phone; review 61-90 for device; block 91-100.
func DefaultLevels() []Level {
	return []Level{
		{Name: "allow", Range: &[2]int{0, 30}, Action: Allow},
		{Name: "challenge", Range: &[2]int{31, 60}, Action: Challenge, Require: []Proof{ProofHuman, ProofPhone}},
		{Name: "review", Range: &[2]int{61, 90}, Action: Review, Require: []Proof{ProofDevice}, Then: Review, Else: Review},
		{Name: "block", Range: &[2]int{91, 100}, Action: Block},
	}
}

// NewPolicy checks spec and makes a policy of it. What depends on the registered signals (names, directions, proofs)
// is checked by [NewEngine]. Errors are *PolicyError, joined.
func NewPolicy(spec PolicySpec) (*Policy, error) { return newPolicy(spec, nil) }

func newPolicy(spec PolicySpec, pos map[string]position) (*Policy, error) {
	spec = normalise(spec)
	if err := checkSpec(&spec, pos); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(spec); err != nil {
		return nil, fmt.Errorf("risk: encoding policy: %w", err)
	}
	canonical := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	sum := sha256.Sum256(canonical)
	return &Policy{spec: spec, canonical: canonical, hash: hex.EncodeToString(sum[:]), pos: pos}, nil
}

// Name returns the policy's name.
func (p *Policy) Name() string { return p.spec.Name }

// Hash returns the SHA-256 of the canonical form, in hex: the policy's identity.
func (p *Policy) Hash() string { return p.hash }

// MarshalJSON returns the canonical form: defaults filled in, members in fixed order.
func (p *Policy) MarshalJSON() ([]byte, error) { return bytes.Clone(p.canonical), nil }

// Spec returns a copy of the content, defaults filled in, to change and give to NewPolicy.
func (p *Policy) Spec() PolicySpec { return copySpec(p.spec) }

const (
	defaultPrior    = 0.01
	defaultSampling = 0.01
	defaultDecay    = 0.5
	defaultLo       = -6
	defaultHi       = 30
)

// normalise copies spec and fills in defaults, so that what means the same has the same hash.
func normalise(spec PolicySpec) PolicySpec {
	spec = copySpec(spec)
	if spec.Sampling == nil {
		v := defaultSampling
		spec.Sampling = &v
	}
	for i := range spec.Segments {
		s := &spec.Segments[i]
		if s.Prior == 0 {
			s.Prior = defaultPrior
		}
		if len(s.Levels) == 0 {
			s.Levels = DefaultLevels()
		}
		for j := range s.Levels {
			l := &s.Levels[j]
			if l.Then == 0 {
				l.Then = l.Action
				if l.Action == Challenge {
					l.Then = Allow
				}
			}
			if l.Else == 0 {
				l.Else = max(Review, l.Then)
			}
		}
	}
	for name, g := range spec.Groups {
		if g.Decay == nil {
			v := defaultDecay
			g.Decay = &v
			spec.Groups[name] = g
		}
	}
	for i := range spec.Rules {
		if spec.Rules[i].Mode == "" {
			spec.Rules[i].Mode = Enforce
		}
	}
	return spec
}

func copySpec(s PolicySpec) PolicySpec {
	if s.Sampling != nil {
		v := *s.Sampling
		s.Sampling = &v
	}
	s.Segments = slices.Clone(s.Segments)
	for i := range s.Segments {
		g := &s.Segments[i]
		g.Event, g.Channel, g.Tier = slices.Clone(g.Event), slices.Clone(g.Channel), slices.Clone(g.Tier)
		g.Tenant, g.Client = slices.Clone(g.Tenant), slices.Clone(g.Client)
		g.Offers, g.Always = slices.Clone(g.Offers), slices.Clone(g.Always)
		g.Levels = slices.Clone(g.Levels)
		for j := range g.Levels {
			l := &g.Levels[j]
			l.Require = slices.Clone(l.Require)
			if l.Range != nil {
				r := *l.Range
				l.Range = &r
			}
		}
	}
	s.Points, s.Floors = maps.Clone(s.Points), maps.Clone(s.Floors)
	s.Weights, s.Fail = maps.Clone(s.Weights), maps.Clone(s.Fail)
	s.Groups = maps.Clone(s.Groups)
	for k, g := range s.Groups {
		if g.Decay != nil {
			v := *g.Decay
			g.Decay = &v
			s.Groups[k] = g
		}
	}
	s.Rules = slices.Clone(s.Rules)
	for i := range s.Rules {
		s.Rules[i].Require = slices.Clone(s.Rules[i].Require)
		s.Rules[i].Needs = slices.Clone(s.Rules[i].Needs)
	}
	s.Lists = maps.Clone(s.Lists)
	for k, l := range s.Lists {
		s.Lists[k] = slices.Clone(l)
	}
	return s
}

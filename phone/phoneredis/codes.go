package phoneredis

import (
	"context"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

type issueArg struct {
	Now   int64      `json:"now"`
	Flow  string     `json:"flow"`
	Req   string     `json:"req"`
	Seed  string     `json:"seed"`
	MAC   string     `json:"mac"`
	Ch    int        `json:"ch"`
	TTL   int64      `json:"ttl"`
	Fresh int64      `json:"fresh"`
	Tries int        `json:"tries"`
	Sends int        `json:"sends"`
	Cool  []int64    `json:"cool"`
	F     [][2]int64 `json:"f"`
	Q     [][3]int64 `json:"q"`
	NR    int        `json:"nr"`
	Hold  bool       `json:"hold"`
	Decoy string     `json:"decoy"`
}

// Issue implements [phone.Store].
func (s *Store) Issue(ctx context.Context, r *phone.Issue) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n := s.names(r.Tenant)
	keys := []string{n.key("c", r.Record), n.key("p", r.Phone)}
	arg := issueArg{Now: s.now(), Flow: r.Flow.String(), Req: text(r.Request), Seed: r.Seed.String(), MAC: r.MAC.String(), Ch: int(r.Channel),
		TTL: ms(r.TTL), Fresh: ms(r.Fresh), Tries: r.Tries, Sends: r.Sends, F: [][2]int64{}, Q: [][3]int64{}, NR: len(r.Routes),
		Hold: r.Withhold, Decoy: text(r.Decoy)}
	for _, d := range r.Cooldowns {
		arg.Cool = append(arg.Cool, ms(d))
	}
	for i := range r.Failures {
		keys = append(keys, n.key("n", r.Failures[i].Key))
		arg.F = append(arg.F, [2]int64{ms(r.Failures[i].Window), r.Failures[i].Max})
	}
	for i := range r.Quotas {
		q := &r.Quotas[i]
		keys = append(keys, n.key("n", q.Key))
		arg.Q = append(arg.Q, [3]int64{ms(q.Window), q.Max, q.Cost})
	}
	for _, k := range r.Routes {
		keys = append(keys, n.key("r", k))
	}
	v, err := s.run(ctx, issueScript, keys, arg)
	if err != nil {
		return err
	}
	a := &answer{v: v}
	r.Outcome = phone.IssueOutcome(a.int(0))
	r.RetryAfter = time.Duration(a.int(1)) * time.Millisecond
	r.Quota, r.At, r.Expires, r.Sent = int(a.int(2)), a.time(3), a.time(4), int(a.int(5))
	r.LiveSeed, r.LiveMAC = a.key(6), a.key(7)
	if a.err == nil && (r.Outcome < phone.Issued || r.Outcome > phone.Withheld || r.Outcome == phone.Exceeded && r.Quota >= len(r.Quotas)) {
		a.err = errReply
	}
	return a.err
}

type settleArg struct {
	Now    int64      `json:"now"`
	At     int64      `json:"at"`
	Flow   string     `json:"flow"`
	Ref    string     `json:"ref"`
	Routes string     `json:"routes"`
	Q      [][2]int64 `json:"q"`
	NR     int        `json:"nr"`
}

// Settle implements [phone.Store].
func (s *Store) Settle(ctx context.Context, r *phone.Settle) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n := s.names(r.Tenant)
	keys := []string{n.key("c", r.Record), n.key("m", r.Message)}
	arg := settleArg{Now: s.now(), At: r.At.UnixMilli(), Flow: r.Flow.String(), Ref: r.Ref, Q: [][2]int64{}, NR: len(r.Retract)}
	for i := range r.Adjust {
		keys = append(keys, n.key("n", r.Adjust[i].Key))
		arg.Q = append(arg.Q, [2]int64{ms(r.Adjust[i].Window), r.Adjust[i].Cost})
	}
	for _, k := range r.Retract {
		keys = append(keys, n.key("r", k))
	}
	if r.Message != (phone.Key{}) {
		var list []string
		for _, k := range r.Routes {
			list = append(list, n.key("r", k))
		}
		arg.Routes = strings.Join(append(list, ""), " ")
		if len(list) == 0 {
			arg.Routes = " "
		}
	}
	_, err := s.run(ctx, settleScript, keys, arg)
	return err
}

type checkArg struct {
	Now  int64      `json:"now"`
	Mode int        `json:"mode"`
	Flow string     `json:"flow"`
	Ref  string     `json:"ref"`
	At   int64      `json:"at"`
	GTTL int64      `json:"gttl"`
	MACs []string   `json:"macs"`
	F    [][2]int64 `json:"f"`
	NR   [3]int     `json:"nr"`
}

// Check implements [phone.Store]: one round trip.
func (s *Store) Check(ctx context.Context, r *phone.Check) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n := s.names(r.Tenant)
	keys := []string{n.key("c", r.Record), n.key("g", r.Grant)}
	arg := checkArg{Now: s.now(), Mode: int(r.Mode), Flow: r.Flow.String(), Ref: r.Ref, At: r.At.UnixMilli(), GTTL: ms(r.GrantTTL),
		MACs: []string{}, F: [][2]int64{}}
	for _, m := range r.MACs {
		arg.MACs = append(arg.MACs, m.String())
	}
	for i := range r.Failures {
		keys = append(keys, n.key("n", r.Failures[i].Key))
		arg.F = append(arg.F, [2]int64{ms(r.Failures[i].Window), r.Failures[i].Max})
	}
	for ch := phone.SMS; ch <= phone.WhatsApp; ch++ {
		for _, k := range r.Routes[ch] {
			keys = append(keys, n.key("r", k))
		}
		arg.NR[ch-1] = len(r.Routes[ch])
	}
	v, err := s.run(ctx, checkScript, keys, arg)
	if err != nil {
		return err
	}
	a := &answer{v: v}
	r.Outcome, r.Now, r.Left = phone.CheckOutcome(a.int(0)), a.time(1), int(a.int(2))
	r.Channel, r.Sent = phone.Channel(a.int(3)), a.text(4)
	if a.err == nil && (r.Outcome < phone.Right || r.Outcome > phone.Reserved) {
		a.err = errReply
	}
	return a.err
}

type nowArg struct {
	Now int64 `json:"now"`
}

// Granted implements [phone.Store].
func (s *Store) Granted(ctx context.Context, tenant string, key phone.Key) (phone.Grant, error) {
	v, err := s.run(ctx, grantedScript, []string{s.names(tenant).key("g", key)}, nowArg{s.now()})
	if err != nil {
		return phone.Grant{}, err
	}
	a := &answer{v: v}
	g := phone.Grant{Channel: phone.Channel(a.int(0)), At: a.time(1), Wrong: int(a.int(2))}
	return g, a.err
}

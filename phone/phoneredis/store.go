package phoneredis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/phone"
)

// Processor is what a store needs of a client: *redis.Client (failover clients included), *redis.ClusterClient and
// *redis.Ring have it.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Options of a [Store]. The zero value and nil mean the defaults.
type Options struct {
	// Prefix begins every key; default "vestibule:phone:". Stores that share a Redis and differ in keys need different
	// ones.
	Prefix string
	// Timeout bounds one call; default 500 ms. The caller's context may end it earlier.
	Timeout time.Duration
	// InsecureNow is a clock for tests instead of the server's: instances whose clocks differ disagree about what has
	// expired.
	InsecureNow func() time.Time
}

// Store is a [phone.Store], [phone.RouteStore] and [phone.SightingStore] in Redis 6.2 or later. It is safe for concurrent
// use.
type Store struct {
	client Processor
	o      Options
	slots  chan struct{} // bounds calls that outlive their context; nil when the client keeps deadlines
}

var (
	_ phone.Store         = (*Store)(nil)
	_ phone.RouteStore    = (*Store)(nil)
	_ phone.SightingStore = (*Store)(nil)
)

// New makes a store. It does not talk to Redis.
func New(client Processor, opts *Options) (*Store, error) {
	s := &Store{client: client}
	if opts != nil {
		s.o = *opts
	}
	if client == nil {
		return nil, errors.New("phoneredis: no client; redis.NewClient makes one")
	}
	if s.o.Prefix == "" {
		s.o.Prefix = "vestibule:phone:"
	}
	if strings.ContainsAny(s.o.Prefix, "{} \r\n") || len(s.o.Prefix) > 64 {
		return nil, errors.New("phoneredis: Prefix must have no braces or spaces and at most 64 bytes")
	}
	if s.o.Timeout == 0 {
		s.o.Timeout = 500 * time.Millisecond
	}
	if s.o.Timeout < 0 {
		return nil, errors.New("phoneredis: Timeout must not be negative")
	}
	if !keepsDeadlines(client) {
		s.slots = make(chan struct{}, 256)
	}
	return s, nil
}

// keepsDeadlines reports whether a client ends calls with their context. go-redis does not by default.
func keepsDeadlines(client Processor) bool {
	switch c := client.(type) {
	case interface{ Options() *redis.Options }:
		return c.Options().ContextTimeoutEnabled
	case interface{ Options() *redis.ClusterOptions }:
		return c.Options().ContextTimeoutEnabled
	case interface{ Options() *redis.RingOptions }:
		return c.Options().ContextTimeoutEnabled
	}
	return false
}

// noRetry keeps go-redis from sending a command again when its answer does not come: it may have been carried out.
type noRetry struct{ *redis.SliceCmd }

// NoRetry is true.
func (noRetry) NoRetry() bool { return true }

// errReply says that Redis answered what no script of this package answers.
var errReply = errors.New("phoneredis: Redis gave an answer of another form")

// run runs a script once.
func (s *Store) run(ctx context.Context, sc *script, keys []string, arg any) ([]any, error) {
	text, err := json.Marshal(arg)
	if err != nil {
		return nil, err
	}
	args := append(make([]any, 0, 4+len(keys)), "evalsha", sc.sha, len(keys))
	for _, k := range keys {
		args = append(args, k)
	}
	args = append(args, string(text))
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if s.slots == nil {
		return s.ask(ctx, sc, args)
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, errors.New("phoneredis: too many calls are waiting for Redis")
	}
	type reply struct {
		v   []any
		err error
	}
	done := make(chan reply, 1)
	go func() {
		defer func() { <-s.slots }()
		v, err := s.ask(ctx, sc, args)
		done <- reply{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("phoneredis: %w", ctx.Err())
	}
}

// ask sends the script by name, and, when Redis does not know it, once in full: that answer says that nothing was done.
func (s *Store) ask(ctx context.Context, sc *script, args []any) ([]any, error) {
	cmd := noRetry{redis.NewSliceCmd(ctx, args...)}
	err := s.client.Process(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = "eval", sc.text
		cmd = noRetry{redis.NewSliceCmd(ctx, args...)}
		if err = s.client.Process(ctx, cmd); err == nil {
			err = cmd.Err()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("phoneredis: %w", err)
	}
	return cmd.Val(), nil
}

// now is the test clock in ms, or 0.
func (s *Store) now() int64 {
	if s.o.InsecureNow == nil {
		return 0
	}
	return s.o.InsecureNow().UnixMilli()
}

// names makes keys of a tenant: all in one slot.
type names struct{ prefix string }

func (s *Store) names(tenant string) names {
	sum := sha256.Sum256([]byte(tenant))
	return names{s.o.Prefix + "{" + base64.RawURLEncoding.EncodeToString(sum[:9]) + "}:"}
}

func (n names) key(kind string, k phone.Key) string { return n.prefix + kind + ":" + k.String() }

func text(k phone.Key) string {
	if k == (phone.Key{}) {
		return ""
	}
	return k.String()
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

// answer reads what scripts return.
type answer struct {
	v   []any
	err error
}

func (a *answer) int(i int) int64 {
	if i < len(a.v) {
		if n, ok := a.v[i].(int64); ok {
			return n
		}
	}
	a.err = errReply
	return 0
}

func (a *answer) text(i int) string {
	if i < len(a.v) {
		if s, ok := a.v[i].(string); ok {
			return s
		}
	}
	a.err = errReply
	return ""
}

func (a *answer) key(i int) (k phone.Key) {
	s := a.text(i)
	if s == "" {
		return k
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || copy(k[:], b) != len(k) {
		a.err = errReply
	}
	return k
}

func (a *answer) time(i int) time.Time {
	if n := a.int(i); n != 0 {
		return time.UnixMilli(n)
	}
	return time.Time{}
}

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
}

// Issue implements [phone.Store].
func (s *Store) Issue(ctx context.Context, r *phone.Issue) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n := s.names(r.Tenant)
	keys := []string{n.key("c", r.Record), n.key("p", r.Phone)}
	arg := issueArg{Now: s.now(), Flow: r.Flow.String(), Req: text(r.Request), Seed: r.Seed.String(), MAC: r.MAC.String(), Ch: int(r.Channel),
		TTL: ms(r.TTL), Fresh: ms(r.Fresh), Tries: r.Tries, Sends: r.Sends, F: [][2]int64{}, Q: [][3]int64{}, NR: len(r.Routes)}
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
	if a.err == nil && (r.Outcome < phone.Issued || r.Outcome > phone.LockedOut || r.Outcome == phone.Exceeded && r.Quota >= len(r.Quotas)) {
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

// Routes implements [phone.RouteStore].
func (s *Store) Routes(ctx context.Context, tenant string, list []phone.Key) ([]phone.RouteStats, error) {
	n := s.names(tenant)
	var keys []string
	for _, k := range list {
		keys = append(keys, n.key("r", k))
	}
	v, err := s.run(ctx, routesScript, keys, nowArg{s.now()})
	if err != nil {
		return nil, err
	}
	a := &answer{v: v}
	now := a.time(0)
	if len(v) != len(list)+1 {
		return nil, errReply
	}
	out := make([]phone.RouteStats, len(list))
	for i := range list {
		row, _ := v[i+1].([]any)
		if err := readRoute(&out[i], row); err != nil {
			return nil, err
		}
		out[i].Now = now
	}
	return out, a.err
}

func readRoute(r *phone.RouteStats, row []any) error {
	a := &answer{v: row}
	r.Since, r.Until, r.Holds = a.time(0), a.time(1), int(a.int(2))
	if a.err != nil || len(row) != 4 {
		return errReply
	}
	days, _ := row[3].([]any)
	today := int64(0)
	for _, d := range days {
		day, _ := d.([]any)
		if len(day) != 2 {
			return errReply
		}
		b := &answer{v: day}
		today = b.int(0)
		fields, _ := day[1].([]any)
		f := &answer{v: fields}
		slots := map[int64]*phone.RouteBucket{}
		const dayMillis = 86400000
		total := phone.RouteBucket{Start: time.UnixMilli(today * dayMillis)}
		for i := 0; i+1 < len(fields); i += 2 {
			name := f.text(i)
			count, err := strconv.ParseInt(f.text(i+1), 10, 64)
			if err != nil || name == "" {
				return errReply
			}
			at := &total
			if slot, err := strconv.ParseInt(name[:len(name)-1], 10, 64); err == nil {
				if slots[slot] == nil {
					slots[slot] = &phone.RouteBucket{Start: time.UnixMilli(today*dayMillis + slot*phone.RouteBucketLength.Milliseconds())}
				}
				at = slots[slot]
			}
			switch name[len(name)-1] {
			case 's':
				at.Sent = count
			case 'c':
				at.Converted = count
			case 'f':
				at.Failed = count
			}
		}
		if total.Sent|total.Converted|total.Failed != 0 {
			r.Days = append(r.Days, total)
		}
		for slot := int64(0); slot < 144; slot++ {
			if b := slots[slot]; b != nil && b.Sent|b.Converted|b.Failed != 0 {
				r.Buckets = append(r.Buckets, *b)
			}
		}
		if b.err != nil || f.err != nil {
			return errReply
		}
	}
	return nil
}

type holdArg struct {
	Now     int64 `json:"now"`
	Release bool  `json:"release"`
	Base    int64 `json:"base"`
	Most    int64 `json:"most"`
}

// Hold implements [phone.RouteStore].
func (s *Store) Hold(ctx context.Context, tenant string, key phone.Key, base, most time.Duration) (time.Time, error) {
	if base <= 0 || most < base {
		return time.Time{}, errors.New("phoneredis: a hold wants 0 < base <= max")
	}
	v, err := s.run(ctx, holdScript, []string{s.names(tenant).key("r", key)}, holdArg{Now: s.now(), Base: ms(base), Most: ms(most)})
	if err != nil {
		return time.Time{}, err
	}
	a := &answer{v: v}
	return a.time(0), a.err
}

// Release implements [phone.RouteStore].
func (s *Store) Release(ctx context.Context, tenant string, key phone.Key) error {
	_, err := s.run(ctx, holdScript, []string{s.names(tenant).key("r", key)}, holdArg{Now: s.now(), Release: true})
	return err
}

type deliverArg struct {
	Now    int64 `json:"now"`
	Failed bool  `json:"failed"`
}

// Deliver implements [phone.RouteStore].
func (s *Store) Deliver(ctx context.Context, tenant string, message phone.Key, failed bool) (bool, error) {
	v, err := s.run(ctx, deliverScript, []string{s.names(tenant).key("m", message)}, deliverArg{s.now(), failed})
	if err != nil {
		return false, err
	}
	a := &answer{v: v}
	return a.int(0) == 1, a.err
}

type sightArg struct {
	Now   int64   `json:"now"`
	Phone string  `json:"phone"`
	W     []int64 `json:"w"`
	BW    int64   `json:"bw"`
	Off   string  `json:"off"`
}

// Sight implements [phone.SightingStore].
func (s *Store) Sight(ctx context.Context, r *phone.Sighting) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n := s.names(r.Tenant)
	var keys []string
	arg := sightArg{Now: s.now(), Phone: r.Phone.String(), W: []int64{}, Off: strconv.Itoa(r.Offset)}
	for _, set := range r.Sets {
		keys = append(keys, n.key("s", set.Key))
		arg.W = append(arg.W, ms(set.Window))
	}
	if r.Block != (phone.Key{}) {
		keys = append(keys, n.key("b", r.Block))
		arg.BW = ms(r.Window)
	}
	v, err := s.run(ctx, sightScript, keys, arg)
	if err != nil {
		return err
	}
	a := &answer{v: v}
	r.Distinct, r.Run = r.Distinct[:0], 0
	for i := range r.Sets {
		r.Distinct = append(r.Distinct, int(a.int(i)))
	}
	if r.Block != (phone.Key{}) {
		var offsets []int
		for i := range slices.Backward(v) {
			if i < len(r.Sets) {
				break
			}
			offsets = append(offsets, int(a.int(i)))
		}
		r.Run = phone.Run(offsets, r.Offset, r.Near)
	}
	return a.err
}

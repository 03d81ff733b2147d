package phone

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
	"time"
)

// MemoryOptions of a [Memory]. The zero value and nil mean the defaults.
type MemoryOptions struct {
	// Now is the clock; default time.Now, of which only the monotonic reading matters after NewMemory: setting the
	// machine's clock changes nothing.
	Now func() time.Time
	// MaxEntries bounds the numbers, codes, counters and sets kept, each kind for itself; default 200,000, which take
	// some 100 MB in all. When a kind is full of live entries, what would need another is refused with [ErrFull]: an
	// attacker who gets that far stops further messages, but never makes a counter forget. What is kept for requests that
	// are refused (Issue.Decoy) takes no more than half of the room.
	MaxEntries int
}

// Memory is a [Store], [RouteStore] and [SightingStore] for one instance. One lock guards it all: each call takes a few
// microseconds, and messages cost money long before that matters. It is safe for concurrent use.
type Memory struct {
	clock func() time.Time
	began time.Time

	mu       sync.Mutex
	counters shelf[*counter] // guarded by mu, as are those below
	records  shelf[*record]
	phones   shelf[phoneState]
	grants   shelf[Grant]
	routes   shelf[*route]
	messages shelf[*message]
	sets     shelf[*sightings]
}

var (
	_ Store         = (*Memory)(nil)
	_ RouteStore    = (*Memory)(nil)
	_ SightingStore = (*Memory)(nil)
)

// NewMemory makes a store in memory.
func NewMemory(opts *MemoryOptions) (*Memory, error) {
	var o MemoryOptions
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 200_000
	}
	if o.MaxEntries < 0 {
		return nil, errors.New("phone: MaxEntries must be positive, or 0 for 200,000")
	}
	m := &Memory{clock: o.Now, began: o.Now()}
	most := o.MaxEntries
	m.counters, m.records, m.phones = newShelf[*counter](most), newShelf[*record](most), newShelf[phoneState](most)
	m.grants, m.routes = newShelf[Grant](most), newShelf[*route](most)
	m.messages, m.sets = newShelf[*message](most), newShelf[*sightings](most)
	return m, nil
}

// InProcess says that answers come without I/O.
func (m *Memory) InProcess() bool { return true }

// now is the time in ms since 1970.
func (m *Memory) now() int64 { return m.began.Add(m.clock().Sub(m.began)).UnixMilli() }

type record struct {
	flow, seed, mac Key   // seed: zero for a decoy
	requests        []Key // that this code has answered, the latest last
	left, sends     int
	channel         Channel
	issued, expires int64
	ref             string
}

// answers notes that a request was answered with this code.
func (r *record) answers(request Key) {
	const most = 16
	if request == (Key{}) {
		return
	}
	if len(r.requests) == most {
		r.requests = r.requests[1:]
	}
	r.requests = append(r.requests, request)
}

// record returns the living code of a record and flow, if any.
func (m *Memory) record(key, flow Key, now int64) (*record, bool) {
	rec, ok := m.records.get(key, now)
	return rec, ok && rec.flow == flow && !ahead(rec.issued, now)
}

// ahead reports whether something happened later than now: the clock was set back.
func ahead(at, now int64) bool { return at > now+ClockSlack.Milliseconds() }

type phoneState struct {
	sent int
	last int64
}

// cooldownMemory is for how long the number of messages to a number makes the next pause longer.
const cooldownMemory = time.Hour

// Issue implements [Store].
func (m *Memory) Issue(ctx context.Context, r *Issue) error {
	if err := errors.Join(r.Validate(), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	r.At = time.UnixMilli(now)
	rec, live := m.record(r.Record, r.Flow, now)
	p, _ := m.phones.get(r.Phone, now)
	if live && r.Request != (Key{}) && slices.Contains(rec.requests, r.Request) {
		m.answer(r, Duplicate, rec)
		r.RetryAfter = pause(r.Cooldowns, p, now)
		return nil
	}
	for i := range r.Failures {
		q := &r.Failures[i]
		if sum, wait := m.spent(q, now); sum >= q.Max {
			r.Outcome, r.RetryAfter, r.Quota = LockedOut, wait, i
			return nil
		}
	}
	if wait := pause(r.Cooldowns, p, now); wait > 0 {
		r.Outcome, r.RetryAfter = Cooling, wait
		return nil
	}
	if r.Withhold {
		r.Outcome = Withheld
		m.decoy(r, rec, live, p, now)
		return nil
	}
	for i := range r.Quotas {
		q := &r.Quotas[i]
		if sum, wait := m.spent(q, now); sum+q.Cost > q.Max {
			r.Outcome, r.RetryAfter, r.Quota = Exceeded, wait, i
			m.decoy(r, rec, live, p, now)
			return nil
		}
	}
	quotas := make([]Key, len(r.Quotas))
	for i := range r.Quotas {
		quotas[i] = r.Quotas[i].Key
	}
	if !m.counters.room(now, quotas...) || !m.records.room(now, r.Record) || !m.phones.room(now, r.Phone) || !m.routes.room(now, r.Routes...) {
		return ErrFull
	}
	for i := range r.Quotas {
		m.charge(&r.Quotas[i], now, r.Quotas[i].Cost)
	}
	p = phoneState{p.sent + 1, now}
	m.phones.put(r.Phone, p, now+cooldownMemory.Milliseconds())
	if live && rec.seed != (Key{}) && rec.left > 0 && rec.sends < r.Sends && rec.expires-now >= r.Fresh.Milliseconds() {
		rec.sends++
		rec.channel = r.Channel
		rec.answers(r.Request)
		m.answer(r, Resend, rec)
	} else {
		rec = m.keep(r, r.Seed, r.MAC, now)
		for _, key := range r.Routes {
			m.count(key, now, now, func(b *tally) { b.sent++ })
		}
		m.answer(r, Issued, rec)
	}
	r.RetryAfter = pause(r.Cooldowns, p, now)
	return nil
}

// keep puts a new code in the place of whatever was there.
func (m *Memory) keep(r *Issue, seed, mac Key, now int64) *record {
	rec := &record{flow: r.Flow, seed: seed, mac: mac, left: r.Tries, sends: 1,
		channel: r.Channel, issued: now, expires: now + r.TTL.Milliseconds()}
	rec.answers(r.Request)
	m.records.put(r.Record, rec, rec.expires)
	return rec
}

// decoy does for a request that is refused what the visitor would notice of one that is not.
func (m *Memory) decoy(r *Issue, rec *record, live bool, p phoneState, now int64) {
	if r.Decoy == (Key{}) {
		return
	}
	p = phoneState{p.sent + 1, now}
	if m.phones.half() && m.phones.room(now, r.Phone) {
		m.phones.put(r.Phone, p, now+cooldownMemory.Milliseconds())
	}
	r.RetryAfter = pause(r.Cooldowns, p, now)
	switch {
	case live && rec.left > 0 && (rec.seed != (Key{}) || rec.sends < r.Sends && rec.expires-now >= r.Fresh.Milliseconds()):
		if rec.seed == (Key{}) {
			rec.sends++
		}
		rec.answers(r.Request)
		r.Expires = time.UnixMilli(rec.expires)
	case m.records.half() && m.records.room(now, r.Record) && !m.taken(r, now):
		r.Expires = time.UnixMilli(m.keep(r, Key{}, r.Decoy, now).expires)
	}
}

// taken reports whether the code of another flow lives. A refusal does not end it: it would cost whoever asks nothing.
func (m *Memory) taken(r *Issue, now int64) bool {
	rec, ok := m.records.get(r.Record, now)
	return ok && rec.flow != r.Flow && rec.seed != (Key{}) && !ahead(rec.issued, now)
}

func (m *Memory) answer(r *Issue, o IssueOutcome, rec *record) {
	r.Outcome, r.LiveSeed, r.LiveMAC, r.Sent = o, rec.seed, rec.mac, rec.sends
	r.Expires = time.UnixMilli(rec.expires)
}

// pause is what is left of the number's cool-down.
func pause(cooldowns []time.Duration, p phoneState, now int64) time.Duration {
	if p.sent == 0 {
		return 0
	}
	d := cooldowns[min(p.sent, len(cooldowns))-1].Milliseconds()
	return time.Duration(max(0, min(p.last+d-now, d))) * time.Millisecond
}

// Settle implements [Store].
func (m *Memory) Settle(ctx context.Context, r *Settle) error {
	if err := errors.Join(r.Validate(), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, at := m.now(), r.At.UnixMilli()
	for i := range r.Adjust {
		m.adjust(&r.Adjust[i], now, at)
	}
	for _, key := range r.Retract {
		m.count(key, now, at, func(b *tally) { b.sent = max(0, b.sent-1) })
	}
	if rec, ok := m.record(r.Record, r.Flow, now); ok && r.Ref != "" {
		rec.ref = r.Ref
	}
	if r.Message != (Key{}) && m.messages.room(now, r.Message) {
		m.messages.put(r.Message, &message{routes: slices.Clone(r.Routes), at: at}, now+messageMemory.Milliseconds())
	}
	return nil
}

// Check implements [Store].
func (m *Memory) Check(ctx context.Context, r *Check) error {
	if err := errors.Join(r.Validate(), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	r.Now = time.UnixMilli(now)
	rec, live := m.record(r.Record, r.Flow, now)
	if r.Mode == Confirm {
		if !live || rec.ref != r.Ref {
			r.Outcome = Gone
			return nil
		}
		for i := range r.Failures {
			q := r.Failures[i]
			q.Cost = -1
			m.adjust(&q, now, r.At.UnixMilli())
		}
		m.grant(r, rec, now)
		return nil
	}
	for i := range r.Failures {
		q := &r.Failures[i]
		if sum, _ := m.spent(q, now); sum >= q.Max {
			r.Outcome = Barred
			return nil
		}
	}
	if !live || rec.left <= 0 { // a hosted code stays until it expires: its last try may still be out
		r.Outcome = Gone
		return nil
	}
	failures := make([]Key, len(r.Failures))
	for i := range r.Failures {
		failures[i] = r.Failures[i].Key
	}
	if !m.counters.room(now, failures...) || !m.grants.room(now, r.Grant) {
		return ErrFull
	}
	rec.left--
	r.Left, r.Channel = rec.left, rec.channel
	if r.Mode == Evaluate && matches(rec.mac, r.MACs) {
		m.grant(r, rec, now)
		return nil
	}
	for i := range r.Failures {
		m.charge(&r.Failures[i], now, 1)
	}
	if r.Mode == Reserve {
		r.Outcome, r.Sent = Reserved, rec.ref
		return nil
	}
	g, _ := m.grants.get(r.Grant, now)
	g.Wrong++
	m.grants.put(r.Grant, g, now+r.GrantTTL.Milliseconds())
	r.Outcome = Wrong
	if rec.left <= 0 {
		m.records.drop(r.Record)
	}
	return nil
}

func matches(mac Key, given []Key) bool {
	hit := 0
	for i := range given {
		hit |= subtle.ConstantTimeCompare(mac[:], given[i][:])
	}
	return hit == 1
}

// grant consumes the code and records that it was right.
func (m *Memory) grant(r *Check, rec *record, now int64) {
	g, _ := m.grants.get(r.Grant, now)
	g.Channel, g.At = rec.channel, time.UnixMilli(now)
	m.grants.put(r.Grant, g, now+r.GrantTTL.Milliseconds())
	m.records.drop(r.Record)
	for _, key := range r.Routes[rec.channel] {
		m.count(key, now, rec.issued, func(b *tally) { b.converted++ })
	}
	r.Outcome, r.Left, r.Channel = Right, rec.left, rec.channel
}

// Granted implements [Store].
func (m *Memory) Granted(ctx context.Context, _ string, key Key) (Grant, error) {
	if err := ctx.Err(); err != nil {
		return Grant{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	g, _ := m.grants.get(key, now)
	if g.Channel != 0 && ahead(g.At.UnixMilli(), now) {
		return Grant{}, nil
	}
	return g, nil
}

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
	// Now is the clock; default time.Now.
	Now func() time.Time
	// MaxEntries bounds the numbers, codes, counters and sets kept, each kind for itself; default 200,000, which take
	// some 100 MB in all. When a kind is full of live entries, what would need another is refused with [ErrFull]: an
	// attacker who gets that far stops further messages, but never makes a counter forget.
	MaxEntries int
}

// Memory is a [Store], [RouteStore] and [SightingStore] for one instance. One lock guards it all: each call takes a few
// microseconds, and messages cost money long before that matters. It is safe for concurrent use.
type Memory struct {
	now func() time.Time

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
	m := &Memory{now: o.Now}
	most := o.MaxEntries
	m.counters, m.records, m.phones = newShelf[*counter](most), newShelf[*record](most), newShelf[phoneState](most)
	m.grants, m.routes = newShelf[Grant](most), newShelf[*route](most)
	m.messages, m.sets = newShelf[*message](most), newShelf[*sightings](most)
	return m, nil
}

// InProcess says that answers come without I/O.
func (m *Memory) InProcess() bool { return true }

type record struct {
	flow, request, seed, mac Key
	left, sends              int
	channel                  Channel
	issued, expires          int64
	ref                      string
}

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
	now := m.now().UnixMilli()
	r.At = time.UnixMilli(now)
	rec, live := m.records.get(r.Record, now)
	if live && rec.request == r.Request && r.Request != (Key{}) && rec.flow == r.Flow {
		m.answer(r, Duplicate, rec)
		if p, ok := m.phones.get(r.Phone, now); ok {
			r.RetryAfter = pause(r.Cooldowns, p, now)
		}
		return nil
	}
	for i := range r.Failures {
		q := &r.Failures[i]
		if sum, wait := m.spent(q, now); sum >= q.Max {
			r.Outcome, r.RetryAfter, r.Quota = LockedOut, wait, i
			return nil
		}
	}
	p, _ := m.phones.get(r.Phone, now)
	if wait := pause(r.Cooldowns, p, now); wait > 0 {
		r.Outcome, r.RetryAfter = Cooling, wait
		return nil
	}
	for i := range r.Quotas {
		q := &r.Quotas[i]
		if sum, wait := m.spent(q, now); sum+q.Cost > q.Max {
			r.Outcome, r.RetryAfter, r.Quota = Exceeded, wait, i
			return nil
		}
	}
	if !m.counters.room(len(r.Quotas), now) || !m.records.room(1, now) || !m.phones.room(1, now) || !m.routes.room(len(r.Routes), now) {
		return ErrFull
	}
	for i := range r.Quotas {
		m.charge(&r.Quotas[i], now, r.Quotas[i].Cost)
	}
	p = phoneState{p.sent + 1, now}
	m.phones.put(r.Phone, p, now+cooldownMemory.Milliseconds())
	if live && rec.flow == r.Flow && rec.left > 0 && rec.sends < r.Sends && rec.expires-now >= r.Fresh.Milliseconds() {
		rec.sends++
		rec.request, rec.channel = r.Request, r.Channel
		m.answer(r, Resend, rec)
	} else {
		rec = &record{flow: r.Flow, request: r.Request, seed: r.Seed, mac: r.MAC, left: r.Tries, sends: 1,
			channel: r.Channel, issued: now, expires: now + r.TTL.Milliseconds()}
		m.records.put(r.Record, rec, rec.expires)
		for _, key := range r.Routes {
			m.count(key, now, now, func(b *tally) { b.sent++ })
		}
		m.answer(r, Issued, rec)
	}
	r.RetryAfter = pause(r.Cooldowns, p, now)
	return nil
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
	now, at := m.now().UnixMilli(), r.At.UnixMilli()
	for i := range r.Adjust {
		m.adjust(&r.Adjust[i], now, at)
	}
	for _, key := range r.Retract {
		m.count(key, now, at, func(b *tally) { b.sent = max(0, b.sent-1) })
	}
	if rec, ok := m.records.get(r.Record, now); ok && rec.flow == r.Flow && r.Ref != "" {
		rec.ref = r.Ref
	}
	if r.Message != (Key{}) && m.messages.room(1, now) {
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
	now := m.now().UnixMilli()
	r.Now = time.UnixMilli(now)
	rec, live := m.records.get(r.Record, now)
	live = live && rec.flow == r.Flow
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
	if !m.counters.room(len(r.Failures), now) || !m.grants.room(1, now) {
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
	g, _ := m.grants.get(key, m.now().UnixMilli())
	return g, nil
}

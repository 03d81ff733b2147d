package phone

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

const (
	messageMemory = 48 * time.Hour
	dayMillis     = 24 * 60 * 60 * 1000
	slots         = dayMillis / int64(RouteBucketLength/time.Millisecond)
)

type tally struct{ sent, converted, failed int64 }

type routeDay struct {
	day   int64
	total tally
	slots map[int64]tally // sparse: few routes see a message in every bucket
}

type route struct {
	days         []*routeDay // at most RouteDays, oldest first
	since, until int64
	holds        int
}

type message struct {
	routes []Key
	at     int64
	done   bool
}

// count changes a route's tally for something sent at a time.
func (m *Memory) count(key Key, now, at int64, change func(*tally)) {
	r, ok := m.routes.get(key, now)
	if !ok {
		r = &route{}
	}
	day := at / dayMillis
	i, found := slices.BinarySearchFunc(r.days, day, func(d *routeDay, day int64) int { return int(d.day - day) })
	if !found {
		r.days = slices.Insert(r.days, i, &routeDay{day: day, slots: map[int64]tally{}})
	}
	d := r.days[i]
	change(&d.total)
	slot := at % dayMillis / (dayMillis / slots)
	t := d.slots[slot]
	change(&t)
	d.slots[slot] = t
	r.days = slices.DeleteFunc(r.days, func(d *routeDay) bool { return d.day <= now/dayMillis-RouteDays })
	m.keepRoute(key, r, now)
}

func (m *Memory) keepRoute(key Key, r *route, now int64) {
	m.routes.put(key, r, max(now, r.until)+(RouteDays+7)*dayMillis)
}

func (t tally) at(ms int64) RouteBucket {
	return RouteBucket{Start: time.UnixMilli(ms), Sent: t.sent, Converted: t.converted, Failed: t.failed}
}

// Routes implements [RouteStore].
func (m *Memory) Routes(ctx context.Context, _ string, keys []Key) ([]RouteStats, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	out := make([]RouteStats, len(keys))
	for i, key := range keys {
		out[i].Now = time.UnixMilli(now)
		r, ok := m.routes.get(key, now)
		if !ok {
			continue
		}
		if r.holds > 0 {
			out[i].Since, out[i].Until, out[i].Holds = time.UnixMilli(r.since), time.UnixMilli(r.until), r.holds
		}
		for _, d := range r.days {
			if d.day <= now/dayMillis-RouteDays {
				continue
			}
			if d.total != (tally{}) {
				out[i].Days = append(out[i].Days, d.total.at(d.day*dayMillis))
			}
			if d.day < now/dayMillis-1 {
				continue
			}
			for _, s := range slices.Sorted(maps.Keys(d.slots)) {
				if t := d.slots[s]; t != (tally{}) {
					out[i].Buckets = append(out[i].Buckets, t.at(d.day*dayMillis+s*(dayMillis/slots)))
				}
			}
		}
	}
	return out, nil
}

// Hold implements [RouteStore].
func (m *Memory) Hold(ctx context.Context, _ string, key Key, base, most time.Duration) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	if base <= 0 || most < base {
		return time.Time{}, errors.New("phone: a hold wants 0 < base <= max")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	r, ok := m.routes.get(key, now)
	if !ok {
		if !m.routes.room(now, key) {
			return time.Time{}, ErrFull
		}
		r = &route{}
	}
	if now >= r.until {
		if now-r.until > most.Milliseconds() {
			r.holds = 0
		}
		length := base
		for range min(r.holds, 30) {
			length = min(2*length, most)
		}
		r.since, r.until = now, now+length.Milliseconds()
		r.holds++
	}
	m.keepRoute(key, r, now)
	return time.UnixMilli(r.until), nil
}

// Release implements [RouteStore].
func (m *Memory) Release(ctx context.Context, _ string, key Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if r, ok := m.routes.get(key, now); ok && now < r.until {
		r.until = now
	}
	return nil
}

// Deliver implements [RouteStore].
func (m *Memory) Deliver(ctx context.Context, _ string, key Key, failed bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	msg, ok := m.messages.get(key, now)
	if !ok || msg.done {
		return false, nil
	}
	msg.done = true
	if failed {
		for _, key := range msg.routes {
			m.count(key, now, msg.at, func(t *tally) { t.failed++ })
		}
	}
	return true, nil
}

// sightings is a set of distinct members, the latest sighting of each.
type sightings struct{ at map[Key]int64 }

// Sight implements [SightingStore].
func (m *Memory) Sight(ctx context.Context, s *Sighting) error {
	if err := errors.Join(s.Validate(), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	keys := make([]Key, 0, len(s.Sets)+1)
	for i := range s.Sets {
		keys = append(keys, s.Sets[i].Key)
	}
	if !m.sets.room(now, append(keys, s.Block)...) {
		return ErrFull
	}
	s.Distinct = s.Distinct[:0]
	for _, set := range s.Sets {
		s.Distinct = append(s.Distinct, len(m.see(set.Key, s.Phone, set.Window, MaxDistinct, now).at))
	}
	s.Run = 0
	if s.Block == (Key{}) {
		return nil
	}
	var member Key
	member[14], member[15] = byte(s.Offset>>8), byte(s.Offset)
	var offsets []int
	for k := range m.see(s.Block, member, s.Window, 1000, now).at {
		offsets = append(offsets, int(k[14])<<8|int(k[15]))
	}
	s.Run = Run(offsets, s.Offset, s.Near)
	return nil
}

// see adds a member to a set after forgetting what is older than the window. A full set forgets its oldest.
func (m *Memory) see(key, member Key, window time.Duration, most int, now int64) *sightings {
	set, ok := m.sets.get(key, now)
	if !ok {
		set = &sightings{at: map[Key]int64{}}
	}
	set.at[member] = now
	for k, at := range set.at {
		if at <= now-window.Milliseconds() {
			delete(set.at, k)
		}
	}
	for len(set.at) > most {
		oldest, first := Key{}, true
		for k, at := range set.at {
			if k != member && (first || at < set.at[oldest]) {
				oldest, first = k, false
			}
		}
		delete(set.at, oldest)
	}
	m.sets.put(key, set, now+window.Milliseconds())
	return set
}

// Run is how many of the offsets stand in a row around one of them with gaps of at most near. The offset itself counts,
// listed or not.
func Run(offsets []int, offset, near int) int {
	list := append(slices.Clone(offsets), offset)
	slices.Sort(list)
	list = slices.Compact(list)
	at, _ := slices.BinarySearch(list, offset)
	n := 1
	for i := at; i > 0 && list[i]-list[i-1] <= near; i-- {
		n++
	}
	for i := at; i+1 < len(list) && list[i+1]-list[i] <= near; i++ {
		n++
	}
	return n
}

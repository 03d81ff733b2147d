package phone

import "time"

// shelf is a bounded map whose entries expire.
type shelf[V any] struct {
	most  int
	m     map[Key]shelved[V]
	swept int64 // when expired entries were last removed, in ms
}

type shelved[V any] struct {
	v       V
	expires int64
}

func newShelf[V any](most int) shelf[V] { return shelf[V]{most: most, m: map[Key]shelved[V]{}} }

func (s *shelf[V]) get(k Key, now int64) (V, bool) {
	e, ok := s.m[k]
	if !ok || now >= e.expires {
		var none V
		return none, false
	}
	return e.v, true
}

func (s *shelf[V]) put(k Key, v V, expires int64) { s.m[k] = shelved[V]{v, expires} }

func (s *shelf[V]) drop(k Key) { delete(s.m, k) }

// room reports whether entries for these keys fit, after removing expired ones if need be: at most once a second, for a
// full shelf is walked from end to end.
func (s *shelf[V]) room(now int64, keys ...Key) bool {
	n := len(keys)
	if len(s.m)+n <= s.most {
		return true
	}
	for _, k := range keys {
		if _, ok := s.m[k]; ok {
			n--
		}
	}
	if len(s.m)+n <= s.most {
		return true
	}
	if now-s.swept < 1000 && now >= s.swept {
		return false
	}
	s.swept = now
	for k, e := range s.m {
		if now >= e.expires {
			delete(s.m, k)
		}
	}
	return len(s.m)+n <= s.most
}

// half reports whether the shelf is half empty.
func (s *shelf[V]) half() bool { return len(s.m) <= s.most/2 }

// counter counts in twelfths of a window. Its time is that of its newest part at least: it never runs back.
type counter struct {
	parts  [quotaParts + 1]struct{ index, n int64 }
	newest int64
}

// part is the length of a twelfth in ms, rounded up so that twelve are never less than the window.
func (q *Quota) part() int64 { return (q.Window.Milliseconds() + quotaParts - 1) / quotaParts }

// spent is what a quota has counted, and how long until its oldest part is forgotten.
func (m *Memory) spent(q *Quota, now int64) (sum int64, wait time.Duration) {
	c, ok := m.counters.get(q.Key, now)
	if !ok {
		return 0, 0
	}
	part := q.part()
	first := int64(-1)
	for i := range c.parts {
		p := &c.parts[i]
		if p.n != 0 && p.index >= max(now/part, c.newest)-quotaParts {
			sum += p.n
			if first < 0 || p.index < first {
				first = p.index
			}
		}
	}
	if first >= 0 {
		wait = time.Duration(min(first+quotaParts+1-now/part, quotaParts+1)*part-now%part) * time.Millisecond
	}
	return sum, wait
}

// charge adds n at now.
func (m *Memory) charge(q *Quota, now, n int64) {
	c, ok := m.counters.get(q.Key, now)
	if !ok {
		c = &counter{}
	}
	part := q.part()
	index := max(now/part, c.newest)
	c.newest = index
	p := &c.parts[index%int64(len(c.parts))]
	if p.index != index {
		p.index, p.n = index, 0
	}
	p.n += n
	m.counters.put(q.Key, c, (index+quotaParts+1)*part)
}

// adjust adds q.Cost to what was charged at a time, never below zero.
func (m *Memory) adjust(q *Quota, now, at int64) {
	c, ok := m.counters.get(q.Key, now)
	if !ok {
		return
	}
	index := at / q.part()
	if p := &c.parts[index%int64(len(c.parts))]; p.index == index {
		p.n = max(0, p.n+q.Cost)
	}
}

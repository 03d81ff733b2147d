package phonetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func (s *suite) route(key phone.Key) phone.RouteStats {
	s.t.Helper()
	list, err := s.s.Routes(s.ctx(), s.id, []phone.Key{k("none"), key})
	require.NoError(s.t, err)
	require.Len(s.t, list, 2)
	require.Empty(s.t, list[0].Days)
	require.Equal(s.t, s.clock.Now().UnixMilli(), list[1].Now.UnixMilli())
	return list[1]
}

func (s *suite) routes() {
	key := k("route%s", s.id)
	for i := range 3 {
		r := s.issue(func(r *phone.Issue) {
			r.Record, r.Phone, r.Routes = k("r%s%d", s.id, i), k("p%s%d", s.id, i), []phone.Key{key, k("country%s", s.id)}
		})
		if i == 2 {
			require.NoError(s.t, s.s.Settle(s.ctx(), &phone.Settle{Tenant: s.id, At: r.At, Retract: r.Routes}))
		}
	}
	start := s.clock.Now()
	s.clock.Pass(2 * time.Minute)
	for range 2 {
		s.check("right", func(c *phone.Check) {
			c.Record = k("r%s0", s.id)
			c.Routes[phone.SMS] = []phone.Key{key}
			c.Routes[phone.Voice] = []phone.Key{k("voice%s", s.id)}
		})
	}
	st := s.route(key)
	require.Len(s.t, st.Buckets, 1)
	require.Len(s.t, st.Days, 1)
	require.Equal(s.t, start.UnixMilli(), st.Buckets[0].Start.UnixMilli())
	require.Equal(s.t, [2]int64{2, 1}, [2]int64{st.Buckets[0].Sent, st.Buckets[0].Converted})
	require.Equal(s.t, [2]int64{2, 1}, [2]int64{st.Days[0].Sent, st.Days[0].Converted})
	require.Empty(s.t, s.route(k("voice%s", s.id)).Days)
	s.clock.Pass(3 * 24 * time.Hour)
	st = s.route(key)
	require.Empty(s.t, st.Buckets)
	require.Len(s.t, st.Days, 1)
	s.clock.Pass(5 * 24 * time.Hour)
	require.Empty(s.t, s.route(key).Days)
}

func (s *suite) holds() {
	key := k("route%s", s.id)
	hold := func() time.Time {
		until, err := s.s.Hold(s.ctx(), s.id, key, time.Hour, 3*time.Hour)
		require.NoError(s.t, err)
		return until
	}
	for i, length := range []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 3 * time.Hour} {
		until := s.clock.Now().Add(length)
		require.Equal(s.t, until.UnixMilli(), hold().UnixMilli(), i)
		s.clock.Pass(length - time.Millisecond)
		require.Equal(s.t, until.UnixMilli(), hold().UnixMilli(), "no longer for holding again")
		st := s.route(key)
		require.Equal(s.t, until.UnixMilli(), st.Until.UnixMilli())
		require.Equal(s.t, until.Add(-length).UnixMilli(), st.Since.UnixMilli())
		require.Equal(s.t, i+1, st.Holds)
		s.clock.Pass(time.Millisecond)
	}
	s.clock.Pass(3*time.Hour + time.Millisecond)
	require.Equal(s.t, s.clock.Now().Add(time.Hour).UnixMilli(), hold().UnixMilli(), "forgotten")
	require.NoError(s.t, s.s.Release(s.ctx(), s.id, key))
	require.False(s.t, s.clock.Now().Before(s.route(key).Until))
	require.NoError(s.t, s.s.Release(s.ctx(), s.id, k("none")))
	_, err := s.s.Hold(s.ctx(), s.id, key, 0, 0)
	require.Error(s.t, err)
}

func (s *suite) deliveries() {
	key, msg := k("route%s", s.id), k("msg%s", s.id)
	r := s.issue(func(r *phone.Issue) { r.Routes = []phone.Key{key} })
	require.NoError(s.t, s.s.Settle(s.ctx(), &phone.Settle{Tenant: s.id, At: r.At, Message: msg, Routes: r.Routes}))
	for i, want := range []bool{true, false} {
		first, err := s.s.Deliver(s.ctx(), s.id, msg, true)
		require.NoError(s.t, err)
		require.Equal(s.t, want, first, i)
	}
	first, err := s.s.Deliver(s.ctx(), s.id, k("none"), true)
	require.NoError(s.t, err)
	require.False(s.t, first)
	st := s.route(key)
	require.Equal(s.t, int64(1), st.Days[0].Failed)
	require.Equal(s.t, int64(1), st.Days[0].Sent)
}

func (s *suite) sightings() {
	see := func(n, offset int) *phone.Sighting {
		r := &phone.Sighting{Tenant: s.id, Phone: k("n%d", n), Sets: []phone.SightingSet{{Key: k("a%s", s.id), Window: time.Hour}, {Key: k("b%s", s.id), Window: 10 * time.Minute}},
			Block: k("block%s", s.id), Offset: offset, Window: 10 * time.Minute, Near: 10}
		require.NoError(s.t, s.s.Sight(s.ctx(), r))
		return r
	}
	require.Equal(s.t, []int{1, 1}, see(0, 100).Distinct)
	require.Equal(s.t, []int{1, 1}, see(0, 100).Distinct, "distinct")
	r := see(1, 110)
	require.Equal(s.t, []int{2, 2}, r.Distinct)
	require.Equal(s.t, 2, r.Run)
	require.Equal(s.t, 1, see(2, 121).Run, "a gap of eleven")
	require.Equal(s.t, 4, see(3, 115).Run, "closed from the middle")
	require.Equal(s.t, 1, see(4, 999).Run)
	s.clock.Pass(10*time.Minute + time.Second)
	r = see(5, 0)
	require.Equal(s.t, []int{6, 1}, r.Distinct)
	require.Equal(s.t, 1, r.Run)
	for i := range 80 {
		r = see(100+i, i)
	}
	require.Equal(s.t, []int{phone.MaxDistinct, phone.MaxDistinct}, r.Distinct)
	none := &phone.Sighting{Tenant: s.id, Phone: k("n"), Distinct: []int{7}, Run: 9}
	require.NoError(s.t, s.s.Sight(s.ctx(), none))
	require.Empty(s.t, none.Distinct)
	require.Zero(s.t, none.Run)
}

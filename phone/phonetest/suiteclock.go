package phonetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func (s *suite) quota(name string, window time.Duration, most int64) phone.Quota {
	return phone.Quota{Key: k("%s%s", name, s.id), Window: window, Max: most, Cost: 1}
}

// A clock that is set back makes no code live longer, no pause longer than it is, and no counter forget.
func (s *suite) clockBack() {
	budget := s.quota("budget", time.Hour, 3)
	limits := []phone.Quota{s.quota("wrong", time.Hour, 4)}
	fails := func(c *phone.Check) { c.Failures = limits }
	for i := range 3 {
		require.Equal(s.t, phone.Issued, s.free(i, budget).Outcome)
	}
	s.issue(nil)
	s.clock.Pass(-phone.ClockSlack)
	require.Equal(s.t, phone.Wrong, s.check("wrong", fails).Outcome, "a clock that is corrected")
	s.clock.Pass(-time.Hour)
	require.Equal(s.t, phone.Gone, s.check("right", fails).Outcome, "a code from the future")
	r := s.issue(nil)
	require.Equal(s.t, phone.Cooling, r.Outcome)
	require.Equal(s.t, 30*time.Second, r.RetryAfter, "and not an hour")
	for _, back := range []time.Duration{0, 30 * time.Minute, 2 * time.Hour, 48 * time.Hour} {
		s.clock.Pass(-back)
		r = s.free(9, budget)
		require.Equal(s.t, phone.Exceeded, r.Outcome, back)
		require.LessOrEqual(s.t, r.RetryAfter, 65*time.Minute)
		require.Positive(s.t, r.RetryAfter)
	}
	fresh := func(c *phone.Check) { fails(c); c.Record, c.Flow = k("fresh%s", s.id), k("f9") }
	require.Equal(s.t, phone.Issued, s.issue(func(r *phone.Issue) { r.Record, r.Phone, r.Flow = k("fresh%s", s.id), k("other%s", s.id), k("f9") }).Outcome)
	for range 3 {
		require.Equal(s.t, phone.Wrong, s.check("wrong", fresh).Outcome)
	}
	require.Equal(s.t, phone.Barred, s.check("right", fresh).Outcome, "with the one before the clock was set back")
	only := func(c *phone.Check) { c.Record, c.Flow = k("fresh%s", s.id), k("f9") }
	require.Equal(s.t, phone.Right, s.check("right", only).Outcome)
	require.Equal(s.t, phone.SMS, s.granted().Channel)
	s.clock.Pass(-phone.ClockSlack)
	require.Equal(s.t, phone.SMS, s.granted().Channel)
	s.clock.Pass(-time.Second)
	require.Zero(s.t, s.granted().Channel, "a grant from the future")
}

// A clock that jumps ahead ends codes and pauses, and what was charged there still counts when it comes back.
func (s *suite) clockAhead() {
	budget := s.quota("budget", time.Hour, 2)
	require.Equal(s.t, phone.Issued, s.free(0, budget).Outcome)
	require.Equal(s.t, phone.Issued, s.free(1, budget).Outcome)
	s.issue(nil)
	s.clock.Pass(240 * time.Hour)
	require.Equal(s.t, phone.Gone, s.check("right", nil).Outcome)
	require.Equal(s.t, phone.Issued, s.free(2, budget).Outcome)
	require.Equal(s.t, phone.Issued, s.free(3, budget).Outcome)
	require.Equal(s.t, phone.Issued, s.issue(nil).Outcome)
	s.clock.Pass(-240 * time.Hour)
	require.Equal(s.t, phone.Exceeded, s.free(4, budget).Outcome)
	require.Equal(s.t, phone.Gone, s.check("right", nil).Outcome)
	s.clock.Pass(30 * time.Second)
	require.Equal(s.t, phone.Cooling, s.issue(nil).Outcome)
	s.clock.Pass(240*time.Hour + 65*time.Minute)
	require.Equal(s.t, phone.Issued, s.free(5, budget).Outcome)
}

// Who is refused meets what he would have met: the same pauses, the same number of tries, the same lock.
func (s *suite) decoys() {
	type step struct {
		issue phone.IssueOutcome
		retry time.Duration
		check phone.CheckOutcome
		left  int
	}
	drive := func(name string, change func(*phone.Issue)) (steps []step) {
		begin := s.clock.Now()
		limits := []phone.Quota{s.quota("wrong"+name, time.Hour, 7)}
		start := func() *phone.Issue {
			return s.issue(func(r *phone.Issue) {
				r.Record, r.Phone, r.Failures, r.Decoy = k("r%s%s", s.id, name), k("p%s%s", s.id, name), limits, k("no code has this")
				change(r)
			})
		}
		for range 9 {
			r := start()
			again := start()
			require.Equal(s.t, r.RetryAfter, again.RetryAfter)
			for range 2 {
				c := s.check("wrong", func(c *phone.Check) { c.Record, c.Failures = k("r%s%s", s.id, name), limits })
				steps = append(steps, step{again.Outcome, r.RetryAfter, c.Outcome, c.Left})
			}
			s.clock.Pass(r.RetryAfter)
		}
		s.clock.Pass(begin.Add(48 * time.Hour).Sub(s.clock.Now()))
		return steps
	}
	sent := drive("sent", func(*phone.Issue) {})
	require.Equal(s.t, phone.LockedOut, sent[8].issue)
	require.Equal(s.t, phone.Barred, sent[8].check, "seven wrong codes")
	withheld := drive("withheld", func(r *phone.Issue) { r.Withhold = true })
	spent := s.quota("spent", time.Hour, 0)
	exceeded := drive("exceeded", func(r *phone.Issue) { r.Quotas = []phone.Quota{spent} })
	require.Equal(s.t, sent, withheld)
	require.Equal(s.t, sent, exceeded)

	other := func(r *phone.Issue) { r.Record, r.Phone = k("r9%s", s.id), k("p9%s", s.id) }
	refused := func(r *phone.Issue) { other(r); r.Withhold, r.Decoy = true, k("decoy") }
	check := func(mac string, change func(*phone.Check)) phone.CheckOutcome {
		return s.check(mac, func(c *phone.Check) {
			c.Record = k("r9%s", s.id)
			if change != nil {
				change(c)
			}
		}).Outcome
	}
	require.Equal(s.t, phone.Withheld, s.issue(refused).Outcome)
	require.Equal(s.t, phone.Wrong, check("right", nil), "the code was not kept")
	s.clock.Pass(time.Minute)
	require.Equal(s.t, phone.Issued, s.issue(other).Outcome, "a decoy is not sent again")
	s.clock.Pass(time.Minute)
	require.Equal(s.t, phone.Withheld, s.issue(refused).Outcome)
	s.clock.Pass(time.Minute)
	require.Equal(s.t, phone.Withheld, s.issue(func(r *phone.Issue) { refused(r); r.Flow = k("f2") }).Outcome)
	require.Equal(s.t, phone.Gone, check("right", func(c *phone.Check) { c.Flow = k("f2") }))
	require.Equal(s.t, phone.Right, check("right", nil), "a refusal ends no living code, in no flow")
	s.clock.Pass(time.Minute)
	plain := s.issue(func(r *phone.Issue) { refused(r); r.Decoy = phone.Key{} })
	require.Equal(s.t, phone.Withheld, plain.Outcome)
	require.Equal(s.t, phone.Gone, check("right", nil), "without a decoy nothing is kept")
	named := func(r *phone.Issue) { refused(r); r.Request = k("again") }
	require.Equal(s.t, phone.Withheld, s.issue(named).Outcome)
	require.Equal(s.t, phone.Duplicate, s.issue(named).Outcome)
}

package phonetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

// rounds of the parallel cases, as many as the figures name.
const rounds = 100

func (s *suite) parallel(n int, mac func(i int) string) (compared, right int64) {
	var c, ok atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			r := s.checking(mac(i))
			if err := s.s.Check(s.ctx(), r); err != nil {
				s.t.Error(err)
			}
			if r.Outcome == phone.Right || r.Outcome == phone.Wrong {
				c.Add(1)
			}
			if r.Outcome == phone.Right {
				ok.Add(1)
			}
		})
	}
	close(gate)
	wg.Wait()
	return c.Load(), ok.Load()
}

func (s *suite) parallelGuesses() {
	most, least := int64(0), int64(1000)
	for round := range rounds {
		s.clock.Pass(10 * time.Minute)
		require.Equal(s.t, phone.Issued, s.issue(nil).Outcome)
		compared, right := s.parallel(400, func(i int) string {
			if i == 3*round {
				return "right"
			}
			return fmt.Sprint("wrong", i)
		})
		most, least = max(most, compared), min(least, compared)
		require.LessOrEqual(s.t, compared, int64(5))
		require.LessOrEqual(s.t, right, int64(1))
	}
	s.t.Logf("400 parallel guesses with a cap of 5: %d to %d evaluated in %d rounds", least, most, rounds)
}

func (s *suite) parallelRight() {
	for range rounds {
		s.clock.Pass(10 * time.Minute)
		require.Equal(s.t, phone.Issued, s.issue(nil).Outcome)
		_, right := s.parallel(200, func(int) string { return "right" })
		require.Equal(s.t, int64(1), right)
	}
	s.t.Logf("200 parallel right answers: exactly one success in %d of %d rounds", rounds, rounds)
}

func (s *suite) parallelIssues() {
	var sent, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			r := &phone.Issue{Tenant: s.id, Record: k("r%s%d", s.id, i), Phone: k("p%s%d", s.id, i), Flow: k("f"), Channel: phone.SMS,
				TTL: 5 * time.Minute, Tries: 5, Sends: 3, Cooldowns: []time.Duration{time.Second},
				Quotas: []phone.Quota{{Key: k("budget%s", s.id), Window: time.Hour, Max: 1_000_000, Cost: 27_100}}}
			if err := s.s.Issue(s.ctx(), r); err != nil {
				s.t.Error(err)
			}
			switch r.Outcome {
			case phone.Issued:
				sent.Add(1)
			case phone.Exceeded:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(s.t, int64(36), sent.Load(), "36 * 27,100 fit into a million, 37 do not")
	require.Equal(s.t, int64(164), refused.Load())
	s.t.Logf("200 parallel sends: budget overshoot 0")
}

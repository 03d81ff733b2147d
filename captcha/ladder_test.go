package captcha_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

func TestOrchestratorLadder(t *testing.T) {
	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), captcha.DefaultSlack)
	require.NoError(t, err)
	c := newCast(t, "quiet work click", func(o *captcha.OrchestratorOptions, m []captcha.Member) {
		o.Ladder = ladder
		m[0].Rung, m[0].Second = captcha.RungInvisible, true
		m[1].Rung = captcha.RungWork
		m[2].Rung = captcha.RungInteractive
	})
	ask := func(session string, score, failures int) captcha.Task {
		r := visitor(session)
		r.Score, r.Failures = score, failures
		task, err := c.Challenge(t.Context(), r)
		require.NoError(t, err)
		return task
	}
	for i, row := range []struct {
		session         string
		score, failures int
		want            string
		second          bool
	}{
		{"a", 20, 0, "quiet", false},
		{"a", 45, 0, "work", false},
		{"a", 29, 0, "work", false}, // within the slack
		{"a", 20, 0, "quiet", false},
		{"b", 70, 0, "click", true},
		{"c", 20, 1, "work", false},
		{"c", 20, 2, "click", true},
		{"c", 20, 50, "click", true},
	} {
		task := ask(row.session, row.score, row.failures)
		require.Equal(t, row.want, task.Provider, "row %d", i)
		require.Equal(t, row.second, task.Second != nil, "row %d", i)
	}
	// The step's member is down: a stricter one stands in, never an easier one while there is one.
	c.members["work"].noTask.Store(true)
	require.Equal(t, "click", ask("d", 45, 0).Provider)
	c.members["click"].noTask.Store(true)
	require.Equal(t, "quiet", ask("e", 45, 0).Provider)
	c.members["quiet"].noTask.Store(true)
	_, err = c.Challenge(t.Context(), visitor("f"))
	require.Error(t, err)
}

func TestOrchestratorCountsFailuresWithoutEngine(t *testing.T) {
	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), 0)
	require.NoError(t, err)
	var failures *captcha.MemoryFailures
	c := newCast(t, "quiet work click", func(o *captcha.OrchestratorOptions, m []captcha.Member) {
		failures, err = captcha.NewMemoryFailures(&captcha.MemoryFailuresOptions{Now: o.Now})
		require.NoError(t, err)
		o.Ladder, o.Failures = ladder, failures
		m[0].Rung, m[1].Rung = captcha.RungInvisible, captcha.RungWork
	})
	for _, m := range c.members {
		m.set(fake)
	}
	var got []string
	for range 4 {
		task := c.task("s")
		got = append(got, task.Provider)
		_, err := c.answer("s", task)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"quiet", "quiet", "work", "click"}, got)
	c.clock.Advance(3 * time.Hour)
	require.Equal(t, "quiet", c.task("s").Provider, "forgotten in time")
}

// More risk, more failures and a higher last step never give an earlier step; within the slack nothing moves.
func TestLadderIsMonotonic(t *testing.T) {
	l, err := captcha.NewLadder(captcha.DefaultLadder(), 5)
	require.NoError(t, err)
	for last := range 4 {
		for score := range 101 {
			for failures := range 5 {
				n := l.Choose(last, score, failures)
				require.GreaterOrEqual(t, l.Choose(last, score+1, failures), n)
				require.GreaterOrEqual(t, l.Choose(last, score, failures+1), n)
				require.GreaterOrEqual(t, l.Choose(last+1, score, failures), n)
				require.Equal(t, n, l.Choose(n, score, failures), "choosing again changes nothing")
			}
		}
	}
	require.Equal(t, 2, l.Choose(2, 26, 0))
	require.Equal(t, 1, l.Choose(2, 25, 0))
	require.Equal(t, 0, l.Choose(-5, -5, -5))
	require.Equal(t, 3, l.Choose(99, 999, 999))
}

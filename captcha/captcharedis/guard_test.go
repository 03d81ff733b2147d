package captcharedis_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captcharedis"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/internal/redistest"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func patient() *captcharedis.Options { return &captcharedis.Options{Timeout: 5 * time.Second} }

func guard(t testing.TB, c captcharedis.Client) *captcharedis.Guard {
	g, err := captcharedis.New(c, patient())
	require.NoError(t, err)
	return g
}

// shorten makes every key of a server live that much shorter, which is what a clock that moves on would do.
func shorten(t *testing.T, s *redistest.Server, d time.Duration) {
	for _, k := range s.Do(t, "KEYS", "*").([]any) {
		left := time.Duration(s.Do(t, "PTTL", k).(int64)) * time.Millisecond
		require.Positive(t, left, "every key expires")
		if left <= d {
			s.Do(t, "DEL", k)
		} else {
			s.Do(t, "PEXPIRE", k, (left - d).Milliseconds())
		}
	}
}

func TestGuardSingle(t *testing.T) {
	var s *redistest.Server
	captchatest.TestReplayGuard(t, captchatest.Guard{
		New: func(t *testing.T) (a, b captcha.ReplayGuard) {
			s = servers.Single(t)
			return guard(t, s.Client(t, nil)), guard(t, s.Client(t, nil))
		},
		Advance: func(d time.Duration) { shorten(t, s, d) },
	})
}

func TestGuardCluster(t *testing.T) {
	var c *redistest.Cluster
	captchatest.TestReplayGuard(t, captchatest.Guard{
		New: func(t *testing.T) (a, b captcha.ReplayGuard) {
			c = servers.Cluster(t)
			return guard(t, c.Client(t, nil)), guard(t, c.Client(t, nil))
		},
		Advance: func(d time.Duration) {
			for _, m := range c.Masters {
				shorten(t, m, d)
			}
		},
	})
}

func TestGuardOutage(t *testing.T) {
	s := redistest.Start(t, nil)
	g, err := captcharedis.New(s.Client(t, nil), &captcharedis.Options{Timeout: time.Second})
	require.NoError(t, err)
	ctx := t.Context()
	first, err := g.Spend(ctx, captcha.ReplayKey{1}, time.Minute)
	require.NoError(t, err)
	require.True(t, first)
	s.Pause(t)
	begun := time.Now()
	first, err = g.Spend(ctx, captcha.ReplayKey{2}, time.Minute)
	require.Error(t, err)
	require.False(t, first)
	_, err = g.Spent(ctx, captcha.ReplayKey{1})
	require.Error(t, err)
	require.Less(t, time.Since(begun), 10*time.Second, "calls have a deadline of their own")
	s.Resume(t)
	require.Eventually(t, func() bool {
		yes, err := g.Spent(ctx, captcha.ReplayKey{1})
		return err == nil && yes
	}, 10*time.Second, 10*time.Millisecond)
	s.Kill(t)
	_, err = g.Spend(ctx, captcha.ReplayKey{3}, time.Minute)
	require.Error(t, err)
	keys := captcha.Keys{Current: captcha.Key{Secret: captcha.Secret("0123456789abcdef0123456789abcdef")}}
	pow, err := captcha.NewPoW(keys, g, &captcha.PoWOptions{Steps: captchatest.QuickSteps()})
	require.NoError(t, err)
	challenge, err := pow.Issue(ctx, captcha.ChallengeRequest{})
	require.NoError(t, err)
	token, err := captchatest.Solve(challenge)
	require.NoError(t, err)
	res, err := pow.Verify(ctx, captcha.Request{Token: token})
	require.Error(t, err)
	require.Equal(t, captcha.Unverified, res.Outcome, "without its guard a proof of work does not pass")
}

func TestNewRefuses(t *testing.T) {
	s := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = s.Close() })
	_, err := captcharedis.New(nil, nil)
	require.Error(t, err)
	_, err = captcharedis.NewReferences(nil, nil)
	require.Error(t, err)
	_, err = captcharedis.New(s, &captcharedis.Options{Timeout: -1})
	require.Error(t, err)
}

func TestReferences(t *testing.T) {
	s := servers.Single(t)
	r, err := captcharedis.NewReferences(s.Client(t, nil), patient())
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, r.Keep(ctx, "a-1", "recaptcha_enterprise projects/p/assessments/x", time.Minute))
	ref, err := r.Find(ctx, "a-1")
	require.NoError(t, err)
	require.Equal(t, "recaptcha_enterprise projects/p/assessments/x", ref)
	ref, err = r.Find(ctx, "a-2")
	require.NoError(t, err)
	require.Empty(t, ref)
	require.Error(t, r.Keep(ctx, "a-3", "x", 0))
	shorten(t, s, 2*time.Minute)
	ref, err = r.Find(ctx, "a-1")
	require.NoError(t, err)
	require.Empty(t, ref)
	s.Kill(t)
	t.Cleanup(func() { s.Restart(t) })
	_, err = r.Find(ctx, "a-1")
	require.Error(t, err)
}

// Of 50 concurrent posts of one answer over two instances exactly one passes, in every one of 100 rounds: of a proof of
// work, and of a remote provider's token that the provider itself would take more than once.
func TestConcurrentPosts(t *testing.T) {
	s := servers.Single(t)
	keys := captcha.Keys{Current: captcha.Key{Secret: captcha.Secret("0123456789abcdef0123456789abcdef")}}
	make := func(work bool) *captcha.Orchestrator {
		g := guard(t, s.Client(t, nil))
		var p captcha.Provider = generous{}
		if work {
			pow, err := captcha.NewPoW(keys, g, &captcha.PoWOptions{Steps: captchatest.QuickSteps()})
			require.NoError(t, err)
			p = pow
		}
		o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: p, Weight: 1}}, keys, g, nil)
		require.NoError(t, err)
		return o
	}
	for name, work := range map[string]bool{"proof of work": true, "remote": false} {
		t.Run(name, func(t *testing.T) {
			instances := [2]*captcha.Orchestrator{make(work), make(work)}
			right := 0
			for round := range 100 {
				task, err := instances[0].Challenge(t.Context(), captcha.ChallengeRequest{Session: "s"})
				require.NoError(t, err)
				token := fmt.Sprint("token-", round)
				if work {
					token, err = captchatest.Solve(task.Challenge)
					require.NoError(t, err)
				}
				in := captcha.Request{Token: captcha.Join(task.Ticket, token), Expect: captcha.Expect{Session: "s"}}
				var passed, errs atomic.Int32
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() {
						res, err := instances[i%2].Verify(context.Background(), in)
						if err != nil {
							errs.Add(1)
						}
						if res.Outcome == captcha.Passed {
							passed.Add(1)
						}
					})
				}
				wg.Wait()
				require.Zero(t, errs.Load())
				if passed.Load() == 1 {
					right++
				}
			}
			require.Equal(t, 100, right)
		})
	}
}

// generous is a remote provider that passes every answer, however often.
type generous struct{}

func (generous) Name() string { return "generous" }

func (generous) Verify(context.Context, captcha.Request) (captcha.Result, error) {
	return captcha.Result{Outcome: captcha.Passed, Reason: captcha.ReasonOK}, nil
}

func (generous) Challenge(context.Context, captcha.ChallengeRequest) (captcha.Task, error) {
	return captcha.Task{Provider: "generous"}, nil
}

func ExampleNew() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer client.Close()
	guard, err := captcharedis.New(client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var _ captcha.ReplayGuard = guard
	fmt.Println("ready")
	// Output: ready
}

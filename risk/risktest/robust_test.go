package risktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// bad is an option list of a signal that matters: its codes could change any answer.
func bad(mode risk.FailMode) *risktest.Options {
	return &risktest.Options{OnError: mode, Codes: []risk.Code{{Name: "bad", Points: 40, Floor: risk.Block}}}
}

func TestRefusedSignals(t *testing.T) {
	one := risktest.Fixed("one", risktest.Saying{}, nil)
	var none *risktest.Signal
	for _, row := range []struct {
		name    string
		signals []risk.Signal
		want    string
	}{
		{"nil", []risk.Signal{one, nil}, "signal 1: it is nil"},
		{"nil pointer", []risk.Signal{none}, "signal 0: its Describe panicked"},
		{"duplicate name", []risk.Signal{one, risktest.Hanging("one", nil)}, "signal one: a signal of this name is registered already"},
		{"the engine's own name", []risk.Signal{risktest.Fixed("flow", risktest.Saying{}, nil)}, "the engine's own"},
		{"no name", []risk.Signal{risktest.Fixed("", risktest.Saying{}, nil)}, "Go identifier"},
		{"counting and costly", []risk.Signal{risktest.Fixed("s", risktest.Saying{}, &risktest.Options{Cost: risk.Costly, Counts: true})}, "Costly"},
		{"4,097 signals", make([]risk.Signal, 4097), "4097 signals, at most 4096"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e, err := risk.NewEngine(risk.DefaultPolicy(row.signals), row.signals, nil)
			require.ErrorContains(t, err, row.want)
			require.Nil(t, e)
		})
	}
}

func TestZeroSignals(t *testing.T) {
	s := newEngine(t, nil).Assess(t.Context(), signUp())
	require.Equal(t, risk.Allow, s.Action)
	require.Equal(t, 12, s.Score)
	require.Equal(t, risktest.Sum(s), s.Score)
	require.False(t, s.Degraded)
}

func TestThousandSignals(t *testing.T) {
	var signals []risk.Signal
	var all []*risktest.Signal
	for i := range 1000 {
		o := &risktest.Options{Cost: risk.Local + risk.Cost(i%4), Codes: []risk.Code{{Name: "odd", Points: 1, Group: fmt.Sprint("g", i)}}}
		s := risktest.Fixed(fmt.Sprint("s", i), risktest.Say("odd"), o)
		signals, all = append(signals, s), append(all, s)
	}
	share := 1.0
	p := risk.DefaultPolicy(signals).Spec()
	p.Sampling = &share
	full, err := risk.NewPolicy(p)
	require.NoError(t, err)
	e, err := risk.NewEngine(full, signals, &risk.Options{Budget: time.Minute})
	require.NoError(t, err)
	s := e.Assess(t.Context(), signUp())
	require.Equal(t, 1012, s.Raw)
	require.Equal(t, 100, s.Score)
	require.Equal(t, risk.Block, s.Action)
	require.Equal(t, risktest.Sum(s), s.Score)
	for _, one := range all {
		require.Equal(t, 1, one.Calls(), one.Describe().Name)
	}
	require.Len(t, s.Timings, 1000)
}

// TestDeadlines: whatever signals do, Assess is back in time, and says what it did not hear.
func TestDeadlines(t *testing.T) {
	for _, row := range []struct {
		name    string
		timeout time.Duration // of the context; 0: none
		cancel  bool
		signals func() []*risktest.Signal
		took    time.Duration
		causes  map[string]risk.Cause
		action  risk.Action
	}{
		{"cancelled before it began: nothing changes", 0, true,
			func() []*risktest.Signal {
				return []*risktest.Signal{risktest.Slow("s", 10*time.Millisecond, risktest.Say("bad"), bad(risk.FailOpen))}
			},
			10 * time.Millisecond, nil, risk.Block},
		{"deadline passed: nobody is asked", -time.Second, false,
			func() []*risktest.Signal { return []*risktest.Signal{risktest.Deaf("s", bad(risk.FailReview))} },
			0, map[string]risk.Cause{"s": risk.CauseNotReady}, risk.Review},
		{"deadline shorter than the first step", time.Millisecond, false,
			func() []*risktest.Signal {
				return []*risktest.Signal{
					risktest.Deaf("deaf", &risktest.Options{Cost: risk.Stored, OnError: risk.FailOpen, Codes: bad(0).Codes}),
					risktest.Deaf("later", bad(risk.FailReview)),
				}
			},
			time.Millisecond, map[string]risk.Cause{"deaf": risk.CauseTimeout, "later": risk.CauseNotReady}, risk.Review},
		{"all hang and none listens: three steps' timeouts", 0, false,
			func() []*risktest.Signal {
				out := []*risktest.Signal{risktest.Fixed("near", risktest.Say("bad"), &risktest.Options{Codes: []risk.Code{{Name: "bad", Points: 25}}})}
				for i, cost := range []risk.Cost{risk.Stored, risk.Stored, risk.Remote, risk.Remote, risk.Costly} {
					o := bad(risk.FailReview)
					o.Cost = cost
					out = append(out, risktest.Deaf(fmt.Sprint("s", i), o))
				}
				return out
			},
			time.Second, map[string]risk.Cause{"s0": risk.CauseTimeout, "s2": risk.CauseTimeout, "s4": risk.CauseTimeout, "near": ""}, risk.Review},
		{"different timeouts in one step", 0, false,
			func() []*risktest.Signal {
				var out []*risktest.Signal
				for i, d := range []time.Duration{30, 10, 20, 10} {
					o := bad(risk.FailOpen)
					o.Timeout = d * time.Millisecond
					out = append(out, risktest.Late(fmt.Sprint("s", i), risktest.Say("bad"), o))
				}
				return out
			},
			30 * time.Millisecond, map[string]risk.Cause{"s0": risk.CauseTimeout, "s1": risk.CauseTimeout, "s2": risk.CauseTimeout, "s3": risk.CauseTimeout}, risk.Allow},
		{"one that hangs does not take the others with it", 0, false,
			func() []*risktest.Signal {
				return []*risktest.Signal{risktest.Deaf("deaf", bad(risk.FailOpen)), risktest.Panicking("panics", 1, bad(risk.FailOpen)),
					risktest.Goexiting("exits", bad(risk.FailOpen)), risktest.Fixed("tells", risktest.Say("bad"), &risktest.Options{Cost: risk.Remote, Codes: bad(0).Codes})}
			},
			400 * time.Millisecond, map[string]risk.Cause{"deaf": risk.CauseTimeout, "panics": risk.CausePanic, "exits": risk.CausePanic, "tells": ""}, risk.Block},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made := row.signals()
				signals := make([]risk.Signal, len(made))
				for i, s := range made {
					signals[i] = s
					defer s.Release()
				}
				e := newEngine(t, nil, signals...)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if row.timeout != 0 {
					ctx, cancel = context.WithTimeout(ctx, row.timeout)
					defer cancel()
				}
				if row.cancel {
					cancel()
				}
				begun := time.Now()
				s := e.Assess(ctx, signUp())
				took := time.Since(begun)
				require.LessOrEqual(t, took, row.took)
				require.GreaterOrEqual(t, took, row.took*3/4, "it waits for as long as it may")
				require.Equal(t, row.action, s.Action, "%v %v", s.Reasons, s.Errors)
				for name, cause := range row.causes {
					require.Equal(t, cause, risktest.Cause(s, name), name)
				}
				require.Equal(t, risktest.Sum(s), s.Score)
			})
		})
	}
}

// TestLateAnswersCountForNothing: what comes after the deadline never reaches this assessment or the next.
func TestLateAnswersCountForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Int64
		o := bad(risk.FailOpen)
		s := risktest.Late("s", risktest.Saying{Codes: risktest.Say("bad").Codes, Proofs: []risk.Proof{risk.ProofHuman}, Receipt: "r"}, o)
		rec := &risktest.Recorder{}
		e := newEngine(t, &risk.Options{Sinks: []risk.Sink{rec}, Hooks: &risk.Hooks{Late: func(signal string, took time.Duration) {
			late.Add(1)
		}}}, s)
		for range 50 {
			got := e.Assess(t.Context(), signUp())
			require.Equal(t, risk.Allow, got.Action)
			require.Equal(t, 12, got.Score)
			require.Equal(t, risk.CauseTimeout, risktest.Cause(got, "s"))
			require.Empty(t, risktest.Codes(rec.Last()))
			time.Sleep(2 * risktest.LateBy) // of the bubble's time
		}
		require.EqualValues(t, 50, late.Load())
		require.Equal(t, 50, s.Calls())
	})
}

// TestOverdueBound: a signal that never returns has 16 calls hanging and no more, errs at once then, and is asked again
// when they have returned.
func TestOverdueBound(t *testing.T) {
	const bound = 16
	synctest.Test(t, func(t *testing.T) {
		s := risktest.Deaf("s", bad(risk.FailReview))
		defer s.Release()
		other := risktest.Fixed("other", risktest.Saying{}, &risktest.Options{Cost: risk.Remote, Codes: bad(0).Codes})
		e := newEngine(t, nil, s, other)
		for i := range 40 {
			begun := time.Now()
			got := e.Assess(t.Context(), signUp())
			require.Equal(t, risk.Review, got.Action)
			if i < bound {
				require.Equal(t, risk.CauseTimeout, risktest.Cause(got, "s"), "call %d", i)
				require.Equal(t, 400*time.Millisecond, time.Since(begun))
			} else {
				require.Equal(t, risk.CauseOverdue, risktest.Cause(got, "s"), "call %d", i)
				require.Zero(t, time.Since(begun), "it errs at once")
			}
		}
		require.Equal(t, bound, s.Running())
		require.Equal(t, bound, s.Calls())
		require.Equal(t, 40, other.Calls(), "others are asked as ever")

		s.Release()
		synctest.Wait()
		require.Zero(t, s.Running())
		got := e.Assess(t.Context(), signUp())
		require.Empty(t, got.Errors)
		require.Equal(t, bound+1, s.Calls())
	})
}

// TestOverdueBoundAtOnce: those in flight at that moment may hang too, nobody else.
func TestOverdueBoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := risktest.Deaf("s", bad(risk.FailReview))
		defer s.Release()
		e := newEngine(t, nil, s)
		for range 5 {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { e.Assess(t.Context(), signUp()) })
			}
			wg.Wait()
		}
		require.Equal(t, 50, s.Running(), "the first 50 were in flight together, the other 200 were not asked")
	})
}

// TestGoroutinesAfterTimeouts: 10,000 timeouts leave nothing behind.
func TestGoroutinesAfterTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, late := risktest.Hanging("hanging", bad(risk.FailOpen)), risktest.Late("late", risktest.Say("bad"), bad(risk.FailOpen))
		e := newEngine(t, nil, hanging, late)
		before := runtime.NumGoroutine()
		for range 5000 {
			got := e.Assess(t.Context(), signUp())
			if len(got.Errors) != 2 {
				t.Fatalf("want two timeouts, have %v", got.Errors)
			}
			time.Sleep(2 * risktest.LateBy) // of the bubble's time
		}
		require.LessOrEqual(t, runtime.NumGoroutine(), before)
		require.Zero(t, hanging.Running()+late.Running())
		require.Equal(t, 10_000, hanging.Calls()+late.Calls(), "none was refused as overdue")
	})
}

// TestSameInputSameBytes: order of registration, interleaving and repetition never show.
func TestSameInputSameBytes(t *testing.T) {
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	signals := []risk.Signal{
		risktest.Fixed("a", risktest.Say("x", "y"), &risktest.Options{Codes: []risk.Code{{Name: "x", Points: 7, Group: "g"}, {Name: "y", Points: 7, Group: "g"}}}),
		risktest.Fixed("b", risktest.Saying{Codes: []risk.Observation{{Code: "x", Degree: 0.3}}}, &risktest.Options{Cost: risk.Remote, Codes: []risk.Code{{Name: "x", Points: 7, Group: "g"}}}),
		risktest.Fixed("c", risktest.Say("x"), &risktest.Options{Cost: risk.Stored, Codes: []risk.Code{{Name: "x", Points: -3, Group: "g"}}}),
		risktest.Fixed("d", risktest.Saying{Retry: at.Add(time.Hour)}, nil),
		risktest.Failing("e", errors.New("e"), &risktest.Options{Codes: []risk.Code{{Name: "x", Points: 30}}}),
		risktest.Panicking("f", "f", &risktest.Options{Cost: risk.Local, Codes: []risk.Code{{Name: "x", Points: 3}}}),
		risktest.Lying("g", risktest.DegreeNaN, nil),
		risktest.NewProver("h", []risk.Proof{risk.ProofPhone, risk.ProofHuman}, nil),
		risktest.Fixed("i", risktest.Say("x"), &risktest.Options{Cost: risk.Costly, Codes: []risk.Code{{Name: "x", Points: 12}}}),
	}
	r := rand.New(rand.NewPCG(1, 2))
	want := ""
	for round := range 20 {
		shuffled := append([]risk.Signal(nil), signals...)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		e := newEngine(t, &risk.Options{Now: func() time.Time { return at }, Budget: time.Minute, Shadow: []*risk.Policy{risk.DefaultPolicy(signals)}}, shuffled...)
		var wg sync.WaitGroup
		texts := make([]string, 8)
		for i := range texts {
			wg.Go(func() {
				b, err := json.Marshal(e.Assess(t.Context(), signUp()))
				texts[i] = string(b)
				if err != nil {
					texts[i] = err.Error()
				}
			})
		}
		wg.Wait()
		if round == 0 {
			want = texts[0]
			require.Contains(t, want, `"action":`)
		}
		for _, text := range texts {
			require.Equal(t, want, text)
		}
	}
}

// TestReloadDuringDecisions: each decision cites one policy, and is that policy's.
func TestReloadDuringDecisions(t *testing.T) {
	s := risktest.Fixed("s", risktest.Say("bad"), &risktest.Options{Cost: risk.Remote, Codes: []risk.Code{{Name: "bad", Points: 1, Group: "g"}}})
	const policies = 8
	scores, all := map[string]int{}, make([]*risk.Policy, policies)
	for i := range all {
		p, err := risk.NewPolicy(risk.PolicySpec{Name: fmt.Sprint("p", i), Segments: []risk.Segment{{Name: "all", Prior: 0.01 * float64(1+i),
			Levels: []risk.Level{{Name: "only", Range: &[2]int{0, 100}, Action: risk.Allow}}}}, Points: map[string]int{"s.bad": 10 * (i + 1)}})
		require.NoError(t, err)
		all[i] = p
		e, err := risk.NewEngine(p, []risk.Signal{s}, nil)
		require.NoError(t, err)
		scores[p.Hash()] = e.Assess(t.Context(), signUp()).Raw
	}
	require.Len(t, scores, policies)
	e, err := risk.NewEngine(all[0], []risk.Signal{s}, nil)
	require.NoError(t, err)
	done := make(chan struct{})
	var reloads atomic.Int64
	var reloader sync.WaitGroup
	reloader.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if err := e.Reload(all[i%policies], all[(i+1)%policies]); err != nil {
				panic(err)
			}
			reloads.Add(1)
		}
	})
	var wg sync.WaitGroup
	seen := make([]map[string]int, 4)
	for i := range seen {
		seen[i] = map[string]int{}
		wg.Go(func() {
			for n := 0; n < 2500 || len(seen[i]) < 2; n++ {
				got := e.Assess(context.Background(), signUp())
				want, ok := scores[got.Policy.Hash]
				if !ok || got.Raw != want || (len(got.Shadow) > 0 && got.Shadow[0].Policy.Hash == got.Policy.Hash) {
					panic(fmt.Sprintf("policy %s: raw %d, want %d, shadows %v", got.Policy.Name, got.Raw, want, got.Shadow))
				}
				seen[i][got.Policy.Hash]++
			}
		})
	}
	wg.Wait()
	close(done)
	reloader.Wait()
	require.Positive(t, reloads.Load())
}

// TestClockGoingBackwards: a clock that jumps back, or far on, never panics, and a flow stays good while it has not expired.
func TestClockGoingBackwards(t *testing.T) {
	var now atomic.Int64
	start := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return start.Add(time.Duration(now.Load())) }
	bad := risktest.Fixed("bad", risktest.Say("seen"), &risktest.Options{Codes: []risk.Code{{Name: "seen", Points: 25}}})
	e := newEngine(t, &risk.Options{Now: clock}, bad, risktest.NewProver("p", []risk.Proof{risk.ProofHuman}, nil))
	s := e.Assess(t.Context(), signUp())
	require.Equal(t, risk.Challenge, s.Action)
	for _, back := range []time.Duration{-time.Second, -time.Hour, -20 * 365 * 24 * time.Hour} {
		now.Store(int64(back))
		a := &risk.Attempt{Event: risk.SignUp, Flow: s.Flow}
		again := e.Assess(t.Context(), a)
		require.Equal(t, risk.Challenge, again.Action, "%v", back)
		require.Equal(t, s.Flow, again.Flow, "the flow goes on")
	}
	a := &risk.Attempt{Event: risk.SignUp, Flow: s.Flow}
	risk.Attach(a, risktest.Given{risk.ProofHuman})
	done := e.Assess(t.Context(), a)
	require.True(t, done.Allowed(), "%v %v", done.Action, done.Reasons)

	s = e.Assess(t.Context(), signUp())
	now.Store(int64(24 * time.Hour * 36500))
	a.Flow = s.Flow
	late := e.Assess(t.Context(), a)
	require.NotEqual(t, s.Flow, late.Flow, "an expired flow does not go on")
	_, expired := risktest.Points(late, "flow.expired")
	require.True(t, expired)
}

// TestBackwardsClockInWaits: an end that has passed by the clock in force is no wait.
func TestBackwardsClockInWaits(t *testing.T) {
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	now := at
	s := risktest.Fixed("s", risktest.Saying{Retry: at.Add(time.Minute)}, nil)
	e := newEngine(t, &risk.Options{Now: func() time.Time { return now }}, s)
	got := e.Assess(t.Context(), signUp())
	require.Equal(t, risk.Wait, got.Action)
	require.Equal(t, at.Add(time.Minute), got.Until)
	now = at.Add(2 * time.Minute)
	require.True(t, e.Assess(t.Context(), signUp()).Allowed())
	now = at.Add(-time.Hour)
	require.Equal(t, risk.Wait, e.Assess(t.Context(), signUp()).Action)
}

// applies panics from its second call on.
type moody struct {
	risk.Signal
	calls atomic.Int64
}

func (m *moody) Applies(*risk.Attempt) bool {
	if m.calls.Add(1) > 1 {
		panic("moody")
	}
	return true
}

// TestShadowsNeverTouchTheAnswer: with any shadows, and signals that break while shadows are judged, the answer is
// byte for byte that without.
func TestShadowsNeverTouchTheAnswer(t *testing.T) {
	build := func(shadows int) (*risk.Engine, *moody) {
		m := &moody{Signal: risktest.Fixed("costly", risktest.Say("bad"), &risktest.Options{Cost: risk.Costly, Codes: []risk.Code{{Name: "bad", Points: 60}}})}
		signals := []risk.Signal{m, risktest.Fixed("s", risktest.Say("odd"), &risktest.Options{Codes: []risk.Code{{Name: "odd", Points: 3}}}),
			risktest.NewProver("p", []risk.Proof{risk.ProofHuman}, nil)}
		var list []*risk.Policy
		for i := range shadows {
			spec := risk.DefaultPolicy(signals).Spec()
			spec.Name = fmt.Sprint("shadow", i)
			spec.Segments[0].Prior = []float64{0.001, 0.3, 0.9}[i%3]
			spec.Rules = append(spec.Rules, risk.Rule{Name: "block", When: "s.odd", Floor: "block"})
			p, err := risk.NewPolicy(spec)
			require.NoError(t, err)
			list = append(list, p)
		}
		return newEngine(t, &risk.Options{Shadow: list}, signals...), m
	}
	plain, _ := build(0)
	want := plain.Assess(t.Context(), signUp())
	require.Equal(t, risk.Allow, want.Action)
	wantText, err := json.Marshal(want)
	require.NoError(t, err)
	for _, shadows := range []int{1, 3, 20} {
		e, m := build(shadows)
		got := e.Assess(t.Context(), signUp())
		require.Len(t, got.Shadow, shadows)
		require.Equal(t, risk.Block, got.Shadow[0].Action)
		require.Greater(t, m.calls.Load(), int64(1), "the signal did break while a shadow was judged")
		got.Shadow = nil
		gotText, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, string(wantText), string(gotText))
	}
}

// TestHooksThatPanic: Assess never panics, whatever it is given.
func TestHooksThatPanic(t *testing.T) {
	for name, hooks := range map[string]*risk.Hooks{
		"assessed":     {Assessed: func(*risk.Assessment) { panic("hook") }},
		"signal error": {SignalError: func(risk.SignalError) { panic("hook") }},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, &risk.Options{Hooks: hooks}, risktest.Failing("s", nil, bad(risk.FailOpen)))
			require.NotPanics(t, func() {
				s := e.Assess(t.Context(), signUp())
				require.NotNil(t, s)
				require.NotZero(t, s.Action)
			})
		})
	}
}

// TestHangingSinkDoesNotSilenceOthers: one sink that never returns costs time, and none of the others their records.
func TestHangingSinkDoesNotSilenceOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		rec := &risktest.Recorder{}
		e := newEngine(t, &risk.Options{Sinks: []risk.Sink{rec, risk.SinkFunc(func(context.Context, *risk.Decision) error {
			<-release
			return nil
		})}})
		for range 40 {
			require.True(t, e.Assess(t.Context(), signUp()).Allowed())
		}
		require.Equal(t, 40, rec.Total())
	})
}

// TestNilInputs: what a caller may forget is no panic.
func TestNilInputs(t *testing.T) {
	e := newEngine(t, nil, risktest.Fixed("s", risktest.Saying{}, nil))
	require.NotPanics(t, func() {
		require.Equal(t, risk.Allow, e.Assess(t.Context(), nil).Action)
		var missing context.Context
		require.NotZero(t, e.Assess(missing, signUp()).Action)
		require.False(t, (*risk.Assessment)(nil).Allowed())
		require.False(t, (&risk.Assessment{}).Allowed())
	})
}

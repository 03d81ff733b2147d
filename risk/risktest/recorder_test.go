package risktest_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func TestRecorder(t *testing.T) {
	r := &risktest.Recorder{}
	require.Nil(t, r.Last())
	ip := risktest.Fixed("ip", risktest.Saying{
		Codes: []risk.Observation{{Code: "ip.tor", Degree: 0.5}, {Code: "tor", Degree: 0.75}, {Code: "odd", Degree: 1}},
		Facts: []risk.Fact{{Name: "country", Value: risk.TextValue("NO")}, {Name: "ip.hops", Value: risk.NumberValue(3)}},
	}, &risktest.Options{Codes: []risk.Code{{Name: "tor", Points: 20}}})
	e := newEngine(t, &risk.Options{Sinks: []risk.Sink{r}}, ip, risktest.Failing("phone", nil, &risktest.Options{OnError: risk.FailOpen, Codes: []risk.Code{{Name: "voip", Points: 30}}}))
	a := signUp()
	a.Email, a.Header = "a@example.com", map[string][]string{"User-Agent": {"x"}}
	s := e.Assess(t.Context(), a)

	d := r.Last()
	require.Equal(t, 1, r.Total())
	require.Same(t, d, r.Find("attempt-1"))
	require.Nil(t, r.Find("attempt-2"))
	require.Equal(t, []string{"ip.odd", "ip.tor"}, risktest.Codes(d))
	degree, ok := risktest.Degree(d, "ip.tor")
	require.True(t, ok)
	require.Equal(t, 0.75, degree)
	_, ok = risktest.Degree(d, "ip.vpn")
	require.False(t, ok)
	v, ok := risktest.Fact(d, "ip.country")
	require.True(t, ok)
	require.Equal(t, "NO", v.Text())
	v, _ = risktest.Fact(d, "ip.hops")
	require.Equal(t, 3.0, v.Number())
	_, ok = risktest.Fact(d, "ip.asn")
	require.False(t, ok)
	points, ok := risktest.Points(d.Assessment, "ip.tor")
	require.True(t, ok)
	require.Equal(t, 15, points)
	base, _ := risktest.Points(d.Assessment, "base")
	require.Equal(t, 12, base)
	_, ok = risktest.Points(d.Assessment, "clamp")
	require.False(t, ok)
	require.Equal(t, s.Score, risktest.Sum(d.Assessment))
	require.Equal(t, risk.CauseError, risktest.Cause(d.Assessment, "phone"))
	require.Empty(t, risktest.Cause(d.Assessment, "ip"))

	// What is kept is the recorder's own.
	a.Header["User-Agent"][0], a.Email = "y", "b@example.com"
	s.Reasons[0].Points, s.Errors[0].Cause = 99, risk.CausePanic
	require.Equal(t, "x", d.Attempt.Header["User-Agent"][0])
	require.Equal(t, risk.Private("a@example.com"), d.Attempt.Email)
	require.Equal(t, 12, d.Assessment.Reasons[0].Points)
	require.Equal(t, risk.CauseError, d.Assessment.Errors[0].Cause)
	require.NoError(t, e.Settle(t.Context(), d.Assessment, risk.Completed), "a copy can be settled")

	r.Reset()
	require.Zero(t, r.Total())
	require.Empty(t, r.Decisions())
}

func TestRecorderKeepsWhatFlowsKept(t *testing.T) {
	r := &risktest.Recorder{}
	p := risktest.NewProver("prover", []risk.Proof{risk.ProofHuman, risk.ProofPhone}, nil)
	bad := risktest.Fixed("bad", risktest.Say("seen"), &risktest.Options{Codes: []risk.Code{{Name: "seen", Points: 25}}})
	e := newEngine(t, &risk.Options{Sinks: []risk.Sink{r}}, p, bad)
	s := e.Assess(t.Context(), signUp())
	require.Equal(t, risk.Challenge, s.Action)
	a := &risk.Attempt{ID: "attempt-2", Event: risk.SignUp, Flow: s.Flow}
	risk.Attach(a, risktest.Given{risk.ProofHuman, risk.ProofPhone})
	require.True(t, e.Assess(t.Context(), a).Allowed())
	require.Equal(t, []string{"bad.seen"}, risktest.Codes(r.Find("attempt-2")))
	require.Len(t, r.Decisions(), 2)
	require.Equal(t, 1, bad.Calls(), "the flow keeps what it said")
}

func TestRecorderIsBoundedAndSafe(t *testing.T) {
	r := &risktest.Recorder{Most: 10}
	e := newEngine(t, &risk.Options{Sinks: []risk.Sink{r}}, risktest.Fixed("s", risktest.Say("odd"), nil))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				s := e.Assess(t.Context(), signUp())
				s.Reasons[0].Points++
				for _, d := range r.Decisions() {
					if risktest.Sum(d.Assessment) != d.Assessment.Score {
						panic("a kept decision has changed")
					}
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, r.Decisions(), 10)
	require.Equal(t, 200, r.Total())
}

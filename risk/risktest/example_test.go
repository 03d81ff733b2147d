package risktest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func Example() {
	hosting := risktest.Fixed("ip", risktest.Say("hosting"), &risktest.Options{Codes: []risk.Code{{Name: "hosting", Points: 12}}})
	down := risktest.Failing("phone", errors.New("503"), &risktest.Options{OnError: risk.FailOpen, Codes: []risk.Code{{Name: "voip", Points: 16}}})
	signals := []risk.Signal{hosting, down, risktest.NewProver("captcha", []risk.Proof{risk.ProofHuman}, nil)}
	decisions := &risktest.Recorder{}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{Sinks: []risk.Sink{decisions}})
	if err != nil {
		panic(err)
	}
	s := engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp})
	points, _ := risktest.Points(s, "ip.hosting")
	fmt.Println(s.Action, s.Score, points, risktest.Cause(s, "phone"), risktest.Codes(decisions.Last()))
	// Output: allow 24 12 error [ip.hosting]
}

func ExampleEngine() {
	engine := risktest.Engine(risk.Challenge, risk.ProofHuman)
	s := engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp})
	tasks, _ := engine.Tasks(context.Background(), s)
	fmt.Println(s.Action, s.Require, tasks[0].Signal, tasks[0].Data)

	next := &risk.Attempt{Event: risk.SignUp, Flow: s.Flow}
	risk.Attach(next, risktest.Given{risk.ProofHuman})
	fmt.Println(engine.Assess(context.Background(), next).Action)
	// Output:
	// challenge [human] prover map[give:human]
	// allow
}

func ExampleEvaluate() {
	signal := risk.SignalFunc{
		Description: risk.Description{Name: "captcha", Cost: risk.Remote, OnError: risk.FailChallenge,
			Codes: []risk.Code{{Name: "absent", State: risk.Absent, Points: 8}}, Proofs: []risk.Proof{risk.ProofHuman}},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if a.Asked(risk.ProofHuman) {
				f.Observe("absent")
			}
			return nil
		},
	}
	said, err := risktest.Evaluate(signal, risktest.Attempt(nil, &risktest.AttemptOptions{Asked: []risk.Proof{risk.ProofHuman}}))
	fmt.Println(said.Codes, err)
	// Output: map[absent:1] <nil>
}

func ExampleConform() {
	careless := risk.SignalFunc{
		Description: risk.Description{Name: "agent", Cost: risk.Local, OnError: risk.FailOpen},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if a.Header["User-Agent"][0] == "" {
				f.Observe("missing")
			}
			return nil
		},
	}
	err := risktest.Conform(careless, &risk.Attempt{Header: map[string][]string{"User-Agent": {"x"}}})
	for _, fault := range err.(interface{ Unwrap() []error }).Unwrap() {
		fmt.Println(fault)
	}
	// Output:
	// risktest: signal agent: on empty texts everywhere: it observes code "missing", which is not declared
	// risktest: signal agent: on 2,000 headers: panicked: runtime error: index out of range [0] with length 0
	// risktest: signal agent: on headers without values: panicked: runtime error: index out of range [0] with length 0
	// risktest: signal agent: on no headers: panicked: runtime error: index out of range [0] with length 0
	// risktest: signal agent: on an empty attempt: panicked: runtime error: index out of range [0] with length 0
}

func ExampleLying() {
	for _, lie := range []risktest.Lie{risktest.DegreeNaN, risktest.UndeclaredProof} {
		_, err := risktest.Evaluate(risktest.Lying("s", lie, nil), &risk.Attempt{})
		fmt.Println(err)
	}
	// Output:
	// risk: signal s could not tell: invalid: observes code bad at degree NaN, outside (0,1]
	// risk: signal s could not tell: invalid: proves "undeclared", which is not declared
}

func ExampleHanging() {
	signal := risktest.Hanging("s", &risktest.Options{Timeout: time.Millisecond})
	_, err := risktest.Evaluate(signal, &risk.Attempt{})
	fmt.Println(errors.Is(err, context.DeadlineExceeded), signal.Calls())
	// Output: true 1
}

func ExampleCanary() {
	canary := risktest.NewCanary()
	sink := canary.Sink()
	log := slog.New(slog.NewJSONHandler(sink, nil))
	attempt := canary.Attempt()
	log.Info("attempt", "attempt", attempt, "email", attempt.Email)
	fmt.Println(sink.Leaks())

	log.Info("careless", "email", string(attempt.Email))
	fmt.Println(sink.Leaks()[0].Field, sink.Leaks()[0].Form)
	// Output:
	// []
	// email plain
}

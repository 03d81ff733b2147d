package risk_test

import (
	"context"
	"fmt"

	"github.com/vestibule-go/vestibule/risk"
)

// A signal of an application's own: it knows mailbox providers that hand out addresses by the thousand.
func ExampleSignal() {
	email := risk.SignalFunc{
		Description: risk.Description{
			Name: "email", Cost: risk.Local, OnError: risk.FailOpen,
			Codes:    []risk.Code{{Name: "disposable", Points: 14}},
			Collects: []risk.Datum{{What: "domain of the e-mail address", Why: "disposable mailboxes", Form: "not stored"}},
		},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if string(a.Email) == "joe@burner.example" {
				f.Observe("disposable")
			}
			return nil
		},
	}
	signals := []risk.Signal{email}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	s := engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp, Email: "joe@burner.example"})
	fmt.Println(s.Action, s.Score)
	for _, r := range s.Reasons {
		fmt.Println(r)
	}
	// Output:
	// allow 26
	// base +12
	// email.disposable +14 (email)
}

func ExampleParsePolicy() {
	_, err := risk.ParsePolicy([]byte(`{
  "name": "sign-up",
  "segments": [
    {"name": "all", "prior": 1.5}
  ]
}`))
	fmt.Println(err)
	// Output: risk: policy 4:30 segments[0].prior: want above 0 and below 1
}

func ExampleEngine_Settle() {
	engine, _ := risk.NewEngine(risk.DefaultPolicy(nil), nil, nil)
	ctx := context.Background()
	s := engine.Assess(ctx, &risk.Attempt{Event: risk.SignUp})
	insert := func() error { return nil } // the application's own work
	if s.Allowed() {
		outcome := risk.Completed
		if err := insert(); err != nil {
			outcome = risk.Undone // refunds what was charged
		}
		fmt.Println(outcome, engine.Settle(ctx, s, outcome))
	}
	// Output: completed <nil>
}

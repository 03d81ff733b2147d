package riskhttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// puzzle is a small captcha: the answer is the flow's name backwards, as long as its task has the right session.
type puzzle struct{ asked []risk.Question }

type puzzleAnswer string

func (*puzzle) Describe() risk.Description {
	return risk.Description{
		Name: "puzzle", Cost: risk.Local, OnError: risk.FailChallenge, Proofs: []risk.Proof{risk.ProofHuman},
		Codes: []risk.Code{{Name: "absent", State: risk.Absent, Points: 8}, {Name: "wrong", State: risk.Invalid, Points: 18}},
	}
}

func (*puzzle) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	answer, ok := risk.Evidence[puzzleAnswer](a)
	switch {
	case !ok:
		if a.Asked(risk.ProofHuman) {
			f.Observe("absent")
		}
	case string(answer) == "answer to "+a.Flow:
		f.Prove(risk.ProofHuman)
	default:
		f.Observe("wrong")
	}
	return nil
}

func (p *puzzle) Ask(_ context.Context, q risk.Question) (any, error) {
	p.asked = append(p.asked, q)
	return map[string]string{"question": "what is the answer to " + q.Flow}, nil
}

// settler notes how attempts were settled.
type settler struct {
	risk.SignalFunc
	outcomes []risk.Outcome
}

func (s *settler) Settle(_ context.Context, st risk.Settlement) error {
	s.outcomes = append(s.outcomes, st.Outcome)
	return nil
}

// network finds addresses of 203.0.113.0/24 suspicious.
func network() *settler {
	return &settler{SignalFunc: risk.SignalFunc{
		Description: risk.Description{
			Name: "network", Cost: risk.Local, OnError: risk.FailOpen,
			Codes: []risk.Code{{Name: "suspicious", Points: 24, Public: "Your network is often used by robots."}},
		},
		Func: func(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
			if a.IP.Is4() && strings.HasPrefix(a.IP.String(), "203.0.113.") {
				f.Observe("suspicious")
			}
			return nil
		},
	}}
}

// A visitor goes the whole way with a real engine: challenged, asks for the tasks again, solves them, is let in.
func TestWithEngine(t *testing.T) {
	p, n := &puzzle{}, network()
	signals := []risk.Signal{p, n}
	e, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	g, err := riskhttp.New(e, &riskhttp.Options{
		TrustedProxies: proxies("10.0.0.0/8"),
		OnError:        func(_ *http.Request, err error) { t.Error(err) },
		Collectors: []riskhttp.Collector{func(r *http.Request, a *risk.Attempt) {
			if v := r.Header.Get("Answer"); v != "" {
				risk.Attach(a, puzzleAnswer(v))
			}
		}},
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("POST /signup", g.Middleware(risk.SignUp, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !riskhttp.From(r.Context()).Allowed() {
			t.Error("not allowed, but here")
		}
		w.WriteHeader(http.StatusCreated)
	})))
	mux.Handle("/tasks", g.TasksHandler(risk.SignUp))
	mux.Handle("/open", g.OpenHandler(risk.SignUp, risk.ProofHuman))

	do := func(path, client, session string, header ...string) (*httptest.ResponseRecorder, *riskhttp.Problem) {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-For", client)
		r.Header.Set("Cookie", "__Host-vestibule="+session)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var p riskhttp.Problem
		if w.Body.Len() > 0 {
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		}
		return w, &p
	}

	w, _ := do("/signup", "198.51.100.1", "clean")
	require.Equal(t, http.StatusCreated, w.Code)
	require.Equal(t, []risk.Outcome{risk.Judged, risk.Completed}, n.outcomes)

	w, challenge := do("/signup", "203.0.113.9", "s1")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, []risk.Proof{risk.ProofHuman}, challenge.Require)
	require.Equal(t, []string{"Your network is often used by robots."}, challenge.Reasons)
	require.Len(t, challenge.Tasks, 1)
	require.Equal(t, map[string]any{"question": "what is the answer to " + challenge.Flow}, challenge.Tasks[0].Data)
	flow := []string{"Vestibule-Flow", challenge.Flow}

	w, _ = do("/tasks", "203.0.113.9", "s1", flow...)
	require.Equal(t, http.StatusOK, w.Code)
	var steps riskhttp.Steps
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &steps))
	require.Equal(t, challenge.Flow, steps.Flow)
	require.Equal(t, challenge.Require, steps.Require)
	require.Equal(t, challenge.Tasks, steps.Tasks)
	require.Len(t, p.asked, 2)
	require.Equal(t, "s1", string(p.asked[1].Attempt.Session))
	require.GreaterOrEqual(t, p.asked[1].Score, p.asked[0].Score)

	w, stolen := do("/tasks", "203.0.113.9", "s2", flow...)
	require.Equal(t, http.StatusNotFound, w.Code)
	w, unknown := do("/tasks", "203.0.113.9", "s1", "Vestibule-Flow", "made-up")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Equal(t, stolen, unknown)

	w, again := do("/signup", "203.0.113.9", "s1", append(flow, "Answer", "no")...)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, challenge.Flow, again.Flow)
	w, _ = do("/signup", "203.0.113.9", "s1", append(flow, "Answer", "answer to "+challenge.Flow)...)
	require.Equal(t, http.StatusCreated, w.Code)
	w, _ = do("/tasks", "203.0.113.9", "s1", flow...)
	require.Equal(t, http.StatusNotFound, w.Code, "spent")

	w, _ = do("/open", "203.0.113.9", "s3")
	require.Equal(t, http.StatusOK, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &steps))
	w, _ = do("/signup", "203.0.113.9", "s3", "Vestibule-Flow", steps.Flow, "Answer", "answer to "+steps.Flow)
	require.Equal(t, http.StatusCreated, w.Code, "what was given early counts")
}

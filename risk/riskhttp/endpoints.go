package riskhttp

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-go/vestibule/risk"
)

// Steps is what the endpoints answer with 200, as application/json: what a flow still needs and how to give it.
type Steps struct {
	// Flow is the flow to send back with the proofs. It is a secret between client and server.
	Flow    string       `json:"flow"`
	Require []risk.Proof `json:"require"`
	Tasks   []risk.Task  `json:"tasks"`
}

// String leaves the flow out.
func (s Steps) String() string { return "steps of a flow" }

// GoString is String.
func (s Steps) GoString() string { return s.String() }

// OpenHandler begins a flow before the first attempt, for clients that need a nonce for it (mobile attestation): POST,
// no body, answered with [Steps] for the proofs on offer. A flow named in the request is ignored. When the engine cannot
// open one (it says Review: the flow store fails, or nothing on offer can be proven), the answer is 503; other actions
// are answered like an attempt's.
//
// Opening judges no risk and takes memory in the flow store: limit it with Options.Admit. Requests of browsers from
// other sites are refused ([Options].CrossOrigin).
func (g *Guard) OpenHandler(event risk.Event, offer ...risk.Proof) http.Handler {
	offer = slices.Clone(offer)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := g.enter(w, r, event, http.MethodPost)
		if a == nil {
			return
		}
		a.Flow = ""
		s := g.engine.Open(r.Context(), a, offer...)
		switch {
		case s != nil && s.Action == risk.Challenge:
			g.writeSteps(w, r, s)
		case s != nil && s.Action == risk.Review: // nothing was received that a person could look at
			g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
		default:
			g.Answer(w, r, s)
		}
	})
}

// Resumer is an ability of engines: to state a flow's challenge again, without judging or counting anything.
// [Guard.TasksHandler] uses it where the engine has it.
type Resumer interface {
	// Resume returns a Challenge for the flow the attempt names, with the proofs still missing, fit for Tasks of the
	// same engine. It returns nil when there is no such flow or nothing to give; an error means it could not tell.
	Resume(ctx context.Context, a *risk.Attempt) (*risk.Assessment, error)
}

// TasksHandler tells again what a flow still needs: GET or POST with the flow in its header, cookie or (POST) form
// field, answered with [Steps]. A client calls it when a task has expired or its page was reloaded. It neither judges
// nor spends the flow. Flows that are unknown, expired, spent or not this visitor's are all answered with the same 404.
//
// With an engine that is no [Resumer], signals are asked for their tasks as at the highest score, so that asking again
// never makes a task easier, and each call takes room in the flow store as opening a flow does: limit it with
// Options.Admit.
func (g *Guard) TasksHandler(event risk.Event) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := g.enter(w, r, event, http.MethodGet, http.MethodPost)
		if a == nil {
			return
		}
		s, err := g.resume(r.Context(), a)
		switch {
		case err != nil:
			g.report(r, err)
			g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
		case s == nil || len(s.Require) == 0:
			g.refuse(w, r, g.plain(ProblemFlow, http.StatusNotFound))
		default:
			g.writeSteps(w, r, s)
		}
	})
}

// resume states the challenge of the attempt's flow again; nil: there is none.
func (g *Guard) resume(ctx context.Context, a *risk.Attempt) (*risk.Assessment, error) {
	if a.Flow == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.o.Timeout)
	defer cancel()
	if e, ok := g.engine.(Resumer); ok {
		return e.Resume(ctx, a)
	}
	require, err := g.engine.Pending(ctx, a)
	if err != nil || len(require) == 0 {
		return nil, err
	}
	s := g.engine.Open(ctx, a, require...)
	if s == nil || s.Action != risk.Challenge {
		return nil, errNotResumed
	}
	const hardest = 100
	s.Flow, s.Require, s.Score = a.Flow, require, hardest
	return s, nil
}

// enter lets a request to an endpoint in: method, origin, rate. It answers and returns nil otherwise.
func (g *Guard) enter(w http.ResponseWriter, r *http.Request, event risk.Event, methods ...string) *risk.Attempt {
	if !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		g.refuse(w, r, g.plain(ProblemRequest, http.StatusMethodNotAllowed))
		return nil
	}
	if err := g.o.CrossOrigin.Check(r); err != nil {
		g.refuse(w, r, g.plain(ProblemCrossOrigin, http.StatusForbidden))
		return nil
	}
	if err := readSmallForm(r); err != nil {
		status := http.StatusBadRequest
		if tooLarge(err) {
			status = http.StatusRequestEntityTooLarge
		}
		g.refuse(w, r, g.plain(ProblemRequest, status))
		return nil
	}
	a := g.Attempt(r, event)
	if g.o.Admit != nil {
		if retry := g.o.Admit(r.Context(), a); retry > 0 {
			p := g.plain(ProblemWait, http.StatusTooManyRequests)
			p.RetryAfter = g.retrySeconds(retry)
			g.respond(w, r, nil, p, g.o.OnWait)
			return nil
		}
	}
	return a
}

// readSmallForm parses a posted form of at most 4 KiB; other bodies are left alone.
func readSmallForm(r *http.Request) error {
	const most = 4 << 10
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" || r.Body == nil || r.PostForm != nil {
		return nil
	}
	r.Body = http.MaxBytesReader(nil, r.Body, most)
	return r.ParseForm()
}

// writeSteps answers with what a flow needs.
func (g *Guard) writeSteps(w http.ResponseWriter, r *http.Request, s *risk.Assessment) {
	if g.flow != "" {
		http.SetCookie(w, g.cookie(g.flow, s.Flow, flowCookieAge))
	}
	tasks := g.tasks(r, s)
	if tasks == nil {
		tasks = []risk.Task{}
	}
	body, err := json.Marshal(Steps{Flow: s.Flow, Require: s.Require, Tasks: tasks})
	if err != nil {
		g.report(r, err)
		g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/json")
	send(w, r, http.StatusOK, append(body, '\n'))
}

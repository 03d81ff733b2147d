package riskhttp

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// ProblemTypes is what a problem's type starts with, a tag URI (RFC 4151) that will not change; one of the names below
// follows.
const ProblemTypes = "tag:vestibule-go.github.io,2026:problem/"

// The names of problems.
const (
	ProblemChallenge   = "challenge"    // 403
	ProblemReview      = "review"       // 202
	ProblemDelay       = "delay"        // 202
	ProblemLock        = "lock"         // 423
	ProblemBlock       = "block"        // 403
	ProblemWait        = "wait"         // 429
	ProblemFlow        = "flow"         // 404
	ProblemRequest     = "request"      // 400, 405 or 413
	ProblemCrossOrigin = "cross-origin" // 403
	ProblemUnavailable = "unavailable"  // 503
)

// Problem is an answer as the visitor sees it: an RFC 9457 document with members of its own. It holds nothing but what
// the visitor may know. Flow is a secret between client and server; printing a problem leaves it out.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Instance is the assessment's ID, escaped as a relative URI: the reference a visitor may quote.
	Instance string `json:"instance,omitempty"`
	// Require, Tasks and Flow are the challenge: the proofs still missing, how to give them, and what to send back
	// with them. Tasks is empty when the engine could not say; the tasks endpoint may know later.
	Require []risk.Proof `json:"require,omitempty"`
	Tasks   []risk.Task  `json:"tasks,omitempty"`
	Flow    string       `json:"flow,omitempty"`
	// Until is when something delayed takes effect.
	Until time.Time `json:"until,omitzero"`
	// RetryAfter is the value of the Retry-After header, for clients that cannot read it: seconds.
	RetryAfter int `json:"retry_after,omitempty"`
	// Reasons are the texts the policy made public, for challenge and review.
	Reasons []string `json:"reasons,omitempty"`
}

// String names type and instance.
func (p Problem) String() string { return "problem " + p.Type + " " + p.Instance }

// GoString is String.
func (p Problem) GoString() string { return p.String() }

// plain makes a problem that has no assessment.
func (g *Guard) plain(name string, status int) *Problem {
	text := texts[name]
	return &Problem{Type: g.o.ProblemTypes + name, Title: text.title, Status: status, Detail: text.detail}
}

// texts are what visitors are told. They name no cause.
var texts = map[string]struct{ title, detail string }{
	ProblemChallenge:   {"More proof is needed", "Please complete the steps asked for, then send the request again."},
	ProblemReview:      {"Under review", "The request has been received and will be looked at by a person."},
	ProblemDelay:       {"Accepted for later", "The request has been received and takes effect later."},
	ProblemLock:        {"Locked", "This is locked at the moment."},
	ProblemBlock:       {"Refused", "The request has been refused."},
	ProblemWait:        {"Too many requests", "Please wait before trying again."},
	ProblemFlow:        {"Nothing to continue", "Please start again."},
	ProblemRequest:     {"Not understood", "The request could not be read."},
	ProblemCrossOrigin: {"Refused", "The request came from another site."},
	ProblemUnavailable: {"Not available", "This cannot be answered at the moment. Please try again later."},
}

// describe makes the problem for an assessment that does not allow.
func (g *Guard) describe(r *http.Request, s *risk.Assessment) (*Problem, Answerer) {
	p, hook := g.byAction(s)
	if id := url.QueryEscape(s.ID); len(id) <= maxFlow {
		p.Instance = id
	}
	switch s.Action {
	case risk.Challenge:
		p.Require = s.Require
		p.Flow = s.Flow
		p.Reasons = publicReasons(s)
		if r.Method != http.MethodHead {
			p.Tasks = g.tasks(r, s)
		}
		if s.Until.After(g.o.Now()) {
			p.RetryAfter = g.retryAfter(s.Until)
		}
	case risk.Review:
		p.Reasons = publicReasons(s)
	case risk.Delay:
		if !s.Until.IsZero() {
			p.Until = s.Until.UTC().Add(time.Second - 1).Truncate(time.Second)
		}
	}
	return p, hook
}

// byAction picks type and status. Every lock and block with an end is a wait: nothing tells them apart.
func (g *Guard) byAction(s *risk.Assessment) (*Problem, Answerer) {
	ends := !s.Until.IsZero()
	switch {
	case s.Action == risk.Wait, ends && (s.Action == risk.Lock || s.Action == risk.Block):
		p := g.plain(ProblemWait, http.StatusTooManyRequests)
		p.RetryAfter = g.retryAfter(s.Until)
		return p, g.o.OnWait
	case s.Action == risk.Challenge:
		return g.plain(ProblemChallenge, http.StatusForbidden), g.o.OnChallenge
	case s.Action == risk.Delay:
		return g.plain(ProblemDelay, http.StatusAccepted), g.o.OnDelay
	case s.Action == risk.Review:
		return g.plain(ProblemReview, http.StatusAccepted), g.o.OnReview
	case s.Action == risk.Lock:
		return g.plain(ProblemLock, http.StatusLocked), g.o.OnLock
	case s.Action == risk.Block:
		return g.plain(ProblemBlock, http.StatusForbidden), g.o.OnBlock
	}
	return g.plain(ProblemUnavailable, http.StatusServiceUnavailable), g.o.OnOther
}

// retryAfter is the time until t in whole seconds, rounded up, with up to 3 % more; at least 1.
func (g *Guard) retryAfter(t time.Time) int { return g.retrySeconds(t.Sub(g.o.Now())) }

func (g *Guard) retrySeconds(d time.Duration) int {
	const spread, most = 0.03, math.MaxInt32
	j := g.o.Jitter()
	if !(j >= 0 && j < 1) {
		j = 0
	}
	return int(min(max(math.Ceil(d.Seconds()*(1+spread*j)), 1), most))
}

// publicReasons are the public texts, each once, at most eight.
func publicReasons(s *risk.Assessment) []string {
	const most = 8
	var out []string
	for _, reason := range s.Reasons {
		if reason.Public != "" && len(out) < most && !slices.Contains(out, reason.Public) {
			out = append(out, reason.Public)
		}
	}
	return out
}

// tasks asks the engine how the missing proofs can be given, and leaves out data that is no JSON.
func (g *Guard) tasks(r *http.Request, s *risk.Assessment) []risk.Task {
	ctx, cancel := context.WithTimeout(r.Context(), g.o.Timeout)
	defer cancel()
	tasks, err := g.engine.Tasks(ctx, s)
	if err != nil {
		g.report(r, err)
	}
	tasks = slices.Clone(tasks)
	for i, t := range tasks {
		data, err := json.Marshal(t.Data)
		if err != nil {
			g.report(r, err)
		}
		if tasks[i].Data = nil; err == nil && t.Data != nil {
			tasks[i].Data = json.RawMessage(data)
		}
	}
	return tasks
}

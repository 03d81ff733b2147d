package useragent

import (
	"context"
	"errors"

	"github.com/vestibule-go/vestibule/risk"
)

// Signal is the checker as a signal of package risk, named "ua". It looks at the headers of web attempts: those whose
// channel is risk.ChannelWeb or empty. It is safe for concurrent use.
type Signal struct{ checker *Checker }

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
)

// NewSignal makes a signal of a checker.
func NewSignal(c *Checker) (*Signal, error) {
	if c == nil {
		return nil, errors.New("useragent: no checker; New makes one")
	}
	return &Signal{c}, nil
}

// group is shared with the signal "ja4": all of it says that the client is not what it claims to be.
const group = "client"

// Describe implements [risk.Signal]. Absences of a header are weak: proxies and apps' windows drop some.
func (s *Signal) Describe() risk.Description {
	points := map[Code]int{
		CodeEmpty: 14, CodeTool: 18, CodeCrawler: 16, CodeAutomation: 24, CodeListed: 24, CodeMalformed: 10,
		CodePlatform: 16, CodeMobile: 8, CodeHints: 12, CodeNoHints: 3, CodeVersion: 8,
		CodeNoLanguage: 6, CodeNoEncoding: 4, CodeNoFetch: 4, CodeNodeFetch: 18,
	}
	d := risk.Description{
		Name: "ua", Cost: risk.Local, OnError: risk.FailOpen,
		Facts: []risk.FactType{
			{Name: "kind", Kind: risk.Text}, {Name: "engine", Kind: risk.Text}, {Name: "platform", Kind: risk.Text},
			{Name: "major", Kind: risk.Number}, {Name: "shape", Kind: risk.Text},
		},
		Collects: []risk.Datum{{
			What: "User-Agent, client hints and names of headers", Why: "to tell browsers from programs", Form: "not stored; the kind, engine and a hash shared by all clients of a version reach the log",
		}},
	}
	for c := range codes {
		code := risk.Code{Name: c.String(), Points: points[c], Group: group}
		if c == CodeMalformed {
			code.State = risk.Invalid
		}
		d.Codes = append(d.Codes, code)
	}
	return d
}

// Applies implements [risk.Applier]: a web attempt that came with headers. Those of mobile apps and servers differ too
// much from each other.
func (s *Signal) Applies(a *risk.Attempt) bool {
	return len(a.Header) > 0 && (a.Channel == "" || a.Channel == risk.ChannelWeb)
}

// Evaluate implements [risk.Signal].
func (s *Signal) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	r := s.checker.Check(a.Header)
	for _, c := range r.Codes() {
		f.Observe(c.String())
	}
	f.Text("kind", r.Agent.Kind.String())
	f.Text("engine", r.Agent.Engine.String())
	f.Text("platform", r.Agent.Platform.String())
	if r.Agent.Major > 0 {
		f.Number("major", float64(r.Agent.Major))
	}
	f.Text("shape", Shape(a.Header))
	return nil
}

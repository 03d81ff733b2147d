package risk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// PolicyError says what is wrong with a policy and where.
type PolicyError struct {
	Path         string // "rules[3].when"
	Line, Column int    // from 1; 0 where the policy was not parsed from text
	Msg          string
}

// Error gives place and reason.
func (e *PolicyError) Error() string {
	var b strings.Builder
	b.WriteString("risk: policy")
	if e.Line > 0 {
		fmt.Fprintf(&b, " %d:%d", e.Line, e.Column)
	}
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	return b.String() + ": " + e.Msg
}

type position struct{ line, column int }

// problems collects policy errors, up to a bound.
type problems struct {
	pos  map[string]position
	errs []error
}

const mostProblems = 20

func (p *problems) add(path, format string, args ...any) {
	if len(p.errs) >= mostProblems {
		return
	}
	e := &PolicyError{Path: path, Msg: fmt.Sprintf(format, args...)}
	if at, ok := p.find(path); ok {
		e.Line, e.Column = at.line, at.column
	}
	p.errs = append(p.errs, e)
}

// find looks for the path or the nearest thing around it: an error about something missing points at its parent.
func (p *problems) find(path string) (position, bool) {
	for {
		if at, ok := p.pos[path]; ok {
			return at, true
		}
		if path == "" {
			return position{}, false
		}
		if strings.HasSuffix(path, "\"]") {
			path = path[:strings.LastIndex(path, "[\"")]
			continue
		}
		path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
	}
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// member is the path of an object's member: points["ip.tor"], segments[0].prior.
func member(path, name string) string {
	if strings.ContainsAny(name, ".[]\" ") || name == "" {
		return path + "[" + strconv.Quote(clip(name)) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + clip(name)
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

package attest

import (
	"fmt"
	"strings"
)

// Explanation is a dump of what a piece of evidence says and which step refused it, for support engineers. It is no
// verdict: what it lists is a claim up to the step that refused. It holds no secrets, no tokens, and device identifiers
// only as hashes.
type Explanation struct {
	Platform Platform `json:"platform"`
	Lines    []Line   `json:"lines"`
	// Steps are those passed, in order.
	Steps []string `json:"steps"`
	// Refused is the step that refused it, and Why the reason; empty when it passed every step that was asked.
	Refused string `json:"refused,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Line is one thing the evidence says.
type Line struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// mostLine bounds a line of an explanation: evidence comes from outside.
const mostLine = 200

// Say adds a line; the value is formatted, stripped of control characters and cut to 200 bytes.
func (e *Explanation) Say(name, format string, args ...any) {
	v := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
	if len(v) > mostLine {
		v = strings.ToValidUTF8(v[:mostLine], "") + "..."
	}
	e.Lines = append(e.Lines, Line{name, v})
}

// String is the explanation as lines of text.
func (e *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "platform: %s\n", e.Platform)
	for _, l := range e.Lines {
		fmt.Fprintf(&b, "%s: %s\n", l.Name, l.Value)
	}
	fmt.Fprintf(&b, "steps passed: %s\n", strings.Join(e.Steps, ", "))
	if e.Refused != "" {
		fmt.Fprintf(&b, "refused at: %s: %s\n", e.Refused, e.Why)
	}
	return b.String()
}

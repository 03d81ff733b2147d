package ja4

import (
	"context"
	"net/http"

	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
)

// Hello is the evidence the signal judges: the JA4 of the attempt's connection. It must come from this server or a
// trusted edge, never from the visitor's own words.
type Hello struct{ JA4 string }

// Collector returns a function for riskhttp.Options.Collectors that attaches the [Hello] of a request: what edge reads
// (nil: no edge), else what [Wrap] found.
func Collector(edge *Edge) func(r *http.Request, a *risk.Attempt) {
	return func(r *http.Request, a *risk.Attempt) {
		if edge != nil {
			if value, ok := edge.FromRequest(r); ok {
				risk.Attach(a, Hello{value})
				return
			}
		}
		if value, ok := FromContext(r.Context()); ok {
			risk.Attach(a, Hello{value})
		}
	}
}

// The codes of the signal, in group "client", which it shares with the signal "ua".
const (
	CodeTool   = "tool"    // 20: the User-Agent is a browser's, the TLS library a program's
	CodeEngine = "engine"  // 14: the TLS library is another browser's than the User-Agent's
	CodeNoH2   = "no_h2"   // 3: a current browser that does not offer HTTP/2, as behind software that ends TLS
	CodeBadJA4 = "invalid" // 0: what should be a JA4 is none
)

// SignalOptions of a Signal. The zero value and nil mean the defaults.
type SignalOptions struct {
	// Table tells families; default that of DefaultEntries.
	Table *Table
	// Checker reads User-Agents; default one without a feed.
	Checker *useragent.Checker
}

// Signal compares the TLS library with the User-Agent, as a signal of package risk named "ja4". It is safe for
// concurrent use.
type Signal struct {
	table   *Table
	checker *useragent.Checker
}

var (
	_ risk.Signal  = (*Signal)(nil)
	_ risk.Applier = (*Signal)(nil)
)

// NewSignal makes a signal.
func NewSignal(opts *SignalOptions) (*Signal, error) {
	var o SignalOptions
	if opts != nil {
		o = *opts
	}
	var err error
	if o.Table == nil {
		if o.Table, err = NewTable(nil); err != nil {
			return nil, err
		}
	}
	if o.Checker == nil {
		if o.Checker, err = useragent.New(nil); err != nil {
			return nil, err
		}
	}
	return &Signal{o.Table, o.Checker}, nil
}

// Describe implements [risk.Signal].
func (s *Signal) Describe() risk.Description {
	const group = "client"
	return risk.Description{
		Name: "ja4", Cost: risk.Local, OnError: risk.FailOpen,
		Codes: []risk.Code{
			{Name: CodeTool, Points: 20, Group: group},
			{Name: CodeEngine, Points: 14, Group: group},
			{Name: CodeNoH2, Points: 3, Group: group},
			{Name: CodeBadJA4, State: risk.Invalid, Group: group},
		},
		Facts: []risk.FactType{{Name: "family", Kind: risk.Text}, {Name: "value", Kind: risk.Text}, {Name: "alpn", Kind: risk.Text}},
		Collects: []risk.Datum{{
			What: "form of the TLS hello", Why: "to tell browsers from programs", Form: "not stored; a hash shared by all clients of a version reaches the log",
		}},
	}
}

// Applies implements [risk.Applier].
func (s *Signal) Applies(a *risk.Attempt) bool {
	_, ok := risk.Evidence[Hello](a)
	return ok
}

// Evaluate implements [risk.Signal].
func (s *Signal) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	hello, _ := risk.Evidence[Hello](a)
	p, err := Parse(hello.JA4)
	if err != nil {
		f.Observe(CodeBadJA4)
		return nil
	}
	family := s.table.Family(p)
	f.Text("value", hello.JA4)
	f.Text("alpn", p.ALPN)
	if family != Unknown {
		f.Text("family", string(family))
	}
	agent := useragent.Agent{}
	if v := a.Header["User-Agent"]; len(v) > 0 {
		agent = s.checker.Parse(v[0])
	}
	claimed := claims(agent)
	if claimed == Unknown {
		return nil // it does not say that it is a browser
	}
	switch {
	case family != Unknown && !family.Browser():
		f.Observe(CodeTool)
	case family != Unknown && family != claimed:
		f.Observe(CodeEngine)
	case p.ALPN != "h2" && p.ALPN != "h3" && current(agent):
		f.Observe(CodeNoH2)
	}
	return nil
}

// claims is the family a User-Agent's browser has.
func claims(a useragent.Agent) Family {
	switch a.Engine {
	case useragent.Blink:
		return Chromium
	case useragent.Gecko:
		return Firefox
	case useragent.WebKit:
		return Safari
	}
	return Unknown
}

// current reports versions of the last years, all of which offer HTTP/2.
func current(a useragent.Agent) bool {
	return a.Engine == useragent.WebKit && a.Major >= 14 || a.Engine != useragent.WebKit && a.Major >= 100
}

package useragent

import (
	"errors"
	"math/bits"
	"sync/atomic"
	"unicode/utf8"
)

// Code is one thing a request's headers show.
type Code uint8

// The codes. The names that String gives are those of the signal's codes.
const (
	CodeEmpty      Code = iota // no User-Agent
	CodeTool                   // the User-Agent of a library or command
	CodeCrawler                // the User-Agent of a crawler, monitor or scanner
	CodeAutomation             // the User-Agent of a browser without a person
	CodeListed                 // in the host's feed
	CodeMalformed              // a header that no client of any kind sends: oversize, sent twice, control characters, invalid UTF-8
	CodePlatform               // User-Agent and Sec-CH-UA-Platform name different systems
	CodeMobile                 // User-Agent and Sec-CH-UA-Mobile disagree
	CodeHints                  // client hints from a browser that has none
	CodeNoHints                // a Chromium without Sec-CH-UA
	CodeVersion                // User-Agent and Sec-CH-UA have different Chromium versions
	CodeNoLanguage             // a browser without Accept-Language
	CodeNoEncoding             // a browser without Accept-Encoding
	CodeNoFetch                // a current browser without Sec-Fetch-Mode
	CodeNodeFetch              // Sec-Fetch-Mode "cors" with Accept-Language "*": Node's fetch
	codes
)

var codeNames = [codes]string{
	"empty", "tool", "crawler", "automation", "listed", "malformed", "platform_mismatch", "mobile_mismatch", "foreign_hints", "no_hints", "version_mismatch",
	"no_language", "no_encoding", "no_fetch", "node_fetch",
}

// String is the code's name.
func (c Code) String() string {
	if c < codes {
		return codeNames[c]
	}
	return "none"
}

// Result is what the headers of one request show.
type Result struct {
	Agent Agent
	found uint32
}

// Has reports whether a code was found.
func (r Result) Has(c Code) bool { return r.found&(1<<c) != 0 }

// Codes lists what was found.
func (r Result) Codes() []Code {
	out := make([]Code, 0, bits.OnesCount32(r.found))
	for left := r.found; left != 0; left &= left - 1 {
		out = append(out, Code(bits.TrailingZeros32(left)))
	}
	return out
}

func (r *Result) note(c Code) { r.found |= 1 << c }

// Options of a Checker. The zero value and nil mean the defaults.
type Options struct {
	// Feed holds patterns of User-Agents the host does not want; see [ParseFeed]. Default: none.
	Feed []string
	// InsecureTransport is for sites that serve plain HTTP beyond loopback: browsers send neither client hints nor
	// Sec-Fetch-* there, so their absence says nothing. Anybody on the way can read and change what visitors send.
	InsecureTransport bool
}

// Checker judges the headers of requests. Make one with [New]; [Checker.Reload] changes its feed. It is safe for
// concurrent use.
type Checker struct {
	insecure bool
	matcher  atomic.Pointer[matcher]
}

// New makes a checker.
func New(opts *Options) (*Checker, error) {
	if opts == nil {
		opts = &Options{}
	}
	c := &Checker{insecure: opts.InsecureTransport}
	if err := c.Reload(opts.Feed); err != nil {
		return nil, err
	}
	return c, nil
}

// ErrFeed is what every error of Reload about the feed's size is.
var ErrFeed = errors.New("useragent: feed refused")

// Reload replaces the feed. A bad one changes nothing.
func (c *Checker) Reload(feed []string) error {
	list, err := builtin()
	if err != nil {
		return err
	}
	if len(feed) > MaxPatterns {
		return ErrFeed
	}
	for _, s := range feed {
		p, err := parsePattern(s, Listed)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	m, err := newMatcher(list)
	if err != nil {
		return errors.Join(ErrFeed, err)
	}
	c.matcher.Store(m)
	return nil
}

// checked are the headers the rules read.
var checked = [...]string{
	"User-Agent", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Mode", "Accept-Language", "Accept-Encoding",
}

// mostHeader is how long a header of those may be; User-Agents of apps with many parts stay below 700 bytes.
const mostHeader = 2048

// Check judges a request's headers, which have canonical names as in http.Header. It keeps nothing of them.
func (c *Checker) Check(header map[string][]string) Result {
	var r Result
	for i, name := range checked {
		v := header[name]
		switch {
		case len(v) == 0:
		case len(v) > 1 && i < 5, len(v[0]) > mostHeader, !clean(v[0]):
			r.note(CodeMalformed)
		}
	}
	r.Agent = c.Parse(first(header, "User-Agent"))
	switch r.Agent.Kind {
	case Empty:
		r.note(CodeEmpty)
	case Tool:
		r.note(CodeTool)
	case Crawler:
		r.note(CodeCrawler)
	case Automation:
		r.note(CodeAutomation)
	case Listed:
		r.note(CodeListed)
	}
	if r.Agent.Engine != NoEngine {
		c.consistent(header, &r)
	}
	if first(header, "Accept-Language") == "*" && first(header, "Sec-Fetch-Mode") == "cors" {
		r.note(CodeNodeFetch)
	}
	return r
}

// clean reports valid UTF-8 without control characters.
func clean(s string) bool {
	ascii := true
	for i := range len(s) {
		c := s[i]
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
		ascii = ascii && c < 0x80
	}
	return ascii || utf8.ValidString(s)
}

// The first versions that do something on secure transports.
const (
	hintsSince       = 89 // Chromium: Sec-CH-UA
	fetchSinceBlink  = 80
	fetchSinceGecko  = 90
	fetchSinceWebKit = 17 // 16.4; the User-Agent's minor version is not looked at
)

// consistent compares what a browser says in one header with what it says in others. Versions of the system and minor
// versions of the browser are frozen in User-Agents and never compared.
func (c *Checker) consistent(header map[string][]string, r *Result) {
	a, h := &r.Agent, readHints(header)
	if h.any {
		switch {
		case a.Engine != Blink:
			r.note(CodeHints)
		default:
			if h.platform != NoPlatform && a.Platform != NoPlatform && !samePlatform(a.Platform, h.platform) {
				r.note(CodePlatform)
			}
			if h.mobile == '1' && !a.Mobile || h.mobile == '0' && a.Mobile {
				r.note(CodeMobile)
			}
			if h.chromium != 0 && a.Major != 0 && h.chromium != a.Major {
				r.note(CodeVersion)
			}
		}
	} else if a.Engine == Blink && a.Major >= hintsSince && !a.WebView && !c.insecure {
		r.note(CodeNoHints)
	}
	if len(header["Accept-Language"]) == 0 {
		r.note(CodeNoLanguage)
	}
	if len(header["Accept-Encoding"]) == 0 {
		r.note(CodeNoEncoding)
	}
	if len(header["Sec-Fetch-Mode"]) == 0 && !c.insecure && !a.WebView && sendsFetch(a) {
		r.note(CodeNoFetch)
	}
}

func samePlatform(agent, hint Platform) bool {
	if agent == hint {
		return true
	}
	// Desktop mode of telephones, Chromebooks before version 99, and systems that have no name of their own in a
	// User-Agent.
	return agent == ChromeOS && hint == Linux || agent == Linux && (hint == Android || hint == ChromeOS || hint == OtherPlatform) || agent == OtherPlatform
}

func sendsFetch(a *Agent) bool {
	switch a.Engine {
	case Blink:
		return a.Major >= fetchSinceBlink
	case Gecko:
		return a.Major >= fetchSinceGecko
	case WebKit:
		return a.Major >= fetchSinceWebKit
	}
	return false
}

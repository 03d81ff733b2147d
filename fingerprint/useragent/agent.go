package useragent

import (
	"strings"
)

// Kind is what a User-Agent says its program is. The order is by strength: of several marks the greatest counts.
type Kind uint8

// The kinds.
const (
	Unknown    Kind = iota // neither a browser's nor a known program's: apps, mail programs, old telephones
	Browser                // claims to be a browser, or an app's window of one
	Tool                   // an HTTP library or command: curl, python-requests, Go-http-client
	Crawler                // a crawler, monitor, preview or scanner, most of which are open about it
	Automation             // a browser without a person: HeadlessChrome, PhantomJS, Playwright
	Listed                 // in the host's feed of bad patterns
	Empty                  // no User-Agent
)

// String names the kind.
func (k Kind) String() string {
	return [...]string{"unknown", "browser", "tool", "crawler", "automation", "listed", "empty"}[min(k, Empty)]
}

// Bot reports whether a program says about itself that no person uses it.
func (k Kind) Bot() bool { return k >= Tool && k <= Listed }

// Engine is the browser engine a User-Agent claims.
type Engine uint8

// The engines. Every browser on iOS is WebKit.
const (
	NoEngine Engine = iota
	Blink           // Chrome, Edge, Opera, Samsung Internet, Android WebView, Electron
	Gecko           // Firefox but on iOS
	WebKit          // Safari, and all browsers on iOS
)

// String names the engine.
func (e Engine) String() string {
	return [...]string{"none", "blink", "gecko", "webkit"}[min(e, WebKit)]
}

// Platform is the operating system a User-Agent or a client hint claims.
type Platform uint8

// The platforms.
const (
	NoPlatform Platform = iota
	Windows
	MacOS
	Linux
	Android
	IOS
	ChromeOS
	OtherPlatform // named, and none of these
)

// String names the platform.
func (p Platform) String() string {
	return [...]string{"none", "windows", "macos", "linux", "android", "ios", "chromeos", "other"}[min(p, OtherPlatform)]
}

// Agent is what a User-Agent claims. All of it is untrusted.
type Agent struct {
	Kind     Kind
	Engine   Engine
	Platform Platform
	Major    int  // of the engine's version; 0: not said
	Mobile   bool // has the token "Mobile"
	WebView  bool // an Android app's window
}

// mostAgent is how much of a User-Agent is looked at; browsers stay below 500 bytes.
const mostAgent = 1024

// Parse reads a User-Agent. Only its first 1024 bytes count.
func (c *Checker) Parse(text string) Agent {
	return c.parse(c.matcher.Load(), text)
}

func (c *Checker) parse(m *matcher, text string) Agent {
	text = text[:min(len(text), mostAgent)]
	text = strings.TrimSpace(text)
	if text == "" {
		return Agent{Kind: Empty}
	}
	a := Agent{Platform: platformOf(text), Mobile: strings.Contains(text, "Mobile"), WebView: strings.Contains(text, "; wv)")}
	a.Engine, a.Major = engineOf(text, a.Platform)
	a.Kind = m.find(text)
	if a.Kind == Unknown {
		switch {
		case odd(text):
			a.Kind = Crawler
		case a.Engine != NoEngine:
			a.Kind = Browser
		case bare(text):
			a.Kind = Tool
		}
	}
	if strings.HasPrefix(text, "HeadlessChrome/") || strings.Contains(text, " HeadlessChrome/") {
		a.Kind = max(a.Kind, Automation)
	}
	return a
}

func platformOf(text string) Platform {
	switch {
	case strings.Contains(text, "Windows NT"):
		return Windows
	case strings.Contains(text, "Windows Phone"), strings.Contains(text, "Tizen"), strings.Contains(text, "Web0S"),
		strings.Contains(text, "PlayStation"), strings.Contains(text, "Nintendo"):
		return OtherPlatform
	case strings.Contains(text, "iPhone"), strings.Contains(text, "iPad"), strings.Contains(text, "iPod"):
		return IOS
	case strings.Contains(text, "Android"):
		return Android
	case strings.Contains(text, "Mac OS X"), strings.Contains(text, "Macintosh"):
		return MacOS
	case strings.Contains(text, "CrOS "):
		return ChromeOS
	case strings.Contains(text, "Linux"), strings.Contains(text, "X11"):
		return Linux
	case strings.Contains(text, "Windows"):
		return Windows
	}
	return NoPlatform
}

func engineOf(text string, p Platform) (Engine, int) {
	if !strings.HasPrefix(text, "Mozilla/5.0 (") {
		return NoEngine, 0
	}
	if p != IOS {
		if v, ok := version(text, "Chrome/"); ok && !strings.Contains(text, " Edge/") {
			return Blink, v
		}
		if v, ok := version(text, "Firefox/"); ok && strings.Contains(text, "Gecko/") {
			return Gecko, v
		}
	}
	if strings.Contains(text, "AppleWebKit/") && (p == IOS || p == MacOS) {
		v, _ := version(text, "Version/")
		return WebKit, v
	}
	return NoEngine, 0
}

// version returns the whole number behind a name.
func version(text, name string) (int, bool) {
	i := strings.Index(text, name)
	if i < 0 {
		return 0, false
	}
	return number(text[i+len(name):]), true
}

// number reads the digits that text begins with, at most six.
func number(text string) int {
	n := 0
	for i := 0; i < len(text) && i < 6 && text[i]-'0' < 10; i++ {
		n = n*10 + int(text[i]-'0')
	}
	return n
}

// bare reports whether the text is no more than a name and a version, as libraries send it and browsers never do.
func bare(text string) bool {
	name, v, versioned := strings.Cut(text, "/")
	if name == "" || len(name) > 60 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !letterOrDigit(c) && !strings.ContainsRune(" ._-:%()", rune(c)) {
			return false
		}
	}
	if !versioned {
		return !strings.ContainsAny(name, "()")
	}
	v = strings.TrimPrefix(strings.TrimSuffix(v, ","), "v")
	digits := 0
	for i := range len(v) {
		switch c := v[i]; {
		case c-'0' < 10 && digits < 10:
			digits++
		case c == '.' && digits > 0:
			digits = 0
		default:
			return false
		}
	}
	return digits > 0
}

// odd reports forms that no browser has: a text in lower case, "compatible" before a name that is no old browser's, an
// address of somebody to write to, something before "Mozilla".
func odd(text string) bool {
	if strings.HasPrefix(text, "mozilla/") {
		return true
	}
	if i := strings.Index(text, "(compatible;"); i >= 0 && !strings.Contains(text[i:], "rowser") {
		name := strings.TrimLeft(text[i+len("(compatible;"):], " ")
		old := false
		for _, known := range [...]string{"MSIE", "U;", "Konqueror", "ms-office", "IE "} {
			old = old || strings.HasPrefix(name, known)
		}
		if !old {
			return true
		}
	}
	if mailAddress(text) {
		return true
	}
	if i := strings.Index(text, "Mozilla/5.0 ("); i > 0 && !strings.Contains(text[:i], "/") {
		return true
	}
	return strings.HasPrefix(text, "Mozilla/5.0 (Java)") || strings.HasPrefix(text, "Mozilla/5.0 AppleWebKit/") || strings.HasSuffix(text, "/")
}

// mailAddress reports an "@" before a domain.
func mailAddress(text string) bool {
	_, domain, ok := strings.Cut(text, "@")
	if !ok || domain == "" || domain[0]|0x20-'a' >= 26 {
		return false
	}
	if end := strings.IndexAny(domain, " ;,)="); end >= 0 {
		domain = domain[:end]
	}
	return strings.IndexByte(domain, '.') > 0
}

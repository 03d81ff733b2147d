package risktest

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vestibule-go/vestibule/risk"
)

// Canary plants values nobody else has in every personal field of an attempt, and finds them in whatever text or bytes
// they turn up: as they are in any case, JSON- and Go-escaped, URL- and HTML-encoded, as hex, base64 (inside longer
// texts too) or lists of numbers, and as plain MD5, SHA-1 or SHA-256, whole or cut to 64 bits. Plain hashes count as
// leaks because whoever can list all phone numbers or addresses can turn them back; keyed tags (package risk/keyed)
// are what stores and logs may hold. It does not find values that were encrypted or cut to a part.
//
// Make one with [NewCanary]. It is safe for concurrent use once all values are watched.
type Canary struct {
	values  map[string]string
	exact   haystack // needles looked for as they are
	folded  haystack // needles looked for in any case
	longest int      // needle
}

// Planted is the evidence a canary attaches.
type Planted struct{ Token string }

// The fields a canary plants, by name. Header values and identifiers are "header.<name>" and "id.<name>".
const (
	FieldIP       = "ip"
	FieldIPv6     = "ipv6"
	FieldAccount  = "account"
	FieldSession  = "session"
	FieldEmail    = "email"
	FieldPhone    = "phone"
	FieldDevice   = "device"
	FieldFlow     = "flow"
	FieldEvidence = "evidence"
)

// canaryHeaders are planted in an attempt's header. One holds what encoders escape.
var canaryHeaders = map[string]string{
	"User-Agent":      `CanaryBrowser/77.1 (zq "quoted" <tag> & ünïcode; rv:5512)`,
	"Accept-Language": "xk-canary-language;q=0.77",
	"X-Forwarded-For": "203.0.113.177, 2001:db8:77:ca4a::9f1",
	"Cookie":          "sid=cookie-canary-90b2f7d1",
	"Authorization":   "Bearer bearer-canary-41d8e0aa",
	"Referer":         "https://canary.example/invite?code=referer-canary-6b1f",
}

// NewCanary makes a canary with its values. They are the same for every canary.
func NewCanary() *Canary {
	c := &Canary{values: map[string]string{
		FieldIP:       "198.51.100.213",
		FieldIPv6:     "2001:db8:ca4a:17:5eed:cafe:f00d:b1d",
		FieldAccount:  "account-canary-7731x",
		FieldSession:  "session-canary-c0ffee5e55104d",
		FieldEmail:    "Zoe.Canary+tag7@Mail.Leak-Canary.example",
		FieldPhone:    "+12025550147",
		FieldDevice:   "device-canary-tag-5b0e9d",
		FieldFlow:     "flow-canary-QmFzZTY0LW5vdC1hLWZsb3c",
		FieldEvidence: "evidence-canary-token-93ad1c77",
		"id.usdot":    "98117733041",
		"id.sso":      "https://idp.example/tenants/canary|subject-canary-55aa",
	}}
	for name, v := range canaryHeaders {
		c.values["header."+name] = v
	}
	for _, field := range slices.Sorted(maps.Keys(c.values)) {
		c.Watch(field, c.values[field])
	}
	return c
}

// Value returns what is planted in a field, "" for a field that is not planted.
func (c *Canary) Value(field string) string { return c.values[field] }

// Plant fills every personal field of a with the canary's values, an IPv4 address among them, and attaches a [Planted].
// What is not personal (id, event, time, tenant, channel, tier, client, cannot) stays.
func (c *Canary) Plant(a *risk.Attempt) {
	a.IP = netip.MustParseAddr(c.values[FieldIP])
	a.Header = map[string][]string{}
	for name, v := range canaryHeaders {
		a.Header[name] = []string{v}
	}
	a.Account = c.values[FieldAccount]
	a.Session, a.Email, a.Phone = risk.Private(c.values[FieldSession]), risk.Private(c.values[FieldEmail]), risk.Private(c.values[FieldPhone])
	a.Device = []string{c.values[FieldDevice]}
	a.IDs = map[string]risk.Private{"usdot": risk.Private(c.values["id.usdot"]), "sso": risk.Private(c.values["id.sso"])}
	a.Flow = c.values[FieldFlow]
	risk.Attach(a, Planted{c.values[FieldEvidence]})
}

// Attempt returns a sign-up with all personal fields planted.
func (c *Canary) Attempt() *risk.Attempt {
	a := &risk.Attempt{Event: risk.SignUp, Tenant: "tenant", Channel: risk.ChannelWeb, Client: "public"}
	c.Plant(a)
	return a
}

// AttemptIPv6 is Attempt from an IPv6 address.
func (c *Canary) AttemptIPv6() *risk.Attempt {
	a := c.Attempt()
	a.IP = netip.MustParseAddr(c.values[FieldIPv6])
	return a
}

// Watch looks for another value, under a name of the caller's. Values shorter than 6 bytes are not looked for: they
// would be found everywhere. An address is looked for in all its spellings, an e-mail address with and without its tag
// and domain, a phone number with and without its plus and country code.
func (c *Canary) Watch(field, value string) {
	for _, s := range spellings(value) {
		for _, n := range needlesOf(field, s) {
			if n.fold {
				c.folded.add(n)
			} else {
				c.exact.add(n)
			}
			c.longest = max(c.longest, len(n.text))
		}
	}
}

// watchAttempt watches what is personal in an attempt of the caller's.
func (c *Canary) watchAttempt(a *risk.Attempt) {
	if a.IP.IsValid() {
		c.Watch(FieldIP, a.IP.String())
	}
	c.Watch(FieldAccount, a.Account)
	c.Watch(FieldSession, string(a.Session))
	c.Watch(FieldEmail, string(a.Email))
	c.Watch(FieldPhone, string(a.Phone))
	c.Watch(FieldFlow, a.Flow)
	for name, v := range a.IDs {
		c.Watch("id."+name, string(v))
	}
}

// spellings are the forms one value is commonly written in before any encoding.
func spellings(value string) []string {
	out := []string{value}
	if addr, err := netip.ParseAddr(value); err == nil {
		out = append(out, addr.StringExpanded(), addr.String())
		if addr.Is4() {
			b := addr.As4()
			out = append(out, new(big.Int).SetBytes(b[:]).String(), netip.AddrFrom16(addr.As16()).String())
		}
		return append(out, string(addr.AsSlice()))
	}
	if local, domain, ok := strings.Cut(value, "@"); ok && !strings.ContainsAny(value, " \n") && domain != "" {
		base, _, _ := strings.Cut(local, "+")
		bare := strings.ReplaceAll(base, ".", "")
		out = append(out, local, base, bare, base+"@"+domain, bare+"@"+domain)
	}
	if digits, ok := strings.CutPrefix(value, "+"); ok && len(digits) > 9 && strings.Trim(digits, "0123456789") == "" {
		out = append(out, digits, "00"+digits)
		for code := 1; code <= 3; code++ {
			out = append(out, digits[code:])
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return len(s) < shortest })
}

// Leak says where a planted value turned up. It does not repeat the value.
type Leak struct {
	Field string // "email"
	Form  string // "plain", "base64", "sha256 hex"
	Text  int    // which of the texts searched; for a Sink which Write
	At    int    // byte in it
}

// String describes the leak.
func (l Leak) String() string {
	return fmt.Sprintf("%s leaks as %s in text %d at byte %d", l.Field, l.Form, l.Text, l.At)
}

// Search returns where planted values turn up in texts, at most one leak for each text, field and form, in order.
func (c *Canary) Search(texts ...string) []Leak {
	var out []Leak
	for i, text := range texts {
		out = append(out, c.search(i, text)...)
	}
	return out
}

func (c *Canary) search(number int, text string) []Leak {
	var out []Leak
	found := func(at int, n needle) {
		l := Leak{n.field, n.form, number, at}
		if !slices.ContainsFunc(out, func(o Leak) bool { return o.Field == l.Field && o.Form == l.Form }) {
			out = append(out, l)
		}
	}
	c.exact.search(text, found)
	c.folded.search(lowerASCII(text), found)
	slices.SortStableFunc(out, func(a, b Leak) int { return cmp.Compare(a.At, b.At) })
	return out
}

// Sink returns a writer that searches all that is written to it, also across writes.
func (c *Canary) Sink() *Sink { return &Sink{canary: c} }

// Sink is an io.Writer that looks for a canary's values; make one with [Canary.Sink]. It is safe for concurrent use.
type Sink struct {
	canary *Canary

	mu    sync.Mutex
	tail  []byte // guarded by mu: the end of what was written before
	count int    // guarded by mu
	bytes int64  // guarded by mu
	leaks []Leak // guarded by mu
}

// mostLeaks bounds what a sink keeps.
const mostLeaks = 1000

// Write searches p. It returns len(p) and no error.
func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.tail)
	text := append(s.tail, p...)
	for _, l := range s.canary.search(s.count, string(text)) {
		l.At -= before // below zero: it began in an earlier write
		if len(s.leaks) < mostLeaks {
			s.leaks = append(s.leaks, l)
		}
	}
	s.tail = append([]byte(nil), text[max(0, len(text)-s.canary.longest+1):]...)
	s.count++
	s.bytes += int64(len(p))
	return len(p), nil
}

// Leaks returns what was found so far. A leak can be listed for two writes when it lies at the border.
func (s *Sink) Leaks() []Leak {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leaks)
}

// Bytes is how much was written: a test that finds no leak should know that there was something to search.
func (s *Sink) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// lowerASCII lowers A to Z and leaves all other bytes, so that offsets stay.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

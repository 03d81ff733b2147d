package fingerprint

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// Level is how much of a device is looked at.
type Level uint8

// The levels.
const (
	// Passive is what every request shows: network, User-Agent, low-entropy client hints, JA4. Nothing is stored on
	// the device, and nothing read from it.
	Passive Level = iota
	// Active is in addition what a script finds out in the page, and a device id kept there.
	Active
)

// ConsentSentence is what a page may ask before collection at level Active, where [Devices.MustAsk] says so. It is a
// question, so the page needs two buttons of equal weight.
const ConsentSentence = "May we recognise this device to protect accounts from abuse? You can sign up without it."

// AskEverybody and AskNobody are functions of region for [NewDevices]. Which of them is right where is a question of
// law: in the EU and the UK reading a device's properties needs consent unless it is strictly necessary for what the
// visitor has asked for.
func AskEverybody(*http.Request) bool { return true }

// AskNobody is for sites whose lawful ground is another one, or that only people who have agreed reach.
func AskNobody(*http.Request) bool { return false }

// DevicesOptions of [NewDevices]. The zero value and nil mean the defaults.
type DevicesOptions struct {
	// Tenant says whose request it is; default: "" for all. It must be what the attempt's Tenant will be.
	Tenant func(r *http.Request) string
	// Cookie is the name of the device id's cookie, ConsentCookie that of the answer about consent; "__Host-" is put
	// in front. Default "vestibule-device" and "vestibule-consent".
	Cookie, ConsentCookie string
	// MaxAge is how long a device id is valid; default 400 days, which is also the most that browsers keep a cookie.
	MaxAge time.Duration
	// InsecureCookies issues cookies without Secure and "__Host-", for development over plain HTTP: anybody on the way
	// can read and plant them.
	InsecureCookies bool
	// SkipActive turns level Active off for everybody.
	SkipActive bool
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Devices collects what tells devices apart, as far as the visitor has allowed: it keeps a signed device id in the
// browser, and reads what the page's script reports. It is safe for concurrent use.
type Devices struct {
	ring *keyed.Ring
	ask  func(r *http.Request) bool
	o    DevicesOptions
}

// NewDevices makes one. The ring signs device ids and makes device tags. mustAsk is the host's function of region: does
// this visitor have to be asked before collection at level Active? There is no safe default: pass AskEverybody,
// AskNobody or a function of your own.
func NewDevices(ring *keyed.Ring, mustAsk func(r *http.Request) bool, opts *DevicesOptions) (*Devices, error) {
	if ring == nil {
		return nil, errors.New("fingerprint: no key ring; keyed.New makes one")
	}
	if mustAsk == nil {
		return nil, errors.New("fingerprint: say whom to ask for consent: AskEverybody, AskNobody, or a function of the request's region")
	}
	d := &Devices{ring: ring, ask: mustAsk}
	if opts != nil {
		d.o = *opts
	}
	o := &d.o
	if o.Cookie == "" {
		o.Cookie = "vestibule-device"
	}
	if o.ConsentCookie == "" {
		o.ConsentCookie = "vestibule-consent"
	}
	if o.MaxAge == 0 {
		o.MaxAge = 400 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxAge < time.Hour || o.MaxAge > 400*24*time.Hour {
		return nil, fmt.Errorf("fingerprint: MaxAge is %v, want an hour to 400 days", o.MaxAge)
	}
	if !o.InsecureCookies {
		o.Cookie, o.ConsentCookie = "__Host-"+o.Cookie, "__Host-"+o.ConsentCookie
	}
	for _, name := range []string{o.Cookie, o.ConsentCookie} {
		if err := (&http.Cookie{Name: name, Value: "x"}).Valid(); err != nil {
			return nil, fmt.Errorf("fingerprint: %.60q cannot be a cookie's name", name)
		}
	}
	return d, nil
}

func (d *Devices) tenant(r *http.Request) string {
	if d.o.Tenant == nil {
		return ""
	}
	return d.o.Tenant(r)
}

// Level is how much this visitor lets us look at: Active if nobody needs to ask, or if the visitor has agreed.
func (d *Devices) Level(r *http.Request) Level {
	if d.o.SkipActive {
		return Passive
	}
	switch d.consent(r) {
	case "1":
		return Active
	case "0":
		return Passive // refused, whether or not we had to ask
	}
	if d.ask(r) {
		return Passive
	}
	return Active
}

// MustAsk reports whether the page has to ask for consent before anything is collected: the host's function says so,
// and the visitor has not answered yet.
func (d *Devices) MustAsk(r *http.Request) bool {
	return !d.o.SkipActive && d.consent(r) == "" && d.ask(r)
}

func (d *Devices) consent(r *http.Request) string {
	v := d.cookie(r, d.o.ConsentCookie)
	if v != "0" && v != "1" {
		return ""
	}
	return v
}

// SetConsent keeps the visitor's answer. A refusal also takes back the device's id; the page's script deletes its
// copies when it sees level "passive".
func (d *Devices) SetConsent(w http.ResponseWriter, granted bool) {
	if granted {
		d.setCookie(w, d.o.ConsentCookie, "1", false)
		return
	}
	d.setCookie(w, d.o.ConsentCookie, "0", false)
	d.dropCookie(w, d.o.Cookie)
}

// cookie returns a cookie that came once; several of one name are planted, and none counts.
func (d *Devices) cookie(r *http.Request, name string) string {
	if list := r.CookiesNamed(name); len(list) == 1 {
		return list[0].Value
	}
	return ""
}

func (d *Devices) setCookie(w http.ResponseWriter, name, value string, httpOnly bool) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(d.o.MaxAge / time.Second),
		HttpOnly: httpOnly, Secure: !d.o.InsecureCookies, SameSite: http.SameSiteLaxMode,
	})
}

func (d *Devices) dropCookie(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: !d.o.InsecureCookies, SameSite: http.SameSiteLaxMode,
	})
}

// Evidence is what was collected about the device of one attempt: attach it, or let [Devices.Collect] and
// [Devices.Report] do so. It prints without what it holds. It is a value; all of it is untrusted but the device id,
// which is ours.
type Evidence struct {
	Level Level
	// Malformed: the report could not be read. Forged: a device id that we did not sign. Mismatch: places of the
	// browser hold different valid ids, as when state is copied in part.
	Malformed, Forged, Mismatch bool
	// Token and Marks are those of the report.
	Token Token
	Marks Mark

	id      string // a valid one, or empty
	agent   string
	ja4     string
	network string
}

// HasID reports whether the device showed an id we had given it.
func (e Evidence) HasID() bool { return e.id != "" }

// String names the level only.
func (e Evidence) String() string { return fmt.Sprintf("fingerprint.Evidence(level %d)", e.Level) }

// Format prints String for every verb.
func (e Evidence) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, e.String()) }

// Read collects from a request: the level, and at level Active the id in the cookie. It does not read the body.
func (d *Devices) Read(r *http.Request) Evidence {
	e := Evidence{Level: d.Level(r)}
	if e.Level == Active {
		e.note(d, d.tenant(r), d.cookie(r, d.o.Cookie))
	}
	return e
}

// WithReport adds the report of the page's script ([ParseReport]). At level Passive it does nothing. An empty report
// is none: that a visitor's page runs no script is no evidence.
func (d *Devices) WithReport(e Evidence, tenant string, report []byte, userAgent string) Evidence {
	if e.Level != Active || len(report) == 0 {
		return e
	}
	r, err := ParseReport(report, userAgent)
	if err != nil {
		e.Malformed = true
		return e
	}
	e.Token, e.Marks = r.Token, r.Marks
	e.note(d, tenant, r.Local)
	e.note(d, tenant, r.Indexed)
	return e
}

// note judges one place where an id is kept.
func (e *Evidence) note(d *Devices, tenant, id string) {
	switch readID(d.ring, tenant, id, d.o.Now(), d.o.MaxAge) {
	case idForged:
		e.Forged = true
	case idValid:
		if e.id == "" {
			e.id = id
		} else if e.id != id {
			e.Mismatch = true
		}
	}
}

// similarTo sets what an unsure token is narrowed by.
func (e *Evidence) similarTo(ip netip.Addr, agent, ja4 string) {
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	if p, err := ip.Prefix(bits); err == nil {
		e.network = p.String()
	}
	e.agent, e.ja4 = agent[:min(len(agent), 512)], ja4
}

// names are what the device is counted by: an id of its own before a token of confidence; devices whose token is shared
// by all of a model are counted together with network, User-Agent and JA4 only.
func (e *Evidence) names() (device, print, similar string) {
	if e.Token.Confidence >= MinConfidence {
		print = e.Token.key()
	} else if !e.Token.Zero() {
		similar = e.Token.key() + "\x00" + e.network + "\x00" + e.agent + "\x00" + e.ja4
	}
	switch {
	case e.id != "":
		device = "id:" + e.id
	case print != "":
		device = print
	}
	return device, print, similar
}

// purposeTag is for tags of devices that leave this package.
const purposeTag keyed.Purpose = "fingerprint.tag"

// Tags are the keyed tags of the evidence's device, current salt epoch first, for risk.Attempt.Device; none when the
// device cannot be told from others. at is when (zero: now).
func (d *Devices) Tags(e Evidence, tenant string, at time.Time) []string {
	device, _, _ := e.names()
	if device == "" {
		return nil
	}
	if at.IsZero() {
		at = d.o.Now()
	}
	return d.ring.Tags(purposeTag, tenant, device, at)
}

package fpjs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Tri is a smart signal: it was computed, or not (another plan, another platform, not yet).
type Tri uint8

// The values. The zero value says nothing.
const (
	NotGiven Tri = iota
	No
	Yes
)

// Event is one identification, as far as this package reads it. All of it comes from Fingerprint; whether it is this
// visitor's, a [Verifier] says. It prints without what it holds.
type Event struct {
	ID   string
	Time time.Time // when the agent asked
	// Replayed: Fingerprint has seen the agent's request before.
	Replayed bool
	// Partial: smart signals were not computed, and are NotGiven here whatever was sent.
	Partial  bool
	LinkedID string
	URL      string // of the page
	IP       netip.Addr
	Agent    string // User-Agent

	VisitorID  string
	Found      bool    // the visitor was seen before
	Confidence float64 // 0 to 1; 0 when there is none
	FirstSeen  time.Time

	Bot string // "bad", "good", "not_detected"; "" when not given

	Incognito, Tampering, AntiDetect, VirtualMachine, DeveloperTools, PrivacySettings Tri
	Proxy, VPN, Relay, Tor, HighActivity, RareDevice                                  Tri
	RootApps, Emulator, ClonedApp, Jailbroken, Frida, LocationSpoofing, MITM          Tri

	// TamperingScore (0 to 1, act above 0.8), AnomalyScore (0 to 1, act above 0.5) and SuspectScore are -1 when not
	// given.
	TamperingScore, AnomalyScore, SuspectScore float64
	// DistinctIPs24h and Events24h count the visitor; -1: not given.
	DistinctIPs24h, Events24h int64
}

// String names nothing of the event but its kind.
func (e Event) String() string { return "fpjs.Event" }

// Format prints String for every verb.
func (e Event) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, e.String()) }

// ErrEvent says that a body is no event; ErrLegacy that it is one of Server API v3. They do not repeat the body.
var (
	ErrEvent  = errors.New("fpjs: not an event of Server API v4")
	ErrLegacy = errors.New("fpjs: a payload of Server API v3, which has ended: update the agent and the dashboard's settings to v4")
)

// ParseEvent reads the event of GET /v4/events/{id}, of a webhook or of a sealed result. Fields it does not know are
// passed over: new ones come every month.
func ParseEvent(body []byte) (*Event, error) {
	v, err := jsonhttp.Parse(body)
	if err != nil {
		return nil, ErrEvent
	}
	return event(v)
}

// ParseEvents reads the answer of GET /v4/events.
func ParseEvents(body []byte) ([]*Event, error) {
	v, err := jsonhttp.Parse(body)
	if err != nil {
		return nil, ErrEvent
	}
	list, ok := v.At("events").List()
	if !ok {
		return nil, ErrEvent
	}
	out := make([]*Event, 0, len(list))
	for _, one := range list {
		e, err := event(one)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func event(v jsonhttp.Value) (*Event, error) {
	if v.At("products").There() {
		return nil, ErrLegacy
	}
	e := &Event{ID: v.At("event_id").String(), TamperingScore: -1, AnomalyScore: -1, SuspectScore: -1, DistinctIPs24h: -1, Events24h: -1}
	ms, ok := v.At("timestamp").Int()
	if e.ID == "" || len(e.ID) > mostID || !ok || ms <= 0 || ms > 1<<50 {
		return nil, ErrEvent
	}
	e.Time = time.UnixMilli(ms)
	e.Replayed, _ = v.At("replayed").Bool()
	e.Partial = v.At("incremental_identification_status").String() == "partially_completed"
	e.LinkedID, e.URL, e.Agent = v.At("linked_id").String(), v.At("url").String(), v.At("user_agent").String()
	if a, err := netip.ParseAddr(v.At("ip_address").String()); err == nil {
		e.IP = a.Unmap()
	}
	id := v.At("identification")
	e.VisitorID = id.At("visitor_id").String()
	e.Found, _ = id.At("visitor_found").Bool()
	if score, ok := id.At("confidence", "score").Number(); ok && score >= 0 && score <= 1 {
		e.Confidence = score
	}
	if ms, ok := id.At("first_seen_at").Int(); ok && ms > 0 && ms < 1<<50 {
		e.FirstSeen = time.UnixMilli(ms)
	}
	if !e.Partial {
		e.signals(v)
	}
	return e, nil
}

const mostID = 128

func (e *Event) signals(v jsonhttp.Value) {
	e.Bot = v.At("bot").String()
	for _, s := range []struct {
		to   *Tri
		path []string
	}{
		{&e.Incognito, []string{"incognito"}}, {&e.Tampering, []string{"tampering"}},
		{&e.AntiDetect, []string{"tampering_details", "anti_detect_browser"}},
		{&e.VirtualMachine, []string{"virtual_machine"}}, {&e.DeveloperTools, []string{"developer_tools"}},
		{&e.PrivacySettings, []string{"privacy_settings"}}, {&e.Proxy, []string{"proxy"}}, {&e.VPN, []string{"vpn"}},
		{&e.Relay, []string{"vpn_methods", "relay"}}, {&e.Tor, []string{"ip_blocklist", "tor_node"}},
		{&e.HighActivity, []string{"high_activity_device"}}, {&e.RareDevice, []string{"rare_device"}},
		{&e.RootApps, []string{"root_apps"}}, {&e.Emulator, []string{"emulator"}}, {&e.ClonedApp, []string{"cloned_app"}},
		{&e.Jailbroken, []string{"jailbroken"}}, {&e.Frida, []string{"frida"}},
		{&e.LocationSpoofing, []string{"location_spoofing"}}, {&e.MITM, []string{"mitm_attack"}},
	} {
		if value, ok := v.At(s.path...).Bool(); ok {
			*s.to = No
			if value {
				*s.to = Yes
			}
		}
	}
	for _, s := range []struct {
		to   *float64
		path []string
	}{
		{&e.TamperingScore, []string{"tampering_ml_score"}}, {&e.AnomalyScore, []string{"tampering_details", "anomaly_score"}},
		{&e.SuspectScore, []string{"suspect_score"}},
	} {
		if value, ok := v.At(s.path...).Number(); ok && value >= 0 {
			*s.to = value
		}
	}
	if n, ok := v.At("velocity", "distinct_ip", "24_hours").Int(); ok {
		e.DistinctIPs24h = n
	}
	if n, ok := v.At("velocity", "events", "24_hours").Int(); ok {
		e.Events24h = n
	}
}

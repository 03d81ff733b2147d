package fingerprint_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// clock is a time tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func newClock() *clock { return &clock{fingerprinttest.Start} }

func secret(b byte) keyed.Secret {
	s := make([]byte, 32)
	for i := range s {
		s[i] = b + byte(i)
	}
	return s
}

// patient is a timeout that a busy machine keeps.
const patient = 10 * time.Second

func newRing(t testing.TB, epoch time.Duration, now func() time.Time, ids ...string) *keyed.Ring {
	t.Helper()
	var keys []keyed.Key
	for _, id := range ids {
		keys = append(keys, keyed.Key{ID: id, Secret: secret(id[0])})
	}
	r, err := keyed.New(keys, &keyed.Options{Epoch: epoch, Now: now})
	require.NoError(t, err)
	return r
}

func newMemory(t testing.TB, now func() time.Time) *fingerprint.Memory {
	t.Helper()
	m, err := fingerprint.NewMemory(&fingerprint.MemoryOptions{Now: now})
	require.NoError(t, err)
	return m
}

func newSightings(t testing.TB, store fingerprint.Store, opts *fingerprint.SightingsOptions) *fingerprint.Sightings {
	t.Helper()
	s, err := fingerprint.NewSightings(store, opts)
	require.NoError(t, err)
	return s
}

// site is an engine with all signals, and devices, as a host has them.
type site struct {
	t       testing.TB
	clock   *clock
	engine  *risk.Engine
	devices *fingerprint.Devices
	n       int
}

func newSite(t testing.TB, mustAsk func(*http.Request) bool) *site {
	t.Helper()
	c := newClock()
	devices, err := fingerprint.NewDevices(newRing(t, 0, c.now, "k"), mustAsk, &fingerprint.DevicesOptions{Now: c.now})
	require.NoError(t, err)
	velocity, err := fingerprint.NewVelocity(newSightings(t, newMemory(t, c.now), &fingerprint.SightingsOptions{Now: c.now}), nil)
	require.NoError(t, err)
	device, err := fingerprint.NewSignal(nil)
	require.NoError(t, err)
	checker, err := useragent.New(nil)
	require.NoError(t, err)
	ua, err := useragent.NewSignal(checker)
	require.NoError(t, err)
	tls, err := ja4.NewSignal(nil)
	require.NoError(t, err)
	signals := []risk.Signal{velocity, device, ua, tls}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{Now: c.now})
	require.NoError(t, err)
	return &site{t: t, clock: c, engine: engine, devices: devices}
}

// visitor is one sign-up.
type visitor struct {
	client fingerprinttest.Client
	report []byte
	cookie string // of the device id
	ip     string
	email  string
}

// attempt makes the attempt as a guard would.
func (s *site) attempt(v visitor) *risk.Attempt {
	s.n++
	r := httptest.NewRequest(http.MethodPost, "https://example.com/signup", nil)
	r.Header = v.client.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	a := &risk.Attempt{
		Event: risk.SignUp, Channel: risk.ChannelWeb, Time: s.clock.now(), Header: r.Header.Clone(),
		IP: netip.MustParseAddr("192.0.2.1"), Email: risk.Private("person" + strings.Repeat("x", s.n) + "@example.com"),
	}
	if v.ip != "" {
		a.IP = netip.MustParseAddr(v.ip)
	}
	if v.email != "" {
		a.Email = risk.Private(v.email)
	}
	if v.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-vestibule-device", Value: v.cookie})
	}
	if v.client.JA4 != "" {
		risk.Attach(a, ja4.Hello{JA4: v.client.JA4})
	}
	s.devices.Collect(r, a)
	s.devices.Report(a, v.report)
	return a
}

// visit lets one sign-up be judged, and returns its codes with their points.
func (s *site) visit(v visitor) (codes map[string]int, got *risk.Assessment) {
	s.t.Helper()
	got = s.engine.Assess(s.t.Context(), s.attempt(v))
	require.Empty(s.t, got.Errors)
	return codesOf(got), got
}

// codesOf are the codes that signals have observed, with their points.
func codesOf(s *risk.Assessment) map[string]int {
	codes := map[string]int{}
	for _, r := range s.Reasons {
		if r.Signal != "" && r.Rule == "" {
			name := strings.TrimPrefix(r.Code, r.Signal+".")
			codes[r.Signal+"."+name] += r.Points
		}
	}
	return codes
}

// newID visits the site's page and returns the device id it is given.
func (s *site) newID(body string, cookies ...string) (id string, response *http.Response) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://example.com/device", strings.NewReader(body))
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: "__Host-vestibule-device", Value: c})
	}
	w := httptest.NewRecorder()
	s.devices.Handler().ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-vestibule-device" {
			id = c.Value
		}
	}
	return id, w.Result()
}

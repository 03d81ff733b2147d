package fingerprint_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
)

func answer(t *testing.T, r *http.Response) map[string]string {
	t.Helper()
	var out map[string]string
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.NoError(t, json.NewDecoder(r.Body).Decode(&out))
	return out
}

func TestHandlerRestores(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	id, r := s.newID(`{}`)
	require.Equal(t, map[string]string{"level": "active", "id": id}, answer(t, r))
	cookie := r.Header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-vestibule-device=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=34560000"} {
		require.Contains(t, cookie, attribute)
	}
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	for place, body := range map[string]string{
		"localStorage": fmt.Sprintf(`{"local":%q}`, id), "IndexedDB": fmt.Sprintf(`{"local":"","idb":%q}`, id),
		"behind rubbish": fmt.Sprintf(`{"local":"rubbish","idb":%q}`, id), "odd types": fmt.Sprintf(`{"local":7,"idb":%q}`, id),
	} {
		got, _ := s.newID(body)
		require.Equal(t, id, got, place)
	}
	got, _ := s.newID(`{}`, id)
	require.Equal(t, id, got, "cookie")
	got, _ = s.newID(`{}`, id, id)
	require.NotEqual(t, id, got, "two cookies of one name are planted")
	s.clock.advance(401 * 24 * time.Hour)
	got, _ = s.newID(`{}`, id)
	require.NotEqual(t, id, got, "expired")
}

func TestIDsSurviveEpochsAndKeys(t *testing.T) {
	c := newClock()
	make := func(ids ...string) *fingerprint.Devices {
		d, err := fingerprint.NewDevices(newRing(t, 0, c.now, ids...), fingerprint.AskNobody, &fingerprint.DevicesOptions{Now: c.now})
		require.NoError(t, err)
		return d
	}
	issue := func(d *fingerprint.Devices) string {
		return (&site{t: t, clock: c, devices: d}).mustID()
	}
	id := issue(make("a"))
	c.advance(200 * 24 * time.Hour)
	has := func(d *fingerprint.Devices) bool {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.AddCookie(&http.Cookie{Name: "__Host-vestibule-device", Value: id})
		e := d.Read(r)
		require.NotEqual(t, e.HasID(), e.Forged)
		return e.HasID()
	}
	require.True(t, has(make("a")), "six epochs later")
	require.True(t, has(make("b", "a")), "a new key in front")
	require.False(t, has(make("b")), "the key is gone")
}

func (s *site) mustID() string {
	id, _ := s.newID(`{}`)
	require.NotEmpty(s.t, id)
	return id
}

func TestTenantsHaveTheirOwnIDs(t *testing.T) {
	c := newClock()
	d, err := fingerprint.NewDevices(newRing(t, 0, c.now, "k"), fingerprint.AskNobody, &fingerprint.DevicesOptions{
		Now: c.now, Tenant: func(r *http.Request) string { return r.Host },
	})
	require.NoError(t, err)
	s := &site{t: t, clock: c, devices: d}
	id := s.mustID() // of example.com
	r := httptest.NewRequest(http.MethodPost, "https://other.example/signup", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-vestibule-device", Value: id})
	require.True(t, d.Read(r).Forged)
}

func TestConsentFlow(t *testing.T) {
	s := newSite(t, func(r *http.Request) bool { return r.Header.Get("X-Country") != "US" })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	require.True(t, s.devices.MustAsk(r))
	require.Equal(t, fingerprint.Passive, s.devices.Level(r))
	r.Header.Set("X-Country", "US")
	require.False(t, s.devices.MustAsk(r))
	require.Equal(t, fingerprint.Active, s.devices.Level(r))

	_, response := s.newID(`{}`)
	require.Equal(t, map[string]string{"level": "passive", "ask": "yes"}, answer(t, response))
	require.Empty(t, response.Cookies(), "nothing is stored before consent")

	id, response := s.newID(`{"consent":true}`)
	require.NotEmpty(t, id)
	require.Equal(t, "active", answer(t, response)["level"])
	var granted *http.Cookie
	for _, c := range response.Cookies() {
		if c.Name == "__Host-vestibule-consent" {
			granted = c
		}
	}
	require.NotNil(t, granted)
	r.Header.Del("X-Country")
	r.AddCookie(granted)
	require.Equal(t, fingerprint.Active, s.devices.Level(r))

	_, response = s.newID(`{"consent":false}`, id)
	require.Equal(t, "passive", answer(t, response)["level"])
	require.Contains(t, fmt.Sprint(response.Header["Set-Cookie"]), "__Host-vestibule-device=; Path=/; Max-Age=0")
	refused := httptest.NewRequest(http.MethodGet, "/", nil)
	refused.Header.Set("X-Country", "US")
	refused.AddCookie(&http.Cookie{Name: "__Host-vestibule-consent", Value: "0"})
	require.Equal(t, fingerprint.Passive, s.devices.Level(refused), "a refusal holds where nobody had to ask")
	require.False(t, s.devices.MustAsk(refused), "and is not asked for again")

	off, err := fingerprint.NewDevices(newRing(t, 0, nil, "k"), fingerprint.AskNobody, &fingerprint.DevicesOptions{SkipActive: true})
	require.NoError(t, err)
	require.Equal(t, fingerprint.Passive, off.Level(r))
	require.False(t, off.MustAsk(r))
}

func TestHandlerRefuses(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	serve := func(method, body string, header ...string) int {
		r := httptest.NewRequest(method, "https://example.com/device", strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.devices.Handler().ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusMethodNotAllowed, serve(http.MethodGet, ""))
	require.Equal(t, http.StatusBadRequest, serve(http.MethodPost, ""))
	require.Equal(t, http.StatusBadRequest, serve(http.MethodPost, "[]"))
	require.Equal(t, http.StatusRequestEntityTooLarge, serve(http.MethodPost, `{"local":"`+strings.Repeat("x", 5000)+`"}`))
	require.Equal(t, http.StatusForbidden, serve(http.MethodPost, "{}", "Sec-Fetch-Site", "cross-site"))
	require.Equal(t, http.StatusForbidden, serve(http.MethodPost, "{}", "Origin", "https://evil.example"))
}

func TestScript(t *testing.T) {
	w := httptest.NewRecorder()
	fingerprint.Script().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/device.js", nil))
	require.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "vestibule-device")
}

func TestNothingPrints(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	id := s.mustID()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-vestibule-device", Value: id})
	e := s.devices.WithReport(s.devices.Read(r), "", fingerprinttest.Machine{Platform: "Win32", Seed: "s"}.Report(), "")
	require.True(t, e.HasID())
	raw, err := json.Marshal(e.Token)
	require.NoError(t, err)
	text := fmt.Sprintf("%v %+v %#v %s %v %s", e, e, e, e, e.Token, raw)
	require.NotContains(t, text, id)
	require.NotContains(t, text, e.Token.ID)
}

package fingerprint_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
)

func FuzzReport(f *testing.F) {
	agent := fingerprinttest.Chrome().Header.Get("User-Agent")
	f.Add(fingerprinttest.Machine{Platform: "Win32", Seed: "s"}.Report())
	f.Add(fingerprinttest.Machine{Platform: "iPhone", Local: "x", WebDriver: true, Software: true}.Report())
	f.Add([]byte(`{"thumbmark":{"thumbmark":"c71548a6b8376fbdfe985710433feceb"}}`))
	f.Add([]byte(`{"fpjs":{"visitorId":"00000000000000000000000000000000","version":"5.2.0","components":{"\ud800:|\\":{"value":1e999}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		r, err := fingerprint.ParseReport(raw, agent)
		require.Equal(t, before, raw, "the report is not changed")
		if err != nil {
			require.ErrorIs(t, err, fingerprint.ErrReport)
			require.Zero(t, r)
			return
		}
		require.GreaterOrEqual(t, r.Token.Confidence, 0.0)
		require.LessOrEqual(t, r.Token.Confidence, 1.0)
		again, err := fingerprint.ParseReport(raw, agent)
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func FuzzDeviceID(f *testing.F) {
	c := newClock()
	d, err := fingerprint.NewDevices(newRing(f, 0, c.now, "k"), fingerprint.AskNobody, &fingerprint.DevicesOptions{Now: c.now})
	require.NoError(f, err)
	id := (&site{t: f, clock: c, devices: d}).mustID()
	f.Add(id)
	f.Add("v1.")
	f.Add(id[:len(id)-1] + "=")
	f.Fuzz(func(t *testing.T, text string) {
		read := func(text string) fingerprint.Evidence {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header["Cookie"] = []string{"__Host-vestibule-device=" + text}
			return d.Read(r)
		}
		e := read(text)
		require.False(t, e.HasID() && e.Forged)
		if e.HasID() { // one that was signed: every other text is none
			i := len(text) / 2
			other := []byte(text)
			other[i] ^= 1
			require.False(t, read(string(other)).HasID())
		}
	})
}

func FuzzReceipt(f *testing.F) {
	s := newSightings(f, newMemory(f, newClock().now), nil)
	got, err := s.See(f.Context(), fingerprint.Visit{Attempt: "a", Device: "d", Phone: "p", Receipt: true})
	require.NoError(f, err)
	f.Add(got.Receipt)
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, receipt string) {
		if err := s.Undo(t.Context(), "", receipt); err != nil {
			require.ErrorIs(t, err, fingerprint.ErrReceipt)
		}
	})
}

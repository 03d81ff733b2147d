package fingerprint_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// overheard is a store that writes down all that it is told.
type overheard struct {
	fingerprint.Store
	told *bytes.Buffer
}

func (o overheard) See(ctx context.Context, b *fingerprint.Batch) error {
	for i := range b.Subjects {
		s := &b.Subjects[i]
		_, _ = o.told.Write(s.Key[:])
		_, _ = fmt.Fprintf(o.told, " %v %+v\n", s.Key, s)
		for j := range s.N {
			_ = binary.Write(o.told, binary.BigEndian, s.Sets[j].Member)
		}
	}
	return o.Store.See(ctx, b)
}

// TestNothingPersonalLeaves plants values in all that an attempt has, and looks for them in what the store is told, in
// receipts, in the log, and in whatever prints.
func TestNothingPersonalLeaves(t *testing.T) {
	c := newClock()
	canary := risktest.NewCanary()
	var told, logged bytes.Buffer
	ring := newRing(t, 0, c.now, "k")
	devices, err := fingerprint.NewDevices(ring, fingerprint.AskNobody, &fingerprint.DevicesOptions{Now: c.now})
	require.NoError(t, err)
	sightings := newSightings(t, overheard{newMemory(t, c.now), &told}, &fingerprint.SightingsOptions{Ring: ring, Now: c.now})
	velocity, err := fingerprint.NewVelocity(sightings, &fingerprint.VelocityOptions{Timeout: patient})
	require.NoError(t, err)
	device, err := fingerprint.NewSignal(nil)
	require.NoError(t, err)
	checker, err := useragent.New(nil)
	require.NoError(t, err)
	ua, err := useragent.NewSignal(checker)
	require.NoError(t, err)
	hello, err := ja4.NewSignal(nil)
	require.NoError(t, err)
	signals := []risk.Signal{velocity, device, ua, hello}
	sink := risk.NewSlogSink(slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	kept := &risktest.Recorder{}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{Now: c.now, Budget: 2 * patient, Sinks: []risk.Sink{sink, kept}})
	require.NoError(t, err)

	report := fingerprinttest.Machine{Platform: "Win32", Seed: "seed-of-a-machine"}.Report()
	parsed, err := fingerprint.ParseReport(report, "")
	require.NoError(t, err)
	canary.Watch("visitorId", parsed.Token.ID)
	site := &site{t: t, clock: c, devices: devices, engine: engine}
	id := site.mustID()
	canary.Watch("device id", id)
	var printed bytes.Buffer
	for i := range 5 {
		a := site.attempt(visitor{client: fingerprinttest.Chrome(), cookie: id, report: report})
		e, _ := risk.Evidence[fingerprint.Evidence](a)
		canary.Plant(a)
		if i%2 == 0 {
			a.IP = canary.AttemptIPv6().IP
		}
		risk.Attach(a, e)
		got := engine.Assess(t.Context(), a)
		require.Empty(t, got.Errors)
		_, _ = fmt.Fprintf(&printed, "%v %+v %#v %v %+v %v\n", got, got, e, e, e, a)
		require.NoError(t, engine.Settle(t.Context(), got, risk.Undone))
	}
	seen, err := sightings.See(t.Context(), fingerprint.Visit{
		Attempt: "a", Device: id, Email: canary.Value(risktest.FieldEmail), Phone: canary.Value(risktest.FieldPhone), Receipt: true,
	})
	require.NoError(t, err)
	_, _ = fmt.Fprintf(&printed, "%+v\n", seen)
	for _, d := range kept.Decisions() {
		for _, f := range d.Findings {
			_, _ = fmt.Fprintf(&printed, "%+v\n", f)
		}
	}
	require.NotZero(t, told.Len())
	require.NotZero(t, logged.Len())
	require.Empty(t, canary.Search(told.String(), logged.String(), printed.String()))
}

package fingerprint_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

func Example() {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, nil)
	if err != nil {
		panic(err)
	}
	devices, err := fingerprint.NewDevices(ring, fingerprint.AskNobody, nil)
	if err != nil {
		panic(err)
	}
	store, err := fingerprint.NewMemory(nil)
	if err != nil {
		panic(err)
	}
	sightings, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Ring: ring})
	if err != nil {
		panic(err)
	}
	velocity, err := fingerprint.NewVelocity(sightings, nil)
	if err != nil {
		panic(err)
	}
	device, err := fingerprint.NewSignal(nil)
	if err != nil {
		panic(err)
	}
	signals := []risk.Signal{velocity, device}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	if err != nil {
		panic(err)
	}

	// Five sign-ups from five networks, all with one browser's fingerprint.
	report := fingerprinttest.Machine{Platform: "Win32", Seed: "farm"}.Report()
	for i := range 5 {
		r := httptest.NewRequest(http.MethodPost, "https://example.com/signup", nil)
		attempt := &risk.Attempt{
			Event: risk.SignUp, Header: r.Header,
			IP: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), Email: risk.Private(fmt.Sprintf("person%d@example.com", i)),
		}
		devices.Collect(r, attempt)
		devices.Report(attempt, report) // the form's field "device"
		fmt.Println(engine.Assess(context.Background(), attempt).Action)
	}
	// Output:
	// allow
	// allow
	// allow
	// review
	// review
}

func ExampleSightings_See() {
	store, err := fingerprint.NewMemory(nil)
	if err != nil {
		panic(err)
	}
	sightings, err := fingerprint.NewSightings(store, nil)
	if err != nil {
		panic(err)
	}
	for i := range 3 {
		seen, err := sightings.See(context.Background(), fingerprint.Visit{
			Attempt: fmt.Sprint("attempt", i), Device: "device", Email: fmt.Sprintf("person%d@example.com", i),
		})
		if err != nil {
			panic(err)
		}
		day := seen.Device.Accounts[1]
		fmt.Println(seen.Device.Before, day.N, day.AtLeast)
	}
	// Output:
	// false 1 false
	// true 2 false
	// true 3 false
}

func ExampleSightings_Undo() {
	store, err := fingerprint.NewMemory(nil)
	if err != nil {
		panic(err)
	}
	sightings, err := fingerprint.NewSightings(store, nil)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	attempts := func(v fingerprint.Visit) (int, string) {
		seen, err := sightings.See(ctx, v)
		if err != nil {
			panic(err)
		}
		return seen.Phone.Attempts[1].N, seen.Receipt
	}
	n, receipt := attempts(fingerprint.Visit{Attempt: "first", Phone: "15550100000", Receipt: true})
	fmt.Println(n)
	// Our own database was down: the attempt is none of the visitor's. Velocity does this when the engine is told
	// risk.Undone.
	if err := sightings.Undo(ctx, "", receipt); err != nil {
		panic(err)
	}
	n, _ = attempts(fingerprint.Visit{Attempt: "second", Phone: "15550100000"})
	fmt.Println(n)
	// Output:
	// 1
	// 1
}

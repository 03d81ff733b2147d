package appattest_test

import (
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

const (
	team   = "ABCDE12345"
	bundle = "com.example.app"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// world is a virtual Apple and a verifier that trusts it.
type world struct {
	apple *attesttest.Apple
	hash  []byte
}

// theApple is made once: authorities are costly to make, and tests only read it.
var theApple = sync.OnceValue(func() *attesttest.Apple { return attesttest.NewApple(at(start)) })

func newWorld() *world {
	sum := sha256.Sum256([]byte("client data"))
	return &world{theApple(), sum[:]}
}

func production() appattest.App {
	return appattest.App{TeamID: team, BundleID: bundle, Environment: appattest.Production, Categories: appattest.OnlyOrMissing(appattest.AppStore)}
}

func (w *world) verifier(t testing.TB, now time.Time, apps ...appattest.App) *appattest.Verifier {
	if len(apps) == 0 {
		apps = []appattest.App{production()}
	}
	v, err := appattest.New(apps, &appattest.Options{Now: at(now), InsecureTestRoots: w.apple.Roots()})
	require.NoError(t, err)
	return v
}

// phones are all kinds of devices, with the app they are accepted for.
func (w *world) phones() map[string]struct {
	phone *attesttest.IPhone
	app   appattest.App
} {
	type pair = struct {
		phone *attesttest.IPhone
		app   appattest.App
	}
	only := production()
	only.Categories = appattest.Only(appattest.AppStore)
	dev := production()
	dev.Environment, dev.Categories = appattest.Development, appattest.OnlyOrMissing(appattest.Developer)
	mac := only
	mac.System, mac.Categories = appattest.MacOS, appattest.Only(appattest.DeveloperID)
	clip := only
	clip.BundleID += ".Clip"
	with := func(id string, o attesttest.IPhoneOptions) *attesttest.IPhone { return w.apple.IPhone(team, id, &o) }
	return map[string]pair{
		"iOS 26":             {with(bundle, attesttest.IPhoneOptions{}), production()},
		"iOS 27, flag clear": {with(bundle, attesttest.IPhoneOptions{Extensions: true, Category: 4, BundleVersion: "7"}), only},
		"iOS 27, flag set":   {with(bundle, attesttest.IPhoneOptions{Extensions: true, Category: 4, BundleVersion: "7", ED: true}), only},
		"development":        {with(bundle, attesttest.IPhoneOptions{Development: true, Extensions: true, Category: 3}), dev},
		"macOS 27":           {with(bundle, attesttest.IPhoneOptions{Mac: true, Extensions: true, Category: 6}), mac},
		"App Clip":           {with(bundle+".Clip", attesttest.IPhoneOptions{Extensions: true, Category: 4}), clip},
	}
}

func requireStep(t testing.TB, err error, step string, want error) {
	t.Helper()
	var s *attest.StepError
	require.ErrorAs(t, err, &s)
	require.Equal(t, step, s.Step)
	require.ErrorIs(t, err, want)
}

func keyOf(k *attesttest.AppleKey) appattest.Key {
	return appattest.Key{AppID: k.Phone.AppID, Environment: appattest.Production, PublicKey: &k.Key.PublicKey}
}

func authority(t testing.TB, template *x509.Certificate, parent *attesttest.CA) attesttest.CA {
	template.NotBefore, template.NotAfter = start.Add(-time.Hour), start.Add(time.Hour)
	return attesttest.NewCA(parent, p384, template)
}

var p256 = elliptic.P256()

func newTemplate() *x509.Certificate {
	return &x509.Certificate{NotBefore: start, NotAfter: start.Add(time.Hour)}
}

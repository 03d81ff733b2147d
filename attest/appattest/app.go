package appattest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Environment is where a key was made: it is part of the attested data. The zero value is refused.
type Environment uint8

// The environments.
const (
	Production  Environment = iota + 1 // App Store, TestFlight, enterprise
	Development                        // built from Xcode, unless its entitlement says production
)

// String is "production" or "development".
func (e Environment) String() string {
	switch e {
	case Production:
		return "production"
	case Development:
		return "development"
	}
	return "invalid"
}

// The aaguid of authenticator data, all 16 bytes of it.
var (
	aaguidProduction  = [16]byte{'a', 'p', 'p', 'a', 't', 't', 'e', 's', 't'}
	aaguidDevelopment = [16]byte{'a', 'p', 'p', 'a', 't', 't', 'e', 's', 't', 'd', 'e', 'v', 'e', 'l', 'o', 'p'}
)

// System is the operating system an app is for: macOS attestations hold one thing more to check.
type System uint8

// The systems.
const (
	IOS   System = iota // iOS, iPadOS, tvOS, watchOS, visionOS; App Clips and extensions on them
	MacOS               // macOS 27 and later
)

// Category is Apple's validation category of a running build (apple_validation_category_01, since iOS 27 and macOS 27).
// It is of each launch: a key that a modified build has made survives the installation of the honest one, and the
// reverse. So it is judged again at every assertion.
type Category uint32

// The categories. 0 is invalid, 7 to 9 are restricted, others may come.
const (
	OSExecutable Category = 1
	TestFlight   Category = 2
	Developer    Category = 3
	AppStore     Category = 4
	Enterprise   Category = 5 // and ad hoc
	DeveloperID  Category = 6
	NoneOfThese  Category = 10
)

// Categories say which validation categories are accepted. The zero value is refused by [New]: whether devices older than
// iOS 27, which give no category, may pass is for you to say. Make one with [Only] or [OnlyOrMissing].
type Categories struct {
	allowed []Category
	missing bool
}

// Only accepts these categories and refuses evidence without one: all devices before iOS 27 and macOS 27.
func Only(c ...Category) Categories { return Categories{allowed: slices.Clone(c)} }

// OnlyOrMissing accepts these categories and evidence without one.
func OnlyOrMissing(c ...Category) Categories {
	return Categories{allowed: slices.Clone(c), missing: true}
}

func (c Categories) accepts(got *Category) bool {
	if got == nil {
		return c.missing
	}
	return *got != 0 && slices.Contains(c.allowed, *got)
}

// App is one app whose keys are accepted.
type App struct {
	// TeamID is the team's identifier, 10 characters. Together with BundleID it is the App ID: both are compared exactly,
	// as a hash.
	TeamID string
	// BundleID is the bundle identifier; for macOS the signing identifier; an App Clip has its own.
	BundleID string
	// Environment is the one accepted. Accept both by listing the app twice, never in production.
	Environment Environment
	// System is IOS unless the app is for the Mac.
	System System
	// Categories is required: [Only] or [OnlyOrMissing].
	Categories Categories
	// BundleVersions, when not empty, are the values of CFBundleVersion accepted of evidence that carries one (since iOS
	// 27); what carries none is a matter of Categories.
	BundleVersions []string
}

// ID is the App ID: team and bundle identifier with a dot between.
func (a App) ID() string { return a.TeamID + "." + a.BundleID }

func (a App) check() error {
	switch {
	case a.TeamID == "" || a.BundleID == "" || strings.Contains(a.TeamID, "."):
		return errors.New("wants a TeamID without dots and a BundleID")
	case len(a.BundleID) > 255 || len(a.TeamID) > 32:
		return errors.New("has an identifier that is too long")
	case a.Environment != Production && a.Environment != Development:
		return errors.New("wants an Environment: Production or Development")
	case a.System > MacOS:
		return fmt.Errorf("has the unknown system %d", a.System)
	case len(a.Categories.allowed) == 0:
		return errors.New("wants Categories: Only(AppStore) refuses devices before iOS 27, OnlyOrMissing(AppStore) lets them in")
	case slices.Contains(a.Categories.allowed, 0):
		return errors.New("allows category 0, which is Apple's word for invalid")
	}
	return nil
}

// known is an app with its hash.
type known struct {
	App
	rpID [sha256.Size]byte
}

// find returns the apps with this hash: one, or one for each environment.
func (v *Verifier) find(rpID []byte) []*known {
	var out []*known
	for i := range v.apps {
		if string(v.apps[i].rpID[:]) == string(rpID) {
			out = append(out, &v.apps[i])
		}
	}
	return out
}

package playintegrity

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// MaxPayload bounds a decoded payload in bytes. Real ones have about 1 KB.
const MaxPayload = 32 << 10

// The words of Google's answer that policies read (revision 2026-09-10). Others are kept as they are and ignored.
const (
	Recognized          = "PLAY_RECOGNIZED"
	UnrecognizedVersion = "UNRECOGNIZED_VERSION"
	Unevaluated         = "UNEVALUATED"

	MeetsBasic   = "MEETS_BASIC_INTEGRITY"   // may be an unlocked boot loader
	MeetsDevice  = "MEETS_DEVICE_INTEGRITY"  // a certified device with Play
	MeetsStrong  = "MEETS_STRONG_INTEGRITY"  // and hardware-backed boot; since Android 13 also recent security updates
	MeetsVirtual = "MEETS_VIRTUAL_INTEGRITY" // an emulator with Play: alone it is no phone

	Licensed   = "LICENSED"
	Unlicensed = "UNLICENSED"
)

// Payload is what Google says of one request. Only requestDetails and what [Verifier] has judged may be relied on. Fields
// that the answer does not have are zero.
type Payload struct {
	Request     RequestDetails
	App         AppIntegrity
	Device      DeviceIntegrity
	Account     AccountDetails
	Environment EnvironmentDetails
	// Test says that the response was set up by a tester in Play Console.
	Test bool
	// Raw is the payload as it came, unknown fields included.
	Raw []byte
}

// RequestDetails are what the app asked with.
type RequestDetails struct {
	Package     string
	Nonce       string // classic requests; base64
	RequestHash string // standard requests
	Time        time.Time
}

// AppIntegrity is about the app. Package, CertDigests and Version are not set when it was not evaluated.
type AppIntegrity struct {
	Verdict     string
	Package     string
	CertDigests [][]byte // SHA-256 of the signing certificates
	Version     int64
	HasVersion  bool
}

// DeviceIntegrity is about the device. No labels: it failed, or the token was decoded before.
type DeviceIntegrity struct {
	Labels   []string
	Legacy   []string
	SDK      int    // Android's API level, 0 when not evaluated
	Activity string // LEVEL_1 (few requests of late) to LEVEL_4
	Recall   *Recall
}

// Recall are the three bits an app may keep with Google for a device, which outlive a reset.
type Recall struct {
	Bits   [3]bool
	Months [3]int // YYYYMM when written; set only for true bits
}

// AccountDetails are about the account on the device.
type AccountDetails struct{ Licensing, Activity string }

// EnvironmentDetails are about what else runs on the device.
type EnvironmentDetails struct {
	PlayProtect      string
	AppsDetected     []string // KNOWN_ or UNKNOWN_ with INSTALLED, CAPTURING, OVERLAYS, CONTROLLING
	LocationSpoofing []string // LOW_, MEDIUM_, HIGH_RISK_ with DEVICE, NETWORK
}

// most bounds the lists of a payload.
const most = 64

// ParsePayload reads a payload strictly: names match exactly and come once, kinds are never converted, null is as not
// there. Unknown fields and words are kept. The error is attest.ErrMalformed or attest.ErrTooLarge.
func ParsePayload(raw []byte) (*Payload, error) {
	if len(raw) > MaxPayload {
		return nil, attest.ErrTooLarge
	}
	v, err := parseJSON(raw)
	if err != nil || v.kind != object {
		return nil, attest.ErrMalformed
	}
	r := reader{}
	p := &Payload{Raw: bytes.Clone(raw)}
	request := r.object(v, "requestDetails")
	p.Request = RequestDetails{
		Package: r.text(request, "requestPackageName"), Nonce: r.text(request, "nonce"), RequestHash: r.text(request, "requestHash"),
	}
	if ms, ok := r.int64(request, "timestampMillis"); ok {
		p.Request.Time = time.UnixMilli(ms)
	}
	app := r.object(v, "appIntegrity")
	p.App = AppIntegrity{Verdict: r.text(app, "appRecognitionVerdict"), Package: r.text(app, "packageName")}
	p.App.Version, p.App.HasVersion = r.int64(app, "versionCode")
	for _, d := range r.texts(app, "certificateSha256Digest") {
		digest, err := base64.RawURLEncoding.Strict().DecodeString(trimPadding(d))
		if err != nil || len(digest) != 32 {
			r.bad = true
		}
		p.App.CertDigests = append(p.App.CertDigests, digest)
	}
	r.device(r.object(v, "deviceIntegrity"), &p.Device)
	account := r.object(v, "accountDetails")
	p.Account.Licensing = r.text(account, "appLicensingVerdict")
	p.Account.Activity = r.text(r.object(account, "accountActivity"), "activityLevel")
	env := r.object(v, "environmentDetails")
	p.Environment.PlayProtect = r.text(env, "playProtectVerdict")
	p.Environment.AppsDetected = r.texts(r.object(env, "appAccessRiskVerdict"), "appsDetected")
	p.Environment.LocationSpoofing = r.texts(env, "locationSpoofingRiskVerdict")
	p.Test = r.bool(r.object(v, "testingDetails"), "isTestingResponse")
	if r.bad {
		return nil, attest.ErrMalformed
	}
	return p, nil
}

// trimPadding takes up to two '=' off the end: Google writes base64 without, and others with.
func trimPadding(s string) string {
	for range 2 {
		if len(s) > 0 && s[len(s)-1] == '=' {
			s = s[:len(s)-1]
		}
	}
	return s
}

// reader reads values and remembers whether one had the wrong kind.
type reader struct{ bad bool }

func (r *reader) object(v value, name string) value {
	m := v.at(name)
	r.bad = r.bad || m.kind > null && m.kind != object
	return m
}

func (r *reader) text(v value, name string) string {
	m := v.at(name)
	r.bad = r.bad || m.kind > null && m.kind != text || len(m.text) > 1024
	return m.text
}

func (r *reader) texts(v value, name string) []string {
	m := v.at(name)
	if m.kind <= null {
		return nil
	}
	if m.kind != list || len(m.list) > most {
		r.bad = true
		return nil
	}
	out := make([]string, 0, len(m.list))
	for _, e := range m.list {
		r.bad = r.bad || e.kind != text
		out = append(out, e.text)
	}
	return out
}

func (r *reader) bool(v value, name string) bool {
	m := v.at(name)
	r.bad = r.bad || m.kind > null && m.kind != boolean
	return m.yes
}

// int64 reads Google's form, a decimal text, and a plain number.
func (r *reader) int64(v value, name string) (int64, bool) {
	m := v.at(name)
	if m.kind <= null {
		return 0, false
	}
	n, err := strconv.ParseInt(m.text, 10, 64)
	r.bad = r.bad || m.kind != number && m.kind != text || err != nil || n < 0 || m.text[0] == '+'
	return n, true
}

func (r *reader) device(v value, d *DeviceIntegrity) {
	d.Labels = r.texts(v, "deviceRecognitionVerdict")
	d.Legacy = r.texts(v, "legacyDeviceRecognitionVerdict")
	sdk, _ := r.int64(r.object(v, "deviceAttributes"), "sdkVersion")
	r.bad = r.bad || sdk > 1<<20
	d.SDK = int(sdk)
	d.Activity = r.text(r.object(v, "recentDeviceActivity"), "deviceActivityLevel")
	recall := r.object(v, "deviceRecall")
	if recall.kind <= null {
		return
	}
	values, dates := r.object(recall, "values"), r.object(recall, "writeDates")
	d.Recall = &Recall{}
	for i, n := range []string{"First", "Second", "Third"} {
		d.Recall.Bits[i] = r.bool(values, "bit"+n)
		month, _ := r.int64(dates, "yyyymm"+n)
		r.bad = r.bad || month > 999912
		d.Recall.Months[i] = int(month)
	}
}

package fingerprint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Token is a name for a device, as a script in the page or a service computed it. It comes from the visitor and is
// untrusted: anybody can send another's. It prints without the name.
type Token struct {
	// Source and Version are the namespace: "fpjs", "5.2". Equal ids of different namespaces are different devices.
	Source, Version string
	// ID is the name itself; secret as far as it is personal data.
	ID string
	// Confidence says how likely equal ids are one device, 0 to 1.
	Confidence float64
	// Inconsistent: the id does not follow from the components sent along. A copied id with its components does.
	Inconsistent bool
}

// MinConfidence is the confidence from which a token names one device. Below it (FingerprintJS gives telephones 0.3
// and 0.4) telephones of one model share an id, and nothing is held against it alone.
const MinConfidence = 0.5

// Sources of this package.
const (
	SourceFPJS      = "fpjs"
	SourceThumbmark = "thumbmark"
)

// Zero reports whether there is no token.
func (t Token) Zero() bool { return t.ID == "" }

// key is the token as it is hashed; empty for none.
func (t Token) key() string {
	if t.Zero() {
		return ""
	}
	return t.Source + ":" + t.Version + ":" + t.ID
}

// String names source and version only.
func (t Token) String() string { return "fingerprint.Token(" + t.Source + " " + t.Version + ")" }

// Format prints String for every verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, t.String()) }

// MarshalJSON gives String.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// Opaque makes a token of any kind: an id of 1 to 256 bytes that an app or another script keeps. Source and version are
// the host's constants of at most 32 bytes, not the visitor's.
func Opaque(source, version, id string, confidence float64) (Token, error) {
	switch {
	case source == "" || len(source) > 32 || len(version) > 32 || strings.ContainsAny(source+version, ":"):
		return Token{}, errors.New("fingerprint: a token's source and version have at most 32 bytes and no colon; the source is required")
	case confidence < 0 || confidence > 1 || confidence != confidence:
		return Token{}, fmt.Errorf("fingerprint: a confidence of %v; want 0 to 1", confidence)
	case id == "" || len(id) > 256:
		return Token{}, ErrReport
	}
	return Token{Source: source, Version: version, ID: id, Confidence: confidence}, nil
}

// FPJS reads the result of FingerprintJS open source (get(), versions 3 to 5), as JSON.stringify wrote it: the bytes
// must be those the page sent. It computes the visitorId from the components again; see Token.Inconsistent. Ids are
// kept apart by minor version, for they change with it. The confidence is what the components say, not what the visitor
// says of himself. Errors are ErrReport.
func FPJS(raw []byte) (Token, error) {
	t, _, err := fpjs(raw)
	return t, err
}

func fpjs(raw []byte) (Token, []member, error) {
	list, err := members(raw)
	if err != nil {
		return Token{}, nil, err
	}
	id, err := text(get(list, "visitorId"), 64)
	if err != nil || !hexID(id) {
		return Token{}, nil, ErrReport
	}
	version, err := text(get(list, "version"), 32)
	if err != nil {
		return Token{}, nil, err
	}
	t := Token{Source: SourceFPJS, Version: minor(version), ID: id}
	if t.Version == "" {
		return Token{}, nil, ErrReport
	}
	components, err := object(list, "components")
	if err != nil {
		return Token{}, nil, err
	}
	own, err := visitorID(components)
	if err != nil {
		return Token{}, nil, err
	}
	t.Inconsistent = own != id
	t.Confidence = confidence(components)
	if said, ok := saidConfidence(list); ok {
		t.Confidence = min(t.Confidence, said)
	}
	return t, components, nil
}

// hexID reports the form of MurmurHash3 128.
func hexID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if s[i]-'0' >= 10 && s[i]-'a' >= 6 {
			return false
		}
	}
	return true
}

// minor cuts "5.2.0" to "5.2"; "" for other forms.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return ""
	}
	for _, p := range parts[:2] {
		if p == "" || len(p) > 5 || strings.Trim(p, "0123456789") != "" {
			return ""
		}
	}
	return parts[0] + "." + parts[1]
}

// confidence is FingerprintJS's constant for the platform, from what the components show rather than from what is
// claimed: 0.4 Android, 0.3 telephones and tablets of Apple and its current browser, 0.5 other Macs, 0.6 Windows, 0.7
// others.
func confidence(components []member) float64 {
	platform, vendor := component(components, "platform"), component(components, "vendor")
	has := func(s string) bool { return strings.Contains(platform, s) }
	switch {
	case strings.Contains(platform, "iPhone"), has("iPad"), has("iPod"):
		return 0.3
	case has("Android"), has("arm"), has("aarch64"):
		return 0.4
	case has("Mac"):
		if strings.HasPrefix(vendor, "Apple") {
			return 0.3
		}
		return 0.5
	case has("Win"):
		return 0.6
	case platform == "":
		return 0.3
	}
	return 0.7
}

// component returns a component that is a string; "" for others.
func component(components []member, name string) string {
	parts, err := object(components, name)
	if err != nil {
		return ""
	}
	s, _ := text(get(parts, "value"), 512) // no string: not the form FingerprintJS gives
	return s
}

// saidConfidence is what the result says; it may only lower.
func saidConfidence(list []member) (float64, bool) {
	parts, err := object(list, "confidence")
	if err != nil {
		return 0, false
	}
	var v float64
	if raw := get(parts, "score"); raw == nil || json.Unmarshal(raw, &v) != nil || v < 0 || v > 1 {
		return 0, false
	}
	return v, true
}

// Thumbmark reads the result of ThumbmarkJS (getThumbmark()): thumbmark and version. The id is not recomputed. Errors
// are ErrReport.
func Thumbmark(raw []byte) (Token, error) {
	list, err := members(raw)
	if err != nil {
		return Token{}, err
	}
	id, err := text(get(list, "thumbmark"), 64)
	if err != nil || !hexID(id) {
		return Token{}, ErrReport
	}
	version, err := text(get(list, "version"), 32)
	if err != nil {
		return Token{}, err
	}
	if version = minor(version); version == "" {
		version = "0"
	}
	return Token{Source: SourceThumbmark, Version: version, ID: id, Confidence: MinConfidence}, nil
}

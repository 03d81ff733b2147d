package ratelimit

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
)

// Subject is who attempts what, as far as limits count it. Fields left empty are not counted. It prints, logs and
// marshals without personal data.
type Subject struct {
	// Tenant separates everything that is stored. At most 255 bytes.
	Tenant string
	// Event (the endpoint) and Client (the client's class) choose the limits that apply.
	Event, Client string
	// IP is the client's address, trusted proxies resolved. Without it limits on addresses fail with ErrNoAddress.
	IP netip.Addr
	// Phone is a number in E.164; punctuation is dropped. Email is trimmed and lower-cased. See Canonical.
	Phone, Email string
	// Account, Session and SSO (issuer and subject) count byte by byte.
	Account, Session, SSO string
	// Device holds up to 4 names of one device, such as its tags under the current and the previous salt: each is
	// counted, so that a change of salt does not start the limits anew.
	Device []string
	// DeviceVerified says that the device is proven (attested), not claimed. Only then do offences count against it:
	// else one could have other people's devices banned.
	DeviceVerified bool
	// IDs are business identifiers by type, up to 16; Custom are values of dimensions made with Custom.
	IDs, Custom []Value
	// Cost is how many units the attempt takes; 0 means 1.
	Cost int64
	// Challenged: the visitor has just passed a challenge. Soft limits are charged but do not decide, and neither do
	// the slow and challenge steps of offences.
	Challenged bool
}

// Value is a named value.
type Value struct {
	Name, Value string
}

// Format prints the subject without personal data, for every verb.
func (s Subject) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String names tenant, event and client class only.
func (s Subject) String() string {
	return fmt.Sprintf("subject tenant=%s event=%s client=%s", s.Tenant, s.Event, s.Client)
}

// LogValue logs tenant, event and client class only.
func (s Subject) LogValue() slog.Value {
	return slog.GroupValue(slog.String("tenant", s.Tenant), slog.String("event", s.Event), slog.String("client", s.Client))
}

// MarshalJSON gives tenant, event and client class only.
func (s Subject) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"tenant": s.Tenant, "event": s.Event, "client": s.Client})
}

// Format prints the value's name only.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }

// String returns the value's name only.
func (v Value) String() string { return v.Name + "=[private]" }

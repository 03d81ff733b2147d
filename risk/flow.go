package risk

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A flow's name is a secret the client carries: hash of the tenant, expiry, random bits. Stores see a key derived from
// it, and tags keyed with it, so that a copy of the store neither continues a flow nor reveals who is in it.
const (
	flowTenantBytes = 6
	flowExpiryBytes = 6
	flowRandomBytes = 24
	flowBytes       = flowTenantBytes + flowExpiryBytes + flowRandomBytes
	mostFlowState   = 256 << 10
)

var flowEncoding = base64.RawURLEncoding

// newFlowName makes a name for a flow of the tenant that lives until expires.
func newFlowName(tenant string, expires time.Time) string {
	b := make([]byte, flowBytes)
	t := tenantHash(tenant)
	copy(b, t[:])
	var secs [8]byte
	binary.BigEndian.PutUint64(secs[:], uint64(expires.Unix()))
	copy(b[flowTenantBytes:], secs[8-flowExpiryBytes:])
	_, _ = rand.Read(b[flowTenantBytes+flowExpiryBytes:]) // never fails
	return flowEncoding.EncodeToString(b)
}

func tenantHash(tenant string) (h [flowTenantBytes]byte) {
	sum := sha256.Sum256([]byte("vestibule flow tenant\x00" + tenant))
	copy(h[:], sum[:])
	return h
}

// parseFlowName splits a name the client sent. What it says proves nothing.
func parseFlowName(name string) (tenant [flowTenantBytes]byte, expires time.Time, ok bool) {
	if len(name) != flowEncoding.EncodedLen(flowBytes) {
		return tenant, expires, false
	}
	b, err := flowEncoding.Strict().DecodeString(name)
	if err != nil {
		return tenant, expires, false
	}
	copy(tenant[:], b)
	var secs [8]byte
	copy(secs[8-flowExpiryBytes:], b[flowTenantBytes:flowTenantBytes+flowExpiryBytes])
	return tenant, time.Unix(int64(binary.BigEndian.Uint64(secs[:])), 0), true
}

// flowKey is the store's key: the tenant's hash and a hash of the name.
func flowKey(name string) string {
	tenant, _, _ := parseFlowName(name)
	sum := sha256.Sum256([]byte("vestibule flow key\x00" + name))
	return flowEncoding.EncodeToString(tenant[:]) + ":" + flowEncoding.EncodeToString(sum[:24])
}

// flowTag is a keyed tag of a value, good within one flow only. No value, no tag.
func flowTag(name, kind, value string) string {
	if value == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte("vestibule flow tag\x00"+name))
	mac.Write([]byte(kind + "\x00" + value))
	return flowEncoding.EncodeToString(mac.Sum(nil)[:15])
}

// flowState is what a flow keeps between attempts.
type flowState struct {
	Version  int               `json:"v"`
	Event    Event             `json:"e,omitempty"`
	Session  string            `json:"s,omitempty"` // tags from here
	Device   []string          `json:"d,omitempty"`
	IP       string            `json:"ip,omitempty"`
	IDs      map[string]string `json:"ids,omitempty"`
	Required []Proof           `json:"req,omitempty"`
	Offered  []Proof           `json:"off,omitempty"`
	Findings []keptFinding     `json:"f,omitempty"`
	Failures int               `json:"n,omitempty"`
	Score    int               `json:"sc,omitempty"` // of the latest assessment
	Judged   bool              `json:"j,omitempty"`  // an Assess has judged it; Open alone has not
	Reopened bool              `json:"r,omitempty"`  // it was spent, and undone, once
}

const flowStateVersion = 1

// keptFinding is a finding a flow keeps.
type keptFinding struct {
	Signal  string     `json:"s"`
	Codes   []keptCode `json:"c,omitempty"`
	Facts   []keptFact `json:"f,omitempty"`
	Proofs  []Proof    `json:"p,omitempty"`
	Receipt string     `json:"r,omitempty"`
	Retry   time.Time  `json:"t,omitzero"`
}

type keptCode struct {
	Name   string  `json:"n"`
	Degree float64 `json:"d"`
}

type keptFact struct {
	Name   string   `json:"n"`
	Number *float64 `json:"v,omitempty"`
	Text   *string  `json:"t,omitempty"`
}

// keep turns a finding into what a flow stores.
func keep(signal string, f *Finding) keptFinding {
	k := keptFinding{Signal: signal, Proofs: f.Proofs(), Receipt: f.receipt, Retry: f.retry}
	for o := range f.Observations() {
		k.Codes = append(k.Codes, keptCode{o.Code, o.Degree})
	}
	for v := range f.Facts() {
		kf := keptFact{Name: v.Name}
		if v.Value.kind == Number {
			kf.Number = &v.Value.num
		} else {
			kf.Text = &v.Value.text
		}
		k.Facts = append(k.Facts, kf)
	}
	return k
}

// finding turns it back.
func (k *keptFinding) finding() *Finding {
	f := &Finding{proofs: slices.Clone(k.Proofs), receipt: k.Receipt, retry: k.Retry}
	for _, c := range k.Codes {
		f.ObserveAt(c.Name, c.Degree)
	}
	for _, v := range k.Facts {
		switch {
		case v.Number != nil:
			f.Number(v.Name, *v.Number)
		case v.Text != nil:
			f.Text(v.Name, *v.Text)
		}
	}
	return f
}

// merge adds what a later finding of the same signal said: both count, newer facts win.
func (k *keptFinding) merge(n keptFinding) {
	k.Codes = append(k.Codes, n.Codes...)
	slices.SortFunc(k.Codes, func(a, b keptCode) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(b.Degree, a.Degree))
	})
	k.Codes = slices.CompactFunc(k.Codes, func(a, b keptCode) bool { return a.Name == b.Name })
	for _, v := range n.Facts {
		k.Facts = slices.DeleteFunc(k.Facts, func(o keptFact) bool { return o.Name == v.Name })
		k.Facts = append(k.Facts, v)
	}
	for _, p := range n.Proofs {
		if !slices.Contains(k.Proofs, p) {
			k.Proofs = append(k.Proofs, p)
		}
	}
	if n.Receipt != "" {
		k.Receipt = n.Receipt
	}
	if n.Retry.After(k.Retry) {
		k.Retry = n.Retry
	}
}

func (s *flowState) encode() ([]byte, error) {
	s.Version = flowStateVersion
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("risk: encoding flow: %w", err)
	}
	if len(b) > mostFlowState {
		return nil, errors.New("risk: flow state is too large")
	}
	return b, nil
}

func decodeFlow(b []byte) (*flowState, error) {
	var s flowState
	if len(b) > mostFlowState {
		return nil, errors.New("risk: stored flow is too large")
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Version != flowStateVersion {
		return nil, errors.New("risk: stored flow is not readable")
	}
	return &s, nil
}

// identifiers are the parts of an attempt whose change drops proofs.
func identifiers(a *Attempt) map[string]string {
	m := map[string]string{"email": string(a.Email), "phone": string(a.Phone), "account": a.Account}
	for name, v := range a.IDs {
		m["id:"+name] = string(v)
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// boundTo is the identifier a proof is about, or "".
func boundTo(p Proof) string {
	switch p {
	case ProofPhone, ProofVoice:
		return "phone"
	case ProofEmail:
		return "email"
	case ProofPasskey:
		return "account"
	}
	return ""
}

// bind notes what the attempt is bound to, where the flow does not know it yet.
func (s *flowState) bind(name string, a *Attempt) {
	if s.Session == "" {
		s.Session = flowTag(name, "session", string(a.Session))
	}
	if len(s.Device) == 0 {
		for _, d := range a.Device {
			s.Device = append(s.Device, flowTag(name, "device", d))
		}
	}
	s.IP = ipTag(name, a)
	for kind, v := range identifiers(a) {
		if s.IDs == nil {
			s.IDs = map[string]string{}
		}
		s.IDs[kind] = flowTag(name, kind, v)
	}
}

func ipTag(name string, a *Attempt) string {
	if !a.IP.IsValid() {
		return ""
	}
	return flowTag(name, "ip", a.IP.Unmap().WithZone("").String())
}

// belongs reports whether the attempt is the flow's: same event, session and device as far as the flow knows them.
func (s *flowState) belongs(name string, a *Attempt) bool {
	if s.Event != a.Event {
		return false
	}
	if s.Session != "" && s.Session != flowTag(name, "session", string(a.Session)) {
		return false
	}
	if len(s.Device) == 0 {
		return true
	}
	return slices.ContainsFunc(a.Device, func(d string) bool { return slices.Contains(s.Device, flowTag(name, "device", d)) })
}

// refresh drops what no longer holds for this attempt: proofs bound to a changed identifier, and findings that judged
// another identifier or address. It reports whether an identifier changed.
func (s *flowState) refresh(name string, a *Attempt) (changed bool) {
	moved := s.IP != "" && s.IP != ipTag(name, a)
	stale := map[string]bool{}
	for kind, v := range identifiers(a) {
		if was := s.IDs[kind]; was != "" && was != flowTag(name, kind, v) {
			stale[kind], changed = true, true
		}
	}
	if !changed && !moved {
		return false
	}
	for i := range s.Findings {
		k := &s.Findings[i]
		k.Proofs = slices.DeleteFunc(k.Proofs, func(p Proof) bool { return stale[boundTo(p)] })
	}
	s.Findings = slices.DeleteFunc(s.Findings, func(k keptFinding) bool {
		if len(k.Proofs) > 0 {
			return false
		}
		// A charge stays charged where only the address has changed.
		return changed || k.Receipt == ""
	})
	return changed
}

// flow is a loaded flow.
type flow struct {
	name    string
	key     string
	state   *flowState
	version uint64
}

// index finds a kept finding.
func (s *flowState) index(signal string) int {
	return slices.IndexFunc(s.Findings, func(k keptFinding) bool { return k.Signal == signal })
}

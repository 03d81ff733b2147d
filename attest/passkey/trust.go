package passkey

import (
	"bytes"
	"context"
	"crypto/sha1" // names of keys in FIDO metadata are SHA-1 (RFC 5280 section 4.2.1.2); nothing is trusted by them
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Trust is what an attestation is worth. Greater is better: compare with >=. The zero value is nothing that was judged.
type Trust uint8

// The kinds of trust. What consumer passkeys bring is None; that is normal and says nothing against anybody.
const (
	Revoked   Trust = iota + 1 // the chain is right, and the model or a certificate of the chain is revoked or compromised
	Untrusted                  // the model is known, and the chain does not lead to its roots: no honest device sends this
	Unknown                    // a certificate nobody vouches for, or there is no metadata to look it up in
	None                       // no attestation
	Self                       // signed by the passkey itself: proves nothing about the device
	Software                   // the chain leads to the model's roots, and the model keeps keys in software
	Hardware                   // the chain leads to the model's or vendor's roots, and keys are kept in hardware
	Certified                  // Hardware, of a status that was checked, and certified at Options.MinLevel or above
)

// String is the trust as a word: "revoked", "untrusted", "unknown", "none", "self", "software", "hardware", "certified".
func (t Trust) String() string {
	names := [...]string{"invalid", "revoked", "untrusted", "unknown", "none", "self", "software", "hardware", "certified"}
	if int(t) < len(names) {
		return names[t]
	}
	return names[0]
}

// Level is how far FIDO has certified a model. Greater is higher.
type Level uint8

// The levels of the FIDO Metadata Service v3.1.1, section 3.1.4 (AuthenticatorStatus).
const (
	NotCertified Level = iota
	L1                 // FIDO_CERTIFIED and FIDO_CERTIFIED_L1
	L1Plus
	L2
	L2Plus
	L3
	L3Plus
)

// String is "none", "L1", "L1+" and so on.
func (l Level) String() string {
	names := [...]string{"none", "L1", "L1+", "L2", "L2+", "L3", "L3+"}
	if int(l) < len(names) {
		return names[l]
	}
	return "invalid"
}

// AttestedKey is what a [TrustSource] is asked about: the model by its AAGUID or, for U2F keys, which have none, by the
// identifiers of the attestation certificate's key in lower-case hex.
type AttestedKey struct {
	AAGUID AAGUID
	KeyIDs []string
}

// Model is what a source knows of a model of authenticator. It is read-only once handed out.
type Model struct {
	// AAGUID is the model's; zero for U2F.
	AAGUID AAGUID
	// Name is the maker's description, for people.
	Name string
	// Roots are the anchors of its attestations: roots, intermediates or the attestation certificates themselves.
	Roots []*x509.Certificate
	// Strength is where its keys are kept: attest.Software, attest.TEE, attest.SecureElement.
	Strength attest.Strength
	// Formats lists the attestation formats it makes; empty: not said.
	Formats []string
	// Reports is its history at the FIDO Alliance.
	Reports []Report
	// Stale: the source is older than it may be. Status and certification then count as not checked.
	Stale bool
	// Version names the state of the source the model was read from: a later answer with another version may say otherwise.
	Version string

	chains *chainCache
}

// Report is a status report of a model.
type Report struct {
	// Status is FIDO's word: "FIDO_CERTIFIED_L2", "REVOKED".
	Status string
	// From is when it takes effect, and Until when it ends; zero: always, never.
	From, Until time.Time
	// Certificate, if it is set, is the one attestation or batch certificate the report is about.
	Certificate *x509.Certificate
}

func (r *Report) inEffect(now time.Time) bool {
	return !now.Before(r.From) && (r.Until.IsZero() || now.Before(r.Until))
}

// TrustSource knows models of authenticators. A [Verifier] asks it once for each attestation, in the request: it answers
// from memory and must be safe for concurrent use. found is false for models it does not know. An error means that it
// could not tell, and is treated as a model not known: nobody is locked out by an outage.
type TrustSource interface {
	Lookup(ctx context.Context, k AttestedKey) (m *Model, found bool, err error)
}

// TrustSourceFunc makes a TrustSource of a function.
type TrustSourceFunc func(ctx context.Context, k AttestedKey) (*Model, bool, error)

// Lookup calls f.
func (f TrustSourceFunc) Lookup(ctx context.Context, k AttestedKey) (*Model, bool, error) {
	return f(ctx, k)
}

// Models is a TrustSource of models the caller vouches for: roots outside FIDO's metadata. Each must have an AAGUID, a
// strength and roots. It is safe for concurrent use.
type Models struct{ all map[AAGUID]*Model }

// NewModels makes a source. A report of "FIDO_CERTIFIED_L1" makes a model Certified; without one it is Hardware.
func NewModels(models ...Model) (*Models, error) {
	out := &Models{all: make(map[AAGUID]*Model, len(models))}
	for i, m := range models {
		switch {
		case m.AAGUID.IsZero():
			return nil, fmt.Errorf("passkey: model %d has no AAGUID", i)
		case len(m.Roots) == 0 || slices.Contains(m.Roots, nil):
			return nil, fmt.Errorf("passkey: model %d has no roots: nothing could be trusted", i)
		case m.Strength < attest.Software || m.Strength > attest.SecureElement:
			return nil, fmt.Errorf("passkey: model %d must say where it keeps keys: attest.Software, TEE or SecureElement", i)
		case out.all[m.AAGUID] != nil:
			return nil, fmt.Errorf("passkey: model %d is listed twice", i)
		}
		m.Roots, m.Formats, m.Reports = slices.Clone(m.Roots), slices.Clone(m.Formats), slices.Clone(m.Reports)
		m.chains = &chainCache{}
		out.all[m.AAGUID] = &m
	}
	return out, nil
}

// Lookup implements TrustSource.
func (s *Models) Lookup(_ context.Context, k AttestedKey) (*Model, bool, error) {
	m, ok := s.all[k.AAGUID]
	return m, ok, nil
}

// Sources asks several sources in turn; the first that knows a model answers. An error of one is returned only when no
// other knows the model.
func Sources(sources ...TrustSource) TrustSource {
	sources = slices.Clone(sources)
	return TrustSourceFunc(func(ctx context.Context, k AttestedKey) (*Model, bool, error) {
		var failed error
		for _, s := range sources {
			m, ok, err := s.Lookup(ctx, k)
			if ok && err == nil {
				return m, true, nil
			}
			failed = errors.Join(failed, err)
		}
		return nil, false, failed
	})
}

// bad are the reports after which a model is not to be trusted: FIDO Metadata Service v3.1.1, section 3.1.4.
var bad = map[string]bool{
	"REVOKED": true, "RETIRED": true, "USER_VERIFICATION_BYPASS": true, "ATTESTATION_KEY_COMPROMISE": true,
	"USER_KEY_REMOTE_COMPROMISE": true, "USER_KEY_PHYSICAL_COMPROMISE": true,
}

var levels = map[string]Level{
	"NOT_FIDO_CERTIFIED": NotCertified, "SELF_ASSERTION_SUBMITTED": NotCertified,
	"FIDO_CERTIFIED": L1, "FIDO_CERTIFIED_L1": L1, "FIDO_CERTIFIED_L1plus": L1Plus, "FIDO_CERTIFIED_L2": L2,
	"FIDO_CERTIFIED_L2plus": L2Plus, "FIDO_CERTIFIED_L3": L3, "FIDO_CERTIFIED_L3plus": L3Plus,
}

// status reads a model's reports: the last certification in effect counts, and any bad report in effect. Reports about
// one certificate count only for chains that hold it.
func (m *Model) status(now time.Time, chain []*x509.Certificate) (level Level, revoked bool) {
	var latest time.Time
	for i := range m.Reports {
		r := &m.Reports[i]
		if !r.inEffect(now) {
			continue
		}
		if r.Certificate != nil && !slices.ContainsFunc(chain, r.Certificate.Equal) {
			continue
		}
		if bad[r.Status] {
			revoked = true
		}
		if l, ok := levels[r.Status]; ok {
			switch {
			case r.From.After(latest):
				level, latest = l, r.From
			case r.From.Equal(latest):
				level = max(level, l)
			}
		}
	}
	return level, revoked
}

// keyIDs names the key of a certificate as FIDO metadata does: its subject key identifier, and the SHA-1 of its key.
func keyIDs(c *x509.Certificate) []string {
	var out []string
	if len(c.SubjectKeyId) > 0 {
		out = append(out, hex.EncodeToString(c.SubjectKeyId))
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err == nil {
		sum := sha1.Sum(spki.Key.Bytes)
		if !bytes.Equal(sum[:], c.SubjectKeyId) {
			out = append(out, hex.EncodeToString(sum[:]))
		}
	}
	return out
}

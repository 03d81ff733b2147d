package passkey

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
)

// Attestation is what an attestation statement was found to be worth. It holds nothing of the statement itself and no
// serial numbers, and may be logged. Read-only once returned.
type Attestation struct {
	// Format is the statement's: "none", "packed", "tpm", "android-key", "apple", "fido-u2f", "compound".
	Format string `json:"format"`
	// Type is "none", "self", "basic", "attca" or "anonca". It says what the statement is, not whether to trust it.
	Type string `json:"type"`
	// Trust is what it is worth, Level how the model is certified, Strength where its keys are kept.
	Trust    Trust           `json:"trust"`
	Level    Level           `json:"level,omitempty"`
	Strength attest.Strength `json:"strength,omitempty"`
	// Checked is what was checked by this module.
	Checked attest.Checks `json:"checked,omitempty"`
	// AAGUID is the model as the authenticator says. Authentic: the chain proves it. Without that it is a claim that
	// anybody can make, fit for display only.
	AAGUID    AAGUID `json:"aaguid"`
	Authentic bool   `json:"authentic,omitempty"`
	// Model is the name of an authentic model.
	Model string `json:"model,omitempty"`
	// Reasons are short names of why it is not worth more: "chain", "status", "certification", "synced".
	Reasons []string `json:"reasons,omitempty"`
	// Version is the state of the trust source it was judged by.
	Version string `json:"version,omitempty"`
}

// The words of Reasons.
const (
	reasonChain     = "chain"         // does not lead to the model's roots
	reasonModel     = "model"         // nobody knows the model
	reasonMetadata  = "metadata"      // the trust source could not tell
	reasonFormat    = "format"        // the model makes no such statements
	reasonStatus    = "status"        // the model is revoked or compromised
	reasonSerial    = "serial"        // a certificate of the chain is revoked
	reasonStale     = "stale"         // the metadata is too old
	reasonUnchecked = "unchecked"     // no revocation list could be asked
	reasonLevel     = "certification" // not certified as far as wanted
	reasonSynced    = "synced"        // the passkey may leave the device
	reasonBoot      = "boot"          // the telephone's system is not what its maker ships
	reasonExpired   = "expired"       // a certificate that a telephone renews every few weeks is over
)

// statement is one attestation statement that go-webauthn has verified.
type statement struct {
	format, kind string
	chain        []*x509.Certificate
	aaguid       AAGUID
	synced       bool
	was          *Attestation // what was found before; nil: it was made just now
}

// judge says what a verified attestation object is worth. It decides without go-webauthn's word on trust: that only says
// what form a statement has. was is what was found before; nil: it was made just now.
func (v *Verifier) judge(ctx context.Context, o *protocol.AttestationObject, was *Attestation) Attestation {
	s := statement{
		format: o.Format, kind: o.Type, aaguid: AAGUID(o.AuthData.AttData.AAGUID), synced: o.AuthData.Flags.HasBackupEligible(), was: was,
	}
	if protocol.AttestationFormat(o.Format) != protocol.AttestationFormatCompound {
		return v.judgeOne(ctx, s, o.AttStatement)
	}
	var out Attestation
	for i, sub := range o.SubStatements {
		s.format, s.kind = sub.Format, kindOf(sub)
		a := v.judgeOne(ctx, s, sub.AttStatement)
		// What is refused decides. Else the best: all statements are about the same key.
		if i == 0 || a.Trust <= Untrusted && a.Trust < out.Trust || out.Trust > Untrusted && (a.Trust <= Untrusted || a.Trust > out.Trust) {
			out = a
		}
	}
	out.Format = o.Format
	return out
}

// kindOf is the type of a part of a compound statement.
func kindOf(sub protocol.NonCompoundAttestationObject) string {
	switch protocol.AttestationFormat(sub.Format) {
	case protocol.AttestationFormatNone:
		return string(metadata.None)
	case protocol.AttestationFormatTPM:
		return string(metadata.AttCA)
	case protocol.AttestationFormatApple:
		return string(metadata.AnonCA)
	case protocol.AttestationFormatPacked:
		if _, ok := sub.AttStatement["x5c"]; !ok {
			return string(metadata.BasicSurrogate)
		}
	}
	return string(metadata.BasicFull)
}

// typeNames are the types in the words of WebAuthn section 6.5.4.
var typeNames = map[string]string{
	string(metadata.None): "none", string(metadata.BasicSurrogate): "self", string(metadata.BasicFull): "basic",
	string(metadata.AttCA): "attca", string(metadata.AnonCA): "anonca",
}

func (v *Verifier) judgeOne(ctx context.Context, s statement, att map[string]any) Attestation {
	a := Attestation{Format: s.format, Type: typeNames[s.kind], AAGUID: s.aaguid}
	if s.format == string(protocol.AttestationFormatFIDOUniversalSecondFactor) {
		s.aaguid = AAGUID{} // its signature does not cover one: the attestation key says which model it is
	}
	switch a.Type {
	case "none":
		a.Trust = None
		return a
	case "self":
		a.Trust = Self
		return a
	}
	var ok bool
	if s.chain, ok = parseChain(att["x5c"]); !ok {
		a.Trust, a.Reasons = Untrusted, []string{reasonChain}
		return a
	}
	// go-webauthn has verified the chains of these two to their makers' roots, which it carries.
	vendor := s.format == string(protocol.AttestationFormatAndroidKey) || s.format == string(protocol.AttestationFormatApple)
	m, found, err := v.lookup(ctx, s)
	switch {
	case err != nil:
		found = false
		a.Reasons = append(a.Reasons, reasonMetadata)
	case found:
		a.Version = m.Version
	}
	now := v.now()
	led := found && m.verify(s.chain, now)
	switch {
	case led && len(m.Formats) > 0 && !slices.Contains(m.Formats, s.format):
		a.Trust = Unknown
		a.Reasons = append(a.Reasons, reasonFormat)
		return a
	case led:
		v.byModel(&a, m, s)
	case vendor: // whoever holds such a key chooses the AAGUID: what another model's roots say is of no matter
		a.Trust, a.Checked, a.Strength = Hardware, attest.CheckedChain|attest.CheckedRoot, attest.SecureElement
		if s.format == string(protocol.AttestationFormatApple) {
			a.Checked |= attest.CheckedStatus // Apple has no list of status: its certificates live for three days
		}
		a.Reasons = append(a.Reasons, reasonLevel)
	case found:
		a.Trust = Untrusted
		a.Reasons = append(a.Reasons, reasonChain)
	default:
		a.Trust = Unknown
		if err == nil {
			a.Reasons = append(a.Reasons, reasonModel)
		}
	}
	if s.format == string(protocol.AttestationFormatAndroidKey) && a.Trust > Untrusted {
		v.byAndroid(ctx, &a, s, m != nil && led && !m.Stale)
	}
	if s.synced && a.Trust >= Hardware { // the model is genuine, and the passkey does not stay in it: no proof of this device
		a.Strength = min(a.Strength, attest.Software)
		a.lower(Hardware, reasonSynced)
	}
	if a.Trust == Certified && a.Checked&attest.CheckedStatus == 0 {
		a.Trust = Hardware
	}
	return a
}

func (a *Attestation) lower(to Trust, reason string) {
	a.Trust = min(a.Trust, to)
	a.Reasons = append(a.Reasons, reason)
}

func (v *Verifier) lookup(ctx context.Context, s statement) (*Model, bool, error) {
	if v.trust == nil {
		return nil, false, nil
	}
	k := AttestedKey{AAGUID: s.aaguid}
	if s.aaguid.IsZero() {
		k.KeyIDs = keyIDs(s.chain[0])
	}
	m, found, err := v.trust.Lookup(ctx, k)
	return m, found && m != nil, err
}

// byModel judges by a model to whose roots the chain leads.
func (v *Verifier) byModel(a *Attestation, m *Model, s statement) {
	a.Checked = attest.CheckedChain | attest.CheckedRoot
	a.Authentic, a.Model, a.Strength = !s.aaguid.IsZero(), m.Name, m.Strength
	level, revoked := m.status(v.now(), s.chain)
	if revoked {
		a.Trust, a.Strength, a.Reasons = Revoked, attest.None, append(a.Reasons, reasonStatus)
		return
	}
	a.Level = level
	if m.Strength <= attest.Software {
		a.Trust = Software
		return
	}
	a.Trust = Hardware
	if m.Stale {
		a.Reasons = append(a.Reasons, reasonStale)
		return
	}
	a.Checked |= attest.CheckedStatus
	if level >= v.minLevel {
		a.Trust = Certified
	} else {
		a.Reasons = append(a.Reasons, reasonLevel)
	}
}

var oidKeyDescription = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}

// byAndroid adds what go-webauthn leaves out for Android's keys: Google's rules for chains, its list of revoked
// certificates, where the key is, and whether the telephone runs what its maker ships.
func (v *Verifier) byAndroid(ctx context.Context, a *Attestation, s statement, status bool) {
	chain := s.chain
	a.Checked &^= attest.CheckedStatus
	if described(chain[1:]) {
		a.Strength = attest.None
		a.lower(Untrusted, reasonChain) // signed by an app's key, not by an authority
		return
	}
	// What telephones renew was valid when a passkey was made, or it was not; it need not be for ever.
	if s.was == nil && v.androidExpired(chain) || s.was != nil && slices.Contains(s.was.Reasons, reasonExpired) {
		a.Strength = attest.Software
		a.lower(Software, reasonExpired)
		return
	}
	if v.revocations == nil {
		a.Reasons = append(a.Reasons, reasonUnchecked)
	} else {
		serials := make([]string, len(chain))
		for i, c := range chain {
			serials[i] = strings.TrimLeft(c.SerialNumber.Text(16), "-0")
		}
		_, listed, err := v.revocations.Lookup(ctx, serials)
		switch {
		case err != nil:
			a.Reasons = append(a.Reasons, reasonUnchecked)
		case listed:
			a.Strength = attest.None
			a.lower(Revoked, reasonSerial)
			return
		default:
			a.Checked |= attest.CheckedStatus
		}
	}
	if a.Authentic && !status {
		a.Checked &^= attest.CheckedStatus
	}
	strength, google, reason := keystore(chain[0])
	a.Strength = strength
	switch {
	case reason != "":
		a.lower(Software, reason)
	case a.Authentic && !google:
		a.Authentic, a.Model, a.Level = false, "", NotCertified
		a.lower(Hardware, reasonModel)
	}
}

// playServices is the app that is the passkey authenticator of Android, and the SHA-256 of its signer. Every app may have
// keys attested, for what challenge it likes, and sign any authenticator data with them: only of this one's an AAGUID is more
// than a claim.
const playServices = "com.google.android.gms"

var playSigner = []byte("\xf0\xfd\x6c\x5b\x41\x0f\x25\xcb\x25\xc3\xb5\x33\x46\xc8\x97\x2f\xae\x30\xf8\xee\x74\x11\xdf\x91\x04\x80\xad\x6b\x2d\x60\xdb\x83")

// keystore reads what a key's certificate says of where it lives, and whether Google's authenticator has made it. The reason
// is empty unless it lives nowhere safe.
func keystore(leaf *x509.Certificate) (strength attest.Strength, google bool, reason string) {
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidKeyDescription) })
	if i < 0 {
		return attest.Software, false, reasonModel
	}
	d, err := androidkey.ParseKeyDescription(leaf.Extensions[i].Value)
	if err != nil || d.AttestationLevel < androidkey.LevelTEE || d.KeyMintLevel < androidkey.LevelTEE {
		return attest.Software, false, reasonModel
	}
	if root := d.Hardware.RootOfTrust; root == nil || !root.Locked || root.State != androidkey.BootVerified {
		return attest.Software, false, reasonBoot
	}
	if app := d.Software.Application; app != nil {
		google = slices.ContainsFunc(app.Packages, func(p androidkey.Package) bool { return p.Name == playServices }) && len(app.Signers) > 0 &&
			!slices.ContainsFunc(app.Signers, func(s []byte) bool { return !bytes.Equal(s, playSigner) })
	}
	if d.KeyMintLevel == androidkey.LevelStrongBox && d.AttestationLevel == androidkey.LevelStrongBox {
		return attest.SecureElement, google, ""
	}
	return attest.TEE, google, ""
}

// described reports whether any of the certificates describes a key of the keystore.
func described(certs []*x509.Certificate) bool {
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
		return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidKeyDescription) })
	})
}

// androidExpired reports whether a chain is over by Google's rules, which package androidkey knows: those of the factory
// never are, and what telephones renew is. go-webauthn takes every chain for one of the factory.
func (v *Verifier) androidExpired(chain []*x509.Certificate) bool {
	ders := make([][]byte, len(chain))
	for i, c := range chain {
		ders[i] = c.Raw
	}
	_, err := v.android.Chain(ders)
	return errors.Is(err, attest.ErrExpired)
}

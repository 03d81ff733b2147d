package androidkey

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// App is one app whose keys are accepted.
type App struct {
	// Package is the application id: "com.example.app".
	Package string
	// Signers are SHA-256 digests, 32 bytes each, of the certificates the app may be signed with. With Play App Signing
	// that is Google's, not the upload key's.
	Signers [][]byte
}

// Options of a Verifier. The zero value and nil mean the defaults.
type Options struct {
	// Now is the clock for validity of certificates; default time.Now.
	Now func() time.Time
	// StrongBoxOnly refuses keys of the main processor's secure environment.
	StrongBoxOnly bool
	// BootKeys are verified boot keys (32 bytes each) of operating systems the owner may install and lock the device with
	// again, such as GrapheneOS; default none: only the maker's.
	BootKeys [][]byte
	// MinPatch is the oldest patch level of the operating system accepted, as YYYYMM: 202601; default 0, any.
	MinPatch int
	// Anchors are trusted beside Google's roots, by name and key: those of another maker. The software roots of Android's
	// sources are refused here: whoever has an emulator has their keys.
	Anchors []*x509.Certificate
	// InsecureTestRoots are trusted too. Whoever has their keys can make any device: for tests with package attesttest,
	// never for production.
	InsecureTestRoots []*x509.Certificate
	// SkipRevocation judges without a revocation list, and verdicts then never say hardware: keys taken out of devices are
	// traded openly, and the list is what stops them.
	SkipRevocation bool
}

// Verifier verifies certificate chains of Android's keystore. It is an [attest.Verifier]. It keeps nothing. It is safe for
// concurrent use.
type Verifier struct {
	apps        []App
	revocations Revocations
	anchors     []*x509.Certificate
	software    []*x509.Certificate
	opts        Options
}

var _ attest.Verifier = (*Verifier)(nil)

// New makes a Verifier for one or more apps. The revocation list is required ([NewRevocationList]) unless
// Options.SkipRevocation says so.
func New(apps []App, list Revocations, opts *Options) (*Verifier, error) {
	v := &Verifier{revocations: list}
	if opts != nil {
		v.opts = *opts
	}
	if err := v.takeApps(apps); err != nil {
		return nil, err
	}
	switch {
	case list == nil && !v.opts.SkipRevocation:
		return nil, errors.New("androidkey: no revocation list: NewRevocationList makes Google's; Options.SkipRevocation goes without and never says hardware")
	case list != nil && v.opts.SkipRevocation:
		return nil, errors.New("androidkey: a revocation list and SkipRevocation contradict each other")
	case v.opts.MinPatch != 0 && !patchLevel(int64(v.opts.MinPatch)):
		return nil, fmt.Errorf("androidkey: MinPatch is %d; it is written as YYYYMM, such as 202601", v.opts.MinPatch)
	}
	if v.opts.Now == nil {
		v.opts.Now = time.Now
	}
	for i, k := range v.opts.BootKeys {
		if len(k) != sha256.Size {
			return nil, fmt.Errorf("androidkey: boot key %d has %d bytes, want 32", i, len(k))
		}
	}
	if err := v.takeAnchors(); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verifier) takeApps(apps []App) error {
	if len(apps) == 0 {
		return errors.New("androidkey: no apps: every key of every app would be refused")
	}
	for i, a := range apps {
		if a.Package == "" || len(a.Signers) == 0 {
			return fmt.Errorf("androidkey: app %d wants a package and the digests of its signers", i)
		}
		for _, s := range a.Signers {
			if len(s) != sha256.Size {
				return fmt.Errorf("androidkey: app %d: a signer's digest has %d bytes, want 32 (SHA-256, not hex)", i, len(s))
			}
		}
		v.apps = append(v.apps, App{a.Package, slices.Clone(a.Signers)})
	}
	return nil
}

func (v *Verifier) takeAnchors() (err error) {
	if v.anchors, err = parsePEM(googleRoots); err != nil {
		return err
	}
	if v.software, err = parsePEM(softwareRoots); err != nil {
		return err
	}
	for _, c := range append(slices.Clone(v.opts.Anchors), v.opts.InsecureTestRoots...) {
		if c == nil {
			return errors.New("androidkey: an anchor is nil")
		}
		for _, s := range v.software {
			if slices.Equal(c.RawSubjectPublicKeyInfo, s.RawSubjectPublicKeyInfo) {
				return errors.New("androidkey: a software root of Android's sources is no anchor: everybody has its key")
			}
		}
		v.anchors = append(v.anchors, c)
	}
	return nil
}

// Attestation is what a verified chain says.
type Attestation struct {
	*Chain
	// Level is TEE or StrongBox.
	Level SecurityLevel
	// PublicKeyDER is the attested key's SubjectPublicKeyInfo; its algorithm may be one that crypto/x509 does not know
	// (ML-DSA).
	PublicKeyDER []byte
	// PatchLevel of the operating system as YYYYMM, 0 if it is not said.
	PatchLevel int
	// SelfSigned: the device runs an operating system of its owner's, by one of Options.BootKeys.
	SelfSigned bool
}

// Chain verifies what does not depend on apps and policy: signatures, names, positions, validity, the root and the form of
// the description. It does not ask the revocation list. The error is an [attest.StepError]; see [Verifier.Attestation].
func (v *Verifier) Chain(chain [][]byte) (*Chain, error) {
	c, step, err := v.walk(chain, v.opts.Now(), nil)
	if err != nil {
		return nil, refusal(step, err)
	}
	return c, nil
}

// Attestation verifies a certificate chain, leaf first, for the challenge that was handed to the device.
//
// A refusal is an [attest.StepError]. The steps in their order: size, parse, positions, root, names, issuers, signatures,
// validity, description, revocation, challenge, level, strongbox, origin, boot, app, patch. Any other error says that the
// revocation list could not tell. Whether the challenge was ours and fresh is for the caller.
func (v *Verifier) Attestation(ctx context.Context, chain [][]byte, challenge []byte) (*Attestation, error) {
	return v.attestation(ctx, chain, challenge, nil)
}

func (v *Verifier) attestation(ctx context.Context, chain [][]byte, challenge []byte, t *trace) (*Attestation, error) {
	c, step, err := v.walk(chain, v.opts.Now(), t)
	if err != nil {
		return nil, refusal(step, err)
	}
	if v.revocations != nil {
		e, listed, err := v.revocations.Lookup(ctx, c.Serials())
		if err != nil {
			return nil, err
		}
		if listed {
			t.say("revocation", "%s, reason %s", e.Status, e.Reason)
			return nil, refusal("revocation", attest.ErrRevoked)
		}
		t.pass("revocation")
	}
	a := &Attestation{Chain: c, PublicKeyDER: c.Certs[0].RawSubjectPublicKeyInfo, Level: c.Description.AttestationLevel}
	for _, s := range []struct {
		name  string
		check func() error
	}{
		{"challenge", func() error { return challengeIs(c.Description, challenge) }},
		{"level", func() error { return v.level(c.Description) }},
		{"strongbox", func() error { return strongBox(c) }},
		{"origin", func() error { return origin(c.Description) }},
		{"boot", func() error { return v.boot(a) }},
		{"app", func() error { return v.app(c.Description) }},
		{"patch", func() error { return v.patch(a) }},
	} {
		if err := s.check(); err != nil {
			return nil, refusal(s.name, err)
		}
		t.pass(s.name)
	}
	return a, nil
}

func challengeIs(d *KeyDescription, want []byte) error {
	if len(want) == 0 || subtle.ConstantTimeCompare(d.Challenge, want) != 1 {
		return attest.ErrNonce
	}
	return nil
}

func (v *Verifier) level(d *KeyDescription) error {
	switch {
	case d.AttestationLevel != d.KeyMintLevel || d.AttestationLevel == LevelSoftware:
		return attest.ErrSoftware
	case v.opts.StrongBoxOnly && d.AttestationLevel != LevelStrongBox:
		return attest.ErrPolicy
	}
	return nil
}

// strongBox: a StrongBox has an attestation certificate of its own, which says so.
func strongBox(c *Chain) error {
	if c.Description.AttestationLevel == LevelStrongBox && !c.StrongBox {
		return attest.ErrForged
	}
	return nil
}

func origin(d *KeyDescription) error {
	if n, ok := d.Hardware.Numbers[TagOrigin]; !ok || n != 0 {
		return attest.ErrPolicy
	}
	return nil
}

func (v *Verifier) boot(a *Attestation) error {
	r := a.Description.Hardware.RootOfTrust
	switch {
	case r == nil || !r.Locked:
		return attest.ErrTampered
	case r.State == BootVerified:
		return nil
	case r.State == BootSelfSigned && slices.ContainsFunc(v.opts.BootKeys, func(k []byte) bool { return slices.Equal(k, r.BootKey) }):
		a.SelfSigned = true
		return nil
	}
	return attest.ErrTampered
}

// app: every package of the set must be ours. A shared user id puts several in one set, and any of them may have made the
// key.
func (v *Verifier) app(d *KeyDescription) error {
	id := d.Software.Application
	if id == nil || d.Hardware.Application != nil || len(id.Packages) == 0 || len(id.Signers) == 0 {
		return attest.ErrAppIdentity
	}
	for _, p := range id.Packages {
		i := slices.IndexFunc(v.apps, func(a App) bool { return a.Package == p.Name })
		if i < 0 {
			return attest.ErrAppIdentity
		}
		for _, s := range id.Signers {
			if !slices.ContainsFunc(v.apps[i].Signers, func(want []byte) bool { return slices.Equal(want, s) }) {
				return attest.ErrAppIdentity
			}
		}
	}
	return nil
}

// patchLevel reports whether n is a month as YYYYMM.
func patchLevel(n int64) bool { return n >= 200801 && n <= 999912 && n%100 >= 1 && n%100 <= 12 }

func (v *Verifier) patch(a *Attestation) error {
	n, ok := a.Description.Hardware.Numbers[TagOSPatchLevel]
	if ok && patchLevel(n) {
		a.PatchLevel = int(n)
	}
	if v.opts.MinPatch > 0 && a.PatchLevel < v.opts.MinPatch {
		return attest.ErrPolicy
	}
	return nil
}

// ChallengeFor is the attestationChallenge an app gives to the keystore: the challenge's text, or with a message the
// SHA-256 of [attest.ClientData] in unpadded base64url.
func ChallengeFor(challenge string, message []byte) []byte {
	if len(message) == 0 {
		return []byte(challenge)
	}
	sum := attest.ClientDataHash(challenge, message)
	return []byte(base64.RawURLEncoding.EncodeToString(sum[:]))
}

// Verify implements attest.Verifier for kind attestation or none. An error says that the revocation list could not tell.
func (v *Verifier) Verify(ctx context.Context, in attest.Request) (attest.Verdict, error) {
	r := in.Response
	var a *Attestation
	err := refusal("kind", attest.ErrMalformed)
	if r.Kind == "" || r.Kind == attest.KindAttestation {
		a, err = v.Attestation(ctx, r.Chain, ChallengeFor(r.Challenge, r.Message))
	}
	if err != nil {
		verdict, ok := attest.Refused(attest.AndroidKey, err)
		if !ok {
			return attest.Verdict{}, err
		}
		return verdict, nil
	}
	out := attest.Verdict{
		Platform: attest.AndroidKey, Outcome: attest.Passed, Claimed: attest.TEE, GenuineApp: true, Issued: a.Issued,
		Checked: attest.CheckedChain | attest.CheckedRoot, Key: attest.KeyHash(attest.AndroidKey, a.PublicKeyDER),
	}
	if a.Level == LevelStrongBox {
		out.Claimed = attest.SecureElement
	}
	if v.revocations != nil {
		out.Checked |= attest.CheckedStatus
	}
	if a.SelfSigned {
		out.Reasons = append(out.Reasons, "self_signed_boot")
	}
	return out, nil
}

func refusal(step string, err error) error {
	return &attest.StepError{Op: "androidkey", Step: step, Err: err}
}

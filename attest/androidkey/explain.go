package androidkey

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Explain says what a chain claims and which step of [Verifier.Attestation] refuses it. Device identifiers (serial
// numbers, IMEI) are only named, never shown. A revocation list that cannot tell shows as its step.
func (v *Verifier) Explain(ctx context.Context, chain [][]byte, challenge []byte) *attest.Explanation {
	e := &attest.Explanation{Platform: attest.AndroidKey}
	_, err := v.attestation(ctx, chain, challenge, &trace{e})
	if step, ok := errors.AsType[*attest.StepError](err); ok {
		e.Refused, e.Why = step.Step, step.Err.Error()
	} else if err != nil {
		e.Refused, e.Why = "revocation", "the list is not available"
	}
	return e
}

// trace notes the steps passed, and what was said, for Explain. A nil trace notes nothing.
type trace struct{ out *attest.Explanation }

func (t *trace) pass(step string) {
	if t != nil {
		t.out.Steps = append(t.out.Steps, step)
	}
}

func (t *trace) say(name, format string, args ...any) {
	if t != nil {
		t.out.Say(name, format, args...)
	}
}

func (t *trace) sayCert(i int, c *x509.Certificate) {
	if t == nil {
		return
	}
	serial := c.SerialNumber.Text(16)
	t.say("certificate", "%d: %q from %q, serial %.40s, valid %s to %s, CA %t, %s", i, c.Subject, c.Issuer, serial,
		c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), c.IsCA, c.SignatureAlgorithm)
}

func (t *trace) sayDescription(d *KeyDescription) {
	if t == nil {
		return
	}
	t.say("attestation", "version %d, level %s", d.AttestationVersion, d.AttestationLevel)
	t.say("keymint", "version %d, level %s", d.KeyMintVersion, d.KeyMintLevel)
	t.say("challenge", "%d bytes", len(d.Challenge))
	t.say("software tags", "%v, ordered %t", d.Software.Tags, d.Software.Ordered)
	t.say("hardware tags", "%v, ordered %t", d.Hardware.Tags, d.Hardware.Ordered)
	if n, ok := d.Hardware.Numbers[TagOrigin]; ok {
		t.say("origin", "%d", n)
	}
	for _, l := range [...]struct {
		tag  Tag
		name string
	}{
		{TagOSVersion, "os version"}, {TagOSPatchLevel, "os patch level"},
		{TagVendorPatchLevel, "vendor patch level"}, {TagBootPatchLevel, "boot patch level"},
	} {
		if n, ok := d.Hardware.Numbers[l.tag]; ok {
			t.say(l.name, "%d", n)
		}
	}
	if r := d.Hardware.RootOfTrust; r != nil {
		t.say("boot", "%s, locked %t, key %s", r.State, r.Locked, hex.EncodeToString(r.BootKey))
	} else {
		t.say("boot", "no root of trust in the hardware's list")
	}
	if a := d.Software.Application; a != nil {
		for _, p := range a.Packages[:min(len(a.Packages), 8)] {
			t.say("package", "%q version %d", p.Name, p.Version)
		}
		for _, s := range a.Signers[:min(len(a.Signers), 8)] {
			t.say("signer", "%s", hex.EncodeToString(s))
		}
	}
	for _, tag := range []Tag{TagSerial, TagIMEI, TagMEID, TagSecondIMEI} {
		if slices.Contains(d.Hardware.Tags, tag) {
			t.say("device identifier", "tag %d is there", tag)
		}
	}
}

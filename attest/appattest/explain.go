package appattest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// ExplainAttestation says what an attestation object claims and which step of [Verifier.Attestation] refuses it.
func (v *Verifier) ExplainAttestation(object, keyID, clientDataHash []byte) *attest.Explanation {
	e := &attest.Explanation{Platform: attest.AppAttest}
	a, err := v.attestation(object, keyID, clientDataHash, &trace{e})
	if err == nil {
		e.Say("app", "%s (%s)", a.AppID, a.Environment)
	}
	return refusedAt(e, err)
}

// ExplainAssertion says what an assertion claims and which step of [Verifier.Assertion] refuses it.
func (v *Verifier) ExplainAssertion(key Key, assertion, clientDataHash []byte) *attest.Explanation {
	e := &attest.Explanation{Platform: attest.AppAttest}
	e.Say("stored counter", "%d", key.Counter)
	_, err := v.assertion(key, assertion, clientDataHash, &trace{e})
	return refusedAt(e, err)
}

func refusedAt(e *attest.Explanation, err error) *attest.Explanation {
	if step, ok := errors.AsType[*attest.StepError](err); ok {
		e.Refused, e.Why = step.Step, step.Err.Error()
	}
	return e
}

func (t *trace) sayCerts(x5c [][]byte) {
	if t == nil {
		return
	}
	for i, der := range x5c[:min(len(x5c), 4)] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.say("certificate", "%d: does not parse", i)
			continue
		}
		t.say("certificate", "%d: issuer %q, valid %s to %s", i, c.Issuer.CommonName,
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	}
}

func (t *trace) sayAuthData(v *Verifier, data []byte) {
	if t == nil {
		return
	}
	t.say("authenticator data", "%d bytes", len(data))
	if len(data) < headLen {
		return
	}
	if apps := v.find(data[:rpIDLen]); len(apps) > 0 {
		t.say("app id hash", "of %s", apps[0].ID())
	} else {
		t.say("app id hash", "%s, of no app configured", hex.EncodeToString(data[:8]))
	}
	t.say("flags", "%#02x", data[flagsAt])
	t.say("counter", "%d", binary.BigEndian.Uint32(data[counterAt:]))
	rest := data[headLen:]
	if len(data) >= coseAt && binary.BigEndian.Uint16(data[idLenAt:]) == credentialID {
		t.say("aaguid", "%q", data[aaguidAt:idLenAt])
		sum := sha256.Sum256(data[idAt:coseAt])
		t.say("credential id", "hash %s", hex.EncodeToString(sum[:8]))
		var key coseKey
		var err error
		if rest, err = strict.UnmarshalFirst(data[coseAt:], &key); err != nil {
			return
		}
	}
	x, err := readExtensions(rest)
	switch {
	case err != nil:
		t.say("extensions", "malformed")
		return
	case !x.present:
		t.say("extensions", "none (before iOS 27 and macOS 27)")
	}
	if x.category != nil {
		t.say("validation category", "%d", *x.category)
	}
	if x.bundleVersion != nil {
		t.say("bundle version", "%q", *x.bundleVersion)
	}
}

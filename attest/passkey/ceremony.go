package passkey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vestibule-go/vestibule/attest"
)

// Ceremony is what is done with a passkey.
type Ceremony string

// The ceremonies.
const (
	Registration Ceremony = "registration"
	Login        Ceremony = "login"
)

// Scope is whom a ceremony is bound to. What Begin was given Finish must be given again.
type Scope struct {
	// Tenant separates everything that is stored.
	Tenant string
	// Flow and Session are the engine's flow and the host's session; empty: not in a flow, no session. A ceremony without a
	// session can be begun by one person and finished by another.
	Flow, Session string
	// Account is the host's name for the account; empty while signing up, and for a login by whichever passkey the user
	// picks.
	Account string
}

func (s Scope) binding(c Ceremony) attest.Binding {
	return attest.Binding{Purpose: "passkey." + string(c), Tenant: s.Tenant, Flow: s.Flow, Session: s.Session, Subject: s.Account}
}

// Task is what a browser must do: the script's run takes it as it is.
type Task struct {
	Ceremony Ceremony `json:"ceremony"`
	// PublicKey is what PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON takes.
	PublicKey any `json:"publicKey"`
	// Expires is when the challenge ends.
	Expires time.Time `json:"expires"`
}

// Result is what a ceremony came to. A refusal is a result. It holds no personal data but Account.
type Result struct {
	Ceremony Ceremony
	// Verdict is the normal form: Passed, or why not. Its first reason is the step that refused: "origin", "challenge",
	// "signature".
	Verdict attest.Verdict
	// Credential is the passkey: the new one, or the one used, as it now is. Nil unless the verdict has passed.
	Credential *Credential
	// UserVerified: fingerprint, face or PIN were checked this time.
	UserVerified bool
	// CounterStalled: the signature counter did not advance. Two copies of the key may be in use.
	CounterStalled bool
	// BackupChanged: the passkey was copied elsewhere since it was last used, or is no longer.
	BackupChanged bool
	// Downgraded: its model is worth less by today's metadata than when the passkey was made. The login holds all the same.
	Downgraded bool
	// Judged is what its attestation is worth today.
	Judged Attestation
}

// Passed reports whether the ceremony was right. It is false for nil.
func (r *Result) Passed() bool { return r != nil && r.Verdict.Outcome == attest.Passed }

// The steps that refuse, as Verdict.Step names them.
const (
	StepSize         = "size"         // larger than MaxBody
	StepFormat       = "format"       // not JSON or CBOR of the form WebAuthn wants, or a statement not allowed
	StepChallenge    = "challenge"    // unknown or expired (StaleProof), used (Replayed), made for somebody else (WrongAudience)
	StepType         = "type"         // an assertion where an attestation is wanted, or the reverse
	StepOrigin       = "origin"       // made on another page: phishing looks like this
	StepCrossOrigin  = "cross_origin" // made in a frame of another site
	StepRPID         = "rp_id"        // made for another site
	StepPresence     = "presence"     // nobody touched it
	StepVerification = "verification" // the user was not verified
	StepBackup       = "backup"       // impossible backup flags, or flags that never change have changed
	StepAlgorithm    = "algorithm"    // not offered
	StepAttestation  = "attestation"  // the statement is not right
	StepSignature    = "signature"    // the assertion is not right
	StepTrust        = "trust"        // not worth what Options.Least wants
	StepModel        = "model"        // AllowModels or DenyModels
	StepExists       = "exists"       // the credential is registered already
	StepFull         = "full"         // the account has as many as it may
	StepCredential   = "credential"   // no such credential
	StepAccount      = "account"      // somebody else's credential
)

// kept is what is stored beside a challenge: of the library's session what differs between ceremonies. No extensions are
// asked for, and there is one site.
type kept struct {
	Handle       []byte  `json:"h,omitempty"`
	Algorithms   []int64 `json:"a,omitempty"` // offered then, whatever is offered now
	Verification string  `json:"v"`
}

// begin issues a challenge for a ceremony, keeping the library's session beside it.
func (v *Verifier) begin(ctx context.Context, c Ceremony, s Scope, session *webauthn.SessionData) (attest.Challenge, []byte, error) {
	k := kept{Handle: session.UserID, Verification: string(session.UserVerification)}
	for _, p := range session.CredParams {
		k.Algorithms = append(k.Algorithms, int64(p.Algorithm))
	}
	data, err := json.Marshal(k)
	if err != nil {
		return attest.Challenge{}, nil, fmt.Errorf("passkey: keeping a ceremony: %w", err)
	}
	ch, err := v.challenges.Issue(ctx, s.binding(c), data)
	if err != nil {
		return attest.Challenge{}, nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(ch.Text)
	if err != nil {
		return attest.Challenge{}, nil, fmt.Errorf("passkey: a challenge that is no base64url: %w", err)
	}
	return ch, raw, nil
}

// spend redeems a challenge or a ticket. The outcome is Passed with what was kept, or why not.
func (v *Verifier) spend(ctx context.Context, text string, b attest.Binding) ([]byte, attest.Outcome, error) {
	red, data, err := v.challenges.Redeem(ctx, text, b)
	if err != nil {
		return nil, 0, err
	}
	switch red {
	case attest.Redeemed:
		return data, attest.Passed, nil
	case attest.Spent:
		return nil, attest.Replayed, nil
	case attest.Mismatch:
		return nil, attest.WrongAudience, nil
	}
	return nil, attest.StaleProof, nil
}

// redeem spends the challenge that a client says it has answered, and returns the library's session.
func (v *Verifier) redeem(ctx context.Context, c Ceremony, s Scope, challenge string) (*webauthn.SessionData, attest.Outcome, error) {
	data, out, err := v.spend(ctx, challenge, s.binding(c))
	if err != nil || out != attest.Passed {
		return nil, out, err
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, 0, errors.New("passkey: a ceremony was kept in a form that cannot be read")
	}
	session := &webauthn.SessionData{
		Challenge: challenge, RelyingPartyID: v.rp.ID, UserID: k.Handle,
		UserVerification: protocol.UserVerificationRequirement(k.Verification),
		CredParams:       make([]protocol.CredentialParameter, len(k.Algorithms)),
	}
	for i, a := range k.Algorithms {
		session.CredParams[i] = protocol.CredentialParameter{
			Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(a),
		}
	}
	return session, attest.Passed, nil
}

// refused makes the result of a refusal.
func refused(c Ceremony, out attest.Outcome, step string) *Result {
	return &Result{Ceremony: c, Verdict: attest.Verdict{Platform: attest.WebAuthn, Outcome: out, Reasons: []string{step}}}
}

// enter spends the challenge that a ceremony's answer names, and then checks what both ceremonies have in common. A result
// that is not nil is the refusal.
func (v *Verifier) enter(
	ctx context.Context, c Ceremony, s Scope, client *protocol.CollectedClientData, auth *protocol.AuthenticatorData,
) (*webauthn.SessionData, *Result, error) {
	session, out, err := v.redeem(ctx, c, s, client.Challenge)
	if err != nil {
		return nil, nil, err
	}
	if out != attest.Passed {
		return nil, refused(c, out, StepChallenge), nil
	}
	want := protocol.CreateCeremony
	if c == Login {
		want = protocol.AssertCeremony
	}
	if out, step := v.client(client, want); out != attest.Passed {
		return nil, refused(c, out, step), nil
	}
	if out, step := v.flags(auth); out != attest.Passed {
		return nil, refused(c, out, step), nil
	}
	return session, nil, nil
}

// client checks what the browser says of itself: WebAuthn section 7.1 steps 7 to 12 and 7.2 steps 10 to 15, origins to the
// letter. Which step fails is not told by the library, and here it matters: a wrong origin is phishing.
func (v *Verifier) client(d *protocol.CollectedClientData, want protocol.CeremonyType) (attest.Outcome, string) {
	switch {
	case d.Type != want:
		return attest.Failed, StepType
	case !slices.Contains(v.rp.Origins, d.Origin):
		return attest.WrongAudience, StepOrigin
	case d.CrossOrigin && !v.o.AllowCrossOrigin:
		return attest.WrongAudience, StepCrossOrigin
	case d.TopOrigin != "" && (!d.CrossOrigin || !slices.Contains(v.o.TopOrigins, d.TopOrigin)):
		return attest.WrongAudience, StepCrossOrigin
	}
	return attest.Passed, ""
}

// flags checks what the authenticator says of the ceremony: sections 7.1 steps 14 to 18 and 7.2 steps 16 to 20.
func (v *Verifier) flags(a *protocol.AuthenticatorData) (attest.Outcome, string) {
	want := sha256.Sum256([]byte(v.rp.ID))
	switch {
	case !bytes.Equal(a.RPIDHash, want[:]):
		return attest.WrongAudience, StepRPID
	case !a.Flags.HasUserPresent():
		return attest.Failed, StepPresence
	case !a.Flags.HasUserVerified() && !v.o.SkipUserVerification:
		return attest.Failed, StepVerification
	case a.Flags.HasBackupState() && !a.Flags.HasBackupEligible():
		return attest.Failed, StepBackup
	}
	return attest.Passed, ""
}

// user is a User of the library's.
type user struct {
	handle        []byte
	name, display string
	credentials   []webauthn.Credential
}

func (u *user) WebAuthnID() []byte                         { return u.handle }
func (u *user) WebAuthnName() string                       { return u.name }
func (u *user) WebAuthnDisplayName() string                { return u.display }
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// descriptors name credentials to a browser.
func descriptors(all []Credential) []protocol.CredentialDescriptor {
	out := make([]protocol.CredentialDescriptor, 0, len(all))
	for _, c := range all {
		d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: c.ID}
		for _, t := range c.Transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		out = append(out, d)
	}
	return out
}

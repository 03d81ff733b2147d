package passkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vestibule-go/vestibule/attest"
)

// User is whom a passkey is made for. Name and Display are shown by the authenticator, and kept in it; nothing of them is
// kept here.
type User struct {
	Name    string // "ann@example.com"; default the site's name
	Display string // "Ann"; default Name
}

const (
	handleBytes = 32
	maxName     = 64 // bytes that authenticators keep at least, WebAuthn section 5.4.1
	maxKinds    = 8  // transports kept
)

// BeginRegistration makes the task of making a passkey. Authenticators that hold one of the account's already are told
// so, and refuse. The user handle is random, and the same for all passkeys of an account.
func (v *Verifier) BeginRegistration(ctx context.Context, s Scope, u User) (*Task, error) {
	var have []Credential
	if s.Account != "" {
		var err error
		if have, err = v.store.List(ctx, s.Tenant, s.Account); err != nil {
			return nil, fmt.Errorf("passkey: listing credentials: %w", err)
		}
	}
	w := &user{name: clip(u.Name, maxName), display: clip(u.Display, maxName)}
	if w.name == "" {
		w.name = clip(v.rp.Name, maxName)
	}
	if w.display == "" {
		w.display = w.name
	}
	if len(have) > 0 {
		w.handle = have[0].Handle
	} else {
		w.handle = make([]byte, handleBytes)
		_, _ = rand.Read(w.handle) // never fails
	}
	creation, session, err := v.web.BeginRegistration(w, webauthn.WithExclusions(descriptors(have)))
	if err != nil {
		return nil, fmt.Errorf("passkey: making a task: %w", err)
	}
	ch, raw, err := v.begin(ctx, Registration, s, session)
	if err != nil {
		return nil, err
	}
	creation.Response.Challenge = raw
	return &Task{Ceremony: Registration, PublicKey: creation.Response, Expires: ch.Expires.UTC()}, nil
}

// FinishRegistration verifies what a browser made of the task: body is PublicKeyCredential.toJSON() of
// navigator.credentials.create(). The challenge is spent before anything is verified: each task gives one try. A passkey
// that passes is kept, under the scope's account, or, while signing up, for an hour under none: see [Verifier.Bind].
//
// An error means that it could not tell: a store has failed.
func (v *Verifier) FinishRegistration(ctx context.Context, s Scope, body []byte) (*Result, error) {
	const c = Registration
	if len(body) > v.o.MaxBody {
		return refused(c, attest.Failed, StepSize), nil
	}
	in, err := protocol.ParseCredentialCreationResponseBytes(body)
	if err != nil || len(in.RawID) > MaxCredentialID {
		return refused(c, attest.Failed, StepFormat), nil
	}
	object := &in.Response.AttestationObject
	session, no, err := v.enter(ctx, c, s, &in.Response.CollectedClientData, &object.AuthData)
	if err != nil || no != nil {
		return no, err
	}
	switch {
	case !offered(object.AuthData.AttData.CredentialPublicKey, session.CredParams):
		return refused(c, attest.Failed, StepAlgorithm), nil
	case !v.formatAllowed(object):
		return refused(c, attest.Failed, StepFormat), nil
	}
	made, err := v.web.CreateCredential(&user{handle: session.UserID}, *session, in)
	if err != nil {
		return refused(c, attest.Failed, StepAttestation), nil
	}
	judged := v.judge(ctx, object, nil)
	if out, step := v.wanted(judged); out != attest.Passed {
		r := refused(c, out, step)
		r.Judged = judged
		r.Verdict.Reasons = append(r.Verdict.Reasons, judged.Reasons...)
		return r, nil
	}
	cred := Credential{
		Tenant: s.Tenant, ID: made.ID, Account: s.Account, Handle: session.UserID, PublicKey: made.PublicKey,
		Attestation: judged, Counter: object.AuthData.Counter, UserVerified: object.AuthData.Flags.HasUserVerified(),
		Synced: object.AuthData.Flags.HasBackupEligible(), BackedUp: object.AuthData.Flags.HasBackupState(),
		Created: v.now().UTC(),
	}
	for _, t := range in.Response.Transports {
		if known := string(t); len(cred.Transports) < maxKinds && slices.Contains(transports, known) {
			cred.Transports = append(cred.Transports, known)
		}
	}
	if judged.Trust != None && judged.Trust != Self {
		cred.Object, cred.ClientDataHash = made.Attestation.Object, made.Attestation.ClientDataHash
	}
	switch err := v.store.Create(ctx, cred); {
	case errors.Is(err, ErrCredentialExists):
		return refused(c, attest.Failed, StepExists), nil
	case errors.Is(err, ErrFull) && s.Account != "" && v.full(ctx, s):
		return refused(c, attest.Failed, StepFull), nil
	case err != nil:
		return nil, fmt.Errorf("passkey: keeping a credential: %w", err)
	}
	return &Result{
		Ceremony: c, Verdict: verdict(&cred, judged), Credential: &cred, UserVerified: cred.UserVerified, Judged: judged,
	}, nil
}

var transports = []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}

// full tells an account that has all it may have from a store that has no room.
func (v *Verifier) full(ctx context.Context, s Scope) bool {
	have, err := v.store.List(ctx, s.Tenant, s.Account)
	return err == nil && len(have) >= MaxPerAccount
}

func (v *Verifier) formatAllowed(o *protocol.AttestationObject) bool {
	formats := []string{o.Format}
	for _, sub := range o.SubStatements {
		formats = append(formats, sub.Format)
	}
	for _, f := range formats {
		if f == string(protocol.AttestationFormatAndroidSafetyNet) {
			return false
		}
	}
	return len(v.o.AllowFormats) == 0 || slices.Contains(v.o.AllowFormats, o.Format)
}

// wanted holds a judged attestation against the policy.
func (v *Verifier) wanted(a Attestation) (attest.Outcome, string) {
	switch {
	case a.Trust < v.o.Least && a.Trust == Revoked:
		return attest.Revoked, StepTrust
	case a.Trust < v.o.Least:
		return attest.Failed, StepTrust
	case len(v.o.AllowModels) > 0 && (!a.Authentic || !slices.Contains(v.o.AllowModels, a.AAGUID)):
		return attest.Failed, StepModel
	case a.Authentic && slices.Contains(v.o.DenyModels, a.AAGUID):
		return attest.Failed, StepModel
	}
	return attest.Passed, ""
}

// verdict is the normal form of a ceremony that has passed.
func verdict(c *Credential, a Attestation) attest.Verdict {
	out := attest.Verdict{
		Platform: attest.WebAuthn, Outcome: attest.Passed, Claimed: a.Strength, Checked: a.Checked, Reasons: a.Reasons, Key: c.Hash(),
	}
	if a.Trust < Software {
		out.Claimed = attest.None
	}
	return out
}

// Bind gives a passkey made while signing up to the account that now exists. bound is false when it belongs to another
// one. ErrCredentialUnknown: it has been an hour, or the store has lost it.
//
// Bind only to an account that this very attempt has opened. Who signs up with an address that is taken must not leave a
// key to somebody else's account, nor must one whose address is yet to be confirmed keep it when another confirms it.
func (v *Verifier) Bind(ctx context.Context, tenant string, id []byte, account string) (bound bool, err error) {
	if v.editor == nil {
		return false, errors.New("passkey: the credential store is no CredentialEditor, and cannot bind")
	}
	if account == "" {
		return false, errors.New("passkey: Bind wants an account")
	}
	return v.editor.Bind(ctx, tenant, id, account)
}

package passkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vestibule-go/vestibule/attest"
)

// BeginLogin makes the task of proving that one has a passkey: one of the scope's account or, without an account,
// whichever the user picks. For an account without passkeys, or one that is not there, the task looks like that of a login
// without account, and nobody learns which accounts have any. (One that has some shows their ids: hand tasks for accounts
// only to whom has given a first proof, or leave the account out.)
func (v *Verifier) BeginLogin(ctx context.Context, s Scope) (*Task, error) {
	var have []Credential
	if s.Account != "" {
		var err error
		if have, err = v.store.List(ctx, s.Tenant, s.Account); err != nil {
			return nil, fmt.Errorf("passkey: listing credentials: %w", err)
		}
	}
	assertion, session, err := v.web.BeginDiscoverableLogin(webauthn.WithAllowedCredentials(descriptors(have)))
	if err != nil {
		return nil, fmt.Errorf("passkey: making a task: %w", err)
	}
	ch, raw, err := v.begin(ctx, Login, s, session)
	if err != nil {
		return nil, err
	}
	assertion.Response.Challenge = raw
	return &Task{Ceremony: Login, PublicKey: assertion.Response, Expires: ch.Expires.UTC()}, nil
}

// FinishLogin verifies what a browser made of the task: body is PublicKeyCredential.toJSON() of
// navigator.credentials.get(). The challenge is spent before anything is verified. Result.Credential.Account is who it
// was; with an account in the scope it is that one.
//
// A passkey whose model has been revoked since still logs in: Result.Downgraded says so.
//
// An error means that it could not tell: a store has failed.
func (v *Verifier) FinishLogin(ctx context.Context, s Scope, body []byte) (*Result, error) {
	const c = Login
	if len(body) > v.o.MaxBody {
		return refused(c, attest.Failed, StepSize), nil
	}
	in, err := protocol.ParseCredentialRequestResponseBytes(body)
	if err != nil || len(in.RawID) > MaxCredentialID {
		return refused(c, attest.Failed, StepFormat), nil
	}
	data := &in.Response.AuthenticatorData
	session, no, err := v.enter(ctx, c, s, &in.Response.CollectedClientData, data)
	if err != nil || no != nil {
		return no, err
	}
	cred, err := v.store.Get(ctx, s.Tenant, in.RawID)
	switch {
	case errors.Is(err, ErrCredentialUnknown):
		return refused(c, attest.Failed, StepCredential), nil
	case err != nil:
		return nil, fmt.Errorf("passkey: reading a credential: %w", err)
	case cred.Account == "":
		return refused(c, attest.Failed, StepCredential), nil
	case s.Account != "" && cred.Account != s.Account, len(in.Response.UserHandle) > 0 && !bytes.Equal(in.Response.UserHandle, cred.Handle):
		return refused(c, attest.WrongAudience, StepAccount), nil
	case data.Flags.HasBackupEligible() != cred.Synced: // WebAuthn section 7.2 step 21: it never changes
		return refused(c, attest.Failed, StepBackup), nil
	}
	session.UserID = cred.Handle
	record := webauthn.Credential{
		ID: cred.ID, PublicKey: cred.PublicKey, AttestationFormat: cred.Attestation.Format,
		Flags:         webauthn.CredentialFlags{BackupEligible: cred.Synced, BackupState: cred.BackedUp},
		Authenticator: webauthn.Authenticator{SignCount: cred.Counter},
	}
	if _, err := v.web.ValidateLogin(&user{handle: cred.Handle, credentials: []webauthn.Credential{record}}, *session, in); err != nil {
		return refused(c, attest.Failed, StepSignature), nil
	}
	r := &Result{Ceremony: c, UserVerified: data.Flags.HasUserVerified(), BackupChanged: data.Flags.HasBackupState() != cred.BackedUp}
	use := Use{Counter: data.Counter, BackedUp: data.Flags.HasBackupState(), At: v.now().UTC()}
	advanced, err := v.store.Use(ctx, s.Tenant, cred.ID, use)
	switch {
	case errors.Is(err, ErrCredentialUnknown): // deleted meanwhile
		return refused(c, attest.Failed, StepCredential), nil
	case err != nil:
		return nil, fmt.Errorf("passkey: noting the use of a credential: %w", err)
	}
	r.CounterStalled = !advanced
	cred.Counter, cred.BackedUp, cred.Used = max(cred.Counter, use.Counter), use.BackedUp, use.At
	r.Judged, r.Downgraded = v.Recheck(ctx, &cred)
	r.Verdict, r.Credential = verdict(&cred, r.Judged), &cred
	return r, nil
}

// Recheck judges the attestation of a stored credential by what the trust source says today, and keeps the outcome where
// the store can. downgraded: it is worth less than hardware now, and was not before, or its model is revoked. It is for
// signals and for sweeps over stored credentials; locking people out because a maker has lost a key is not its business.
// [Verifier.FinishLogin] calls it.
func (v *Verifier) Recheck(ctx context.Context, c *Credential) (now Attestation, downgraded bool) {
	was := c.Attestation
	if len(c.Object) == 0 {
		return was, false
	}
	object, err := v.reparse(c)
	if err != nil {
		return was, was.Trust == Revoked
	}
	now = v.judge(ctx, object, &was)
	if now.Trust == Unknown && was.Trust > Unknown {
		// The source is gone or has dropped the model: it was vouched for once, and is not any more, which is no accusation.
		now.Authentic = false
	}
	downgraded = now.Trust <= Untrusted || now.Trust < was.Trust && was.Trust >= Hardware && now.Trust < Hardware && now.Trust != Unknown
	c.Attestation = now
	if v.editor != nil && (now.Trust != was.Trust || now.Version != was.Version) && now.Trust != Unknown {
		// What fails here is done again at the next login.
		_ = v.editor.Judge(ctx, c.Tenant, c.ID, now)
	}
	return now, downgraded
}

// reparse reads a stored attestation object. It was verified when it was stored.
func (v *Verifier) reparse(c *Credential) (*protocol.AttestationObject, error) {
	raw := protocol.AuthenticatorAttestationResponse{AttestationObject: c.Object}
	raw.ClientDataJSON = []byte("{}")
	p, err := raw.Parse()
	if err != nil {
		return nil, errors.New("passkey: a stored attestation cannot be read")
	}
	for name, kind := range typeNames {
		if kind == c.Attestation.Type {
			p.AttestationObject.Type = name
		}
	}
	return &p.AttestationObject, nil
}

package passkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Errors of a CredentialStore. Test with errors.Is.
var (
	// ErrCredentialExists: the credential id is there already, under whichever account; nothing was written.
	ErrCredentialExists = errors.New("passkey: the credential exists already")
	// ErrCredentialUnknown: there is no such credential.
	ErrCredentialUnknown = errors.New("passkey: no such credential")
	// ErrFull: a bounded store has no room, or the account has as many credentials as it may. Nothing live is forgotten.
	ErrFull = errors.New("passkey: the credential store is full")
)

// The bounds of credentials.
const (
	MaxCredentialID = 1023 // bytes, WebAuthn section 4
	MaxPerAccount   = 32   // credentials of one account
	MaxRecord       = 64 << 10

	// DefaultKeep is how long a credential lives after its last use when the options do not say.
	DefaultKeep = 3 * 365 * 24 * time.Hour
	// PendingKeep is how long a credential without an account lives: it was made while signing up.
	PendingKeep = time.Hour
)

// Credential is a passkey: what WebAuthn calls a credential record. Neither key nor attestation is secret.
type Credential struct {
	// Tenant and ID name it. ID is chosen by the authenticator, and unique within a tenant.
	Tenant string `json:"tenant,omitempty"`
	ID     []byte `json:"id"`
	// Account is the host's name for whom it belongs to; empty: nobody's yet.
	Account string `json:"account,omitempty"`
	// Handle is the user handle that authenticators give back: random, the same for all credentials of an account.
	Handle []byte `json:"handle"`
	// PublicKey is the COSE key.
	PublicKey []byte `json:"public_key"`
	// Attestation is what its attestation was found to be worth when it was last judged.
	Attestation Attestation `json:"attestation"`
	// Object and ClientDataHash are the attestation as it came, for judging it again; empty for those of type none and self.
	Object         []byte `json:"object,omitempty"`
	ClientDataHash []byte `json:"client_data_hash,omitempty"`
	// Counter is the highest signature counter seen; 0: the authenticator has none.
	Counter uint32 `json:"counter,omitempty"`
	// UserVerified: the user was verified when it was made. Synced: it may be copied to other devices (backup eligible).
	// BackedUp: it has been.
	UserVerified bool `json:"user_verified,omitempty"`
	Synced       bool `json:"synced,omitempty"`
	BackedUp     bool `json:"backed_up,omitempty"`
	// Transports are the ways to reach it, as the browser says: "usb", "internal", "hybrid".
	Transports []string `json:"transports,omitempty"`
	// Created and Used are when it was made and last used.
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
}

// Hash is the credential's name in logs and store keys.
func (c *Credential) Hash() attest.Hash { return attest.KeyHash(attest.WebAuthn, c.ID) }

// Check reports what no store should keep. Stores call it in Create.
func (c *Credential) Check() error {
	switch {
	case len(c.ID) == 0 || len(c.ID) > MaxCredentialID:
		return fmt.Errorf("passkey: a credential id has 1 to %d bytes, not %d", MaxCredentialID, len(c.ID))
	case len(c.PublicKey) == 0:
		return errors.New("passkey: a credential needs a public key")
	case len(c.Handle) == 0 || len(c.Handle) > 64:
		return errors.New("passkey: a user handle has 1 to 64 bytes")
	case len(c.PublicKey)+len(c.Object)+len(c.ClientDataHash)+len(c.Account)+len(c.Tenant) > MaxRecord:
		return fmt.Errorf("passkey: a credential of more than %d bytes", MaxRecord)
	}
	return nil
}

// Use is what an assertion changes.
type Use struct {
	Counter  uint32
	BackedUp bool
	At       time.Time
}

// CredentialStore keeps credentials. A [Verifier] calls it; it must be safe for concurrent use and shared by all
// instances. Credentials live for a while after their last use, those without an account for PendingKeep. An error other
// than those named means that the store could not tell.
type CredentialStore interface {
	// Create keeps a new credential. ErrCredentialExists: its id is there already in the tenant, whoever owns it; of any
	// number of concurrent calls exactly one creates it. ErrFull: the account has MaxPerAccount, or there is no room.
	Create(ctx context.Context, c Credential) error
	// Get returns a credential, or ErrCredentialUnknown.
	Get(ctx context.Context, tenant string, id []byte) (Credential, error)
	// List returns the credentials of an account, oldest first; none is no error.
	List(ctx context.Context, tenant, account string) ([]Credential, error)
	// Use notes an assertion: BackedUp and At are set, and the counter if the new one is higher. advanced is false when it
	// was not, and not both were 0: two copies of the key may be about. ErrCredentialUnknown: there is no such credential.
	Use(ctx context.Context, tenant string, id []byte, u Use) (advanced bool, err error)
}

// CredentialEditor is the ability of a CredentialStore to change what belongs to a credential. The stores of this module
// have it.
type CredentialEditor interface {
	// Bind gives a credential without account this one, and reports whether it is now its: false when it has another.
	// ErrCredentialUnknown, ErrFull: as above.
	Bind(ctx context.Context, tenant string, id []byte, account string) (bound bool, err error)
	// Judge replaces what its attestation is worth. ErrCredentialUnknown: there is no such credential.
	Judge(ctx context.Context, tenant string, id []byte, a Attestation) error
	// Delete forgets a credential. One that is not there is no error.
	Delete(ctx context.Context, tenant string, id []byte) error
}

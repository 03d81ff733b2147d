package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// MaxValue bounds what is kept in one of [Records], in bytes: a credential of MaxRecord bytes in JSON.
const MaxValue = 128 << 10

// Records keep small values under hashes: the one thing a database must do to hold passkeys ([NewCredentials]).
// attestredis.Store.Records has it. It must be safe for concurrent use and shared by all instances. An error means that it
// could not tell, and that the change may have been made or not.
type Records interface {
	// Get returns what is kept under key; nil: nothing.
	Get(ctx context.Context, key attest.Hash) ([]byte, error)
	// Swap replaces what is kept under key in one atomic step, if its SHA-256 is was (zero: nothing is kept), and reports
	// whether it did: of any number of concurrent calls with one was exactly one does. The value, 1 to MaxValue bytes, lives
	// for ttl; nil takes away what is there.
	Swap(ctx context.Context, key, was attest.Hash, value []byte, ttl time.Duration) (swapped bool, err error)
}

// CredentialsOptions of Credentials. The zero value and nil mean the defaults.
type CredentialsOptions struct {
	// Keep is how long a credential lives after its last use; default DefaultKeep, at least a minute. Those without an
	// account live for PendingKeep at most.
	Keep time.Duration
	// Now is the clock for the ages of entries in an account's list; default time.Now. What lives is judged by the records.
	Now func() time.Time
}

// Credentials is a CredentialStore and CredentialEditor over [Records], one record for each credential and one for each
// account's list. It is safe for concurrent use.
//
// Each step is atomic, and the two records of a new credential are written in an order that errs to the safe side: what an
// outage leaves behind between them is an entry without a credential, which List passes over and which makes room again
// after a minute.
type Credentials struct {
	records Records
	keep    time.Duration
	now     func() time.Time
}

var (
	_ CredentialStore  = (*Credentials)(nil)
	_ CredentialEditor = (*Credentials)(nil)
)

// NewCredentials makes a store over records.
func NewCredentials(r Records, opts *CredentialsOptions) (*Credentials, error) {
	var o CredentialsOptions
	if opts != nil {
		o = *opts
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case r == nil:
		return nil, errors.New("passkey: no records; attestredis makes them on Redis, NewMemory needs none")
	case o.Keep < time.Minute:
		return nil, fmt.Errorf("passkey: Keep is %v; it must be at least a minute, or 0 for %v", o.Keep, DefaultKeep)
	}
	return &Credentials{r, o.Keep, o.Now}, nil
}

const (
	// maxSwaps bounds how often a change is tried against others of the same record. Each round one of them wins.
	maxSwaps = 64
	// youngEntry is how long an entry without a credential counts as one whose credential is about to be written.
	youngEntry = time.Minute
)

// errContended: too many changed one record at once. Nothing was written.
var errContended = fmt.Errorf("passkey: too many change one record at once: %w", attest.ErrUnavailable)

// errRecord: somebody else writes here, or the record is damaged.
var errRecord = errors.New("passkey: a record is kept in a form that cannot be read")

// recordKey names a record: SHA-256 over kind, tenant and name, each with its length.
func recordKey(kind, tenant, name string) (h attest.Hash) {
	d := sha256.New()
	for _, s := range []string{"passkey.records", kind, tenant, name} {
		d.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		_, _ = io.WriteString(d, s) // never fails
	}
	d.Sum(h[:0])
	return h
}

func credentialKey(tenant string, id []byte) attest.Hash {
	return recordKey("credential", tenant, string(id))
}

// stored is the record of a credential.
type stored struct {
	Credential
	// Touched is when its life was last renewed, and Listed when its account's list was renewed for it, in Unix seconds.
	Touched int64 `json:"touched"`
	Listed  int64 `json:"listed,omitempty"`
}

func (s *Credentials) lives(account string) time.Duration {
	if account == "" {
		return min(PendingKeep, s.keep)
	}
	return s.keep
}

// load reads a record of JSON. was is its hash, zero when there is none.
func (s *Credentials) load(ctx context.Context, key attest.Hash, to any) (was attest.Hash, err error) {
	raw, err := s.records.Get(ctx, key)
	if err != nil || raw == nil {
		return attest.Hash{}, err
	}
	if json.Unmarshal(raw, to) != nil {
		return attest.Hash{}, errRecord
	}
	return sha256.Sum256(raw), nil
}

func (s *Credentials) save(ctx context.Context, key, was attest.Hash, v any, ttl time.Duration) (bool, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("passkey: writing a record: %w", err)
	}
	return s.records.Swap(ctx, key, was, raw, ttl)
}

// credential reads a credential.
func (s *Credentials) credential(ctx context.Context, tenant string, id []byte) (stored, attest.Hash, error) {
	var c stored
	was, err := s.load(ctx, credentialKey(tenant, id), &c)
	switch {
	case err != nil:
		return stored{}, was, err
	case was.IsZero():
		return stored{}, was, ErrCredentialUnknown
	case c.Tenant != tenant || string(c.ID) != string(id):
		return stored{}, was, errRecord
	}
	return c, was, nil
}

// change applies f to a credential until nobody has changed it meanwhile. f returns false to leave it as it is. Renewing
// its life is for f: by Touched.
func (s *Credentials) change(ctx context.Context, tenant string, id []byte, f func(c *stored) (bool, error)) error {
	for range maxSwaps {
		c, was, err := s.credential(ctx, tenant, id)
		if err != nil {
			return err
		}
		if write, err := f(&c); err != nil || !write {
			return err
		}
		left := s.lives(c.Account) - s.now().Sub(time.Unix(c.Touched, 0))
		done, err := s.save(ctx, credentialKey(tenant, id), was, c, min(max(left, time.Second), s.lives(c.Account)))
		if err != nil || done {
			return err
		}
	}
	return errContended
}

// Create implements CredentialStore.
func (s *Credentials) Create(ctx context.Context, c Credential) error {
	if err := errors.Join(ctx.Err(), c.Check()); err != nil {
		return err
	}
	if _, _, err := s.credential(ctx, c.Tenant, c.ID); !errors.Is(err, ErrCredentialUnknown) {
		if err == nil {
			err = ErrCredentialExists
		}
		return err
	}
	added, err := s.enlist(ctx, c.Tenant, c.Account, c.ID)
	if err != nil {
		return err
	}
	now := s.now().Unix()
	made, err := s.save(ctx, credentialKey(c.Tenant, c.ID), attest.Hash{}, stored{c, now, now}, s.lives(c.Account))
	if err != nil || made {
		return err
	}
	if added {
		s.unlistForeign(ctx, c.Tenant, c.Account, c.ID)
	}
	return ErrCredentialExists
}

// Get implements CredentialStore.
func (s *Credentials) Get(ctx context.Context, tenant string, id []byte) (Credential, error) {
	c, _, err := s.credential(ctx, tenant, id)
	return c.Credential, err
}

// List implements CredentialStore.
func (s *Credentials) List(ctx context.Context, tenant, account string) ([]Credential, error) {
	if account == "" {
		return nil, errors.New("passkey: List wants an account")
	}
	var list []entry
	if _, err := s.load(ctx, recordKey("account", tenant, account), &list); err != nil {
		return nil, err
	}
	var out []Credential
	for _, e := range list {
		c, _, err := s.credential(ctx, tenant, e.ID)
		switch {
		case errors.Is(err, ErrCredentialUnknown):
		case err != nil:
			return nil, err
		case c.Account == account:
			out = append(out, c.Credential)
		}
	}
	return out, nil
}

// Use implements CredentialStore.
func (s *Credentials) Use(ctx context.Context, tenant string, id []byte, u Use) (advanced bool, err error) {
	now := s.now()
	err = s.change(ctx, tenant, id, func(c *stored) (bool, error) {
		advanced = u.Counter > c.Counter || u.Counter == 0 && c.Counter == 0
		c.Counter, c.BackedUp, c.Used = max(c.Counter, u.Counter), u.BackedUp, u.At
		c.Touched = now.Unix()
		if c.Account != "" && now.Sub(time.Unix(c.Listed, 0)) > s.keep/4 {
			if _, err := s.enlist(ctx, tenant, c.Account, id); err != nil && !errors.Is(err, ErrFull) {
				return false, err
			}
			c.Listed = now.Unix()
		}
		return true, nil
	})
	return advanced && err == nil, err
}

// Bind implements CredentialEditor.
func (s *Credentials) Bind(ctx context.Context, tenant string, id []byte, account string) (bound bool, err error) {
	if account == "" {
		return false, errors.New("passkey: Bind wants an account")
	}
	added := false
	err = s.change(ctx, tenant, id, func(c *stored) (bool, error) {
		if c.Account != "" {
			bound = c.Account == account
			return false, nil
		}
		one, err := s.enlist(ctx, tenant, account, id)
		added = added || one
		if err != nil {
			return false, err
		}
		now := s.now().Unix()
		c.Account, c.Listed, c.Touched, bound = account, now, now, true
		return true, nil
	})
	if added && !bound {
		s.unlistForeign(ctx, tenant, account, id)
	}
	return bound && err == nil, err
}

// Judge implements CredentialEditor.
func (s *Credentials) Judge(ctx context.Context, tenant string, id []byte, a Attestation) error {
	return s.change(ctx, tenant, id, func(c *stored) (bool, error) {
		c.Attestation = a
		return true, nil
	})
}

// Delete implements CredentialEditor.
func (s *Credentials) Delete(ctx context.Context, tenant string, id []byte) error {
	for range maxSwaps {
		c, was, err := s.credential(ctx, tenant, id)
		if errors.Is(err, ErrCredentialUnknown) {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		gone, err := s.records.Swap(ctx, credentialKey(tenant, id), was, nil, 0)
		if err != nil {
			return err
		}
		if gone {
			return s.unlist(ctx, tenant, c.Account, id)
		}
	}
	return errContended
}

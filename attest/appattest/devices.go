package appattest

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vestibule-go/vestibule/attest"
)

// Devices are a Verifier and the keys it has attested: the [attest.Verifier] for App Attest. An attestation creates a key,
// once; an assertion advances its counter, atomically. It is safe for concurrent use.
type Devices struct {
	verifier *Verifier
	keys     attest.KeyStore
}

var _ attest.Verifier = (*Devices)(nil)

// NewDevices makes Devices over a verifier and a store of keys.
func NewDevices(v *Verifier, keys attest.KeyStore) (*Devices, error) {
	if v == nil || keys == nil {
		return nil, errors.New("appattest: Devices want a verifier and a key store; attest.NewMemoryKeys makes one for a single process")
	}
	return &Devices{v, keys}, nil
}

// meta is what is kept beside a key.
type meta struct {
	AppID       string      `json:"app"`
	Environment Environment `json:"env"`
	Receipt     []byte      `json:"receipt,omitempty"`
}

// Verify implements attest.Verifier: kind attestation (or none) and assertion. A key that another account owns is refused,
// and so is an attestation whose key is known already. An error says that the key store could not tell.
func (d *Devices) Verify(ctx context.Context, in attest.Request) (attest.Verdict, error) {
	r := in.Response
	var err error
	switch r.Kind {
	case "", attest.KindAttestation:
		err = d.attest(ctx, in)
	case attest.KindAssertion:
		err = d.assert(ctx, in)
	default:
		err = refusal("devices", "kind", attest.ErrMalformed)
	}
	id := attest.KeyHash(attest.AppAttest, r.KeyID)
	if err != nil {
		v, ok := attest.Refused(attest.AppAttest, err)
		if !ok {
			return attest.Verdict{}, err
		}
		v.Key = id
		return v, nil
	}
	// Apple has no list of revoked keys: what it defines of a chain's status is validity, which was checked when the key
	// was attested.
	return attest.Verdict{
		Platform: attest.AppAttest, Outcome: attest.Passed, Claimed: attest.SecureElement, GenuineApp: true, Key: id,
		Checked: attest.CheckedChain | attest.CheckedRoot | attest.CheckedStatus,
	}, nil
}

func (d *Devices) attest(ctx context.Context, in attest.Request) error {
	r := in.Response
	hash := attest.ClientDataHash(r.Challenge, r.Message)
	a, err := d.verifier.Attestation(r.Data, r.KeyID, hash[:])
	if err != nil {
		return err
	}
	raw, err := json.Marshal(meta{a.AppID, a.Environment, a.Receipt})
	if err != nil {
		return fmt.Errorf("appattest: what belongs to a key: %w", err)
	}
	if len(raw) > attest.MaxMeta {
		return refusal("devices", "receipt", attest.ErrTooLarge)
	}
	at := in.At
	if at.IsZero() {
		at = d.verifier.now()
	}
	err = d.keys.Create(ctx, attest.Key{
		Tenant: in.Tenant, ID: attest.KeyHash(attest.AppAttest, a.KeyID), Platform: attest.AppAttest, Owner: in.Owner,
		PublicKey: a.PublicKeyDER, Created: at, Meta: raw,
	})
	if errors.Is(err, attest.ErrKeyExists) {
		return refusal("devices", "known_key", attest.ErrReplay)
	}
	return err
}

func (d *Devices) assert(ctx context.Context, in attest.Request) error {
	r := in.Response
	k, key, _, err := d.load(ctx, in.Tenant, attest.KeyHash(attest.AppAttest, r.KeyID))
	if errors.Is(err, attest.ErrKeyUnknown) {
		return refusal("devices", "unknown_key", attest.ErrKeyID)
	}
	if err != nil {
		return err
	}
	if !k.Owner.IsZero() && k.Owner != in.Owner {
		return refusal("devices", "owner", attest.ErrAppIdentity)
	}
	hash := attest.ClientDataHash(r.Challenge, r.Message)
	a, err := d.verifier.Assertion(key, r.Data, hash[:])
	if err != nil {
		return err
	}
	advanced, err := d.keys.Advance(ctx, in.Tenant, k.ID, a.Counter)
	switch {
	case errors.Is(err, attest.ErrKeyUnknown):
		return refusal("devices", "unknown_key", attest.ErrKeyID)
	case err != nil:
		return err
	case !advanced:
		return refusal("devices", "counter", attest.ErrCounter)
	}
	return nil
}

// load reads a key from the store.
func (d *Devices) load(ctx context.Context, tenant string, id attest.Hash) (attest.Key, Key, meta, error) {
	k, err := d.keys.Get(ctx, tenant, id)
	if err != nil {
		return k, Key{}, meta{}, err
	}
	var m meta
	if err := json.Unmarshal(k.Meta, &m); err != nil || k.Platform != attest.AppAttest {
		return k, Key{}, m, errors.New("appattest: the stored key is not one of App Attest's")
	}
	pub, err := x509.ParsePKIXPublicKey(k.PublicKey)
	if err != nil {
		return k, Key{}, m, errors.New("appattest: the stored public key is damaged")
	}
	ec, _ := pub.(*ecdsa.PublicKey)
	return k, Key{AppID: m.AppID, Environment: m.Environment, PublicKey: ec, Counter: k.Counter}, m, nil
}

// Refresh exchanges the receipt kept with a key for a newer one, verifies it, keeps it, and returns what it says: its
// RiskMetric is about how many keys were attested on this device in 30 days. keyID is the key's own. The key store must
// have the ability attest.KeyEditor. Errors are those of [Refresher.Refresh], [Verifier.Receipt] and the store.
func (d *Devices) Refresh(ctx context.Context, r *Refresher, tenant string, keyID []byte) (*Receipt, error) {
	editor, ok := d.keys.(attest.KeyEditor)
	if !ok {
		return nil, errors.New("appattest: the key store cannot change what belongs to a key")
	}
	k, key, m, err := d.load(ctx, tenant, attest.KeyHash(attest.AppAttest, keyID))
	if err != nil {
		return nil, err
	}
	if len(m.Receipt) == 0 {
		return nil, ErrNoData
	}
	fresh, err := r.Refresh(ctx, m.Receipt)
	if err != nil {
		return nil, err
	}
	out, err := d.verifier.Receipt(fresh, key)
	if err != nil {
		return nil, err
	}
	m.Receipt = fresh
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("appattest: what belongs to a key: %w", err)
	}
	return out, editor.SetMeta(ctx, tenant, k.ID, raw)
}

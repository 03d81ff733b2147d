package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
)

// RelyingParty is the site.
type RelyingParty struct {
	// ID is the domain that passkeys belong to: "example.com". Origins must be of it or below it. It can never be changed
	// without losing all passkeys.
	ID string
	// Name is shown by authenticators.
	Name string
	// Origins are the pages that may make and use passkeys, exactly as browsers write them: "https://www.example.com",
	// "http://localhost:8080", and for apps "android:apk-key-hash:...".
	Origins []string
}

// Conveyance is which attestation is asked for.
type Conveyance string

// The conveyances. Browsers may ask the user before they show a site the model of a key.
const (
	ConveyDirect     Conveyance = "direct"
	ConveyNone       Conveyance = "none"
	ConveyIndirect   Conveyance = "indirect"
	ConveyEnterprise Conveyance = "enterprise"
)

// MaxBody is the default bound of what a client may send, in bytes. Real attestations have up to 10 KB.
const MaxBody = 64 << 10

// Options of a Verifier. The zero value and nil mean the defaults.
type Options struct {
	// Trust knows models of authenticators: an MDS, Models, or Sources of several. Without one nothing but Android's and
	// Apple's attestations can be Hardware, and nothing Certified.
	Trust TrustSource
	// Revocations is Google's list for Android's keys (androidkey.NewRevocationList). Without it none of them is Certified.
	Revocations androidkey.Revocations
	// MinLevel is the certification from which on an attestation is Certified; default L1.
	MinLevel Level
	// Least is the trust a new passkey must have; default Unknown: only what is Untrusted or Revoked is refused.
	Least Trust
	// AllowModels, if there are any, are the only models allowed; DenyModels are not. Both see authentic AAGUIDs only: one
	// that no chain proves is a claim, which AllowModels refuses and DenyModels cannot.
	AllowModels, DenyModels []AAGUID
	// AllowFormats, if there are any, are the only attestation formats allowed. "android-safetynet" never is: the service
	// has ended.
	AllowFormats []string
	// Attestation is which attestation is asked for; default ConveyDirect.
	Attestation Conveyance
	// SkipUserVerification lets passkeys be made and used without fingerprint, face or PIN: whoever holds the key is then
	// let in. Results say whether the user was verified, and no proof is given without.
	SkipUserVerification bool
	// AllowCrossOrigin allows use within frames of other sites. TopOrigins are the pages that may hold such frames; a
	// browser that names one that is not listed is refused.
	AllowCrossOrigin bool
	TopOrigins       []string
	// MaxBody is the most bytes of an answer that are looked at; default MaxBody, 4 KiB to 1 MiB.
	MaxBody int
	// Timeout is how long browsers are told to wait for the user; default 2 minutes. What counts on our side is the life
	// of the challenge.
	Timeout time.Duration
	// Now is the clock for certificates of trusted models, status and records; default time.Now. What go-webauthn checks
	// of a statement's own validity goes by the machine's clock.
	Now func() time.Time
}

// Challenges hands out one-time challenges with data beside them: *attest.Challenges does. A [Verifier] calls it; it must be
// safe for concurrent use. An error means that it could not tell. Texts are unpadded base64url of at least 16 bytes.
type Challenges interface {
	Issue(ctx context.Context, b attest.Binding, data []byte) (attest.Challenge, error)
	Redeem(ctx context.Context, text string, b attest.Binding) (attest.Redemption, []byte, error)
}

var _ Challenges = (*attest.Challenges)(nil)

// Verifier makes and verifies WebAuthn ceremonies: registration of passkeys, and login by them. Each ceremony is one
// challenge, redeemed once. It is safe for concurrent use.
type Verifier struct {
	rp          RelyingParty
	web         *webauthn.WebAuthn
	challenges  Challenges
	store       CredentialStore
	editor      CredentialEditor
	trust       TrustSource
	revocations androidkey.Revocations
	android     *androidkey.Verifier // for its walk of chains
	minLevel    Level
	o           Options
	now         func() time.Time
}

// New makes a Verifier for one site over challenges and a store of credentials.
func New(rp RelyingParty, challenges Challenges, store CredentialStore, opts *Options) (*Verifier, error) {
	v := &Verifier{rp: rp, challenges: challenges, store: store}
	v.rp.Origins = slices.Clone(rp.Origins)
	if opts != nil {
		v.o = *opts
	}
	switch {
	case challenges == nil:
		return nil, errors.New("passkey: no challenges; attest.NewChallenges makes them over a store")
	case store == nil:
		return nil, errors.New("passkey: no credential store; NewMemory makes one for a single process")
	case rp.Name == "":
		return nil, errors.New("passkey: the site needs a name that authenticators can show")
	case len(rp.Origins) == 0:
		return nil, errors.New("passkey: no origins: every ceremony would be refused")
	}
	for _, o := range rp.Origins {
		if err := checkOrigin(o, rp.ID); err != nil {
			return nil, err
		}
	}
	if err := v.o.fill(); err != nil {
		return nil, err
	}
	v.editor, _ = store.(CredentialEditor)
	v.trust, v.revocations, v.minLevel, v.now = v.o.Trust, v.o.Revocations, v.o.MinLevel, v.o.Now
	required := protocol.VerificationRequired
	if v.o.SkipUserVerification {
		required = protocol.VerificationPreferred
	}
	timeout := webauthn.TimeoutConfig{Timeout: v.o.Timeout, TimeoutUVD: v.o.Timeout}
	// The walk of chains asks for no app, and judge for the revocation list.
	browser := []androidkey.App{{Package: "browser", Signers: [][]byte{make([]byte, sha256.Size)}}}
	var err error
	if v.android, err = androidkey.New(browser, nil, &androidkey.Options{Now: v.now, SkipRevocation: true}); err != nil {
		return nil, fmt.Errorf("passkey: chains of Android's keystore: %w", err)
	}
	v.web, err = webauthn.New(&webauthn.Config{
		RPID: rp.ID, RPDisplayName: rp.Name, RPOrigins: v.rp.Origins,
		RPAllowCrossOrigin: v.o.AllowCrossOrigin, RPTopOrigins: v.o.TopOrigins,
		AttestationPreference: protocol.ConveyancePreference(v.o.Attestation),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			UserVerification: required, ResidentKey: protocol.ResidentKeyRequirementPreferred,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Metadata is not passed on: trust is decided here, and a model revoked later must not lock its users out.
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return v, nil
}

func (o *Options) fill() error {
	if o.MinLevel == 0 {
		o.MinLevel = L1
	}
	if o.Least == 0 {
		o.Least = Unknown
	}
	if o.Attestation == "" {
		o.Attestation = ConveyDirect
	}
	if o.MaxBody == 0 {
		o.MaxBody = MaxBody
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.AllowModels, o.DenyModels = slices.Clone(o.AllowModels), slices.Clone(o.DenyModels)
	o.AllowFormats, o.TopOrigins = slices.Clone(o.AllowFormats), slices.Clone(o.TopOrigins)
	switch {
	case o.MinLevel > L3Plus:
		return fmt.Errorf("passkey: MinLevel %d is no level", o.MinLevel)
	case o.Least > Certified:
		return fmt.Errorf("passkey: Least %d is no trust", o.Least)
	case !slices.Contains([]Conveyance{ConveyDirect, ConveyNone, ConveyIndirect, ConveyEnterprise}, o.Attestation):
		return fmt.Errorf("passkey: Attestation %q; it must be direct, none, indirect or enterprise", o.Attestation)
	case o.MaxBody < 4<<10 || o.MaxBody > 1<<20:
		return fmt.Errorf("passkey: MaxBody is %d; it must be from 4 KiB to 1 MiB, or 0 for %d", o.MaxBody, MaxBody)
	case o.Timeout < time.Second:
		return fmt.Errorf("passkey: Timeout is %v; it must be at least a second, or 0 for 2 minutes", o.Timeout)
	case slices.Contains(o.AllowModels, AAGUID{}), slices.Contains(o.DenyModels, AAGUID{}):
		return errors.New("passkey: the zero AAGUID names no model")
	case len(o.TopOrigins) > 0 && !o.AllowCrossOrigin:
		return errors.New("passkey: TopOrigins without AllowCrossOrigin allow nothing")
	case slices.Contains(o.AllowFormats, string(protocol.AttestationFormatAndroidSafetyNet)):
		return errors.New("passkey: android-safetynet cannot be allowed: the service has ended")
	}
	return nil
}

// checkOrigin wants an origin in the one spelling browsers use, of the site or below it.
func checkOrigin(origin, id string) error {
	if strings.HasPrefix(origin, "android:apk-key-hash:") {
		if sum, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(origin, "android:apk-key-hash:")); err != nil || len(sum) != 32 {
			return errors.New("passkey: an app's origin is android:apk-key-hash: and the SHA-256 of its certificate in base64url")
		}
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || origin != strings.ToLower(origin) {
		return fmt.Errorf("passkey: origin %.100q must be scheme and host, and port if any, as browsers write them: \"https://example.com\"", origin)
	}
	host := u.Hostname()
	if u.Scheme != "https" && (u.Scheme != "http" || host != "localhost" && !strings.HasSuffix(host, ".localhost")) {
		return fmt.Errorf("passkey: origin %.100q: browsers have passkeys on https, and on http for localhost, only", origin)
	}
	if host != id && !strings.HasSuffix(host, "."+id) {
		return fmt.Errorf("passkey: origin %.100q is not of %.100q: no browser would use its passkeys there", origin, id)
	}
	return nil
}

// Site returns the relying party's id.
func (v *Verifier) Site() string { return v.rp.ID }

package playintegrity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// Options of a Verifier. The zero value and nil mean the defaults.
type Options struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// MaxAge is how old a token may be; default 10 minutes, at most 24 hours. Skew is how far ahead Google's clock may be;
	// default 1 minute.
	MaxAge, Skew time.Duration
	// RequireStrong asks for MEETS_STRONG_INTEGRITY on devices of at least StrongSDK (default 33, Android 13: below, the
	// label says nothing of updates). Default: MEETS_DEVICE_INTEGRITY or better.
	RequireStrong bool
	StrongSDK     int
	// MinVersion is the least versionCode of the app; default 0, any.
	MinVersion int64
	// Licensing says what is made of the licence; default RequireLicensed.
	Licensing Licensing
	// RefuseRecall refuses devices with these recall bits set; default none.
	RefuseRecall [3]bool
	// RefuseRisk refuses what [Payload.Risk] puts at it or above; default 0, none: the risk goes into the verdict.
	RefuseRisk float64
	// InsecureAllowBasic accepts MEETS_BASIC_INTEGRITY: devices with an unlocked boot loader, where any app can be changed.
	InsecureAllowBasic bool
	// InsecureAllowVirtual accepts MEETS_VIRTUAL_INTEGRITY alone: emulators.
	InsecureAllowVirtual bool
	// InsecureAllowTest accepts test responses: whoever is a tester of the app chooses what they say.
	InsecureAllowTest bool
}

// Verifier judges tokens of one app. It is an [attest.Verifier]. It never decodes a token twice: it remembers the hashes of
// the last ones. It is safe for concurrent use.
type Verifier struct {
	pkg     string
	digests [][]byte
	decoder Decoder
	opts    Options
	once    once
}

var _ attest.Verifier = (*Verifier)(nil)

// New makes a Verifier for a package. digests are SHA-256, 32 bytes each, of the certificates the app may be signed with.
func New(pkg string, digests [][]byte, d Decoder, opts *Options) (*Verifier, error) {
	v := &Verifier{pkg: pkg, decoder: d}
	if opts != nil {
		v.opts = *opts
	}
	o := &v.opts
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxAge == 0 {
		o.MaxAge = 10 * time.Minute
	}
	if o.Skew == 0 {
		o.Skew = time.Minute
	}
	if o.StrongSDK == 0 {
		o.StrongSDK = 33
	}
	if err := checkPackage(pkg); err != nil {
		return nil, err
	}
	switch {
	case d == nil:
		return nil, errors.New("playintegrity: no decoder: NewEndpoint asks Google, NewLocal decrypts")
	case len(digests) == 0:
		return nil, errors.New("playintegrity: no certificate digests: anybody can sign an app of the same name")
	case o.MaxAge < 0 || o.MaxAge > 24*time.Hour || o.Skew < 0 || o.Skew > time.Hour:
		return nil, fmt.Errorf("playintegrity: MaxAge is %v and Skew %v; they must be positive, at most 24 hours and 1 hour", o.MaxAge, o.Skew)
	case o.Licensing > IgnoreLicensing:
		return nil, fmt.Errorf("playintegrity: Licensing %d is no way to judge licences", o.Licensing)
	case !(o.RefuseRisk >= 0 && o.RefuseRisk <= 1):
		return nil, errors.New("playintegrity: RefuseRisk must be from 0 to 1")
	}
	for i, d := range digests {
		if len(d) != sha256.Size {
			return nil, fmt.Errorf("playintegrity: digest %d has %d bytes, want 32 (SHA-256, not hex)", i, len(d))
		}
		v.digests = append(v.digests, append([]byte(nil), d...))
	}
	return v, nil
}

// The bounds of what a request carries (Google, "Classic" and "Standard" requests).
const (
	minNonce = 16
	maxNonce = 500 // encoded
	maxHash  = 500
)

// Classic judges the token of a classic request made with nonce: 16 bytes or more, used once. The error is an
// [attest.StepError], or says that the decoder could not tell. The steps in their order: nonce, size, replay, those of the
// decoder (decrypt, signature, decode), payload, package, request, time, test, app, certificate, version, device,
// licensing, recall, risk.
func (v *Verifier) Classic(ctx context.Context, token string, nonce []byte) (*Payload, error) {
	if len(nonce) < minNonce || base64.URLEncoding.EncodedLen(len(nonce)) > maxNonce {
		return nil, refusal("nonce", attest.ErrNonce)
	}
	return v.verify(ctx, token, func(r *RequestDetails) bool {
		return r.RequestHash == "" && subtle.ConstantTimeCompare(decodeNonce(r.Nonce), nonce) == 1
	}, nil)
}

// decodeNonce reads a nonce in URL-safe base64, padded or not; nil when it is none.
func decodeNonce(s string) []byte {
	if len(s) > maxNonce {
		return nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(trimPadding(s))
	if err != nil {
		return nil
	}
	return raw
}

// Standard judges the token of a standard request made with requestHash, 1 to 500 bytes, compared as it is. Errors are those
// of Classic. Google itself makes sure that a token counts once.
func (v *Verifier) Standard(ctx context.Context, token, requestHash string) (*Payload, error) {
	if requestHash == "" || len(requestHash) > maxHash {
		return nil, refusal("nonce", attest.ErrNonce)
	}
	return v.verify(ctx, token, func(r *RequestDetails) bool {
		return r.Nonce == "" && subtle.ConstantTimeCompare([]byte(r.RequestHash), []byte(requestHash)) == 1
	}, nil)
}

func (v *Verifier) verify(ctx context.Context, token string, ours func(*RequestDetails) bool, t *trace) (*Payload, error) {
	if len(token) == 0 || len(token) > MaxToken {
		return nil, refusal("size", attest.ErrTooLarge)
	}
	t.pass("size")
	key := sha256.Sum256([]byte(token))
	if !v.once.first(key) {
		return nil, refusal("replay", attest.ErrReplay)
	}
	t.pass("replay")
	raw, err := v.decoder.Decode(ctx, token)
	if err != nil {
		if _, unsent := errors.AsType[*UnsentError](err); unsent {
			v.once.forget(key)
		}
		return nil, err
	}
	t.pass("decode")
	return v.judge(raw, ours, t)
}

// judge holds a payload against request and policy, requestDetails first, as Google advises.
func (v *Verifier) judge(raw []byte, ours func(*RequestDetails) bool, t *trace) (*Payload, error) {
	p, err := ParsePayload(raw)
	if err != nil {
		return nil, refusal("payload", err)
	}
	t.pass("payload")
	t.sayPayload(p)
	risk, _ := p.Risk()
	age := v.opts.Now().Sub(p.Request.Time)
	for _, s := range [...]struct {
		name string
		ok   bool
		err  error
	}{
		{"package", p.Request.Package == v.pkg, attest.ErrAppIdentity},
		{"request", ours(&p.Request), attest.ErrNonce},
		{"time", !p.Request.Time.IsZero() && age <= v.opts.MaxAge && age >= -v.opts.Skew, attest.ErrExpired},
		{"test", !p.Test || v.opts.InsecureAllowTest, attest.ErrTest},
	} {
		if !s.ok {
			return nil, refusal(s.name, s.err)
		}
		t.pass(s.name)
	}
	for _, s := range [...]struct {
		name string
		err  error
	}{
		{"app", v.app(p)},
		{"certificate", v.certificate(p)},
		{"version", when(v.opts.MinVersion > 0 && p.App.Version < v.opts.MinVersion, attest.ErrPolicy)},
		{"device", v.device(p)},
		{"licensing", v.licensing(p)},
		{"recall", v.recall(p)},
		{"risk", when(v.opts.RefuseRisk > 0 && risk >= v.opts.RefuseRisk, attest.ErrPolicy)},
	} {
		if s.err != nil {
			return nil, refusal(s.name, s.err)
		}
		t.pass(s.name)
	}
	return p, nil
}

func when(bad bool, err error) error {
	if bad {
		return err
	}
	return nil
}

// app: Google evaluates the app only on a device it trusts. An app that was not evaluated is not recognised.
func (v *Verifier) app(p *Payload) error {
	switch {
	case p.App.Verdict == UnrecognizedVersion:
		return attest.ErrTampered
	case p.App.Verdict != Recognized:
		// No verdict on the app because of the device: say what is wrong with that.
		if err := v.device(p); err != nil {
			return err
		}
		return attest.ErrPolicy
	case p.App.Package != v.pkg:
		return attest.ErrAppIdentity
	}
	return nil
}

// NonceFor is the nonce of a classic request: the 32 bytes of the challenge's text, or with a message the SHA-256 of
// [attest.ClientData]. Apps pass it in URL-safe base64, which without a message is the text itself.
func NonceFor(challenge string, message []byte) []byte {
	if len(message) == 0 {
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err == nil {
			return raw
		}
	}
	sum := attest.ClientDataHash(challenge, message)
	return sum[:]
}

// RequestHashFor is the requestHash of a standard request: SHA-256 of [attest.ClientData] in unpadded base64url.
func RequestHashFor(challenge string, message []byte) string {
	sum := attest.ClientDataHash(challenge, message)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verify implements attest.Verifier for the kinds classic (or none) and standard. Google vouches for the device, nothing of
// its hardware is checked here: a verdict is worth Software at most.
func (v *Verifier) Verify(ctx context.Context, in attest.Request) (attest.Verdict, error) {
	r := in.Response
	var p *Payload
	var err error
	switch r.Kind {
	case "", attest.KindClassic:
		p, err = v.Classic(ctx, string(r.Data), NonceFor(r.Challenge, r.Message))
	case attest.KindStandard:
		p, err = v.Standard(ctx, string(r.Data), RequestHashFor(r.Challenge, r.Message))
	default:
		err = refusal("kind", attest.ErrMalformed)
	}
	if err != nil {
		verdict, ok := attest.Refused(attest.PlayIntegrity, err)
		if !ok {
			return attest.Verdict{}, err
		}
		return verdict, nil
	}
	risk, reasons := p.Risk()
	return attest.Verdict{
		Platform: attest.PlayIntegrity, Outcome: attest.Passed, Claimed: attest.Software, GenuineApp: true,
		Risk: risk, Reasons: reasons,
	}, nil
}

// mostOnce is how many tokens are remembered. What is forgotten is told apart by its nonce, its age, or Google.
const mostOnce = 1 << 16

// once remembers tokens that were given to the decoder, the latest mostOnce of them.
type once struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]struct{} // guarded by mu
	ring [][sha256.Size]byte            // guarded by mu: in their order
	next int                            // guarded by mu
}

func (o *once) first(key [sha256.Size]byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.seen[key]; ok {
		return false
	}
	if o.seen == nil {
		o.seen = map[[sha256.Size]byte]struct{}{}
	}
	o.seen[key] = struct{}{}
	if len(o.ring) < mostOnce {
		o.ring = append(o.ring, key)
		return true
	}
	delete(o.seen, o.ring[o.next])
	o.ring[o.next] = key
	o.next = (o.next + 1) % mostOnce
	return true
}

func (o *once) forget(key [sha256.Size]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, key)
}

package passkey_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

type vector struct {
	ID           string `json:"id"`
	RPID         string `json:"rpId"`
	Origin       string `json:"origin"`
	TopOrigin    string `json:"topOrigin"`
	Optional     any    `json:"optional"`
	Registration struct {
		Challenge         string `json:"challenge"`
		ClientDataJSON    string `json:"clientDataJSON"`
		AttestationObject string `json:"attestationObject"`
	} `json:"registration"`
	Authentication *struct {
		Challenge         string `json:"challenge"`
		ClientDataJSON    string `json:"clientDataJSON"`
		AuthenticatorData string `json:"authenticatorData"`
		Signature         string `json:"signature"`
	} `json:"authentication"`
	Facts struct {
		AAGUID string   `json:"aaguid"`
		X5C    []string `json:"x5c"`
	} `json:"facts"`
	Expected struct {
		Ceremony         string    `json:"ceremony"`
		Reason           string    `json:"refuse_reason"`
		Type             string    `json:"attestation_type"`
		Hardware         bool      `json:"hardware"`
		HardwareWithRoot *bool     `json:"hardware_with_root"`
		EvaluateAt       time.Time `json:"evaluate_at"`
		NeedsClock       bool      `json:"needs_clock"`
		CeremonyCross    string    `json:"ceremony_cross_origin_allowed"`
		LoginCross       string    `json:"authentication_cross_origin_allowed"`
		Authentication   string    `json:"authentication"`
	} `json:"expected"`

	revocations androidkey.Revocations
}

// listed says of every certificate that it is revoked, or not, or that it could not tell.
type listed struct {
	hit bool
	err error
}

func (l listed) Lookup(context.Context, []string) (androidkey.Entry, bool, error) {
	return androidkey.Entry{Status: "REVOKED"}, l.hit, l.err
}

// android checks what Google's list does to a genuine key: on it, not on it, not to be had.
func (v *vector) android(t *testing.T) {
	v.revocations = listed{hit: true}
	r, _ := v.play(t, nil, false)
	requireRefused(t, r, attest.Revoked, passkey.StepTrust)
	v.revocations = listed{}
	r, _ = v.play(t, nil, false)
	require.Equal(t, passkey.Hardware, r.Judged.Trust)
	require.GreaterOrEqual(t, r.Verdict.Strength(), attest.TEE, "chain, root and status were checked")
	v.revocations = listed{err: errDown}
	r, _ = v.play(t, nil, false)
	requirePassed(t, r)
	require.LessOrEqual(t, r.Verdict.Strength(), attest.Software, "an outage locks nobody out and proves nothing")
	v.revocations = listed{}
	if renewed := strings.Contains(strings.Join(v.Facts.X5C, ""), "Droid CA"); renewed {
		late := *v
		late.Expected.EvaluateAt = v.Expected.EvaluateAt.AddDate(1, 0, 0)
		r, _ = late.play(t, nil, false)
		requirePassed(t, r)
		require.Equal(t, passkey.Software, r.Judged.Trust, "what telephones renew is over a year later")
		require.Contains(t, r.Judged.Reasons, "expired")
	}
	v.revocations = nil
}

// fixedChallenges redeem the challenge of a vector: it was made by somebody else, long ago. What is kept beside ours is kept
// beside theirs.
type fixedChallenges struct{ data []byte }

func (f *fixedChallenges) Issue(_ context.Context, _ attest.Binding, data []byte) (attest.Challenge, error) {
	f.data = data
	return attest.Challenge{Text: "AAAAAAAAAAAAAAAAAAAAAA", Expires: time.Now().Add(time.Minute)}, nil
}

func (f *fixedChallenges) Redeem(context.Context, string, attest.Binding) (attest.Redemption, []byte, error) {
	data := f.data
	f.data = nil
	if data == nil {
		return attest.Spent, nil, nil
	}
	return attest.Redeemed, data, nil
}

func vectorFiles(t *testing.T, pattern string) []string {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no folder of vectors")
	}
	files, err := filepath.Glob(filepath.Join(dir, "webauthn", pattern))
	require.NoError(t, err)
	return files
}

// steps maps the reasons of the vectors onto the steps that may refuse for them.
var steps = map[string][]string{
	"challenge-too-short":      {passkey.StepChallenge, passkey.StepAttestation},
	"algorithm-not-offered":    {passkey.StepAlgorithm},
	"untrusted-root":           {passkey.StepAttestation},
	"tpm-manufacturer-unknown": {passkey.StepAttestation},
	"cross-origin-not-allowed": {passkey.StepCrossOrigin},
	"malformed-client-data":    {passkey.StepFormat},
}

func TestVectors(t *testing.T) { eachVector(t, (*vector).run) }

func eachVector(t *testing.T, test func(v *vector, t *testing.T)) {
	for _, file := range vectorFiles(t, "*.json") {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var f struct {
			Vectors []json.RawMessage `json:"vectors"`
		}
		require.NoError(t, json.Unmarshal(raw, &f))
		for _, one := range f.Vectors {
			var v vector
			require.NoError(t, json.Unmarshal(one, &v))
			t.Run(filepath.Base(file)+"/"+v.ID, func(t *testing.T) {
				if v.Optional != nil && v.Optional != false {
					t.Skipf("optional: %v", v.Optional)
				}
				if v.Expected.NeedsClock {
					synctest.Test(t, func(t *testing.T) {
						time.Sleep(time.Until(v.Expected.EvaluateAt))
						test(&v, t)
					})
					return
				}
				test(&v, t)
			})
		}
	}
}

func (v *vector) run(t *testing.T) {
	r, login := v.play(t, nil, false)
	if v.Expected.Ceremony == "refuse" {
		require.NotEqual(t, attest.Passed, r.Verdict.Outcome)
		require.Contains(t, steps[v.Expected.Reason], r.Verdict.Step())
	} else {
		v.accepted(t, r, v.Expected.Hardware)
	}
	if v.Expected.Hardware && r.Judged.Format == "android-key" {
		v.android(t)
	}
	if v.Expected.Authentication == "accept" {
		require.Equal(t, attest.Passed, login.Verdict.Outcome, login.Verdict.Reasons)
	}
	if v.Expected.CeremonyCross != "" {
		r, login := v.play(t, nil, true)
		require.Equal(t, v.Expected.CeremonyCross == "accept", r.Passed(), r.Verdict.Reasons)
		require.Equal(t, v.Expected.LoginCross == "accept", login.Passed(), "%+v", login)
	}
	if v.Expected.HardwareWithRoot != nil && v.Expected.Ceremony == "accept" {
		r, _ := v.play(t, v.root(t), false)
		v.accepted(t, r, *v.Expected.HardwareWithRoot)
	}
}

func (v *vector) accepted(t *testing.T, r *passkey.Result, hardware bool) {
	require.Equal(t, attest.Passed, r.Verdict.Outcome, r.Verdict.Reasons)
	require.Equal(t, v.Expected.Type, r.Judged.Type)
	require.Equal(t, hardware, r.Judged.Trust >= passkey.Hardware, "%+v", r.Judged)
	if !hardware {
		require.LessOrEqual(t, r.Verdict.Strength(), attest.Software)
	}
}

// root is the W3C root as the metadata of the vector's model.
func (v *vector) root(t *testing.T) passkey.TrustSource {
	files := vectorFiles(t, "w3c-l3-attestation-root.json")
	require.NotEmpty(t, files, "hardware_with_root needs the root beside the vectors")
	raw, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var f struct {
		DER []byte `json:"der_base64"`
	}
	require.NoError(t, json.Unmarshal(raw, &f))
	root, err := x509.ParseCertificate(f.DER)
	require.NoError(t, err)
	m := &passkey.Model{Roots: []*x509.Certificate{root}, Strength: attest.TEE}
	return passkey.TrustSourceFunc(func(_ context.Context, k passkey.AttestedKey) (*passkey.Model, bool, error) {
		return m, k.AAGUID.String() == v.Facts.AAGUID || k.AAGUID.IsZero(), nil
	})
}

// play runs a vector's registration and, if that passes, its login.
func (v *vector) play(t *testing.T, trust passkey.TrustSource, cross bool) (reg, login *passkey.Result) {
	ctx := context.Background()
	challenges := &fixedChallenges{}
	creds, err := passkey.NewMemory(nil)
	require.NoError(t, err)
	opts := &passkey.Options{
		Trust: trust, SkipUserVerification: true, AllowCrossOrigin: cross,
		Now: func() time.Time { return v.Expected.EvaluateAt }, Revocations: v.revocations,
	}
	if cross && v.TopOrigin != "" {
		opts.TopOrigins = []string{v.TopOrigin}
	}
	p, err := passkey.New(passkey.RelyingParty{ID: v.RPID, Name: "Test", Origins: []string{v.Origin}}, challenges, creds, opts)
	require.NoError(t, err)
	scope := passkey.Scope{Account: "ann"}
	_, err = p.BeginRegistration(ctx, scope, passkey.User{})
	require.NoError(t, err)
	object, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(v.Registration.AttestationObject, "="))
	require.NoError(t, err)
	id := credentialID(object, v.RPID)
	reg, err = p.FinishRegistration(ctx, scope, body(t, id, map[string]any{
		"clientDataJSON": v.Registration.ClientDataJSON, "attestationObject": v.Registration.AttestationObject,
	}))
	require.NoError(t, err)
	if !reg.Passed() || v.Authentication == nil {
		return reg, nil
	}
	_, err = p.BeginLogin(ctx, scope)
	require.NoError(t, err)
	login, err = p.FinishLogin(ctx, scope, body(t, id, map[string]any{
		"clientDataJSON": v.Authentication.ClientDataJSON, "authenticatorData": v.Authentication.AuthenticatorData,
		"signature": v.Authentication.Signature,
	}))
	require.NoError(t, err)
	return reg, login
}

func body(t *testing.T, id []byte, response map[string]any) []byte {
	text := base64.RawURLEncoding.EncodeToString(id)
	raw, err := json.Marshal(map[string]any{"id": text, "rawId": text, "type": "public-key", "response": response})
	require.NoError(t, err)
	return raw
}

// credentialID finds the credential id: behind the hash of the site, flags, counter and AAGUID.
func credentialID(object []byte, rpID string) []byte {
	sum := sha256.Sum256([]byte(rpID))
	at := strings.Index(string(object), string(sum[:]))
	if at < 0 || len(object) < at+55 {
		return []byte{0}
	}
	n := int(object[at+53])<<8 | int(object[at+54])
	return object[at+55 : min(at+55+n, len(object))]
}

func TestVectorsMetadata(t *testing.T) {
	for _, file := range vectorFiles(t, "mds3-*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var v struct {
				Root     []byte `json:"root_der_base64"`
				BLOB     string `json:"blob_jwt"`
				Expected struct {
					Example    string    `json:"with_example_root"`
					Production string    `json:"with_production_root"`
					Flipped    string    `json:"any_flipped_payload_byte"`
					Stale      bool      `json:"stale"`
					EvaluateAt time.Time `json:"evaluate_at"`
				} `json:"expected"`
			}
			require.NoError(t, json.Unmarshal(raw, &v))
			root, err := x509.ParseCertificate(v.Root)
			require.NoError(t, err)
			load := func(roots []*x509.Certificate, blob string) (*passkey.MDS, error) {
				m, err := passkey.NewMDS(&passkey.MDSOptions{Roots: roots, Now: func() time.Time { return v.Expected.EvaluateAt }})
				require.NoError(t, err)
				return m, m.Load([]byte(blob))
			}
			m, err := load([]*x509.Certificate{root}, v.BLOB)
			require.Equal(t, v.Expected.Example == "accept", m.Status().Number > 0)
			require.Equal(t, v.Expected.Stale, m.Status().Stale)
			if v.Expected.Stale {
				require.ErrorIs(t, err, passkey.ErrBLOBStale)
			} else {
				require.NoError(t, err)
			}
			m, err = load(nil, v.BLOB)
			require.Equal(t, v.Expected.Production == "accept", m.Status().Number > 0)
			require.ErrorIs(t, err, passkey.ErrBLOBSigner)
			from, to := strings.Index(v.BLOB, ".")+1, strings.LastIndex(v.BLOB, ".")
			for i := from; i < to; i += 97 {
				other := byte('A')
				if v.BLOB[i] == other {
					other = 'B'
				}
				m, err = load([]*x509.Certificate{root}, v.BLOB[:i]+string(other)+v.BLOB[i+1:])
				require.Equal(t, v.Expected.Flipped == "accept", m.Status().Number > 0)
				require.Error(t, err)
			}
		})
	}
}

package attesttest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
)

const (
	team      = "ABCDE12345"
	bundle    = "com.example.app"
	pkg       = "com.example.app"
	origin    = "https://example.com"
	challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

var (
	ctx    = context.Background()
	hash   = attest.ClientDataHash(challenge, nil)
	signer = bytes.Repeat([]byte{5}, 32)
)

// makers are a virtual Apple, Google and FIDO Alliance, and verifiers that trust them, or, production, only the real ones.
type makers struct {
	apple  *attesttest.Apple
	google *attesttest.Google
	fido   *attesttest.FIDO
	model  *attesttest.FIDOModel
	status *attesttest.StatusServer

	apples   *appattest.Verifier
	androids *androidkey.Verifier
	play     func() *playintegrity.Verifier
	mds      *passkey.MDS
	site     *passkey.Verifier
}

func newMakers(t testing.TB, production bool) *makers {
	m := &makers{apple: attesttest.NewApple(nil), google: attesttest.NewGoogle(nil), fido: attesttest.NewFIDO(nil)}
	m.model = m.fido.NewModel("Certified key", "FIDO_CERTIFIED_L2")
	m.status = m.google.StatusServer()
	server := httptest.NewServer(m.status)
	t.Cleanup(server.Close)
	list, err := androidkey.NewRevocationList(&androidkey.ListOptions{URL: server.URL})
	require.NoError(t, err)

	var apple, google, fido []*x509.Certificate
	playKeys := m.google
	if production {
		playKeys = attesttest.NewGoogle(nil) // whoever has the console of another app
	} else {
		apple, google, fido = m.apple.Roots(), m.google.Roots(), m.fido.Roots()
	}
	var apps []appattest.App
	for _, a := range []appattest.App{
		{BundleID: bundle, Environment: appattest.Production, Categories: appattest.OnlyOrMissing(appattest.AppStore)},
		{BundleID: bundle, Environment: appattest.Development, Categories: appattest.OnlyOrMissing(appattest.Developer)},
		{BundleID: bundle + ".Clip", Environment: appattest.Production, Categories: appattest.Only(appattest.AppStore)},
		{BundleID: "com.example.mac", Environment: appattest.Production, System: appattest.MacOS, Categories: appattest.Only(appattest.DeveloperID)},
	} {
		a.TeamID = team
		apps = append(apps, a)
	}
	m.apples, err = appattest.New(apps, &appattest.Options{InsecureTestRoots: apple})
	require.NoError(t, err)
	m.androids, err = androidkey.New([]androidkey.App{{Package: pkg, Signers: [][]byte{signer}}}, list, &androidkey.Options{InsecureTestRoots: google})
	require.NoError(t, err)
	m.play = func() *playintegrity.Verifier {
		aes, verify, _ := playKeys.PlayKeys()
		local, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: aes, Verification: verify}}, nil)
		require.NoError(t, err)
		v, err := playintegrity.New(pkg, [][]byte{signer}, local, nil)
		require.NoError(t, err)
		return v
	}
	m.mds, err = passkey.NewMDS(&passkey.MDSOptions{Roots: fido})
	require.NoError(t, err)
	challenges, err := attest.NewMemoryChallenges(nil)
	require.NoError(t, err)
	ceremonies, err := attest.NewChallenges(challenges, nil)
	require.NoError(t, err)
	store, err := passkey.NewMemory(nil)
	require.NoError(t, err)
	m.site, err = passkey.New(passkey.RelyingParty{ID: "example.com", Name: "Example", Origins: []string{origin}}, ceremonies, store,
		&passkey.Options{Trust: m.mds})
	require.NoError(t, err)
	return m
}

func step(err error) string {
	v, ok := attest.Refused("", err)
	if !ok {
		return ""
	}
	return v.Step()
}

func (m *makers) phones() map[string]*attesttest.IPhone {
	with := func(id string, o attesttest.IPhoneOptions) *attesttest.IPhone { return m.apple.IPhone(team, id, &o) }
	return map[string]*attesttest.IPhone{
		"iPhone before iOS 27": m.apple.IPhone(team, bundle, nil),
		"iPhone, iOS 27":       with(bundle, attesttest.IPhoneOptions{Extensions: true, Category: 4, BundleVersion: "7", ED: true}),
		"developer's":          with(bundle, attesttest.IPhoneOptions{Development: true, Extensions: true, Category: 3}),
		"App Clip":             with(bundle+".Clip", attesttest.IPhoneOptions{Extensions: true, Category: 4}),
		"Mac":                  with("com.example.mac", attesttest.IPhoneOptions{Extensions: true, Category: 6, Mac: true}),
	}
}

func TestAppleDevices(t *testing.T) {
	m, production := newMakers(t, false), newMakers(t, true)
	for name, phone := range m.phones() {
		t.Run(name, func(t *testing.T) {
			k := phone.NewKey()
			object := k.Attest(hash[:], nil)
			a, err := m.apples.Attestation(object, k.ID, hash[:])
			require.NoError(t, err)
			key := appattest.Key{AppID: a.AppID, Environment: a.Environment, PublicKey: a.PublicKey}
			for n := range uint32(2) {
				s, err := m.apples.Assertion(key, k.Assert(hash[:], nil), hash[:])
				require.NoError(t, err)
				require.Equal(t, n+1, s.Counter)
			}
			_, err = m.apples.Receipt(a.Receipt, key)
			require.NoError(t, err)
			r, err := m.apples.Receipt(k.Receipt(3, nil), key)
			require.NoError(t, err)
			require.Equal(t, 3, *r.RiskMetric)

			_, err = production.apples.Attestation(object, k.ID, hash[:])
			require.Equal(t, "chain", step(err))
			_, err = production.apples.Receipt(a.Receipt, key)
			require.Equal(t, "chain", step(err))
		})
	}
}

// Every hook makes what is refused at the step that it is about.
func TestAppleForge(t *testing.T) {
	m := newMakers(t, false)
	stranger := attesttest.NewApple(nil)
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }
	for name, row := range map[string]struct {
		forge attesttest.AppleForge
		step  string
	}{
		"AuthData": {attesttest.AppleForge{AuthData: func(d []byte) []byte { d[36] = 1; return d }}, "counter"},
		"Leaf":     {attesttest.AppleForge{Leaf: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }}, "chain"},
		"Nonce":    {attesttest.AppleForge{Nonce: flip}, "nonce"},
		"Issuer":   {attesttest.AppleForge{Issuer: &stranger.Intermediate}, "chain"},
		"Chain":    {attesttest.AppleForge{Chain: func(c [][]byte) [][]byte { return c[:1] }}, "chain"},
		"Object":   {attesttest.AppleForge{Object: func(o map[string]any) { o["fmt"] = "none" }}, "format"},
		"Encoded":  {attesttest.AppleForge{Encoded: func(b []byte) []byte { return b[1:] }}, "decode"},
	} {
		k := m.apple.IPhone(team, bundle, nil).NewKey()
		_, err := m.apples.Attestation(k.Attest(hash[:], &row.forge), k.ID, hash[:])
		require.Equal(t, row.step, step(err), name)
	}
	zero := uint32(0)
	for name, row := range map[string]struct {
		forge attesttest.AppleForge
		step  string
	}{
		"SignHash":  {attesttest.AppleForge{SignHash: func(_, nonce []byte) []byte { return nonce }}, "signature"},
		"Signature": {attesttest.AppleForge{Signature: flip}, "signature"},
		"Counter":   {attesttest.AppleForge{Counter: &zero}, "counter"},
		"AuthData":  {attesttest.AppleForge{AuthData: func(d []byte) []byte { d[0] ^= 1; return d }}, "app"},
	} {
		k := m.apple.IPhone(team, bundle, nil).NewKey()
		key := appattest.Key{AppID: k.Phone.AppID, Environment: appattest.Production, PublicKey: &k.Key.PublicKey}
		_, err := m.apples.Assertion(key, k.Assert(hash[:], &row.forge), hash[:])
		require.Equal(t, row.step, step(err), name)
	}
	for name, row := range map[string]struct {
		forge attesttest.ReceiptForge
		step  string
	}{
		"Fields":     {attesttest.ReceiptForge{Fields: func(f map[int][]byte) { f[2] = []byte("X.y") }}, "app"},
		"Payload":    {attesttest.ReceiptForge{Payload: flip}, "payload"},
		"Signer":     {attesttest.ReceiptForge{Signer: &stranger.ReceiptSigner}, "chain"},
		"Certs":      {attesttest.ReceiptForge{Certs: m.apple.Roots()}, "chain"},
		"TwoSigners": {attesttest.ReceiptForge{TwoSigners: true}, "signer"},
		"Attributes": {attesttest.ReceiptForge{Attributes: true}, "signer"},
		"Encoded":    {attesttest.ReceiptForge{Encoded: func(b []byte) []byte { return b[:len(b)-1] }}, "decode"},
	} {
		k := m.apple.IPhone(team, bundle, nil).NewKey()
		key := appattest.Key{AppID: k.Phone.AppID, Environment: appattest.Production, PublicKey: &k.Key.PublicKey}
		_, err := m.apples.Receipt(k.Receipt(1, &row.forge), key)
		require.Equal(t, row.step, step(err), name)
	}
}

func TestAndroidDevices(t *testing.T) {
	m, production := newMakers(t, false), newMakers(t, true)
	for _, row := range []struct {
		name       string
		device     *attesttest.Android
		key, play  attest.Outcome
		keyStep    string
		production attest.Outcome // of its key, by who trusts no virtual roots
		strength   attest.Strength
		playStep   string
	}{
		{"Pixel", m.google.Pixel(pkg, signer), attest.Passed, attest.Passed, "", attest.Failed, attest.SecureElement, ""},
		{"telephone with a TEE", m.google.Android(pkg, signer, nil), attest.Passed, attest.Passed, "", attest.Failed, attest.TEE, ""},
		{"of the factory", m.google.Android(pkg, signer, &attesttest.AndroidOptions{Factory: true}), attest.Passed, attest.Passed, "", attest.Failed, attest.TEE, ""},
		{"emulator", m.google.EmulatorPhone(pkg, signer), attest.Emulator, attest.Emulator, "root", attest.Emulator, attest.None, "device"},
		{"rooted", m.google.RootedPhone(pkg, signer), attest.Tampered, attest.Tampered, "boot", attest.Failed, attest.None, "app"},
	} {
		t.Run(row.name, func(t *testing.T) {
			evidence := attest.Response{Challenge: challenge, Chain: row.device.Attest([]byte(challenge), nil).Chain}
			v, err := m.androids.Verify(ctx, attest.Request{Response: evidence})
			require.NoError(t, err)
			require.Equal(t, row.key, v.Outcome)
			require.Equal(t, row.strength, v.Strength())
			require.Equal(t, row.keyStep, v.Step())
			v, err = production.androids.Verify(ctx, attest.Request{Response: evidence})
			require.NoError(t, err)
			require.Equal(t, row.production, v.Outcome)
			require.Equal(t, "root", v.Step())

			token := row.device.PlayToken(playintegrity.NonceFor(challenge, nil), "", nil)
			v, err = m.play().Verify(ctx, attest.Request{Response: attest.Response{Challenge: challenge, Data: []byte(token)}})
			require.NoError(t, err)
			require.Equal(t, row.play, v.Outcome)
			require.Equal(t, row.playStep, v.Step())
			_, err = production.play().Classic(ctx, token, playintegrity.NonceFor(challenge, nil))
			require.Equal(t, "decrypt", step(err))
		})
	}
}

func TestAndroidForge(t *testing.T) {
	m := newMakers(t, false)
	stranger := attesttest.NewGoogle(nil).Pixel(pkg, signer)
	for name, row := range map[string]struct {
		forge attesttest.AndroidForge
		step  string
	}{
		"Description": {attesttest.AndroidForge{Description: func(d *attesttest.Description) { d.Challenge = nil }}, "challenge"},
		"DER":         {attesttest.AndroidForge{DER: func(d []byte) []byte { return d[:len(d)-1] }}, "description"},
		"Leaf":        {attesttest.AndroidForge{Leaf: func(c *x509.Certificate) { c.ExtraExtensions = nil }}, "positions"},
		"Issuer":      {attesttest.AndroidForge{Issuer: &stranger.Batch}, "names"},
		"Chain":       {attesttest.AndroidForge{Chain: func(c [][]byte) [][]byte { return c[1:] }}, "positions"},
	} {
		_, err := m.androids.Attestation(ctx, m.google.Pixel(pkg, signer).Attest([]byte(challenge), &row.forge).Chain, []byte(challenge))
		require.Equal(t, row.step, step(err), name)
	}
	nonce := playintegrity.NonceFor(challenge, nil)
	_, err := m.play().Classic(ctx, m.google.Pixel(pkg, signer).PlayToken(nonce, "", func(p map[string]any) { delete(p, "requestDetails") }), nonce)
	require.Equal(t, "package", step(err))
	_, err = m.play().Classic(ctx, m.google.EncryptPlay([]byte(`{"requestDetails":{}}`)), nonce)
	require.Equal(t, "signature", step(err))
}

// The servers answer as the real ones are described to.
func TestServers(t *testing.T) {
	m := newMakers(t, false)
	pixel := m.google.Pixel(pkg, signer)
	list := func() (bool, error) {
		server := httptest.NewServer(m.status)
		defer server.Close()
		l, err := androidkey.NewRevocationList(&androidkey.ListOptions{URL: server.URL})
		require.NoError(t, err)
		require.NoError(t, l.Refresh(ctx))
		require.NoError(t, l.Refresh(ctx), "what has not changed")
		_, listed, err := l.Lookup(ctx, []string{pixel.Batch.Cert.SerialNumber.Text(16)})
		return listed, err
	}
	for _, status := range []string{"", "REVOKED", "SUSPENDED", ""} {
		m.status.List(pixel.Batch.Cert, status)
		listed, err := list()
		require.NoError(t, err)
		require.Equal(t, status != "", listed)
	}
	require.Positive(t, m.status.Calls())

	play := m.google.PlayServer()
	server := httptest.NewServer(play)
	defer server.Close()
	e, err := playintegrity.NewEndpoint(pkg, func(context.Context) (string, error) { return "token", nil }, &playintegrity.EndpointOptions{BaseURL: server.URL})
	require.NoError(t, err)
	token := pixel.PlayToken(nil, "hash", nil)
	first, err := e.Decode(ctx, token)
	require.NoError(t, err)
	second, err := e.Decode(ctx, token)
	require.NoError(t, err)
	require.Contains(t, string(first), "MEETS_STRONG_INTEGRITY")
	require.NotContains(t, string(second), "MEETS_", "cleared")
	require.Equal(t, 2, play.Calls())

	k := m.apple.IPhone(team, bundle, nil).NewKey()
	receipts := m.apple.ReceiptServer(4, k)
	apple := httptest.NewServer(receipts)
	defer apple.Close()
	r, err := appattest.NewRefresher(appattest.Production, team, "KEYID", k.Key, &appattest.RefreshOptions{BaseURL: apple.URL})
	require.NoError(t, err)
	fresh, err := r.Refresh(ctx, k.Receipt(0, nil))
	require.NoError(t, err)
	got, err := m.apples.Receipt(fresh, appattest.Key{AppID: k.Phone.AppID, Environment: appattest.Production, PublicKey: &k.Key.PublicKey})
	require.NoError(t, err)
	require.Equal(t, 4, *got.RiskMetric)
	_, err = r.Refresh(ctx, m.apple.IPhone(team, bundle, nil).NewKey().Receipt(0, nil))
	require.ErrorIs(t, err, appattest.ErrNoData)
	require.Equal(t, 2, receipts.Calls())
}

func (m *makers) publish(t testing.TB, models []*attesttest.FIDOModel, f *attesttest.BLOBForge) error {
	return m.mds.Load(m.fido.BLOB(1, time.Now().Add(30*24*time.Hour), models, f))
}

func (m *makers) register(t testing.TB, a *attesttest.Authenticator, f *attesttest.FIDOForge) *passkey.Result {
	scope := passkey.Scope{Session: "s", Account: "ann"}
	task, err := m.site.BeginRegistration(ctx, scope, passkey.User{})
	require.NoError(t, err)
	options, err := json.Marshal(task.PublicKey)
	require.NoError(t, err)
	body, err := a.Create(origin, options, f)
	require.NoError(t, err)
	res, err := m.site.FinishRegistration(ctx, scope, body)
	require.NoError(t, err)
	if !res.Passed() {
		return res
	}
	if task, err = m.site.BeginLogin(ctx, scope); err == nil {
		options, err = json.Marshal(task.PublicKey)
	}
	require.NoError(t, err)
	body, err = a.Get(origin, options, nil)
	require.NoError(t, err)
	login, err := m.site.FinishLogin(ctx, scope, body)
	require.NoError(t, err)
	require.True(t, login.Passed(), "what was made can be used: %v", login.Verdict.Reasons)
	return res
}

func TestAuthenticators(t *testing.T) {
	m, production := newMakers(t, false), newMakers(t, true)
	u2fModel, tpmModel := m.fido.NewModel("U2F", "FIDO_CERTIFIED"), m.fido.NewModel("TPM", "FIDO_CERTIFIED_L1")
	u2f := m.fido.U2FKey(u2fModel)
	u2f.Flags |= attesttest.FlagUV
	models := []*attesttest.FIDOModel{m.model, u2fModel, tpmModel}
	require.NoError(t, m.publish(t, models, nil))
	require.ErrorIs(t, production.mds.Load(m.fido.BLOB(1, time.Now().Add(time.Hour), models, nil)), passkey.ErrBLOBSigner)
	for _, row := range []struct {
		name  string
		a     *attesttest.Authenticator
		trust passkey.Trust // with the virtual FIDO Alliance; none is worth anything without it
	}{
		{"security key", m.fido.SecurityKey(m.model), passkey.Certified},
		{"U2F key", u2f, passkey.Certified},
		{"TPM", m.fido.TPMPlatform(tpmModel), passkey.Certified},
		{"synced passkey", attesttest.SyncedPasskey(m.model.AAGUID), passkey.None},
		{"program", attesttest.SoftwareAuthenticator([16]byte{1}), passkey.Unknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			res := m.register(t, row.a, nil)
			require.True(t, res.Passed(), res.Verdict.Reasons)
			require.Equal(t, row.trust, res.Judged.Trust)
			res = production.register(t, row.a, nil)
			require.True(t, res.Passed(), res.Verdict.Reasons)
			require.Less(t, res.Judged.Trust, passkey.Software, "nobody vouches for it")
		})
	}
	res := m.register(t, attesttest.SoftwareAuthenticator(m.model.AAGUID), nil)
	require.Equal(t, passkey.StepTrust, res.Verdict.Step())
	for name, a := range map[string]*attesttest.Authenticator{
		"keystore": m.google.Pixel(pkg, signer).Keystore(), "enclave": m.apple.Enclave(),
	} {
		res := m.register(t, a, nil)
		require.Equal(t, passkey.StepAttestation, res.Verdict.Step(), name)
	}
}

func TestFIDOForge(t *testing.T) {
	m := newMakers(t, false)
	for name, row := range map[string]struct {
		forge attesttest.FIDOForge
		step  string
	}{
		"ClientData": {attesttest.FIDOForge{ClientData: func(d map[string]any) { d["origin"] = "https://example.com.evil" }}, passkey.StepOrigin},
		"ClientText": {attesttest.FIDOForge{ClientText: func([]byte) []byte { return []byte("{") }}, passkey.StepFormat},
		"AuthData":   {attesttest.FIDOForge{AuthData: func(d []byte) []byte { d[0] ^= 1; return d }}, passkey.StepRPID},
		"Statement":  {attesttest.FIDOForge{Statement: func(s map[string]any) { s["alg"] = -257 }}, passkey.StepAttestation},
		"Object":     {attesttest.FIDOForge{Object: func(o map[string]any) { o["fmt"] = "none" }}, passkey.StepAttestation},
		"Encoded":    {attesttest.FIDOForge{Encoded: func(b []byte) []byte { return b[1:] }}, passkey.StepFormat},
		"Response":   {attesttest.FIDOForge{Response: func(m map[string]any) { m["id"] = "AAAA" }}, passkey.StepFormat},
	} {
		require.Equal(t, row.step, m.register(t, m.fido.SecurityKey(m.model), &row.forge).Verdict.Step(), name)
	}
	stranger := attesttest.NewFIDO(nil)
	for name, row := range map[string]struct {
		forge attesttest.BLOBForge
		want  error
	}{
		"Payload": {attesttest.BLOBForge{Payload: func(p map[string]any) { p["no"] = 0 }}, passkey.ErrBLOB},
		"Header":  {attesttest.BLOBForge{Header: func(h map[string]any) { h["alg"] = "none" }}, passkey.ErrBLOBSigner},
		"Signer":  {attesttest.BLOBForge{Signer: &stranger.Signer}, passkey.ErrBLOBSigner},
		"Key":     {attesttest.BLOBForge{Key: stranger.Signer.Key}, passkey.ErrBLOBSigner},
		"Encoded": {attesttest.BLOBForge{Encoded: func(b []byte) []byte { return b[:len(b)/2] }}, passkey.ErrBLOB},
	} {
		require.ErrorIs(t, m.publish(t, nil, &row.forge), row.want, name)
	}
	list, err := x509.ParseRevocationList(m.fido.RevocationList(m.fido.Signer))
	require.NoError(t, err)
	require.NoError(t, list.CheckSignatureFrom(m.fido.Root.Cert))
	require.Equal(t, m.fido.Signer.Cert.SerialNumber, list.RevokedCertificateEntries[0].SerialNumber)
}

func TestMintedKeyID(t *testing.T) {
	m := newMakers(t, false)
	k := m.apple.IPhone(team, bundle, nil).NewKey()
	point, err := k.Key.PublicKey.Bytes()
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(point), [32]byte(k.ID))
}

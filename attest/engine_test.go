package attest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
	"github.com/vestibule-go/vestibule/risk"
)

const (
	team   = "ABCDE12345"
	bundle = "com.example.app"
	pkg    = "com.example.app"
)

var appSigner = bytes.Repeat([]byte{5}, 32)

// revokedList is a revocation list of a test.
type revokedList map[string]bool

func (l revokedList) Lookup(_ context.Context, serials []string) (androidkey.Entry, bool, error) {
	for _, s := range serials {
		if l[s] {
			return androidkey.Entry{Status: "REVOKED"}, true, nil
		}
	}
	return androidkey.Entry{}, false, nil
}

// service is a sign-up service for phones: an engine with all platforms, over a virtual Apple and Google.
type service struct {
	engine    *risk.Engine
	apple     *attesttest.Apple
	google    *attesttest.Google
	apples    *appattest.Verifier
	androids  *androidkey.Verifier
	verifiers map[attest.Platform]attest.Verifier
	clock     *attesttest.Clock
	revoked   revokedList
}

func newService(t testing.TB) *service {
	return newServiceOver(t, func(c attest.ChallengeStore, k attest.KeyStore) (attest.ChallengeStore, attest.KeyStore) { return c, k })
}

// newServiceOver makes a service over stores that wrap what they are given.
func newServiceOver(t testing.TB, wrap func(c attest.ChallengeStore, k attest.KeyStore) (attest.ChallengeStore, attest.KeyStore)) *service {
	clock := attesttest.NewClock()
	memory, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Now: clock.Now})
	require.NoError(t, err)
	memoryKeys, err := attest.NewMemoryKeys(&attest.MemoryOptions{Now: clock.Now})
	require.NoError(t, err)
	store, keys := wrap(memory, memoryKeys)
	challenges, err := attest.NewChallenges(store, &attest.ChallengeOptions{Now: clock.Now})
	require.NoError(t, err)
	s := &service{apple: attesttest.NewApple(clock.Now), google: attesttest.NewGoogle(clock.Now), clock: clock, revoked: revokedList{}}
	phone := appattest.App{
		TeamID: team, BundleID: bundle, Environment: appattest.Production, Categories: appattest.OnlyOrMissing(appattest.AppStore),
	}
	clip, mac := phone, phone
	clip.BundleID += ".Clip"
	mac.BundleID, mac.System, mac.Categories = "com.example.mac", appattest.MacOS, appattest.Only(appattest.DeveloperID)
	apples, err := appattest.New([]appattest.App{phone, clip, mac}, &appattest.Options{Now: clock.Now, InsecureTestRoots: s.apple.Roots()})
	require.NoError(t, err)
	devices, err := appattest.NewDevices(apples, keys)
	require.NoError(t, err)
	androids, err := androidkey.New([]androidkey.App{{Package: pkg, Signers: [][]byte{appSigner}}}, s.revoked,
		&androidkey.Options{Now: clock.Now, InsecureTestRoots: s.google.Roots()})
	require.NoError(t, err)
	aes, verify, _ := s.google.PlayKeys()
	decoder, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: aes, Verification: verify}}, nil)
	require.NoError(t, err)
	play, err := playintegrity.New(pkg, [][]byte{appSigner}, decoder, &playintegrity.Options{Now: clock.Now})
	require.NoError(t, err)
	s.apples, s.androids = apples, androids
	s.verifiers = map[attest.Platform]attest.Verifier{attest.AppAttest: devices, attest.AndroidKey: androids, attest.PlayIntegrity: play}
	signal, err := attest.NewSignal(challenges, s.verifiers, &attest.SignalOptions{Timeout: 5 * time.Second})
	require.NoError(t, err)
	hosting := risk.SignalFunc{
		Description: risk.Description{Name: "ip", Cost: risk.Local, OnError: risk.FailOpen, Codes: []risk.Code{{Name: "hosting", Points: 25, Group: "network"}}},
		Func: func(_ context.Context, _ *risk.Attempt, f *risk.Finding) error {
			f.Observe("hosting")
			return nil
		},
	}
	policy, err := risk.NewPolicy(risk.PolicySpec{
		Name: "phones",
		Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
			{Name: "allow", Range: &[2]int{0, 30}, Action: risk.Allow},
			{Name: "device", Range: &[2]int{31, 60}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofDevice}, Then: risk.Allow, Else: risk.Review},
			{Name: "review", Range: &[2]int{61, 90}, Action: risk.Review},
			{Name: "block", Range: &[2]int{91, 100}, Action: risk.Block},
		}}},
		Groups: map[string]risk.Group{"attest": {Lo: -12, Hi: 30}, "network": {Lo: 0, Hi: 30}},
	})
	require.NoError(t, err)
	s.engine, err = risk.NewEngine(policy, []risk.Signal{hosting, signal}, &risk.Options{Now: clock.Now, Budget: 10 * time.Second})
	require.NoError(t, err)
	return s
}

func phoneAttempt() *risk.Attempt {
	return &risk.Attempt{Event: risk.SignUp, Tenant: "t", Channel: risk.ChannelMobile, Session: "s-42"}
}

// challenge opens a flow before the first attempt, as an app does when it starts.
func (s *service) challenge(t testing.TB, a *risk.Attempt) string {
	open := s.engine.Open(ctx, a, risk.ProofDevice)
	require.Equal(t, risk.Challenge, open.Action)
	tasks, err := s.engine.Tasks(ctx, open)
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	body, err := json.Marshal(tasks[0].Data)
	require.NoError(t, err)
	var task attest.Task
	require.NoError(t, json.Unmarshal(body, &task))
	a.Flow = open.Flow
	return task.Challenge
}

func (s *service) android(d *attesttest.Android, challenge string, f *attesttest.AndroidForge) attest.Response {
	return attest.Response{Platform: attest.AndroidKey, Challenge: challenge, Chain: d.Attest([]byte(challenge), f).Chain}
}

func (s *service) play(d *attesttest.Android, challenge string, change func(p map[string]any)) attest.Response {
	return attest.Response{Platform: attest.PlayIntegrity, Challenge: challenge, Data: []byte(d.PlayToken(playintegrity.NonceFor(challenge, nil), "", change))}
}

func (s *service) iPhone(k *attesttest.AppleKey, challenge string, f *attesttest.AppleForge) attest.Response {
	hash := attest.ClientDataHash(challenge, nil)
	return attest.Response{Platform: attest.AppAttest, Challenge: challenge, KeyID: k.ID, Data: k.Attest(hash[:], f)}
}

func codes(s *risk.Assessment) (out []string) {
	for _, r := range s.Reasons {
		if r.Signal == "attest" {
			out = append(out, r.Code)
		}
	}
	return out
}

func TestMobileSignUp(t *testing.T) {
	s := newService(t)
	key := func(o *attesttest.IPhoneOptions) *attesttest.AppleKey {
		return s.apple.IPhone(team, bundle, o).NewKey()
	}
	test := func(p map[string]any) { p["testingDetails"] = map[string]any{"isTestingResponse": true} }
	pixel, emulator, rooted := s.google.Pixel(pkg, appSigner), s.google.EmulatorPhone(pkg, appSigner), s.google.RootedPhone(pkg, appSigner)
	stolen := s.google.Pixel(pkg, appSigner)
	s.revoked[stolen.Batch.Cert.SerialNumber.Text(16)] = true
	farm := s.google.Android("com.example.farm", appSigner, nil)
	forgedLeaf := func(c string) attest.Response {
		k := pixel.Attest([]byte(c), nil)
		r := s.android(pixel, c, nil)
		r.Chain = append([][]byte{k.Chain[0]}, k.Chain...)
		return r
	}
	for _, row := range []struct {
		name   string
		device func(challenge string) attest.Response
		action risk.Action
		code   string
	}{
		{"iPhone, iOS 26", func(c string) attest.Response { return s.iPhone(key(nil), c, nil) }, risk.Allow, "secure_element"},
		{"iPhone, iOS 27", func(c string) attest.Response {
			return s.iPhone(key(&attesttest.IPhoneOptions{Extensions: true, Category: 4}), c, nil)
		}, risk.Allow, "secure_element"},
		{"Mac, macOS 27", func(c string) attest.Response {
			mac := s.apple.IPhone(team, "com.example.mac", &attesttest.IPhoneOptions{Mac: true, Extensions: true, Category: 6})
			return s.iPhone(mac.NewKey(), c, nil)
		}, risk.Allow, "secure_element"},
		{"Mac with its security turned down", func(c string) attest.Response {
			mac := s.apple.IPhone(team, "com.example.mac", &attesttest.IPhoneOptions{Extensions: true, Category: 6})
			return s.iPhone(mac.NewKey(), c, nil)
		}, risk.Review, "tampered"},
		{"App Clip", func(c string) attest.Response {
			clip := s.apple.IPhone(team, bundle+".Clip", &attesttest.IPhoneOptions{Extensions: true, Category: 4})
			return s.iPhone(clip.NewKey(), c, nil)
		}, risk.Allow, "secure_element"},
		{"App Clip of another app", func(c string) attest.Response {
			return s.iPhone(s.apple.IPhone(team, "com.example.other.Clip", nil).NewKey(), c, nil)
		}, risk.Challenge, "mismatch"},
		{"Pixel by its keystore", func(c string) attest.Response { return s.android(pixel, c, nil) }, risk.Allow, "secure_element"},
		{"Pixel by Play", func(c string) attest.Response { return s.play(pixel, c, nil) }, risk.Allow, "software"},
		{"iPhone with a build from Xcode", func(c string) attest.Response {
			return s.iPhone(key(&attesttest.IPhoneOptions{Extensions: true, Category: 3}), c, nil)
		}, risk.Review, "tampered"},
		{"development key", func(c string) attest.Response {
			return s.iPhone(key(&attesttest.IPhoneOptions{Development: true}), c, nil)
		}, risk.Challenge, "mismatch"},
		{"emulator by its keystore", func(c string) attest.Response { return s.android(emulator, c, nil) }, risk.Review, "emulator"},
		{"emulator by Play", func(c string) attest.Response { return s.play(emulator, c, nil) }, risk.Review, "emulator"},
		{"rooted by its keystore", func(c string) attest.Response { return s.android(rooted, c, nil) }, risk.Review, "tampered"},
		{"rooted by Play", func(c string) attest.Response { return s.play(rooted, c, nil) }, risk.Review, "tampered"},
		{"revoked keystore", func(c string) attest.Response { return s.android(stolen, c, nil) }, risk.Review, "revoked"},
		{"test response", func(c string) attest.Response { return s.play(pixel, c, test) }, risk.Review, "test"},
		{"another app", func(c string) attest.Response { return s.android(farm, c, nil) }, risk.Challenge, "mismatch"},
		{"forged leaf", forgedLeaf, risk.Block, "forged"},
		{"rubbish", func(c string) attest.Response {
			return attest.Response{Platform: attest.AppAttest, Challenge: c, Data: []byte("rubbish")}
		}, risk.Review, "failed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := phoneAttempt()
			c := s.challenge(t, a)
			risk.Attach(a, row.device(c))
			got := s.engine.Assess(ctx, a)
			require.Empty(t, got.Errors)
			require.Equal(t, row.action, got.Action, "%v", got.Reasons)
			require.Contains(t, codes(got), row.code)
		})
	}
}

func TestMobileSignUpWithoutProof(t *testing.T) {
	s := newService(t)
	// Nothing sent: the device is asked for, and what follows finishes the flow.
	a := phoneAttempt()
	first := s.engine.Assess(ctx, a)
	require.Equal(t, risk.Challenge, first.Action)
	require.Equal(t, []risk.Proof{risk.ProofDevice}, first.Require)
	require.Empty(t, codes(first), "nobody had asked for it")
	tasks, err := s.engine.Tasks(ctx, first)
	require.NoError(t, err)
	c := tasks[0].Data.(attest.Task).Challenge
	a = phoneAttempt()
	a.Flow = first.Flow
	k := s.apple.IPhone(team, bundle, nil).NewKey()
	r := s.iPhone(k, c, nil)
	risk.Attach(a, r)
	done := s.engine.Assess(ctx, a)
	require.True(t, done.Allowed(), "%v", done.Reasons)

	// The same evidence again, in a flow of its own and in none.
	for _, flow := range []bool{true, false} {
		again := phoneAttempt()
		if flow {
			s.challenge(t, again)
		}
		risk.Attach(again, r)
		got := s.engine.Assess(ctx, again)
		require.False(t, got.Allowed())
		require.Contains(t, codes(got), "replayed")
	}
	// The same key with a fresh challenge: attested once.
	a = phoneAttempt()
	risk.Attach(a, s.iPhone(k, s.challenge(t, a), nil))
	got := s.engine.Assess(ctx, a)
	require.False(t, got.Allowed())
	require.Contains(t, codes(got), "replayed")
	// It asserts instead.
	a = phoneAttempt()
	c = s.challenge(t, a)
	hash := attest.ClientDataHash(c, nil)
	risk.Attach(a, attest.Response{Platform: attest.AppAttest, Kind: attest.KindAssertion, Challenge: c, KeyID: k.ID, Data: k.Assert(hash[:], nil)})
	require.True(t, s.engine.Assess(ctx, a).Allowed())
	// A browser cannot use a phone's attestation.
	a = phoneAttempt()
	a.Channel = risk.ChannelWeb
	risk.Attach(a, s.iPhone(s.apple.IPhone(team, bundle, nil).NewKey(), c, nil))
	got = s.engine.Assess(ctx, a)
	require.False(t, got.Allowed())
	require.Contains(t, codes(got), "channel")
	// Nor does it get a challenge.
	a = phoneAttempt()
	a.Channel = risk.ChannelWeb
	tasks, err = s.engine.Tasks(ctx, s.engine.Open(ctx, a, risk.ProofDevice))
	require.Error(t, err)
	require.Empty(t, tasks)
}

// Whatever is down, the outage costs what the signal's fail mode says, and never more.
func TestFailModes(t *testing.T) {
	down := func() attest.Verifier { return fixed(attest.Verdict{}, attest.ErrUnavailable) }
	for mode, want := range map[risk.FailMode]risk.Action{
		risk.FailOpen: risk.Allow, risk.FailChallenge: risk.Review, risk.FailReview: risk.Review, risk.FailClosed: risk.Block,
	} {
		challenges, clock := newChallenges(t)
		signal, err := attest.NewSignal(challenges, map[attest.Platform]attest.Verifier{platform: down()}, &attest.SignalOptions{OnError: mode})
		require.NoError(t, err)
		policy, err := risk.NewPolicy(risk.PolicySpec{Name: "phones", Segments: []risk.Segment{{Name: "all", Levels: []risk.Level{
			{Name: "allow", Range: &[2]int{0, 30}, Action: risk.Allow},
			{Name: "device", Range: &[2]int{31, 60}, Action: risk.Challenge, Require: []risk.Proof{risk.ProofDevice}, Then: risk.Allow, Else: risk.Review},
			{Name: "review", Range: &[2]int{61, 90}, Action: risk.Review},
			{Name: "block", Range: &[2]int{91, 100}, Action: risk.Block},
		}}}})
		require.NoError(t, err)
		engine, err := risk.NewEngine(policy, []risk.Signal{signal}, &risk.Options{Now: clock.Now})
		require.NoError(t, err)
		a := phoneAttempt()
		open := engine.Open(ctx, a, risk.ProofDevice)
		tasks, err := engine.Tasks(ctx, open)
		require.NoError(t, err)
		a.Flow = open.Flow
		risk.Attach(a, attest.Response{Platform: platform, Challenge: tasks[0].Data.(attest.Task).Challenge, Data: []byte("x")})
		got := engine.Assess(ctx, a)
		require.True(t, got.Degraded)
		require.Equal(t, want, got.Action, "mode %d", mode)
	}
}

// Two requests with one challenge, and one of everything else, at once: one passes.
func TestConcurrentSignUps(t *testing.T) {
	s := newService(t)
	pixel := s.google.Pixel(pkg, appSigner)
	for range 8 {
		a, b := phoneAttempt(), phoneAttempt()
		c := s.challenge(t, a)
		b.Flow = a.Flow
		r := s.android(pixel, c, nil)
		risk.Attach(a, r)
		risk.Attach(b, r)
		allowed := make(chan bool, 2)
		for _, a := range []*risk.Attempt{a, b} {
			go func() { allowed <- s.engine.Assess(ctx, a).Allowed() }()
		}
		first, second := <-allowed, <-allowed
		require.NotEqual(t, first, second)
	}
}

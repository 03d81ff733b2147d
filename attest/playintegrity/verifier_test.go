package playintegrity_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
)

func TestNoncesAndHashes(t *testing.T) {
	v := newVerifier(t, local(t, nil), nil)
	token := phone().PlayToken(nonce, "", nil)
	for name, n := range map[string][]byte{"none": nil, "short": make([]byte, 15), "huge": make([]byte, 400)} {
		_, err := v.Classic(ctx, token, n)
		requireStep(t, err, "nonce", attest.ErrNonce)
		_ = name
	}
	for _, h := range []string{"", strings.Repeat("h", 501)} {
		_, err := v.Standard(ctx, token, h)
		requireStep(t, err, "nonce", attest.ErrNonce)
	}
	_, err := v.Classic(ctx, token, nonce)
	require.NoError(t, err, "what was refused before it was decoded may come again")
	_, err = v.Classic(ctx, token, nonce)
	requireStep(t, err, "replay", attest.ErrReplay)
	_, err = v.Standard(ctx, phone().PlayToken(nonce, "", nil), hash)
	requireStep(t, err, "request", attest.ErrNonce)
}

func TestVerify(t *testing.T) {
	g := theGoogle()
	const challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, row := range []struct {
		name   string
		device *attesttest.Android
		out    attest.Outcome
	}{
		{"Pixel", phone(), attest.Passed},
		{"emulator", g.EmulatorPhone(pkg, signer), attest.Emulator},
		{"rooted", g.RootedPhone(pkg, signer), attest.Tampered},
		{"another app", g.Pixel("com.example.other", signer), attest.WrongAudience},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, message := range []string{"", "body"} {
				classic := row.device.PlayToken(playintegrity.NonceFor(challenge, []byte(message)), "", nil)
				standard := row.device.PlayToken(nil, playintegrity.RequestHashFor(challenge, []byte(message)), nil)
				for kind, token := range map[attest.Kind]string{"": classic, attest.KindStandard: standard} {
					v, err := newVerifier(t, local(t, nil), nil).Verify(ctx, attest.Request{Response: attest.Response{
						Kind: kind, Challenge: challenge, Data: []byte(token), Message: []byte(message)}})
					require.NoError(t, err)
					require.Equal(t, row.out, v.Outcome, "%v", v.Reasons)
					require.LessOrEqual(t, v.Strength(), attest.Software, "Google vouches: no hardware was checked")
				}
			}
		})
	}
	v, err := newVerifier(t, local(t, nil), nil).Verify(ctx, attest.Request{Response: attest.Response{Kind: "assertion"}})
	require.NoError(t, err)
	require.Equal(t, attest.Failed, v.Outcome)
}

func TestNewRefuses(t *testing.T) {
	l := local(t, nil)
	for name, build := range map[string]func() (*playintegrity.Verifier, error){
		"no package name": func() (*playintegrity.Verifier, error) { return playintegrity.New("../../x", [][]byte{signer}, l, nil) },
		"no decoder":      func() (*playintegrity.Verifier, error) { return playintegrity.New(pkg, [][]byte{signer}, nil, nil) },
		"no certificate":  func() (*playintegrity.Verifier, error) { return playintegrity.New(pkg, nil, l, nil) },
		"not hex":         func() (*playintegrity.Verifier, error) { return playintegrity.New(pkg, [][]byte{{1}}, l, nil) },
		"MaxAge": func() (*playintegrity.Verifier, error) {
			return playintegrity.New(pkg, [][]byte{signer}, l, &playintegrity.Options{MaxAge: -1})
		},
		"RefuseRisk": func() (*playintegrity.Verifier, error) {
			return playintegrity.New(pkg, [][]byte{signer}, l, &playintegrity.Options{RefuseRisk: 2})
		},
		"Licensing": func() (*playintegrity.Verifier, error) {
			return playintegrity.New(pkg, [][]byte{signer}, l, &playintegrity.Options{Licensing: 9})
		},
	} {
		v, err := build()
		require.ErrorContains(t, err, name)
		require.Nil(t, v)
	}
	for _, name := range []string{"", "a", "a/b.c", "a.b?x", "a.b:decode", "a..b", "1a.b", strings.Repeat("a.", 200) + "b"} {
		_, err := playintegrity.NewEndpoint(name, func(context.Context) (string, error) { return "", nil }, nil)
		require.Error(t, err, name)
	}
	_, err := playintegrity.NewEndpoint(pkg, nil, nil)
	require.ErrorContains(t, err, "Scope")
}

package captcha_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestTestKeysAreRefused(t *testing.T) {
	build := map[string]func(allow bool) error{
		"turnstile secret": func(allow bool) error {
			_, err := captcha.NewTurnstile(captcha.Secret("1x0000000000000000000000000000000AA"), ourHosts, &captcha.RemoteOptions{InsecureTestKeys: allow})
			return err
		},
		"turnstile site key": func(allow bool) error {
			_, err := captcha.NewTurnstile(captcha.Secret("real"), ourHosts, &captcha.RemoteOptions{SiteKey: "3x00000000000000000000FF", InsecureTestKeys: allow})
			return err
		},
		"hcaptcha secret": func(allow bool) error {
			_, err := captcha.NewHCaptcha(captcha.Secret("0x0000000000000000000000000000000000000000"), ourHosts, &captcha.RemoteOptions{InsecureTestKeys: allow})
			return err
		},
		"hcaptcha site key": func(allow bool) error {
			_, err := captcha.NewHCaptcha(captcha.Secret("real"), ourHosts, &captcha.RemoteOptions{SiteKey: "10000000-ffff-ffff-ffff-000000000001", InsecureTestKeys: allow})
			return err
		},
		"recaptcha secret": func(allow bool) error {
			_, err := captcha.NewRecaptcha(captcha.Secret("6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe"), ourHosts,
				&captcha.RecaptchaOptions{RemoteOptions: captcha.RemoteOptions{InsecureTestKeys: allow}})
			return err
		},
		"private captcha site key": func(allow bool) error {
			_, err := captcha.NewPrivateCaptcha(captcha.Secret("real"), ourHosts, &captcha.RemoteOptions{SiteKey: "aaaaaaaabbbbccccddddeeeeeeeeeeee", InsecureTestKeys: allow})
			return err
		},
	}
	for name, f := range build {
		require.ErrorContains(t, f(false), "test key", name)
		require.NoError(t, f(true), name)
	}
	// A test key behind a real-looking configuration shows in the answer.
	s := vendors["private_captcha"].stage(t)
	res, err := s.provider.Verify(t.Context(), s.request(func(g *captchatest.Grant) { g.Invalid = "10" }))
	require.Error(t, err)
	require.Equal(t, captcha.ReasonTestKey, res.Reason)
	s = vendors["recaptcha"].stage(t, func(o *captcha.RemoteOptions) { o.SkipHostname = true })
	res, err = s.provider.Verify(t.Context(), s.request(func(g *captchatest.Grant) { g.Hostname = "testkey.google.com" }))
	require.Error(t, err)
	require.Equal(t, captcha.ReasonTestKey, res.Reason)
}

func TestTurnstileTestSecrets(t *testing.T) {
	for secret, want := range map[string]captcha.Reason{"1": captcha.ReasonOK, "2": captcha.ReasonToken, "3": captcha.ReasonSpent} {
		fake := captchatest.NewTurnstile(nil)
		s := httptest.NewServer(fake)
		t.Cleanup(s.Close)
		p, err := captcha.NewTurnstile(captcha.Secret(secret+"x0000000000000000000000000000000AA"), []string{"localhost"},
			&captcha.RemoteOptions{Endpoint: fake.Endpoint(s.URL), InsecureTestKeys: true})
		require.NoError(t, err)
		res, err := p.Verify(t.Context(), captcha.Request{Token: captchatest.TurnstileDummyToken})
		require.NoError(t, err)
		require.Equal(t, want, res.Reason)
		res, err = p.Verify(t.Context(), captcha.Request{Token: "a-real-token"})
		require.Error(t, err, "a test secret refuses real tokens")
		require.Equal(t, captcha.ReasonCredentials, res.Reason)
	}
	s := vendors["turnstile"].stage(t)
	require.Equal(t, captcha.ReasonToken, s.verify(t, captcha.Request{Token: captchatest.TurnstileDummyToken}).Reason)
}

func TestHCaptchaTestKeys(t *testing.T) {
	fake := captchatest.NewHCaptcha(nil)
	s := httptest.NewServer(fake)
	t.Cleanup(s.Close)
	for n, risk := range map[string]float64{"1": -1, "2": 0, "3": 0.8} {
		p, err := captcha.NewHCaptcha(captcha.Secret("0x0000000000000000000000000000000000000000"), []string{"dummy-key-pass"}, &captcha.RemoteOptions{
			Endpoint: fake.Endpoint(s.URL), InsecureTestKeys: true, SiteKey: n + "0000000-ffff-ffff-ffff-00000000000" + n,
		})
		require.NoError(t, err)
		res, err := p.Verify(t.Context(), captcha.Request{Token: n + "0000000-aaaa-bbbb-cccc-00000000000" + n})
		require.NoError(t, err)
		require.Equal(t, captcha.Passed, res.Outcome)
		require.Equal(t, risk >= 0, res.HasRisk)
		if risk >= 0 {
			require.Equal(t, risk, res.Risk)
		}
		res, err = p.Verify(t.Context(), captcha.Request{Token: "a-real-token"})
		require.Error(t, err)
		require.Equal(t, captcha.ReasonTestKey, res.Reason)
	}
}

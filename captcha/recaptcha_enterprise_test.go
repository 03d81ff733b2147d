package captcha_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestEnterpriseInvalidReasons(t *testing.T) {
	for why, want := range map[string]captcha.Reason{
		"UNKNOWN_INVALID_REASON": captcha.ReasonToken, "MALFORMED": captcha.ReasonToken, "EXPIRED": captcha.ReasonExpired, "DUPE": captcha.ReasonReplayed,
		"MISSING": captcha.ReasonMissing, "BROWSER_ERROR": captcha.ReasonToken, "UNEXPECTED_ACTION": captcha.ReasonAction,
		"KEY_MISMATCH": captcha.ReasonSiteKey, "DOMAIN_MISMATCH": captcha.ReasonHostname, "SOMETHING_NEW": captcha.ReasonToken,
	} {
		s := vendors["recaptcha_enterprise"].stage(t)
		res := s.verify(t, s.request(func(g *captchatest.Grant) { g.Invalid = why }))
		require.Equal(t, captcha.Failed, res.Outcome)
		require.Equal(t, want, res.Reason)
		require.Equal(t, []string{why}, res.Codes)
	}
}

func TestEnterpriseAnnotate(t *testing.T) {
	s := vendors["recaptcha_enterprise"].stage(t)
	p := s.provider.(*captcha.RecaptchaEnterprise)
	in := s.request()
	in.UserAgent = "Mozilla/5.0"
	res := s.verify(t, in)
	require.Equal(t, "Mozilla/5.0", s.fake.Calls()[0].UserAgent)
	require.NotEmpty(t, res.Reference)
	require.NoError(t, p.Annotate(t.Context(), captcha.Annotation{Reference: res.Reference, Fraud: true, Events: []string{"CHARGEBACK"}}))
	a, ok := s.fake.Annotated(res.Reference)
	require.True(t, ok)
	require.Equal(t, captchatest.Annotation{Annotation: "FRAUDULENT", Reasons: []string{"CHARGEBACK"}}, a)
	require.NoError(t, p.Annotate(t.Context(), captcha.Annotation{Reference: res.Reference, Good: true}))
	a, _ = s.fake.Annotated(res.Reference)
	require.Equal(t, "LEGITIMATE", a.Annotation)
	for _, bad := range []string{"", "x", "projects/../assessments/x", "projects/p/assessments/a?key=1", "projects/p/assessments/a/b", "projects/p/keys/a"} {
		require.Error(t, p.Annotate(t.Context(), captcha.Annotation{Reference: bad, Good: true}), bad)
	}
	require.Error(t, p.Annotate(t.Context(), captcha.Annotation{Reference: "projects/test-project/assessments/unknown", Good: true}))
	require.Error(t, p.Annotate(t.Context(), captcha.Annotation{Reference: res.Reference, Good: true, Fraud: true}))
}

func TestEnterpriseBearer(t *testing.T) {
	fake := captchatest.NewRecaptchaEnterprise(nil)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	for _, row := range []struct {
		name  string
		token string
		err   error
		want  captcha.Reason
	}{
		{"good", captchatest.ServerSecret, nil, captcha.ReasonOK},
		{"refused", "other", nil, captcha.ReasonCredentials},
		{"line end", "a\r\nb", nil, captcha.ReasonCredentials},
		{"none", "", errors.New("CANARY"), captcha.ReasonProvider},
		{"hang up", "", context.Canceled, captcha.ReasonCanceled},
	} {
		t.Run(row.name, func(t *testing.T) {
			login := captcha.EnterpriseLogin{Bearer: func(context.Context) (captcha.Secret, error) { return captcha.Secret(row.token), row.err }}
			p, err := captcha.NewRecaptchaEnterprise("test-project", captchatest.ServerSiteKey, login, ourHosts,
				&captcha.RecaptchaEnterpriseOptions{RemoteOptions: captcha.RemoteOptions{Endpoint: fake.Endpoint(server.URL)}})
			require.NoError(t, err)
			res, err := p.Verify(t.Context(), captcha.Request{Token: fake.Mint(captchatest.Grant{})})
			require.Equal(t, row.want, res.Reason)
			require.Equal(t, row.want == captcha.ReasonOK, err == nil)
			require.NotContains(t, fmt.Sprint(err), "CANARY")
		})
	}
	_, err := captcha.NewRecaptchaEnterprise("p", "k", captcha.EnterpriseLogin{}, ourHosts, nil)
	require.ErrorContains(t, err, "Bearer")
}

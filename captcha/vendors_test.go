package captcha_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// vendor is a provider against its stand-in.
type vendor struct {
	fake func(o *captchatest.ServerOptions) *captchatest.Server
	make func(secret captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error)
	host bool // reports host names
	acts bool // reports actions
	data bool // reports cdata
	risk bool // scores
	life time.Duration
	// codes are the service's own error codes and what they mean.
	codes map[string]captcha.Fault
}

var ourHosts = []string{"example.com"}

var vendors = map[string]vendor{
	"turnstile": {
		fake: captchatest.NewTurnstile, host: true, acts: true, data: true, life: 300 * time.Second,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewTurnstile(s, ourHosts, &o)
		},
		codes: map[string]captcha.Fault{
			"missing-input-secret": captcha.FaultCaller, "invalid-input-secret": captcha.FaultCaller, "missing-input-response": captcha.FaultVisitor,
			"invalid-input-response": captcha.FaultVisitor, "bad-request": captcha.FaultCaller, "timeout-or-duplicate": captcha.FaultVisitor,
			"never-heard-of": captcha.FaultVisitor,
		},
	},
	"hcaptcha": {
		fake: captchatest.NewHCaptcha, host: true, risk: true, life: 120 * time.Second,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewHCaptcha(s, ourHosts, &o)
		},
		codes: map[string]captcha.Fault{
			"missing-input-secret": captcha.FaultCaller, "invalid-input-secret": captcha.FaultCaller, "missing-input-response": captcha.FaultVisitor,
			"invalid-input-response": captcha.FaultVisitor, "expired-input-response": captcha.FaultVisitor, "already-seen-response": captcha.FaultVisitor,
			"invalid-or-already-seen-response": captcha.FaultVisitor, "bad-request": captcha.FaultCaller, "missing-remoteip": captcha.FaultCaller,
			"invalid-remoteip": captcha.FaultCaller, "not-using-dummy-passcode": captcha.FaultCaller, "not-using-dummy-secret": captcha.FaultCaller,
			"sitekey-secret-mismatch": captcha.FaultBinding,
		},
	},
	"recaptcha": {
		fake: captchatest.NewRecaptcha, host: true, life: 120 * time.Second,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewRecaptcha(s, ourHosts, &captcha.RecaptchaOptions{RemoteOptions: o})
		},
		codes: map[string]captcha.Fault{
			"missing-input-secret": captcha.FaultCaller, "invalid-input-secret": captcha.FaultCaller, "missing-input-response": captcha.FaultVisitor,
			"invalid-input-response": captcha.FaultVisitor, "bad-request": captcha.FaultCaller, "timeout-or-duplicate": captcha.FaultVisitor,
			"browser-error": captcha.FaultVisitor,
		},
	},
	"recaptcha_v3": {
		fake: func(o *captchatest.ServerOptions) *captchatest.Server {
			o.Version = 3
			return captchatest.NewRecaptcha(o)
		},
		host: true, acts: true, risk: true, life: 120 * time.Second,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewRecaptcha(s, ourHosts, &captcha.RecaptchaOptions{RemoteOptions: o, Version: 3})
		},
	},
	"recaptcha_enterprise": {
		fake: captchatest.NewRecaptchaEnterprise, host: true, acts: true, risk: true, life: 120 * time.Second,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewRecaptchaEnterprise("test-project", captchatest.ServerSiteKey, captcha.EnterpriseLogin{APIKey: s}, ourHosts,
				&captcha.RecaptchaEnterpriseOptions{RemoteOptions: o})
		},
		codes: map[string]captcha.Fault{
			"INVALID_ARGUMENT": captcha.FaultCaller, "UNAUTHENTICATED": captcha.FaultCaller, "PERMISSION_DENIED": captcha.FaultCaller,
			"RESOURCE_EXHAUSTED": captcha.FaultProvider, "INTERNAL": captcha.FaultProvider, "UNAVAILABLE": captcha.FaultProvider,
		},
	},
	"friendly": {
		fake: captchatest.NewFriendly, host: true, risk: true, life: time.Hour,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewFriendly(s, ourHosts, &o)
		},
		codes: map[string]captcha.Fault{
			"auth_required": captcha.FaultCaller, "auth_invalid": captcha.FaultCaller, "sitekey_invalid": captcha.FaultCaller,
			"bad_request": captcha.FaultCaller, "response_missing": captcha.FaultVisitor, "response_invalid": captcha.FaultVisitor,
			"response_timeout": captcha.FaultVisitor, "response_duplicate": captcha.FaultVisitor,
		},
	},
	"arkose": {
		fake: captchatest.NewArkose, risk: true, life: time.Hour,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewArkose("", s, &captcha.ArkoseOptions{RemoteOptions: o})
		},
		codes: map[string]captcha.Fault{"DENIED ACCESS": captcha.FaultVisitor},
	},
	"arkose_simple": {
		fake: captchatest.NewArkose, life: time.Hour,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewArkose("", s, &captcha.ArkoseOptions{RemoteOptions: o, SimpleMode: true})
		},
	},
	"geetest": {
		fake: captchatest.NewGeeTest, life: 10 * time.Minute,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewGeeTest(captchatest.ServerSiteKey, s, &o)
		},
		codes: map[string]captcha.Fault{
			"-50000": captcha.FaultProvider, "-50001": captcha.FaultCaller, "-50002": captcha.FaultVisitor, "-50003": captcha.FaultVisitor,
			"-50004": captcha.FaultVisitor, "-50005": captcha.FaultVisitor, "-50101": captcha.FaultCaller, "-50102": captcha.FaultCaller,
			"-50103": captcha.FaultCaller, "-50104": captcha.FaultCaller, "-50105": captcha.FaultCaller, "-50301": captcha.FaultVisitor,
			"-50302": captcha.FaultVisitor, "-50303": captcha.FaultVisitor, "-50304": captcha.FaultVisitor, "-50305": captcha.FaultVisitor,
			"-50306": captcha.FaultVisitor, "-50307": captcha.FaultVisitor, "-50308": captcha.FaultVisitor, "-59999": captcha.FaultVisitor,
		},
	},
	"private_captcha": {
		fake: captchatest.NewPrivateCaptcha, host: true, life: 30 * time.Minute,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewPrivateCaptcha(s, ourHosts, &o)
		},
		codes: map[string]captcha.Fault{
			"1": captcha.FaultProvider, "2": captcha.FaultVisitor, "3": captcha.FaultVisitor, "4": captcha.FaultVisitor, "5": captcha.FaultVisitor,
			"6": captcha.FaultBinding, "7": captcha.FaultBinding, "8": captcha.FaultVisitor, "9": captcha.FaultProvider, "10": captcha.FaultCaller,
			"11": captcha.FaultVisitor, "12": captcha.FaultBinding, "99": captcha.FaultVisitor,
		},
	},
	"cap": {
		fake: captchatest.NewCap, life: 20 * time.Minute,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewCap(o.Endpoint, captchatest.ServerSiteKey, s, &o)
		},
		codes: map[string]captcha.Fault{
			"Missing required parameters": captcha.FaultVisitor, "Token not found": captcha.FaultVisitor, "Token expired": captcha.FaultVisitor,
			"Invalid site key or secret": captcha.FaultCaller,
		},
	},
	"mcaptcha": {
		fake: captchatest.NewMCaptcha, life: time.Minute,
		make: func(s captcha.Secret, o captcha.RemoteOptions) (captcha.Provider, error) {
			return captcha.NewMCaptcha(o.Endpoint, captchatest.ServerSiteKey, s, &o)
		},
		codes: map[string]captcha.Fault{"Wrong password": captcha.FaultCaller, "Captcha not found.": captcha.FaultCaller},
	},
}

// stage is a provider, its stand-in and their clock.
type stage struct {
	vendor
	provider captcha.Provider
	fake     *captchatest.Server
	clock    *clock
}

func (v vendor) stage(t testing.TB, change ...func(o *captcha.RemoteOptions)) stage {
	c := newClock()
	fake := v.fake(&captchatest.ServerOptions{Now: c.Now})
	s := httptest.NewServer(fake)
	t.Cleanup(s.Close)
	o := captcha.RemoteOptions{Now: c.Now, Endpoint: fake.Endpoint(s.URL), SiteKey: captchatest.ServerSiteKey, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	p, err := v.make(captcha.Secret(captchatest.ServerSecret), o)
	require.NoError(t, err)
	return stage{v, p, fake, c}
}

// request is one the provider will pass once; change adjusts what its answer stands for.
func (s stage) request(change ...func(g *captchatest.Grant)) captcha.Request {
	g := captchatest.Grant{Action: "signup", CData: "data-1"}
	for _, f := range change {
		f(&g)
	}
	return captcha.Request{
		Token: s.fake.Mint(g), RemoteIP: netip.MustParseAddr("192.0.2.7"), Expect: captcha.Expect{Action: "signup", CData: "data-1"},
	}
}

func (s stage) verify(t testing.TB, in captcha.Request) captcha.Result {
	res, err := s.provider.Verify(context.Background(), in)
	require.NoError(t, err)
	return res
}

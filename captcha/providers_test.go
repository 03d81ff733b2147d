package captcha_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
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

func TestProvidersConform(t *testing.T) {
	for name, v := range vendors {
		t.Run(name, func(t *testing.T) {
			rebind := map[string]func(e *captcha.Expect){}
			if v.host {
				rebind["host"] = func(e *captcha.Expect) { e.Hostnames = []string{"other.example"} }
			}
			if v.acts {
				rebind["action"] = func(e *captcha.Expect) { e.Action = "login" }
			}
			if v.data {
				rebind["cdata"] = func(e *captcha.Expect) { e.CData = "data-2" }
			}
			captchatest.TestProvider(t, captchatest.Subject{
				New: func(t *testing.T) (captcha.Provider, func() captcha.Request) {
					s := v.stage(t)
					return s.provider, func() captcha.Request { return s.request() }
				},
				Rebind: rebind,
			})
		})
	}
}

func TestProvidersErrorCodes(t *testing.T) {
	for name, v := range vendors {
		for code, fault := range v.codes {
			t.Run(name+"/"+code, func(t *testing.T) {
				s := v.stage(t)
				s.fake.Inject(captchatest.Outage{Code: code})
				res, err := s.provider.Verify(t.Context(), s.request())
				require.Equal(t, fault, res.Fault, "%+v", res)
				if fault == captcha.FaultCaller || fault == captcha.FaultProvider {
					require.Equal(t, captcha.Unverified, res.Outcome)
					e, ok := errors.AsType[*captcha.Error](err)
					require.True(t, ok)
					require.Equal(t, fault, e.Fault)
					require.Equal(t, fault == captcha.FaultProvider, e.Retryable)
					return
				}
				require.NoError(t, err)
				require.Equal(t, captcha.Failed, res.Outcome)
			})
		}
	}
}

func TestProvidersExpiry(t *testing.T) {
	for name, v := range vendors {
		t.Run(name, func(t *testing.T) {
			s := v.stage(t)
			in := s.request()
			s.clock.Advance(v.life + time.Second)
			res := s.verify(t, in)
			require.Equal(t, captcha.Failed, res.Outcome)
			require.Equal(t, captcha.FaultVisitor, res.Fault)
		})
	}
}

func TestProvidersUnsolved(t *testing.T) {
	for name, v := range vendors {
		t.Run(name, func(t *testing.T) {
			s := v.stage(t)
			res := s.verify(t, s.request(func(g *captchatest.Grant) { g.Unsolved = true }))
			require.Equal(t, captcha.Failed, res.Outcome)
			require.Equal(t, captcha.FaultVisitor, res.Fault)
		})
	}
}

// Scores of all directions and ranges become risk.
func TestProvidersRisk(t *testing.T) {
	for name, v := range vendors {
		t.Run(name, func(t *testing.T) {
			s := v.stage(t)
			low := s.verify(t, s.request(func(g *captchatest.Grant) { g.Risk, g.Scored = 0.1, true }))
			high := s.verify(t, s.request(func(g *captchatest.Grant) { g.Risk, g.Scored = 1, true }))
			require.Equal(t, captcha.Passed, high.Outcome, "a bad score is no failure")
			require.Equal(t, v.risk, high.HasRisk)
			if v.risk {
				require.Less(t, low.Risk, 0.2)
				require.GreaterOrEqual(t, high.Risk, 0.9)
			} else {
				require.Zero(t, high.Risk)
			}
		})
	}
}

func TestProvidersHostnames(t *testing.T) {
	for host, good := range map[string]bool{
		"example.com": true, "EXAMPLE.com": true, "notexample.com": false, "example.com.evil.net": false, "example.com.": false,
		"www.example.com": false, "none": false, "ex\u00e4mple.com": false, "testkey.google.com": false, "localhost": false, " example.com": false,
	} {
		for name, v := range vendors {
			if !v.host {
				continue
			}
			t.Run(name+"/"+host, func(t *testing.T) {
				s := v.stage(t)
				res := s.verify(t, s.request(func(g *captchatest.Grant) { g.Hostname = host }))
				require.Equal(t, good, res.Outcome == captcha.Passed, "%+v", res)
				if !good {
					require.Equal(t, captcha.ReasonHostname, res.Reason)
				}
			})
		}
	}
}

// After the request may have left, the token is sent again only under an idempotency key.
func TestProvidersDoNotBurnTokens(t *testing.T) {
	for name, v := range vendors {
		for what, o := range map[string]captchatest.Outage{
			"answer lost": {Late: true, HangUp: true}, "answer late": {Late: true, Silent: true}, "error after": {Late: true, Status: 503},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				s := v.stage(t, func(o *captcha.RemoteOptions) { o.Timeout = 2 * time.Second })
				s.fake.Inject(o)
				res, err := s.provider.Verify(t.Context(), s.request())
				if name == "turnstile" {
					require.NoError(t, err)
					require.Equal(t, captcha.Passed, res.Outcome, "the same key repeats the verdict")
				} else {
					e, ok := errors.AsType[*captcha.Error](err)
					require.True(t, ok)
					require.Equal(t, captcha.FaultProvider, e.Fault)
					require.True(t, e.Sent)
					require.Equal(t, captcha.Unverified, res.Outcome)
				}
				require.Len(t, s.fake.Calls(), 1, "spent once")
			})
		}
	}
}

func TestProvidersAddress(t *testing.T) {
	for name, want := range map[string]string{"turnstile": "192.0.2.7", "hcaptcha": "192.0.2.7", "recaptcha": "192.0.2.7", "recaptcha_enterprise": "192.0.2.7"} {
		s := vendors[name].stage(t)
		in := s.request()
		in.RemoteIP = netip.MustParseAddr("::ffff:192.0.2.7")
		require.Equal(t, captcha.Passed, s.verify(t, in).Outcome)
		require.Equal(t, want, s.fake.Calls()[0].RemoteIP, name)
		in = s.request()
		in.RemoteIP = netip.Addr{}
		require.Equal(t, captcha.Passed, s.verify(t, in).Outcome)
		require.Empty(t, s.fake.Calls()[1].RemoteIP, name)
	}
}

func TestProvidersRefuseToBeBuilt(t *testing.T) {
	for name, v := range vendors {
		good := captcha.RemoteOptions{Endpoint: "https://example.com/api"}
		_, err := v.make(captcha.Secret("secret"), good)
		require.NoError(t, err, name)
		for what, s := range map[string]string{"empty": "", "CR LF": "a\r\nX-Evil: 1", "space": "a b", "not ASCII": "sécret", "long": strings.Repeat("a", 2000)} {
			_, err := v.make(captcha.Secret(s), good)
			require.Error(t, err, "%s %s", name, what)
			if s != "" {
				require.NotContains(t, err.Error(), s)
			}
		}
		for what, change := range map[string]func(o *captcha.RemoteOptions){
			"plain http": func(o *captcha.RemoteOptions) { o.Endpoint = "http://example.com" },
			"user":       func(o *captcha.RemoteOptions) { o.Endpoint = "https://u:CANARY@example.com" },
			"query":      func(o *captcha.RemoteOptions) { o.Endpoint = "https://example.com?key=CANARY" },
			"timeout":    func(o *captcha.RemoteOptions) { o.Timeout = -1 },
			"age":        func(o *captcha.RemoteOptions) { o.MaxAge = -1 },
		} {
			bad := good
			change(&bad)
			_, err := v.make(captcha.Secret("secret"), bad)
			require.Error(t, err, "%s %s", name, what)
			require.NotContains(t, err.Error(), "CANARY")
		}
	}
	for _, hosts := range [][]string{nil, {""}, {"https://example.com"}, {"*.example.com"}, {"example.com."}, {"ex\u00e4mple.com"}, {"a b"}} {
		_, err := captcha.NewTurnstile(captcha.Secret("secret"), hosts, nil)
		require.Error(t, err, "%q", hosts)
	}
}

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

// Secrets and tokens show nowhere, whatever goes wrong.
func TestProvidersPrintNothingSecret(t *testing.T) {
	const key = "CANARY-secret-key"
	for name, v := range vendors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printNothing(t, name, key, v)
		})
	}
}

func printNothing(t *testing.T, name, key string, v vendor) {
	fake := v.fake(&captchatest.ServerOptions{})
	s := httptest.NewServer(fake)
	t.Cleanup(s.Close)
	p, err := v.make(captcha.Secret(key), captcha.RemoteOptions{Endpoint: fake.Endpoint(s.URL), Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	down := httptest.NewServer(fake)
	down.Close()
	dead, err := v.make(captcha.Secret(key), captcha.RemoteOptions{Endpoint: fake.Endpoint(down.URL), Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	for _, o := range []captchatest.Outage{{}, {Silent: true}, {HangUp: true}, {Status: 302}, {Body: "<html>"}, {Status: 403}} {
		if o.Silent || o.HangUp || o.Status != 0 || o.Body != "" {
			fake.Inject(o, o)
		}
		for _, q := range []captcha.Provider{p, dead} {
			token := fake.Mint(captchatest.Grant{})
			res, err := q.Verify(t.Context(), captcha.Request{Token: token})
			logger.Info("x", "res", res, "err", err, "p", q)
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				fmt.Fprintf(&log, verb+verb+verb, res, err, q)
			}
			require.NotContains(t, log.String(), token, name)
		}
	}
	require.NotContains(t, log.String(), "CANARY", name)
}

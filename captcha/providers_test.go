package captcha_test

import (
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

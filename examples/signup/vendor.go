package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// vendorFlags choose whose CAPTCHA is asked for. Without a secret a stand-in of that service is started beside the
// server, so that every one of them can be tried without an account.
type vendorFlags struct {
	name, siteKey, secretFile, endpoint, script, hosts, project string
}

func (f *vendorFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&f.name, "captcha", "pow", "whose CAPTCHA: pow, "+strings.Join(slices.Sorted(maps.Keys(vendors)), ", "))
	flags.StringVar(&f.siteKey, "captcha-site-key", "", "the vendor's site key")
	flags.StringVar(&f.secretFile, "captcha-secret-file", "", "file with the vendor's secret or API key; none: a stand-in of the vendor's service is used")
	flags.StringVar(&f.endpoint, "captcha-endpoint", "", "the vendor's base URL where it is not the usual one (needed for arkose, cap, mcaptcha)")
	flags.StringVar(&f.script, "captcha-script", "", "the vendor's widget script where it is not the usual one (needed for arkose)")
	flags.StringVar(&f.hosts, "captcha-hosts", "localhost,127.0.0.1", "host names the page is served from, with commas between")
	flags.StringVar(&f.project, "captcha-project", "", "the Google Cloud project (needed for recaptcha_enterprise)")
}

// vendor is a chosen vendor, ready to be a member of an orchestrator.
type vendor struct {
	provider captcha.Provider
	sources  []string // what the page's Content-Security-Policy must let in
}

// vendorKind is how one vendor's provider and stand-in are made.
type vendorKind struct {
	provider func(f *vendorFlags, secret captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error)
	standIn  func(o *captchatest.ServerOptions) *captchatest.Server
	sources  string // of the real widget
}

var vendors = map[string]vendorKind{
	"turnstile": {func(_ *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewTurnstile(s, hosts, &o)
	}, captchatest.NewTurnstile, "https://challenges.cloudflare.com"},
	"hcaptcha": {func(_ *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewHCaptcha(s, hosts, &o)
	}, captchatest.NewHCaptcha, "https://hcaptcha.com https://*.hcaptcha.com"},
	"recaptcha": {func(_ *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewRecaptcha(s, hosts, &captcha.RecaptchaOptions{RemoteOptions: o})
	}, captchatest.NewRecaptcha, google},
	"recaptcha_v3": {func(_ *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewRecaptcha(s, hosts, &captcha.RecaptchaOptions{RemoteOptions: o, Version: 3})
	}, func(o *captchatest.ServerOptions) *captchatest.Server {
		o.Version = 3
		return captchatest.NewRecaptcha(o)
	}, google},
	"recaptcha_enterprise": {func(f *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewRecaptchaEnterprise(f.project, o.SiteKey, captcha.EnterpriseLogin{APIKey: s}, hosts,
			&captcha.RecaptchaEnterpriseOptions{RemoteOptions: o})
	}, captchatest.NewRecaptchaEnterprise, google},
	"friendly": {func(_ *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewFriendly(s, hosts, &o)
	}, captchatest.NewFriendly, "https://cdn.jsdelivr.net https://*.frcapi.com"},
	"arkose": {func(_ *vendorFlags, s captcha.Secret, _ []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewArkose("", s, &captcha.ArkoseOptions{RemoteOptions: o})
	}, captchatest.NewArkose, "https://*.arkoselabs.com"},
	"geetest": {func(_ *vendorFlags, s captcha.Secret, _ []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewGeeTest(o.SiteKey, s, &o)
	}, captchatest.NewGeeTest, "https://*.geetest.com https://*.geevisit.com"},
	"private_captcha": {func(_ *vendorFlags, s captcha.Secret, hosts []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewPrivateCaptcha(s, hosts, &o)
	}, captchatest.NewPrivateCaptcha, "https://cdn.privatecaptcha.com https://api.privatecaptcha.com"},
	"cap": {func(_ *vendorFlags, s captcha.Secret, _ []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewCap(o.Endpoint, o.SiteKey, s, &o)
	}, captchatest.NewCap, ""},
	"mcaptcha": {func(_ *vendorFlags, s captcha.Secret, _ []string, o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewMCaptcha(o.Endpoint, o.SiteKey, s, &o)
	}, captchatest.NewMCaptcha, ""},
}

const google = "https://www.google.com https://www.gstatic.com"

// start makes the chosen vendor's provider, and its stand-in where there is no account. It returns nil for the proof of
// work. The stand-in ends with ctx.
func (f *vendorFlags) start(ctx context.Context) (*vendor, error) {
	if f.name == "pow" || f.name == "" {
		return nil, nil
	}
	kind, ok := vendors[f.name]
	if !ok {
		return nil, fmt.Errorf("no CAPTCHA is called %q", f.name)
	}
	o := captcha.RemoteOptions{SiteKey: f.siteKey, Endpoint: f.endpoint, Script: f.script}
	sources := strings.Fields(kind.sources)
	var secret captcha.Secret
	if f.secretFile == "" {
		if f.siteKey != "" || f.endpoint != "" {
			return nil, errors.New("a site key or an endpoint needs -captcha-secret-file; without all three a stand-in is used")
		}
		fake := kind.standIn(&captchatest.ServerOptions{})
		base, err := serveStandIn(ctx, fake)
		if err != nil {
			return nil, err
		}
		secret = captcha.Secret(captchatest.ServerSecret)
		o.SiteKey, o.Endpoint, o.Script = captchatest.ServerSiteKey, fake.Endpoint(base), base+fake.ScriptPath()
		f.project = "test-project"
		sources = []string{base}
	} else {
		raw, err := os.ReadFile(f.secretFile)
		if err != nil {
			return nil, err
		}
		secret = bytes.TrimSpace(raw)
		for _, u := range []string{f.endpoint, f.script} {
			if parsed, err := url.Parse(u); err == nil && parsed.Host != "" {
				sources = append(sources, parsed.Scheme+"://"+parsed.Host)
			}
		}
	}
	provider, err := kind.provider(f, secret, strings.Split(f.hosts, ","), o)
	if err != nil {
		return nil, err
	}
	return &vendor{provider, sources}, nil
}

// serveStandIn serves h on a free port of loopback until ctx is done.
func serveStandIn(ctx context.Context, h http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), nil
}

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchakdf"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// modules is the folder of the official packages, installed at first use as package-lock.json says.
var modules = sync.OnceValues(func() (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("the official clients need Node and npm: %w", err)
	}
	if _, err := os.Stat(filepath.Join("node_modules", "altcha-lib", "package.json")); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	}
	return "node_modules", nil
})

const (
	signSecret = "e2e-signature-secret-0123456789abcdef"
	keySecret  = "e2e-key-secret-0123456789abcdef-0123456789"
)

// judge asks the official library.
func judge[T any](t *testing.T, in map[string]any) (out T) {
	t.Helper()
	_, err := modules()
	require.NoError(t, err)
	in["secret"], in["keySecret"] = signSecret, keySecret
	raw, err := json.Marshal(in)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("clients", "judge.mjs"))
	cmd.Stdin = bytes.NewReader(raw)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.NoError(t, json.Unmarshal(answer, &out), string(answer))
	return out
}

func kdfs(t *testing.T) []captcha.KDF {
	small := &captchakdf.Options{MinMemory: 16}
	s, err := captchakdf.NewScrypt(small)
	require.NoError(t, err)
	a, err := captchakdf.NewArgon2id(small)
	require.NoError(t, err)
	return []captcha.KDF{s, a}
}

func newPoW(t *testing.T, change func(o *captcha.PoWOptions)) *captcha.PoW {
	guard, err := captcha.NewMemoryGuard(nil)
	require.NoError(t, err)
	o := captcha.PoWOptions{Steps: captchatest.QuickSteps(), KDFs: kdfs(t)}
	change(&o)
	keys := captcha.Keys{Current: captcha.Key{Secret: captcha.Secret(signSecret), KeySecret: captcha.Secret(keySecret)}}
	p, err := captcha.NewPoW(keys, guard, &o)
	require.NoError(t, err)
	return p
}

func accept(t *testing.T, p *captcha.PoW, token string, e captcha.Expect) {
	t.Helper()
	for _, want := range []captcha.Reason{captcha.ReasonOK, captcha.ReasonReplayed} {
		res, err := p.Verify(t.Context(), captcha.Request{Token: token, Expect: e})
		require.NoError(t, err)
		require.Equal(t, want, res.Reason)
	}
}

type verdict struct{ Verified, Expired bool }

var works = map[string]captcha.Work{
	captcha.PBKDF2SHA256: {Cost: 1000}, captcha.PBKDF2SHA384: {Cost: 1000}, captcha.PBKDF2SHA512: {Cost: 1000},
	captchakdf.SCRYPT: {Cost: 128, MemoryCost: 8, Parallelism: 1}, captchakdf.ARGON2ID: {Cost: 1, MemoryCost: 64, Parallelism: 1},
}

// The official library solves and verifies what we issue, and we verify what it issues and solves.
func TestOfficialLibrary(t *testing.T) {
	has := judge[struct{ Argon2id bool }](t, map[string]any{"action": "supports"})
	for algorithm, work := range works {
		for _, deterministic := range []bool{false, true} {
			t.Run(fmt.Sprint(algorithm, " deterministic ", deterministic), func(t *testing.T) {
				if algorithm == captchakdf.ARGON2ID && !has.Argon2id {
					t.Skip("this Node has no ARGON2ID: it needs 24.7")
				}
				p := newPoW(t, func(o *captcha.PoWOptions) {
					o.Algorithm, o.Deterministic, o.Steps = algorithm, deterministic, []captcha.Step{{Work: work, Digits: 1}}
				})
				r := captcha.ChallengeRequest{Action: "signup", Session: "s", Data: map[string]string{"note": `<b> & "q" \ '`}}
				e := captcha.Expect{Action: "signup", Session: "s", Data: r.Data}
				issued, err := p.Issue(t.Context(), r)
				require.NoError(t, err)

				solved := judge[struct{ Token string }](t, map[string]any{"action": "solve", "challenge": issued})
				require.Equal(t, verdict{Verified: true}, judge[verdict](t, map[string]any{"action": "verify", "token": solved.Token}))
				accept(t, p, solved.Token, e)

				issued, err = p.Issue(t.Context(), r)
				require.NoError(t, err)
				ours, err := captchatest.Solve(issued, kdfs(t)...)
				require.NoError(t, err)
				require.Equal(t, verdict{Verified: true}, judge[verdict](t, map[string]any{"action": "verify", "token": ours}))
				accept(t, p, ours, e)

				options := map[string]any{
					"algorithm": algorithm, "cost": work.Cost, "keyPrefix": "0", "expiresAt": time.Now().Add(time.Minute).Unix(),
					"data": map[string]any{"note": `<b> & "q" \ ' ` + "\u2028\u00e4"},
				}
				if work.MemoryCost > 0 {
					options["memoryCost"], options["parallelism"] = work.MemoryCost, work.Parallelism
				}
				if deterministic {
					options["counter"] = 7
				}
				foreign := judge[struct{ Token string }](t, map[string]any{"action": "create", "options": options})
				accept(t, p, foreign.Token, captcha.Expect{})
			})
		}
	}
	for _, algorithm := range []string{captcha.PlainSHA256, captcha.PlainSHA384, captcha.PlainSHA512} {
		t.Run(algorithm, func(t *testing.T) {
			options := map[string]any{"algorithm": algorithm, "cost": 3, "keyPrefix": "000", "expiresAt": time.Now().Add(time.Minute).Unix()}
			foreign := judge[struct{ Token string }](t, map[string]any{"action": "create", "options": options})
			accept(t, newPoW(t, func(o *captcha.PoWOptions) { o.InsecurePlainHash, o.MinCost = true, 1 }), foreign.Token, captcha.Expect{})
			res, err := newPoW(t, func(*captcha.PoWOptions) {}).Verify(t.Context(), captcha.Request{Token: foreign.Token})
			require.NoError(t, err)
			require.Equal(t, captcha.ReasonAlgorithm, res.Reason)
		})
	}
}

// page is a form around a widget.
func page(script, widget string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>form</title><link rel="icon" href="data:,">%s<form method="post" action="/post">%s<button>Send</button></form>`, script, widget)
	}
}

// posted shows a verdict.
func posted(w http.ResponseWriter, res captcha.Result, err error) {
	failure := "no error"
	if err != nil {
		failure = html.EscapeString(err.Error())
	}
	_, _ = fmt.Fprintf(w, `<title>posted</title><link rel="icon" href="data:,"><p id=verdict>%s, %s</p>`, res.Reason, failure)
}

// The official widget solves our challenge in a browser, and the server accepts the form once. Our own script does the
// same challenges.
func TestOfficialWidget(t *testing.T) {
	dir, err := modules()
	require.NoError(t, err)
	for name, row := range map[string]struct {
		change         func(o *captcha.PoWOptions)
		script, widget string
	}{
		"official": {
			func(*captcha.PoWOptions) {}, `<script type="module" src="/npm/altcha/dist/main/altcha.min.js"></script>`,
			`<altcha-widget challenge="/challenge" auto="onload"></altcha-widget>`,
		},
		"official deterministic": {
			func(o *captcha.PoWOptions) { o.Deterministic = true }, `<script type="module" src="/npm/altcha/dist/main/altcha.min.js"></script>`,
			`<altcha-widget challenge="/challenge" auto="onload"></altcha-widget>`,
		},
		"ours": {
			func(*captcha.PoWOptions) {}, `<script src="/captcha.js" defer></script>`,
			`<div data-captcha data-captcha-url="/challenge" data-captcha-field="altcha"></div>`,
		},
		"ours deterministic": {
			func(o *captcha.PoWOptions) { o.Deterministic = true }, `<script src="/captcha.js" defer></script>`,
			`<div data-captcha data-captcha-url="/challenge" data-captcha-field="altcha"></div>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoW(t, row.change)
			mux := http.NewServeMux()
			mux.Handle("/npm/", http.StripPrefix("/npm/", http.FileServer(http.Dir(dir))))
			mux.Handle("/captcha.js", captcha.Script())
			mux.Handle("/challenge", p.ChallengeHandler(func(*http.Request) (captcha.ChallengeRequest, error) {
				return captcha.ChallengeRequest{Action: "signup", Data: map[string]string{"note": `<&>`}}, nil
			}))
			mux.HandleFunc("GET /{$}", page(row.script, row.widget))
			mux.HandleFunc("POST /post", func(w http.ResponseWriter, r *http.Request) {
				res, err := p.Verify(r.Context(), captcha.Request{Token: r.PostFormValue("altcha"), Expect: captcha.Expect{Action: "signup"}})
				posted(w, res, err)
			})
			s := httptest.NewServer(mux)
			t.Cleanup(s.Close)
			b := open(t)
			b.run(chromedp.Navigate(s.URL))
			token := ""
			require.Eventually(t, func() bool {
				token = eval[string](b, `(document.querySelector('input[name=altcha]') || {}).value || ''`)
				return token != ""
			}, 30*time.Second, 50*time.Millisecond, "the widget fills the field")
			b.run(chromedp.Click(chromedp.CSS("form > button")), chromedp.WaitVisible(chromedp.CSS("#verdict")))
			require.Equal(t, "ok, no error", b.text("#verdict"))
			res, err := p.Verify(t.Context(), captcha.Request{Token: token, Expect: captcha.Expect{Action: "signup"}})
			require.NoError(t, err)
			require.Equal(t, captcha.ReasonReplayed, res.Reason)
		})
	}
}

// stand is a vendor's stand-in beside the page, on another port as the real one is on another host.
type stand struct {
	fake func(o *captchatest.ServerOptions) *captchatest.Server
	make func(o captcha.RemoteOptions) (captcha.Provider, error)
	opts captchatest.ServerOptions
}

var stands = map[string]stand{
	"turnstile": {captchatest.NewTurnstile, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewTurnstile(captcha.Secret(captchatest.ServerSecret), []string{"127.0.0.1"}, &o)
	}, captchatest.ServerOptions{}},
	"hcaptcha": {captchatest.NewHCaptcha, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewHCaptcha(captcha.Secret(captchatest.ServerSecret), []string{"127.0.0.1"}, &o)
	}, captchatest.ServerOptions{}},
	"recaptcha v2": {captchatest.NewRecaptcha, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewRecaptcha(captcha.Secret(captchatest.ServerSecret), []string{"127.0.0.1"}, &captcha.RecaptchaOptions{RemoteOptions: o})
	}, captchatest.ServerOptions{}},
	"recaptcha v3": {captchatest.NewRecaptcha, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewRecaptcha(captcha.Secret(captchatest.ServerSecret), []string{"127.0.0.1"}, &captcha.RecaptchaOptions{RemoteOptions: o, Version: 3})
	}, captchatest.ServerOptions{Version: 3}},
	"recaptcha enterprise":           {captchatest.NewRecaptchaEnterprise, enterprise(false), captchatest.ServerOptions{}},
	"recaptcha enterprise invisible": {captchatest.NewRecaptchaEnterprise, enterprise(true), captchatest.ServerOptions{}},
	"friendly": {captchatest.NewFriendly, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewFriendly(captcha.Secret(captchatest.ServerSecret), []string{"127.0.0.1"}, &o)
	}, captchatest.ServerOptions{}},
	"cap": {captchatest.NewCap, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewCap(o.Endpoint, o.SiteKey, captcha.Secret(captchatest.ServerSecret), &o)
	}, captchatest.ServerOptions{}},
	"mcaptcha": {captchatest.NewMCaptcha, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewMCaptcha(o.Endpoint, o.SiteKey, captcha.Secret(captchatest.ServerSecret), &o)
	}, captchatest.ServerOptions{}},
	"geetest": {captchatest.NewGeeTest, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewGeeTest(o.SiteKey, captcha.Secret(captchatest.ServerSecret), &o)
	}, captchatest.ServerOptions{}},
	"private captcha": {captchatest.NewPrivateCaptcha, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewPrivateCaptcha(captcha.Secret(captchatest.ServerSecret), []string{"127.0.0.1"}, &o)
	}, captchatest.ServerOptions{}},
	"arkose": {captchatest.NewArkose, func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewArkose("", captcha.Secret(captchatest.ServerSecret), &captcha.ArkoseOptions{RemoteOptions: o})
	}, captchatest.ServerOptions{}},
}

func enterprise(invisible bool) func(o captcha.RemoteOptions) (captcha.Provider, error) {
	return func(o captcha.RemoteOptions) (captcha.Provider, error) {
		return captcha.NewRecaptchaEnterprise("test-project", o.SiteKey, captcha.EnterpriseLogin{APIKey: captcha.Secret(captchatest.ServerSecret)},
			[]string{"127.0.0.1"}, &captcha.RecaptchaEnterpriseOptions{RemoteOptions: o, Invisible: invisible})
	}
}

// The script renders what the server assigned, whoever the vendor is, and fills the one field. A widget that fails says
// so, and one whose answer expires empties the field.
func TestScriptRendersWhatTheServerAssigned(t *testing.T) {
	for name, v := range stands {
		for _, key := range []string{captchatest.ServerSiteKey, "fail"} {
			t.Run(name+" "+key, func(t *testing.T) {
				fake := v.fake(&v.opts)
				vendor := httptest.NewServer(fake)
				t.Cleanup(vendor.Close)
				provider, err := v.make(captcha.RemoteOptions{Endpoint: fake.Endpoint(vendor.URL), Script: vendor.URL + fake.ScriptPath(), SiteKey: key})
				require.NoError(t, err)
				guard, err := captcha.NewMemoryGuard(nil)
				require.NoError(t, err)
				o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: provider, Weight: 1}},
					captcha.Keys{Current: captcha.Key{Secret: captcha.Secret(signSecret)}}, guard, nil)
				require.NoError(t, err)
				mux := http.NewServeMux()
				mux.Handle("/captcha.js", captcha.Script())
				mux.HandleFunc("/task", func(w http.ResponseWriter, r *http.Request) {
					task, err := o.Challenge(r.Context(), captcha.ChallengeRequest{Action: "signup", Session: "s"})
					if err != nil {
						http.Error(w, err.Error(), http.StatusInternalServerError)
						return
					}
					_ = json.NewEncoder(w).Encode(task)
				})
				mux.HandleFunc("GET /{$}", page(`<script src="/captcha.js" defer></script>`, `<div id="c" data-captcha data-captcha-url="/task"></div>`))
				mux.HandleFunc("POST /post", func(w http.ResponseWriter, r *http.Request) {
					res, err := o.Verify(r.Context(), captcha.Request{Token: r.PostFormValue("captcha"), Expect: captcha.Expect{Action: "signup", Session: "s"}})
					posted(w, res, err)
				})
				s := httptest.NewServer(mux)
				t.Cleanup(s.Close)
				b := open(t)
				b.run(chromedp.Navigate(s.URL))
				if key == "fail" {
					b.run(chromedp.WaitReady(chromedp.CSS(`#c[data-captcha-state="error"]`)))
					require.Empty(t, eval[string](b, `document.querySelector('input[name=captcha]').value`))
					require.Zero(t, eval[int](b, `document.querySelectorAll('[data-captcha-widget]').length`), "what failed is taken away")
					return
				}
				b.run(chromedp.WaitReady(chromedp.CSS(`#c[data-captcha-state="solved"]`)))
				b.run(chromedp.Click(chromedp.CSS("form > button")), chromedp.WaitVisible(chromedp.CSS("#verdict")))
				require.Equal(t, "ok, no error", b.text("#verdict"))
			})
		}
	}
}

// The example asks for the CAPTCHA its flags name, against the vendor's stand-in.
func TestExampleWithVendor(t *testing.T) {
	for _, name := range []string{"turnstile", "hcaptcha", "recaptcha", "recaptcha_v3", "recaptcha_enterprise", "friendly", "arkose", "geetest", "private_captcha", "cap", "mcaptcha"} {
		t.Run(name, func(t *testing.T) {
			s, b := start(t, "-captcha", name), open(t)
			b.run(chromedp.Navigate(s.url))
			b.burst()
			b.fill(6)
			b.run(chromedp.WaitVisible(chromedp.CSS("#done")))
			require.Contains(t, s.logged(), "captcha.passed -6 (human)")
		})
	}
}

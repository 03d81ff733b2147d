package captcha

import (
	"context"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// HCaptcha is hCaptcha, Enterprise included (https://docs.hcaptcha.com/). Its score counts risk as ours does: 0 none, 1
// a confirmed threat. Build it with NewHCaptcha. It is safe for concurrent use.
type HCaptcha struct {
	*remote
	secret Secret
}

var (
	_ Provider   = (*HCaptcha)(nil)
	_ Challenger = (*HCaptcha)(nil)
)

// sitekey-secret-mismatch can also mean that our keys do not belong together. It is read as a token of another site,
// which is what a visitor can cause at any time; wrong keys show in the first test.
var hcaptchaCodes = siteverify{map[string]Reason{
	"missing-input-secret":             ReasonCredentials,
	"invalid-input-secret":             ReasonCredentials,
	"missing-input-response":           ReasonMissing,
	"invalid-input-response":           ReasonToken,
	"expired-input-response":           ReasonExpired,
	"already-seen-response":            ReasonReplayed,
	"invalid-or-already-seen-response": ReasonSpent,
	"bad-request":                      ReasonRequest,
	"missing-remoteip":                 ReasonRequest,
	"invalid-remoteip":                 ReasonRequest,
	"not-using-dummy-passcode":         ReasonTestKey,
	"not-using-dummy-secret":           ReasonTestKey,
	"sitekey-secret-mismatch":          ReasonSiteKey,
}}

// NewHCaptcha makes an HCaptcha. hostnames are those that forms are served from; pages that send no referrer are reported
// as "not-provided" and refused. A SiteKey pins answers to it. The public test secret is refused unless InsecureTestKeys is set.
func NewHCaptcha(secret Secret, hostnames []string, opts *RemoteOptions) (*HCaptcha, error) {
	if err := checkSecret("hcaptcha", "secret", secret); err != nil {
		return nil, err
	}
	r, err := newRemote(contract{"hcaptcha", "https://api.hcaptcha.com", 2 * time.Minute, MaxToken, true}, hostnames, opts)
	if err != nil {
		return nil, err
	}
	s, key := strings.ToLower(string(secret)), r.opts.SiteKey
	test := strings.HasPrefix(s, "0x") && strings.Trim(s[2:], "0") == "" ||
		len(key) == 36 && strings.Contains(key, "0000000-ffff-ffff-ffff-00000000000")
	if test && !r.opts.InsecureTestKeys {
		return nil, errTestKey("hcaptcha")
	}
	return &HCaptcha{r, secret}, nil
}

// Verify implements Provider.
func (h *HCaptcha) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := h.begin(in.Token); !ok {
		return res, nil
	}
	form := h.form(h.secret, &in)
	if h.opts.SiteKey != "" {
		form.Set("sitekey", h.opts.SiteKey)
	}
	return h.ask(ctx, &in, exchange{token: in.Token, send: jsonhttp.Request{Path: "/siteverify", Form: form}, read: h.read})
}

func (h *HCaptcha) read(resp *jsonhttp.Response) Result {
	return hcaptchaCodes.read(resp, func(v jsonhttp.Value, res *Result) bool {
		n, there, ok := score(v.At("score"), 0, 1)
		if there {
			res.Risk, res.RawScore, res.HasRisk = n, n, true
			res.Codes = append(res.Codes, v.At("score_reason").Texts()...)
		}
		return ok
	})
}

// Challenge implements Challenger with the site key.
func (h *HCaptcha) Challenge(context.Context, ChallengeRequest) (Task, error) { return h.task() }

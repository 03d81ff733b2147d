package captcha

import (
	"context"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Recaptcha is Google reCAPTCHA v2 and v3 by the older siteverify interface
// (https://developers.google.com/recaptcha/docs/verify), which Google keeps for existing integrations; new ones take
// [RecaptchaEnterprise]. The score of v3 is 1 for people: risk is 1 - score. A low score is a passed answer of high risk.
// Build it with NewRecaptcha. It is safe for concurrent use.
type Recaptcha struct {
	*remote
	secret  Secret
	version int
}

var (
	_ Provider   = (*Recaptcha)(nil)
	_ Challenger = (*Recaptcha)(nil)
)

// RecaptchaOptions of a Recaptcha. The zero value and nil mean the defaults.
type RecaptchaOptions struct {
	RemoteOptions
	// Version of the site key: 2 or 3; default 2. Answers of version 3 must have a score, and their action is checked.
	Version int
}

var recaptchaCodes = siteverify{map[string]Reason{
	"missing-input-secret":   ReasonCredentials,
	"invalid-input-secret":   ReasonCredentials,
	"missing-input-response": ReasonMissing,
	"invalid-input-response": ReasonToken,
	"bad-request":            ReasonRequest,
	"timeout-or-duplicate":   ReasonSpent,
}}

const (
	recaptchaTestHost    = "testkey.google.com"
	recaptchaTestSecret  = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe"
	recaptchaTestSiteKey = "6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI"
)

// NewRecaptcha makes a Recaptcha. hostnames are those that forms are served from; an Android app is named
// "android:com.example.app". Google's test keys are refused unless InsecureTestKeys is set.
func NewRecaptcha(secret Secret, hostnames []string, opts *RecaptchaOptions) (*Recaptcha, error) {
	if err := checkSecret("recaptcha", "secret", secret); err != nil {
		return nil, err
	}
	var o RecaptchaOptions
	if opts != nil {
		o = *opts
	}
	if o.Version == 0 {
		o.Version = 2
	}
	if o.Version != 2 && o.Version != 3 {
		return nil, fmt.Errorf("captcha: version %d of recaptcha; it is 2 or 3", o.Version)
	}
	r, err := newRemote(contract{"recaptcha", "https://www.google.com/recaptcha/api", 2 * time.Minute, MaxToken, true}, hostnames, &o.RemoteOptions)
	if err != nil {
		return nil, err
	}
	if (string(secret) == recaptchaTestSecret || r.opts.SiteKey == recaptchaTestSiteKey) && !r.opts.InsecureTestKeys {
		return nil, errTestKey("recaptcha")
	}
	return &Recaptcha{r, secret, o.Version}, nil
}

// Verify implements Provider.
func (p *Recaptcha) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := p.begin(in.Token); !ok {
		return res, nil
	}
	res, err := p.ask(ctx, &in, exchange{
		token: in.Token, send: jsonhttp.Request{Path: "/siteverify", Form: p.form(p.secret, &in)}, read: p.read,
		acts: p.version == 3, fold: true,
	})
	if err == nil && res.Outcome == Passed && res.Hostname == recaptchaTestHost && !p.opts.InsecureTestKeys {
		res.Outcome, res.Reason, res.Fault = Unverified, ReasonTestKey, FaultCaller
		return res, p.fail(ReasonTestKey, 200, true, 0, nil)
	}
	return res, err
}

func (p *Recaptcha) read(resp *jsonhttp.Response) Result {
	return recaptchaCodes.read(resp, func(v jsonhttp.Value, res *Result) bool {
		app, ok1 := text(v, "apk_package_name")
		if res.Hostname == "" && app != "" {
			res.Hostname = "android:" + app
		}
		var ok2 bool
		res.Action, ok2 = text(v, "action")
		n, there, ok3 := score(v.At("score"), 0, 1)
		if there {
			res.Risk, res.RawScore, res.HasRisk = 1-n, n, true
		}
		return ok1 && ok2 && ok3 && (there || p.version != 3)
	})
}

// Challenge implements Challenger with the site key; the task of version 3 is invisible.
func (p *Recaptcha) Challenge(_ context.Context, r ChallengeRequest) (Task, error) {
	task, err := p.task()
	if p.version == 3 {
		task.Invisible, task.Action = true, WidgetAction(r.Action)
	}
	return task, err
}

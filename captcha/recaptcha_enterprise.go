package captcha

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// RecaptchaEnterprise is Google reCAPTCHA Enterprise, now part of Google Cloud Fraud Defense: createAssessment
// (https://docs.cloud.google.com/recaptcha/docs/create-assessment-website) and annotations, by which it learns. Its
// score is 1 for people: risk is 1 - score. Build it with NewRecaptchaEnterprise. It is safe for concurrent use.
type RecaptchaEnterprise struct {
	*remote
	project, siteKey string
	login            EnterpriseLogin
	invisible        bool
}

var (
	_ Provider   = (*RecaptchaEnterprise)(nil)
	_ Challenger = (*RecaptchaEnterprise)(nil)
	_ Annotator  = (*RecaptchaEnterprise)(nil)
)

// EnterpriseLogin is how calls to Google are authorised: one of the two.
type EnterpriseLogin struct {
	// APIKey is sent in a header, never in a URL.
	APIKey Secret
	// Bearer returns an OAuth access token with the scope cloud-platform; it must cache it itself. It is needed for
	// annotations where API keys are restricted to assessments.
	Bearer func(ctx context.Context) (Secret, error)
}

// RecaptchaEnterpriseOptions of a RecaptchaEnterprise. The zero value and nil mean the defaults. RemoteOptions.SiteKey
// is ignored: the site key is required.
type RecaptchaEnterpriseOptions struct {
	RemoteOptions
	// Invisible says that the key is score-based and shows nothing.
	Invisible bool
}

// Annotation tells a provider what became of a visitor it judged.
type Annotation struct {
	// Provider and Reference are those of the Result.
	Provider, Reference string
	// Fraud and Good are what was confirmed; neither: only Events are told.
	Fraud, Good bool
	// Events are the provider's own words for what happened: "CORRECT_PASSWORD", "CHARGEBACK".
	Events []string
}

// Annotator is the ability to learn what became of visitors. It is safe for concurrent use. An error means that the
// annotation was not taken.
type Annotator interface {
	Annotate(ctx context.Context, a Annotation) error
}

// NewRecaptchaEnterprise makes a RecaptchaEnterprise for a Google Cloud project (its id) and a site key. hostnames are
// those that forms are served from; an app is named "android:com.example.app" or "ios:com.example.app".
func NewRecaptchaEnterprise(project, siteKey string, login EnterpriseLogin, hostnames []string, opts *RecaptchaEnterpriseOptions) (*RecaptchaEnterprise, error) {
	if !printable(project, 128) || !printable(siteKey, 256) {
		return nil, errors.New("captcha: recaptcha_enterprise needs the id of a project and a site key, of printable ASCII")
	}
	if (len(login.APIKey) == 0) == (login.Bearer == nil) {
		return nil, errors.New("captcha: recaptcha_enterprise needs either an API key or a Bearer function")
	}
	if login.Bearer == nil {
		if err := checkSecret("recaptcha_enterprise", "API key", login.APIKey); err != nil {
			return nil, err
		}
	}
	var o RecaptchaEnterpriseOptions
	if opts != nil {
		o = *opts
	}
	o.SiteKey = siteKey
	r, err := newRemote(contract{"recaptcha_enterprise", "https://recaptchaenterprise.googleapis.com", 2 * time.Minute, MaxToken, true}, hostnames, &o.RemoteOptions)
	if err != nil {
		return nil, err
	}
	return &RecaptchaEnterprise{r, project, siteKey, login, o.Invisible}, nil
}

type enterpriseEvent struct {
	Token          string `json:"token"`
	SiteKey        string `json:"siteKey"`
	ExpectedAction string `json:"expectedAction,omitempty"`
	UserIPAddress  string `json:"userIpAddress,omitempty"`
	UserAgent      string `json:"userAgent,omitempty"`
}

// Verify implements Provider. The result's Reference is the assessment's name, for Annotate.
func (p *RecaptchaEnterprise) Verify(ctx context.Context, in Request) (Result, error) {
	res, ok := p.begin(in.Token)
	if !ok {
		return res, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	header, err := p.authorize(ctx)
	if err != nil {
		res.Reason, res.Fault = err.Reason, err.Fault
		return res, err
	}
	event := enterpriseEvent{Token: in.Token, SiteKey: p.siteKey, UserIPAddress: address(in.RemoteIP), UserAgent: in.UserAgent}
	if len(event.UserAgent) > 1024 {
		event.UserAgent = strings.ToValidUTF8(event.UserAgent[:1024], "")
	}
	if in.Expect.Action != "" {
		event.ExpectedAction = WidgetAction(in.Expect.Action)
	}
	return p.ask(ctx, &in, exchange{
		token: in.Token, read: p.read, acts: true, fold: true,
		send: jsonhttp.Request{
			Path: "/v1/projects/" + url.PathEscape(p.project) + "/assessments", Header: header,
			JSON: struct {
				Event enterpriseEvent `json:"event"`
			}{event},
		},
	})
}

func (p *RecaptchaEnterprise) authorize(ctx context.Context) (http.Header, *Error) {
	if p.login.Bearer == nil {
		return http.Header{"X-Goog-Api-Key": {string(p.login.APIKey)}}, nil
	}
	token, err := p.login.Bearer(ctx)
	switch {
	case err != nil && errors.Is(err, context.Canceled):
		return nil, p.fail(ReasonCanceled, 0, false, 0, context.Canceled)
	case err != nil: // its text may hold anything
		return nil, p.fail(ReasonProvider, 0, false, 0, errors.New("no access token could be had"))
	case !printable(string(token), 8<<10):
		return nil, p.fail(ReasonCredentials, 0, false, 0, errors.New("the access token is malformed"))
	}
	return http.Header{"Authorization": {"Bearer " + string(token)}}, nil
}

var enterpriseReasons = map[string]Reason{
	"":                           ReasonToken,
	"INVALID_REASON_UNSPECIFIED": ReasonToken,
	"UNKNOWN_INVALID_REASON":     ReasonToken,
	"MALFORMED":                  ReasonToken,
	"EXPIRED":                    ReasonExpired,
	"DUPE":                       ReasonReplayed,
	"MISSING":                    ReasonMissing,
	"BROWSER_ERROR":              ReasonToken, // documented as easily simulated by an attacker
	"UNEXPECTED_ACTION":          ReasonAction,
	"KEY_MISMATCH":               ReasonSiteKey,
	"DOMAIN_MISMATCH":            ReasonHostname,
}

func (p *RecaptchaEnterprise) read(resp *jsonhttp.Response) Result {
	v, ok := parse(resp.Body)
	if resp.Status != http.StatusOK {
		res, _ := byStatus(resp.Status)
		if code, is := text(v, "error", "status"); ok && is && code != "" {
			res.Codes = []string{code}
		}
		return res
	}
	token := v.At("tokenProperties")
	if !ok || !token.IsObject() {
		return refusal(ReasonResponse)
	}
	name, ok1 := text(v, "name")
	why, ok2 := text(token, "invalidReason")
	valid := false
	ok3 := true
	if m := token.At("valid"); m.There() && !m.IsNull() { // proto3 JSON may leave false out
		valid, ok3 = m.Bool()
	}
	if !ok1 || !ok2 || !ok3 {
		return refusal(ReasonResponse)
	}
	if !valid {
		reason, known := enterpriseReasons[why]
		if !known {
			reason = ReasonToken
		}
		res := refusal(reason)
		if why != "" {
			res.Codes = []string{why}
		}
		res.Reference = name
		res.Hostname, _ = text(token, "hostname")
		res.Action, _ = text(token, "action")
		return res
	}
	if why != "" && why != "INVALID_REASON_UNSPECIFIED" {
		return refusal(ReasonResponse, why)
	}
	res := passed()
	res.Reference = name
	var ok4, ok5, ok6, ok7, ok8 bool
	var android, ios string
	res.Hostname, ok4 = text(token, "hostname")
	android, ok5 = text(token, "androidPackageName")
	ios, ok6 = text(token, "iosBundleId")
	res.Action, ok7 = text(token, "action")
	res.ChallengeTime, ok8 = when(token, "createTime")
	switch {
	case res.Hostname != "":
	case android != "":
		res.Hostname = "android:" + android
	case ios != "":
		res.Hostname = "ios:" + ios
	}
	if !ok4 || !ok5 || !ok6 || !ok7 || !ok8 {
		return refusal(ReasonResponse)
	}
	analysis := v.At("riskAnalysis")
	if !analysis.There() || analysis.IsNull() {
		return res
	}
	// proto3 JSON may leave a zero out: an analysis without a score has the worst one.
	n, _, ok := score(analysis.At("score"), 0, 1)
	challenge, is := text(analysis, "challenge")
	if !ok || !is || !analysis.IsObject() {
		return refusal(ReasonResponse)
	}
	res.Risk, res.RawScore, res.HasRisk = 1-n, n, true
	res.Codes = append(analysis.At("reasons").Texts(), analysis.At("extendedVerdictReasons").Texts()...)
	if challenge == "FAILED" {
		res.Outcome, res.Reason, res.Fault = Failed, ReasonUnsolved, FaultVisitor
	}
	return res
}

// Challenge implements Challenger with the site key and the action.
func (p *RecaptchaEnterprise) Challenge(_ context.Context, r ChallengeRequest) (Task, error) {
	task, err := p.task()
	task.Action, task.Invisible = WidgetAction(r.Action), p.invisible
	return task, err
}

// Annotate implements Annotator with the method projects.assessments.annotate. Annotating the same assessment again
// changes its label.
func (p *RecaptchaEnterprise) Annotate(ctx context.Context, a Annotation) error {
	if !assessmentName(a.Reference) {
		return errors.New("captcha: this is no name of an assessment of recaptcha_enterprise")
	}
	if a.Fraud && a.Good {
		return errors.New("captcha: an annotation says fraud and good at once")
	}
	body := struct {
		Annotation string   `json:"annotation,omitempty"`
		Reasons    []string `json:"reasons,omitempty"`
	}{Reasons: a.Events}
	switch {
	case a.Fraud:
		body.Annotation = "FRAUDULENT"
	case a.Good:
		body.Annotation = "LEGITIMATE"
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	header, bad := p.authorize(ctx)
	if bad != nil {
		return bad
	}
	resp, err := p.client.Do(ctx, jsonhttp.Request{Path: "/v1/" + a.Reference + ":annotate", Header: header, JSON: body})
	if err != nil {
		return fmt.Errorf("captcha: annotating: %w", err)
	}
	if resp.Status != http.StatusOK {
		res, _ := byStatus(resp.Status)
		return p.fail(res.Reason, resp.Status, true, jsonhttp.RetryAfter(resp.Header, p.opts.Now()), nil)
	}
	return nil
}

// assessmentName reports whether s is projects/{p}/assessments/{a}: it comes back from stores and becomes a path.
func assessmentName(s string) bool {
	parts := strings.Split(s, "/")
	if len(parts) != 4 || parts[0] != "projects" || parts[2] != "assessments" || len(s) > mostText {
		return false
	}
	for _, p := range []string{parts[1], parts[3]} {
		if p == "" || strings.Trim(p, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
			return false
		}
	}
	return true
}

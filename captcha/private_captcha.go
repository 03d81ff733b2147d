package captcha

import (
	"context"
	"net/http"
	"strconv"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// PrivateCaptcha is Private Captcha (https://docs.privatecaptcha.com/docs/reference/verify-api). It has no score. An
// answer passes only with success and code 0: success alone also comes in maintenance and for the test property.
// Build it with NewPrivateCaptcha. It is safe for concurrent use.
type PrivateCaptcha struct {
	*remote
	apiKey Secret
}

var (
	_ Provider   = (*PrivateCaptcha)(nil)
	_ Challenger = (*PrivateCaptcha)(nil)
)

// PrivateCaptchaEU is the endpoint that stays in the European Union.
const PrivateCaptchaEU = "https://api.eu.privatecaptcha.com"

const privateTestSiteKey = "aaaaaaaabbbbccccddddeeeeeeeeeeee"

// The property is named in the visitor's puzzle, so a wrong one is an answer for another site.
var privateCodes = [...]Reason{
	0: ReasonOK, 1: ReasonProvider, 2: ReasonToken, 3: ReasonToken, 4: ReasonToken, 5: ReasonExpired, 6: ReasonSiteKey, 7: ReasonSiteKey,
	8: ReasonReplayed, 9: ReasonProvider, 10: ReasonTestKey, 11: ReasonToken, 12: ReasonSiteKey,
}

// NewPrivateCaptcha makes a PrivateCaptcha. hostnames are those that forms are served from. A SiteKey pins answers to it.
func NewPrivateCaptcha(apiKey Secret, hostnames []string, opts *RemoteOptions) (*PrivateCaptcha, error) {
	if err := checkSecret("private_captcha", "API key", apiKey); err != nil {
		return nil, err
	}
	r, err := newRemote(contract{"private_captcha", "https://api.privatecaptcha.com", 0, MaxToken, true}, hostnames, opts)
	if err != nil {
		return nil, err
	}
	if r.opts.SiteKey == privateTestSiteKey && !r.opts.InsecureTestKeys {
		return nil, errTestKey("private_captcha")
	}
	return &PrivateCaptcha{r, apiKey}, nil
}

// Verify implements Provider.
func (p *PrivateCaptcha) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := p.begin(in.Token); !ok {
		return res, nil
	}
	h := http.Header{"X-Api-Key": {string(p.apiKey)}}
	if p.opts.SiteKey != "" {
		h.Set("X-Pc-Sitekey", p.opts.SiteKey)
	}
	return p.ask(ctx, &in, exchange{token: in.Token, read: p.read, send: jsonhttp.Request{
		Path: "/verify", Header: h, Body: []byte(in.Token), Type: "text/plain",
	}})
}

func (p *PrivateCaptcha) read(resp *jsonhttp.Response) Result {
	if res, ok := byStatus(resp.Status); !ok {
		return res
	}
	v, ok := parse(resp.Body)
	success, ok1 := v.At("success").Bool()
	code, ok2 := v.At("code").Int()
	origin, ok3 := text(v, "origin")
	at, ok4 := when(v, "timestamp")
	if !ok || !ok1 || !ok2 || !ok3 || !ok4 {
		return refusal(ReasonResponse)
	}
	why := ReasonToken
	if code >= 0 && code < int64(len(privateCodes)) {
		why = privateCodes[code]
	} else if success {
		why = ReasonResponse
	}
	if why == ReasonTestKey && success && p.opts.InsecureTestKeys {
		why = ReasonOK
	}
	if why == ReasonOK && !success {
		why = ReasonResponse
	}
	if why != ReasonOK {
		return refusal(why, strconv.FormatInt(code, 10))
	}
	res := passed()
	res.Hostname, res.ChallengeTime = originHost(origin), at
	return res
}

// Challenge implements Challenger with the site key.
func (p *PrivateCaptcha) Challenge(context.Context, ChallengeRequest) (Task, error) { return p.task() }

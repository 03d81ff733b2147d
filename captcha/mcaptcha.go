package captcha

import (
	"context"
	"net/http"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// MCaptcha is an mCaptcha server (https://github.com/mCaptcha/mCaptcha). It has no score, reports no host name and does
// not say whether a token was made up, used or old. Build it with NewMCaptcha. It is safe for concurrent use.
type MCaptcha struct {
	*remote
	secret Secret
}

var (
	_ Provider   = (*MCaptcha)(nil)
	_ Challenger = (*MCaptcha)(nil)
)

// NewMCaptcha makes an MCaptcha from the address of the instance, a site key and the account's secret.
func NewMCaptcha(instance, siteKey string, secret Secret, opts *RemoteOptions) (*MCaptcha, error) {
	r, err := newInstance("mcaptcha", 0, instance, siteKey, secret, opts)
	if err != nil {
		return nil, err
	}
	return &MCaptcha{r, secret}, nil
}

// Verify implements Provider.
func (p *MCaptcha) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := p.begin(in.Token); !ok {
		return res, nil
	}
	return p.ask(ctx, &in, exchange{token: in.Token, read: p.read, send: jsonhttp.Request{
		Path: "/api/v1/pow/siteverify",
		JSON: struct {
			Secret string `json:"secret"`
			Key    string `json:"key"`
			Token  string `json:"token"`
		}{string(p.secret), p.opts.SiteKey, in.Token},
	}})
}

func (p *MCaptcha) read(resp *jsonhttp.Response) Result {
	v, ok := parse(resp.Body)
	if resp.Status == http.StatusNotFound { // "Captcha not found.": the site key is unknown
		if word, is := text(v, "error"); ok && is && word != "" {
			return refusal(ReasonCredentials, word)
		}
		return refusal(ReasonCredentials)
	}
	if res, ok := byStatus(resp.Status); !ok {
		return res
	}
	valid, is := v.At("valid").Bool()
	if !ok || !is {
		return refusal(ReasonResponse)
	}
	if !valid {
		return refusal(ReasonToken)
	}
	return passed()
}

// Challenge implements Challenger with the site key and the instance's address.
func (p *MCaptcha) Challenge(context.Context, ChallengeRequest) (Task, error) {
	task, err := p.task()
	task.Instance = p.opts.Endpoint
	return task, err
}

package captcha

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Cap is a Cap Standalone server (https://github.com/tiagozip/cap). It has no score and reports no host name; it hands
// out tokens of the form sitekey:id:secret, which live twenty minutes and are deleted with their use. Build it with
// NewCap. It is safe for concurrent use.
type Cap struct {
	*remote
	secret Secret
}

var (
	_ Provider   = (*Cap)(nil)
	_ Challenger = (*Cap)(nil)
)

// NewCap makes a Cap from the address of the instance, a site key and its secret.
func NewCap(instance, siteKey string, secret Secret, opts *RemoteOptions) (*Cap, error) {
	r, err := newInstance("cap", 20*time.Minute, instance, siteKey, secret, opts)
	if err != nil {
		return nil, err
	}
	return &Cap{r, secret}, nil
}

// newInstance makes the remote of a self-hosted service.
func newInstance(name string, life time.Duration, instance, siteKey string, secret Secret, opts *RemoteOptions) (*remote, error) {
	if err := checkSecret(name, "secret", secret); err != nil {
		return nil, err
	}
	if err := checkSecret(name, "site key", Secret(siteKey)); err != nil {
		return nil, err
	}
	var o RemoteOptions
	if opts != nil {
		o = *opts
	}
	o.SiteKey = siteKey
	return newRemote(contract{name, instance, life, MaxToken, false}, nil, &o)
}

// Verify implements Provider.
func (p *Cap) Verify(ctx context.Context, in Request) (Result, error) {
	res, ok := p.begin(in.Token)
	if !ok {
		return res, nil
	}
	parts := strings.Split(in.Token, ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return res.refused(ReasonMalformed), nil
	}
	if parts[0] != p.opts.SiteKey {
		return res.refused(ReasonSiteKey), nil
	}
	return p.ask(ctx, &in, exchange{token: in.Token, read: p.read, send: jsonhttp.Request{
		Path: "/" + url.PathEscape(p.opts.SiteKey) + "/siteverify",
		JSON: struct {
			Secret   string `json:"secret"`
			Response string `json:"response"`
		}{string(p.secret), in.Token},
	}})
}

// Only the text of an error tells a wrong secret from an old token.
var capErrors = map[string]Reason{
	"Invalid site key or secret":  ReasonCredentials,
	"Token not found":             ReasonSpent,
	"Token expired":               ReasonExpired,
	"Missing required parameters": ReasonToken, // ours are never missing: the token's form
}

func (p *Cap) read(resp *jsonhttp.Response) Result {
	if readFault(resp.Status) {
		res, _ := byStatus(resp.Status)
		return res
	}
	v, ok := parse(resp.Body)
	word, isText := text(v, "error")
	success, is := v.At("success").Bool()
	if why := capErrors[word]; ok && why != "" && (!is || !success) {
		return refusal(why, word)
	}
	if resp.Status != http.StatusOK {
		res, _ := byStatus(resp.Status)
		return res
	}
	if !ok || !is || !isText || success && word != "" {
		return refusal(ReasonResponse)
	}
	if !success {
		return refusal(ReasonToken)
	}
	return passed()
}

// Challenge implements Challenger with the site key and the instance's address.
func (p *Cap) Challenge(context.Context, ChallengeRequest) (Task, error) {
	task, err := p.task()
	task.Instance = p.opts.Endpoint
	return task, err
}
